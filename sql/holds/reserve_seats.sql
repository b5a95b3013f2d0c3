-- Holds seats for a session: all of them or none. The hot path, with three statements at most: a
-- look without locks, so that losing is cheap; rarely, the end of overdue holds; and one that locks
-- the seats in the order of id and writes. If another session has locked what they need, all of it
-- is repeated, see wait_for_others().
CREATE OR REPLACE FUNCTION {{ schema }}.reserve_seats(
    p_show_id uuid,
    p_seat_ids uuid[],
    p_session_id text,
    p_user_id text DEFAULT NULL,
    p_email text DEFAULT NULL,
    p_user_agent text DEFAULT NULL,
    p_ip_address inet DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
    reservation_token text,
    expires_at timestamptz,
    seat_count integer,
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
-- The planner always finds a custom plan for = ANY(p_seat_ids) cheaper, but to make one costs more
-- than the statement.
SET plan_cache_mode = 'force_generic_plan'
-- A plan that is made while the tables are empty is kept until they are analysed: it must not be a
-- sequential scan.
SET enable_seqscan = off
AS $body$
DECLARE
    v_wanted constant integer := cardinality(p_seat_ids);
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    v_look record;
    v_was_beaten boolean := false;
    v_has_waited boolean := false;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    -- Values that do not fit the columns are refused here rather than by a CHECK.
    IF p_show_id IS NULL
        OR v_wanted IS NULL
        OR v_wanted = 0
        OR p_session_id IS NULL
        OR p_session_id !~ '[^[:space:]]'
        OR length(p_session_id) > 200
        OR length(p_user_id) > 200
        OR length(p_email) > 320
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    IF v_wanted > 10 THEN
        -- The lock_timeout above is short enough for ten seats.
        PERFORM {{ internal_schema }}.wait_for_others(v_since, v_wanted);
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            v_now := clock_timestamp();
            SELECT
                settings.max_seats_per_reservation,
                settings.hold_minutes,
                settings.async_conflict_log,
                show.status,
                show.status = 'on_sale'
                AND COALESCE(show.sales_start_at <= v_now, true)
                AND COALESCE(show.sales_end_at > v_now, true) AS is_on_sale,
                show.currency,
                CASE WHEN own.expires_at > v_now THEN own.id END AS hold_id,
                seats.found,
                seats.free,
                seats.over_ids || CASE WHEN own.expires_at <= v_now THEN own.id END AS over_ids
            INTO v_look
            FROM (
                -- LIMIT shows the planner that a boolean key means one row. Otherwise it would
                -- expect so much work that it compiles the rest.
                SELECT
                    policy.max_seats_per_reservation,
                    policy.hold_minutes,
                    policy.async_conflict_log
                FROM {{ schema }}.ticketing_settings AS policy
                WHERE policy.singleton
                LIMIT 1
            ) AS settings
            LEFT JOIN {{ schema }}.shows AS show ON show.id = p_show_id
            LEFT JOIN {{ schema }}.seat_reservations AS own
                ON
                    own.show_id = p_show_id
                    AND own.session_id = p_session_id
                    AND own.status = 'active'
            CROSS JOIN LATERAL (
                SELECT
                    count(*) AS found,
                    count(*) FILTER (
                        WHERE seat.status = 'available' OR seat.reserved_until <= v_now
                    ) AS free,
                    array_agg(seat.reserved_by) FILTER (
                        WHERE seat.reserved_until <= v_now
                    ) AS over_ids
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = ANY(p_seat_ids)
                    -- Too many seats are refused without looking them up.
                    AND v_wanted <= settings.max_seats_per_reservation
            ) AS seats;

            IF v_look.found < v_wanted THEN
                -- Looked for only if seats are missing: duplicates and NULLs.
                SELECT CASE WHEN count(DISTINCT wanted.id) < v_wanted THEN 'INVALID_INPUT' END
                INTO error_code
                FROM unnest(p_seat_ids) AS wanted (id);
                EXIT WHEN error_code IS NOT NULL;
            END IF;

            IF v_look.hold_id IS NOT NULL AND v_look.status <> 'cancelled' THEN
                -- The answer of an earlier call may have been lost, or the buyer clicked twice: a
                -- hold of exactly the same seats is returned. It is locked, so that an old snapshot
                -- does not show a hold that has ended.
                SELECT
                    hold.reservation_token::text,
                    hold.expires_at
                INTO
                    reservation_token,
                    expires_at
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = v_look.hold_id
                    AND hold.ended_at IS NULL
                FOR UPDATE;
                -- It was ended while this call waited for its lock: the seats may be free now.
                CONTINUE WHEN NOT FOUND;

                SELECT
                    CASE WHEN expires_at > v_now THEN v_look.hold_id END,
                    sum(claim.price_in_cents)::bigint,
                    min(claim.currency)
                INTO
                    reservation_id,
                    total_amount_in_cents,
                    currency
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = v_look.hold_id
                    AND claim.show_id = p_show_id
                    AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                HAVING
                    count(*) = v_wanted
                    AND bool_and(claim.show_seat_id = ANY(p_seat_ids));
                EXIT WHEN reservation_id IS NOT NULL;
            END IF;

            error_code := CASE
                WHEN v_look.is_on_sale IS NOT TRUE THEN 'SHOW_NOT_ON_SALE'
                WHEN v_wanted > v_look.max_seats_per_reservation THEN 'TOO_MANY_SEATS'
                WHEN v_look.hold_id IS NOT NULL THEN 'DUPLICATE_RESERVATION'
                WHEN v_look.found < v_wanted THEN 'SEATS_NOT_FOUND'
                WHEN v_look.free < v_wanted THEN 'SEATS_UNAVAILABLE'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF cardinality(array_remove(v_look.over_ids, NULL)) > 0 THEN
                -- These holds may have more seats than are wanted, each locked by another session.
                PERFORM {{ internal_schema }}.wait_for_others(
                    v_since, v_wanted * v_look.max_seats_per_reservation
                );
                PERFORM {{ internal_schema }}.expire_reservations_for_buyer(
                    p_show_id, v_look.over_ids, p_seat_ids
                );
            END IF;

            WITH locked AS (
                SELECT
                    seat.id,
                    seat.price_in_cents
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = ANY(p_seat_ids)
                    AND seat.status = 'available'
                ORDER BY seat.id
                FOR UPDATE
            ),

            hold AS (
                INSERT INTO {{ schema }}.seat_reservations (
                    show_id, reservation_token, session_id, user_id, email, user_agent, ip_address,
                    expires_at, created_at
                )
                SELECT
                    p_show_id,
                    encode(uuid_send(p_show_id) || uuid_send(gen_random_uuid()), 'hex'),
                    p_session_id,
                    p_user_id,
                    p_email,
                    left(p_user_agent, 1000),
                    p_ip_address,
                    v_now + make_interval(mins => v_look.hold_minutes),
                    v_now
                WHERE (SELECT count(*) FROM locked) = v_wanted
                RETURNING
                    seat_reservations.id,
                    seat_reservations.reservation_token,
                    seat_reservations.expires_at
            ),

            claims AS (
                INSERT INTO {{ schema }}.reservation_seats (
                    reservation_id, show_seat_id, show_id, price_in_cents, currency
                )
                SELECT
                    hold.id,
                    locked.id,
                    p_show_id,
                    locked.price_in_cents,
                    v_look.currency
                FROM hold
                CROSS JOIN locked
            ),

            seats AS (
                UPDATE {{ schema }}.show_seats
                SET
                    status = 'reserved',
                    reserved_by = hold.id,
                    reserved_until = hold.expires_at
                FROM hold
                WHERE
                    show_seats.show_id = p_show_id
                    AND show_seats.id = ANY(p_seat_ids)
            )

            SELECT
                hold.id,
                hold.reservation_token::text,
                hold.expires_at,
                (SELECT sum(locked.price_in_cents)::bigint FROM locked)
            INTO
                reservation_id,
                reservation_token,
                expires_at,
                total_amount_in_cents
            FROM hold;

            currency := v_look.currency;
            EXIT WHEN reservation_id IS NOT NULL;

            -- Another call, perhaps of this session, was faster between the look and the lock: look
            -- again to find out. Nothing has been written.
            error_code := CASE WHEN v_was_beaten THEN 'SEATS_UNAVAILABLE' END;
            v_was_beaten := true;
        EXCEPTION
            WHEN serialization_failure THEN
                -- Only at REPEATABLE READ and above, where callers retry on this SQLSTATE.
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_wanted) THEN
                    error_code := 'SEATS_UNAVAILABLE';
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                error_code := CASE v_constraint
                    WHEN 'reservation_seats_no_double_booking' THEN 'DOUBLE_BOOKING_PREVENTED'
                    WHEN 'seat_reservations_one_active_per_session' THEN 'DUPLICATE_RESERVATION'
                    ELSE 'INTERNAL_ERROR'
                END;
                IF error_code = 'INTERNAL_ERROR' THEN
                    v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                ELSIF error_code = 'DUPLICATE_RESERVATION' THEN
                    -- Another call of this session was faster, and its hold may be the one that is
                    -- wanted.
                    IF current_setting('transaction_isolation') IN (
                        'repeatable read', 'serializable'
                    ) THEN
                        RAISE EXCEPTION 'the session has reserved since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    ELSIF {{ internal_schema }}.wait_for_others(v_since) THEN
                        error_code := NULL;
                    END IF;
                END IF;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        seat_count := v_wanted;
    ELSE
        -- Values of a failed attempt are not part of the answer.
        reservation_id := NULL;
        reservation_token := NULL;
        expires_at := NULL;
        total_amount_in_cents := NULL;
        currency := NULL;
        -- If nothing has been written yet, and by the setting the shop writes nothing else, the
        -- commit is about one row of a log, and thousands of refusals need not wait for the disk.
        IF error_code = 'SEATS_UNAVAILABLE' AND NOT v_has_waited THEN
            IF v_look.async_conflict_log AND pg_current_xact_id_if_assigned() IS NULL THEN
                PERFORM set_config('synchronous_commit', 'off', true);
            END IF;
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'reserve_seats', error_code, error_message, p_show_id, NULL, p_session_id, p_seat_ids,
            p_user_agent, p_ip_address, v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.reserve_seats(uuid, uuid[], text, text, text, text, inet) IS
'Holds seats of a show for a session, all or none, for ticketing_settings.hold_minutes. Repeated '
'with the same session and seats while that hold is live, returns that hold. Waits at most 2 s '
'for locks of other sessions, then refuses with SEATS_UNAVAILABLE. Error codes: INVALID_INPUT, '
'SHOW_NOT_ON_SALE, TOO_MANY_SEATS, DUPLICATE_RESERVATION, SEATS_NOT_FOUND, SEATS_UNAVAILABLE, '
'DOUBLE_BOOKING_PREVENTED, INTERNAL_ERROR. Amounts are in the minor unit of the currency. Raises '
'serialization_failure if a transaction at REPEATABLE READ or above has to be retried, '
'lock_not_available if even the log is locked, and the error of the server if the transaction is '
'read-only or the caller lacks a privilege: nothing has been written then.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reserve_seats(uuid, uuid[], text, text, text, text, inet)
TO {{ app_role }};
{% endif %}
