-- Metric 5 of the operations guide. Ages and durations are NULL if the cleanup never ran.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.cleanup_job_health AS
SELECT
    job.scheduler,
    job.last_run_age_seconds,
    job.last_run_duration_seconds,
    job.last_run_failed::integer::smallint AS last_run_failed,
    job.failed_runs_24h,
    job.runs_24h,
    holds.overdue_holds,
    holds.oldest_overdue_seconds,
    job.is_scheduled::integer::smallint AS is_scheduled,
    job.scheduler_alive::integer::smallint AS scheduler_alive,
    job.has_run::integer::smallint AS has_run,
    job.skipped_runs_24h,
    job.longest_run_seconds
FROM {{ internal_schema }}.cleanup_job_state() AS job
CROSS JOIN {{ internal_schema }}.overdue_hold_totals() AS holds;

COMMENT ON VIEW {{ monitoring_schema }}.cleanup_job_health IS
'State of the cleanup of overdue holds: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler IS
'What runs the cleanup: pg_cron if it is scheduled there, otherwise what ran it last; none if it '
'never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_age_seconds IS
'Seconds since the last finished run of the cleanup began; NULL if it never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_duration_seconds IS
'Duration of the last finished run of the cleanup, in seconds; NULL if it never ran, or pg_cron '
'could not start it.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_failed IS
'1 if the last finished run of the cleanup failed, or pg_cron could not start it, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.failed_runs_24h IS
'Failed runs of the last 24 hours, including those that pg_cron could not start.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.runs_24h IS
'Runs that finished in the last 24 hours, without skipped ones.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.overdue_holds IS
'Overdue holds: their time is over, and nothing has ended them yet.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.oldest_overdue_seconds IS
'Seconds for which the oldest overdue hold has been overdue; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.is_scheduled IS
'1 if pg_cron has the job and it is active, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler_alive IS
'1 if the process of pg_cron is running or, with another scheduler, if the last run is within the '
'threshold of the alert cleanup_job_silent; otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.has_run IS
'1 if the cleanup has ever run, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.skipped_runs_24h IS
'Runs of the last 24 hours that were skipped because another run was in progress.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.longest_run_seconds IS
'Duration of the longest run that finished in the last 24 hours or is in progress, in seconds; 0 '
'without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.cleanup_job_health TO {{ monitor_role }};
{% endif %}
