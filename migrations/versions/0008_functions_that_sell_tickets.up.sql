-- 0008: Functions that sell tickets.
-- A template, frozen by `ticketdb revision`.

-- object: functions/log_order_failure.sql sha256=f7c2cbc2575155b2ad6b0391421dbd503a052b26344c8cd2a2b1a26c5813ba86
-- For the functions that sell: a refused call is a row, since an exception would undo the line
-- that records it.
CREATE OR REPLACE FUNCTION {{ schema }}.log_order_failure(
    p_function text,
    p_error_code text,
    p_error_message text,
    p_show_id uuid,
    p_order_id uuid DEFAULT NULL,
    p_reservation_id uuid DEFAULT NULL,
    p_session_id text DEFAULT NULL,
    p_old_status text DEFAULT NULL,
    p_amount_in_cents bigint DEFAULT NULL,
    p_payment_provider text DEFAULT NULL,
    p_detail jsonb DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ schema }}.ticket_order_audit_log (
        order_id, reservation_id, show_id, session_id, old_status, amount_in_cents,
        payment_provider, error_code, error_message, metadata
    )
    VALUES (
        p_order_id,
        p_reservation_id,
        COALESCE(p_show_id, '00000000-0000-0000-0000-000000000000'),
        left(p_session_id, 200),
        p_old_status,
        p_amount_in_cents,
        left(p_payment_provider, 200),
        p_error_code,
        p_error_message,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.log_order_failure(
    text, text, text, uuid, uuid, uuid, text, text, bigint, text, jsonb
) IS 'Writes a refused call about an order into ticket_order_audit_log. Internal.';

-- object: functions/lock_order.sql sha256=01273171cb568b5320034ed97fb476c794cfdcbe362e99eba1b0c046c5a712c1
-- The first step of every call about an order. Everybody locks the reservation, then its order,
-- then seats.
CREATE OR REPLACE FUNCTION {{ schema }}.lock_order(p_show_id uuid, p_order_id uuid)
RETURNS {{ schema }}.ticket_orders
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_order {{ schema }}.ticket_orders;
BEGIN
    -- An order never changes its reservation, so this look needs no lock.
    PERFORM
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.show_id = p_show_id
        AND hold.id = (
            SELECT found.reservation_id
            FROM {{ schema }}.ticket_orders AS found
            WHERE
                found.show_id = p_show_id
                AND found.id = p_order_id
        )
    FOR UPDATE;

    SELECT locked.*
    INTO v_order
    FROM {{ schema }}.ticket_orders AS locked
    WHERE
        locked.show_id = p_show_id
        AND locked.id = p_order_id
    FOR UPDATE;
    RETURN v_order;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.lock_order(uuid, uuid) IS
'Locks an order and its reservation and returns the order as it is then; a row of NULLs when '
'there is none. Internal.';

-- object: functions/retake_seats.sql sha256=e22e5845a435a9ddc7cf6ba12c511fb1285b4b6cf985364ab34fea2274c5f402
-- For a payment that comes when the hold is over: takes the same seats again if every one of them
-- is free.
CREATE OR REPLACE FUNCTION {{ schema }}.retake_seats(
    p_show_id uuid,
    p_reservation_id uuid,
    p_seat_ids uuid[]
)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_over_ids uuid[];
    v_free bigint;
BEGIN
    -- Holds that are over do not stand in the way, and neither does our own.
    v_over_ids := ARRAY(
        SELECT seat.reserved_by
        FROM {{ schema }}.show_seats AS seat
        WHERE
            seat.show_id = p_show_id
            AND seat.id = ANY(p_seat_ids)
            AND seat.reserved_until <= now()
    );
    PERFORM {{ schema }}.expire_holds(p_show_id, v_over_ids, p_seat_ids);

    SELECT count(*)
    INTO v_free
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(p_seat_ids)
        AND seat.status = 'available';
    IF v_free < cardinality(p_seat_ids) THEN
        RETURN false;
    END IF;

    UPDATE {{ schema }}.reservation_seats
    SET released_at = NULL
    WHERE
        reservation_seats.reservation_id = p_reservation_id
        AND reservation_seats.show_id = p_show_id
        AND reservation_seats.show_seat_id = ANY(p_seat_ids);
    RETURN true;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.retake_seats(uuid, uuid, uuid[]) IS
'Makes the claims of a locked reservation that is over live again if all seats are free; returns '
'whether. The seats stay locked. Internal.';

-- object: functions/create_ticket_order.sql sha256=7fdddebb60f262da562b07793c3c379bdfcda2dc9ae0dcad70511c9c7093ef29
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

-- object: functions/confirm_payment.sql sha256=056c05f735dcded188da6f24ebe5a42a00350acf464a3abd7cbc768a3a4ac089
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

-- object: functions/fail_payment.sql sha256=10d809b05cfb478db61b05dc8fa1d72a45285d429c2fcb5efeb7171db366f6b0
-- The provider says that a payment did not succeed. The hold goes on: the buyer may try again until
-- it is over.
CREATE OR REPLACE FUNCTION {{ schema }}.fail_payment(
    p_show_id uuid,
    p_order_id uuid,
    p_provider text,
    p_event_id text,
    p_error_message text,
    OUT success boolean,
    OUT order_id uuid,
    OUT status text,
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
    v_event {{ schema }}.payment_events;
    v_detail jsonb := jsonb_build_object('event_id', left(p_event_id, 200));
BEGIN
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
                error_code := v_event.error_code;
                error_message := v_event.error_message;
                RETURN;
            END IF;

            error_code := CASE
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN v_order.status NOT IN ('pending', 'failed') THEN 'ORDER_NOT_PAYABLE'
            END;
            status := v_order.status;
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

            IF v_order.id IS NOT NULL THEN
                INSERT INTO {{ schema }}.payment_events (
                    provider, event_id, show_id, order_id, kind, success, order_status, ticket_ids,
                    error_code, error_message
                )
                VALUES (
                    p_provider, p_event_id, p_show_id, v_order.id, 'failure', error_code IS NULL,
                    status, '{}', error_code, {{ schema }}.error_message(error_code)
                );
            END IF;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                status := v_order.status;
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
        END;
    END IF;

    success := error_code IS NULL;
    order_id := v_order.id;
    IF NOT success THEN
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_order_failure(
            'fail_payment', error_code, error_message, p_show_id, p_order_id,
            v_order.reservation_id, p_old_status => v_order.status,
            p_payment_provider => p_provider, p_detail => v_detail
        );
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.fail_payment(uuid, uuid, text, text, text) IS
'Records that a payment failed. A failed order can still be paid. Repeating an event returns the '
'first answer. Error codes: NOT_FOUND, ORDER_NOT_PAYABLE, INVALID_INPUT, INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.fail_payment(uuid, uuid, text, text, text) TO {{ app_role }};
{% endif %}

-- object: functions/refund_order.sql sha256=809338d4d802e257cb4cb44dbd7a549a8ab65a75c1a5eed5828ce061f720005b
-- Records that the money was given back. Seats that were sold can be sold again.
CREATE OR REPLACE FUNCTION {{ schema }}.refund_order(
    p_show_id uuid,
    p_order_id uuid,
    OUT success boolean,
    OUT order_id uuid,
    OUT status text,
    OUT seats_released integer,
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
    v_seat_ids uuid[];
    v_detail jsonb := '{}'::jsonb;
BEGIN
    BEGIN
        v_order := {{ schema }}.lock_order(p_show_id, p_order_id);
        status := v_order.status;
        error_code := CASE
            WHEN v_order.id IS NULL THEN 'NOT_FOUND'
            WHEN v_order.status NOT IN ('paid', 'refund_due') THEN 'ORDER_NOT_REFUNDABLE'
        END;
        IF error_code IS NULL THEN
            PERFORM
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = p_show_id
                AND seat.id = ANY(v_order.seat_ids)
            ORDER BY seat.id
            FOR UPDATE;

            -- An order that is refund_due has no tickets, so nothing below finds a row.
            WITH returned AS (
                UPDATE {{ schema }}.tickets
                SET status = 'refunded'
                WHERE
                    tickets.order_id = v_order.id
                    AND tickets.show_id = p_show_id
                    -- The valid ones, said so that the index of all valid ones does not apply.
                    AND tickets.status NOT IN ('cancelled', 'refunded')
                RETURNING tickets.show_seat_id
            )

            SELECT COALESCE(array_agg(returned.show_seat_id), '{}')
            INTO v_seat_ids
            FROM returned;

            UPDATE {{ schema }}.reservation_seats
            SET released_at = now()
            WHERE
                reservation_seats.reservation_id = v_order.reservation_id
                AND reservation_seats.show_id = p_show_id
                AND reservation_seats.show_seat_id = ANY(v_seat_ids);

            UPDATE {{ schema }}.show_seats
            SET status = 'available'
            WHERE
                show_seats.show_id = p_show_id
                AND show_seats.id = ANY(v_seat_ids)
                AND show_seats.status = 'sold';

            status := 'refunded';
            UPDATE {{ schema }}.ticket_orders
            SET status = 'refunded'
            WHERE
                ticket_orders.show_id = p_show_id
                AND ticket_orders.id = v_order.id;
        END IF;
    EXCEPTION
        WHEN serialization_failure THEN
            RAISE;
        WHEN OTHERS THEN
            error_code := 'INTERNAL_ERROR';
            status := v_order.status;
            v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
    END;

    success := error_code IS NULL;
    order_id := v_order.id;
    IF success THEN
        seats_released := cardinality(v_seat_ids);
    ELSE
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_order_failure(
            'refund_order', error_code, error_message, p_show_id, p_order_id,
            v_order.reservation_id, p_old_status => v_order.status, p_detail => v_detail
        );
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.refund_order(uuid, uuid) IS
'Records that a paid order, or one that is refund_due, was refunded, and frees its seats. Error '
'codes: NOT_FOUND, ORDER_NOT_REFUNDABLE, INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.refund_order(uuid, uuid) TO {{ app_role }};
{% endif %}

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
