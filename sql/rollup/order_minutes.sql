-- Rollup of ticket_order_audit_log. An order is counted under its status in the minute of its
-- creation, and when its status changes it is subtracted there and counted under the new one. So
-- the rows show the present status of orders.
CREATE TABLE {{ internal_schema }}.order_minutes (
    minute timestamptz NOT NULL,
    currency text NOT NULL,
    orders bigint NOT NULL,
    failed_orders bigint NOT NULL,
    paid_orders bigint NOT NULL,
    revenue_in_cents bigint NOT NULL,
    tickets bigint NOT NULL,
    payments bigint NOT NULL,
    CONSTRAINT order_minutes_pkey PRIMARY KEY (minute, currency),
    CONSTRAINT order_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.order_minutes IS
'Rollup of ticket_order_audit_log: orders, tickets and payment reports by minute and currency. '
'Written by roll_up_metrics(), read through order_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.minute IS 'Start of the minute.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.currency IS
'ISO 4217 code; none for refused calls that named no order.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.orders IS 'Orders created in this minute.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.failed_orders IS
'Orders created in this minute whose present status is failed.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.paid_orders IS
'Orders created in this minute whose present status is paid.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.revenue_in_cents IS
'Total amount of these paid orders, in the minor unit of the currency.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.tickets IS
'Tickets issued in this minute, whenever they were ordered.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.payments IS
'Reports of payment providers in this minute: payments, failures, and those that were refused.';
