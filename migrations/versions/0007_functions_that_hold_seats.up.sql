-- 0007: Functions that hold seats.
-- A template, frozen by `ticketdb revision`.

-- object: functions/error_message.sql sha256=a7c972b51496e125eb92c2ba2bb4453537b6e29d698e92b843231c8c7c3df0b8
-- What the caller reads, written once. The guide's queries search for the words of the first two.
CREATE OR REPLACE FUNCTION {{ schema }}.error_message(p_error_code text)
RETURNS text
LANGUAGE sql
IMMUTABLE
RETURN
CASE p_error_code
    WHEN 'SEATS_UNAVAILABLE' THEN 'One or more seats were taken by another customer'
    WHEN 'DOUBLE_BOOKING_PREVENTED'
        THEN 'Database constraint prevented double-booking: reservation_seats_no_double_booking'
    WHEN 'INVALID_INPUT' THEN 'The input is not valid'
    WHEN 'SHOW_NOT_ON_SALE' THEN 'The show does not exist or is not on sale'
    WHEN 'TOO_MANY_SEATS' THEN 'More seats than one reservation may hold'
    WHEN 'DUPLICATE_RESERVATION' THEN 'The session already holds seats of this show'
    WHEN 'SEATS_NOT_FOUND' THEN 'One or more seats are not part of this show or reservation'
    WHEN 'NOT_FOUND' THEN 'There is no such reservation or order'
    WHEN 'PERMISSION_DENIED' THEN 'The reservation belongs to another session'
    WHEN 'RESERVATION_INACTIVE' THEN 'The reservation has ended'
    WHEN 'RESERVATION_EXPIRED' THEN 'The reservation is over'
    WHEN 'MAX_EXTENSIONS_REACHED' THEN 'The reservation cannot be extended any further'
    WHEN 'IDEMPOTENCY_KEY_REUSED'
        THEN 'The idempotency key was used for another reservation, or for an order that is over'
    WHEN 'AMOUNT_MISMATCH' THEN 'The amount paid is not the amount of the order'
    WHEN 'ORDER_NOT_PAYABLE' THEN 'The order can no longer be paid'
    WHEN 'ORDER_NOT_REFUNDABLE' THEN 'The order has not been paid or was refunded before'
    WHEN 'EVENT_MISMATCH' THEN 'The event came before with another amount'
    WHEN 'BUSY' THEN 'Somebody else is working on it at this moment, try again'
    -- Not the words of the server: dashboards count errors that say constraint as prevented
    -- double bookings.
    WHEN 'INTERNAL_ERROR' THEN 'Unexpected error, see metadata of the audit log'
END;

COMMENT ON FUNCTION {{ schema }}.error_message(text) IS
'The sentence that goes with an error code of the functions that sell.';

-- object: functions/log_reservation_failure.sql sha256=cf419506db108093bb334ecb8954217bdeb2c7ac6589250f3333849a22dbee0b
-- For the functions that sell: a refused call is a row, since an exception would undo the line
-- that records it.
CREATE OR REPLACE FUNCTION {{ schema }}.log_reservation_failure(
    p_function text,
    p_error_code text,
    p_error_message text,
    p_show_id uuid,
    p_reservation_id uuid,
    p_session_id text,
    p_seat_ids uuid[] DEFAULT NULL,
    p_user_agent text DEFAULT NULL,
    p_ip_address inet DEFAULT NULL,
    p_detail jsonb DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Without its line in the log no call is answered. See wait_for_others(), which leaves time for it.
SET lock_timeout = '250ms'
AS $body$
BEGIN
    INSERT INTO {{ schema }}.seat_reservation_audit_log (
        event_type, reservation_id, show_id, session_id, seat_count, seat_ids, error_code,
        error_message, user_agent, ip_address, metadata
    )
    VALUES (
        'failed',
        p_reservation_id,
        COALESCE(p_show_id, '00000000-0000-0000-0000-000000000000'),
        left(p_session_id, 200),
        COALESCE(cardinality(p_seat_ids), 0),
        COALESCE(p_seat_ids[:100], '{}'),
        p_error_code,
        p_error_message,
        left(p_user_agent, 1000),
        p_ip_address,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.log_reservation_failure(
    text, text, text, uuid, uuid, text, uuid[], text, inet, jsonb
) IS
'Writes a refused call about a hold into seat_reservation_audit_log. Raises lock_not_available '
'where the log is locked. Internal.';

-- object: functions/end_holds.sql sha256=2ceffb4275f73b8baf90843ed53dc857542b12970f72e6aac06cf1c79ed0c0ea
-- Ends holds of one show and frees their seats: the one way in which seats come back from a hold.
-- The caller has locked the reservations and seen that they are active. Driven from arrays: index
-- scans, whatever the statistics say.
CREATE OR REPLACE FUNCTION {{ schema }}.end_holds(
    p_show_id uuid,
    p_reservation_ids uuid[],
    p_status text,
    p_lock_seat_ids uuid[] DEFAULT '{}'
)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_seat_ids uuid[];
BEGIN
    -- FILTER and not WHERE: claims are to be found by their reservation, not by the index of all
    -- live ones.
    SELECT COALESCE(array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}')
    INTO v_seat_ids
    FROM {{ schema }}.reservation_seats AS claim
    WHERE
        claim.reservation_id = ANY(p_reservation_ids)
        AND claim.show_id = p_show_id;

    -- Everybody locks seats in id order, and all at once: the caller's own seats too, if it is to
    -- take any after us.
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(v_seat_ids || p_lock_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    -- Before the claims are released: the audit trigger reads which are live.
    UPDATE {{ schema }}.seat_reservations
    SET
        status = p_status,
        ended_at = v_now
    WHERE
        seat_reservations.show_id = p_show_id
        AND seat_reservations.id = ANY(p_reservation_ids);

    -- Live ones, said so that the index of all live claims does not apply here, either.
    UPDATE {{ schema }}.reservation_seats
    SET released_at = v_now
    WHERE
        reservation_seats.reservation_id = ANY(p_reservation_ids)
        AND reservation_seats.show_id = p_show_id
        AND COALESCE(reservation_seats.released_at, 'infinity') = 'infinity';

    -- A reserved seat is reserved by its live claim: there is only one.
    UPDATE {{ schema }}.show_seats
    SET
        status = 'available',
        reserved_by = NULL,
        reserved_until = NULL
    WHERE
        show_seats.show_id = p_show_id
        AND show_seats.id = ANY(v_seat_ids)
        AND show_seats.status = 'reserved';

    RETURN cardinality(v_seat_ids);
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.end_holds(uuid, uuid[], text, uuid[]) IS
'Ends locked, active reservations of a show as expired or released, frees their seats, and '
'returns how many. Also locks p_lock_seat_ids, in one order with the rest. Internal.';

-- object: functions/expire_holds.sql sha256=b485d98c634c2ace8af203926eecd2ebe3476e6527acea5bb2212f60a6c1173c
-- For a buyer who finds the wanted seats under holds that are over: ends those, without waiting for
-- the cleanup job.
CREATE OR REPLACE FUNCTION {{ schema }}.expire_holds(
    p_show_id uuid,
    p_reservation_ids uuid[],
    p_lock_seat_ids uuid[]
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_locked_ids uuid[];
BEGIN
    v_locked_ids := ARRAY(
        SELECT hold.id
        FROM {{ schema }}.seat_reservations AS hold
        WHERE
            hold.show_id = p_show_id
            AND hold.id = ANY(p_reservation_ids)
            AND hold.ended_at IS NULL
            AND hold.expires_at <= v_now
        ORDER BY hold.id
        FOR UPDATE
    );
    PERFORM {{ schema }}.end_holds(p_show_id, v_locked_ids, 'expired', p_lock_seat_ids);
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.expire_holds(uuid, uuid[], uuid[]) IS
'Ends those of these reservations that are over, and locks p_lock_seat_ids for the caller. '
'Internal.';

-- object: functions/lock_reservation.sql sha256=4ef564a20f729920c74793292fb91338a119b8b45793fe16b68e71ee0a7a9ab9
-- The first step of every call that shows a token. Resolved without a lock, then locked by both
-- keys: a lock without an equality on the show could not be routed on a distributed table.
CREATE OR REPLACE FUNCTION {{ schema }}.lock_reservation(p_reservation_token text)
RETURNS {{ schema }}.seat_reservations
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_show_id uuid;
    v_id uuid;
    v_hold {{ schema }}.seat_reservations;
BEGIN
    SELECT
        hold.show_id,
        hold.id
    INTO
        v_show_id,
        v_id
    FROM {{ schema }}.seat_reservations AS hold
    WHERE hold.reservation_token = p_reservation_token;

    SELECT hold.*
    INTO v_hold
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.show_id = v_show_id
        AND hold.id = v_id
    FOR UPDATE;
    RETURN v_hold;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.lock_reservation(text) IS
'Locks the reservation with this token and returns it as it is then; a row of NULLs when there is '
'none. Who decides by what it returns changes the row, too: at REPEATABLE READ a lock alone makes '
'nobody fail who decided otherwise. Internal.';

-- object: functions/reserve_seats.sql sha256=05824e59468fc028b9cbdc4c0ec5a4dfc22f43c1565fb200050352085d2c876d
-- Holds seats for a session: all of them or none. The hot path. Three statements and no more: a
-- look that locks nothing, so that losing is cheap; (seldom) ending holds that are over; and one
-- that locks the seats in id order and writes. Where somebody else has locked what they need, all
-- of it again, see wait_for_others().
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
-- Of each wait, see wait_for_others(). The caller's own does not count.
SET lock_timeout = '100ms'
-- A custom plan for = ANY(p_seat_ids) always looks cheaper, and making it anew costs more than the
-- statement.
SET plan_cache_mode = 'force_generic_plan'
-- A plan made while the tables are still empty is kept until they are analysed: it must not be a
-- scan.
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
        -- The limit that is set above does for ten.
        PERFORM {{ schema }}.wait_for_others(v_since, v_wanted);
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            v_now := clock_timestamp();
            SELECT
                settings.max_seats_per_reservation,
                settings.hold_minutes,
                settings.async_conflict_log,
                show.status,
                show.currency,
                CASE WHEN own.expires_at > v_now THEN own.id END AS hold_id,
                seats.found,
                seats.free,
                seats.over_ids || CASE WHEN own.expires_at <= v_now THEN own.id END AS over_ids
            INTO v_look
            FROM (
                -- The limit tells the planner what it cannot know of a boolean key: one row. It
                -- would take the rest for costly enough to be compiled.
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
                    -- Thousands of seats are not looked up to be refused.
                    AND v_wanted <= settings.max_seats_per_reservation
            ) AS seats;

            IF v_look.found < v_wanted THEN
                -- Asked only where seats are missing. A NULL does not count as a seat, either.
                SELECT CASE WHEN count(DISTINCT wanted.id) < v_wanted THEN 'INVALID_INPUT' END
                INTO error_code
                FROM unnest(p_seat_ids) AS wanted (id);
                EXIT WHEN error_code IS NOT NULL;
            END IF;

            IF v_look.hold_id IS NOT NULL AND v_look.status <> 'cancelled' THEN
                -- Asked for before, and the answer got lost, or clicked twice? A hold of the very
                -- same seats is returned as it is. Locked, so that a snapshot of long ago does not
                -- show one that is gone.
                SELECT
                    hold.reservation_token,
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
                -- Ended by somebody who was waited for: there may be nothing in the way any more.
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
                WHEN v_look.status IS DISTINCT FROM 'on_sale' THEN 'SHOW_NOT_ON_SALE'
                WHEN v_wanted > v_look.max_seats_per_reservation THEN 'TOO_MANY_SEATS'
                WHEN v_look.hold_id IS NOT NULL THEN 'DUPLICATE_RESERVATION'
                WHEN v_look.found < v_wanted THEN 'SEATS_NOT_FOUND'
                WHEN v_look.free < v_wanted THEN 'SEATS_UNAVAILABLE'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF cardinality(array_remove(v_look.over_ids, NULL)) > 0 THEN
                -- They may have more seats than we want, and each somebody who has locked it.
                PERFORM {{ schema }}.wait_for_others(
                    v_since, v_wanted * v_look.max_seats_per_reservation
                );
                PERFORM {{ schema }}.expire_holds(p_show_id, v_look.over_ids, p_seat_ids);
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
                    show_id, session_id, user_id, email, user_agent, ip_address, expires_at,
                    created_at
                )
                SELECT
                    p_show_id,
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
                hold.reservation_token,
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

            -- Somebody was faster between the look and the lock, perhaps this very session: a
            -- second look tells. Nothing has been written.
            error_code := CASE WHEN v_was_beaten THEN 'SEATS_UNAVAILABLE' END;
            v_was_beaten := true;
        EXCEPTION
            WHEN serialization_failure THEN
                -- Only in REPEATABLE READ and above, whose callers retry on this SQLSTATE.
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ schema }}.wait_for_others(v_since, v_wanted) THEN
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
                    -- This session was faster elsewhere, and its hold may be the one asked for.
                    IF current_setting('transaction_isolation') IN (
                        'repeatable read', 'serializable'
                    ) THEN
                        RAISE EXCEPTION 'the session has reserved since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    ELSIF {{ schema }}.wait_for_others(v_since) THEN
                        error_code := NULL;
                    END IF;
                END IF;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        seat_count := v_wanted;
    ELSE
        -- What an attempt that failed has found is no answer.
        reservation_id := NULL;
        reservation_token := NULL;
        expires_at := NULL;
        total_amount_in_cents := NULL;
        currency := NULL;
        -- Where nothing has been written so far and the shop says that nothing will be, the commit
        -- is about one line of a log, and thousands need not wait for the disk.
        IF error_code = 'SEATS_UNAVAILABLE' AND NOT v_has_waited THEN
            IF v_look.async_conflict_log AND pg_current_xact_id_if_assigned() IS NULL THEN
                PERFORM set_config('synchronous_commit', 'off', true);
            END IF;
        END IF;
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_reservation_failure(
            'reserve_seats', error_code, error_message, p_show_id, NULL, p_session_id, p_seat_ids,
            p_user_agent, p_ip_address, v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.reserve_seats(uuid, uuid[], text, text, text, text, inet) IS
'Holds seats of a show for a session, all or none, for ticketing_settings.hold_minutes. Repeated '
'with the same session and seats while that hold lives, returns that hold again. Waits at most 2 s '
'for locks of others, then SEATS_UNAVAILABLE. Error codes: INVALID_INPUT, SHOW_NOT_ON_SALE, '
'TOO_MANY_SEATS, DUPLICATE_RESERVATION, SEATS_NOT_FOUND, SEATS_UNAVAILABLE, '
'DOUBLE_BOOKING_PREVENTED, INTERNAL_ERROR. Amounts in the minor unit of the currency. Raises '
'serialization_failure where a transaction at REPEATABLE READ or above has to be tried again, '
'lock_not_available where even the log is locked, and, where the transaction is read-only or the '
'caller has no right, the error of the server: nothing has been written then.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reserve_seats(uuid, uuid[], text, text, text, text, inet)
TO {{ app_role }};
{% endif %}

-- object: functions/extend_reservation.sql sha256=b4518140fd7f4f61e315cf882cce10cb6e1a53cd3520930a3f272158d208bfc2
-- Gives a buyer who is still busy more time.
CREATE OR REPLACE FUNCTION {{ schema }}.extend_reservation(
    p_reservation_token text,
    p_session_id text,
    p_expires_at timestamptz DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
    expires_at timestamptz,
    extensions_remaining integer,
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
    v_settings record;
    -- A record: a row type would be looked up, and waited for, before the block begins.
    v_hold record;
    v_show_id uuid;
    v_expires_at timestamptz;
    v_is_repeated boolean;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := {{ schema }}.lock_reservation(p_reservation_token);
            reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                policy.extension_minutes,
                policy.max_extensions,
                policy.max_hold_minutes,
                show.status = 'cancelled' AS is_cancelled
            INTO v_settings
            FROM {{ schema }}.ticketing_settings AS policy
            LEFT JOIN {{ schema }}.shows AS show ON show.id = v_hold.show_id
            WHERE policy.singleton;
            v_expires_at := LEAST(
                v_hold.expires_at + make_interval(mins => v_settings.extension_minutes),
                v_hold.created_at + make_interval(mins => v_settings.max_hold_minutes)
            );
            -- Not to the microsecond: a JavaScript date has milliseconds, some clients print
            -- seconds.
            v_is_repeated := COALESCE(v_hold.expires_at - p_expires_at >= interval '1 s', false);
            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_settings.is_cancelled THEN 'SHOW_NOT_ON_SALE'
                WHEN v_is_repeated THEN NULL
                WHEN v_hold.extension_count >= v_settings.max_extensions
                    OR v_expires_at <= v_hold.expires_at
                    THEN 'MAX_EXTENSIONS_REACHED'
            END;
            IF error_code IS NULL AND NOT v_is_repeated THEN
                -- A trigger moves reserved_until of the seats, another writes the audit log.
                UPDATE {{ schema }}.seat_reservations
                SET
                    expires_at = v_expires_at,
                    extension_count = seat_reservations.extension_count + 1
                WHERE
                    seat_reservations.id = v_hold.id
                    AND seat_reservations.show_id = v_hold.show_id
                RETURNING seat_reservations.* INTO v_hold;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ schema }}.wait_for_others(v_since) THEN
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
        expires_at := v_hold.expires_at;
        extensions_remaining := GREATEST(
            0, v_settings.max_extensions - v_hold.extension_count
        );
    ELSE
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_reservation_failure(
            'extend_reservation', error_code, error_message, v_show_id, reservation_id,
            p_session_id, p_detail => v_detail
        );
        reservation_id := NULL;
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.extend_reservation(text, text, timestamptz) IS
'Extends a hold by ticketing_settings.extension_minutes, at most max_extensions times and '
'max_hold_minutes in all. Safe to repeat for who gives p_expires_at, the end that the caller '
'knows of: a hold that ends later by now is returned as it is. Error codes: NOT_FOUND, '
'PERMISSION_DENIED, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), '
'MAX_EXTENSIONS_REACHED, BUSY (somebody else had it locked for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.extend_reservation(text, text, timestamptz)
TO {{ app_role }};
{% endif %}

-- object: functions/release_reservation.sql sha256=b7b431558d775e682a099cd5b6d54d6b2c570c985a839d83a52f01b2dd6ae061
-- Gives seats back before the hold is over: all of them, or some.
CREATE OR REPLACE FUNCTION {{ schema }}.release_reservation(
    p_reservation_token text,
    p_session_id text,
    p_seat_ids uuid[] DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
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
    -- A record: a row type would be looked up, and waited for, before the block begins.
    v_hold record;
    v_show_id uuid;
    v_held_ids uuid[];
    v_wanted_ids uuid[];
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := {{ schema }}.lock_reservation(p_reservation_token);
            reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            INTO v_held_ids
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = v_hold.id
                AND claim.show_id = v_hold.show_id;
            v_wanted_ids := CASE
                WHEN p_seat_ids IS NULL THEN v_held_ids
                ELSE ARRAY(SELECT DISTINCT wanted.id FROM unnest(p_seat_ids) AS wanted (id))
            END;
            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_hold.status <> 'active' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_INACTIVE'
                WHEN cardinality(v_wanted_ids) = 0 OR NOT v_wanted_ids <@ v_held_ids
                    THEN 'SEATS_NOT_FOUND'
            END;
            IF error_code IS NULL THEN
                -- What was ordered is no longer what is held. A payment that comes all the same
                -- will be refund_due.
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'cancelled',
                    cancel_reason = 'released'
                WHERE
                    ticket_orders.reservation_id = v_hold.id
                    AND ticket_orders.show_id = v_hold.show_id
                    AND ticket_orders.status IN ('pending', 'failed');

                IF v_wanted_ids @> v_held_ids THEN
                    seats_released := {{ schema }}.end_holds(
                        v_hold.show_id, ARRAY[v_hold.id], 'released'
                    );
                ELSE
                    PERFORM
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = v_hold.show_id
                        AND seat.id = ANY(v_wanted_ids)
                    ORDER BY seat.id
                    FOR UPDATE;

                    -- The hold goes on with fewer seats, and who has decided by the seats that it
                    -- had (an order, at REPEATABLE READ) is to fail: a change of nothing does that.
                    UPDATE {{ schema }}.seat_reservations
                    SET extension_count = seat_reservations.extension_count
                    WHERE
                        seat_reservations.id = v_hold.id
                        AND seat_reservations.show_id = v_hold.show_id;

                    UPDATE {{ schema }}.reservation_seats
                    SET released_at = clock_timestamp()
                    WHERE
                        reservation_seats.reservation_id = v_hold.id
                        AND reservation_seats.show_id = v_hold.show_id
                        AND reservation_seats.show_seat_id = ANY(v_wanted_ids);

                    UPDATE {{ schema }}.show_seats
                    SET
                        status = 'available',
                        reserved_by = NULL,
                        reserved_until = NULL
                    WHERE
                        show_seats.show_id = v_hold.show_id
                        AND show_seats.id = ANY(v_wanted_ids)
                        AND show_seats.reserved_by = v_hold.id;

                    -- The reservation goes on, so its trigger sees nothing.
                    INSERT INTO {{ schema }}.seat_reservation_audit_log (
                        event_type, reservation_id, show_id, session_id, seat_count, seat_ids,
                        metadata
                    )
                    VALUES (
                        'released', v_hold.id, v_hold.show_id, v_hold.session_id,
                        cardinality(v_wanted_ids), v_wanted_ids, '{"partial": true}'
                    );
                    seats_released := cardinality(v_wanted_ids);
                END IF;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ schema }}.wait_for_others(v_since) THEN
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
    IF NOT success THEN
        seats_released := NULL;
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_reservation_failure(
            'release_reservation', error_code, error_message, v_show_id, reservation_id,
            p_session_id, p_seat_ids, p_detail => v_detail
        );
        reservation_id := NULL;
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.release_reservation(text, text, uuid[]) IS
'Gives back seats of a hold; NULL seat ids: all, which ends it. Cancels an order that is not '
'paid. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, SEATS_NOT_FOUND, BUSY '
'(somebody else had it locked for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.release_reservation(text, text, uuid[]) TO {{ app_role }};
{% endif %}

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
