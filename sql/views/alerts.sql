-- One row a rule, always. What each is about is said here, once; when it fires is said by
-- alert_rules. The minutes are read once, for the longest window.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.alerts AS
WITH rules AS MATERIALIZED (
    SELECT
        rule.*,
        {{ schema }}.window_start(make_interval(secs => rule.time_window_seconds)) AS since
    FROM {{ monitoring_schema }}.alert_rules AS rule
),

minutes AS (
    SELECT metric.*
    FROM (SELECT min(rules.since) AS since FROM rules) AS longest
    CROSS JOIN LATERAL {{ schema }}.reservation_metrics(longest.since) AS metric
),

order_minutes AS (
    SELECT metric.*
    FROM (SELECT min(rules.since) AS since FROM rules) AS longest
    CROSS JOIN LATERAL {{ schema }}.order_metrics(longest.since) AS metric
),

holds AS (
    SELECT
        rules.alert_name,
        COALESCE(sum(metric.created), 0) AS created,
        COALESCE(sum(metric.expired), 0) AS expired,
        COALESCE(sum(metric.extended), 0) AS extended,
        COALESCE(sum(metric.created + metric.failed - metric.race_conditions), 0) AS attempts,
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

failed_runs AS (
    SELECT
        rules.alert_name,
        count(run.status) AS runs
    FROM rules
    LEFT JOIN {{ schema }}.reservation_cleanup_job_runs(10000) AS run
        ON run.status = 'failed' AND run.start_time >= rules.since
    GROUP BY rules.alert_name
),

measured AS (
    SELECT
        rules.*,
        -- Of rates and averages: of how many events.
        CASE
            WHEN rules.alert_name LIKE 'high_expiration_rate%' THEN holds.created
            WHEN rules.alert_name = 'extension_rate' THEN holds.created
            WHEN rules.alert_name = 'low_success_rate' THEN holds.attempts
            WHEN rules.alert_name = 'long_hold_time' THEN holds.ended
            WHEN rules.alert_name LIKE 'payment_%' THEN orders.placed
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
            WHEN rules.alert_name = 'cleanup_runs_failed' THEN failed_runs.runs
            WHEN rules.alert_name = 'cleanup_job_slow' THEN job.last_run_duration_seconds
            WHEN rules.alert_name = 'many_active_reservations' THEN live.active_reservations
        END::double precision AS value,
        rules.alert_name = 'cleanup_job_failed' AND job.last_run_failed = 1 AS fires_anyway
    FROM rules
    INNER JOIN holds ON holds.alert_name = rules.alert_name
    INNER JOIN orders ON orders.alert_name = rules.alert_name
    INNER JOIN failed_runs ON failed_runs.alert_name = rules.alert_name
    CROSS JOIN {{ monitoring_schema }}.cleanup_job_health AS job
    CROSS JOIN {{ monitoring_schema }}.active_reservations AS live
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

COMMENT ON VIEW {{ monitoring_schema }}.alerts IS
'The alerts: one row per rule, whether it fires or not.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.alert_name IS 'Name of the rule in alert_rules.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.severity IS 'critical, warning or info.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.firing IS '1 while it fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.value IS
'What it is about, in the unit given; NULL where there is nothing to divide by.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.threshold IS 'The bound in alert_rules.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.time_window_seconds IS
'How far back it looks, in seconds; 0 for what is so right now.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.summary IS 'What it means that it fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.action IS 'What to do first.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.runbook IS 'Page that says more.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.unit IS
'Of value and threshold: s, %, or nothing for a number.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.alerts TO {{ monitor_role }};
{% endif %}
