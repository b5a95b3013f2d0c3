-- For a late payment: takes the same seats again if all of them are free.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.retake_seats(
    p_show_id uuid,
    p_reservation_id uuid,
    p_seat_ids uuid[]
)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_over_ids uuid[];
    v_free bigint;
BEGIN
    -- The caller has looked before. Locked, so that whoever cancels the show finds these claims.
    PERFORM
    FROM {{ schema }}.shows AS show
    WHERE
        show.id = p_show_id
        AND show.status <> 'cancelled'
    FOR SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    -- Overdue holds do not count, this one included.
    v_over_ids := ARRAY(
        SELECT seat.reserved_by
        FROM {{ schema }}.show_seats AS seat
        WHERE
            seat.show_id = p_show_id
            AND seat.id = ANY(p_seat_ids)
            AND seat.reserved_until <= v_now
    );
    PERFORM {{ internal_schema }}.expire_reservations_for_buyer(p_show_id, v_over_ids, p_seat_ids);

    SELECT count(*)
    INTO v_free
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(p_seat_ids)
        AND seat.status = 'available';
    IF v_free < cardinality(p_seat_ids) THEN
        RETURN false;
    END IF;

    UPDATE {{ schema }}.reservation_seats
    SET released_at = NULL
    WHERE
        reservation_seats.reservation_id = p_reservation_id
        AND reservation_seats.show_id = p_show_id
        AND reservation_seats.show_seat_id = ANY(p_seat_ids);
    RETURN true;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.retake_seats(uuid, uuid, uuid[]) IS
'Makes the claims of a locked reservation live again after its time, if all seats are free and the '
'show is not cancelled; returns whether it did. The seats stay locked.';
