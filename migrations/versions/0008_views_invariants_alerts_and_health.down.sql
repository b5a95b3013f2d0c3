-- 0008: Views, invariants, alerts and health.
-- A template, frozen by `ticketdb revision`.

-- drop: monitoring/health.sql
DROP VIEW {{ monitoring_schema }}.health;

-- drop: monitoring/alerts.sql
DROP VIEW {{ monitoring_schema }}.alerts;

-- drop: monitoring/alert_rules_change_log.sql
DROP TRIGGER alert_rules_change_log_insert ON {{ monitoring_schema }}.alert_rules;
DROP TRIGGER alert_rules_change_log_update ON {{ monitoring_schema }}.alert_rules;
DROP TRIGGER alert_rules_change_log_delete ON {{ monitoring_schema }}.alert_rules;

-- drop: monitoring/alert_rules.sql
DROP TABLE {{ monitoring_schema }}.alert_rules;

-- drop: monitoring/system_health.sql
DROP VIEW {{ monitoring_schema }}.system_health;

-- drop: monitoring/api_endpoint_health.sql
DROP VIEW {{ monitoring_schema }}.api_endpoint_health;

-- drop: monitoring/refunds_due.sql
DROP VIEW {{ monitoring_schema }}.refunds_due;

-- drop: monitoring/lock_waits.sql
DROP VIEW {{ monitoring_schema }}.lock_waits;

-- drop: monitoring/connection_pool.sql
DROP VIEW {{ monitoring_schema }}.connection_pool;

-- drop: monitoring/quality_dashboard.sql
DROP VIEW {{ monitoring_schema }}.quality_dashboard;

-- drop: monitoring/extension_trends.sql
DROP VIEW {{ monitoring_schema }}.extension_trends;

-- drop: monitoring/top_errors.sql
DROP VIEW {{ monitoring_schema }}.top_errors;

-- drop: monitoring/hourly_metrics.sql
DROP VIEW {{ monitoring_schema }}.hourly_metrics;

-- drop: monitoring/realtime_dashboard.sql
DROP VIEW {{ monitoring_schema }}.realtime_dashboard;

-- drop: monitoring/revenue_today.sql
DROP VIEW {{ monitoring_schema }}.revenue_today;

-- drop: monitoring/payment_failures.sql
DROP VIEW {{ monitoring_schema }}.payment_failures;

-- drop: monitoring/active_reservations.sql
DROP VIEW {{ monitoring_schema }}.active_reservations;

-- drop: monitoring/cleanup_job_health.sql
DROP VIEW {{ monitoring_schema }}.cleanup_job_health;

-- drop: monitoring/reservation_hold_time.sql
DROP VIEW {{ monitoring_schema }}.reservation_hold_time;

-- drop: monitoring/reservation_expiration_rate.sql
DROP VIEW {{ monitoring_schema }}.reservation_expiration_rate;

-- drop: monitoring/double_booking_attempts.sql
DROP VIEW {{ monitoring_schema }}.double_booking_attempts;

-- drop: monitoring/reservation_success_rate.sql
DROP VIEW {{ monitoring_schema }}.reservation_success_rate;

-- drop: monitoring/maintenance_backlog.sql
DROP ROUTINE {{ internal_schema }}.maintenance_backlog;

-- drop: monitoring/log_partitions.sql
DROP ROUTINE {{ internal_schema }}.log_partitions;

-- drop: monitoring/rollup_state.sql
DROP ROUTINE {{ internal_schema }}.rollup_state;

-- drop: monitoring/partial_refunds.sql
DROP ROUTINE {{ internal_schema }}.partial_refunds;

-- drop: monitoring/due_refunds.sql
DROP ROUTINE {{ internal_schema }}.due_refunds;

-- drop: monitoring/lock_wait_totals.sql
DROP ROUTINE {{ internal_schema }}.lock_wait_totals;

-- drop: monitoring/open_transactions.sql
DROP ROUTINE {{ internal_schema }}.open_transactions;

-- drop: monitoring/connections_by_state.sql
DROP ROUTINE {{ internal_schema }}.connections_by_state;

-- drop: monitoring/cleanup_job_problem.sql
DROP ROUTINE {{ internal_schema }}.cleanup_job_problem;

-- drop: monitoring/cleanup_job_state.sql
DROP ROUTINE {{ internal_schema }}.cleanup_job_state;

-- drop: monitoring/overdue_hold_totals.sql
DROP ROUTINE {{ internal_schema }}.overdue_hold_totals;

-- drop: monitoring/active_reservation_totals.sql
DROP ROUTINE {{ internal_schema }}.active_reservation_totals;

-- drop: monitoring/invariant_violations.sql
DROP VIEW {{ monitoring_schema }}.invariant_violations;

-- drop: monitoring/first_check.sql
-- Nothing to do: the rows are dropped with their table.

-- drop: monitoring/check_invariants.sql
DROP ROUTINE {{ internal_schema }}.check_invariants;
