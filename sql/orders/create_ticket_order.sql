-- Turns a hold into an order to be paid. A reservation has one order at a time: calling again
-- returns it. Locks the hold and updates it, so that concurrent decisions about it wait or, at
-- REPEATABLE READ, fail and are retried.
CREATE OR REPLACE FUNCTION {{ schema }}.create_ticket_order(
    p_reservation_token text,
    p_session_id text,
    p_idempotency_key text DEFAULT NULL,
    p_payment_provider text DEFAULT NULL,
    p_payment_intent_id text DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
    total_amount_in_cents bigint,
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
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would wait for a locked table before the block begins.
    v_hold record;
    v_order record;
    v_named record;
    v_show record;
    v_show_id uuid;
    v_reservation_id uuid;
    v_is_new_key boolean;
    v_losses integer := 0;
    v_constraint text;
    v_has_waited boolean := false;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        BEGIN
            error_code := NULL;
            v_now := clock_timestamp();
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT existing.*
            INTO v_order
            FROM {{ schema }}.ticket_orders AS existing
            WHERE
                existing.show_id = v_hold.show_id
                AND existing.id = (
                    SELECT used.order_id
                    FROM {{ internal_schema }}.ticket_order_keys AS used
                    WHERE
                        used.idempotency_key = p_idempotency_key
                        AND used.show_id = v_hold.show_id
                );
            v_is_new_key := p_idempotency_key IS NOT NULL AND v_order.id IS NULL;

            SELECT
                show.status = 'cancelled' AS is_cancelled,
                policy.order_minutes
            INTO v_show
            FROM {{ schema }}.shows AS show
            INNER JOIN {{ schema }}.ticketing_settings AS policy ON policy.singleton
            WHERE show.id = v_hold.show_id;

            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN p_idempotency_key !~ '[^[:space:]]'
                    OR GREATEST(
                        length(p_idempotency_key), length(p_payment_provider),
                        length(p_payment_intent_id)
                    ) > 200 THEN 'INVALID_INPUT'
                WHEN v_order.reservation_id <> v_hold.id THEN 'IDEMPOTENCY_KEY_REUSED'
                WHEN v_show.is_cancelled THEN 'SHOW_NOT_ON_SALE'
                -- The same key returns the same order, whatever the state of the hold, if the order
                -- can still be paid or was paid.
                WHEN v_order.status IN ('pending', 'failed', 'paid') THEN NULL
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= v_now
                    THEN 'RESERVATION_EXPIRED'
                -- That order has ended, and the hold is still live: it needs another key.
                WHEN v_order.id IS NOT NULL THEN 'IDEMPOTENCY_KEY_REUSED'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_order.id IS NULL THEN
                SELECT pending.*
                INTO v_order
                FROM {{ schema }}.ticket_orders AS pending
                WHERE
                    pending.reservation_id = v_hold.id
                    AND pending.show_id = v_hold.show_id
                    -- In a form that does not match the index of all pending orders.
                    AND COALESCE(pending.status, '') = 'pending';
            END IF;

            IF v_order.id IS NULL THEN
                IF v_hold.expires_at < v_now + make_interval(mins => v_show.order_minutes) THEN
                    v_hold.expires_at := v_now + make_interval(mins => v_show.order_minutes);
                END IF;
                -- Even if this changes nothing, see above. A trigger copies it to the seats.
                UPDATE {{ schema }}.seat_reservations
                SET expires_at = v_hold.expires_at
                WHERE
                    seat_reservations.id = v_hold.id
                    AND seat_reservations.show_id = v_hold.show_id;

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
            ELSIF v_order.status IN ('pending', 'failed') THEN
                -- The payment that is named now is the one that the buyer is about to use.
                v_named := v_order;
                v_named.idempotency_key := COALESCE(v_order.idempotency_key, p_idempotency_key);
                v_named.payment_provider := COALESCE(p_payment_provider, v_order.payment_provider);
                v_named.payment_intent_id := COALESCE(
                    p_payment_intent_id,
                    CASE
                        WHEN v_named.payment_provider IS NOT DISTINCT FROM
                            COALESCE(v_order.payment_provider, v_named.payment_provider)
                            THEN v_order.payment_intent_id
                    END
                );
                IF v_named IS DISTINCT FROM v_order THEN
                    IF (v_named.payment_provider, v_named.payment_intent_id) IS DISTINCT FROM (
                        COALESCE(v_order.payment_provider, v_named.payment_provider),
                        v_order.payment_intent_id
                    ) THEN
                        PERFORM {{ internal_schema }}.remember_payment_intent(
                            v_show_id, v_order.id, v_order.payment_provider,
                            v_order.payment_intent_id
                        );
                    END IF;
                    UPDATE {{ schema }}.ticket_orders
                    SET
                        idempotency_key = v_named.idempotency_key,
                        payment_provider = v_named.payment_provider,
                        payment_intent_id = v_named.payment_intent_id
                    WHERE
                        ticket_orders.id = v_order.id
                        AND ticket_orders.show_id = v_order.show_id;
                END IF;
            END IF;

            IF v_is_new_key THEN
                INSERT INTO {{ internal_schema }}.ticket_order_keys (
                    idempotency_key, show_id, order_id
                )
                VALUES (p_idempotency_key, v_order.show_id, v_order.id);
            END IF;
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
                IF SQLSTATE = '23505' THEN
                    IF current_setting('transaction_isolation') <> 'read committed' THEN
                        RAISE EXCEPTION 'another call has ordered since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    END IF;
                    -- Another call used the key between our look and our write: look again, to find
                    -- out for what.
                    v_losses := v_losses + 1;
                    CONTINUE WHEN v_losses = 1;
                END IF;
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                error_code := CASE v_constraint
                    -- A key that was added by hand.
                    WHEN 'ticket_orders_idempotency_key_show_id_key' THEN 'IDEMPOTENCY_KEY_REUSED'
                    ELSE 'INTERNAL_ERROR'
                END;
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        order_id := v_order.id;
        status := v_order.status;
        total_amount_in_cents := v_order.total_amount_in_cents;
        currency := v_order.currency;
    ELSE
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        IF v_reservation_id IS NULL THEN
            -- For the log: the reservation was not locked, or does not exist.
            SELECT
                hold.show_id,
                hold.id
            INTO
                v_show_id,
                v_reservation_id
            FROM {{ schema }}.seat_reservations AS hold
            WHERE hold.reservation_token = p_reservation_token;
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'create_ticket_order', error_code, error_message, v_show_id,
            p_reservation_id => v_reservation_id, p_session_id => p_session_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.create_ticket_order(text, text, text, text, text) IS
'Creates an order for the seats of a hold, which then lasts at least '
'ticketing_settings.order_minutes. With the same idempotency key, or while an order is pending, '
'returns that order. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, '
'RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), IDEMPOTENCY_KEY_REUSED (by another '
'reservation, or for an order that has ended), INVALID_INPUT, BUSY (after 2 s; try again), '
'INTERNAL_ERROR. Amounts are in the minor unit of the currency.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.create_ticket_order(text, text, text, text, text)
TO {{ app_role }};
{% endif %}
