-- Called when a customer demands it. Amounts, ids and times stay, for the accounts. A rare call: it
-- reads all reservations and both logs once, which have no index by person.
CREATE OR REPLACE FUNCTION {{ schema }}.erase_customer(
    p_user_id text,
    p_email text,
    p_staff text
)
RETURNS TABLE (
    success boolean,
    holds_ended integer,
    reservations_erased integer,
    orders_erased integer,
    order_keys_erased integer,
    reservation_log_rows_erased integer,
    order_log_rows_erased integer,
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
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_now timestamptz;
    v_ids uuid[];
    v_active record;
    v_sessions text[];
    v_order_ids uuid[];
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    IF COALESCE(p_staff, '') !~ '[^[:space:]]'
        OR length(p_staff) > 200
        OR COALESCE(p_user_id, p_email) IS NULL
        OR p_user_id !~ '[^[:space:]]'
        OR p_email !~ '[^[:space:]]'
        -- Longer than the columns.
        OR length(p_user_id) > 200
        OR length(p_email) > 320
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            holds_ended := 0;
            v_now := clock_timestamp();
            v_ids := ARRAY(
                SELECT hold.id
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.user_id = p_user_id
                    OR lower(hold.email) = lower(p_email)
                ORDER BY hold.id
                FOR UPDATE
            );
            v_order_ids := ARRAY(
                SELECT named.id
                FROM {{ schema }}.ticket_orders AS named
                WHERE named.reservation_id = ANY(v_ids)
                ORDER BY named.id
                FOR UPDATE
            );

            -- Nothing is left for which the session would be needed.
            UPDATE {{ schema }}.ticket_orders
            SET
                status = 'cancelled',
                cancel_reason = 'released'
            FROM {{ schema }}.seat_reservations AS hold
            WHERE
                ticket_orders.id = ANY(v_order_ids)
                AND ticket_orders.status IN ('pending', 'failed')
                AND hold.id = ticket_orders.reservation_id
                AND hold.show_id = ticket_orders.show_id
                AND hold.ended_at IS NULL
                AND hold.expires_at > v_now;
            FOR v_active IN
                SELECT
                    hold.show_id,
                    hold.expires_at > v_now AS is_live,
                    array_agg(hold.id) AS ids
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.id = ANY(v_ids)
                    AND hold.ended_at IS NULL
                GROUP BY
                    hold.show_id,
                    is_live
                ORDER BY
                    hold.show_id,
                    is_live
            LOOP
                PERFORM {{ internal_schema }}.end_reservations(
                    v_active.show_id,
                    v_active.ids,
                    CASE WHEN v_active.is_live THEN 'released' ELSE 'expired' END
                );
                holds_ended := holds_ended + cardinality(v_active.ids);
            END LOOP;

            -- Also those that a hold had before move_reservation(); not that of the counter, which
            -- is everybody's.
            v_sessions := ARRAY(
                SELECT hold.session_id
                FROM {{ schema }}.seat_reservations AS hold
                WHERE hold.id = ANY(v_ids)
                UNION
                SELECT line.session_id
                FROM {{ schema }}.seat_reservation_audit_log AS line
                WHERE line.reservation_id = ANY(v_ids)
                EXCEPT
                SELECT 'box office'
            );

            UPDATE {{ schema }}.seat_reservations
            SET
                session_id = 'erased',
                user_id = NULL,
                email = NULL,
                user_agent = NULL,
                ip_address = NULL
            WHERE seat_reservations.id = ANY(v_ids);
            GET DIAGNOSTICS reservations_erased = ROW_COUNT;

            -- The message of a provider, or a key, may contain names. No call with the key can find
            -- its order any more, since that would need the session.
            UPDATE {{ schema }}.ticket_orders
            SET
                error_message = NULL,
                idempotency_key = NULL
            WHERE ticket_orders.id = ANY(v_order_ids);
            GET DIAGNOSTICS orders_erased = ROW_COUNT;
            UPDATE {{ internal_schema }}.ticket_order_keys
            SET idempotency_key = 'erased ' || gen_random_uuid()
            WHERE ticket_order_keys.order_id = ANY(v_order_ids);
            GET DIAGNOSTICS order_keys_erased = ROW_COUNT;

            UPDATE {{ schema }}.seat_reservation_audit_log
            SET
                session_id = NULL,
                user_agent = NULL,
                ip_address = NULL,
                metadata = seat_reservation_audit_log.metadata - 'detail'
            WHERE
                (
                    seat_reservation_audit_log.reservation_id = ANY(v_ids)
                    OR seat_reservation_audit_log.event_type = 'failed'
                    AND seat_reservation_audit_log.session_id = ANY(v_sessions)
                )
                AND (
                    seat_reservation_audit_log.session_id IS NOT NULL
                    OR seat_reservation_audit_log.user_agent IS NOT NULL
                    OR seat_reservation_audit_log.ip_address IS NOT NULL
                    OR seat_reservation_audit_log.metadata ? 'detail'
                );
            GET DIAGNOSTICS reservation_log_rows_erased = ROW_COUNT;
            UPDATE {{ schema }}.ticket_order_audit_log
            SET
                session_id = NULL,
                error_message = NULL,
                metadata = ticket_order_audit_log.metadata - 'detail'
            WHERE
                (
                    ticket_order_audit_log.reservation_id = ANY(v_ids)
                    OR ticket_order_audit_log.order_id = ANY(v_order_ids)
                    OR ticket_order_audit_log.session_id = ANY(v_sessions)
                )
                AND (
                    ticket_order_audit_log.session_id IS NOT NULL
                    OR ticket_order_audit_log.error_message IS NOT NULL
                    OR ticket_order_audit_log.metadata ? 'detail'
                );
            GET DIAGNOSTICS order_log_rows_erased = ROW_COUNT;

            PERFORM {{ internal_schema }}.log_staff_action(
                'erased', '00000000-0000-0000-0000-000000000000', NULL, '{}', p_staff
            );
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                -- Without the message of the server, which may quote what was to be erased.
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE);
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        holds_ended := NULL;
        reservations_erased := NULL;
        orders_erased := NULL;
        order_keys_erased := NULL;
        reservation_log_rows_erased := NULL;
        order_log_rows_erased := NULL;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'erase_customer', error_code, error_message, NULL, NULL, NULL, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.erase_customer(text, text, text) IS
'Removes what is personal from all reservations with this user_id or this email (in any case; '
'either may be NULL), from their orders, and from the lines of the logs about them and about '
'refused calls of the same sessions. Ends holds that are live, and cancels their orders; amounts, '
'ids, times, tickets and refunds stay. Returns how many rows were changed; a repeat, or an unknown '
'customer, changes none. Reads all reservations and both logs. Error codes: INVALID_INPUT (no '
'user_id and no email, a blank one, a blank p_staff), BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.erase_customer(text, text, text) TO {{ box_office_role }};
{% endif %}
