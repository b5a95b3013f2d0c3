-- 0013: Alerts and health.
-- A template, frozen by `ticketdb revision`.

-- object: tables/alert_rules.sql sha256=6075f2066420ee586c28e14b0db11d4ff5525fa54378dc83a6bdbc3572e0ff9f
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
    'cleanup_job_slow', 'warning', '>', 30, 's', 3600,
    'A run of the cleanup took this many seconds.',
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
),
(
    'overdue_holds', 'critical', '>', 300, 's', 0,
    'Holds have been over for this many seconds and are not cleaned up, whatever its runs say.',
    'Run the cleanup by hand, and see what keeps it from these holds.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'no_payments', 'critical', '>', 1800, 's', 3600,
    'Orders were placed, and no payment of any kind has come for this many seconds.',
    'See whether the events of the payment provider reach the application.',
    'docs/runbooks/payment-failures.md'
),
(
    'refunds_overdue', 'warning', '>', 86400, 's', 0,
    'Money that is to be given back has been due for this many seconds.',
    'Give it back, and record that.',
    'docs/runbooks/refunds.md'
),
(
    'lock_waits', 'warning', '>', 30, 's', 0,
    'A session has waited for a lock for this many seconds.',
    'Find out who holds it, and end that transaction.',
    'docs/runbooks/locks-and-transactions.md'
),
(
    'long_transaction', 'warning', '>', 900, 's', 0,
    'A transaction has been open, or prepared, for this many seconds.',
    'Have its owner end it, or end it.',
    'docs/runbooks/locks-and-transactions.md'
),
(
    'rollup_late', 'warning', '>', 300, 's', 0,
    'What the dashboards count from is this many seconds behind, or came from another server.',
    'See whether the rollup runs, and which open transaction holds it back.',
    'docs/runbooks/metrics-rollup.md'
),
(
    'maintenance_behind', 'warning', '>', 172800, 's', 0,
    'Partitions or purges of the logs have been due for this many seconds.',
    'Run maintain_partitions() and purge_history(), and see what keeps them from it.',
    'docs/runbooks/partitions.md'
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

-- object: triggers/alert_rules_change_log.sql sha256=6a7d5e1904a4cc42ec76109615bd4c20213d6b92a9c7abe6ae7047c379d87a26
-- Few, and changed by hand only: every change has its line.
CREATE OR REPLACE TRIGGER alert_rules_change_log_insert
AFTER INSERT ON {{ monitoring_schema }}.alert_rules
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('alert_name');

CREATE OR REPLACE TRIGGER alert_rules_change_log_update
AFTER UPDATE ON {{ monitoring_schema }}.alert_rules
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('alert_name');

CREATE OR REPLACE TRIGGER alert_rules_change_log_delete
AFTER DELETE ON {{ monitoring_schema }}.alert_rules
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('alert_name');

ALTER TABLE {{ monitoring_schema }}.alert_rules
ENABLE ALWAYS TRIGGER alert_rules_change_log_insert,
ENABLE ALWAYS TRIGGER alert_rules_change_log_update,
ENABLE ALWAYS TRIGGER alert_rules_change_log_delete;

COMMENT ON TRIGGER alert_rules_change_log_insert ON {{ monitoring_schema }}.alert_rules IS
'Logs each rule that is added by hand.';
COMMENT ON TRIGGER alert_rules_change_log_update ON {{ monitoring_schema }}.alert_rules IS
'Logs each change of a rule.';
COMMENT ON TRIGGER alert_rules_change_log_delete ON {{ monitoring_schema }}.alert_rules IS
'Logs each rule that is deleted.';

-- object: views/alerts.sql sha256=71a157aee82dfc79c920c1869081c18adc8e29678d4c3887704187884e6b96cc
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

-- Orders for which nobody has even tried to pay since: the last payment of any kind came before.
-- From minute to minute, as the rollups tell them apart.
unpaid AS (
    SELECT
        COALESCE(sum(metric.orders), 0) AS orders,
        COALESCE(
            extract(EPOCH FROM {{ schema }}.window_start('0 minutes') - min(metric.minute)), 0
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
    CROSS JOIN LATERAL {{ schema }}.cleanup_run_totals(rules.since) AS total
    WHERE rules.alert_name IN ('cleanup_runs_failed', 'cleanup_job_slow')
),

rollup AS (
    SELECT
        max(GREATEST(mark.age_seconds, mark.waiting_seconds)) AS late_seconds,
        bool_or(mark.is_restored) AS is_restored
    FROM {{ schema }}.rollup_state() AS mark
),

refunds AS (
    SELECT max(due.oldest_age_seconds) AS oldest_age_seconds
    FROM {{ monitoring_schema }}.refunds_due AS due
),

maintenance AS (
    SELECT max(backlog.behind_seconds) AS behind_seconds
    FROM {{ schema }}.maintenance_backlog() AS backlog
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
            -- Of the holds themselves, whatever the runs say.
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
            -- What never happened has no age: it is too long ago for every threshold.
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

COMMENT ON VIEW {{ monitoring_schema }}.alerts IS
'The alerts: one row per rule, whether it fires or not.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.alert_name IS 'Name of the rule in alert_rules.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.severity IS 'critical, warning or info.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.firing IS '1 while it fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.value IS
'What it is about, in the unit given; NULL where there is nothing to divide by, and for the age of '
'what never happened.';
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

-- object: views/health.sql sha256=ecf71b8fba0b68e833ffc8c723fd5a79233eea423bcc9de70a77e9eccb3713cf
-- What somebody on call wants to know first: one row a check, always, the worst of its findings.
-- Thresholds are those of alert_rules, where there is a rule. A message is one of a few, and the
-- number that goes with it has a column of its own: a message with a number in it would be another
-- label every minute.
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
    FROM {{ schema }}.rollup_state() AS state
),

-- Of this database, or with a number that holds back the rollup of every database.
open_transaction AS MATERIALIZED (
    SELECT
        transaction.*,
        format('%s of role %s', transaction.state, transaction.role_name) AS who
    FROM {{ schema }}.open_transactions() AS transaction
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
                THEN 'holds that are over are not cleaned up'
            WHEN job.has_run = 0
                THEN format('scheduled with %s, and has not run yet', job.scheduler)
            WHEN job.last_run_failed = 1 THEN format('the last run, by %s, failed', job.scheduler)
            WHEN alert.alert_name = 'cleanup_job_slow' AND alert.firing = 1
                THEN format('a run by %s took too long', job.scheduler)
            WHEN alert.alert_name = 'cleanup_runs_failed' AND alert.firing = 1
                THEN 'runs have failed within a day'
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
            WHEN job.is_scheduled = 1 THEN 'the process of pg_cron is gone: restart the server'
            ELSE format('nothing has run the cleanup since %s: start it again', job.scheduler)
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
    FROM {{ schema }}.cleanup_job_problem() AS cause (problem)
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
                        'which only members of pg_read_all_stats may see'
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
                THEN 'those of other roles are not visible: grant the owner pg_read_all_stats'
            ELSE 'none has been open for long'
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
            WHEN alert.firing = 1 THEN 'sessions wait for a lock: see who holds it'
            ELSE 'nobody waits for long'
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
            WHEN alert.firing = 1 THEN 'money has been due for too long: give it back'
            ELSE 'none has been due for long'
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
                    '%s has rows outside its months: run maintain_partitions()', partitions.log
                )
            ELSE 'partitions are there for the months to come'
        END,
        GREATEST(
            extract(EPOCH FROM min(partitions.ends_at) OVER () - now())::double precision, 0
        ),
        's' AS unit
    FROM {{ schema }}.log_partitions() AS partitions
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
                    FROM {{ schema }}.maintenance_backlog() AS backlog
                    WHERE backlog.behind_seconds > alert.threshold
                )
            ELSE 'partitions are there for the months to come'
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
                THEN 'not checked of late: run check_invariants()'
            ELSE 'all of them held'
        END,
        CASE
            WHEN checked.violations > 0 THEN checked.violations
            ELSE GREATEST(extract(EPOCH FROM now() - checked.checked_at)::double precision, 0)
        END,
        CASE WHEN checked.violations > 0 THEN '' ELSE 's' END
    FROM {{ schema }}.invariant_checks AS checked
    UNION ALL
    SELECT
        'invariants' AS check_name,
        3,
        'never checked: run check_invariants()' AS message,
        NULL::double precision,
        's' AS unit
    WHERE NOT EXISTS (SELECT FROM {{ schema }}.invariant_checks)
    UNION ALL
    SELECT
        'connections' AS check_name,
        CASE
            WHEN pool.used_pct > 95 THEN 2
            WHEN pool.used_pct > 80 THEN 1
            ELSE 0
        END,
        CASE
            WHEN pool.used_pct > 95 THEN 'hardly any connection is left'
            WHEN pool.used_pct > 80 THEN 'few connections are left'
            ELSE 'connections are left'
        END,
        pool.used_pct,
        '%' AS unit
    FROM (
        SELECT
            100.0::double precision * sum(by_state.connections)
            -- The last ones are not for everybody.
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
'State of the installation: one row per check, always.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.check_name IS
'alerts, cleanup, rollup, partitions, invariants, connections, locks, transactions, refunds.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.status IS 'OK, WARNING, CRITICAL or UNKNOWN.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.severity IS '0, 1, 2 or 3, as Nagios counts them.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.message IS
'What was found, and what to do: one of a few sentences, without numbers.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.value IS
'The number that goes with the message, in the unit given: how old the last run is, how far '
'behind, how many alerts fire or rows are wrong; NULL where it never happened, or nothing fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.unit IS
'Of the value: s, %, or nothing for a number.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.health TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
