-- Counts orders, tickets and payment reports in a range of the log. Used by the rollup and, for
-- rows that are not rolled up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.order_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    minute timestamptz,
    currency text,
    orders bigint,
    failed_orders bigint,
    paid_orders bigint,
    revenue_in_cents bigint,
    tickets bigint,
    payments bigint
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        date_bin('1 minute', figure.at, '2000-01-01 00:00+00') AS minute,
        COALESCE(event.currency, 'none') AS currency,
        sum(figure.orders)::bigint,
        sum(figure.failed_orders)::bigint,
        sum(figure.paid_orders)::bigint,
        COALESCE(sum(figure.paid_orders * event.amount_in_cents), 0)::bigint,
        COALESCE(sum(figure.tickets), 0)::bigint,
        sum(figure.payments)::bigint
    FROM {{ schema }}.ticket_order_audit_log AS event
    CROSS JOIN LATERAL (
        VALUES
        (
            COALESCE(event.order_created_at, event.created_at),
            (event.old_status IS NULL)::integer,
            -- 1 for a change to the status, -1 for a change from it.
            (event.new_status = 'failed')::integer
            - COALESCE((event.old_status = 'failed')::integer, 0),
            (event.new_status = 'paid')::integer
            - COALESCE((event.old_status = 'paid')::integer, 0),
            0,
            0
        ),
        (
            event.created_at,
            0,
            0,
            0,
            CASE WHEN event.new_status = 'paid' THEN event.seat_count END,
            -- Every report of a payment provider, including those that were refused here.
            (
                COALESCE(event.new_status IN ('paid', 'failed', 'refund_due'), false)
                OR COALESCE(
                    event.metadata ->> 'function' IN ('confirm_payment', 'fail_payment'), false
                )
            )::integer
        )
    ) AS figure (at, orders, failed_orders, paid_orders, tickets, payments)
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
        -- A refused call counts only as a payment report, and only if it is one.
        AND (event.new_status IS NOT NULL OR figure.payments > 0)
    GROUP BY
        minute,
        COALESCE(event.currency, 'none');
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.order_events(xid8, xid8, bigint) IS
'Orders, tickets and payment reports by minute and currency, from rows with p_from <= xact_id < '
'p_below and id > p_after_id.';
