-- Dashboard 1 of the operations guide.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.realtime_dashboard AS
WITH last_hour AS (
    SELECT COALESCE(sum(metric.created), 0)::bigint AS created
    FROM
        {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('1 hour'))
            AS metric
),

today AS (
    SELECT
        sum(revenue.tickets_sold)::bigint AS tickets_sold,
        -- Amounts in several currencies have no sum.
        CASE
            WHEN count(*) FILTER (WHERE revenue.revenue_cents <> 0) <= 1
                THEN sum(revenue.revenue_cents)::bigint
        END AS revenue_cents
    FROM {{ monitoring_schema }}.revenue_today AS revenue
)

SELECT
    holds.active_reservations,
    last_hour.created AS reservations_last_hour,
    today.tickets_sold AS tickets_sold_today,
    today.revenue_cents AS revenue_today_cents,
    job.last_run_age_seconds AS last_cleanup_age_seconds,
    job.last_run_failed::integer::smallint AS last_cleanup_failed,
    job.last_run_duration_seconds AS last_cleanup_duration_seconds,
    job.has_run::integer::smallint AS cleanup_has_run
FROM {{ internal_schema }}.active_reservation_totals() AS holds
CROSS JOIN {{ internal_schema }}.cleanup_job_state() AS job
CROSS JOIN last_hour
CROSS JOIN today;

COMMENT ON VIEW {{ monitoring_schema }}.realtime_dashboard IS 'Real-time operations: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.active_reservations IS
'Live holds: active, and not overdue.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.reservations_last_hour IS
'Holds created in the last hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.tickets_sold_today IS
'Tickets issued today, including those refunded since.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.revenue_today_cents IS
'Total amount of the orders created today that are paid, less refunds for some of their tickets, '
'in the minor unit of their currency; NULL if there are several currencies: see revenue_today.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_age_seconds IS
'Seconds since the last finished run of the cleanup began; NULL if it never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_failed IS
'1 if the last finished run of the cleanup failed, or pg_cron could not start it, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_duration_seconds IS
'Duration of the last finished run of the cleanup, in seconds; NULL if it never ran, or pg_cron '
'could not start it.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.cleanup_has_run IS
'1 if the cleanup has ever run, otherwise 0.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.realtime_dashboard TO {{ monitor_role }};
{% endif %}
