-- 0006: Cleanup of overdue holds.
-- A template, frozen by `ticketdb revision`.

-- drop: cleanup/reservation_cleanup_job_status.sql
DROP VIEW {{ schema }}.reservation_cleanup_job_status;

-- drop: cleanup/cleanup_run_totals.sql
DROP ROUTINE {{ internal_schema }}.cleanup_run_totals;

-- drop: cleanup/reservation_cleanup_job_runs.sql
DROP ROUTINE {{ internal_schema }}.reservation_cleanup_job_runs;

-- drop: cleanup/cron_cleanup_runs.sql
DROP ROUTINE {{ internal_schema }}.cron_cleanup_runs;

-- drop: cleanup/can_use_pg_cron.sql
DROP ROUTINE {{ internal_schema }}.can_use_pg_cron;

-- drop: cleanup/run_reservation_cleanup.sql
DROP ROUTINE {{ schema }}.run_reservation_cleanup;

-- drop: cleanup/cleanup_expired_seat_reservations.sql
DROP ROUTINE {{ schema }}.cleanup_expired_seat_reservations;

-- drop: cleanup/cancel_dead_orders.sql
DROP ROUTINE {{ internal_schema }}.cancel_dead_orders;

-- drop: cleanup/expire_reservations_for_cleanup.sql
DROP ROUTINE {{ internal_schema }}.expire_reservations_for_cleanup;

-- drop: cleanup/overdue_reservation_batches.sql
DROP ROUTINE {{ internal_schema }}.overdue_reservation_batches;

-- drop: cleanup/reservation_cleanup_lock.sql
DROP TABLE {{ internal_schema }}.reservation_cleanup_lock;

-- drop: cleanup/reservation_cleanup_runs.sql
DROP TABLE {{ schema }}.reservation_cleanup_runs;
