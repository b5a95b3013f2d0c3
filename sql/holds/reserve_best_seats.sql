-- Holds the best seats that are free, so that buyers who do not mind which ones, or have none, as
-- with standing places, do not want the same. Seats that another session has locked are skipped: it
-- waits only for the last ones.
CREATE OR REPLACE FUNCTION {{ schema }}.reserve_best_seats(
    p_show_id uuid,
    p_quantity integer,
    p_session_id text,
    p_section text DEFAULT NULL,
    p_max_price_in_cents bigint DEFAULT NULL,
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
    seat_ids uuid[],
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
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_max_price constant bigint := COALESCE(p_max_price_in_cents, 9223372036854775807);
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    v_look record;
    v_locked_ids uuid[];
    -- Seats that others have locked, and holds that this call has tried to end.
    v_taken_ids uuid[] := '{}'::uuid[];
    v_tried_ids uuid[] := '{}'::uuid[];
    v_over_ids uuid[];
    v_ended record;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    -- Values that do not fit the columns are refused here rather than by a CHECK.
    IF p_show_id IS NULL
        OR COALESCE(p_quantity, 0) < 1
        OR COALESCE(p_session_id, '') !~ '[^[:space:]]'
        OR p_section !~ '[^[:space:]]'
        OR p_max_price_in_cents < 0
        OR length(p_session_id) > 200
        OR length(p_user_id) > 200
        OR length(p_email) > 320
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            v_now := clock_timestamp();
            SELECT
                settings.max_seats_per_reservation,
                settings.hold_minutes,
                show.status,
                show.status = 'on_sale'
                AND COALESCE(show.sales_start_at <= v_now, true)
                AND COALESCE(show.sales_end_at > v_now, true) AS is_on_sale,
                show.currency,
                CASE WHEN own.expires_at > v_now THEN own.id END AS hold_id,
                CASE WHEN own.expires_at <= v_now THEN own.id END AS over_id,
                p_section IS NULL
                OR EXISTS (
                    SELECT
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.section = p_section
                ) AS is_found
            INTO v_look
            FROM (
                -- LIMIT shows the planner that a boolean key means one row.
                SELECT
                    policy.max_seats_per_reservation,
                    policy.hold_minutes
                FROM {{ schema }}.ticketing_settings AS policy
                WHERE policy.singleton
                LIMIT 1
            ) AS settings
            LEFT JOIN {{ schema }}.shows AS show ON show.id = p_show_id
            LEFT JOIN {{ schema }}.seat_reservations AS own
                ON
                    own.show_id = p_show_id
                    AND own.session_id = p_session_id
                    AND own.status = 'active';

            IF v_look.hold_id IS NOT NULL AND v_look.status <> 'cancelled' THEN
                -- The answer of an earlier call may have been lost: a hold of seats such as these
                -- is returned. It is locked, so that an old snapshot does not show a hold that has
                -- ended.
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
                -- It was ended while this call waited for its lock.
                CONTINUE WHEN NOT FOUND;

                SELECT
                    CASE WHEN expires_at > v_now THEN v_look.hold_id END,
                    array_agg(
                        seat.id ORDER BY
                            seat.section, seat.row_position, seat.row_label, seat.seat_position
                    ),
                    sum(claim.price_in_cents)::bigint,
                    min(claim.currency)
                INTO
                    reservation_id,
                    seat_ids,
                    total_amount_in_cents,
                    currency
                FROM {{ schema }}.reservation_seats AS claim
                INNER JOIN {{ schema }}.show_seats AS seat
                    ON seat.id = claim.show_seat_id AND seat.show_id = claim.show_id
                WHERE
                    claim.reservation_id = v_look.hold_id
                    AND claim.show_id = p_show_id
                    -- Live ones, in a form that does not match the index of all live claims.
                    AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                HAVING
                    count(*) = p_quantity
                    AND bool_and(seat.section = COALESCE(p_section, seat.section))
                    AND max(claim.price_in_cents) <= v_max_price;
                EXIT WHEN reservation_id IS NOT NULL;
            END IF;

            error_code := CASE
                WHEN v_look.is_on_sale IS NOT TRUE THEN 'SHOW_NOT_ON_SALE'
                WHEN p_quantity > v_look.max_seats_per_reservation THEN 'TOO_MANY_SEATS'
                WHEN v_look.hold_id IS NOT NULL THEN 'DUPLICATE_RESERVATION'
                WHEN NOT v_look.is_found THEN 'SEATS_NOT_FOUND'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_look.over_id IS NOT NULL THEN
                PERFORM {{ internal_schema }}.expire_reservations_for_buyer(
                    p_show_id, ARRAY[v_look.over_id], '{}'
                );
            END IF;

            FOR seat_ids IN
                SELECT best.seat_ids
                FROM {{ internal_schema }}.best_seats(
                    p_show_id, p_quantity, p_section, v_max_price, v_taken_ids
                ) AS best
            LOOP
                CONTINUE WHEN seat_ids && v_taken_ids;

                WITH locked AS (
                    SELECT
                        seat.id,
                        seat.price_in_cents
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.id = ANY(seat_ids)
                        AND seat.status = 'available'
                        AND seat.price_in_cents <= v_max_price
                    ORDER BY seat.id
                    FOR UPDATE SKIP LOCKED
                ),

                hold AS (
                    INSERT INTO {{ schema }}.seat_reservations (
                        show_id, reservation_token, session_id, user_id, email, user_agent,
                        ip_address, expires_at, created_at
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
                    WHERE (SELECT count(*) FROM locked) = p_quantity
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
                        AND show_seats.id = ANY(seat_ids)
                )

                SELECT
                    all_locked.ids,
                    hold.id,
                    hold.reservation_token::text,
                    hold.expires_at,
                    all_locked.total
                INTO
                    v_locked_ids,
                    reservation_id,
                    reservation_token,
                    expires_at,
                    total_amount_in_cents
                FROM (
                    SELECT
                        COALESCE(array_agg(locked.id), '{}') AS ids,
                        sum(locked.price_in_cents)::bigint AS total
                    FROM locked
                ) AS all_locked
                LEFT JOIN hold ON true;
                EXIT WHEN reservation_id IS NOT NULL;

                v_taken_ids := v_taken_ids || ARRAY(
                    SELECT wanted.id
                    FROM unnest(seat_ids) AS wanted (id)
                    WHERE wanted.id <> ALL(v_locked_ids)
                );
                IF v_locked_ids <> '{}' THEN
                    -- Releases the locks, for those who want these seats.
                    RAISE EXCEPTION 'others have some of the seats' USING ERRCODE = 'TDB01';
                END IF;
            END LOOP;
            currency := v_look.currency;
            EXIT WHEN reservation_id IS NOT NULL;
            -- All that were proposed are locked, so more are needed.
            CONTINUE WHEN FOUND;

            v_over_ids := ARRAY(
                SELECT hold.id
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.is_active
                    AND hold.expires_at <= v_now
                    AND hold.show_id = p_show_id
                    AND hold.id <> ALL(v_tried_ids)
                    AND EXISTS (
                        SELECT
                        FROM {{ schema }}.reservation_seats AS claim
                        INNER JOIN {{ schema }}.show_seats AS seat
                            ON seat.id = claim.show_seat_id AND seat.show_id = claim.show_id
                        WHERE
                            claim.reservation_id = hold.id
                            AND claim.show_id = hold.show_id
                            AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                            AND seat.section = COALESCE(p_section, seat.section)
                            AND seat.price_in_cents <= v_max_price
                    )
                ORDER BY
                    hold.expires_at,
                    hold.id
                LIMIT 100
            );
            IF v_over_ids <> '{}' THEN
                v_tried_ids := v_tried_ids || v_over_ids;
                v_ended := {{ internal_schema }}.expire_reservations_for_cleanup(
                    p_show_id, v_over_ids
                );
                IF v_ended.error_code IS NOT NULL THEN
                    RAISE EXCEPTION '%', v_ended.error_message USING ERRCODE = v_ended.error_code;
                END IF;
            ELSIF v_taken_ids <> '{}' AND {{ internal_schema }}.wait_for_others(v_since) THEN
                -- What is left is locked: by those who take it, or only try to. Then look again.
                PERFORM
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = v_taken_ids[1]
                FOR UPDATE;
                v_taken_ids := '{}';
                v_tried_ids := '{}';
                RAISE EXCEPTION 'the seat is not wanted alone' USING ERRCODE = 'TDB01';
            ELSE
                error_code := 'SEATS_UNAVAILABLE';
            END IF;
        EXCEPTION
            WHEN SQLSTATE 'TDB01' THEN
                NULL;
            WHEN serialization_failure THEN
                -- Only at REPEATABLE READ and above, where callers retry on this SQLSTATE.
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_taken_ids := '{}';
                v_tried_ids := '{}';
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
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
        seat_count := p_quantity;
    ELSE
        -- Values of a failed attempt are not part of the answer.
        reservation_id := NULL;
        reservation_token := NULL;
        expires_at := NULL;
        seat_ids := NULL;
        total_amount_in_cents := NULL;
        currency := NULL;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'reserve_best_seats', error_code, error_message, p_show_id, NULL, p_session_id,
            p_user_agent => p_user_agent, p_ip_address => p_ip_address, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.reserve_best_seats(
    uuid, integer, text, text, bigint, text, text, text, inet
) IS
'Holds p_quantity seats of a show for a session, in a section and up to a price each where they '
'are given: adjacent ones where there are any, without leaving a single seat alone if it can be '
'helped, nearest to the front and the middle; else the closest. Skips seats that others are '
'taking; waits for them, at most 2 s, only if there are not enough others. Repeated while the '
'session has a live hold of so many seats there, returns that hold. Error codes: INVALID_INPUT, '
'SHOW_NOT_ON_SALE, TOO_MANY_SEATS, DUPLICATE_RESERVATION, SEATS_NOT_FOUND (no such section), '
'SEATS_UNAVAILABLE, DOUBLE_BOOKING_PREVENTED, INTERNAL_ERROR. Amounts are in the minor unit of '
'the currency. Raises what reserve_seats raises.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reserve_best_seats(
    uuid, integer, text, text, bigint, text, text, text, inet
)
TO {{ app_role }};
{% endif %}
