-- 0006: Audit triggers.
-- A template, frozen by `ticketdb revision`.

-- drop: triggers/show_seats_keep_rows.sql
DROP TRIGGER show_seats_keep_rows ON {{ schema }}.show_seats;

-- drop: triggers/shows_keep_rows.sql
DROP TRIGGER shows_keep_rows ON {{ schema }}.shows;

-- drop: triggers/refunds_keep_rows.sql
DROP TRIGGER refunds_keep_rows ON {{ schema }}.refunds;

-- drop: triggers/ticket_order_keys_keep_rows.sql
DROP TRIGGER ticket_order_keys_keep_rows ON {{ schema }}.ticket_order_keys;

-- drop: triggers/payment_intents_keep_rows.sql
DROP TRIGGER payment_intents_keep_rows ON {{ schema }}.payment_intents;

-- drop: triggers/tickets_keep_rows.sql
DROP TRIGGER tickets_keep_rows ON {{ schema }}.tickets;

-- drop: triggers/ticket_orders_keep_rows.sql
DROP TRIGGER ticket_orders_keep_rows ON {{ schema }}.ticket_orders;

-- drop: triggers/reservation_seats_keep_rows.sql
DROP TRIGGER reservation_seats_keep_rows ON {{ schema }}.reservation_seats;

-- drop: triggers/seat_reservations_keep_rows.sql
DROP TRIGGER seat_reservations_keep_rows ON {{ schema }}.seat_reservations;

-- drop: triggers/ticketing_settings_change_log.sql
DROP TRIGGER ticketing_settings_change_log_insert ON {{ schema }}.ticketing_settings;
DROP TRIGGER ticketing_settings_change_log_update ON {{ schema }}.ticketing_settings;

-- drop: triggers/currencies_change_log.sql
DROP TRIGGER currencies_change_log_insert ON {{ schema }}.currencies;
DROP TRIGGER currencies_change_log_update ON {{ schema }}.currencies;
DROP TRIGGER currencies_change_log_delete ON {{ schema }}.currencies;

-- drop: triggers/refunds_change_log.sql
DROP TRIGGER refunds_change_log_insert ON {{ schema }}.refunds;
DROP TRIGGER refunds_change_log_update ON {{ schema }}.refunds;
DROP TRIGGER refunds_change_log_update_by_hand ON {{ schema }}.refunds;

-- drop: triggers/ticket_order_keys_change_log.sql
DROP TRIGGER ticket_order_keys_change_log_insert ON {{ schema }}.ticket_order_keys;
DROP TRIGGER ticket_order_keys_change_log_update ON {{ schema }}.ticket_order_keys;

-- drop: triggers/payment_intents_change_log.sql
DROP TRIGGER payment_intents_change_log_insert ON {{ schema }}.payment_intents;
DROP TRIGGER payment_intents_change_log_update ON {{ schema }}.payment_intents;

-- drop: triggers/payment_events_change_log.sql
DROP TRIGGER payment_events_change_log_insert ON {{ schema }}.payment_events;

-- drop: triggers/tickets_change_log.sql
DROP TRIGGER tickets_change_log_insert ON {{ schema }}.tickets;
DROP TRIGGER tickets_change_log_update ON {{ schema }}.tickets;
DROP TRIGGER tickets_change_log_update_by_hand ON {{ schema }}.tickets;

-- drop: triggers/ticket_orders_change_log.sql
DROP TRIGGER ticket_orders_change_log_insert ON {{ schema }}.ticket_orders;
DROP TRIGGER ticket_orders_change_log_update ON {{ schema }}.ticket_orders;
DROP TRIGGER ticket_orders_change_log_update_by_hand ON {{ schema }}.ticket_orders;

-- drop: triggers/reservation_seats_change_log.sql
DROP TRIGGER reservation_seats_change_log_insert ON {{ schema }}.reservation_seats;
DROP TRIGGER reservation_seats_change_log_update ON {{ schema }}.reservation_seats;
DROP TRIGGER reservation_seats_change_log_update_by_hand ON {{ schema }}.reservation_seats;

-- drop: triggers/seat_reservations_change_log.sql
DROP TRIGGER seat_reservations_change_log_update ON {{ schema }}.seat_reservations;
DROP TRIGGER seat_reservations_change_log_update_by_hand ON {{ schema }}.seat_reservations;

-- drop: triggers/show_seats_change_log.sql
DROP TRIGGER show_seats_change_log_insert ON {{ schema }}.show_seats;
DROP TRIGGER show_seats_change_log_update ON {{ schema }}.show_seats;
DROP TRIGGER show_seats_change_log_update_by_hand ON {{ schema }}.show_seats;
DROP TRIGGER show_seats_change_log_delete ON {{ schema }}.show_seats;

-- drop: triggers/shows_change_log.sql
DROP TRIGGER shows_change_log_insert ON {{ schema }}.shows;
DROP TRIGGER shows_change_log_update ON {{ schema }}.shows;
DROP TRIGGER shows_change_log_delete ON {{ schema }}.shows;

-- drop: functions/log_new_seats.sql
DROP ROUTINE {{ schema }}.log_new_seats;

-- drop: functions/log_change.sql
DROP ROUTINE {{ schema }}.log_change;

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
