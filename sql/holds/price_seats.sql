-- Sets price and ticket type of seats that a session holds: for children, members and vouchers. The
-- shop decides; the claims remember it until the tickets are issued.
CREATE OR REPLACE FUNCTION {{ schema }}.price_seats(
    p_reservation_token text,
    p_session_id text,
    p_seat_ids uuid[],
    p_prices_in_cents bigint[],
    p_ticket_types text[]
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
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
    -- A record: a row type would wait for a locked table before the block begins.
    v_hold record;
    v_show_id uuid;
    v_reservation_id uuid;
    v_is_valid boolean;
    v_is_cancelled boolean;
    v_is_ordered boolean;
    v_is_new boolean;
    v_found bigint;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            -- Values that do not fit the columns are refused here rather than by a CHECK.
            SELECT
                count(DISTINCT wanted.id) = v_wanted
                AND v_wanted > 0
                AND v_wanted = cardinality(p_prices_in_cents)
                AND v_wanted = COALESCE(cardinality(p_ticket_types), v_wanted)
                AND bool_and(COALESCE(wanted.price_in_cents BETWEEN 0 AND 100000000000, false))
                AND bool_and(
                    COALESCE(
                        wanted.ticket_type ~ '[^[:space:]]' AND length(wanted.ticket_type) <= 200,
                        true
                    )
                )
            INTO v_is_valid
            FROM unnest(p_seat_ids, p_prices_in_cents, p_ticket_types)
                AS wanted (id, price_in_cents, ticket_type);
            SELECT
                (
                    SELECT show.status = 'cancelled'
                    FROM {{ schema }}.shows AS show
                    WHERE show.id = v_show_id
                ),
                EXISTS (
                    SELECT
                    FROM {{ schema }}.ticket_orders AS existing
                    WHERE
                        existing.reservation_id = v_reservation_id
                        AND existing.show_id = v_show_id
                        -- In a form that does not match the index of all pending orders.
                        AND COALESCE(existing.status, '') IN ('pending', 'failed', 'paid')
                ),
                count(*),
                COALESCE(
                    bool_or(
                        claim.price_in_cents <> wanted.price_in_cents
                        OR p_ticket_types IS NOT NULL
                        AND claim.ticket_type IS DISTINCT FROM wanted.ticket_type
                    ),
                    false
                )
            INTO
                v_is_cancelled,
                v_is_ordered,
                v_found,
                v_is_new
            FROM unnest(p_seat_ids, p_prices_in_cents, p_ticket_types)
                AS wanted (id, price_in_cents, ticket_type)
            INNER JOIN {{ schema }}.reservation_seats AS claim
                ON
                    claim.reservation_id = v_reservation_id
                    AND claim.show_seat_id = wanted.id
                    AND claim.show_id = v_show_id
                    -- Live ones, in a form that does not match the index of all live claims.
                    AND COALESCE(claim.released_at, 'infinity') = 'infinity';

            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_is_valid IS NOT TRUE THEN 'INVALID_INPUT'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_is_cancelled THEN 'SHOW_NOT_ON_SALE'
                WHEN v_found < v_wanted THEN 'SEATS_NOT_FOUND'
                WHEN v_is_ordered AND v_is_new THEN 'ORDER_EXISTS'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_is_new THEN
                -- A concurrent transaction that has read the old prices (an order, at REPEATABLE
                -- READ) must fail: an update that changes nothing achieves this.
                UPDATE {{ schema }}.seat_reservations
                SET extension_count = seat_reservations.extension_count
                WHERE
                    seat_reservations.id = v_reservation_id
                    AND seat_reservations.show_id = v_show_id;

                UPDATE {{ schema }}.reservation_seats
                SET
                    price_in_cents = wanted.price_in_cents,
                    ticket_type = CASE
                        WHEN p_ticket_types IS NULL THEN reservation_seats.ticket_type
                        ELSE wanted.ticket_type
                    END
                FROM unnest(p_seat_ids, p_prices_in_cents, p_ticket_types)
                    AS wanted (id, price_in_cents, ticket_type)
                WHERE
                    reservation_seats.reservation_id = v_reservation_id
                    AND reservation_seats.show_seat_id = wanted.id
                    AND reservation_seats.show_id = v_show_id;

                -- The status of the reservation stays, so the audit trigger does not fire.
                INSERT INTO {{ schema }}.seat_reservation_audit_log (
                    event_type, reservation_id, show_id, session_id, seat_count, seat_ids, metadata
                )
                VALUES (
                    'priced', v_reservation_id, v_show_id, v_hold.session_id, v_wanted, p_seat_ids,
                    jsonb_build_object(
                        'prices_in_cents', p_prices_in_cents, 'ticket_types', p_ticket_types
                    )
                );
            END IF;

            SELECT
                sum(claim.price_in_cents)::bigint,
                min(claim.currency)
            INTO
                total_amount_in_cents,
                currency
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = v_reservation_id
                AND claim.show_id = v_show_id
                AND COALESCE(claim.released_at, 'infinity') = 'infinity';
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
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        reservation_id := v_reservation_id;
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'price_seats', error_code, error_message, v_show_id, v_reservation_id, p_session_id,
            p_seat_ids, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.price_seats(text, text, uuid[], bigint[], text[]) IS
'Sets price and ticket type of seats of a hold, by arrays of the same length; NULL ticket types: '
'they stay. The tickets get both. Returns what all seats of the hold cost. A call that changes '
'nothing succeeds, so it is safe to repeat. Error codes: NOT_FOUND, PERMISSION_DENIED, '
'INVALID_INPUT, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), '
'SEATS_NOT_FOUND, ORDER_EXISTS (an order that is not cancelled), BUSY (locked by another session '
'for 2 s), INTERNAL_ERROR. Amounts are in the minor unit of the currency.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.price_seats(text, text, uuid[], bigint[], text[])
TO {{ app_role }};
{% endif %}
