-- The jobs, once: for scheduling them, unscheduling them, and seeing that they are there.
CREATE OR REPLACE FUNCTION {{ schema }}.scheduled_jobs()
RETURNS TABLE (job_name text, schedule text, command text, routine text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
-- Commands are compared: they are written the same whoever asks.
SET quote_all_identifiers = off
ROWS 5
AS $body$
VALUES
(
    {{ cleanup_job }}, {{ cleanup_schedule }},
    format('CALL %I.run_reservation_cleanup(%L)', {{ schema | literal }}, 'pg_cron'),
    'run_reservation_cleanup'
),
(
    {{ rollup_job }}, {{ rollup_schedule }},
    format('SELECT %I.roll_up_metrics()', {{ schema | literal }}), 'roll_up_metrics'
),
(
    {{ invariants_job }}, {{ invariants_schedule }},
    format('SELECT %I.check_invariants()', {{ schema | literal }}), 'check_invariants'
),
(
    {{ partition_job }}, {{ partition_schedule }},
    format('SELECT %I.maintain_partitions()', {{ schema | literal }}), 'maintain_partitions'
),
(
    {{ purge_job }}, {{ purge_schedule }},
    format('SELECT %I.purge_history()', {{ schema | literal }}), 'purge_history'
);
$body$;

COMMENT ON FUNCTION {{ schema }}.scheduled_jobs() IS
'The jobs that keep ticketdb tidy: name, cron schedule, command, and the routine that it calls.';
