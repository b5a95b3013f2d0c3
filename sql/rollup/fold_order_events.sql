-- Adds a range of the log to its rollup. Called only through roll_up_metrics(), which knows which
-- ranges are final and not added yet.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.fold_order_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $body$
INSERT INTO {{ internal_schema }}.order_minutes (
    minute, currency, orders, failed_orders, paid_orders, revenue_in_cents, tickets, payments
)
SELECT
    event.minute,
    event.currency,
    event.orders,
    event.failed_orders,
    event.paid_orders,
    event.revenue_in_cents,
    event.tickets,
    event.payments
FROM {{ internal_schema }}.order_events(p_from, p_below, p_after_id) AS event
ORDER BY
    event.minute,
    event.currency
ON CONFLICT (minute, currency) DO UPDATE SET
    orders = order_minutes.orders + excluded.orders,
    failed_orders = order_minutes.failed_orders + excluded.failed_orders,
    paid_orders = order_minutes.paid_orders + excluded.paid_orders,
    revenue_in_cents = order_minutes.revenue_in_cents + excluded.revenue_in_cents,
    tickets = order_minutes.tickets + excluded.tickets,
    payments = order_minutes.payments + excluded.payments;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.fold_order_events(xid8, xid8, bigint) IS
'Adds a range of ticket_order_audit_log to its rollup.';
