-- Sells seats at the counter in one step, thousands at once: what reserve_seats(),
-- create_ticket_order() and confirm_payment() do for a buyer of the shop.
CREATE OR REPLACE FUNCTION {{ schema }}.issue_tickets(
    p_show_id uuid,
    p_seat_ids uuid[],
    p_staff text,
    p_prices_in_cents bigint[],
    p_ticket_types text[],
    p_email text,
    p_payment_provider text DEFAULT NULL,
    p_event_id text DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    reservation_id uuid,
    ticket_ids uuid[],
    ticket_codes text[],
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
-- The arrays may have thousands of elements, and the planner expects ten. Tables are read by = ANY,
-- and what they return is joined to the arrays by a hash.
SET enable_nestloop = off
SET enable_mergejoin = off
AS $body$
DECLARE
    v_wanted constant integer := cardinality(p_seat_ids);
    v_sorted_ids constant uuid[] := ARRAY(
        SELECT wanted.id FROM unnest(p_seat_ids) AS wanted (id) ORDER BY wanted.id
    );
    v_provider constant text := COALESCE(p_payment_provider, 'box office');
    v_since constant timestamptz := clock_timestamp();
    v_now timestamptz;
    v_show record;
    v_event_order_ids uuid[];
    v_taken record;
    v_prices bigint[];
    v_total numeric;
    v_event_id text;
    v_was_beaten boolean := false;
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        BEGIN
            error_code := NULL;
            v_now := clock_timestamp();
            -- A sale at the counter, and the end of the show, wait for each other.
            SELECT
                show.status,
                show.currency,
                (
                    SELECT settings.max_seats_per_staff_order
                    FROM {{ schema }}.ticketing_settings AS settings
                    WHERE settings.singleton
                ) AS max_tickets
            INTO v_show
            FROM {{ schema }}.shows AS show
            WHERE show.id = p_show_id
            FOR SHARE;

            v_prices := COALESCE(
                p_prices_in_cents,
                ARRAY(
                    SELECT seat.price_in_cents
                    FROM unnest(p_seat_ids) WITH ORDINALITY AS wanted (id, place)
                    INNER JOIN {{ schema }}.show_seats AS seat
                        ON
                            seat.id = wanted.id
                            AND seat.id = ANY(p_seat_ids)
                            AND seat.show_id = p_show_id
                    ORDER BY wanted.place
                )
            );
            SELECT COALESCE(sum(given.price), 0)
            INTO v_total
            FROM unnest(v_prices) AS given (price);

            -- Values that do not fit the columns are refused here rather than by a CHECK.
            IF NOT {{ internal_schema }}.is_staff_request(p_show_id, p_seat_ids, p_staff)
                OR cardinality(p_prices_in_cents) <> v_wanted
                OR cardinality(p_ticket_types) <> v_wanted
                OR EXISTS (
                    SELECT
                    FROM unnest(p_prices_in_cents) AS given (price)
                    WHERE (given.price BETWEEN 0 AND 100000000000) IS NOT TRUE
                )
                OR EXISTS (
                    SELECT
                    FROM unnest(p_ticket_types) AS given (ticket_type)
                    WHERE
                        length(given.ticket_type) > 200
                        OR given.ticket_type !~ '[^[:space:]]'
                )
                OR v_total > 100000000000000
                OR length(p_email) > 320
                OR GREATEST(length(p_payment_provider), length(p_event_id)) > 200
                OR p_payment_provider !~ '[^[:space:]]'
                OR p_event_id !~ '[^[:space:]]'
            THEN
                error_code := 'INVALID_INPUT';
                EXIT;
            END IF;

            <<sale>>
            BEGIN
                IF p_event_id IS NOT NULL THEN
                    -- NULL for an event that bought no tickets, or not for so many seats.
                    v_event_order_ids := ARRAY(
                        SELECT
                            CASE
                                WHEN came.success AND cardinality(came.ticket_ids) = v_wanted
                                    THEN came.order_id
                            END
                        FROM {{ schema }}.payment_events AS came
                        WHERE
                            came.provider = v_provider
                            AND came.event_id = p_event_id
                            AND came.kind = 'payment'
                            AND came.show_id = p_show_id
                    );
                    SELECT
                        sold.id,
                        sold.reservation_id,
                        sold.total_amount_in_cents,
                        sold.currency
                    INTO
                        order_id,
                        reservation_id,
                        total_amount_in_cents,
                        currency
                    FROM {{ schema }}.ticket_orders AS sold
                    WHERE
                        sold.id = ANY(v_event_order_ids)
                        -- In a form that matches no index, see lock_for_staff().
                        AND COALESCE(sold.show_id) = p_show_id
                        AND sold.seat_ids = v_sorted_ids
                        AND (
                            p_prices_in_cents IS NULL
                            OR sold.total_amount_in_cents = v_total::bigint
                        )
                    LIMIT 1;
                    EXIT sale WHEN order_id IS NOT NULL;
                    error_code := CASE WHEN v_event_order_ids <> '{}' THEN 'EVENT_MISMATCH' END;
                    EXIT WHEN error_code IS NOT NULL;
                END IF;

                error_code := CASE
                    WHEN COALESCE(v_show.status, 'cancelled') = 'cancelled' THEN 'SHOW_NOT_ON_SALE'
                    WHEN v_wanted > v_show.max_tickets THEN 'TOO_MANY_TICKETS'
                END;
                EXIT WHEN error_code IS NOT NULL;

                SELECT taken.*
                INTO v_taken
                FROM {{ internal_schema }}.take_seats(p_show_id, p_seat_ids, v_since) AS taken;
                IF v_taken.error_code = 'SEATS_SOLD' AND p_event_id IS NOT NULL AND NOT v_was_beaten
                THEN
                    -- Perhaps by this very call, whose answer was lost: look for the event again.
                    v_was_beaten := true;
                    CONTINUE;
                END IF;
                error_code := v_taken.error_code;
                EXIT WHEN error_code IS NOT NULL;

                INSERT INTO {{ schema }}.seat_reservations (
                    show_id, reservation_token, session_id, email, status, expires_at, created_at,
                    ended_at
                )
                VALUES (
                    p_show_id,
                    encode(uuid_send(p_show_id) || uuid_send(gen_random_uuid()), 'hex'),
                    'box office',
                    p_email,
                    'completed',
                    v_now,
                    v_now,
                    v_now
                )
                RETURNING seat_reservations.id INTO reservation_id;

                INSERT INTO {{ schema }}.reservation_seats (
                    reservation_id, show_seat_id, show_id, price_in_cents, currency, ticket_type
                )
                SELECT
                    issue_tickets.reservation_id,
                    sold.seat_id,
                    p_show_id,
                    sold.price,
                    v_show.currency,
                    sold.ticket_type
                FROM unnest(p_seat_ids, v_prices, p_ticket_types)
                    AS sold (seat_id, price, ticket_type);

                UPDATE {{ schema }}.show_seats
                SET status = 'sold'
                WHERE
                    show_seats.show_id = p_show_id
                    AND show_seats.id = ANY(p_seat_ids);

                total_amount_in_cents := v_total::bigint;
                currency := v_show.currency;
                order_id := {{ internal_schema }}.uuid_v7();
                v_event_id := COALESCE(p_event_id, order_id::text);
                INSERT INTO {{ schema }}.ticket_orders (
                    id, show_id, reservation_id, seat_ids, status, total_amount_in_cents, currency,
                    idempotency_key, payment_provider, payment_intent_id, paid_at
                )
                VALUES (
                    order_id,
                    p_show_id,
                    reservation_id,
                    v_sorted_ids,
                    'paid',
                    total_amount_in_cents,
                    v_show.currency,
                    -- Two calls with the same event, made at once, must not both sell.
                    encode(sha256(convert_to(v_provider || chr(10) || p_event_id, 'UTF8')), 'hex'),
                    v_provider,
                    v_event_id,
                    now()
                );

                INSERT INTO {{ schema }}.tickets (
                    show_id, order_id, show_seat_id, price_in_cents, currency, ticket_type
                )
                SELECT
                    p_show_id,
                    issue_tickets.order_id,
                    sold.seat_id,
                    sold.price,
                    v_show.currency,
                    sold.ticket_type
                FROM unnest(p_seat_ids, v_prices, p_ticket_types)
                    AS sold (seat_id, price, ticket_type);

                INSERT INTO {{ schema }}.payment_events (
                    provider, event_id, show_id, order_id, kind, amount_in_cents, success,
                    order_status, ticket_ids
                )
                VALUES (
                    v_provider,
                    v_event_id,
                    p_show_id,
                    order_id,
                    'payment',
                    total_amount_in_cents,
                    true,
                    'paid',
                    ARRAY(
                        SELECT ticket.id
                        FROM {{ schema }}.tickets AS ticket
                        WHERE
                            ticket.order_id = issue_tickets.order_id
                            AND ticket.show_id = p_show_id
                        ORDER BY ticket.id
                    )
                );

                PERFORM {{ internal_schema }}.log_staff_action(
                    'issued', p_show_id, reservation_id, p_seat_ids, p_staff,
                    jsonb_build_object('blocked_seat_ids', v_taken.blocked_seat_ids)
                );
            END sale;

            SELECT
                array_agg(ticket.id ORDER BY wanted.place),
                array_agg(ticket.ticket_code ORDER BY wanted.place)
            INTO
                ticket_ids,
                ticket_codes
            FROM unnest(p_seat_ids) WITH ORDINALITY AS wanted (id, place)
            INNER JOIN {{ schema }}.tickets AS ticket
                ON
                    ticket.show_seat_id = wanted.id
                    AND ticket.order_id = issue_tickets.order_id
                    AND ticket.show_id = p_show_id;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                IF SQLSTATE = '23505' AND p_event_id IS NOT NULL THEN
                    IF current_setting('transaction_isolation') <> 'read committed' THEN
                        RAISE EXCEPTION 'the event was stored after the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    ELSIF NOT v_was_beaten THEN
                        v_was_beaten := true;
                        CONTINUE;
                    END IF;
                END IF;
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        -- Values of a failed attempt are not part of the answer.
        order_id := NULL;
        reservation_id := NULL;
        total_amount_in_cents := NULL;
        currency := NULL;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'issue_tickets', error_code, error_message, p_show_id, NULL, NULL, p_seat_ids,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.issue_tickets(
    uuid, uuid[], text, bigint[], text[], text, text, text
) IS
'Sells available or blocked seats at the counter, all or none, and records the payment. Prices, '
'ticket types, ids and codes are in the order of p_seat_ids; prices are in the minor unit of the '
'currency, 0 for complimentary tickets, NULL for those of the seats. Repeated with the same '
'provider, event and seats, it returns the first answer. Error codes: INVALID_INPUT, '
'EVENT_MISMATCH (the event came before with another amount or other seats), SHOW_NOT_ON_SALE '
'(cancelled), TOO_MANY_TICKETS, SEATS_NOT_FOUND, SEATS_SOLD, SEATS_HELD, BUSY (after 2 s; try '
'again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.issue_tickets(
    uuid, uuid[], text, bigint[], text[], text, text, text
) TO {{ box_office_role }};
{% endif %}
