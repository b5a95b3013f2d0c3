-- Metric 2 of the operations guide. The functions check first, so that the constraint should never
-- be violated.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.double_booking_attempts AS
SELECT
    windows.time_window,
    COALESCE(sum(metric.constraint_violations), 0)::bigint AS attempts
FROM (
    SELECT
        named.time_window,
        {{ internal_schema }}.window_start(named.length) AS since
    FROM (
        VALUES
        ('5m', interval '5 minutes'),
        ('24h', interval '24 hours')
    ) AS named (time_window, length)
) AS windows
LEFT JOIN
    {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('24 hours'))
        AS metric
    ON metric.minute >= windows.since
GROUP BY windows.time_window;

COMMENT ON VIEW {{ monitoring_schema }}.double_booking_attempts IS
'Double bookings that a constraint of the database prevented.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.time_window IS
'Length of the window up to now: 5m or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.attempts IS
'Calls that violated a constraint of the database; should be 0.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.double_booking_attempts TO {{ monitor_role }};
{% endif %}
