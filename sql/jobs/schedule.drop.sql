-- Removes the jobs from pg_cron before their functions are dropped.
SELECT {{ internal_schema }}.unschedule_jobs();
