-- What somebody on call wants to know first: one row a check, always, the worst of its findings.
-- Thresholds are those of alert_rules, where there is a rule.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.health AS
WITH findings (check_name, severity, message) AS (
    SELECT
        'alerts',
        CASE alert.severity WHEN 'critical' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END,
        format('%s fires: %s (%s)', alert.alert_name, alert.summary, round(alert.value::numeric, 2))
    FROM {{ monitoring_schema }}.alerts AS alert
    WHERE alert.firing = 1
    UNION ALL
    SELECT
        'cleanup',
        CASE
            WHEN alert.firing = 0 THEN 0
            WHEN alert.severity = 'critical' THEN 2
            ELSE 1
        END,
        format(
            'last run %s s ago by %s, %s, %s holds are over',
            round(job.last_run_age_seconds::numeric), job.scheduler,
            CASE WHEN job.last_run_failed = 1 THEN 'failed' ELSE 'succeeded' END,
            job.overdue_holds
        )
    FROM {{ monitoring_schema }}.alerts AS alert
    CROSS JOIN {{ monitoring_schema }}.cleanup_job_health AS job
    WHERE
        alert.alert_name LIKE 'cleanup\_%'
        AND job.scheduler <> 'none'
    UNION ALL
    SELECT
        'cleanup',
        2,
        'the cleanup has never run: schedule it'
    FROM {{ monitoring_schema }}.cleanup_job_health AS job
    WHERE job.scheduler = 'none'
    UNION ALL
    SELECT
        'cleanup',
        CASE WHEN job.is_scheduled = 1 THEN 2 ELSE 1 END,
        CASE
            WHEN job.is_scheduled = 1 THEN 'the process of pg_cron is gone: restart the server'
            ELSE format('nothing has run the cleanup since %s: start it again', job.scheduler)
        END
    FROM {{ monitoring_schema }}.cleanup_job_health AS job
    WHERE
        job.scheduler_alive = 0
        AND job.scheduler <> 'none'
    UNION ALL
    SELECT
        'rollup',
        CASE
            WHEN {{ schema }}.is_restored_log(mark.log) THEN 2
            WHEN mark.rolled_up_at < now() - interval '15 minutes' THEN 2
            WHEN mark.rolled_up_at < now() - interval '5 minutes' THEN 1
            ELSE 0
        END,
        CASE
            WHEN {{ schema }}.is_restored_log(mark.log)
                THEN format(
                    '%s was restored from another server, new events may be missing: run '
                    'roll_up_metrics()', mark.log
                )
            ELSE format(
                '%s was rolled up %s s ago', mark.log,
                round(extract(EPOCH FROM now() - mark.rolled_up_at))
            )
        END
    FROM {{ schema }}.metric_watermarks AS mark
    UNION ALL
    SELECT
        'partitions',
        CASE
            WHEN partitions.has_strays THEN 1
            WHEN partitions.last_day <= now() THEN 2
            WHEN partitions.last_day <= now() + interval '31 days' THEN 1
            ELSE 0
        END,
        CASE
            WHEN partitions.has_strays
                THEN format('%s_default has rows: run maintain_partitions()', partitions.log)
            ELSE format(
                '%s has partitions until %s', partitions.log,
                to_char(partitions.last_day AT TIME ZONE 'UTC', 'YYYY-MM-DD')
            )
        END
    FROM {{ schema }}.log_partitions() AS partitions
    UNION ALL
    SELECT
        'invariants',
        CASE
            WHEN checked.violations > 0 THEN 2
            WHEN checked.checked_at < now() - interval '1 hour' THEN 1
            ELSE 0
        END,
        CASE
            WHEN checked.violations > 0
                THEN format('%s: %s violations', checked.invariant, checked.violations)
            ELSE format(
                '%s held %s s ago', checked.invariant,
                round(extract(EPOCH FROM now() - checked.checked_at))
            )
        END
    FROM {{ schema }}.invariant_checks AS checked
    UNION ALL
    SELECT
        'invariants',
        3,
        'never checked: run check_invariants()'
    WHERE NOT EXISTS (SELECT FROM {{ schema }}.invariant_checks)
    UNION ALL
    SELECT
        'connections',
        CASE
            WHEN sum(pool.used_pct) > 95 THEN 2
            WHEN sum(pool.used_pct) > 80 THEN 1
            ELSE 0
        END,
        format('%s of %s connections', sum(pool.connections), min(pool.max_connections))
    FROM {{ monitoring_schema }}.connection_pool AS pool
)

SELECT
    checks.check_name,
    CASE COALESCE(worst.severity, 0)
        WHEN 0 THEN 'OK'
        WHEN 1 THEN 'WARNING'
        WHEN 2 THEN 'CRITICAL'
        ELSE 'UNKNOWN'
    END AS status,
    COALESCE(worst.severity, 0)::smallint AS severity,
    COALESCE(worst.message, 'no alert fires') AS message
FROM (
    VALUES
    ('alerts'), ('cleanup'), ('rollup'), ('partitions'), ('invariants'), ('connections')
) AS checks (check_name)
LEFT JOIN LATERAL (
    SELECT
        worst_of.severity,
        string_agg(DISTINCT findings.message, '; ' ORDER BY findings.message) AS message
    FROM findings
    INNER JOIN (
        SELECT max(of_check.severity) AS severity
        FROM findings AS of_check
        WHERE of_check.check_name = checks.check_name
    ) AS worst_of ON worst_of.severity = findings.severity
    WHERE findings.check_name = checks.check_name
    GROUP BY worst_of.severity
) AS worst ON true;

COMMENT ON VIEW {{ monitoring_schema }}.health IS
'State of the installation: one row per check, always.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.check_name IS
'alerts, cleanup, rollup, partitions, invariants, connections.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.status IS 'OK, WARNING, CRITICAL or UNKNOWN.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.severity IS '0, 1, 2 or 3, as Nagios counts them.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.message IS 'What was found, and what to do.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.health TO {{ monitor_role }};
{% endif %}
