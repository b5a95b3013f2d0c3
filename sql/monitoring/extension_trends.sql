-- For the daily review: whole days of the house, today and six before.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.extension_trends AS
SELECT
    -- Where the clock is put back at midnight, midnight is there twice: the first is meant.
    CASE
        WHEN ((midnight.at - interval '1 hour') AT TIME ZONE midnight.zone)::date = midnight.day
            THEN midnight.at - interval '1 hour'
        ELSE midnight.at
    END AS time,
    midnight.extensions,
    midnight.unique_reservations
FROM (
    SELECT
        metric.*,
        settings.business_time_zone AS zone,
        metric.day::timestamp AT TIME ZONE settings.business_time_zone AS at
    FROM {{ internal_schema }}.extension_metrics(7) AS metric
    CROSS JOIN {{ schema }}.ticketing_settings AS settings
) AS midnight
ORDER BY midnight.at;

COMMENT ON VIEW {{ monitoring_schema }}.extension_trends IS
'How often holds are extended, by the day, for 7 days: always 7 rows, oldest first.';
COMMENT ON COLUMN {{ monitoring_schema }}.extension_trends.time IS
'Beginning of the day in business_time_zone.';
COMMENT ON COLUMN {{ monitoring_schema }}.extension_trends.extensions IS 'Extensions.';
COMMENT ON COLUMN {{ monitoring_schema }}.extension_trends.unique_reservations IS
'Different reservations that were extended.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.extension_trends TO {{ monitor_role }};
{% endif %}
