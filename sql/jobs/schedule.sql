-- With pg_cron the jobs run from now on; without it `ticketdb cleanup`, or any scheduler, runs the
-- same commands.
SELECT {{ internal_schema }}.schedule_jobs();
