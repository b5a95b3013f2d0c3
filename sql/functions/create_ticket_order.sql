-- Turns a hold into an order to be paid. A reservation has one order at a time: asking again
-- returns it.
CREATE OR REPLACE FUNCTION {{ schema }}.create_ticket_order(
    p_reservation_token text,
    p_session_id text,
    p_idempotency_key text DEFAULT NULL,
    p_payment_provider text DEFAULT NULL,
    p_payment_intent_id text DEFAULT NULL,
    OUT success boolean,
    OUT order_id uuid,
    OUT status text,
    OUT total_amount_in_cents bigint,
    OUT currency text,
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
    v_hold {{ schema }}.seat_reservations;
    v_order {{ schema }}.ticket_orders;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    BEGIN
        v_hold := {{ schema }}.lock_reservation(p_reservation_token);
        SELECT existing.*
        INTO v_order
        FROM {{ schema }}.ticket_orders AS existing
        WHERE
            existing.idempotency_key = p_idempotency_key
            AND existing.show_id = v_hold.show_id;

        error_code := CASE
            WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
            WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
            WHEN p_idempotency_key !~ '[^[:space:]]'
                OR GREATEST(
                    length(p_idempotency_key), length(p_payment_provider),
                    length(p_payment_intent_id)
                ) > 200 THEN 'INVALID_INPUT'
            WHEN v_order.reservation_id <> v_hold.id THEN 'IDEMPOTENCY_KEY_REUSED'
            -- The same question gets the same order, whatever has become of the hold since.
            WHEN v_order.id IS NOT NULL THEN NULL
            WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
            WHEN v_hold.status = 'expired' OR v_hold.expires_at <= now() THEN 'RESERVATION_EXPIRED'
        END;

        IF error_code IS NULL AND v_order.id IS NULL THEN
            UPDATE {{ schema }}.ticket_orders
            SET
                idempotency_key = COALESCE(ticket_orders.idempotency_key, p_idempotency_key),
                payment_provider = COALESCE(ticket_orders.payment_provider, p_payment_provider),
                payment_intent_id = COALESCE(ticket_orders.payment_intent_id, p_payment_intent_id)
            WHERE
                ticket_orders.reservation_id = v_hold.id
                AND ticket_orders.show_id = v_hold.show_id
                AND ticket_orders.status = 'pending'
            RETURNING ticket_orders.* INTO v_order;

            IF v_order.id IS NULL THEN
                INSERT INTO {{ schema }}.ticket_orders (
                    show_id, reservation_id, seat_ids, total_amount_in_cents, currency,
                    idempotency_key, payment_provider, payment_intent_id
                )
                SELECT
                    v_hold.show_id,
                    v_hold.id,
                    array_agg(claim.show_seat_id ORDER BY claim.show_seat_id)
                        FILTER (WHERE claim.released_at IS NULL),
                    sum(claim.price_in_cents) FILTER (WHERE claim.released_at IS NULL),
                    min(claim.currency),
                    p_idempotency_key,
                    p_payment_provider,
                    p_payment_intent_id
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = v_hold.id
                    AND claim.show_id = v_hold.show_id
                RETURNING ticket_orders.* INTO v_order;
            END IF;
        END IF;
    EXCEPTION
        WHEN serialization_failure THEN
            RAISE;
        WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
            IF v_constraint = 'ticket_orders_idempotency_key_show_id_key' THEN
                -- Another reservation used the key between our look and our write.
                error_code := 'IDEMPOTENCY_KEY_REUSED';
            ELSE
                error_code := 'INTERNAL_ERROR';
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
            END IF;
    END;

    success := error_code IS NULL;
    IF success THEN
        order_id := v_order.id;
        status := v_order.status;
        total_amount_in_cents := v_order.total_amount_in_cents;
        currency := v_order.currency;
    ELSE
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_order_failure(
            'create_ticket_order', error_code, error_message, v_hold.show_id,
            p_reservation_id => v_hold.id, p_session_id => p_session_id, p_detail => v_detail
        );
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.create_ticket_order(text, text, text, text, text) IS
'Orders the seats of a hold. The same idempotency key, or a pending order, returns the order '
'there is. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, RESERVATION_EXPIRED, '
'IDEMPOTENCY_KEY_REUSED, INVALID_INPUT, INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.create_ticket_order(text, text, text, text, text)
TO {{ app_role }};
{% endif %}
