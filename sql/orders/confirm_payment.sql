-- Called when the provider reports a payment. Every payment is recorded: one that does not buy
-- tickets becomes a row of refunds. Safe to repeat.
CREATE OR REPLACE FUNCTION {{ schema }}.confirm_payment(
    p_show_id uuid,
    p_order_id uuid,
    p_provider text,
    p_event_id text,
    p_amount_in_cents bigint
)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
    ticket_ids uuid[],
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
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would wait for a locked table before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_seat_count integer;
    v_hold_status text;
    v_is_held boolean;
    v_is_cancelled boolean;
    v_event record;
    v_is_sellable boolean;
    -- Why an attempt to sell has failed.
    v_failure text;
    v_constraint text;
    v_seats bigint;
    v_payment_intent_id text;
    v_refund_reason text;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object('event_id', left(p_event_id, 200));
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        ticket_ids := '{}';
        v_is_sellable := false;
        IF COALESCE(p_provider, '') !~ '[^[:space:]]'
            OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
            OR GREATEST(length(p_provider), length(p_event_id)) > 200
        THEN
            error_code := 'INVALID_INPUT';
            EXIT;
        END IF;

        BEGIN
            v_now := clock_timestamp();
            v_order := {{ internal_schema }}.lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            v_seat_count := cardinality(v_order.seat_ids);
            status := v_order.status;
            SELECT seen.*
            INTO v_event
            FROM {{ schema }}.payment_events AS seen
            WHERE
                seen.provider = p_provider
                AND seen.event_id = p_event_id
                AND seen.kind = 'payment'
                AND seen.order_id = v_order.id
                AND seen.show_id = p_show_id;
            IF v_event.amount_in_cents IS DISTINCT FROM p_amount_in_cents
                AND v_event.event_id IS NOT NULL
            THEN
                error_code := 'EVENT_MISMATCH';
                EXIT;
            ELSIF v_event.event_id IS NOT NULL THEN
                success := v_event.success;
                order_id := v_event.order_id;
                status := v_event.order_status;
                ticket_ids := v_event.ticket_ids;
                error_code := v_event.error_code;
                error_message := v_event.error_message;
                RETURN NEXT;
                RETURN;
            END IF;

            error_code := CASE
                -- Not stored: the order may be committed a moment later, and the provider will send
                -- the event again.
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN p_amount_in_cents IS DISTINCT FROM v_order.total_amount_in_cents
                    THEN 'AMOUNT_MISMATCH'
                WHEN v_order.status NOT IN ('pending', 'failed', 'cancelled')
                    THEN 'ORDER_NOT_PAYABLE'
            END;
            EXIT WHEN error_code = 'NOT_FOUND';

            IF error_code IS NULL THEN
                SELECT
                    hold.status::text,
                    hold.status = 'active' AND hold.expires_at > v_now AS is_held,
                    show.status = 'cancelled' AS is_cancelled
                INTO
                    v_hold_status,
                    v_is_held,
                    v_is_cancelled
                FROM {{ schema }}.seat_reservations AS hold
                INNER JOIN {{ schema }}.shows AS show ON show.id = hold.show_id
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = v_order.reservation_id;

                IF v_failure IS NOT NULL
                    OR v_is_cancelled
                    -- The seats were given back, or paid for by another order of the hold.
                    OR v_order.status = 'cancelled'
                    AND v_order.cancel_reason IS DISTINCT FROM 'overdue'
                THEN
                    v_is_sellable := false;
                ELSIF v_is_held THEN
                    v_is_sellable := true;
                    PERFORM
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.id = ANY(v_order.seat_ids)
                    ORDER BY seat.id
                    FOR UPDATE;
                ELSE
                    v_is_sellable := v_hold_status IN ('active', 'expired')
                        AND {{ internal_schema }}.retake_seats(
                            p_show_id, v_order.reservation_id, v_order.seat_ids
                        );
                END IF;

                IF v_is_sellable THEN
                    UPDATE {{ schema }}.seat_reservations
                    SET
                        status = 'completed',
                        ended_at = v_now
                    WHERE
                        seat_reservations.show_id = p_show_id
                        AND seat_reservations.id = v_order.reservation_id;

                    -- Sell only what this hold has, whatever was changed by hand.
                    UPDATE {{ schema }}.show_seats
                    SET
                        status = 'sold',
                        reserved_by = NULL,
                        reserved_until = NULL
                    WHERE
                        show_seats.show_id = p_show_id
                        AND show_seats.id = ANY(v_order.seat_ids)
                        AND CASE
                            WHEN v_is_held THEN show_seats.reserved_by = v_order.reservation_id
                            ELSE show_seats.status = 'available'
                        END;
                    GET DIAGNOSTICS v_seats = ROW_COUNT;

                    WITH issued AS (
                        INSERT INTO {{ schema }}.tickets (
                            show_id, order_id, show_seat_id, price_in_cents, currency,
                            ticket_type
                        )
                        SELECT
                            p_show_id,
                            v_order.id,
                            claim.show_seat_id,
                            claim.price_in_cents,
                            claim.currency,
                            claim.ticket_type
                        FROM {{ schema }}.reservation_seats AS claim
                        WHERE
                            claim.reservation_id = v_order.reservation_id
                            AND claim.show_seat_id = ANY(v_order.seat_ids)
                            AND claim.show_id = p_show_id
                            -- Live ones, in a form that does not match the index of all live
                            -- claims.
                            AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                        RETURNING tickets.id
                    )

                    SELECT COALESCE(array_agg(issued.id ORDER BY issued.id), '{}')
                    INTO ticket_ids
                    FROM issued;

                    IF LEAST(v_seats, cardinality(ticket_ids)) < cardinality(v_order.seat_ids) THEN
                        RAISE EXCEPTION 'the reservation does not have all seats of its order'
                        USING ERRCODE = 'integrity_constraint_violation';
                    END IF;

                    -- A payment that arrives for an earlier order of the same seats becomes
                    -- refund_due.
                    UPDATE {{ schema }}.ticket_orders
                    SET
                        status = 'cancelled',
                        cancel_reason = 'superseded'
                    WHERE
                        ticket_orders.reservation_id = v_order.reservation_id
                        AND ticket_orders.show_id = p_show_id
                        AND ticket_orders.status IN ('pending', 'failed')
                        AND ticket_orders.id <> v_order.id;
                END IF;

                -- The payment that this event belongs to: the one that the event names, or the last
                -- one begun with this provider, or else the event itself.
                SELECT named.payment_intent_id
                INTO v_payment_intent_id
                FROM (
                    SELECT
                        v_order.payment_intent_id,
                        v_order.payment_provider,
                        'infinity'::timestamptz AS created_at
                    UNION ALL
                    SELECT
                        earlier.payment_intent_id,
                        NULLIF(earlier.payment_provider, ''),
                        earlier.created_at
                    FROM {{ internal_schema }}.payment_intents AS earlier
                    WHERE
                        earlier.order_id = v_order.id
                        AND earlier.show_id = p_show_id
                ) AS named
                WHERE
                    named.payment_intent_id IS NOT NULL
                    AND COALESCE(named.payment_provider, p_provider) = p_provider
                ORDER BY
                    named.payment_intent_id = p_event_id DESC,
                    named.created_at DESC
                LIMIT 1;
                v_payment_intent_id := COALESCE(v_payment_intent_id, p_event_id);
                IF (v_order.payment_intent_id, COALESCE(v_order.payment_provider, p_provider))
                    IS DISTINCT FROM (v_payment_intent_id, p_provider)
                THEN
                    PERFORM {{ internal_schema }}.remember_payment_intent(
                        p_show_id, v_order.id, v_order.payment_provider, v_order.payment_intent_id
                    );
                END IF;

                status := CASE WHEN v_is_sellable THEN 'paid' ELSE 'refund_due' END;
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = confirm_payment.status,
                    paid_at = now(),
                    payment_provider = p_provider,
                    payment_intent_id = v_payment_intent_id
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.id = v_order.id;
            END IF;

            INSERT INTO {{ schema }}.payment_events (
                provider, event_id, show_id, order_id, kind, amount_in_cents, success,
                order_status, ticket_ids, error_code, error_message
            )
            VALUES (
                p_provider, p_event_id, p_show_id, v_order.id, 'payment', p_amount_in_cents,
                error_code IS NULL, status, ticket_ids, error_code,
                {{ internal_schema }}.error_message(error_code)
            );

            v_refund_reason := CASE
                WHEN error_code = 'AMOUNT_MISMATCH' THEN 'amount_mismatch'
                WHEN error_code = 'ORDER_NOT_PAYABLE' THEN 'double_payment'
                WHEN v_is_sellable THEN NULL
                WHEN v_is_cancelled THEN 'show_cancelled'
                ELSE 'late_payment'
            END;
            IF v_refund_reason IS NOT NULL AND p_amount_in_cents > 0 THEN
                INSERT INTO {{ schema }}.refunds (
                    show_id, order_id, amount_in_cents, currency, reason, payment_provider,
                    payment_event_id
                )
                VALUES (
                    p_show_id, v_order.id, p_amount_in_cents, v_order.currency, v_refund_reason,
                    p_provider, p_event_id
                );
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_seat_count) THEN
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
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                IF left(SQLSTATE, 2) = '23' AND v_is_sellable THEN
                    -- The seats cannot be sold, but the money has arrived: try again, to record it
                    -- as a refund.
                    v_failure := CASE
                        WHEN SQLSTATE = '23000' THEN 'SEATS_UNAVAILABLE'
                        WHEN v_constraint IN (
                            'tickets_one_valid_per_seat', 'reservation_seats_no_double_booking'
                        ) THEN 'DOUBLE_BOOKING_PREVENTED'
                        ELSE 'INTERNAL_ERROR'
                    END;
                ELSE
                    -- The event is not stored, so the provider can send it again.
                    error_code := 'INTERNAL_ERROR';
                    EXIT;
                END IF;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        IF error_code IN ('BUSY', 'INTERNAL_ERROR') THEN
            status := v_old_status;
            ticket_ids := '{}';
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'confirm_payment', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status,
            p_amount_in_cents => p_amount_in_cents, p_payment_provider => p_provider,
            p_detail => v_detail
        );
    ELSIF v_failure IS NOT NULL THEN
        -- The answer is no error, but the log must show that an expected sale has failed.
        PERFORM {{ internal_schema }}.log_order_failure(
            'confirm_payment', v_failure, {{ internal_schema }}.error_message(v_failure), p_show_id,
            p_order_id, v_reservation_id, p_old_status => v_old_status,
            p_amount_in_cents => p_amount_in_cents, p_payment_provider => p_provider,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.confirm_payment(uuid, uuid, text, text, bigint) IS
'Records a payment, in the minor unit of the currency of the order, and issues tickets; status '
'refund_due if the seats are gone. A payment that buys no tickets becomes a row of refunds. '
'Repeating an event returns the first answer; the same event for another order is another '
'payment. Error codes: NOT_FOUND, AMOUNT_MISMATCH, ORDER_NOT_PAYABLE, EVENT_MISMATCH (the event '
'came before with another amount), INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.confirm_payment(uuid, uuid, text, text, bigint)
TO {{ app_role }};
{% endif %}
