-- 0004: Orders, tickets and payments.
-- A template, frozen by `ticketdb revision`.

-- drop: orders/refund_order.sql
DROP ROUTINE {{ schema }}.refund_order;

-- drop: orders/fail_payment.sql
DROP ROUTINE {{ schema }}.fail_payment;

-- drop: orders/confirm_payment.sql
DROP ROUTINE {{ schema }}.confirm_payment;

-- drop: orders/create_ticket_order.sql
DROP ROUTINE {{ schema }}.create_ticket_order;

-- drop: orders/remember_payment_intent.sql
DROP ROUTINE {{ internal_schema }}.remember_payment_intent;

-- drop: orders/retake_seats.sql
DROP ROUTINE {{ internal_schema }}.retake_seats;

-- drop: orders/lock_order.sql
DROP ROUTINE {{ internal_schema }}.lock_order;

-- drop: orders/log_order_failure.sql
DROP ROUTINE {{ internal_schema }}.log_order_failure;

-- drop: orders/refunds.sql
DROP TABLE {{ schema }}.refunds;

-- drop: orders/payment_events.sql
DROP TABLE {{ schema }}.payment_events;

-- drop: orders/tickets.sql
DROP TABLE {{ schema }}.tickets;

-- drop: orders/payment_intents.sql
DROP TABLE {{ internal_schema }}.payment_intents;

-- drop: orders/ticket_order_keys.sql
DROP TABLE {{ internal_schema }}.ticket_order_keys;

-- drop: orders/ticket_orders.sql
DROP TABLE {{ schema }}.ticket_orders;
