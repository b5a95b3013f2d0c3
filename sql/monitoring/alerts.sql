-- Always one row for each rule. This view defines what each rule measures; alert_rules defines when
-- it fires. The minutes are read once, for the longest window.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.alerts AS
WITH rules AS MATERIALIZED (
    SELECT
        rule.*,
        {{ internal_schema }}.window_start(make_interval(secs => rule.time_window_seconds)) AS since
    FROM {{ monitoring_schema }}.alert_rules AS rule
),

minutes AS (
    SELECT metric.*
    FROM (SELECT min(rules.since) AS since FROM rules) AS longest
    CROSS JOIN LATERAL {{ internal_schema }}.reservation_metrics(longest.since) AS metric
),

order_minutes AS (
    SELECT metric.*
    FROM (SELECT min(rules.since) AS since FROM rules) AS longest
    CROSS JOIN LATERAL {{ internal_schema }}.order_metrics(longest.since) AS metric
),

holds AS (
    SELECT
        rules.alert_name,
        COALESCE(sum(metric.created), 0) AS created,
        COALESCE(sum(metric.expired), 0) AS expired,
        COALESCE(sum(metric.extended), 0) AS extended,
        COALESCE(
            sum(metric.created + metric.failed_attempts - metric.race_conditions), 0
        ) AS attempts,
        COALESCE(sum(metric.constraint_violations), 0) AS constraint_violations,
        COALESCE(sum(metric.holds_ended), 0) AS ended,
        COALESCE(sum(metric.hold_microseconds), 0) / 1e6 AS seconds
    FROM rules
    LEFT JOIN minutes AS metric ON metric.minute >= rules.since
    GROUP BY rules.alert_name
),

orders AS (
    SELECT
        rules.alert_name,
        COALESCE(sum(metric.orders), 0) AS placed,
        COALESCE(sum(metric.failed_orders), 0) AS failed
    FROM rules
    LEFT JOIN order_minutes AS metric ON metric.minute >= rules.since
    GROUP BY rules.alert_name
),

last_payment AS (
    SELECT COALESCE(max(metric.minute), '-infinity') AS minute
    FROM order_minutes AS metric
    WHERE metric.payments > 0
),

-- Orders placed after the last report of any payment: since then nobody has even tried to pay. By
-- whole minutes, the resolution of the rollups.
unpaid AS (
    SELECT
        COALESCE(sum(metric.orders), 0) AS orders,
        COALESCE(
            extract(
                EPOCH FROM {{ internal_schema }}.window_start('0 minutes') - min(metric.minute)
            ),
            0
        ) AS seconds
    FROM rules
    CROSS JOIN last_payment
    INNER JOIN order_minutes AS metric
        ON metric.minute >= rules.since AND metric.orders > 0
    WHERE
        rules.alert_name = 'no_payments'
        AND metric.minute > last_payment.minute
),

runs AS (
    SELECT
        rules.alert_name,
        total.failed_runs,
        total.longest_run_seconds
    FROM rules
    CROSS JOIN LATERAL {{ internal_schema }}.cleanup_run_totals(rules.since) AS total
    WHERE rules.alert_name IN ('cleanup_runs_failed', 'cleanup_job_slow')
),

rollup AS (
    SELECT
        max(GREATEST(mark.age_seconds, mark.waiting_seconds)) AS late_seconds,
        bool_or(mark.is_restored) AS is_restored
    FROM {{ internal_schema }}.rollup_state() AS mark
),

refunds AS (
    SELECT max(due.oldest_age_seconds) AS oldest_age_seconds
    FROM {{ monitoring_schema }}.refunds_due AS due
),

maintenance AS (
    SELECT max(backlog.behind_seconds) AS behind_seconds
    FROM {{ internal_schema }}.maintenance_backlog() AS backlog
),

measured AS (
    SELECT
        rules.*,
        -- For rates and averages: the number of events.
        CASE
            WHEN rules.alert_name LIKE 'high_expiration_rate%' THEN holds.created
            WHEN rules.alert_name = 'extension_rate' THEN holds.created
            WHEN rules.alert_name = 'low_success_rate' THEN holds.attempts
            WHEN rules.alert_name = 'long_hold_time' THEN holds.ended
            WHEN rules.alert_name LIKE 'payment_%' THEN orders.placed
            WHEN rules.alert_name = 'no_payments' THEN unpaid.orders
        END AS events,
        CASE
            WHEN rules.alert_name LIKE 'high_expiration_rate%'
                THEN 100.0 * holds.expired / NULLIF(holds.created, 0)
            WHEN rules.alert_name = 'extension_rate'
                THEN 100.0 * holds.extended / NULLIF(holds.created, 0)
            WHEN rules.alert_name = 'low_success_rate'
                THEN 100.0 * holds.created / NULLIF(holds.attempts, 0)
            WHEN rules.alert_name = 'long_hold_time' THEN holds.seconds / NULLIF(holds.ended, 0)
            WHEN rules.alert_name LIKE 'payment_%'
                THEN 100.0 * orders.failed / NULLIF(orders.placed, 0)
            WHEN rules.alert_name IN ('constraint_violation', 'double_booking_attempts')
                THEN holds.constraint_violations
            WHEN rules.alert_name IN ('cleanup_job_failed', 'cleanup_job_silent')
                THEN job.last_run_age_seconds
            WHEN rules.alert_name = 'cleanup_runs_failed' THEN runs.failed_runs
            WHEN rules.alert_name = 'cleanup_job_slow' THEN runs.longest_run_seconds
            -- Measured on the holds themselves, whatever the runs report.
            WHEN rules.alert_name = 'overdue_holds' THEN job.oldest_overdue_seconds
            WHEN rules.alert_name = 'many_active_reservations' THEN live.active_reservations
            WHEN rules.alert_name = 'no_payments' THEN GREATEST(unpaid.seconds, 0)
            WHEN rules.alert_name = 'refunds_overdue' THEN refunds.oldest_age_seconds
            WHEN rules.alert_name = 'lock_waits' THEN locks.longest_wait_seconds
            WHEN rules.alert_name = 'long_transaction' THEN locks.oldest_transaction_seconds
            WHEN rules.alert_name = 'rollup_late' THEN rollup.late_seconds
            WHEN rules.alert_name = 'maintenance_behind' THEN maintenance.behind_seconds
        END::double precision AS value,
        CASE
            WHEN rules.alert_name = 'cleanup_job_failed' AND job.last_run_failed = 1 THEN true
            -- A job that never ran has no age, and fires whatever the threshold is.
            WHEN rules.alert_name IN ('cleanup_job_failed', 'cleanup_job_silent')
                THEN job.has_run = 0
            WHEN rules.alert_name = 'rollup_late' THEN rollup.is_restored
            ELSE false
        END AS fires_anyway
    FROM rules
    INNER JOIN holds ON holds.alert_name = rules.alert_name
    INNER JOIN orders ON orders.alert_name = rules.alert_name
    LEFT JOIN runs ON runs.alert_name = rules.alert_name
    CROSS JOIN {{ monitoring_schema }}.cleanup_job_health AS job
    CROSS JOIN {{ monitoring_schema }}.active_reservations AS live
    CROSS JOIN {{ monitoring_schema }}.lock_waits AS locks
    CROSS JOIN unpaid
    CROSS JOIN refunds
    CROSS JOIN rollup
    CROSS JOIN maintenance
)

SELECT
    measured.alert_name,
    measured.severity,
    CASE
        WHEN NOT measured.enabled THEN 0
        WHEN measured.fires_anyway THEN 1
        WHEN measured.events < measured.minimum_events THEN 0
        WHEN measured.comparison = '>' AND measured.value > measured.threshold THEN 1
        WHEN measured.comparison = '<' AND measured.value < measured.threshold THEN 1
        ELSE 0
    END::smallint AS firing,
    measured.value,
    measured.threshold,
    measured.time_window_seconds,
    measured.summary,
    measured.action,
    measured.runbook,
    measured.unit
FROM measured;

COMMENT ON VIEW {{ monitoring_schema }}.alerts IS 'Alerts: one row for each rule, firing or not.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.alert_name IS 'Name of the rule in alert_rules.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.severity IS 'critical, warning or info.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.firing IS '1 while the alert fires, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.value IS
'Measured value, in the unit of the rule; NULL for a rate or an average of no events, and for the '
'age of a job that never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.threshold IS 'Threshold of the rule, in its unit.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.time_window_seconds IS
'Length of the window up to now, in seconds; 0 for a present state.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.summary IS
'What is measured, or what is wrong when the alert fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.action IS 'What to do first.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.runbook IS 'Runbook of the alert.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.unit IS
'Unit of the value and the threshold: s (seconds), % (percent), or empty for a number.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.alerts TO {{ monitor_role }};
{% endif %}
