-- One call of reserve_seats for two seats, as an application makes it.
SELECT *
FROM public.reserve_seats(
    lpad(:show, 32, '0')::uuid, ARRAY[lpad(:a, 32, '0')::uuid, lpad(:b, 32, '0')::uuid], lpad(:k, 32, 's')
);
