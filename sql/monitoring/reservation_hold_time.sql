-- Metric 4 of the operations guide. From the duration that is logged when a hold ends, so that
-- holds which began before the window count, too.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.reservation_hold_time AS
SELECT
    total.time_window,
    total.holds_ended,
    total.seconds / NULLIF(total.holds_ended, 0) / 60 AS avg_hold_minutes,
    total.seconds / NULLIF(total.holds_ended, 0) AS avg_hold_seconds
FROM (
    SELECT
        windows.time_window,
        COALESCE(sum(metric.holds_ended), 0)::bigint AS holds_ended,
        COALESCE(sum(metric.hold_microseconds), 0)::double precision / 1e6 AS seconds
    FROM (
        SELECT
            named.time_window,
            {{ internal_schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN
        {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('24 hours'))
            AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.reservation_hold_time IS
'Duration of holds until they are completed or expire, by window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.time_window IS
'Length of the window up to now: 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.holds_ended IS
'Holds completed or expired in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.avg_hold_minutes IS
'Average duration of these holds in minutes; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.avg_hold_seconds IS
'Average duration of these holds in seconds; NULL without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.reservation_hold_time TO {{ monitor_role }};
{% endif %}
