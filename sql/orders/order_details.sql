-- What get_order() and find_orders() answer.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.order_details(
    p_show_ids uuid[],
    p_order_ids uuid[]
)
RETURNS TABLE (
    order_id uuid,
    show_id uuid,
    reservation_id uuid,
    status text,
    total_amount_in_cents bigint,
    currency text,
    refunded_amount_in_cents bigint,
    payment_provider text,
    payment_intent_id text,
    cancel_reason text,
    error_message text,
    ticket_count integer,
    created_at timestamptz,
    paid_at timestamptz
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
-- Each order by its key, and its tickets by theirs.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        known.id,
        known.show_id,
        known.reservation_id,
        known.status,
        known.total_amount_in_cents,
        known.currency,
        known.refunded_amount_in_cents,
        known.payment_provider,
        known.payment_intent_id,
        known.cancel_reason,
        known.error_message,
        (
            -- FILTER instead of WHERE, so that tickets are found by their order and not by the
            -- index of all valid ones.
            SELECT count(*) FILTER (WHERE ticket.status = 'valid')
            FROM {{ schema }}.tickets AS ticket
            WHERE
                ticket.order_id = known.id
                AND ticket.show_id = known.show_id
        )::integer,
        known.created_at,
        known.paid_at
    FROM unnest(p_show_ids, p_order_ids) AS wanted (show_id, id)
    INNER JOIN {{ schema }}.ticket_orders AS known
        ON known.show_id = wanted.show_id AND known.id = wanted.id
    ORDER BY
        known.created_at,
        known.id;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.order_details(uuid[], uuid[]) IS
'These orders, each by its show and id, oldest first, with the number of their valid tickets.';
