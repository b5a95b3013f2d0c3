-- The one list of the jobs: for scheduling and unscheduling them, and for checking that they exist.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.scheduled_jobs()
RETURNS TABLE (job_name text, schedule text, command text, routine_schema text, routine text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
-- Commands are compared as text: they must not depend on the settings of the caller.
SET quote_all_identifiers = off
ROWS 5
AS $body$
SELECT
    job.name,
    job.schedule,
    format(job.command, job.routine_schema, job.routine),
    job.routine_schema,
    job.routine
FROM (
    VALUES
    (
        {{ cleanup_job }}, {{ cleanup_schedule }}, 'CALL %I.%I(''pg_cron'')',
        {{ schema | literal }}, 'run_reservation_cleanup'
    ),
    (
        {{ rollup_job }}, {{ rollup_schedule }}, 'SELECT %I.%I()',
        {{ schema | literal }}, 'roll_up_metrics'
    ),
    (
        {{ invariants_job }}, {{ invariants_schedule }}, 'SELECT %I.%I()',
        {{ internal_schema | literal }}, 'check_invariants'
    ),
    (
        {{ partition_job }}, {{ partition_schedule }}, 'SELECT %I.%I()',
        {{ schema | literal }}, 'maintain_partitions'
    ),
    (
        {{ purge_job }}, {{ purge_schedule }}, 'SELECT %I.%I()',
        {{ schema | literal }}, 'purge_history'
    )
) AS job (name, schedule, command, routine_schema, routine);
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.scheduled_jobs() IS
'The jobs of ticketdb: name, cron schedule, command, and the routine that it calls, with its '
'schema.';
