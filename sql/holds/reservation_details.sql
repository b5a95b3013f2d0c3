-- What get_reservation() and get_session_reservations() answer.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_details(
    p_show_ids uuid[],
    p_reservation_ids uuid[]
)
RETURNS TABLE (
    reservation_id uuid,
    reservation_token text,
    show_id uuid,
    session_id text,
    status text,
    expires_at timestamptz,
    extensions_remaining integer,
    seat_ids uuid[],
    prices_in_cents bigint[],
    ticket_types text[],
    total_amount_in_cents bigint,
    currency text,
    order_id uuid,
    order_status text
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
-- Each reservation by its key, and what belongs to it by its own.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    SELECT
        hold.id,
        hold.reservation_token::text,
        hold.show_id,
        hold.session_id::text,
        present.status,
        hold.expires_at,
        CASE
            WHEN present.status = 'active'
                THEN GREATEST(0, policy.max_extensions - hold.extension_count)
            ELSE 0
        END,
        claims.seat_ids,
        claims.prices_in_cents,
        claims.ticket_types,
        claims.total_amount_in_cents,
        claims.currency,
        last_order.id,
        last_order.status
    FROM unnest(p_show_ids, p_reservation_ids) AS wanted (show_id, id)
    INNER JOIN {{ schema }}.seat_reservations AS hold
        ON hold.show_id = wanted.show_id AND hold.id = wanted.id
    INNER JOIN {{ schema }}.ticketing_settings AS policy ON policy.singleton
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN hold.status = 'active' AND hold.expires_at <= v_now THEN 'expired'
                ELSE hold.status::text
            END AS status
    ) AS present
    CROSS JOIN LATERAL (
        -- FILTER instead of WHERE, so that claims are found by their reservation and not by the
        -- index of all live claims.
        SELECT
            COALESCE(
                array_agg(claim.show_seat_id ORDER BY claim.show_seat_id)
                FILTER (WHERE claim.is_live),
                '{}'
            ) AS seat_ids,
            COALESCE(
                array_agg(claim.price_in_cents ORDER BY claim.show_seat_id)
                FILTER (WHERE claim.is_live),
                '{}'
            ) AS prices_in_cents,
            COALESCE(
                array_agg(claim.ticket_type::text ORDER BY claim.show_seat_id)
                FILTER (WHERE claim.is_live),
                '{}'
            ) AS ticket_types,
            COALESCE(
                sum(claim.price_in_cents) FILTER (WHERE claim.is_live), 0
            )::bigint AS total_amount_in_cents,
            min(claim.currency) AS currency
        FROM (
            SELECT
                claimed.show_seat_id,
                claimed.price_in_cents,
                claimed.ticket_type,
                claimed.currency,
                -- An overdue hold has no seats, whether or not the cleanup has run.
                claimed.released_at IS NULL
                AND present.status IN ('active', 'completed') AS is_live
            FROM {{ schema }}.reservation_seats AS claimed
            WHERE
                claimed.reservation_id = hold.id
                AND claimed.show_id = hold.show_id
        ) AS claim
    ) AS claims
    LEFT JOIN LATERAL (
        SELECT
            known.id,
            known.status
        FROM {{ schema }}.ticket_orders AS known
        WHERE
            known.reservation_id = hold.id
            AND known.show_id = hold.show_id
        ORDER BY
            known.status IN ('pending', 'paid') DESC,
            known.created_at DESC,
            known.id DESC
        LIMIT 1
    ) AS last_order ON true
    ORDER BY
        hold.created_at,
        hold.id;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_details(uuid[], uuid[]) IS
'These reservations, each by its show and id, oldest first, with seats, prices and order.';
