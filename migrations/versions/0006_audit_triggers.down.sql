-- 0006: Audit triggers.
-- A template, frozen by `ticketdb revision`.

-- drop: triggers/seat_reservations_sync_reserved_until.sql
DROP TRIGGER seat_reservations_sync_reserved_until ON {{ schema }}.seat_reservations;

-- drop: functions/sync_reserved_until.sql
DROP ROUTINE {{ schema }}.sync_reserved_until;

-- drop: triggers/ticket_orders_audit.sql
DROP TRIGGER ticket_orders_audit_insert ON {{ schema }}.ticket_orders;
DROP TRIGGER ticket_orders_audit_update ON {{ schema }}.ticket_orders;

-- drop: functions/audit_ticket_order.sql
DROP ROUTINE {{ schema }}.audit_ticket_order;

-- drop: triggers/seat_reservations_audit.sql
DROP TRIGGER seat_reservations_audit_insert ON {{ schema }}.seat_reservations;
DROP TRIGGER seat_reservations_audit_update ON {{ schema }}.seat_reservations;

-- drop: functions/audit_seat_reservation.sql
DROP ROUTINE {{ schema }}.audit_seat_reservation;
