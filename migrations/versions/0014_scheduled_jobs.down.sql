-- 0014: Scheduled jobs.
-- A template, frozen by `ticketdb revision`.

-- drop: jobs/schedule.sql
SELECT {{ schema }}.unschedule_jobs();

-- drop: functions/unschedule_jobs.sql
DROP ROUTINE {{ schema }}.unschedule_jobs;

-- drop: functions/schedule_jobs.sql
DROP ROUTINE {{ schema }}.schedule_jobs;

-- drop: functions/scheduled_jobs.sql
DROP ROUTINE {{ schema }}.scheduled_jobs;

-- drop: functions/purge_history.sql
DROP ROUTINE {{ schema }}.purge_history;
