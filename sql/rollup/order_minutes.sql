-- Rollup of ticket_order_audit_log. What became of an order is added to the minute that it was
-- created in, and taken off again when it changes: the rows say how things stand.
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
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.order_minutes IS
'Orders and tickets a minute and currency. Written by roll_up_metrics(), read through '
'order_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.minute IS 'The minute.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.currency IS
'ISO 4217 code; none where a refused call named no order.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.orders IS 'Orders created in this minute.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.failed_orders IS
'Those of them whose payment has failed, as things stand.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.paid_orders IS
'Those of them that are paid, as things stand.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.revenue_in_cents IS
'What those that are paid brought, in the minor unit of the currency.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.tickets IS
'Tickets issued in this minute, whenever they were ordered.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.payments IS
'What payment providers reported in this minute: payments, failures, and what was refused of '
'them.';
COMMENT ON CONSTRAINT order_minutes_pkey ON {{ internal_schema }}.order_minutes IS
'Rows are told apart.';
COMMENT ON CONSTRAINT order_minutes_minute_check ON {{ internal_schema }}.order_minutes IS
'Finite.';
