-- 0004: Orders, tickets and payments.
-- A template, frozen by `ticketdb revision`.

-- drop: audit/refuse_change_but_erasure.sql
DROP ROUTINE {{ internal_schema }}.refuse_change_but_erasure;

-- drop: orders/reconcile_payments.sql
DROP ROUTINE {{ schema }}.reconcile_payments;

-- drop: orders/get_refunds.sql
DROP ROUTINE {{ schema }}.get_refunds;

-- drop: orders/get_tickets.sql
DROP ROUTINE {{ schema }}.get_tickets;

-- drop: orders/find_orders.sql
DROP ROUTINE {{ schema }}.find_orders;

-- drop: orders/get_order.sql
DROP ROUTINE {{ schema }}.get_order;

-- drop: orders/order_details.sql
DROP ROUTINE {{ internal_schema }}.order_details;

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

-- drop: orders/settle_refund.sql
DROP ROUTINE {{ internal_schema }}.settle_refund;

-- drop: orders/take_back_tickets.sql
DROP ROUTINE {{ internal_schema }}.take_back_tickets;

-- drop: orders/log_order_action.sql
DROP ROUTINE {{ internal_schema }}.log_order_action;

-- drop: orders/lock_orders.sql
DROP ROUTINE {{ internal_schema }}.lock_orders;

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
