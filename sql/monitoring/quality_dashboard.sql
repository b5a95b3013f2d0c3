-- Dashboard 2 of the operations guide: quality metrics, from the views of the metrics.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.quality_dashboard AS
SELECT
    success.success_rate_pct,
    success.raw_success_rate_pct,
    double_booking.attempts AS double_booking_attempts,
    expiration.expiration_rate_pct,
    hold_time.holds_ended,
    hold_time.avg_hold_seconds,
    payment.failure_rate_pct AS payment_failure_rate_pct
FROM {{ monitoring_schema }}.reservation_success_rate AS success
CROSS JOIN {{ monitoring_schema }}.double_booking_attempts AS double_booking
CROSS JOIN {{ monitoring_schema }}.reservation_expiration_rate AS expiration
CROSS JOIN {{ monitoring_schema }}.reservation_hold_time AS hold_time
CROSS JOIN {{ monitoring_schema }}.payment_failures AS payment
WHERE
    success.time_window = '24h'
    AND double_booking.time_window = '24h'
    AND expiration.time_window = '24h'
    AND hold_time.time_window = '24h'
    AND payment.time_window = '24h';

COMMENT ON VIEW {{ monitoring_schema }}.quality_dashboard IS
'Quality metrics of the last 24 hours: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.success_rate_pct IS
'Holds created, in percent of the attempts without race conditions; NULL without attempts.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.raw_success_rate_pct IS
'Holds created, in percent of all attempts; NULL without attempts.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.double_booking_attempts IS
'Calls that violated a constraint of the database; should be 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.expiration_rate_pct IS
'Holds expired, in percent of those created; NULL if none was created.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.holds_ended IS
'Holds completed or expired.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.avg_hold_seconds IS
'Average duration of these holds in seconds; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.payment_failure_rate_pct IS
'Orders whose payment has failed, in percent of all orders; NULL without orders.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.quality_dashboard TO {{ monitor_role }};
{% endif %}
