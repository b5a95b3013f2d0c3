-- The provider says that money has come. Whatever happens here, it is on record, and none of it is
-- lost: tickets, or refund_due. Safe to repeat.
CREATE OR REPLACE FUNCTION {{ schema }}.confirm_payment(
    p_show_id uuid,
    p_order_id uuid,
    p_provider text,
    p_event_id text,
    p_amount_in_cents bigint,
    OUT success boolean,
    OUT order_id uuid,
    OUT status text,
    OUT ticket_ids uuid[],
    OUT error_code text,
    OUT error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_order {{ schema }}.ticket_orders;
    v_hold record;
    v_event {{ schema }}.payment_events;
    v_sellable boolean;
    v_detail jsonb := jsonb_build_object('event_id', left(p_event_id, 200));
BEGIN
    ticket_ids := '{}';
    IF COALESCE(p_provider, '') !~ '[^[:space:]]'
        OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
        OR GREATEST(length(p_provider), length(p_event_id)) > 200
    THEN
        error_code := 'INVALID_INPUT';
    ELSE
        BEGIN
            v_order := {{ schema }}.lock_order(p_show_id, p_order_id);
            SELECT seen.*
            INTO v_event
            FROM {{ schema }}.payment_events AS seen
            WHERE
                seen.provider = p_provider
                AND seen.event_id = p_event_id
                AND seen.show_id = p_show_id;
            IF v_event.event_id IS NOT NULL THEN
                success := v_event.success;
                order_id := v_event.order_id;
                status := v_event.order_status;
                ticket_ids := v_event.ticket_ids;
                error_code := v_event.error_code;
                error_message := v_event.error_message;
                RETURN;
            END IF;

            error_code := CASE
                -- Not stored: the order may be committed a moment later, and the provider will ask
                -- again.
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN p_amount_in_cents IS DISTINCT FROM v_order.total_amount_in_cents
                    THEN 'AMOUNT_MISMATCH'
                WHEN v_order.status NOT IN ('pending', 'failed', 'cancelled')
                    THEN 'ORDER_NOT_PAYABLE'
            END;
            status := v_order.status;

            IF error_code IS NULL THEN
                SELECT
                    hold.status,
                    hold.status = 'active' AND hold.expires_at > now() AS is_held,
                    show.status = 'cancelled' AS is_cancelled
                INTO v_hold
                FROM {{ schema }}.seat_reservations AS hold
                INNER JOIN {{ schema }}.shows AS show ON show.id = hold.show_id
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = v_order.reservation_id;

                IF v_hold.is_cancelled OR v_order.status = 'cancelled' THEN
                    v_sellable := false;
                ELSIF v_hold.is_held THEN
                    v_sellable := true;
                    PERFORM
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.id = ANY(v_order.seat_ids)
                    ORDER BY seat.id
                    FOR UPDATE;
                ELSE
                    -- Released seats were given back on purpose, completed ones were paid for by
                    -- another order.
                    v_sellable := v_hold.status IN ('active', 'expired')
                        AND {{ schema }}.retake_seats(
                            p_show_id, v_order.reservation_id, v_order.seat_ids
                        );
                END IF;

                IF v_sellable THEN
                    UPDATE {{ schema }}.seat_reservations
                    SET
                        status = 'completed',
                        ended_at = now()
                    WHERE
                        seat_reservations.show_id = p_show_id
                        AND seat_reservations.id = v_order.reservation_id;

                    UPDATE {{ schema }}.show_seats
                    SET
                        status = 'sold',
                        reserved_by = NULL,
                        reserved_until = NULL
                    WHERE
                        show_seats.show_id = p_show_id
                        AND show_seats.id = ANY(v_order.seat_ids);

                    WITH issued AS (
                        INSERT INTO {{ schema }}.tickets (
                            show_id, order_id, show_seat_id, price_in_cents, currency
                        )
                        SELECT
                            p_show_id,
                            v_order.id,
                            claim.show_seat_id,
                            claim.price_in_cents,
                            claim.currency
                        FROM {{ schema }}.reservation_seats AS claim
                        WHERE
                            claim.reservation_id = v_order.reservation_id
                            AND claim.show_seat_id = ANY(v_order.seat_ids)
                            AND claim.show_id = p_show_id
                        RETURNING tickets.id
                    )

                    SELECT array_agg(issued.id ORDER BY issued.id)
                    INTO ticket_ids
                    FROM issued;

                    -- An earlier attempt for the same seats, should its money come too, will be
                    -- refund_due.
                    UPDATE {{ schema }}.ticket_orders
                    SET status = 'cancelled'
                    WHERE
                        ticket_orders.reservation_id = v_order.reservation_id
                        AND ticket_orders.show_id = p_show_id
                        AND ticket_orders.status IN ('pending', 'failed')
                        AND ticket_orders.id <> v_order.id;
                END IF;

                status := CASE WHEN v_sellable THEN 'paid' ELSE 'refund_due' END;
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = confirm_payment.status,
                    paid_at = now(),
                    payment_provider = COALESCE(ticket_orders.payment_provider, p_provider)
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.id = v_order.id;
            END IF;

            IF v_order.id IS NOT NULL THEN
                INSERT INTO {{ schema }}.payment_events (
                    provider, event_id, show_id, order_id, kind, amount_in_cents, success,
                    order_status, ticket_ids, error_code, error_message
                )
                VALUES (
                    p_provider, p_event_id, p_show_id, v_order.id, 'payment', p_amount_in_cents,
                    error_code IS NULL, status, ticket_ids, error_code,
                    {{ schema }}.error_message(error_code)
                );
            END IF;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN OTHERS THEN
                -- The event is not stored, so the provider's next attempt starts afresh.
                error_code := 'INTERNAL_ERROR';
                status := v_order.status;
                ticket_ids := '{}';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
        END;
    END IF;

    success := error_code IS NULL;
    order_id := v_order.id;
    IF NOT success THEN
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_order_failure(
            'confirm_payment', error_code, error_message, p_show_id, p_order_id,
            v_order.reservation_id, p_old_status => v_order.status,
            p_amount_in_cents => p_amount_in_cents, p_payment_provider => p_provider,
            p_detail => v_detail
        );
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.confirm_payment(uuid, uuid, text, text, bigint) IS
'Records a payment, in hundredths of the currency of the order, and issues tickets; status '
'refund_due when the seats are gone. Repeating an event returns the first answer. Error codes: '
'NOT_FOUND, AMOUNT_MISMATCH, ORDER_NOT_PAYABLE, INVALID_INPUT, INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.confirm_payment(uuid, uuid, text, text, bigint)
TO {{ app_role }};
{% endif %}
