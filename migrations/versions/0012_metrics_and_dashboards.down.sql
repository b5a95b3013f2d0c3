-- 0012: Metrics and dashboards.
-- A template, frozen by `ticketdb revision`.

-- drop: views/system_health.sql
DROP VIEW {{ monitoring_schema }}.system_health;

-- drop: views/api_endpoint_health.sql
DROP VIEW {{ monitoring_schema }}.api_endpoint_health;

-- drop: views/refunds_due.sql
DROP VIEW {{ monitoring_schema }}.refunds_due;

-- drop: views/lock_waits.sql
DROP VIEW {{ monitoring_schema }}.lock_waits;

-- drop: views/connection_pool.sql
DROP VIEW {{ monitoring_schema }}.connection_pool;

-- drop: views/quality_dashboard.sql
DROP VIEW {{ monitoring_schema }}.quality_dashboard;

-- drop: views/extension_trends.sql
DROP VIEW {{ monitoring_schema }}.extension_trends;

-- drop: views/top_errors.sql
DROP VIEW {{ monitoring_schema }}.top_errors;

-- drop: views/hourly_metrics.sql
DROP VIEW {{ monitoring_schema }}.hourly_metrics;

-- drop: views/realtime_dashboard.sql
DROP VIEW {{ monitoring_schema }}.realtime_dashboard;

-- drop: views/revenue_today.sql
DROP VIEW {{ monitoring_schema }}.revenue_today;

-- drop: views/payment_failures.sql
DROP VIEW {{ monitoring_schema }}.payment_failures;

-- drop: views/active_reservations.sql
DROP VIEW {{ monitoring_schema }}.active_reservations;

-- drop: views/cleanup_job_health.sql
DROP VIEW {{ monitoring_schema }}.cleanup_job_health;

-- drop: views/reservation_hold_time.sql
DROP VIEW {{ monitoring_schema }}.reservation_hold_time;

-- drop: views/reservation_expiration_rate.sql
DROP VIEW {{ monitoring_schema }}.reservation_expiration_rate;

-- drop: views/double_booking_attempts.sql
DROP VIEW {{ monitoring_schema }}.double_booking_attempts;

-- drop: views/reservation_success_rate.sql
DROP VIEW {{ monitoring_schema }}.reservation_success_rate;

-- drop: functions/maintenance_backlog.sql
DROP ROUTINE {{ schema }}.maintenance_backlog;

-- drop: functions/log_partitions.sql
DROP ROUTINE {{ schema }}.log_partitions;

-- drop: functions/rollup_state.sql
DROP ROUTINE {{ schema }}.rollup_state;

-- drop: functions/partial_refunds.sql
DROP ROUTINE {{ schema }}.partial_refunds;

-- drop: functions/due_refunds.sql
DROP ROUTINE {{ schema }}.due_refunds;

-- drop: functions/lock_wait_totals.sql
DROP ROUTINE {{ schema }}.lock_wait_totals;

-- drop: functions/open_transactions.sql
DROP ROUTINE {{ schema }}.open_transactions;

-- drop: functions/connections_by_state.sql
DROP ROUTINE {{ schema }}.connections_by_state;

-- drop: functions/cleanup_job_problem.sql
DROP ROUTINE {{ schema }}.cleanup_job_problem;

-- drop: functions/cleanup_job_state.sql
DROP ROUTINE {{ schema }}.cleanup_job_state;

-- drop: functions/overdue_hold_totals.sql
DROP ROUTINE {{ schema }}.overdue_hold_totals;

-- drop: functions/active_reservation_totals.sql
DROP ROUTINE {{ schema }}.active_reservation_totals;
