-- Metric 5. A job that never ran is told as one that last ran at the beginning of Unix time: too
-- long ago for every threshold.
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
    job.scheduler_alive::integer::smallint AS scheduler_alive
FROM {{ schema }}.cleanup_job_state() AS job
CROSS JOIN {{ schema }}.overdue_hold_totals() AS holds;

COMMENT ON VIEW {{ monitoring_schema }}.cleanup_job_health IS
'How the cleanup of holds that are over is doing: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler IS
'Who runs it: pg_cron where it is scheduled there, otherwise who ran it last; none if nobody '
'did.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_age_seconds IS
'Seconds since the last run that has ended began; since 1970 if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_duration_seconds IS
'How long that run took, in seconds.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_failed IS
'1 if that run failed.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.failed_runs_24h IS
'Failed runs of the last 24 hours.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.runs_24h IS
'Runs of the last 24 hours.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.overdue_holds IS
'Holds that are over and not cleaned up.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.oldest_overdue_seconds IS
'For how many seconds the oldest of them has been over; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.is_scheduled IS
'1 if pg_cron has the job, and it is switched on.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler_alive IS
'1 if the scheduler is there: the process of pg_cron, or a run by another within the threshold '
'of cleanup_job_silent.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.cleanup_job_health TO {{ monitor_role }};
{% endif %}
