-- For the view of nearly the same name, and for the totals. pg_cron shows each role only its own
-- rows, and its schema must stay closed to those who monitor, since cron.schedule is for everybody
-- there: so this runs as the owner of the job.
--
-- Our record has all runs that began, pg_cron's also those that it could not begin. Each is in the
-- order of its numbers, and the two are merged by time: a clock that steps back moves none of the
-- runs of one record before another.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_cleanup_job_runs(
    p_limit integer DEFAULT 10,
    p_since timestamptz DEFAULT NULL
)
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
-- Its estimates are guesses: to compile takes longer than to run.
SET jit = off
SET plan_cache_mode = 'force_custom_plan'
SET enable_seqscan = off
SET enable_nestloop = off
ROWS 20
AS $body$
DECLARE
    v_since timestamptz := p_since;
    v_has_pg_cron constant boolean := {{ internal_schema }}.can_use_pg_cron();
BEGIN
    IF p_since IS NULL THEN
        -- What is older than as many of our own is not among the last.
        SELECT min(newest.started_at)
        INTO v_since
        FROM (
            SELECT run.started_at
            FROM {{ schema }}.reservation_cleanup_runs AS run
            ORDER BY run.id DESC
            LIMIT p_limit
        ) AS newest
        HAVING count(*) = p_limit;
    END IF;

    RETURN QUERY
    WITH own AS MATERIALIZED (
        (
            SELECT run.*
            FROM {{ schema }}.reservation_cleanup_runs AS run
            WHERE p_since IS NULL
            ORDER BY run.id DESC
            LIMIT p_limit
        )
        UNION ALL
        SELECT run.*
        FROM {{ schema }}.reservation_cleanup_runs AS run
        WHERE run.finished_at >= p_since
        UNION ALL
        SELECT run.*
        FROM {{ schema }}.reservation_cleanup_runs AS run
        WHERE
            run.finished_at IS NULL
            AND p_since IS NOT NULL
    ),

    cron AS MATERIALIZED (
        SELECT run.*
        FROM {{ internal_schema }}.cron_cleanup_runs(p_limit, v_since) AS run
        WHERE v_has_pg_cron
    ),

    pairs AS MATERIALIZED (
        SELECT
            own.id,
            cron.*
        FROM own
        INNER JOIN cron ON cron.job_pid = own.backend_pid
        WHERE
            own.scheduler = 'pg_cron'
            -- Numbers of processes come again, though not within the minute.
            AND own.started_at > cron.start_time - interval '1 minute'
            AND own.started_at < COALESCE(cron.end_time, 'infinity') + interval '1 minute'
    ),

    known AS (
        SELECT
            max(own.started_at) OVER (ORDER BY own.id) AS at,
            own.id AS number,
            pair.jobname,
            pair.schedule,
            pair.active,
            pair.command,
            CASE
                WHEN own.status <> 'running' THEN own.status
                WHEN pair.end_time IS NOT NULL THEN pair.status
                -- The next run will say so.
                WHEN activity.pid IS NULL AND NOT pg_is_in_recovery() THEN 'failed'
                ELSE own.status
            END AS status,
            own.error_message,
            pair.return_message,
            own.reservations_expired,
            own.seats_released,
            own.started_at,
            COALESCE(own.finished_at, pair.end_time) AS finished_at,
            own.scheduler
        FROM own
        LEFT JOIN pairs AS pair ON pair.id = own.id
        LEFT JOIN pg_stat_activity AS activity ON activity.pid = own.backend_pid
    ),

    unknown AS (
        SELECT
            COALESCE(max(cron.start_time) OVER (ORDER BY cron.runid), cron.seen_at) AS at,
            cron.*
        FROM cron
        LEFT JOIN pairs AS pair ON pair.runid = cron.runid
        WHERE pair.runid IS NULL
    ),

    merged AS (
        SELECT
            known.at,
            known.number,
            COALESCE(known.jobname, {{ cleanup_job }}) AS jobname,
            known.schedule,
            COALESCE(known.active, true) AS active,
            COALESCE(known.command, 'CALL run_reservation_cleanup()') AS command,
            known.status,
            COALESCE(
                CASE WHEN known.status = 'failed' THEN known.return_message END,
                known.error_message,
                -- What it did is no reason why it failed.
                CASE
                    WHEN known.status <> 'failed'
                        THEN format(
                            '%s reservations expired, %s seats released',
                            known.reservations_expired,
                            known.seats_released
                        )
                END
            ) AS return_message,
            known.started_at AS start_time,
            known.finished_at AS end_time,
            known.scheduler
        FROM known
        UNION ALL
        SELECT
            unknown.at,
            unknown.runid,
            unknown.jobname,
            unknown.schedule,
            unknown.active,
            unknown.command,
            unknown.status,
            unknown.return_message,
            unknown.start_time,
            unknown.end_time,
            'pg_cron' AS scheduler
        FROM unknown
    )

    SELECT
        merged.jobname,
        merged.schedule,
        merged.active,
        merged.command,
        merged.status,
        merged.return_message,
        merged.start_time,
        merged.end_time,
        merged.scheduler
    FROM merged
    ORDER BY
        merged.at DESC,
        merged.scheduler,
        merged.number DESC
    LIMIT p_limit;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_cleanup_job_runs(integer, timestamptz) IS
'The last p_limit runs of the cleanup, of pg_cron and of everybody else, newest first, as far as '
'they ended at or after p_since or have not ended; NULL for no bound. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.reservation_cleanup_job_runs(integer, timestamptz)
TO {{ monitor_role }};
{% endif %}
