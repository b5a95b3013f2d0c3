-- What somebody on call wants to know first: one row a check, always, the worst of its findings.
-- Thresholds are those of alert_rules, where there is a rule.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.health AS
WITH alert AS MATERIALIZED (
    SELECT every.*
    FROM {{ monitoring_schema }}.alerts AS every
),

job AS MATERIALIZED (
    SELECT cleanup.*
    FROM {{ monitoring_schema }}.cleanup_job_health AS cleanup
),

findings (check_name, severity, message) AS (
    SELECT
        'alerts',
        CASE alert.severity WHEN 'critical' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END,
        format('%s fires: %s (%s)', alert.alert_name, alert.summary, round(alert.value::numeric, 2))
    FROM alert
    WHERE alert.firing = 1
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        CASE
            WHEN alert.firing = 0 THEN 0
            WHEN alert.severity = 'critical' THEN 2
            ELSE 1
        END,
        CASE
            -- As long ago as only the beginning of time is.
            WHEN job.last_run_age_seconds > 1e9
                THEN format('scheduled with %s, and has not run yet', job.scheduler)
            ELSE format(
                'last run %s s ago by %s, %s, %s holds are over',
                round(job.last_run_age_seconds::numeric), job.scheduler,
                CASE WHEN job.last_run_failed = 1 THEN 'failed' ELSE 'succeeded' END,
                job.overdue_holds
            )
        END
    FROM alert
    CROSS JOIN job
    WHERE
        starts_with(alert.alert_name, 'cleanup_')
        AND job.scheduler <> 'none'
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        2,
        'the cleanup has never run: schedule it' AS message
    FROM job
    WHERE job.scheduler = 'none'
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        CASE WHEN job.is_scheduled = 1 THEN 2 ELSE 1 END,
        CASE
            WHEN job.is_scheduled = 1 THEN 'the process of pg_cron is gone: restart the server'
            ELSE format('nothing has run the cleanup since %s: start it again', job.scheduler)
        END
    FROM job
    WHERE
        job.scheduler_alive = 0
        AND job.scheduler <> 'none'
    UNION ALL
    SELECT
        'rollup' AS check_name,
        CASE
            WHEN mark.is_restored THEN 2
            WHEN GREATEST(mark.age_seconds, mark.waiting_seconds) > 900 THEN 2
            WHEN GREATEST(mark.age_seconds, mark.waiting_seconds) > 300 THEN 1
            ELSE 0
        END,
        CASE
            WHEN mark.is_restored
                THEN format(
                    '%s was restored from another server, new events may be missing: run '
                    'roll_up_metrics()', mark.log
                )
            WHEN mark.waiting_seconds > 300 AND mark.age_seconds <= 300
                THEN format(
                    '%s has rows that have waited for %s s: end the transaction that is open for '
                    'so long', mark.log, round(mark.waiting_seconds::numeric)
                )
            ELSE format(
                '%s was rolled up %s s ago', mark.log, round(mark.age_seconds::numeric)
            )
        END
    FROM {{ schema }}.rollup_state() AS mark
    UNION ALL
    SELECT
        'partitions' AS check_name,
        CASE
            WHEN partitions.ends_at <= now() THEN 2
            WHEN partitions.ends_at <= now() + interval '31 days' THEN 1
            WHEN partitions.has_strays THEN 1
            ELSE 0
        END,
        format(
            CASE
                WHEN
                    partitions.has_strays
                    OR partitions.ends_at <= now() + interval '31 days'
                    THEN '%s has partitions until %s: run maintain_partitions()'
                ELSE '%s has partitions until %s'
            END,
            partitions.log,
            to_char(partitions.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
        )
    FROM {{ schema }}.log_partitions() AS partitions
    UNION ALL
    SELECT
        'invariants' AS check_name,
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
        'invariants' AS check_name,
        3,
        'never checked: run check_invariants()' AS message
    WHERE NOT EXISTS (SELECT FROM {{ schema }}.invariant_checks)
    UNION ALL
    SELECT
        'connections' AS check_name,
        CASE
            WHEN 100 * pool.connections > 95 * pool.available THEN 2
            WHEN 100 * pool.connections > 80 * pool.available THEN 1
            ELSE 0
        END,
        format('%s of %s connections', pool.connections, pool.available)
    FROM (
        SELECT
            sum(by_state.connections) AS connections,
            -- The last ones are not for everybody.
            min(by_state.max_connections)
            - current_setting('superuser_reserved_connections')::integer
            - COALESCE(current_setting('reserved_connections', true), '0')::integer AS available
        FROM {{ monitoring_schema }}.connection_pool AS by_state
    ) AS pool
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
