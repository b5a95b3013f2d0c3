-- For the person on call: always one row for each check, with its worst findings. Thresholds are
-- those of alert_rules, where there is a rule. Messages are few and contain no numbers, because
-- monitoring systems use them as labels: a number would make a new label every minute. It has a
-- column of its own.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.health AS
WITH alert AS MATERIALIZED (
    SELECT
        every.*,
        CASE
            WHEN every.firing = 0 THEN 0
            WHEN every.severity = 'critical' THEN 2
            WHEN every.severity = 'warning' THEN 1
            ELSE 0
        END AS worth
    FROM {{ monitoring_schema }}.alerts AS every
),

job AS MATERIALIZED (
    SELECT cleanup.*
    FROM {{ monitoring_schema }}.cleanup_job_health AS cleanup
),

mark AS MATERIALIZED (
    SELECT state.*
    FROM {{ internal_schema }}.rollup_state() AS state
),

-- Of the whole server: one with a transaction number holds back the rollup of every database.
open_transaction AS MATERIALIZED (
    SELECT
        transaction.*,
        format('%s of role %s', transaction.state, transaction.role_name) AS who
    FROM {{ internal_schema }}.open_transactions() AS transaction
),

findings (check_name, severity, message, value, unit) AS (
    SELECT
        'alerts',
        alert.worth,
        format('%s fires: %s', alert.alert_name, alert.summary),
        count(*) OVER (PARTITION BY alert.worth)::double precision,
        ''
    FROM alert
    WHERE alert.firing = 1
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        alert.worth,
        CASE
            WHEN alert.alert_name = 'overdue_holds' AND alert.firing = 1
                THEN 'overdue holds are not being ended'
            WHEN job.has_run = 0
                THEN format('scheduled with %s, but has not run yet', job.scheduler)
            WHEN job.last_run_failed = 1 THEN format('the last run, by %s, failed', job.scheduler)
            WHEN alert.alert_name = 'cleanup_job_slow' AND alert.firing = 1
                THEN format('a run by %s took too long', job.scheduler)
            WHEN alert.alert_name = 'cleanup_runs_failed' AND alert.firing = 1
                THEN 'runs have failed in the last day'
            WHEN alert.firing = 1
                THEN format('the last run, by %s, is too long ago', job.scheduler)
            ELSE format('the last run, by %s, succeeded', job.scheduler)
        END,
        CASE WHEN alert.firing = 1 THEN alert.value ELSE job.last_run_age_seconds END,
        CASE WHEN alert.firing = 1 THEN alert.unit ELSE 's' END
    FROM alert
    CROSS JOIN job
    WHERE
        (starts_with(alert.alert_name, 'cleanup_') OR alert.alert_name = 'overdue_holds')
        AND (job.scheduler <> 'none' OR alert.alert_name = 'overdue_holds' AND alert.firing = 1)
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        2,
        'the cleanup has never run: schedule it' AS message,
        NULL::double precision,
        's' AS unit
    FROM job
    WHERE job.scheduler = 'none'
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        CASE WHEN job.is_scheduled = 1 THEN 2 ELSE 1 END,
        CASE
            WHEN job.is_scheduled = 1 THEN 'the process of pg_cron has ended: restart the server'
            ELSE format('%s no longer runs the cleanup: start it again', job.scheduler)
        END,
        job.last_run_age_seconds,
        's' AS unit
    FROM job
    WHERE
        job.scheduler_alive = 0
        AND job.scheduler <> 'none'
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        2,
        cause.problem,
        job.last_run_age_seconds,
        's' AS unit
    FROM {{ internal_schema }}.cleanup_job_problem() AS cause (problem)
    CROSS JOIN job
    WHERE cause.problem IS NOT NULL
    UNION ALL
    SELECT
        'rollup' AS check_name,
        CASE
            WHEN mark.is_restored THEN 2
            WHEN GREATEST(mark.age_seconds, mark.waiting_seconds) > 3 * late.threshold THEN 2
            WHEN GREATEST(mark.age_seconds, mark.waiting_seconds) > late.threshold THEN 1
            ELSE 0
        END,
        CASE
            WHEN mark.is_restored
                THEN format(
                    '%s was restored from another server, new events may be missing: run '
                    'roll_up_metrics()', mark.log
                )
            WHEN mark.waiting_seconds > late.threshold AND mark.age_seconds <= late.threshold
                THEN format(
                    '%s is held back by a transaction, %s: end it',
                    mark.log, COALESCE(
                        (
                            SELECT holder.who
                            FROM open_transaction AS holder
                            WHERE holder.xid_age IS NOT NULL
                            ORDER BY holder.xid_age DESC
                            LIMIT 1
                        ),
                        'which only members of pg_read_all_stats can see'
                    )
                )
            WHEN mark.age_seconds > late.threshold
                THEN format('%s is not being rolled up: run roll_up_metrics()', mark.log)
            ELSE 'the logs are rolled up'
        END,
        GREATEST(mark.age_seconds, mark.waiting_seconds),
        's' AS unit
    FROM mark
    CROSS JOIN alert AS late
    WHERE late.alert_name = 'rollup_late'
    UNION ALL
    SELECT
        'transactions' AS check_name,
        alert.worth,
        CASE
            WHEN alert.firing = 1
                THEN COALESCE(
                    (
                        SELECT format('a transaction has been open for too long: %s', oldest.who)
                        FROM open_transaction AS oldest
                        WHERE oldest.is_here
                        ORDER BY oldest.age_seconds DESC
                        LIMIT 1
                    ),
                    'a transaction has been open for too long'
                )
            WHEN hidden.connections > 0
                THEN 'transactions of other roles are hidden: grant the owner pg_read_all_stats'
            ELSE 'no transaction has been open for long'
        END,
        alert.value,
        alert.unit
    FROM alert
    CROSS JOIN {{ monitoring_schema }}.connection_pool AS hidden
    WHERE
        alert.alert_name = 'long_transaction'
        AND hidden.state = 'not visible'
    UNION ALL
    SELECT
        'locks' AS check_name,
        alert.worth,
        CASE
            WHEN alert.firing = 1 THEN 'sessions wait too long for a lock: find out who holds it'
            ELSE 'no session has waited long for a lock'
        END,
        alert.value,
        alert.unit
    FROM alert
    WHERE alert.alert_name = 'lock_waits'
    UNION ALL
    SELECT
        'refunds' AS check_name,
        alert.worth,
        CASE
            WHEN alert.firing = 1 THEN 'refunds have been due for too long: pay the money back'
            ELSE 'no refund has been due for long'
        END,
        alert.value,
        alert.unit
    FROM alert
    WHERE alert.alert_name = 'refunds_overdue'
    UNION ALL
    SELECT
        'partitions' AS check_name,
        CASE
            WHEN partitions.ends_at <= now() THEN 2
            WHEN partitions.ends_at <= now() + interval '744 hours' THEN 1
            WHEN partitions.has_strays THEN 1
            ELSE 0
        END,
        CASE
            WHEN partitions.ends_at <= now() + interval '744 hours'
                THEN format('%s runs out of partitions: run maintain_partitions()', partitions.log)
            WHEN partitions.has_strays
                THEN format(
                    '%s has rows in its default partition: run maintain_partitions()',
                    partitions.log
                )
            ELSE 'there are partitions for the coming months'
        END,
        GREATEST(
            extract(EPOCH FROM min(partitions.ends_at) OVER () - now())::double precision, 0
        ),
        's' AS unit
    FROM {{ internal_schema }}.log_partitions() AS partitions
    UNION ALL
    SELECT
        'partitions' AS check_name,
        alert.worth,
        CASE
            WHEN alert.firing = 1
                THEN (
                    SELECT
                        format(
                            'behind: %s', string_agg(backlog.task, ', ' ORDER BY backlog.task)
                        )
                    FROM {{ internal_schema }}.maintenance_backlog() AS backlog
                    WHERE backlog.behind_seconds > alert.threshold
                )
            ELSE 'there are partitions for the coming months'
        END,
        CASE WHEN alert.firing = 1 THEN alert.value END,
        's' AS unit
    FROM alert
    WHERE alert.alert_name = 'maintenance_behind'
    UNION ALL
    SELECT
        'invariants' AS check_name,
        CASE
            WHEN checked.violations > 0 THEN 2
            WHEN checked.checked_at < now() - interval '1 hour' THEN 1
            ELSE 0
        END,
        CASE
            WHEN checked.violations > 0 THEN format('%s is broken', checked.invariant)
            WHEN checked.checked_at < now() - interval '1 hour'
                THEN format(
                    'not checked recently: run %I.check_invariants()',
                    {{ internal_schema | literal }}
                )
            ELSE 'no invariant is broken'
        END,
        CASE
            WHEN checked.violations > 0 THEN checked.violations
            ELSE GREATEST(extract(EPOCH FROM now() - checked.checked_at)::double precision, 0)
        END,
        CASE WHEN checked.violations > 0 THEN '' ELSE 's' END
    FROM {{ internal_schema }}.last_invariant_check AS checked
    UNION ALL
    SELECT
        'invariants' AS check_name,
        3,
        format('never checked: run %I.check_invariants()', {{ internal_schema | literal }})
            AS message,
        NULL::double precision,
        's' AS unit
    WHERE NOT EXISTS (SELECT FROM {{ internal_schema }}.last_invariant_check)
    UNION ALL
    SELECT
        'connections' AS check_name,
        CASE
            WHEN pool.used_pct > 95 THEN 2
            WHEN pool.used_pct > 80 THEN 1
            ELSE 0
        END,
        CASE
            WHEN pool.used_pct > 95 THEN 'almost no connections are left'
            WHEN pool.used_pct > 80 THEN 'few connections are left'
            ELSE 'enough connections are left'
        END,
        pool.used_pct,
        '%' AS unit
    FROM (
        SELECT
            100.0::double precision * sum(by_state.connections)
            -- Some connections are reserved for superusers and the like.
            / (
                min(by_state.max_connections)
                - current_setting('superuser_reserved_connections')::integer
                - COALESCE(current_setting('reserved_connections', TRUE), '0')::integer
            ) AS used_pct
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
    COALESCE(worst.message, 'no alert fires') AS message,
    worst.value,
    COALESCE(worst.unit, '') AS unit
FROM (
    VALUES
    ('alerts'), ('cleanup'), ('rollup'), ('partitions'), ('invariants'), ('connections'),
    ('locks'), ('transactions'), ('refunds')
) AS checks (check_name)
LEFT JOIN LATERAL (
    SELECT
        worst_of.severity,
        string_agg(DISTINCT findings.message, '; ' ORDER BY findings.message) AS message,
        (array_agg(findings.value ORDER BY findings.value DESC NULLS LAST))[1] AS value,
        (array_agg(findings.unit ORDER BY findings.value DESC NULLS LAST))[1] AS unit
    FROM findings
    INNER JOIN (
        SELECT max(of_check.severity) AS severity
        FROM findings AS of_check
        WHERE of_check.check_name = checks.check_name
    ) AS worst_of ON worst_of.severity = findings.severity
    WHERE findings.check_name = checks.check_name
    GROUP BY worst_of.severity
) AS worst ON TRUE;

COMMENT ON VIEW {{ monitoring_schema }}.health IS
'State of the installation: always one row for each check.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.check_name IS
'Name of the check: alerts, cleanup, rollup, partitions, invariants, connections, locks, '
'transactions or refunds.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.status IS 'OK, WARNING, CRITICAL or UNKNOWN.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.severity IS
'The status as a number, as Nagios counts: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.message IS
'What was found, and what to do: one of a few sentences, without numbers.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.value IS
'The number that belongs to the message, such as the age of the last run, how far something is '
'behind, or how many alerts fire; NULL if it never happened, or no alert fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.unit IS
'Unit of the value: s (seconds), % (percent), or empty for a number.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.health TO {{ monitor_role }};
{% endif %}
