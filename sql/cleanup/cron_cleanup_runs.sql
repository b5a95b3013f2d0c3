-- For reservation_cleanup_job_runs(): the runs of the cleanup in the record of pg_cron. Its only
-- index is on runid, so the record of all jobs is read from its end, no further than necessary. The
-- statements are dynamic because pg_cron may be missing, and may be installed later.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cron_cleanup_runs(
    p_limit integer, p_since timestamptz
)
RETURNS TABLE (
    runid bigint,
    job_pid integer,
    status text,
    return_message text,
    start_time timestamptz,
    end_time timestamptz,
    seen_at timestamptz,
    jobname text,
    schedule text,
    active boolean,
    command text
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
ROWS 20
AS $body$
DECLARE
    v_job_ids bigint[];
    v_run record;
    v_found integer := 0;
    v_older integer := 0;
BEGIN
    EXECUTE
    $query$
    SELECT array_agg(job.jobid)
    FROM cron.job
    WHERE
        job.database = current_database()
        AND (job.jobname = $1 OR job.command = $2)
    $query$
    INTO v_job_ids
    USING
        {{ cleanup_job }},
        (
            SELECT jobs.command
            FROM {{ internal_schema }}.scheduled_jobs() AS jobs
            WHERE jobs.routine = 'run_reservation_cleanup'
        );
    IF v_job_ids IS NULL THEN
        RETURN;
    END IF;

    seen_at := now();
    FOR v_run IN EXECUTE
        $query$
        SELECT
            detail.runid,
            detail.job_pid,
            detail.status,
            detail.return_message,
            detail.start_time,
            detail.end_time,
            job.jobid IS NOT NULL AS is_ours,
            job.jobname::text,
            job.schedule,
            job.active,
            job.command
        FROM cron.job_run_details AS detail
        LEFT JOIN cron.job ON job.jobid = detail.jobid AND job.jobid = ANY($1)
        WHERE
            -- More than a day of a job that runs each second.
            detail.runid > (SELECT runid_seq.last_value FROM cron.runid_seq) - 100000
        ORDER BY detail.runid DESC
        $query$
        USING v_job_ids
    LOOP
        -- A run that could not start has no time: it is older than the run read before it.
        seen_at := COALESCE(v_run.start_time, seen_at);
        IF v_run.start_time < p_since THEN
            -- One old time proves nothing, since a clock may have been set back.
            v_older := v_older + 1;
            EXIT WHEN v_older > 100;
        END IF;
        CONTINUE WHEN NOT v_run.is_ours OR COALESCE(v_run.end_time, seen_at) < p_since;

        runid := v_run.runid;
        job_pid := v_run.job_pid;
        status := v_run.status;
        return_message := v_run.return_message;
        start_time := v_run.start_time;
        end_time := v_run.end_time;
        jobname := v_run.jobname;
        schedule := v_run.schedule;
        active := v_run.active;
        command := v_run.command;
        RETURN NEXT;
        v_found := v_found + 1;
        EXIT WHEN v_found = p_limit;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.cron_cleanup_runs(integer, timestamptz) IS
'The last p_limit runs of the cleanup in the record of pg_cron, newest first, that ended at or '
'after p_since; NULL for no limit. seen_at is the latest time at which the run can have started.';
