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

-- object: functions/wait_for_others.sql sha256=a19a3677f94db184a79841cea0363cd0563ea9b5bb23a127302a23a29f8db148
-- For the functions that sell, when a wait for a lock of somebody else has come to its limit, and
-- to set that limit. One statement may wait many times, and lock_timeout bounds each wait, not
-- their sum. So each wait is short; the block with the exception clause gives back what was locked
-- so far, so that nobody is kept waiting for long by somebody who waits himself; and then all is
-- tried again, with fresh eyes, until the time is up. Short of deadlock_timeout, too: a DBA who
-- locks seats in another order than we do finds them free again before it counts as a deadlock.
CREATE OR REPLACE FUNCTION {{ schema }}.wait_for_others(
    p_since timestamptz,
    p_rows integer DEFAULT 10
)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    -- In milliseconds. Two seconds are promised: some are for the last try, and its line in a log
    -- that may be locked, too.
    v_left constant integer := (
        1700 - 1000 * extract(EPOCH FROM clock_timestamp() - p_since)
    )::integer;
BEGIN
    -- A row may cost two waits: for the turn among those who wait for it, and for who has it. No
    -- limit at all is what 0 would mean.
    PERFORM set_config(
        'lock_timeout',
        CASE
            WHEN v_left > 0 THEN GREATEST(1, v_left / (2 * GREATEST(p_rows, 10)))
            ELSE 250
        END::text,
        true
    );
    RETURN v_left > 0;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.wait_for_others(timestamptz, integer) IS
'Limits each further wait for a lock so that waiting for p_rows rows ends within two seconds of '
'p_since, when the call began; the caller''s own SET lock_timeout takes that back. Returns whether '
'it is worth trying once more. Internal.';

-- object: functions/commit_durably.sql sha256=61e10aade55a1a53ba558735c30b159d1c03ecf7e97a578064d426d6454c0454
-- Where money or a hold is at stake, a caller may ask for less than the disk of this server, and
-- does not get it: what was acknowledged is there after a crash. Stricter settings stay.
CREATE OR REPLACE FUNCTION {{ schema }}.commit_durably()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- A SET clause would be undone when the function ends, which is before the commit.
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.commit_durably() IS
'Raises synchronous_commit to on until the end of the transaction, where it is off or local. '
'Internal.';

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

-- object: functions/retake_seats.sql sha256=fe30ffa27890c64beea092c09b4ec64b2499ef5c15c7b9d793777547248e085e
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
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
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
            AND seat.reserved_until <= v_now
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

-- object: functions/remember_payment_intent.sql sha256=fade15afe4d8fe6fa9218855e32bb29981ecbdd9a29c8f4aebd3672aff183f0d
-- Before an order names another payment: money may still come from the one that it named so far.
CREATE OR REPLACE FUNCTION {{ schema }}.remember_payment_intent(
    p_show_id uuid,
    p_order_id uuid,
    p_payment_provider text,
    p_payment_intent_id text
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
AS $body$
BEGIN
    IF p_payment_intent_id IS NOT NULL THEN
        INSERT INTO {{ schema }}.payment_intents (
            payment_intent_id, payment_provider, order_id, show_id
        )
        VALUES (
            p_payment_intent_id, COALESCE(p_payment_provider, ''), p_order_id, p_show_id
        )
        ON CONFLICT DO NOTHING;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.remember_payment_intent(uuid, uuid, text, text) IS
'Keeps a payment that an order has named in payment_intents. Internal.';

-- object: functions/create_ticket_order.sql sha256=93321be8a980daa441b80e026898c76d9cae8c81754a2dde7822bf62f98ae112
-- Turns a hold into an order to be paid. A reservation has one order at a time: asking again
-- returns it. Locks the hold and changes it, so that whoever decides on it at the same moment
-- waits, or, at REPEATABLE READ, fails and looks again.
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
-- Of each wait, see wait_for_others(). The caller's own does not count.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would be looked up, and waited for, before the block begins.
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
    PERFORM {{ schema }}.commit_durably();
    LOOP
        BEGIN
            error_code := NULL;
            v_now := clock_timestamp();
            v_hold := {{ schema }}.lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT existing.*
            INTO v_order
            FROM {{ schema }}.ticket_orders AS existing
            WHERE
                existing.show_id = v_hold.show_id
                AND existing.id = (
                    SELECT used.order_id
                    FROM {{ schema }}.ticket_order_keys AS used
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
                -- The same question gets the same order, whatever has become of the hold since, as
                -- long as it has a future or a happy end.
                WHEN v_order.status IN ('pending', 'failed', 'paid') THEN NULL
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= v_now
                    THEN 'RESERVATION_EXPIRED'
                -- That order is over, and the hold goes on, for another key.
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
                    -- Said so that the index of all pending ones does not apply.
                    AND COALESCE(pending.status, '') = 'pending';
            END IF;

            IF v_order.id IS NULL THEN
                IF v_hold.expires_at < v_now + make_interval(mins => v_show.order_minutes) THEN
                    v_hold.expires_at := v_now + make_interval(mins => v_show.order_minutes);
                END IF;
                -- Even where nothing changes. A trigger copies it to the seats.
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
                -- What is named now is what the buyer is about to use.
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
                        PERFORM {{ schema }}.remember_payment_intent(
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
                INSERT INTO {{ schema }}.ticket_order_keys (idempotency_key, show_id, order_id)
                VALUES (p_idempotency_key, v_order.show_id, v_order.id);
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                IF SQLSTATE = '23505' THEN
                    IF current_setting('transaction_isolation') <> 'read committed' THEN
                        RAISE EXCEPTION 'somebody has ordered since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    END IF;
                    -- Somebody used the key between our look and our write: a second look tells
                    -- what for.
                    v_losses := v_losses + 1;
                    CONTINUE WHEN v_losses = 1;
                END IF;
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                error_code := CASE v_constraint
                    -- A key that was written by hand.
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
            -- What is left of two seconds, should the log be locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        IF v_reservation_id IS NULL THEN
            -- Not locked, or not there: for the log.
            SELECT
                hold.show_id,
                hold.id
            INTO
                v_show_id,
                v_reservation_id
            FROM {{ schema }}.seat_reservations AS hold
            WHERE hold.reservation_token = p_reservation_token;
        END IF;
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_order_failure(
            'create_ticket_order', error_code, error_message, v_show_id,
            p_reservation_id => v_reservation_id, p_session_id => p_session_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.create_ticket_order(text, text, text, text, text) IS
'Orders the seats of a hold, which then lasts ticketing_settings.order_minutes more at least. The '
'same idempotency key, or a pending order, returns the order there is. Error codes: NOT_FOUND, '
'PERMISSION_DENIED, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), '
'IDEMPOTENCY_KEY_REUSED (by another reservation, or for an order that is over), INVALID_INPUT, '
'BUSY (after 2 s; try again), INTERNAL_ERROR. Amounts in the minor unit of the currency.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.create_ticket_order(text, text, text, text, text)
TO {{ app_role }};
{% endif %}

-- object: functions/confirm_payment.sql sha256=ef9cfe66f3008877ee1aad33f61386a4adbcf3886ce7470ca3d357e26631f01d
-- The provider says that money has come. Whatever happens here, it is on record, and none of it is
-- lost: what does not buy tickets becomes a row of refunds. Safe to repeat.
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
-- Of each wait, see wait_for_others(). The caller's own does not count.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would be looked up, and waited for, before the block begins.
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
    PERFORM {{ schema }}.commit_durably();
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
            v_order := {{ schema }}.lock_order(p_show_id, p_order_id);
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
                -- Not stored: the order may be committed a moment later, and the provider will ask
                -- again.
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN p_amount_in_cents IS DISTINCT FROM v_order.total_amount_in_cents
                    THEN 'AMOUNT_MISMATCH'
                WHEN v_order.status NOT IN ('pending', 'failed', 'cancelled')
                    THEN 'ORDER_NOT_PAYABLE'
            END;
            EXIT WHEN error_code = 'NOT_FOUND';

            IF error_code IS NULL THEN
                SELECT
                    hold.status,
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
                    -- Seats that were given back, or paid for by another order of the hold.
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
                        AND {{ schema }}.retake_seats(
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

                    -- Nothing is sold but what this hold has, whatever became of it by hand.
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
                            -- Live ones, said so that the index of all live claims does not apply.
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

                    -- An earlier attempt for the same seats, should its money come too, will be
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

                -- The payment that this event is about: named by it, or the last that was begun
                -- with this provider, or known by the event alone.
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
                    FROM {{ schema }}.payment_intents AS earlier
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
                    PERFORM {{ schema }}.remember_payment_intent(
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
                {{ schema }}.error_message(error_code)
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
                IF NOT {{ schema }}.wait_for_others(v_since, v_seat_count) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'payment_events_pkey' THEN
                    -- Only where the snapshot is older than our lock, and the event came between.
                    RAISE EXCEPTION 'the event has come since the transaction began'
                    USING ERRCODE = 'serialization_failure';
                END IF;
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                IF left(SQLSTATE, 2) = '23' AND v_is_sellable THEN
                    -- The seats cannot be sold. The money is here all the same: once more, to
                    -- record it as owed.
                    v_failure := CASE
                        WHEN SQLSTATE = '23000' THEN 'SEATS_UNAVAILABLE'
                        WHEN v_constraint IN (
                            'tickets_one_valid_per_seat', 'reservation_seats_no_double_booking'
                        ) THEN 'DOUBLE_BOOKING_PREVENTED'
                        ELSE 'INTERNAL_ERROR'
                    END;
                ELSE
                    -- The event is not stored, so the provider's next attempt starts afresh.
                    error_code := 'INTERNAL_ERROR';
                    EXIT;
                END IF;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        IF NOT v_has_waited THEN
            -- What is left of two seconds, should the log be locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        IF error_code IN ('BUSY', 'INTERNAL_ERROR') THEN
            status := v_old_status;
            ticket_ids := '{}';
        END IF;
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_order_failure(
            'confirm_payment', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status,
            p_amount_in_cents => p_amount_in_cents, p_payment_provider => p_provider,
            p_detail => v_detail
        );
    ELSIF v_failure IS NOT NULL THEN
        -- The answer is no error, and yet somebody has to know what should not have come to this.
        PERFORM {{ schema }}.log_order_failure(
            'confirm_payment', v_failure, {{ schema }}.error_message(v_failure), p_show_id,
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
'refund_due when the seats are gone. Money that buys no tickets becomes a row of refunds. '
'Repeating an event returns the first answer; for another order it is another payment. Error '
'codes: NOT_FOUND, AMOUNT_MISMATCH, ORDER_NOT_PAYABLE, EVENT_MISMATCH (the event came with another '
'amount), INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.confirm_payment(uuid, uuid, text, text, bigint)
TO {{ app_role }};
{% endif %}

-- object: functions/fail_payment.sql sha256=48d9343e630f6636f455af50770e74e6871ef55e40e1d48681340f8611039814
-- The provider says that a payment did not succeed. The hold goes on: the buyer may try again until
-- it is over.
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
-- Of each wait, see wait_for_others(). The caller's own does not count.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Records: a row type would be looked up, and waited for, before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_event record;
    v_constraint text;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object('event_id', left(p_event_id, 200));
BEGIN
    PERFORM {{ schema }}.commit_durably();
    LOOP
        IF COALESCE(p_provider, '') !~ '[^[:space:]]'
            OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
            OR GREATEST(length(p_provider), length(p_event_id)) > 200
        THEN
            error_code := 'INVALID_INPUT';
            EXIT;
        END IF;

        BEGIN
            v_order := {{ schema }}.lock_order(p_show_id, p_order_id);
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
                status, '{}', error_code, {{ schema }}.error_message(error_code)
            );
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'payment_events_pkey' THEN
                    -- Only where the snapshot is older than our lock, and the event came between.
                    RAISE EXCEPTION 'the event has come since the transaction began'
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
            -- What is left of two seconds, should the log be locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        status := v_old_status;
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_order_failure(
            'fail_payment', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status,
            p_payment_provider => p_provider, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.fail_payment(uuid, uuid, text, text, text) IS
'Records that a payment failed. A failed order can still be paid, also by an event of the same '
'name. Repeating an event returns the first answer. Error codes: NOT_FOUND, ORDER_NOT_PAYABLE, '
'INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.fail_payment(uuid, uuid, text, text, text) TO {{ app_role }};
{% endif %}

-- object: functions/refund_order.sql sha256=d77dd46ec314461173d9f55dca80b91c01fed018251077910a9745e433d765ec
-- Records that the money was given back. Seats that were sold can be sold again.
CREATE OR REPLACE FUNCTION {{ schema }}.refund_order(p_show_id uuid, p_order_id uuid)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
    seats_released integer,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Of each wait, see wait_for_others(). The caller's own does not count.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Records: a row type would be looked up, and waited for, before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_seat_count integer;
    v_seat_ids uuid[];
    v_ticket_ids uuid[];
    v_has_waited boolean := false;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    PERFORM {{ schema }}.commit_durably();
    LOOP
        BEGIN
            v_order := {{ schema }}.lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            v_seat_count := cardinality(v_order.seat_ids);
            error_code := CASE
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN v_order.status NOT IN ('paid', 'refund_due') THEN 'ORDER_NOT_REFUNDABLE'
            END;
            EXIT WHEN error_code IS NOT NULL;

            -- An order that is refund_due has no tickets: its seats are somebody else's by now, and
            -- nothing below finds a row.
            PERFORM
            FROM {{ schema }}.show_seats AS seat
            WHERE
                v_order.status = 'paid'
                AND seat.show_id = p_show_id
                AND seat.id = ANY(v_order.seat_ids)
            ORDER BY seat.id
            FOR UPDATE;

            WITH returned AS (
                UPDATE {{ schema }}.tickets
                SET status = 'refunded'
                WHERE
                    tickets.order_id = v_order.id
                    AND tickets.show_id = p_show_id
                    -- The valid ones, said so that the index of all valid ones does not apply.
                    AND tickets.status NOT IN ('cancelled', 'refunded')
                RETURNING
                    tickets.id,
                    tickets.show_seat_id
            )

            SELECT
                COALESCE(array_agg(returned.id ORDER BY returned.id), '{}'),
                COALESCE(array_agg(returned.show_seat_id), '{}')
            INTO
                v_ticket_ids,
                v_seat_ids
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

            IF v_order.status = 'refund_due' THEN
                -- Money that came for it besides, twice or in a wrong amount, has not been given
                -- back with it.
                UPDATE {{ schema }}.refunds
                SET
                    status = 'done',
                    done_at = now()
                WHERE
                    refunds.order_id = v_order.id
                    AND refunds.show_id = p_show_id
                    AND refunds.status = 'due'
                    AND refunds.reason IN ('late_payment', 'show_cancelled');
            ELSIF v_order.refunded_amount_in_cents < v_order.total_amount_in_cents THEN
                INSERT INTO {{ schema }}.refunds (
                    show_id, order_id, ticket_ids, amount_in_cents, currency, reason, status,
                    payment_provider, payment_event_id, done_at
                )
                SELECT
                    p_show_id,
                    v_order.id,
                    v_ticket_ids,
                    v_order.total_amount_in_cents - v_order.refunded_amount_in_cents,
                    v_order.currency,
                    CASE show.status
                        WHEN 'cancelled' THEN 'show_cancelled'
                        ELSE 'tickets_cancelled'
                    END,
                    'done',
                    v_order.payment_provider,
                    (
                        SELECT paid.event_id
                        FROM {{ schema }}.payment_events AS paid
                        WHERE
                            paid.order_id = v_order.id
                            AND paid.show_id = p_show_id
                            AND paid.kind = 'payment'
                            AND paid.success
                    ),
                    now()
                FROM {{ schema }}.shows AS show
                WHERE show.id = p_show_id;
            END IF;

            UPDATE {{ schema }}.ticket_orders
            SET
                status = 'refunded',
                refunded_amount_in_cents = ticket_orders.total_amount_in_cents
            WHERE
                ticket_orders.show_id = p_show_id
                AND ticket_orders.id = v_order.id;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ schema }}.wait_for_others(v_since, v_seat_count) THEN
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
    IF success THEN
        status := 'refunded';
        seats_released := cardinality(v_seat_ids);
    ELSE
        IF NOT v_has_waited THEN
            -- What is left of two seconds, should the log be locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        status := v_old_status;
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_order_failure(
            'refund_order', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.refund_order(uuid, uuid) IS
'Records that a paid order, or one that is refund_due, was refunded, in refunds too, and frees its '
'seats. Error codes: NOT_FOUND, ORDER_NOT_REFUNDABLE, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.refund_order(uuid, uuid) TO {{ app_role }};
{% endif %}

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
