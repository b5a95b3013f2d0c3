-- For the downgrade, and for a DBA who moves the jobs to another scheduler.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.unschedule_jobs()
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_job record;
BEGIN
    IF NOT {{ internal_schema }}.can_use_pg_cron() THEN
        RETURN;
    END IF;
    -- By command: a DBA may have renamed them.
    FOR v_job IN EXECUTE
        $query$
        SELECT
            job.jobid,
            job.jobname::text AS name
        FROM cron.job AS job
        WHERE
            job.command = ANY($1)
            AND job.database = current_database()
        $query$
        USING ARRAY(SELECT jobs.command FROM {{ internal_schema }}.scheduled_jobs() AS jobs)
    LOOP
        EXECUTE 'SELECT cron.unschedule($1::bigint)' USING v_job.jobid;
        RETURN NEXT v_job.name;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.unschedule_jobs() IS
'Removes the jobs of scheduled_jobs() from pg_cron and returns their names. Does nothing without '
'pg_cron.';
