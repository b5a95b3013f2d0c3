-- 0003: Holds on seats.
-- A template, frozen by `ticketdb revision`.

-- drop: holds/get_session_reservations.sql
DROP ROUTINE {{ schema }}.get_session_reservations;

-- drop: holds/get_reservation.sql
DROP ROUTINE {{ schema }}.get_reservation;

-- drop: holds/reservation_details.sql
DROP ROUTINE {{ internal_schema }}.reservation_details;

-- drop: holds/release_reservation.sql
DROP ROUTINE {{ schema }}.release_reservation;

-- drop: holds/extend_reservation.sql
DROP ROUTINE {{ schema }}.extend_reservation;

-- drop: holds/move_reservation.sql
DROP ROUTINE {{ schema }}.move_reservation;

-- drop: holds/price_seats.sql
DROP ROUTINE {{ schema }}.price_seats;

-- drop: holds/add_seats.sql
DROP ROUTINE {{ schema }}.add_seats;

-- drop: holds/reserve_best_seats.sql
DROP ROUTINE {{ schema }}.reserve_best_seats;

-- drop: holds/best_seats.sql
DROP ROUTINE {{ internal_schema }}.best_seats;

-- drop: holds/reserve_seats.sql
DROP ROUTINE {{ schema }}.reserve_seats;

-- drop: holds/lock_reservation.sql
DROP ROUTINE {{ internal_schema }}.lock_reservation;

-- drop: holds/expire_reservations_for_buyer.sql
DROP ROUTINE {{ internal_schema }}.expire_reservations_for_buyer;

-- drop: holds/end_reservations.sql
DROP ROUTINE {{ internal_schema }}.end_reservations;

-- drop: holds/log_reservation_failure.sql
DROP ROUTINE {{ internal_schema }}.log_reservation_failure;

-- drop: holds/seat_reservations_sync_reserved_until.sql
DROP TRIGGER seat_reservations_sync_reserved_until ON {{ schema }}.seat_reservations;

-- drop: holds/sync_reserved_until.sql
DROP ROUTINE {{ internal_schema }}.sync_reserved_until;

-- drop: holds/reservation_seats.sql
DROP TABLE {{ schema }}.reservation_seats;

-- drop: holds/seat_reservations.sql
DROP TABLE {{ schema }}.seat_reservations;

-- drop: holds/reservation_status.sql
DROP DOMAIN {{ internal_schema }}.reservation_status;

-- drop: holds/reservation_token.sql
DROP DOMAIN {{ internal_schema }}.reservation_token;
