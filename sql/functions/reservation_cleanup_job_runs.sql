-- For the view of nearly the same name, and for cleanup_job_health. pg_cron shows each role only
-- its own rows, and its schema must stay closed to those who monitor, since cron.schedule is for
-- everybody there: so this runs as the owner of the job. The statements are dynamic because pg_cron
-- may be missing, and may come later.
CREATE OR REPLACE FUNCTION {{ schema }}.reservation_cleanup_job_runs(p_limit integer DEFAULT 10)
RETURNS TABLE (
    jobname text,
    schedule text,
    active boolean,
    command text,
    status text,
    return_message text,
    start_time timestamptz,
    end_time timestamptz,
    scheduler text
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 20
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        {{ cleanup_job }}::text,
        NULL::text,
        true,
        'CALL run_reservation_cleanup()'::text,
        run.status,
        COALESCE(
            run.error_message,
            format(
                '%s reservations expired, %s seats released',
                run.reservations_expired,
                run.seats_released
            )
        ),
        run.started_at,
        run.finished_at,
        run.scheduler
    FROM {{ schema }}.reservation_cleanup_runs AS run
    WHERE
        -- pg_cron has its own record of these, unless it was removed.
        run.scheduler <> 'pg_cron' OR NOT {{ schema }}.can_use_pg_cron()
    ORDER BY run.id DESC
    LIMIT p_limit;

    IF {{ schema }}.can_use_pg_cron() THEN
        RETURN QUERY EXECUTE
        $query$
        SELECT
            job.jobname::text,
            job.schedule,
            job.active,
            job.command,
            run.status,
            run.return_message,
            run.start_time,
            run.end_time,
            'pg_cron'
        FROM cron.job AS job
        CROSS JOIN LATERAL (
            SELECT detail.*
            FROM cron.job_run_details AS detail
            WHERE
                detail.jobid = job.jobid
                -- The only index is on runid. A bound keeps a long history of other jobs from being
                -- searched.
                AND detail.runid > (SELECT runid_seq.last_value FROM cron.runid_seq) - 10000
            ORDER BY detail.runid DESC
            LIMIT $2
        ) AS run
        WHERE
            job.jobname = $1
            AND job.database = current_database()
        $query$
        USING
            {{ cleanup_job }},
            p_limit;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.reservation_cleanup_job_runs(integer) IS
'The last p_limit runs of the cleanup, of pg_cron and of everybody else. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reservation_cleanup_job_runs(integer)
TO {{ monitor_role }};
{% endif %}
