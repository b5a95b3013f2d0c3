-- 0004: Orders, tickets and payment events.
-- A template, frozen by `ticketdb revision`.

-- drop: tables/refunds.sql
DROP TABLE {{ schema }}.refunds;

-- drop: tables/payment_events.sql
DROP TABLE {{ schema }}.payment_events;

-- drop: tables/tickets.sql
DROP TABLE {{ schema }}.tickets;

-- drop: tables/payment_intents.sql
DROP TABLE {{ schema }}.payment_intents;

-- drop: tables/ticket_order_keys.sql
DROP TABLE {{ schema }}.ticket_order_keys;

-- drop: tables/ticket_orders.sql
DROP TABLE {{ schema }}.ticket_orders;
