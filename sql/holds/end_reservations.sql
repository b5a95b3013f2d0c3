-- Ends holds of one show and frees their seats: called wherever a hold ends without a sale. The
-- caller has locked the reservations and checked that they are active. It passes arrays, which
-- makes the planner use index scans, whatever the statistics are.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.end_reservations(
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
    -- FILTER instead of WHERE, so that claims are found by their reservation and not by the index
    -- of all live claims.
    SELECT COALESCE(array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}')
    INTO v_seat_ids
    FROM {{ schema }}.reservation_seats AS claim
    WHERE
        claim.reservation_id = ANY(p_reservation_ids)
        AND claim.show_id = p_show_id;

    -- All functions lock seats in the order of id. One statement locks all of them, with the seats
    -- that the caller takes afterwards.
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(v_seat_ids || p_lock_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    -- Before the claims are released, since the audit trigger reads the live ones.
    UPDATE {{ schema }}.seat_reservations
    SET
        status = p_status,
        ended_at = v_now
    WHERE
        -- In a form that matches no index: with the statistics of a quiet night, all reservations
        -- of a show seem to be few.
        COALESCE(seat_reservations.show_id) = p_show_id
        AND seat_reservations.id = ANY(p_reservation_ids);

    -- The live claims, in a form that does not match the index of all live claims.
    UPDATE {{ schema }}.reservation_seats
    SET released_at = v_now
    WHERE
        reservation_seats.reservation_id = ANY(p_reservation_ids)
        AND reservation_seats.show_id = p_show_id
        AND COALESCE(reservation_seats.released_at, 'infinity') = 'infinity';

    -- A reserved seat belongs to its live claim: there is only one.
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

COMMENT ON FUNCTION {{ internal_schema }}.end_reservations(uuid, uuid[], text, uuid[]) IS
'Ends locked, active reservations of a show as expired or released, frees their seats, and '
'returns how many seats. Also locks p_lock_seat_ids, in the same order.';
