-- Called when a bank has taken money back from the shop, a chargeback. Safe to repeat.
CREATE OR REPLACE FUNCTION {{ schema }}.record_dispute(
    p_show_id uuid,
    p_order_id uuid,
    p_provider text,
    p_event_id text,
    p_amount_in_cents bigint,
    p_staff text DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
    refund_id uuid,
    tickets_cancelled integer,
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
    v_seat_count integer;
    v_event record;
    v_tickets record;
    v_ticket_ids uuid[] := '{}'::uuid[];
    v_constraint text;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_strip_nulls(
        jsonb_build_object('event_id', left(p_event_id, 200), 'staff', left(p_staff, 200))
    );
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    IF COALESCE(p_provider, '') !~ '[^[:space:]]'
        OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
        OR p_staff !~ '[^[:space:]]'
        OR GREATEST(length(p_provider), length(p_event_id), length(p_staff)) > 200
        OR COALESCE(p_amount_in_cents, 0) <= 0
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            v_order := {{ internal_schema }}.lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            v_seat_count := cardinality(v_order.seat_ids);
            SELECT seen.*
            INTO v_event
            FROM {{ schema }}.payment_events AS seen
            WHERE
                seen.provider = p_provider
                AND seen.event_id = p_event_id
                AND seen.kind = 'dispute'
                AND seen.order_id = v_order.id
                AND seen.show_id = p_show_id;
            IF v_event.amount_in_cents = p_amount_in_cents THEN
                success := true;
                status := v_event.order_status;
                refund_id := v_event.refund_id;
                tickets_cancelled := cardinality(v_event.ticket_ids);
                RETURN NEXT;
                RETURN;
            END IF;

            error_code := CASE
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN v_event.event_id IS NOT NULL THEN 'EVENT_MISMATCH'
            END;
            EXIT WHEN error_code IS NOT NULL;

            -- Money that is owed anyway: it would be paid twice otherwise.
            SELECT owed.id
            INTO refund_id
            FROM {{ schema }}.refunds AS owed
            WHERE
                owed.order_id = v_order.id
                AND owed.show_id = p_show_id
                -- In a form that does not match the index of all due refunds.
                AND owed.status <> 'done'
                AND owed.amount_in_cents = p_amount_in_cents
            ORDER BY owed.id
            LIMIT 1
            FOR UPDATE;

            IF refund_id IS NOT NULL THEN
                status := {{ internal_schema }}.settle_refund(p_show_id, refund_id);
            ELSE
                SELECT
                    array_agg(ticket.id ORDER BY ticket.id) AS ids,
                    sum(ticket.price_in_cents) AS amount_in_cents
                INTO v_tickets
                FROM {{ schema }}.tickets AS ticket
                WHERE
                    ticket.order_id = v_order.id
                    AND ticket.show_id = p_show_id
                    -- The valid ones, in a form that does not match the index of all valid tickets.
                    AND ticket.status NOT IN ('cancelled', 'refunded');
                IF v_tickets.amount_in_cents IS DISTINCT FROM p_amount_in_cents THEN
                    error_code := 'AMOUNT_MISMATCH';
                    EXIT;
                END IF;

                v_ticket_ids := v_tickets.ids;
                SELECT taken.refund_ids[1]
                INTO refund_id
                FROM {{ internal_schema }}.take_back_tickets(
                    p_show_id, ARRAY[v_order.id], v_ticket_ids, 'dispute', 'done', p_staff
                ) AS taken;
                SELECT settled.status
                INTO status
                FROM {{ schema }}.ticket_orders AS settled
                WHERE
                    settled.id = v_order.id
                    AND settled.show_id = p_show_id;
            END IF;

            INSERT INTO {{ schema }}.payment_events (
                provider, event_id, show_id, order_id, kind, amount_in_cents, success,
                order_status, ticket_ids, refund_id
            )
            VALUES (
                p_provider, p_event_id, p_show_id, v_order.id, 'dispute', p_amount_in_cents,
                true, status, v_ticket_ids, refund_id
            );
            PERFORM {{ internal_schema }}.log_order_action(
                'record_dispute', p_show_id, v_order.id, v_reservation_id, v_old_status,
                p_amount_in_cents, v_order.currency, p_provider,
                v_detail || jsonb_build_object('refund_id', refund_id)
            );
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_seat_count) THEN
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
    IF success THEN
        tickets_cancelled := cardinality(v_ticket_ids);
    ELSE
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        status := v_old_status;
        refund_id := NULL;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'record_dispute', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status,
            p_amount_in_cents => p_amount_in_cents, p_payment_provider => p_provider,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.record_dispute(uuid, uuid, text, text, bigint, text) IS
'Records that a bank has taken money of an order back. If exactly this amount is due for the '
'order, it is that money; if it is what the valid tickets of the order cost together, they are '
'refunded and their seats are available, or blocked where a ticket was checked in. Otherwise '
'AMOUNT_MISMATCH, and nothing is stored: cancel_tickets() first, then send the event again. '
'Repeating an event returns the first answer. The amount is in the minor unit of the currency. '
'Error codes: NOT_FOUND, AMOUNT_MISMATCH, EVENT_MISMATCH (the event came before with another '
'amount), INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.record_dispute(uuid, uuid, text, text, bigint, text)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}
