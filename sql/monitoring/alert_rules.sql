-- When an alert fires. A DBA changes thresholds with UPDATE, and the view alerts follows at once.
-- That view also defines, by the name of a rule, which value is compared with the threshold.
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
    -- In the notation of Nagios plugins.
    CONSTRAINT alert_rules_unit_check CHECK (unit IN ('', 's', '%')),
    CONSTRAINT alert_rules_threshold_check
    CHECK (threshold > '-Infinity' AND threshold < 'Infinity'),
    -- Every minute of the window is read from the rollups, and no dashboard looks back further than
    -- a week.
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
    'The cleanup of overdue holds failed, or has not run for this many seconds.',
    'Check the log of the database; run the cleanup by hand if needed.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'payment_processing_down', 'critical', '>', 20, '%', 900,
    'Orders whose payment failed, in percent of all orders of the last minutes.',
    'Check the status of the payment provider and the API keys.',
    'docs/runbooks/payment-failures.md'
),
(
    'high_expiration_rate', 'warning', '>', 70, '%', 3600,
    'Reservations expired without a purchase, in percent of those created in the last hour.',
    'Review the checkout, and check for errors in it.',
    'docs/runbooks/high-expiration-rate.md'
),
(
    'low_success_rate', 'warning', '<', 90, '%', 3600,
    'Attempts to reserve that succeeded, in percent, not counting legitimate conflicts.',
    'Review the error messages for systematic problems.',
    'docs/runbooks/high-reservation-failure-rate.md'
),
(
    'double_booking_attempts', 'warning', '>', 0, '', 86400,
    'A constraint of the database prevented double bookings in the last day.',
    'Find the cause: application logic should prevent this.',
    'docs/runbooks/double-booking.md'
),
(
    'high_expiration_rate_24h', 'warning', '>', 80, '%', 86400,
    'Reservations expired without a purchase, in percent of those created in the last day.',
    'Review the checkout.',
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
    'The cleanup of overdue holds has not run for this many seconds.',
    'Check its scheduler.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'cleanup_runs_failed', 'warning', '>', 0, '', 86400,
    'Number of runs of the cleanup that failed in the last day.',
    'Read the error messages in reservation_cleanup_job_status.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'cleanup_job_slow', 'warning', '>', 30, 's', 3600,
    'A run of the cleanup took this many seconds.',
    'Check what it waited for, and whether many holds were overdue.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'many_active_reservations', 'warning', '>', 1000, '', 0,
    'Seats are being held by this many customers at once.',
    'Check that there is capacity for this load.',
    'docs/runbooks/many-active-reservations.md'
),
(
    'payment_failure_rate_24h', 'warning', '>', 5, '%', 86400,
    'Orders whose payment failed, in percent of all orders of the last day.',
    'Review declined payments with the provider.',
    'docs/runbooks/payment-failures.md'
),
(
    'extension_rate', 'info', '>', 50, '', 86400,
    'Extensions per hundred reservations created in the last day.',
    'Consider longer holds, or a shorter checkout.',
    'docs/runbooks/extension-rate.md'
),
(
    'overdue_holds', 'critical', '>', 300, 's', 0,
    'A hold has been overdue for this many seconds, even if runs of the cleanup succeed.',
    'Run the cleanup by hand, and find out why it does not end these holds.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'no_payments', 'critical', '>', 1800, 's', 3600,
    'Orders were placed, but no payment, not even a failed one, for this many seconds.',
    'Check whether events of the payment provider reach the application.',
    'docs/runbooks/payment-failures.md'
),
(
    'refunds_overdue', 'warning', '>', 86400, 's', 0,
    'A refund has been due for this many seconds.',
    'Pay the money back, and record that.',
    'docs/runbooks/refunds.md'
),
(
    'lock_waits', 'warning', '>', 30, 's', 0,
    'A session has waited for a lock for this many seconds.',
    'Find the session that holds the lock, and end its transaction.',
    'docs/runbooks/locks-and-transactions.md'
),
(
    'long_transaction', 'warning', '>', 900, 's', 0,
    'A transaction has been open, or prepared, for this many seconds.',
    'Ask its owner to end it, or end it yourself.',
    'docs/runbooks/locks-and-transactions.md'
),
(
    'rollup_late', 'warning', '>', 300, 's', 0,
    'The rollup is this many seconds behind, or was restored from another server.',
    'Check whether the rollup runs, and which open transaction holds it back.',
    'docs/runbooks/metrics-rollup.md'
),
(
    'maintenance_behind', 'warning', '>', 172800, 's', 0,
    'New partitions or a purge of the logs have been due for this many seconds.',
    'Run maintain_partitions() and purge_history(), and find out what blocks them.',
    'docs/runbooks/partitions.md'
);

COMMENT ON TABLE {{ monitoring_schema }}.alert_rules IS
'Alert rules: thresholds, and what to do. Change them with UPDATE; the view alerts follows at '
'once.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.alert_name IS
'Name of the alert, which determines what is measured: see the view alerts.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.severity IS
'critical: respond immediately; warning: within the hour; info: daily review.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.comparison IS
'> if the alert fires above the threshold, < if below.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.threshold IS
'Threshold, in the unit of the rule. A value equal to it does not fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.unit IS
'Unit of the value and the threshold: s (seconds), % (percent), or empty for a number.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.time_window_seconds IS
'Length of the window up to now, in seconds, rounded up to whole minutes; 0 for a present state.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.minimum_events IS
'For a rate or an average: the number of events below which the alert does not fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.enabled IS 'Whether the alert may fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.summary IS
'What is measured, or what is wrong when the alert fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.action IS 'What to do first.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.runbook IS
'Runbook: a path in the repository of ticketdb. May be changed to an address of your own.';
COMMENT ON CONSTRAINT alert_rules_severity_check ON {{ monitoring_schema }}.alert_rules IS
'critical, warning or info.';
COMMENT ON CONSTRAINT alert_rules_comparison_check ON {{ monitoring_schema }}.alert_rules IS
'Above or below the threshold.';
COMMENT ON CONSTRAINT alert_rules_unit_check ON {{ monitoring_schema }}.alert_rules IS
'Units that Nagios knows: none, seconds, percent.';
COMMENT ON CONSTRAINT alert_rules_threshold_check ON {{ monitoring_schema }}.alert_rules IS
'Finite, as monitoring systems require.';
COMMENT ON CONSTRAINT alert_rules_time_window_seconds_check
ON {{ monitoring_schema }}.alert_rules IS
'At most a week, in seconds.';
COMMENT ON CONSTRAINT alert_rules_minimum_events_check ON {{ monitoring_schema }}.alert_rules IS
'Not negative.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.alert_rules TO {{ monitor_role }};
{% endif %}
