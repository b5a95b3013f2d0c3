-- Adds seats to a hold: all of them or none. Its clock goes on as before.
CREATE OR REPLACE FUNCTION {{ schema }}.add_seats(
    p_reservation_token text,
    p_session_id text,
    p_seat_ids uuid[]
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
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_wanted constant integer := cardinality(p_seat_ids);
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would wait for a locked table before the block begins.
    v_hold record;
    v_look record;
    v_seats record;
    v_show_id uuid;
    v_reservation_id uuid;
    v_new_ids uuid[];
    v_added bigint;
    v_was_beaten boolean := false;
    -- Whether it waits for seats, and not for the hold or its order.
    v_waits_for_seats boolean;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    IF v_wanted > 10 THEN
        -- The lock_timeout above is short enough for ten seats.
        PERFORM {{ internal_schema }}.wait_for_others(v_since, v_wanted);
    END IF;

    LOOP
        v_waits_for_seats := false;
        BEGIN
            v_now := clock_timestamp();
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                policy.max_seats_per_reservation,
                show.status,
                show.status = 'on_sale'
                AND COALESCE(show.sales_start_at <= v_now, true)
                AND COALESCE(show.sales_end_at > v_now, true) AS is_on_sale,
                show.currency,
                held.seat_ids
            INTO v_look
            FROM {{ schema }}.ticketing_settings AS policy
            LEFT JOIN {{ schema }}.shows AS show ON show.id = v_show_id
            CROSS JOIN LATERAL (
                SELECT
                    COALESCE(
                        array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                    ) AS seat_ids
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = v_reservation_id
                    AND claim.show_id = v_show_id
            ) AS held
            WHERE policy.singleton;
            -- Seats that the hold has already: the answer of an earlier call may have been lost.
            v_new_ids := ARRAY(
                SELECT wanted.id
                FROM unnest(p_seat_ids) AS wanted (id)
                WHERE wanted.id <> ALL(v_look.seat_ids)
                GROUP BY wanted.id
            );

            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN COALESCE(v_wanted, 0) = 0
                    OR (SELECT count(DISTINCT wanted.id) FROM unnest(p_seat_ids) AS wanted (id))
                    < v_wanted
                    THEN 'INVALID_INPUT'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= v_now
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_look.status = 'cancelled' THEN 'SHOW_NOT_ON_SALE'
                WHEN v_new_ids = '{}' THEN NULL
                WHEN v_look.is_on_sale IS NOT TRUE THEN 'SHOW_NOT_ON_SALE'
                WHEN cardinality(v_look.seat_ids || v_new_ids) > v_look.max_seats_per_reservation
                    THEN 'TOO_MANY_SEATS'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_new_ids <> '{}' THEN
                SELECT
                    count(*) AS found,
                    count(*) FILTER (
                        WHERE seat.status = 'available' OR seat.reserved_until <= v_now
                    ) AS free,
                    array_agg(seat.reserved_by) FILTER (
                        WHERE seat.reserved_until <= v_now
                    ) AS over_ids
                INTO v_seats
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = v_show_id
                    AND seat.id = ANY(v_new_ids);
                error_code := CASE
                    WHEN v_seats.found < cardinality(v_new_ids) THEN 'SEATS_NOT_FOUND'
                    WHEN v_seats.free < cardinality(v_new_ids) THEN 'SEATS_UNAVAILABLE'
                END;
                EXIT WHEN error_code IS NOT NULL;

                -- Before the seats are locked; changed when they have been obtained.
                PERFORM
                FROM {{ schema }}.ticket_orders AS due
                WHERE
                    due.reservation_id = v_reservation_id
                    AND due.show_id = v_show_id
                    AND due.status IN ('pending', 'failed')
                ORDER BY due.id
                FOR UPDATE;

                v_waits_for_seats := true;
                IF v_seats.over_ids IS NOT NULL THEN
                    -- These holds may have more seats than are wanted, each locked by another
                    -- session.
                    PERFORM {{ internal_schema }}.wait_for_others(
                        v_since, v_wanted * v_look.max_seats_per_reservation
                    );
                    PERFORM {{ internal_schema }}.expire_reservations_for_buyer(
                        v_show_id, v_seats.over_ids, v_new_ids
                    );
                END IF;

                PERFORM
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = v_show_id
                    AND seat.id = ANY(v_new_ids)
                    AND seat.status = 'available'
                ORDER BY seat.id
                FOR UPDATE;
                GET DIAGNOSTICS v_added = ROW_COUNT;
                v_waits_for_seats := false;
                IF v_added < cardinality(v_new_ids) THEN
                    -- Another call was faster between the look and the lock: look again to find out.
                    -- Nothing has been written.
                    error_code := CASE WHEN v_was_beaten THEN 'SEATS_UNAVAILABLE' END;
                    v_was_beaten := true;
                    EXIT WHEN error_code IS NOT NULL;
                    CONTINUE;
                END IF;

                -- The order no longer matches the hold. A payment that arrives for it becomes
                -- refund_due.
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'cancelled',
                    cancel_reason = 'changed'
                WHERE
                    ticket_orders.reservation_id = v_reservation_id
                    AND ticket_orders.show_id = v_show_id
                    AND ticket_orders.status IN ('pending', 'failed');

                -- A concurrent transaction that has read the old seats (an order, at REPEATABLE
                -- READ) must fail: an update that changes nothing achieves this.
                UPDATE {{ schema }}.seat_reservations
                SET extension_count = seat_reservations.extension_count
                WHERE
                    seat_reservations.id = v_reservation_id
                    AND seat_reservations.show_id = v_show_id;

                INSERT INTO {{ schema }}.reservation_seats AS claim (
                    reservation_id, show_seat_id, show_id, price_in_cents, currency
                )
                SELECT
                    v_reservation_id,
                    seat.id,
                    v_show_id,
                    seat.price_in_cents,
                    v_look.currency
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = v_show_id
                    AND seat.id = ANY(v_new_ids)
                -- A seat that this hold has given back before.
                ON CONFLICT ON CONSTRAINT reservation_seats_pkey DO UPDATE SET
                    price_in_cents = excluded.price_in_cents,
                    currency = excluded.currency,
                    ticket_type = NULL,
                    released_at = NULL;

                UPDATE {{ schema }}.show_seats
                SET
                    status = 'reserved',
                    reserved_by = v_reservation_id,
                    reserved_until = v_hold.expires_at
                WHERE
                    show_seats.show_id = v_show_id
                    AND show_seats.id = ANY(v_new_ids);

                -- The status of the reservation stays, so the audit trigger does not fire.
                INSERT INTO {{ schema }}.seat_reservation_audit_log (
                    event_type, reservation_id, show_id, session_id, seat_count, seat_ids
                )
                VALUES (
                    'added', v_reservation_id, v_show_id, v_hold.session_id,
                    cardinality(v_new_ids), v_new_ids
                );
            END IF;

            SELECT
                count(*)::integer,
                sum(claim.price_in_cents)::bigint,
                min(claim.currency)
            INTO
                seat_count,
                total_amount_in_cents,
                currency
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = v_reservation_id
                AND claim.show_id = v_show_id
                -- Live ones, in a form that does not match the index of all live claims.
                AND COALESCE(claim.released_at, 'infinity') = 'infinity';
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_wanted) THEN
                    error_code := CASE
                        WHEN v_waits_for_seats THEN 'SEATS_UNAVAILABLE'
                        ELSE 'BUSY'
                    END;
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'reservation_seats_no_double_booking' THEN
                    error_code := 'DOUBLE_BOOKING_PREVENTED';
                ELSE
                    error_code := 'INTERNAL_ERROR';
                    v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                END IF;
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        reservation_id := v_reservation_id;
        reservation_token := v_hold.reservation_token;
        expires_at := v_hold.expires_at;
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'add_seats', error_code, error_message, v_show_id, v_reservation_id, p_session_id,
            p_seat_ids, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.add_seats(text, text, uuid[]) IS
'Adds seats to a hold, all or none, which ends when it did before; returns all that it has then. '
'Seats that it has already stay as they are, so the call is safe to repeat. Cancels an order that '
'is not paid, since it no longer matches. Error codes: NOT_FOUND, PERMISSION_DENIED, '
'INVALID_INPUT, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE, TOO_MANY_SEATS (with '
'those it has), SEATS_NOT_FOUND, SEATS_UNAVAILABLE, DOUBLE_BOOKING_PREVENTED, BUSY (locked by '
'another session for 2 s), INTERNAL_ERROR. Amounts are in the minor unit of the currency.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.add_seats(text, text, uuid[]) TO {{ app_role }};
{% endif %}
