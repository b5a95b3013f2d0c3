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
