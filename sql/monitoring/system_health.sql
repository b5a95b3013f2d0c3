-- Dashboard 3 of the operations guide.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.system_health AS
WITH pool AS (
    SELECT
        sum(by_state.connections)::bigint AS connections,
        min(by_state.max_connections) AS max_connections,
        sum(by_state.used_pct) AS used_pct
    FROM {{ monitoring_schema }}.connection_pool AS by_state
),

api AS (
    SELECT
        COALESCE(sum(metric.requests), 0)::bigint AS requests,
        COALESCE(sum(metric.errors), 0)::bigint AS errors,
        sum(metric.duration_microseconds)::double precision / 1000 AS milliseconds
    FROM {{ internal_schema }}.api_metrics({{ internal_schema }}.window_start('1 hour')) AS metric
),

rollup AS (
    SELECT max(mark.age_seconds) AS age_seconds
    FROM {{ internal_schema }}.rollup_state() AS mark
)

SELECT
    job.last_run_age_seconds AS last_cleanup_age_seconds,
    job.last_run_failed::integer::smallint AS last_cleanup_failed,
    job.last_run_duration_seconds AS last_cleanup_duration_seconds,
    job.scheduler_alive::integer::smallint AS scheduler_alive,
    holds.overdue_holds,
    pool.connections,
    pool.max_connections,
    pool.used_pct AS connections_used_pct,
    api.requests AS requests_last_hour,
    100.0::double precision * api.errors / NULLIF(api.requests, 0) AS error_rate_pct,
    api.milliseconds / NULLIF(api.requests, 0) AS avg_milliseconds,
    rollup.age_seconds AS rollup_age_seconds,
    job.has_run::integer::smallint AS cleanup_has_run
FROM {{ internal_schema }}.cleanup_job_state() AS job
CROSS JOIN {{ internal_schema }}.overdue_hold_totals() AS holds
CROSS JOIN pool
CROSS JOIN api
CROSS JOIN rollup;

COMMENT ON VIEW {{ monitoring_schema }}.system_health IS
'State of the system: cleanup, connections, requests and rollup, in one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_age_seconds IS
'Seconds since the last finished run of the cleanup began; NULL if it never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_failed IS
'1 if the last finished run of the cleanup failed, or pg_cron could not start it, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_duration_seconds IS
'Duration of the last finished run of the cleanup, in seconds; NULL if it never ran, or pg_cron '
'could not start it.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.scheduler_alive IS
'1 if whatever runs the cleanup is alive, as in cleanup_job_health; otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.overdue_holds IS
'Overdue holds: their time is over, and nothing has ended them yet.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.connections IS
'Connections of clients to the server.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.max_connections IS
'Number of connections that the server accepts.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.connections_used_pct IS
'Connections of clients, in percent of max_connections.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.requests_last_hour IS
'Requests to the endpoints of the shop in the last hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.error_rate_pct IS
'Requests answered with a status of 500 or above, in percent; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.avg_milliseconds IS
'Average duration of requests in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.rollup_age_seconds IS
'Seconds since the logs were last rolled up; the longest of all logs.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.cleanup_has_run IS
'1 if the cleanup has ever run, otherwise 0.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.system_health TO {{ monitor_role }};
{% endif %}
