-- Metric 5. What never happened is NULL, and has_run says so.
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
'How the cleanup of holds that are over is doing: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler IS
'Who runs it: pg_cron where it is scheduled there, otherwise who ran it last; none if nobody '
'did.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_age_seconds IS
'Seconds since the last run that has ended began; NULL if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_duration_seconds IS
'How long the last run took, in seconds; NULL if there was none, or pg_cron could not begin it.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_failed IS
'1 if the last run failed, or pg_cron could not begin it.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.failed_runs_24h IS
'Failed runs of the last 24 hours, those that pg_cron could not begin included.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.runs_24h IS
'Runs that ended in the last 24 hours; skipped ones are not runs.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.overdue_holds IS
'Holds that are over and not cleaned up.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.oldest_overdue_seconds IS
'For how many seconds the oldest of them has been over; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.is_scheduled IS
'1 if pg_cron has the job, and it is switched on.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler_alive IS
'1 if the scheduler is there: the process of pg_cron, or a run by another within the threshold '
'of cleanup_job_silent.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.has_run IS
'1 if the cleanup ever ran; 0 where last_run_age_seconds is NULL.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.skipped_runs_24h IS
'Runs of the last 24 hours that were skipped, since another run was at work.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.longest_run_seconds IS
'How long the longest run took, in seconds, of those that ended in the last 24 hours or are at '
'work; 0 without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.cleanup_job_health TO {{ monitor_role }};
{% endif %}
