-- 0009: Scheduled jobs.
-- A template, frozen by `ticketdb revision`.

-- drop: jobs/schedule.sql
-- Removes the jobs from pg_cron before their functions are dropped.
SELECT {{ internal_schema }}.unschedule_jobs();

-- drop: jobs/unschedule_jobs.sql
DROP ROUTINE {{ internal_schema }}.unschedule_jobs;

-- drop: jobs/schedule_jobs.sql
DROP ROUTINE {{ internal_schema }}.schedule_jobs;

-- drop: jobs/scheduled_jobs.sql
DROP ROUTINE {{ internal_schema }}.scheduled_jobs;

-- drop: jobs/purge_history.sql
DROP ROUTINE {{ schema }}.purge_history;

-- drop: jobs/purge_personal_data.sql
DROP ROUTINE {{ internal_schema }}.purge_personal_data;

-- drop: jobs/purge_run_history.sql
DROP ROUTINE {{ internal_schema }}.purge_run_history;

-- drop: jobs/purge_rollups.sql
DROP ROUTINE {{ internal_schema }}.purge_rollups;
