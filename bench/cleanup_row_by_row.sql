-- The other side of P4: the obvious loop. Hold after hold, oldest first, with the same effects as ours, and written well: three statements a hold, each by primary key with a plan that is kept, a commit every p_commit_every holds.
CREATE SCHEMA row_by_row;

CREATE PROCEDURE row_by_row.cleanup(p_limit integer, p_commit_every integer)
LANGUAGE plpgsql
AS $body$
DECLARE
    v_hold record;
    v_done integer := 0;
BEGIN
    FOR v_hold IN
        SELECT
            hold.id,
            hold.show_id
        FROM public.seat_reservations AS hold
        WHERE
            hold.status = 'active'
            AND hold.expires_at <= now()
        ORDER BY hold.expires_at
        LIMIT p_limit
    LOOP
        UPDATE public.seat_reservations
        SET
            status = 'expired',
            ended_at = now()
        WHERE
            seat_reservations.id = v_hold.id
            AND seat_reservations.show_id = v_hold.show_id
            AND seat_reservations.status = 'active'
            AND seat_reservations.expires_at <= now();
        CONTINUE WHEN NOT FOUND;

        UPDATE public.show_seats
        SET
            status = 'available',
            reserved_by = NULL,
            reserved_until = NULL
        FROM public.reservation_seats AS claim
        WHERE
            claim.reservation_id = v_hold.id
            AND claim.show_id = v_hold.show_id
            AND show_seats.id = claim.show_seat_id
            AND show_seats.show_id = claim.show_id
            AND show_seats.reserved_by = v_hold.id;

        UPDATE public.reservation_seats
        SET released_at = now()
        WHERE
            reservation_seats.reservation_id = v_hold.id
            AND reservation_seats.show_id = v_hold.show_id;

        v_done := v_done + 1;
        IF v_done % p_commit_every = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
    COMMIT;
END;
$body$;
