-- Called by the functions of the box office that need seats for themselves. Ends the holds that are
-- on them, if it may, so that afterwards each seat is available or blocked, and locked.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.take_seats(
    p_show_id uuid,
    p_seat_ids uuid[],
    p_since timestamptz,
    p_end_holds boolean DEFAULT false,
    p_lock_reservation_ids uuid[] DEFAULT '{}',
    p_lock_seat_ids uuid[] DEFAULT '{}',
    OUT error_code text,
    OUT holds_ended integer,
    OUT blocked_seat_ids uuid[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_now timestamptz;
    v_look record;
    v_is_locked boolean := false;
    v_hold_ids uuid[];
    v_locked_ids uuid[] := ARRAY[]::uuid[];
BEGIN
    LOOP
        v_now := clock_timestamp();
        SELECT
            count(*) AS found,
            COALESCE(bool_or(seat.status = 'sold'), false) AS is_sold,
            COALESCE(array_agg(seat.id) FILTER (WHERE seat.status = 'blocked'), '{}')
                AS blocked_ids,
            COALESCE(
                array_agg(DISTINCT seat.reserved_by) FILTER (WHERE seat.reserved_until <= v_now),
                '{}'
            ) AS over_ids,
            COALESCE(
                array_agg(DISTINCT seat.reserved_by) FILTER (WHERE seat.reserved_until > v_now),
                '{}'
            ) AS live_ids
        INTO v_look
        FROM {{ schema }}.show_seats AS seat
        WHERE
            seat.show_id = p_show_id
            AND seat.id = ANY(p_seat_ids);

        error_code := CASE
            WHEN v_look.found < cardinality(p_seat_ids) THEN 'SEATS_NOT_FOUND'
            WHEN v_look.is_sold THEN 'SEATS_SOLD'
            WHEN v_look.live_ids <> '{}' AND p_end_holds IS NOT TRUE THEN 'SEATS_HELD'
        END;
        EXIT WHEN error_code IS NOT NULL;

        -- Buyers hold seats until the moment in which they are locked: those holds are locked
        -- afterwards. The buyer is hardly ever working on one at that moment.
        v_hold_ids := ARRAY(
            SELECT found.id
            FROM unnest(v_look.over_ids || v_look.live_ids) AS found (id)
            EXCEPT
            SELECT locked.id
            FROM unnest(v_locked_ids) AS locked (id)
        );
        EXIT WHEN v_is_locked AND v_hold_ids = '{}';
        IF v_is_locked THEN
            PERFORM {{ internal_schema }}.lock_for_staff(
                p_show_id, v_hold_ids, '{}', p_since, true
            );
        ELSE
            PERFORM {{ internal_schema }}.lock_for_staff(
                p_show_id, p_lock_reservation_ids || v_hold_ids, p_seat_ids || p_lock_seat_ids,
                p_since
            );
        END IF;
        v_is_locked := true;
        v_locked_ids := v_locked_ids || v_hold_ids;
    END LOOP;

    holds_ended := 0;
    blocked_seat_ids := v_look.blocked_ids;
    IF error_code IS NOT NULL OR v_locked_ids = '{}' THEN
        RETURN;
    END IF;

    UPDATE {{ schema }}.ticket_orders
    SET
        status = 'cancelled',
        cancel_reason = 'released'
    WHERE
        ticket_orders.reservation_id = ANY(v_look.live_ids)
        -- In a form that matches no index, see lock_for_staff().
        AND COALESCE(ticket_orders.show_id) = p_show_id
        AND ticket_orders.status IN ('pending', 'failed');
    PERFORM {{ internal_schema }}.end_reservations(p_show_id, v_look.over_ids, 'expired');
    PERFORM {{ internal_schema }}.end_reservations(p_show_id, v_look.live_ids, 'released');
    holds_ended := cardinality(v_look.live_ids);

    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(p_seat_ids)
        AND seat.status = 'reserved';
    IF FOUND THEN
        RAISE EXCEPTION 'a seat is reserved by a hold that has no claim on it'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.take_seats(
    uuid, uuid[], timestamptz, boolean, uuid[], uuid[]
) IS
'Locks seats of a show, after p_lock_reservation_ids with their orders and together with '
'p_lock_seat_ids, and ends overdue holds on them, with p_end_holds live ones, too. Returns an '
'error code (SEATS_NOT_FOUND, SEATS_SOLD, SEATS_HELD; nothing has been written then), how many '
'live holds were ended, and which of the seats are blocked.';
