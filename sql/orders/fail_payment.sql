-- Called when the provider reports that a payment failed. The hold stays: the buyer may try again
-- until it is over.
CREATE OR REPLACE FUNCTION {{ schema }}.fail_payment(
    p_show_id uuid,
    p_order_id uuid,
    p_provider text,
    p_event_id text,
    p_error_message text
)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
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
    -- Records: a row type would wait for a locked table before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_event record;
    v_constraint text;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object('event_id', left(p_event_id, 200));
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        IF COALESCE(p_provider, '') !~ '[^[:space:]]'
            OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
            OR GREATEST(length(p_provider), length(p_event_id)) > 200
        THEN
            error_code := 'INVALID_INPUT';
            EXIT;
        END IF;

        BEGIN
            v_order := {{ internal_schema }}.lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            status := v_order.status;
            SELECT seen.*
            INTO v_event
            FROM {{ schema }}.payment_events AS seen
            WHERE
                seen.provider = p_provider
                AND seen.event_id = p_event_id
                AND seen.kind = 'failure'
                AND seen.order_id = v_order.id
                AND seen.show_id = p_show_id;
            IF v_event.event_id IS NOT NULL THEN
                success := v_event.success;
                order_id := v_event.order_id;
                status := v_event.order_status;
                error_code := v_event.error_code;
                error_message := v_event.error_message;
                RETURN NEXT;
                RETURN;
            END IF;

            error_code := CASE
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN v_order.status NOT IN ('pending', 'failed') THEN 'ORDER_NOT_PAYABLE'
            END;
            EXIT WHEN error_code = 'NOT_FOUND';

            IF error_code IS NULL THEN
                status := 'failed';
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'failed',
                    error_message = left(p_error_message, 10000),
                    payment_provider = COALESCE(ticket_orders.payment_provider, p_provider)
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.id = v_order.id;
            END IF;

            INSERT INTO {{ schema }}.payment_events (
                provider, event_id, show_id, order_id, kind, success, order_status, ticket_ids,
                error_code, error_message
            )
            VALUES (
                p_provider, p_event_id, p_show_id, v_order.id, 'failure', error_code IS NULL,
                status, '{}', error_code, {{ internal_schema }}.error_message(error_code)
            );
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'payment_events_pkey' THEN
                    -- Only if the snapshot is older than our lock, and the event was stored in
                    -- between.
                    RAISE EXCEPTION 'the event was stored after the transaction began'
                    USING ERRCODE = 'serialization_failure';
                END IF;
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        status := v_old_status;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'fail_payment', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status,
            p_payment_provider => p_provider, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.fail_payment(uuid, uuid, text, text, text) IS
'Records that a payment failed. A failed order can still be paid, even by an event with the same '
'id. Repeating an event returns the first answer. Error codes: NOT_FOUND, ORDER_NOT_PAYABLE, '
'INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.fail_payment(uuid, uuid, text, text, text) TO {{ app_role }};
{% endif %}
