-- 0013: Alerts and health.
-- A template, frozen by `ticketdb revision`.

-- object: tables/alert_rules.sql sha256=244e33f559d4f979d2359a0ba98ba25b84a5a7f27288d3fb64d798315b776ad7
-- When to wake somebody. A DBA changes thresholds with UPDATE; the view alerts goes by them at
-- once. Which number a rule is about is its name: see the view.
CREATE TABLE {{ monitoring_schema }}.alert_rules (
    alert_name text NOT NULL,
    severity text NOT NULL,
    comparison text NOT NULL DEFAULT '>',
    threshold double precision NOT NULL,
    unit text NOT NULL DEFAULT '',
    time_window_seconds bigint NOT NULL DEFAULT 0,
    minimum_events bigint NOT NULL DEFAULT 1,
    enabled boolean NOT NULL DEFAULT true,
    summary text NOT NULL,
    action text NOT NULL,
    runbook text NOT NULL,
    CONSTRAINT alert_rules_pkey PRIMARY KEY (alert_name),
    CONSTRAINT alert_rules_severity_check CHECK (severity IN ('critical', 'warning', 'info')),
    CONSTRAINT alert_rules_comparison_check CHECK (comparison IN ('>', '<')),
    -- As plugins of Nagios write it.
    CONSTRAINT alert_rules_unit_check CHECK (unit IN ('', 's', '%')),
    CONSTRAINT alert_rules_threshold_check
    CHECK (threshold > '-Infinity' AND threshold < 'Infinity'),
    -- The rollups are read by the minute, and a week is the longest that any dashboard looks back.
    CONSTRAINT alert_rules_time_window_seconds_check
    CHECK (time_window_seconds BETWEEN 0 AND 604800),
    CONSTRAINT alert_rules_minimum_events_check CHECK (minimum_events >= 0)
);

INSERT INTO {{ monitoring_schema }}.alert_rules (
    alert_name, severity, comparison, threshold, unit, time_window_seconds, summary, action,
    runbook
)
VALUES
(
    'constraint_violation', 'critical', '>', 0, '', 300,
    'A constraint of the database prevented a double booking.',
    'Investigate immediately: application logic should prevent this.',
    'docs/runbooks/double-booking.md'
),
(
    'cleanup_job_failed', 'critical', '>', 900, 's', 0,
    'The cleanup of expired reservations failed, or has not run for this many seconds.',
    'Check the log of the database; run the cleanup by hand if needed.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'payment_processing_down', 'critical', '>', 20, '%', 900,
    'Payments fail, in percent of the orders of the last minutes.',
    'Check the status of the payment provider, verify API keys.',
    'docs/runbooks/payment-failures.md'
),
(
    'high_expiration_rate', 'warning', '>', 70, '%', 3600,
    'Reservations expire without a purchase, in percent of those created in the last hour.',
    'Review the checkout, check for errors in it.',
    'docs/runbooks/high-expiration-rate.md'
),
(
    'low_success_rate', 'warning', '<', 90, '%', 3600,
    'Attempts to reserve that succeed, in percent, legitimate conflicts left out.',
    'Review the error messages, check for systematic issues.',
    'docs/runbooks/high-reservation-failure-rate.md'
),
(
    'double_booking_attempts', 'warning', '>', 0, '', 86400,
    'A constraint of the database prevented double bookings within the last day.',
    'Find out what tried: application logic should prevent this.',
    'docs/runbooks/double-booking.md'
),
(
    'high_expiration_rate_24h', 'warning', '>', 80, '%', 86400,
    'Reservations expire without a purchase, in percent of those created in the last day.',
    'Review the flow of the checkout.',
    'docs/runbooks/high-expiration-rate.md'
),
(
    'long_hold_time', 'warning', '>', 900, 's', 86400,
    'Average seconds from a reservation to its completion or expiry.',
    'Review how long customers need to check out.',
    'docs/runbooks/long-hold-time.md'
),
(
    'cleanup_job_silent', 'warning', '>', 600, 's', 0,
    'The cleanup of expired reservations has not run for this many seconds.',
    'Check its scheduler.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'cleanup_runs_failed', 'warning', '>', 0, '', 86400,
    'Runs of the cleanup failed within the last day.',
    'Read why in reservation_cleanup_job_status.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'cleanup_job_slow', 'warning', '>', 30, 's', 0,
    'The last run of the cleanup took this many seconds.',
    'See what it waited for, and whether holds had piled up.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'many_active_reservations', 'warning', '>', 1000, '', 0,
    'Seats are being held by this many customers at once.',
    'Plan for the capacity that this takes.',
    'docs/runbooks/many-active-reservations.md'
),
(
    'payment_failure_rate_24h', 'warning', '>', 5, '%', 86400,
    'Payments fail, in percent of the orders of the last day.',
    'Review declined payments with the provider.',
    'docs/runbooks/payment-failures.md'
),
(
    'extension_rate', 'info', '>', 50, '', 86400,
    'Extensions for every hundred reservations created in the last day.',
    'Consider longer holds, or a shorter checkout.',
    'docs/runbooks/extension-rate.md'
);

COMMENT ON TABLE {{ monitoring_schema }}.alert_rules IS
'Thresholds of the alerts. UPDATE them: the view alerts goes by them at once.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.alert_name IS
'Name of the alert, and what it is about.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.severity IS
'critical: respond immediately; warning: within the hour; info: daily review.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.comparison IS
'Whether it fires above the threshold (>) or below it (<).';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.threshold IS
'The bound, in the unit given. A value that is exactly there does not fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.unit IS
'Of the value and the threshold: s (seconds), % (percent), or nothing for a number.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.time_window_seconds IS
'How far back it looks, in seconds, rounded up to whole minutes; 0 for what is so right now.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.minimum_events IS
'For a rate or an average: of how many events there must be one, for it to mean anything.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.enabled IS 'Whether it may fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.summary IS 'What it means that it fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.action IS 'What to do first.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.runbook IS
'Page that says more, as a path in the repository of ticketdb; put your own address here.';
COMMENT ON CONSTRAINT alert_rules_pkey ON {{ monitoring_schema }}.alert_rules IS
'One row an alert.';
COMMENT ON CONSTRAINT alert_rules_severity_check ON {{ monitoring_schema }}.alert_rules IS
'The severities there are.';
COMMENT ON CONSTRAINT alert_rules_comparison_check ON {{ monitoring_schema }}.alert_rules IS
'Above or below.';
COMMENT ON CONSTRAINT alert_rules_unit_check ON {{ monitoring_schema }}.alert_rules IS
'The units there are.';
COMMENT ON CONSTRAINT alert_rules_threshold_check ON {{ monitoring_schema }}.alert_rules IS
'A finite number.';
COMMENT ON CONSTRAINT alert_rules_time_window_seconds_check
ON {{ monitoring_schema }}.alert_rules IS
'At most a week.';
COMMENT ON CONSTRAINT alert_rules_minimum_events_check ON {{ monitoring_schema }}.alert_rules IS
'Not negative.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.alert_rules TO {{ monitor_role }};
{% endif %}

-- object: views/alerts.sql sha256=6c3fa9d3f0567dc16a17b49b4cfec9c64da5734562083a6200eeff6dd4414342
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

-- object: tables/invariant_checks.sql sha256=df8b9711ffcdf80888d2f366eeec32e4e18772dc1a757be9f0267682423f2c38
-- What check_invariants() found last. Checking reads all seats and reservations, which is not for a
-- view that somebody polls.
CREATE TABLE {{ schema }}.invariant_checks (
    invariant text NOT NULL,
    violations bigint NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT invariant_checks_pkey PRIMARY KEY (invariant),
    CONSTRAINT invariant_checks_checked_at_check CHECK (isfinite(checked_at))
);

COMMENT ON TABLE {{ schema }}.invariant_checks IS
'The last result of check_invariants(), for the view health.';
COMMENT ON COLUMN {{ schema }}.invariant_checks.invariant IS
'Name of the invariant, as in the view invariant_violations.';
COMMENT ON COLUMN {{ schema }}.invariant_checks.violations IS 'How many rows broke it.';
COMMENT ON COLUMN {{ schema }}.invariant_checks.checked_at IS 'When it was checked.';
COMMENT ON CONSTRAINT invariant_checks_pkey ON {{ schema }}.invariant_checks IS
'One row an invariant.';
COMMENT ON CONSTRAINT invariant_checks_checked_at_check ON {{ schema }}.invariant_checks IS
'Finite.';

-- object: functions/check_invariants.sql sha256=c3ca69bb0ea3936e7beaecf0a614961d719f332a25dee3f0fde44ab361e716b4
-- Scheduled. Also callable by hand, after something was mended.
CREATE OR REPLACE FUNCTION {{ schema }}.check_invariants()
RETURNS TABLE (broken_invariant text, found_violations bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    WITH found AS MATERIALIZED (
        SELECT
            now_found.invariant,
            now_found.violations
        FROM {{ monitoring_schema }}.invariant_violations AS now_found
    ),

    -- Those that an older release knew.
    forgotten AS (
        DELETE FROM {{ schema }}.invariant_checks
        WHERE invariant_checks.invariant NOT IN (SELECT found.invariant FROM found)
    )

    INSERT INTO {{ schema }}.invariant_checks (invariant, violations, checked_at)
    SELECT
        found.invariant,
        found.violations,
        clock_timestamp()
    FROM found
    ON CONFLICT (invariant) DO UPDATE SET
        violations = excluded.violations,
        checked_at = excluded.checked_at;

    RETURN QUERY
    SELECT
        broken.invariant,
        broken.violations
    FROM {{ schema }}.invariant_checks AS broken
    WHERE broken.violations > 0
    ORDER BY broken.invariant;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.check_invariants() IS
'Reads the view invariant_violations and keeps what it says for the view health; returns those '
'that are broken.';

-- object: views/health.sql sha256=19d89e429ba927a433eb4b9dece1ca2067caa042b0cf4dcfc64ef73925935479
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

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
