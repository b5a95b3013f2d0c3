-- Used by cleanup_job_health and the dashboards. Ages and durations are NULL if the cleanup never
-- ran.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cleanup_job_state(
    OUT scheduler text,
    OUT last_run_age_seconds double precision,
    OUT last_run_duration_seconds double precision,
    OUT last_run_failed boolean,
    OUT failed_runs_24h bigint,
    OUT runs_24h bigint,
    OUT is_scheduled boolean,
    OUT scheduler_alive boolean,
    OUT has_run boolean,
    OUT skipped_runs_24h bigint,
    OUT longest_run_seconds double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Since the planner's estimates are guesses, JIT compilation would take longer than the query
-- itself.
SET jit = off
SET enable_seqscan = off
AS $body$
DECLARE
    v_last record;
    v_last_start_time timestamptz;
BEGIN
    SELECT
        totals.runs,
        totals.failed_runs,
        totals.skipped_runs,
        totals.longest_run_seconds,
        totals.last_start_time
    INTO
        runs_24h,
        failed_runs_24h,
        skipped_runs_24h,
        longest_run_seconds,
        v_last_start_time
    FROM
        {{ internal_schema }}.cleanup_run_totals({{ internal_schema }}.window_start('24 hours'))
            AS totals;

    -- A run in progress has neither succeeded nor failed. If the last ten are all running, queued
    -- or skipped, the last finished one is in reservation_cleanup_runs.
    FOR v_last IN
        SELECT
            run.status,
            run.start_time,
            run.end_time,
            run.scheduler,
            run.ordinality
        FROM {{ internal_schema }}.reservation_cleanup_job_runs() WITH ORDINALITY AS run
        WHERE run.status IN ('succeeded', 'failed')
        UNION ALL
        (
            SELECT
                run.status,
                run.started_at,
                run.finished_at,
                run.scheduler,
                NULL
            FROM {{ schema }}.reservation_cleanup_runs AS run
            WHERE run.status IN ('succeeded', 'failed')
            ORDER BY run.id DESC
            LIMIT 1
        )
        ORDER BY ordinality NULLS LAST
    LOOP
        IF scheduler IS NULL THEN
            scheduler := v_last.scheduler;
            last_run_failed := v_last.status = 'failed';
            IF v_last.start_time IS NOT NULL AND v_last.end_time IS NOT NULL THEN
                last_run_duration_seconds := GREATEST(
                    extract(EPOCH FROM v_last.end_time - v_last.start_time)::double precision, 0
                );
            END IF;
        END IF;
        -- A run that pg_cron could not start has failed, and has no times.
        v_last_start_time := COALESCE(v_last_start_time, v_last.start_time);
        EXIT WHEN v_last_start_time IS NOT NULL;
    END LOOP;
    scheduler := COALESCE(scheduler, 'none');
    last_run_failed := COALESCE(last_run_failed, false);
    has_run := v_last_start_time IS NOT NULL;
    IF has_run THEN
        last_run_age_seconds := GREATEST(
            extract(EPOCH FROM now() - v_last_start_time)::double precision, 0
        );
    END IF;

    is_scheduled := false;
    IF {{ internal_schema }}.can_use_pg_cron() THEN
        EXECUTE
        $query$
        SELECT count(*) > 0
        FROM cron.job
        WHERE
            job.jobname = $1
            AND job.database = current_database()
            AND job.active
        $query$
        INTO is_scheduled
        USING {{ cleanup_job }};
    END IF;
    IF is_scheduled THEN
        scheduler := 'pg_cron';
        -- Every role sees application_name, but not backend_type.
        scheduler_alive := pg_is_in_recovery() OR EXISTS (
            SELECT
            FROM pg_stat_activity AS activity
            WHERE activity.application_name LIKE 'pg_cron%'
        );
    ELSE
        -- All that can be seen of a scheduler elsewhere is when it last ran the cleanup.
        SELECT last_run_age_seconds <= rule.threshold
        INTO scheduler_alive
        FROM {{ monitoring_schema }}.alert_rules AS rule
        WHERE rule.alert_name = 'cleanup_job_silent';
        scheduler_alive := COALESCE(scheduler_alive, false);
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.cleanup_job_state() IS
'When the cleanup last ran and with what result, and whether a scheduler will run it again. Used '
'by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.cleanup_job_state() TO {{ monitor_role }};
{% endif %}
