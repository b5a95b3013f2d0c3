-- Metric 2. The constraints of the database should never have to step in.
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
'How often a constraint of the database prevented a double booking.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.time_window IS
'How far back: 5m, 15m, 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.attempts IS
'Calls that a constraint stopped; should be 0.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.double_booking_attempts TO {{ monitor_role }};
{% endif %}
