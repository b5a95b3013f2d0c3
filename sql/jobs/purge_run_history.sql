-- For purge_history(): deletes old runs of jobs, from our record and that of pg_cron.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.purge_run_history()
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_before timestamptz;
    v_last timestamptz;
BEGIN
    SELECT now() - make_interval(hours => 24 * settings.run_history_days)
    INTO v_before
    FROM {{ schema }}.ticketing_settings AS settings;

    -- The last run that was not skipped stays, or it would seem that there never was one.
    SELECT max(run.finished_at)
    INTO v_last
    FROM {{ schema }}.reservation_cleanup_runs AS run
    WHERE run.status IN ('succeeded', 'failed');
    DELETE FROM {{ schema }}.reservation_cleanup_runs
    WHERE reservation_cleanup_runs.finished_at < LEAST(v_before, v_last);
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'reservation_cleanup_runs';
        RETURN NEXT;
    END IF;

    -- pg_cron never purges its record. Only runs of our jobs are deleted, including jobs that no
    -- longer exist. Runs that could not start have no time, and go with those before them.
    IF {{ internal_schema }}.can_use_pg_cron() THEN
        EXECUTE
        $query$
        DELETE FROM cron.job_run_details AS detail
        WHERE
            detail.runid <= (
                SELECT max(old.runid)
                FROM cron.job_run_details AS old
                WHERE COALESCE(old.end_time, old.start_time) < $1
            )
            AND COALESCE(detail.end_time, detail.start_time, '-infinity') < $1
            AND (
                (detail.command = ANY($2) AND detail.database = current_database())
                OR detail.jobid IN (
                    SELECT job.jobid
                    FROM cron.job
                    WHERE
                        job.jobname = ANY($3)
                        AND job.database = current_database()
                )
            )
        $query$
        USING
            v_before,
            ARRAY(SELECT jobs.command FROM {{ internal_schema }}.scheduled_jobs() AS jobs),
            ARRAY(SELECT jobs.job_name FROM {{ internal_schema }}.scheduled_jobs() AS jobs);
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        IF rows_removed > 0 THEN
            object := 'cron.job_run_details';
            RETURN NEXT;
        END IF;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.purge_run_history() IS
'Deletes runs of jobs past run_history_days, and returns from which tables and how many rows.';
