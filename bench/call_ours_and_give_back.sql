-- One call of reserve_seats; a winner releases the seats at once, so that some calls always win.
SELECT
    hold.success::integer AS won,
    COALESCE(hold.reservation_token, '') AS token
FROM public.reserve_seats(
    lpad(:show, 32, '0')::uuid, ARRAY[lpad(:a, 32, '0')::uuid, lpad(:b, 32, '0')::uuid], lpad(:k, 32, 's')
) AS hold \gset
\if :won
SELECT * FROM public.release_reservation(:token, lpad(:k, 32, 's'));
\endif
