-- Metric 1. A rate of attempts: sales, which the guide's query counts too, are none, nor are
-- refused extensions and releases. Legitimate conflicts are left out of the first rate, as the
-- guide's target says.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.reservation_success_rate AS
SELECT
    total.time_window,
    total.created + total.failed_attempts AS total_attempts,
    total.created AS succeeded,
    total.race_conditions,
    total.failed_attempts - total.race_conditions AS system_errors,
    100.0::double precision * total.created
    / NULLIF(total.created + total.failed_attempts - total.race_conditions, 0) AS success_rate_pct,
    100.0::double precision * total.created
    / NULLIF(total.created + total.failed_attempts, 0) AS raw_success_rate_pct
FROM (
    SELECT
        windows.time_window,
        COALESCE(sum(metric.created), 0)::bigint AS created,
        COALESCE(sum(metric.failed_attempts), 0)::bigint AS failed_attempts,
        COALESCE(sum(metric.race_conditions), 0)::bigint AS race_conditions
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

COMMENT ON VIEW {{ monitoring_schema }}.reservation_success_rate IS
'How many attempts to hold seats succeed.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.time_window IS
'How far back: 5m, 15m, 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.total_attempts IS
'Holds created, and attempts to reserve that were refused.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.succeeded IS 'Holds created.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.race_conditions IS
'Attempts refused because of another customer: the seats are taken, or being worked on.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.system_errors IS
'Attempts refused for another reason.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.success_rate_pct IS
'Holds created, in percent of the attempts without race conditions; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.raw_success_rate_pct IS
'Holds created, in percent of all attempts; NULL without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.reservation_success_rate TO {{ monitor_role }};
{% endif %}
