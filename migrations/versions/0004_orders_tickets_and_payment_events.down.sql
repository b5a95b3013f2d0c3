-- 0004: Orders, tickets and payment events.
-- A template, frozen by `ticketdb revision`.

-- drop: tables/payment_events.sql
DROP TABLE {{ schema }}.payment_events;

-- drop: tables/tickets.sql
DROP TABLE {{ schema }}.tickets;

-- drop: tables/ticket_orders.sql
DROP TABLE {{ schema }}.ticket_orders;
