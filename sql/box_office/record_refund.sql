-- Called when a provider reports that the money of a due refund has gone back, or when the staff
-- has sent it. Safe to repeat.
CREATE OR REPLACE FUNCTION {{ schema }}.record_refund(
    p_show_id uuid,
    p_refund_id uuid,
    p_provider text,
    p_event_id text,
    p_staff text DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    refund_id uuid,
    order_id uuid,
    status text,
    amount_in_cents bigint,
    currency text,
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
    v_refund record;
    v_event record;
    v_constraint text;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_strip_nulls(
        jsonb_build_object(
            'event_id', left(p_event_id, 200), 'refund_id', p_refund_id, 'staff', left(p_staff, 200)
        )
    );
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    IF COALESCE(p_provider, '') !~ '[^[:space:]]'
        OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
        OR p_staff !~ '[^[:space:]]'
        OR GREATEST(length(p_provider), length(p_event_id), length(p_staff)) > 200
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            v_order := {{ internal_schema }}.lock_order(
                p_show_id,
                (
                    SELECT owed.order_id
                    FROM {{ schema }}.refunds AS owed
                    WHERE
                        owed.show_id = p_show_id
                        AND owed.id = p_refund_id
                )
            );
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            SELECT owed.*
            INTO v_refund
            FROM {{ schema }}.refunds AS owed
            WHERE
                owed.show_id = p_show_id
                AND owed.id = p_refund_id
            FOR UPDATE;
            refund_id := v_refund.id;
            amount_in_cents := v_refund.amount_in_cents;
            currency := v_refund.currency;
            SELECT seen.*
            INTO v_event
            FROM {{ schema }}.payment_events AS seen
            WHERE
                seen.provider = p_provider
                AND seen.event_id = p_event_id
                AND seen.kind = 'refund'
                AND seen.order_id = v_order.id
                AND seen.show_id = p_show_id;
            IF v_event.refund_id = v_refund.id THEN
                success := true;
                status := v_event.order_status;
                RETURN NEXT;
                RETURN;
            END IF;

            error_code := CASE
                WHEN v_refund.id IS NULL THEN 'NOT_FOUND'
                WHEN v_event.event_id IS NOT NULL THEN 'EVENT_MISMATCH'
                WHEN v_refund.status = 'done' THEN 'ALREADY_REFUNDED'
            END;
            EXIT WHEN error_code IS NOT NULL;

            status := {{ internal_schema }}.settle_refund(p_show_id, v_refund.id);
            INSERT INTO {{ schema }}.payment_events (
                provider, event_id, show_id, order_id, kind, amount_in_cents, success,
                order_status, ticket_ids, refund_id
            )
            VALUES (
                p_provider, p_event_id, p_show_id, v_order.id, 'refund', v_refund.amount_in_cents,
                true, status, '{}', v_refund.id
            );
            PERFORM {{ internal_schema }}.log_order_action(
                'record_refund', p_show_id, v_order.id, v_reservation_id, v_old_status,
                v_refund.amount_in_cents, v_refund.currency, p_provider, v_detail
            );
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
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
            'record_refund', error_code, error_message, p_show_id, order_id,
            v_reservation_id, p_old_status => v_old_status, p_amount_in_cents => amount_in_cents,
            p_payment_provider => p_provider, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.record_refund(uuid, uuid, text, text, text) IS
'Records that the money of a due refund has gone back: the refund is done; an order that is '
'refund_due becomes refunded if that was its payment. Repeating an event returns the first answer. '
'The status is that of the order, amounts are in the minor unit of the currency. Error codes: '
'NOT_FOUND, ALREADY_REFUNDED (by another event), EVENT_MISMATCH (the event was for another refund '
'of the order), INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.record_refund(uuid, uuid, text, text, text)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}
