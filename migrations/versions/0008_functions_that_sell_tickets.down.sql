-- 0008: Functions that sell tickets.
-- A template, frozen by `ticketdb revision`.

-- drop: functions/refund_order.sql
DROP ROUTINE {{ schema }}.refund_order;

-- drop: functions/fail_payment.sql
DROP ROUTINE {{ schema }}.fail_payment;

-- drop: functions/confirm_payment.sql
DROP ROUTINE {{ schema }}.confirm_payment;

-- drop: functions/create_ticket_order.sql
DROP ROUTINE {{ schema }}.create_ticket_order;

-- drop: functions/remember_payment_intent.sql
DROP ROUTINE {{ schema }}.remember_payment_intent;

-- drop: functions/retake_seats.sql
DROP ROUTINE {{ schema }}.retake_seats;

-- drop: functions/lock_order.sql
DROP ROUTINE {{ schema }}.lock_order;

-- drop: functions/commit_durably.sql
DROP ROUTINE {{ schema }}.commit_durably;

-- drop: functions/wait_for_others.sql
DROP ROUTINE {{ schema }}.wait_for_others;

-- drop: functions/log_order_failure.sql
DROP ROUTINE {{ schema }}.log_order_failure;
