-- 0009: Cleanup of expired reservations.
-- A template, frozen by `ticketdb revision`.

-- drop: views/reservation_cleanup_job_status.sql
DROP VIEW {{ schema }}.reservation_cleanup_job_status;

-- drop: functions/cleanup_run_totals.sql
DROP ROUTINE {{ schema }}.cleanup_run_totals;

-- drop: functions/reservation_cleanup_job_runs.sql
DROP ROUTINE {{ schema }}.reservation_cleanup_job_runs;

-- drop: functions/cron_cleanup_runs.sql
DROP ROUTINE {{ schema }}.cron_cleanup_runs;

-- drop: functions/can_use_pg_cron.sql
DROP ROUTINE {{ schema }}.can_use_pg_cron;

-- drop: functions/run_reservation_cleanup.sql
DROP ROUTINE {{ schema }}.run_reservation_cleanup;

-- drop: functions/cleanup_expired_seat_reservations.sql
DROP ROUTINE {{ schema }}.cleanup_expired_seat_reservations;

-- drop: functions/cancel_dead_orders.sql
DROP ROUTINE {{ schema }}.cancel_dead_orders;

-- drop: functions/end_overdue_holds.sql
DROP ROUTINE {{ schema }}.end_overdue_holds;

-- drop: functions/overdue_holds.sql
DROP ROUTINE {{ schema }}.overdue_holds;

-- drop: tables/reservation_cleanup_lock.sql
DROP TABLE {{ schema }}.reservation_cleanup_lock;

-- drop: tables/reservation_cleanup_runs.sql
DROP TABLE {{ schema }}.reservation_cleanup_runs;
