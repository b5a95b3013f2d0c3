-- For the view reservation_cleanup_job_status, and for the totals. Runs as the owner of the job:
-- pg_cron shows each role only its own rows, and roles that monitor must not get USAGE on its
-- schema, where PUBLIC may call cron.schedule().
--
-- Our record has all runs that started, the record of pg_cron also those that could not. Each is in
-- the order of its numbers, and the two are merged by time, so that a clock that is set back does
-- not reorder the runs of one record.
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
-- The estimates are guesses: JIT compilation would take longer than the query.
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
        -- Runs that are older than p_limit of our own are not among the last p_limit.
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
            -- Process ids are reused, though not within a minute.
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
                -- The next run will record it as failed.
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
                -- What it did does not explain why it failed.
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
'The last p_limit runs of the cleanup, by pg_cron or any other scheduler, newest first, that '
'ended at or after p_since or have not ended; NULL for no limit. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.reservation_cleanup_job_runs(integer, timestamptz)
TO {{ monitor_role }};
{% endif %}
