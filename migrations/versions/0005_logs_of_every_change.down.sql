-- 0005: Logs of every change, in monthly partitions.
-- A template, frozen by `ticketdb revision`.

-- drop: audit/show_seats_keep_rows.sql
DROP TRIGGER show_seats_keep_rows ON {{ schema }}.show_seats;

-- drop: audit/shows_keep_rows.sql
DROP TRIGGER shows_keep_rows ON {{ schema }}.shows;

-- drop: audit/refunds_keep_rows.sql
DROP TRIGGER refunds_keep_rows ON {{ schema }}.refunds;

-- drop: audit/ticket_order_keys_keep_rows.sql
DROP TRIGGER ticket_order_keys_keep_rows ON {{ internal_schema }}.ticket_order_keys;

-- drop: audit/payment_intents_keep_rows.sql
DROP TRIGGER payment_intents_keep_rows ON {{ internal_schema }}.payment_intents;

-- drop: audit/tickets_keep_rows.sql
DROP TRIGGER tickets_keep_rows ON {{ schema }}.tickets;

-- drop: audit/ticket_orders_keep_rows.sql
DROP TRIGGER ticket_orders_keep_rows ON {{ schema }}.ticket_orders;

-- drop: audit/reservation_seats_keep_rows.sql
DROP TRIGGER reservation_seats_keep_rows ON {{ schema }}.reservation_seats;

-- drop: audit/seat_reservations_keep_rows.sql
DROP TRIGGER seat_reservations_keep_rows ON {{ schema }}.seat_reservations;

-- drop: audit/ticketing_settings_change_log.sql
DROP TRIGGER ticketing_settings_change_log_insert ON {{ schema }}.ticketing_settings;
DROP TRIGGER ticketing_settings_change_log_update ON {{ schema }}.ticketing_settings;

-- drop: audit/currencies_change_log.sql
DROP TRIGGER currencies_change_log_insert ON {{ schema }}.currencies;
DROP TRIGGER currencies_change_log_update ON {{ schema }}.currencies;
DROP TRIGGER currencies_change_log_delete ON {{ schema }}.currencies;

-- drop: audit/refunds_change_log.sql
DROP TRIGGER refunds_change_log_insert ON {{ schema }}.refunds;
DROP TRIGGER refunds_change_log_update ON {{ schema }}.refunds;
DROP TRIGGER refunds_change_log_update_by_hand ON {{ schema }}.refunds;

-- drop: audit/ticket_order_keys_change_log.sql
DROP TRIGGER ticket_order_keys_change_log_insert ON {{ internal_schema }}.ticket_order_keys;
DROP TRIGGER ticket_order_keys_change_log_update ON {{ internal_schema }}.ticket_order_keys;
DROP TRIGGER ticket_order_keys_change_log_update_by_hand ON {{ internal_schema }}.ticket_order_keys;

-- drop: audit/payment_intents_change_log.sql
DROP TRIGGER payment_intents_change_log_insert ON {{ internal_schema }}.payment_intents;
DROP TRIGGER payment_intents_change_log_update ON {{ internal_schema }}.payment_intents;

-- drop: audit/payment_events_change_log.sql
DROP TRIGGER payment_events_change_log_insert ON {{ schema }}.payment_events;

-- drop: audit/tickets_change_log.sql
DROP TRIGGER tickets_change_log_insert ON {{ schema }}.tickets;
DROP TRIGGER tickets_change_log_update ON {{ schema }}.tickets;
DROP TRIGGER tickets_change_log_update_by_hand ON {{ schema }}.tickets;

-- drop: audit/ticket_orders_change_log.sql
DROP TRIGGER ticket_orders_change_log_insert ON {{ schema }}.ticket_orders;
DROP TRIGGER ticket_orders_change_log_update ON {{ schema }}.ticket_orders;
DROP TRIGGER ticket_orders_change_log_update_by_hand ON {{ schema }}.ticket_orders;

-- drop: audit/reservation_seats_change_log.sql
DROP TRIGGER reservation_seats_change_log_insert ON {{ schema }}.reservation_seats;
DROP TRIGGER reservation_seats_change_log_update ON {{ schema }}.reservation_seats;
DROP TRIGGER reservation_seats_change_log_update_by_hand ON {{ schema }}.reservation_seats;

-- drop: audit/seat_reservations_change_log.sql
DROP TRIGGER seat_reservations_change_log_update ON {{ schema }}.seat_reservations;
DROP TRIGGER seat_reservations_change_log_update_by_hand ON {{ schema }}.seat_reservations;

-- drop: audit/show_seats_change_log.sql
DROP TRIGGER show_seats_change_log_insert ON {{ schema }}.show_seats;
DROP TRIGGER show_seats_change_log_update ON {{ schema }}.show_seats;
DROP TRIGGER show_seats_change_log_update_by_hand ON {{ schema }}.show_seats;
DROP TRIGGER show_seats_change_log_delete ON {{ schema }}.show_seats;

-- drop: audit/shows_change_log.sql
DROP TRIGGER shows_change_log_insert ON {{ schema }}.shows;
DROP TRIGGER shows_change_log_update ON {{ schema }}.shows;
DROP TRIGGER shows_change_log_delete ON {{ schema }}.shows;

-- drop: audit/log_new_seats.sql
DROP ROUTINE {{ internal_schema }}.log_new_seats;

-- drop: audit/log_change.sql
DROP ROUTINE {{ internal_schema }}.log_change;

-- drop: audit/ticket_orders_audit.sql
DROP TRIGGER ticket_orders_audit_insert ON {{ schema }}.ticket_orders;
DROP TRIGGER ticket_orders_audit_update ON {{ schema }}.ticket_orders;

-- drop: audit/audit_ticket_order.sql
DROP ROUTINE {{ internal_schema }}.audit_ticket_order;

-- drop: audit/seat_reservations_audit.sql
DROP TRIGGER seat_reservations_audit_insert ON {{ schema }}.seat_reservations;
DROP TRIGGER seat_reservations_audit_update ON {{ schema }}.seat_reservations;

-- drop: audit/audit_seat_reservation.sql
DROP ROUTINE {{ internal_schema }}.audit_seat_reservation;

-- drop: audit/log_api_request.sql
DROP ROUTINE {{ schema }}.log_api_request;

-- drop: audit/first_partitions.sql
-- Partitions are dropped with their tables.

-- drop: audit/maintain_partitions.sql
DROP ROUTINE {{ schema }}.maintain_partitions;

-- drop: audit/create_log_partition.sql
DROP ROUTINE {{ internal_schema }}.create_log_partition;

-- drop: audit/log_beginning.sql
DROP ROUTINE {{ internal_schema }}.log_beginning;

-- drop: audit/log_horizon.sql
DROP ROUTINE {{ internal_schema }}.log_horizon;

-- drop: audit/partitioned_logs.sql
DROP ROUTINE {{ internal_schema }}.partitioned_logs;

-- drop: audit/change_log.sql
DROP TABLE {{ internal_schema }}.change_log;

-- drop: audit/api_request_log.sql
DROP TABLE {{ schema }}.api_request_log;

-- drop: audit/ticket_order_audit_log.sql
DROP TABLE {{ schema }}.ticket_order_audit_log;

-- drop: audit/seat_reservation_audit_log.sql
DROP TABLE {{ schema }}.seat_reservation_audit_log;
