-- Ends holds of one show and frees their seats: the one way in which seats come back from a hold.
-- The caller has locked the reservations and seen that they are active. Driven from arrays: index
-- scans, whatever the statistics say.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.end_holds(
    p_show_id uuid,
    p_reservation_ids uuid[],
    p_status text,
    p_lock_seat_ids uuid[] DEFAULT '{}'
)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_seat_ids uuid[];
BEGIN
    -- FILTER and not WHERE: claims are to be found by their reservation, not by the index of all
    -- live ones.
    SELECT COALESCE(array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}')
    INTO v_seat_ids
    FROM {{ schema }}.reservation_seats AS claim
    WHERE
        claim.reservation_id = ANY(p_reservation_ids)
        AND claim.show_id = p_show_id;

    -- Everybody locks seats in id order, and all at once: the caller's own seats too, if it is to
    -- take any after us.
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(v_seat_ids || p_lock_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    -- Before the claims are released: the audit trigger reads which are live.
    UPDATE {{ schema }}.seat_reservations
    SET
        status = p_status,
        ended_at = v_now
    WHERE
        seat_reservations.show_id = p_show_id
        AND seat_reservations.id = ANY(p_reservation_ids);

    -- Live ones, said so that the index of all live claims does not apply here, either.
    UPDATE {{ schema }}.reservation_seats
    SET released_at = v_now
    WHERE
        reservation_seats.reservation_id = ANY(p_reservation_ids)
        AND reservation_seats.show_id = p_show_id
        AND COALESCE(reservation_seats.released_at, 'infinity') = 'infinity';

    -- A reserved seat is reserved by its live claim: there is only one.
    UPDATE {{ schema }}.show_seats
    SET
        status = 'available',
        reserved_by = NULL,
        reserved_until = NULL
    WHERE
        show_seats.show_id = p_show_id
        AND show_seats.id = ANY(v_seat_ids)
        AND show_seats.status = 'reserved';

    RETURN cardinality(v_seat_ids);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.end_holds(uuid, uuid[], text, uuid[]) IS
'Ends locked, active reservations of a show as expired or released, frees their seats, and '
'returns how many. Also locks p_lock_seat_ids, in one order with the rest. Internal.';
