-- The view that the guide asks for. The same columns with pg_cron and without.
CREATE OR REPLACE VIEW {{ schema }}.reservation_cleanup_job_status AS
SELECT
    run.jobname,
    run.schedule,
    run.active,
    run.command,
    run.status,
    run.return_message,
    run.start_time,
    run.end_time,
    extract(EPOCH FROM run.end_time - run.start_time)::double precision AS duration_seconds,
    run.scheduler
FROM {{ internal_schema }}.reservation_cleanup_job_runs() WITH ORDINALITY AS run
ORDER BY run.ordinality;

COMMENT ON VIEW {{ schema }}.reservation_cleanup_job_status IS
'The last 10 runs of the cleanup, newest first.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.jobname IS 'Name of the job.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.schedule IS
'When pg_cron runs it; NULL for another scheduler.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.active IS
'Whether the job is enabled.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.command IS 'What it runs.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.status IS
'running, succeeded, failed, or skipped, because another run was in progress; pg_cron also has '
'starting, connecting and sending.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.return_message IS
'What it did, or why it failed; NULL if it failed without a message.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.start_time IS
'When it started; NULL if pg_cron has not started it yet, or could not.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.end_time IS
'When it ended; NULL while it runs.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.duration_seconds IS
'How long it took, in seconds.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.scheduler IS
'Who started it: pg_cron, ticketdb, or external.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.reservation_cleanup_job_status TO {{ monitor_role }};
{% endif %}
