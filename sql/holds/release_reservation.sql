-- Gives seats back before their hold is over: all of them, or some.
CREATE OR REPLACE FUNCTION {{ schema }}.release_reservation(
    p_reservation_token text,
    p_session_id text,
    p_seat_ids uuid[] DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
    seats_released integer,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- A record: a row type would wait for a locked table before the block begins.
    v_hold record;
    v_show_id uuid;
    v_held_ids uuid[];
    v_wanted_ids uuid[];
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            INTO v_held_ids
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = v_hold.id
                AND claim.show_id = v_hold.show_id;
            v_wanted_ids := CASE
                WHEN p_seat_ids IS NULL THEN v_held_ids
                ELSE ARRAY(SELECT DISTINCT wanted.id FROM unnest(p_seat_ids) AS wanted (id))
            END;
            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_hold.status <> 'active' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_INACTIVE'
                WHEN cardinality(v_wanted_ids) = 0 OR NOT v_wanted_ids <@ v_held_ids
                    THEN 'SEATS_NOT_FOUND'
            END;
            IF error_code IS NULL THEN
                -- The order no longer matches the hold. A payment that arrives for it becomes
                -- refund_due.
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'cancelled',
                    cancel_reason = 'released'
                WHERE
                    ticket_orders.reservation_id = v_hold.id
                    AND ticket_orders.show_id = v_hold.show_id
                    AND ticket_orders.status IN ('pending', 'failed');

                IF v_wanted_ids @> v_held_ids THEN
                    seats_released := {{ internal_schema }}.end_reservations(
                        v_hold.show_id, ARRAY[v_hold.id], 'released'
                    );
                ELSE
                    PERFORM
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = v_hold.show_id
                        AND seat.id = ANY(v_wanted_ids)
                    ORDER BY seat.id
                    FOR UPDATE;

                    -- The hold continues with fewer seats. A concurrent transaction that has read
                    -- the old seats (an order, at REPEATABLE READ) must fail: an update that
                    -- changes nothing achieves this.
                    UPDATE {{ schema }}.seat_reservations
                    SET extension_count = seat_reservations.extension_count
                    WHERE
                        seat_reservations.id = v_hold.id
                        AND seat_reservations.show_id = v_hold.show_id;

                    UPDATE {{ schema }}.reservation_seats
                    SET released_at = clock_timestamp()
                    WHERE
                        reservation_seats.reservation_id = v_hold.id
                        AND reservation_seats.show_id = v_hold.show_id
                        AND reservation_seats.show_seat_id = ANY(v_wanted_ids);

                    UPDATE {{ schema }}.show_seats
                    SET
                        status = 'available',
                        reserved_by = NULL,
                        reserved_until = NULL
                    WHERE
                        show_seats.show_id = v_hold.show_id
                        AND show_seats.id = ANY(v_wanted_ids)
                        AND show_seats.reserved_by = v_hold.id;

                    -- The status of the reservation stays, so the audit trigger does not fire.
                    INSERT INTO {{ schema }}.seat_reservation_audit_log (
                        event_type, reservation_id, show_id, session_id, seat_count, seat_ids,
                        metadata
                    )
                    VALUES (
                        'released', v_hold.id, v_hold.show_id, v_hold.session_id,
                        cardinality(v_wanted_ids), v_wanted_ids, '{"partial": true}'
                    );
                    seats_released := cardinality(v_wanted_ids);
                END IF;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        seats_released := NULL;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'release_reservation', error_code, error_message, v_show_id, reservation_id,
            p_session_id, p_seat_ids, p_detail => v_detail
        );
        reservation_id := NULL;
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.release_reservation(text, text, uuid[]) IS
'Gives back seats of a hold; NULL seat ids: all, which ends the hold. Cancels an order that is '
'not paid. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, SEATS_NOT_FOUND, BUSY '
'(locked by another session for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.release_reservation(text, text, uuid[]) TO {{ app_role }};
{% endif %}
