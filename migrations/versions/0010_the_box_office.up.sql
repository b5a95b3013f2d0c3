-- 0010: The box office.
-- A template, frozen by `ticketdb revision`.

-- object: box_office/log_staff_action.sql sha256=b81bc7b2a737e9fa55dc3fd8da5fbc02b37286a4ae9e599f92d684b333e8ea32
-- Called by the functions of the box office for what no trigger logs: one line for each call, or
-- for each reservation that it changes. p_staff is NULL where a machine calls.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_staff_action(
    p_event_type text,
    p_show_id uuid,
    p_reservation_id uuid,
    p_seat_ids uuid[],
    p_staff text,
    p_detail jsonb DEFAULT '{}'
)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $body$
INSERT INTO {{ schema }}.seat_reservation_audit_log (
    event_type, reservation_id, show_id, seat_count, seat_ids, metadata
)
VALUES (
    p_event_type,
    p_reservation_id,
    p_show_id,
    cardinality(p_seat_ids),
    p_seat_ids,
    jsonb_strip_nulls(jsonb_build_object('staff', p_staff)) || p_detail
);
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_staff_action(text, uuid, uuid, uuid[], text, jsonb) IS
'Records what the staff did to seats in seat_reservation_audit_log, and who did it.';

-- object: box_office/is_staff_request.sql sha256=3b8cd01064ef962cab83f56be5396b5a73c45f077420eb8f6c3c6531dcfcd1e4
-- Called by the functions of the box office that get a list of seats or tickets.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.is_staff_request(
    p_show_id uuid,
    p_ids uuid[],
    p_staff text
)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    COALESCE(
        p_show_id IS NOT NULL
        AND p_staff ~ '[^[:space:]]'
        AND length(p_staff) <= 200
        AND cardinality(p_ids) > 0
        AND cardinality(p_ids) = (
            SELECT count(DISTINCT wanted.id) FROM unnest(p_ids) AS wanted (id)
        ),
        false
    );
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.is_staff_request(uuid, uuid[], text) IS
'Whether a call of the box office names a show, who makes it, and at least one id, none of them '
'NULL or twice.';

-- object: box_office/lock_for_staff.sql sha256=f337f690a19fa54e9f6853deea6fcb81f5e5088012b9e2493cffde9b558610f4
-- Locks what a call of the box office is about, which may be thousands of rows: reservations, their
-- orders, then seats, each in the order of id, as all functions do. Ten rows at a time: buyers hold
-- some of the seats at any moment, each for milliseconds, so each wait gets a tenth of a second and
-- what is locked stays locked; were the limit divided among thousands of rows, as in
-- wait_for_others(), no attempt would ever succeed.
--
-- The show is compared, and the ids are sorted, in a form that matches no index: with the
-- statistics of a quiet night it would seem cheap to read one of them from end to end.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_for_staff(
    p_show_id uuid,
    p_reservation_ids uuid[],
    p_seat_ids uuid[],
    p_since timestamptz,
    p_is_out_of_order boolean DEFAULT false
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_rows refcursor;
    v_seat_ids uuid[];
BEGIN
    FOR v_step IN 1..3 LOOP
        IF v_step = 1 THEN
            OPEN v_rows FOR
            SELECT hold.id
            FROM {{ schema }}.seat_reservations AS hold
            WHERE
                COALESCE(hold.show_id) = p_show_id
                AND hold.id = ANY(p_reservation_ids)
            ORDER BY COALESCE(hold.id)
            FOR UPDATE;
        ELSIF v_step = 2 THEN
            OPEN v_rows FOR
            SELECT made.id
            FROM {{ schema }}.ticket_orders AS made
            WHERE
                COALESCE(made.show_id) = p_show_id
                AND made.reservation_id = ANY(p_reservation_ids)
            ORDER BY COALESCE(made.id)
            FOR UPDATE;
        ELSE
            -- All seats of holds that have not ended: the caller is going to end them. FILTER
            -- instead of WHERE, so that claims are found by their reservation and not by the index
            -- of all live claims.
            SELECT
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            INTO v_seat_ids
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.show_id = p_show_id
                AND claim.reservation_id = ANY(
                    ARRAY(
                        SELECT hold.id
                        FROM {{ schema }}.seat_reservations AS hold
                        WHERE
                            COALESCE(hold.show_id) = p_show_id
                            AND hold.id = ANY(p_reservation_ids)
                            AND hold.ended_at IS NULL
                    )
                );

            OPEN v_rows FOR
            SELECT seat.id
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = p_show_id
                AND seat.id = ANY(p_seat_ids || v_seat_ids)
            ORDER BY COALESCE(seat.id)
            FOR UPDATE;
        END IF;

        LOOP
            -- When the time is up, only what is free is locked. The same out of order, where others
            -- may be waiting for this call: there a longer wait could be a deadlock.
            IF NOT {{ internal_schema }}.wait_for_others(p_since) OR p_is_out_of_order THEN
                PERFORM set_config('lock_timeout', '1', true);
            END IF;
            MOVE FORWARD 10 FROM v_rows;
            EXIT WHEN NOT FOUND;
        END LOOP;
        CLOSE v_rows;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_for_staff(
    uuid, uuid[], uuid[], timestamptz, boolean
) IS
'Locks reservations of a show, their orders, these seats and all seats of those reservations that '
'are still holds. Raises lock_not_available if a row stays locked by another session. All waits '
'together end within two seconds of p_since, when the call began.';

-- object: box_office/take_seats.sql sha256=7a37032399e05f4e7dc1270ce4c2398b1444d3f81b5dbb3d9697aa063462f4dc
-- Called by the functions of the box office that need seats for themselves. Ends the holds that are
-- on them, if it may, so that afterwards each seat is available or blocked, and locked.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.take_seats(
    p_show_id uuid,
    p_seat_ids uuid[],
    p_since timestamptz,
    p_end_holds boolean DEFAULT false,
    p_lock_reservation_ids uuid[] DEFAULT '{}',
    p_lock_seat_ids uuid[] DEFAULT '{}',
    OUT error_code text,
    OUT holds_ended integer,
    OUT blocked_seat_ids uuid[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_now timestamptz;
    v_look record;
    v_is_locked boolean := false;
    v_hold_ids uuid[];
    v_locked_ids uuid[] := ARRAY[]::uuid[];
BEGIN
    LOOP
        v_now := clock_timestamp();
        SELECT
            count(*) AS found,
            COALESCE(bool_or(seat.status = 'sold'), false) AS is_sold,
            COALESCE(array_agg(seat.id) FILTER (WHERE seat.status = 'blocked'), '{}')
                AS blocked_ids,
            COALESCE(
                array_agg(DISTINCT seat.reserved_by) FILTER (WHERE seat.reserved_until <= v_now),
                '{}'
            ) AS over_ids,
            COALESCE(
                array_agg(DISTINCT seat.reserved_by) FILTER (WHERE seat.reserved_until > v_now),
                '{}'
            ) AS live_ids
        INTO v_look
        FROM {{ schema }}.show_seats AS seat
        WHERE
            seat.show_id = p_show_id
            AND seat.id = ANY(p_seat_ids);

        error_code := CASE
            WHEN v_look.found < cardinality(p_seat_ids) THEN 'SEATS_NOT_FOUND'
            WHEN v_look.is_sold THEN 'SEATS_SOLD'
            WHEN v_look.live_ids <> '{}' AND p_end_holds IS NOT TRUE THEN 'SEATS_HELD'
        END;
        EXIT WHEN error_code IS NOT NULL;

        -- Buyers hold seats until the moment in which they are locked: those holds are locked
        -- afterwards. The buyer is hardly ever working on one at that moment.
        v_hold_ids := ARRAY(
            SELECT found.id
            FROM unnest(v_look.over_ids || v_look.live_ids) AS found (id)
            EXCEPT
            SELECT locked.id
            FROM unnest(v_locked_ids) AS locked (id)
        );
        EXIT WHEN v_is_locked AND v_hold_ids = '{}';
        IF v_is_locked THEN
            PERFORM {{ internal_schema }}.lock_for_staff(
                p_show_id, v_hold_ids, '{}', p_since, true
            );
        ELSE
            PERFORM {{ internal_schema }}.lock_for_staff(
                p_show_id, p_lock_reservation_ids || v_hold_ids, p_seat_ids || p_lock_seat_ids,
                p_since
            );
        END IF;
        v_is_locked := true;
        v_locked_ids := v_locked_ids || v_hold_ids;
    END LOOP;

    holds_ended := 0;
    blocked_seat_ids := v_look.blocked_ids;
    IF error_code IS NOT NULL OR v_locked_ids = '{}' THEN
        RETURN;
    END IF;

    UPDATE {{ schema }}.ticket_orders
    SET
        status = 'cancelled',
        cancel_reason = 'released'
    WHERE
        ticket_orders.reservation_id = ANY(v_look.live_ids)
        -- In a form that matches no index, see lock_for_staff().
        AND COALESCE(ticket_orders.show_id) = p_show_id
        AND ticket_orders.status IN ('pending', 'failed');
    PERFORM {{ internal_schema }}.end_reservations(p_show_id, v_look.over_ids, 'expired');
    PERFORM {{ internal_schema }}.end_reservations(p_show_id, v_look.live_ids, 'released');
    holds_ended := cardinality(v_look.live_ids);

    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(p_seat_ids)
        AND seat.status = 'reserved';
    IF FOUND THEN
        RAISE EXCEPTION 'a seat is reserved by a hold that has no claim on it'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.take_seats(
    uuid, uuid[], timestamptz, boolean, uuid[], uuid[]
) IS
'Locks seats of a show, after p_lock_reservation_ids with their orders and together with '
'p_lock_seat_ids, and ends overdue holds on them, with p_end_holds live ones, too. Returns an '
'error code (SEATS_NOT_FOUND, SEATS_SOLD, SEATS_HELD; nothing has been written then), how many '
'live holds were ended, and which of the seats are blocked.';

-- object: box_office/block_seats.sql sha256=4215e21d35a2addc9ed580bf7a57f2fcfe7a16a064711f11c879590a3b81c6f0
-- Takes seats off sale: all of them or none, thousands at once, whatever the status of the show.
CREATE OR REPLACE FUNCTION {{ schema }}.block_seats(
    p_show_id uuid,
    p_seat_ids uuid[],
    p_staff text,
    p_end_holds boolean DEFAULT false
)
RETURNS TABLE (
    success boolean,
    seats_blocked integer,
    holds_ended integer,
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
    v_taken record;
    v_seat_ids uuid[];
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    LOOP
        BEGIN
            IF NOT {{ internal_schema }}.is_staff_request(p_show_id, p_seat_ids, p_staff) THEN
                error_code := 'INVALID_INPUT';
                EXIT;
            END IF;
            SELECT taken.*
            INTO v_taken
            FROM {{ internal_schema }}.take_seats(
                p_show_id, p_seat_ids, v_since, p_end_holds
            ) AS taken;
            error_code := v_taken.error_code;
            EXIT WHEN error_code IS NOT NULL;

            WITH blocked AS (
                UPDATE {{ schema }}.show_seats
                SET status = 'blocked'
                WHERE
                    show_seats.show_id = p_show_id
                    AND show_seats.id = ANY(p_seat_ids)
                    AND show_seats.status = 'available'
                RETURNING show_seats.id
            )

            SELECT COALESCE(array_agg(blocked.id ORDER BY blocked.id), '{}')
            INTO v_seat_ids
            FROM blocked;

            IF v_seat_ids <> '{}' THEN
                PERFORM {{ internal_schema }}.log_staff_action(
                    'blocked', p_show_id, NULL, v_seat_ids, p_staff
                );
            END IF;
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
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        seats_blocked := cardinality(v_seat_ids);
        holds_ended := v_taken.holds_ended;
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'block_seats', error_code, error_message, p_show_id, NULL, NULL, p_seat_ids,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.block_seats(uuid, uuid[], text, boolean) IS
'Takes seats off sale, all or none; those that are blocked already stay so. Ends overdue holds on '
'them, and with p_end_holds live ones, which lose all their seats; holds_ended counts the live '
'ones. Error codes: INVALID_INPUT, SEATS_NOT_FOUND, SEATS_SOLD, SEATS_HELD (by buyers, without '
'p_end_holds), BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.block_seats(uuid, uuid[], text, boolean)
TO {{ box_office_role }};
{% endif %}

-- object: box_office/unblock_seats.sql sha256=a365182b2d6465189bd0587b14c57dec53f6fa9c3215bba527b561b8a6147641
-- Puts blocked seats back on sale: all of them or none, whatever the status of the show.
CREATE OR REPLACE FUNCTION {{ schema }}.unblock_seats(
    p_show_id uuid,
    p_seat_ids uuid[],
    p_staff text
)
RETURNS TABLE (
    success boolean,
    seats_unblocked integer,
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
    v_seat_ids uuid[];
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    LOOP
        BEGIN
            IF NOT {{ internal_schema }}.is_staff_request(p_show_id, p_seat_ids, p_staff) THEN
                error_code := 'INVALID_INPUT';
                EXIT;
            END IF;
            PERFORM {{ internal_schema }}.lock_for_staff(p_show_id, '{}', p_seat_ids, v_since);
            SELECT
                CASE
                    WHEN count(*) < cardinality(p_seat_ids) THEN 'SEATS_NOT_FOUND'
                    -- An overdue hold counts as gone.
                    WHEN bool_or(
                        seat.status = 'sold'
                        OR COALESCE(seat.reserved_until > clock_timestamp(), false)
                    ) THEN 'SEATS_NOT_BLOCKED'
                END
            INTO error_code
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = p_show_id
                AND seat.id = ANY(p_seat_ids);
            EXIT WHEN error_code IS NOT NULL;

            WITH unblocked AS (
                UPDATE {{ schema }}.show_seats
                SET status = 'available'
                WHERE
                    show_seats.show_id = p_show_id
                    AND show_seats.id = ANY(p_seat_ids)
                    AND show_seats.status = 'blocked'
                RETURNING show_seats.id
            )

            SELECT COALESCE(array_agg(unblocked.id ORDER BY unblocked.id), '{}')
            INTO v_seat_ids
            FROM unblocked;

            IF v_seat_ids <> '{}' THEN
                PERFORM {{ internal_schema }}.log_staff_action(
                    'unblocked', p_show_id, NULL, v_seat_ids, p_staff
                );
            END IF;
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
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        seats_unblocked := cardinality(v_seat_ids);
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'unblock_seats', error_code, error_message, p_show_id, NULL, NULL, p_seat_ids,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.unblock_seats(uuid, uuid[], text) IS
'Puts blocked seats back on sale, all or none; those that are available already stay so. Error '
'codes: INVALID_INPUT, SEATS_NOT_FOUND, SEATS_NOT_BLOCKED (held or sold), BUSY (after 2 s; try '
'again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.unblock_seats(uuid, uuid[], text) TO {{ box_office_role }};
{% endif %}

-- object: box_office/issue_tickets.sql sha256=385b683a40657b6f02dd3779ec701712e53ad74a8814174eefed78b68bfeb6f2
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

-- object: box_office/move_tickets.sql sha256=4563a21f5155734fccd5937757848bc39710d8e6f1d134f83468ee1d40a9df40
-- Gives tickets other seats, all or none, thousands at once: ticket i gets seat i. A seat may be
-- one that another of the tickets leaves.
CREATE OR REPLACE FUNCTION {{ schema }}.move_tickets(
    p_show_id uuid,
    p_ticket_ids uuid[],
    p_seat_ids uuid[],
    p_staff text
)
RETURNS TABLE (
    success boolean,
    tickets_moved integer,
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
-- and what they return is joined to the arrays by a hash. The show is compared in a form that
-- matches no index: with the statistics of a quiet night, all tickets of a show seem to be few.
SET enable_nestloop = off
SET enable_mergejoin = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_now timestamptz;
    -- The tickets that do not have their seat yet: arrays of the same length, an element a ticket.
    v_moves record;
    v_new_ids uuid[];
    v_free_ids uuid[];
    v_taken record;
    v_rows bigint;
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    LOOP
        BEGIN
            v_now := clock_timestamp();
            IF NOT {{ internal_schema }}.is_staff_request(p_show_id, p_ticket_ids, p_staff)
                OR NOT {{ internal_schema }}.is_staff_request(p_show_id, p_seat_ids, p_staff)
                OR cardinality(p_ticket_ids) <> cardinality(p_seat_ids)
            THEN
                error_code := 'INVALID_INPUT';
                EXIT;
            END IF;
            SELECT
                count(*) AS found,
                COALESCE(array_agg(ticket.id) FILTER (WHERE moved.leaves), '{}') AS ticket_ids,
                array_agg(sold.id) FILTER (WHERE moved.leaves) AS order_ids,
                array_agg(sold.reservation_id) FILTER (WHERE moved.leaves) AS reservation_ids,
                array_agg(ticket.show_seat_id) FILTER (WHERE moved.leaves) AS old_ids,
                array_agg(wanted.seat_id) FILTER (WHERE moved.leaves) AS new_ids,
                array_agg(ticket.price_in_cents) FILTER (WHERE moved.leaves) AS prices,
                array_agg(ticket.currency) FILTER (WHERE moved.leaves) AS currencies,
                array_agg(ticket.ticket_type) FILTER (WHERE moved.leaves) AS ticket_types
            INTO v_moves
            FROM unnest(p_ticket_ids, p_seat_ids) AS wanted (ticket_id, seat_id)
            INNER JOIN {{ schema }}.tickets AS ticket
                ON
                    ticket.id = wanted.ticket_id
                    AND ticket.id = ANY(p_ticket_ids)
                    AND COALESCE(ticket.show_id) = p_show_id
            INNER JOIN {{ schema }}.ticket_orders AS sold
                ON
                    sold.id = ticket.order_id
                    AND sold.id = ANY(
                        ARRAY(
                            SELECT ours.order_id
                            FROM {{ schema }}.tickets AS ours
                            WHERE
                                ours.id = ANY(p_ticket_ids)
                                AND COALESCE(ours.show_id) = p_show_id
                        )
                    )
                    AND COALESCE(sold.show_id) = p_show_id
            CROSS JOIN LATERAL (SELECT ticket.show_seat_id <> wanted.seat_id AS leaves) AS moved
            -- The valid ones, in a form that does not match the index of all valid tickets.
            WHERE ticket.status NOT IN ('cancelled', 'refunded');

            IF v_moves.found < cardinality(p_ticket_ids) THEN
                error_code := 'TICKETS_NOT_FOUND';
                EXIT;
            END IF;
            EXIT WHEN v_moves.ticket_ids = '{}';

            v_new_ids := ARRAY(
                SELECT wanted.id FROM unnest(v_moves.new_ids) AS wanted (id)
                EXCEPT
                SELECT vacated.id FROM unnest(v_moves.old_ids) AS vacated (id)
            );
            v_free_ids := ARRAY(
                SELECT vacated.id FROM unnest(v_moves.old_ids) AS vacated (id)
                EXCEPT
                SELECT wanted.id FROM unnest(v_moves.new_ids) AS wanted (id)
            );
            SELECT taken.*
            INTO v_taken
            FROM {{ internal_schema }}.take_seats(
                p_show_id,
                v_new_ids,
                v_since,
                p_lock_reservation_ids => v_moves.reservation_ids,
                p_lock_seat_ids => v_moves.old_ids
            ) AS taken;
            error_code := v_taken.error_code;
            EXIT WHEN error_code IS NOT NULL;

            -- One ticket and one live claim a seat, at each moment: all leave before any arrives.
            UPDATE {{ schema }}.tickets
            SET status = 'cancelled'
            FROM unnest(v_moves.ticket_ids, v_moves.old_ids) AS moved (ticket_id, old_id)
            WHERE
                tickets.id = ANY(v_moves.ticket_ids)
                AND tickets.id = moved.ticket_id
                AND COALESCE(tickets.show_id) = p_show_id
                AND tickets.show_seat_id = moved.old_id
                AND tickets.status NOT IN ('cancelled', 'refunded');
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            IF v_rows < cardinality(v_moves.ticket_ids) THEN
                RAISE EXCEPTION 'a ticket was moved or refunded between the look and the lock'
                USING ERRCODE = 'lock_not_available';
            END IF;

            -- The live claims on those seats, in a form that matches the primary key only.
            UPDATE {{ schema }}.reservation_seats
            SET released_at = v_now
            WHERE
                reservation_seats.reservation_id = ANY(v_moves.reservation_ids)
                AND reservation_seats.show_id = p_show_id
                AND COALESCE(reservation_seats.show_seat_id) = ANY(v_moves.old_ids)
                AND COALESCE(reservation_seats.released_at, 'infinity') = 'infinity';

            INSERT INTO {{ schema }}.reservation_seats (
                reservation_id, show_seat_id, show_id, price_in_cents, currency, ticket_type
            )
            SELECT
                moved.reservation_id,
                moved.new_id,
                p_show_id,
                moved.price,
                moved.currency,
                moved.ticket_type
            FROM unnest(
                v_moves.reservation_ids, v_moves.new_ids, v_moves.prices, v_moves.currencies,
                v_moves.ticket_types
            ) AS moved (reservation_id, new_id, price, currency, ticket_type)
            -- The reservation has had that seat before.
            ON CONFLICT ON CONSTRAINT reservation_seats_pkey DO UPDATE
            SET
                price_in_cents = excluded.price_in_cents,
                ticket_type = excluded.ticket_type,
                released_at = NULL;

            UPDATE {{ schema }}.tickets
            SET
                status = 'valid',
                show_seat_id = moved.new_id
            FROM unnest(v_moves.ticket_ids, v_moves.new_ids) AS moved (ticket_id, new_id)
            WHERE
                tickets.id = ANY(v_moves.ticket_ids)
                AND tickets.id = moved.ticket_id
                AND COALESCE(tickets.show_id) = p_show_id;

            UPDATE {{ schema }}.show_seats
            SET status = 'available'
            WHERE
                show_seats.show_id = p_show_id
                AND show_seats.id = ANY(v_free_ids)
                AND show_seats.status = 'sold';

            UPDATE {{ schema }}.show_seats
            SET status = 'sold'
            WHERE
                show_seats.show_id = p_show_id
                AND show_seats.id = ANY(v_new_ids);

            -- ALL: an order may have had a seat twice, for a ticket that was refunded and for one
            -- that was moved there.
            UPDATE {{ schema }}.ticket_orders
            SET seat_ids = ARRAY(
                (
                    SELECT had.id FROM unnest(ticket_orders.seat_ids) AS had (id)
                    EXCEPT ALL
                    SELECT vacated.id FROM unnest(moved.old_ids) AS vacated (id)
                )
                UNION ALL
                SELECT wanted.id FROM unnest(moved.new_ids) AS wanted (id)
                ORDER BY id
            )
            FROM (
                SELECT
                    one.order_id,
                    array_agg(one.old_id) AS old_ids,
                    array_agg(one.new_id) AS new_ids
                FROM unnest(v_moves.order_ids, v_moves.old_ids, v_moves.new_ids)
                    AS one (order_id, old_id, new_id)
                GROUP BY one.order_id
            ) AS moved
            WHERE
                ticket_orders.id = ANY(v_moves.order_ids)
                AND ticket_orders.id = moved.order_id
                AND COALESCE(ticket_orders.show_id) = p_show_id;

            PERFORM {{ internal_schema }}.log_staff_action(
                'moved', p_show_id, moved.reservation_id, moved.new_ids, p_staff,
                jsonb_build_object(
                    'from_seat_ids', moved.old_ids,
                    'blocked_seat_ids', moved.blocked_ids
                )
            )
            FROM (
                SELECT
                    one.reservation_id,
                    array_agg(one.old_id) AS old_ids,
                    array_agg(one.new_id) AS new_ids,
                    COALESCE(
                        array_agg(one.new_id)
                        FILTER (WHERE one.new_id = ANY(v_taken.blocked_seat_ids)),
                        '{}'
                    ) AS blocked_ids
                FROM unnest(v_moves.reservation_ids, v_moves.old_ids, v_moves.new_ids)
                    AS one (reservation_id, old_id, new_id)
                GROUP BY one.reservation_id
                ORDER BY one.reservation_id
            ) AS moved;
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
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        tickets_moved := cardinality(v_moves.ticket_ids);
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'move_tickets', error_code, error_message, p_show_id, NULL, NULL, p_seat_ids,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.move_tickets(uuid, uuid[], uuid[], text) IS
'Gives each ticket the seat at the same place of the other list, all or none: the price, the code '
'and the order stay, and the seats that nobody keeps are available. Seats may be available, '
'blocked, or left by another of the tickets. A ticket that has its seat already stays there, so '
'the call is safe to repeat. Error codes: INVALID_INPUT, TICKETS_NOT_FOUND (or not valid), '
'SEATS_NOT_FOUND, SEATS_SOLD, SEATS_HELD, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.move_tickets(uuid, uuid[], uuid[], text)
TO {{ box_office_role }};
{% endif %}

-- object: box_office/check_in_ticket.sql sha256=811cb65424e81fa977df2e00bbda8949c7ae3d7d95f212404f9799f659d2a4fb
-- Called by a scanner at an entrance: lets the holder of a ticket in, once. Locks nothing but the
-- ticket, and waits for nothing while it has it: so it cannot be part of a deadlock with functions
-- that lock tickets last.
CREATE OR REPLACE FUNCTION {{ schema }}.check_in_ticket(
    p_show_id uuid,
    p_ticket_code text,
    p_gate text,
    p_nonce text
)
RETURNS TABLE (
    success boolean,
    ticket_id uuid,
    section text,
    row_label text,
    seat_number text,
    ticket_type text,
    checked_in_at timestamptz,
    gate text,
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
    v_ticket record;
    v_seat record;
    v_reservation_id uuid;
    v_seat_ids uuid[];
    v_detail jsonb := jsonb_build_object('gate', left(p_gate, 200));
BEGIN
    -- A person who has been let in must not be let in again after a crash.
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        BEGIN
            -- A blank nonce would make every scan a repeat of the first.
            IF p_show_id IS NULL
                OR COALESCE(p_gate, '') !~ '[^[:space:]]'
                OR p_nonce !~ '[^[:space:]]'
                OR GREATEST(length(p_gate), length(p_nonce)) > 200
            THEN
                error_code := 'INVALID_INPUT';
                EXIT;
            END IF;
            SELECT scanned.*
            INTO v_ticket
            FROM {{ schema }}.tickets AS scanned
            WHERE
                -- Codes are in capitals, but for one that was written by hand.
                scanned.ticket_code = ANY(ARRAY[p_ticket_code, upper(p_ticket_code)])
                AND scanned.show_id = p_show_id
            ORDER BY scanned.ticket_code = p_ticket_code DESC
            LIMIT 1
            FOR UPDATE;
            SELECT
                seat.id,
                seat.section,
                seat.row_label,
                seat.seat_number,
                paid.reservation_id
            INTO v_seat
            FROM {{ schema }}.show_seats AS seat
            INNER JOIN {{ schema }}.ticket_orders AS paid ON paid.show_id = seat.show_id
            WHERE
                seat.id = v_ticket.show_seat_id
                AND seat.show_id = v_ticket.show_id
                AND paid.id = v_ticket.order_id;
            v_reservation_id := v_seat.reservation_id;
            v_seat_ids := array_remove(ARRAY[v_seat.id], NULL);

            error_code := CASE
                WHEN v_ticket.id IS NULL THEN 'NOT_FOUND'
                WHEN v_ticket.status <> 'valid' THEN 'TICKET_NOT_VALID'
                WHEN v_ticket.check_in_nonce = p_nonce THEN NULL
                WHEN v_ticket.checked_in_at IS NOT NULL THEN 'ALREADY_USED'
            END;
            IF error_code IS NULL AND v_ticket.checked_in_at IS NULL THEN
                UPDATE {{ schema }}.tickets
                SET
                    checked_in_at = clock_timestamp(),
                    check_in_gate = p_gate,
                    check_in_nonce = p_nonce
                WHERE
                    tickets.id = v_ticket.id
                    AND tickets.show_id = p_show_id
                RETURNING tickets.* INTO v_ticket;
                PERFORM {{ internal_schema }}.log_staff_action(
                    'checked_in', p_show_id, v_reservation_id, v_seat_ids, NULL, v_detail
                );
            END IF;
            ticket_id := v_ticket.id;
            section := v_seat.section;
            row_label := v_seat.row_label;
            seat_number := v_seat.seat_number;
            ticket_type := v_ticket.ticket_type;
            checked_in_at := v_ticket.checked_in_at;
            gate := v_ticket.check_in_gate;
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
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'check_in_ticket', error_code, error_message, p_show_id, v_reservation_id, NULL,
            v_seat_ids, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.check_in_ticket(uuid, text, text, text) IS
'Lets the holder of a ticket in, once; the code may be in letters of any case. A repeat with the '
'same p_nonce, a name that the scanner gives to the scan, gets the first answer again; NULL is '
'never a repeat. Error codes: INVALID_INPUT, NOT_FOUND (no such code in this show), '
'TICKET_NOT_VALID (cancelled or refunded), ALREADY_USED (with the time and the gate of the first '
'scan), BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.check_in_ticket(uuid, text, text, text)
TO {{ box_office_role }};
{% endif %}

-- object: box_office/cancel_tickets.sql sha256=9cbf52f1bfb251b5989a45e9a5457a63e144f0b426a550ca025cf3399b09d808
-- Takes tickets back at the request of a buyer or of the house. The money is due from then on,
-- until record_refund(). Safe to repeat.
CREATE OR REPLACE FUNCTION {{ schema }}.cancel_tickets(
    p_show_id uuid,
    p_ticket_ids uuid[],
    p_staff text
)
RETURNS TABLE (
    success boolean,
    tickets_cancelled integer,
    refund_ids uuid[],
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
    v_wanted constant integer := COALESCE(cardinality(p_ticket_ids), 0);
    v_order_ids uuid[];
    v_found record;
    v_is_explained boolean;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object(
        'staff', left(p_staff, 200), 'ticket_ids', p_ticket_ids[:100]
    );
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    IF COALESCE(p_staff, '') !~ '[^[:space:]]'
        OR length(p_staff) > 200
        OR v_wanted = 0
        OR (SELECT count(DISTINCT wanted.id) FROM unnest(p_ticket_ids) AS wanted (id)) < v_wanted
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            -- A ticket never changes its order, so this look-up needs no lock. With LIMIT, each is
            -- found by its key, even if the table was small when the plan was made.
            v_order_ids := ARRAY(
                SELECT DISTINCT named.order_id
                FROM unnest(p_ticket_ids) AS wanted (id)
                CROSS JOIN LATERAL (
                    SELECT ticket.order_id
                    FROM {{ schema }}.tickets AS ticket
                    WHERE
                        ticket.id = wanted.id
                        AND ticket.show_id = p_show_id
                    LIMIT 1
                ) AS named
            );
            PERFORM {{ internal_schema }}.lock_orders(p_show_id, v_order_ids);

            SELECT
                count(*) FILTER (WHERE named.status = 'valid') AS valid,
                count(*) FILTER (WHERE named.status = 'refunded') AS refunded,
                sum(named.price_in_cents) AS amount_in_cents,
                min(named.currency) AS currency
            INTO v_found
            FROM unnest(p_ticket_ids) AS wanted (id)
            CROSS JOIN LATERAL (
                SELECT ticket.*
                FROM {{ schema }}.tickets AS ticket
                WHERE
                    ticket.id = wanted.id
                    AND ticket.show_id = p_show_id
                LIMIT 1
            ) AS named;

            IF v_found.valid = v_wanted THEN
                SELECT
                    taken.refund_ids,
                    taken.amount_in_cents
                INTO
                    refund_ids,
                    amount_in_cents
                FROM {{ internal_schema }}.take_back_tickets(
                    p_show_id, v_order_ids, p_ticket_ids, 'tickets_cancelled', 'due', p_staff
                ) AS taken;
            ELSE
                -- The answer of an earlier call may have been lost: refunds of exactly these
                -- tickets are returned. Free tickets have none.
                SELECT
                    COALESCE(array_agg(refund.id ORDER BY refund.id), '{}'),
                    COALESCE(sum(refund.amount_in_cents), 0)::bigint,
                    COALESCE(bool_and(refund.ticket_ids <@ p_ticket_ids), true)
                INTO
                    refund_ids,
                    amount_in_cents,
                    v_is_explained
                FROM unnest(v_order_ids) AS mine (order_id)
                CROSS JOIN LATERAL (
                    SELECT owed.*
                    FROM {{ schema }}.refunds AS owed
                    WHERE
                        owed.order_id = mine.order_id
                        AND owed.show_id = p_show_id
                        AND owed.ticket_ids && p_ticket_ids
                    OFFSET 0
                ) AS refund;
                IF v_found.refunded < v_wanted
                    OR NOT v_is_explained
                    OR amount_in_cents <> v_found.amount_in_cents
                THEN
                    error_code := 'TICKETS_NOT_FOUND';
                END IF;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_wanted) THEN
                    error_code := 'BUSY';
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        tickets_cancelled := v_wanted;
        currency := v_found.currency;
    ELSE
        refund_ids := NULL;
        amount_in_cents := NULL;
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'cancel_tickets', error_code, error_message, p_show_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cancel_tickets(uuid, uuid[], text) IS
'Takes valid tickets of a show back, all or none: they are refunded, their seats are available, or '
'blocked where a ticket was checked in, and each order gets a row of refunds, which is due. '
'Repeated with the same tickets, returns these refunds again. Error codes: TICKETS_NOT_FOUND '
'(unknown, or not valid), INVALID_INPUT (also a blank p_staff), BUSY (after 2 s; try again), '
'INTERNAL_ERROR. Amounts are in the minor unit of the currency.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.cancel_tickets(uuid, uuid[], text) TO {{ box_office_role }};
{% endif %}

-- object: box_office/record_refund.sql sha256=0f305a49bdb277b25d724ccee6f712fea8cc6e3f1c56e3e718f55ac2736ceb91
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

-- object: box_office/record_dispute.sql sha256=0c80b6ba625b4bb88ea5d40a4f1e3031b15836724ad09b7068f01a39f6727917
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

-- object: box_office/cancel_show_portion.sql sha256=ed23928c9ed2ebde115d9fc8498f133775df85aa727878f2a4daa1f6a38e8435
-- One step of cancel_show(), and for clients that cannot CALL. The first call sets the status of
-- the show, and each later one winds up some reservations and orders, until nothing is left. Skips
-- what others have locked: a later call finds it again.
CREATE OR REPLACE FUNCTION {{ schema }}.cancel_show_portion(
    p_show_id uuid,
    p_staff text,
    p_limit integer DEFAULT 500
)
RETURNS TABLE (
    success boolean,
    holds_ended integer,
    orders_cancelled integer,
    orders_refunded integer,
    is_done boolean,
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
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_now timestamptz;
    v_status text;
    -- Reservations with live claims that this call has not tried, that it has locked, and that it
    -- had to leave because somebody else has locked an order or a seat of theirs.
    v_untried_ids uuid[];
    v_ids uuid[];
    v_left_ids uuid[];
    v_order_ids uuid[];
    v_locked_order_ids uuid[];
    v_seat_ids uuid[];
    v_locked_seat_ids uuid[];
    v_over_ids uuid[];
    v_held_ids uuid[];
    v_paid_ids uuid[];
    v_rows integer;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    IF COALESCE(p_staff, '') !~ '[^[:space:]]'
        OR length(p_staff) > 200
        OR p_limit IS NULL
        OR p_limit NOT BETWEEN 1 AND 10000
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            holds_ended := 0;
            orders_cancelled := 0;
            orders_refunded := 0;
            is_done := false;
            v_now := clock_timestamp();
            v_left_ids := '{}';
            SELECT show.status
            INTO v_status
            FROM {{ schema }}.shows AS show
            WHERE show.id = p_show_id;
            IF v_status IS NULL THEN
                error_code := 'NOT_FOUND';
                EXIT;
            ELSIF v_status <> 'cancelled' THEN
                -- Nothing else in this transaction, so that buyers learn of it at once.
                UPDATE {{ schema }}.shows
                SET status = 'cancelled'
                WHERE shows.id = p_show_id;
                PERFORM {{ internal_schema }}.log_order_action(
                    'cancel_show_portion', p_show_id, p_detail => v_detail
                );
                EXIT;
            END IF;

            -- What is held or sold has a live claim; the index contains no other.
            v_untried_ids := ARRAY(
                SELECT DISTINCT claim.reservation_id
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.show_id = p_show_id
                    AND claim.released_at IS NULL
            );
            WHILE v_untried_ids <> '{}' AND holds_ended + orders_refunded = 0 LOOP
                v_ids := ARRAY(
                    SELECT hold.id
                    FROM {{ schema }}.seat_reservations AS hold
                    WHERE
                        hold.show_id = p_show_id
                        AND hold.id = ANY(v_untried_ids)
                    LIMIT p_limit
                    FOR UPDATE SKIP LOCKED
                );
                EXIT WHEN v_ids = '{}';
                v_untried_ids := ARRAY(SELECT unnest(v_untried_ids) EXCEPT SELECT unnest(v_ids));

                v_order_ids := ARRAY(
                    SELECT open.id
                    FROM {{ schema }}.ticket_orders AS open
                    WHERE
                        open.show_id = p_show_id
                        AND open.reservation_id = ANY(v_ids)
                        AND open.status NOT IN ('cancelled', 'refund_due', 'refunded')
                );
                v_locked_order_ids := ARRAY(
                    SELECT open.id
                    FROM {{ schema }}.ticket_orders AS open
                    WHERE
                        open.show_id = p_show_id
                        AND open.id = ANY(v_order_ids)
                    FOR UPDATE SKIP LOCKED
                );
                -- FILTER instead of WHERE, so that claims are found by their reservation.
                SELECT
                    COALESCE(
                        array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                    )
                INTO v_seat_ids
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = ANY(v_ids)
                    AND claim.show_id = p_show_id;
                v_locked_seat_ids := ARRAY(
                    SELECT seat.id
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.id = ANY(v_seat_ids)
                    FOR UPDATE SKIP LOCKED
                );
                v_order_ids := ARRAY(
                    SELECT unnest(v_order_ids) EXCEPT SELECT unnest(v_locked_order_ids)
                );
                v_seat_ids := ARRAY(
                    SELECT unnest(v_seat_ids) EXCEPT SELECT unnest(v_locked_seat_ids)
                );
                v_left_ids := v_left_ids || ARRAY(
                    SELECT open.reservation_id
                    FROM {{ schema }}.ticket_orders AS open
                    WHERE
                        open.show_id = p_show_id
                        AND open.id = ANY(v_order_ids)
                    UNION
                    SELECT claim.reservation_id
                    FROM {{ schema }}.reservation_seats AS claim
                    WHERE
                        claim.show_id = p_show_id
                        AND claim.show_seat_id = ANY(v_seat_ids)
                        AND claim.released_at IS NULL
                );
                v_ids := ARRAY(SELECT unnest(v_ids) EXCEPT SELECT unnest(v_left_ids));

                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'cancelled',
                    cancel_reason = 'show_cancelled'
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.reservation_id = ANY(v_ids)
                    AND ticket_orders.status IN ('pending', 'failed');
                GET DIAGNOSTICS v_rows = ROW_COUNT;
                orders_cancelled := orders_cancelled + v_rows;

                SELECT
                    COALESCE(array_agg(hold.id) FILTER (WHERE hold.expires_at <= v_now), '{}'),
                    COALESCE(array_agg(hold.id) FILTER (WHERE hold.expires_at > v_now), '{}')
                INTO
                    v_over_ids,
                    v_held_ids
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = ANY(v_ids)
                    AND hold.ended_at IS NULL;
                PERFORM {{ internal_schema }}.end_reservations(p_show_id, v_over_ids, 'expired');
                PERFORM {{ internal_schema }}.end_reservations(p_show_id, v_held_ids, 'released');
                holds_ended := cardinality(v_over_ids) + cardinality(v_held_ids);

                v_paid_ids := ARRAY(
                    SELECT paid.id
                    FROM {{ schema }}.ticket_orders AS paid
                    WHERE
                        paid.show_id = p_show_id
                        AND paid.reservation_id = ANY(v_ids)
                        AND paid.status = 'paid'
                );
                PERFORM
                FROM {{ internal_schema }}.take_back_tickets(
                    p_show_id, v_paid_ids, NULL, 'show_cancelled', 'due', p_staff
                );
                orders_refunded := cardinality(v_paid_ids);
            END LOOP;

            -- Orders whose hold was over before. It is enough to lock the order: a late payment
            -- that revives the hold changes the order, too.
            v_order_ids := ARRAY(
                SELECT open.id
                FROM {{ schema }}.ticket_orders AS open
                WHERE
                    open.show_id = p_show_id
                    AND open.status = 'failed'
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            ) || ARRAY(
                -- Few orders are pending at any time, of all shows.
                SELECT open.id
                FROM {{ schema }}.ticket_orders AS open
                WHERE
                    open.status = 'pending'
                    AND open.show_id = p_show_id
                ORDER BY open.created_at
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            );
            UPDATE {{ schema }}.ticket_orders
            SET
                status = 'cancelled',
                cancel_reason = 'show_cancelled'
            WHERE
                ticket_orders.show_id = p_show_id
                AND ticket_orders.id = ANY(v_order_ids);
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            orders_cancelled := orders_cancelled + v_rows;

            v_order_ids := ARRAY(
                SELECT open.id
                FROM {{ schema }}.ticket_orders AS open
                WHERE
                    open.show_id = p_show_id
                    AND open.status = 'failed'
                LIMIT 1
            ) || ARRAY(
                SELECT open.id
                FROM {{ schema }}.ticket_orders AS open
                WHERE
                    open.status = 'pending'
                    AND open.show_id = p_show_id
                ORDER BY open.created_at
                LIMIT 1
            );
            is_done := v_untried_ids = '{}' AND v_left_ids = '{}' AND v_order_ids = '{}';
            IF holds_ended + orders_cancelled + orders_refunded > 0 THEN
                PERFORM {{ internal_schema }}.log_order_action(
                    'cancel_show_portion',
                    p_show_id,
                    p_detail => v_detail || jsonb_build_object(
                        'holds_ended', holds_ended,
                        'orders_cancelled', orders_cancelled,
                        'orders_refunded', orders_refunded
                    )
                );
                EXIT;
            END IF;
            EXIT WHEN is_done;

            -- All that is left is locked: wait for one reservation, or one order.
            v_has_waited := true;
            IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                error_code := 'BUSY';
                EXIT;
            END IF;
            v_ids := (v_left_ids || v_untried_ids)[:1];
            PERFORM
            FROM {{ schema }}.seat_reservations AS hold
            WHERE
                hold.show_id = p_show_id
                AND hold.id = ANY(v_ids)
            FOR UPDATE;
            PERFORM
            FROM {{ schema }}.ticket_orders AS open
            WHERE
                open.show_id = p_show_id
                AND open.id = ANY(
                    ARRAY(
                        SELECT mine.id
                        FROM {{ schema }}.ticket_orders AS mine
                        WHERE
                            mine.show_id = p_show_id
                            AND mine.reservation_id = ANY(v_ids)
                    ) || v_order_ids[:1]
                )
            ORDER BY open.id
            FOR UPDATE;
            PERFORM
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = p_show_id
                AND seat.id = ANY(
                    ARRAY(
                        SELECT claim.show_seat_id
                        FROM {{ schema }}.reservation_seats AS claim
                        WHERE
                            claim.show_id = p_show_id
                            AND claim.reservation_id = ANY(v_ids)
                    )
                )
            ORDER BY seat.id
            FOR UPDATE;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        holds_ended := NULL;
        orders_cancelled := NULL;
        orders_refunded := NULL;
        is_done := NULL;
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'cancel_show_portion', error_code, error_message, p_show_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cancel_show_portion(uuid, text, integer) IS
'Cancels a show in steps: the first call sets its status, and each later one winds up at most '
'p_limit reservations (1 to 10000): holds end, open orders are cancelled, tickets are refunded and '
'their seats free, and each paid order gets a row of refunds, which is due. Call it, each time in '
'a transaction of its own, until is_done. Skips what is locked by other sessions, while there is '
'something else to do. Error codes: NOT_FOUND, INVALID_INPUT (also a blank p_staff), BUSY (all '
'that is left is locked, for 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.cancel_show_portion(uuid, text, integer)
TO {{ box_office_role }};
{% endif %}

-- object: box_office/cancel_show.sql sha256=fd11618cb7b0dea42a73e29bd659bd7ebeb1384af48377eb8344ab0bd2117e8e
-- Cancels a show, of whatever size, beside payments that still arrive. Since it commits, it can
-- have neither a SET clause nor SECURITY DEFINER: each transaction sets the search path instead.
CREATE OR REPLACE PROCEDURE {{ schema }}.cancel_show(
    p_show_id uuid,
    p_staff text,
    INOUT holds_ended integer DEFAULT NULL,
    INOUT orders_cancelled integer DEFAULT NULL,
    INOUT orders_refunded integer DEFAULT NULL
)
LANGUAGE plpgsql
AS $body$
DECLARE
    v_portion record;
BEGIN
    -- Ends the transaction that the caller's settings apply to. Inside a transaction of the caller
    -- it raises an error, before anything is done.
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    holds_ended := 0;
    orders_cancelled := 0;
    orders_refunded := 0;
    LOOP
        SELECT portion.*
        INTO v_portion
        FROM {{ schema }}.cancel_show_portion(p_show_id, p_staff) AS portion;
        -- A refusal, too, so that its line in the log stays.
        COMMIT AND CHAIN;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF NOT v_portion.success THEN
            RAISE EXCEPTION '%', v_portion.error_message
            USING
                ERRCODE = CASE v_portion.error_code
                    WHEN 'NOT_FOUND' THEN 'no_data_found'
                    WHEN 'INVALID_INPUT' THEN 'invalid_parameter_value'
                    WHEN 'BUSY' THEN 'lock_not_available'
                    ELSE 'internal_error'
                END,
                DETAIL = v_portion.error_code,
                HINT = 'Call it again: it continues with what is left.';
        END IF;
        holds_ended := cancel_show.holds_ended + v_portion.holds_ended;
        orders_cancelled := cancel_show.orders_cancelled + v_portion.orders_cancelled;
        orders_refunded := cancel_show.orders_refunded + v_portion.orders_refunded;
        EXIT WHEN v_portion.is_done;
    END LOOP;
END;
$body$;

-- The linter takes the name in this one statement for a call.
COMMENT ON PROCEDURE {{ schema }}.cancel_show( -- noqa: LT01
    uuid, text, integer, integer, integer
) IS
'Cancels a show with cancel_show_portion(), committing each portion, and returns what this call '
'did. Safe to repeat after an error or an interruption, and to run twice at once. Inside a '
'transaction it raises 2D000 (invalid_transaction_termination): call cancel_show_portion() there. '
'Errors: P0002 (no such show), 22023 (a blank p_staff), 55P03 (all that is left is locked by other '
'sessions: call it again).';

{% if manage_roles %}
GRANT EXECUTE ON PROCEDURE {{ schema }}.cancel_show(uuid, text, integer, integer, integer)
TO {{ box_office_role }};
{% endif %}

-- object: box_office/erase_customer.sql sha256=2e013bb9dde965237b4f60235bd3f80d7e8fb46fba349edb1f6e0c0303030321
-- Called when a customer demands it. Amounts, ids and times stay, for the accounts. A rare call: it
-- reads all reservations and both logs once, which have no index by person.
CREATE OR REPLACE FUNCTION {{ schema }}.erase_customer(
    p_user_id text,
    p_email text,
    p_staff text
)
RETURNS TABLE (
    success boolean,
    holds_ended integer,
    reservations_erased integer,
    orders_erased integer,
    order_keys_erased integer,
    reservation_log_rows_erased integer,
    order_log_rows_erased integer,
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
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_now timestamptz;
    v_ids uuid[];
    v_active record;
    v_sessions text[];
    v_order_ids uuid[];
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    IF COALESCE(p_staff, '') !~ '[^[:space:]]'
        OR length(p_staff) > 200
        OR COALESCE(p_user_id, p_email) IS NULL
        OR p_user_id !~ '[^[:space:]]'
        OR p_email !~ '[^[:space:]]'
        -- Longer than the columns.
        OR length(p_user_id) > 200
        OR length(p_email) > 320
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            holds_ended := 0;
            v_now := clock_timestamp();
            v_ids := ARRAY(
                SELECT hold.id
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.user_id = p_user_id
                    OR lower(hold.email) = lower(p_email)
                ORDER BY hold.id
                FOR UPDATE
            );
            v_order_ids := ARRAY(
                SELECT named.id
                FROM {{ schema }}.ticket_orders AS named
                WHERE named.reservation_id = ANY(v_ids)
                ORDER BY named.id
                FOR UPDATE
            );

            -- Nothing is left for which the session would be needed.
            UPDATE {{ schema }}.ticket_orders
            SET
                status = 'cancelled',
                cancel_reason = 'released'
            FROM {{ schema }}.seat_reservations AS hold
            WHERE
                ticket_orders.id = ANY(v_order_ids)
                AND ticket_orders.status IN ('pending', 'failed')
                AND hold.id = ticket_orders.reservation_id
                AND hold.show_id = ticket_orders.show_id
                AND hold.ended_at IS NULL
                AND hold.expires_at > v_now;
            FOR v_active IN
                SELECT
                    hold.show_id,
                    hold.expires_at > v_now AS is_live,
                    array_agg(hold.id) AS ids
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.id = ANY(v_ids)
                    AND hold.ended_at IS NULL
                GROUP BY
                    hold.show_id,
                    is_live
                ORDER BY
                    hold.show_id,
                    is_live
            LOOP
                PERFORM {{ internal_schema }}.end_reservations(
                    v_active.show_id,
                    v_active.ids,
                    CASE WHEN v_active.is_live THEN 'released' ELSE 'expired' END
                );
                holds_ended := holds_ended + cardinality(v_active.ids);
            END LOOP;

            -- Also those that a hold had before move_reservation(); not that of the counter, which
            -- is everybody's.
            v_sessions := ARRAY(
                SELECT hold.session_id
                FROM {{ schema }}.seat_reservations AS hold
                WHERE hold.id = ANY(v_ids)
                UNION
                SELECT line.session_id
                FROM {{ schema }}.seat_reservation_audit_log AS line
                WHERE line.reservation_id = ANY(v_ids)
                EXCEPT
                SELECT 'box office'
            );

            UPDATE {{ schema }}.seat_reservations
            SET
                session_id = 'erased',
                user_id = NULL,
                email = NULL,
                user_agent = NULL,
                ip_address = NULL
            WHERE seat_reservations.id = ANY(v_ids);
            GET DIAGNOSTICS reservations_erased = ROW_COUNT;

            -- The message of a provider, or a key, may contain names. No call with the key can find
            -- its order any more, since that would need the session.
            UPDATE {{ schema }}.ticket_orders
            SET
                error_message = NULL,
                idempotency_key = NULL
            WHERE ticket_orders.id = ANY(v_order_ids);
            GET DIAGNOSTICS orders_erased = ROW_COUNT;
            UPDATE {{ internal_schema }}.ticket_order_keys
            SET idempotency_key = 'erased ' || gen_random_uuid()
            WHERE ticket_order_keys.order_id = ANY(v_order_ids);
            GET DIAGNOSTICS order_keys_erased = ROW_COUNT;

            UPDATE {{ schema }}.seat_reservation_audit_log
            SET
                session_id = NULL,
                user_agent = NULL,
                ip_address = NULL,
                metadata = seat_reservation_audit_log.metadata - 'detail'
            WHERE
                (
                    seat_reservation_audit_log.reservation_id = ANY(v_ids)
                    OR seat_reservation_audit_log.event_type = 'failed'
                    AND seat_reservation_audit_log.session_id = ANY(v_sessions)
                )
                AND (
                    seat_reservation_audit_log.session_id IS NOT NULL
                    OR seat_reservation_audit_log.user_agent IS NOT NULL
                    OR seat_reservation_audit_log.ip_address IS NOT NULL
                    OR seat_reservation_audit_log.metadata ? 'detail'
                );
            GET DIAGNOSTICS reservation_log_rows_erased = ROW_COUNT;
            UPDATE {{ schema }}.ticket_order_audit_log
            SET
                session_id = NULL,
                error_message = NULL,
                metadata = ticket_order_audit_log.metadata - 'detail'
            WHERE
                (
                    ticket_order_audit_log.reservation_id = ANY(v_ids)
                    OR ticket_order_audit_log.order_id = ANY(v_order_ids)
                    OR ticket_order_audit_log.session_id = ANY(v_sessions)
                )
                AND (
                    ticket_order_audit_log.session_id IS NOT NULL
                    OR ticket_order_audit_log.error_message IS NOT NULL
                    OR ticket_order_audit_log.metadata ? 'detail'
                );
            GET DIAGNOSTICS order_log_rows_erased = ROW_COUNT;

            PERFORM {{ internal_schema }}.log_staff_action(
                'erased', '00000000-0000-0000-0000-000000000000', NULL, '{}', p_staff
            );
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                -- Without the message of the server, which may quote what was to be erased.
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE);
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        holds_ended := NULL;
        reservations_erased := NULL;
        orders_erased := NULL;
        order_keys_erased := NULL;
        reservation_log_rows_erased := NULL;
        order_log_rows_erased := NULL;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'erase_customer', error_code, error_message, NULL, NULL, NULL, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.erase_customer(text, text, text) IS
'Removes what is personal from all reservations with this user_id or this email (in any case; '
'either may be NULL), from their orders, and from the lines of the logs about them and about '
'refused calls of the same sessions. Ends holds that are live, and cancels their orders; amounts, '
'ids, times, tickets and refunds stay. Returns how many rows were changed; a repeat, or an unknown '
'customer, changes none. Reads all reservations and both logs. Error codes: INVALID_INPUT (no '
'user_id and no email, a blank one, a blank p_staff), BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.erase_customer(text, text, text) TO {{ box_office_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
