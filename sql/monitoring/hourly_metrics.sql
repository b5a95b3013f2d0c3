-- The last 24 hours in business_time_zone, including the present one; hours without events are rows
-- of zeros. max() shows the planner that there is one row of settings, which it cannot know of a
-- table without statistics.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.hourly_metrics AS
WITH settings AS (
    SELECT max(setting.business_time_zone) AS business_time_zone
    FROM {{ schema }}.ticketing_settings AS setting
),

hours AS (
    SELECT
        date_trunc('hour', now(), settings.business_time_zone)
        - make_interval(hours => n.hours_ago) AS start
    FROM settings
    CROSS JOIN generate_series(0, 23) AS n (hours_ago)
),

totals AS (
    SELECT
        hours.start,
        COALESCE(sum(metric.created), 0)::bigint AS created,
        COALESCE(sum(metric.completed), 0)::bigint AS completed,
        COALESCE(sum(metric.expired), 0)::bigint AS expired,
        COALESCE(sum(metric.failed), 0)::bigint AS failed
    FROM hours
    LEFT JOIN
        {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('25 hours'))
            AS metric
        ON metric.minute >= hours.start AND metric.minute < hours.start + interval '1 hour'
    GROUP BY hours.start
)

SELECT
    totals.start AS time,
    totals.created AS reservations_created,
    totals.completed AS reservations_completed,
    totals.expired AS reservations_expired,
    totals.failed AS reservations_failed,
    100.0::double precision * totals.completed / NULLIF(totals.created, 0) AS completion_rate_pct
FROM totals
ORDER BY totals.start;

COMMENT ON VIEW {{ monitoring_schema }}.hourly_metrics IS
'Events of holds by hour, for 24 hours: always 24 rows, oldest first.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.time IS 'Start of the hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_created IS 'Holds created.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_completed IS
'Holds completed.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_expired IS 'Holds expired.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_failed IS 'Refused calls.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.completion_rate_pct IS
'Holds completed, in percent of those created; NULL if none was created.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.hourly_metrics TO {{ monitor_role }};
{% endif %}
