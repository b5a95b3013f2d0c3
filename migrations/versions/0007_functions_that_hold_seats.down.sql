-- 0007: Functions that hold seats.
-- A template, frozen by `ticketdb revision`.

-- drop: functions/release_reservation.sql
DROP ROUTINE {{ schema }}.release_reservation;

-- drop: functions/extend_reservation.sql
DROP ROUTINE {{ schema }}.extend_reservation;

-- drop: functions/reserve_seats.sql
DROP ROUTINE {{ schema }}.reserve_seats;

-- drop: functions/lock_reservation.sql
DROP ROUTINE {{ schema }}.lock_reservation;

-- drop: functions/expire_holds.sql
DROP ROUTINE {{ schema }}.expire_holds;

-- drop: functions/end_holds.sql
DROP ROUTINE {{ schema }}.end_holds;

-- drop: functions/log_reservation_failure.sql
DROP ROUTINE {{ schema }}.log_reservation_failure;

-- drop: functions/error_message.sql
DROP ROUTINE {{ schema }}.error_message;
