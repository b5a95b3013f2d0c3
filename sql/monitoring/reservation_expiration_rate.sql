-- Metric 3 of the operations guide.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.reservation_expiration_rate AS
SELECT
    total.time_window,
    total.created AS total_created,
    total.completed AS total_completed,
    total.expired AS total_expired,
    100.0::double precision * total.expired / NULLIF(total.created, 0) AS expiration_rate_pct
FROM (
    SELECT
        windows.time_window,
        COALESCE(sum(metric.created), 0)::bigint AS created,
        COALESCE(sum(metric.completed), 0)::bigint AS completed,
        COALESCE(sum(metric.expired), 0)::bigint AS expired
    FROM (
        SELECT
            named.time_window,
            {{ internal_schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('1h', interval '1 hour'),
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN
        {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('24 hours'))
            AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.reservation_expiration_rate IS
'Holds created, completed and expired, by window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.time_window IS
'Length of the window up to now: 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.total_created IS
'Holds created in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.total_completed IS
'Holds completed in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.total_expired IS
'Holds expired in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.expiration_rate_pct IS
'Holds expired, in percent of those created; NULL if none was created. May exceed 100: holds may '
'expire in a later window than they were created in.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.reservation_expiration_rate TO {{ monitor_role }};
{% endif %}
