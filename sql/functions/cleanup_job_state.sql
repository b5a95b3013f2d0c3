-- For cleanup_job_health. A job that never ran is told as one that last ran at the beginning of
-- Unix time, as exporters do it: too long ago for every threshold.
CREATE OR REPLACE FUNCTION {{ schema }}.cleanup_job_state(
    OUT scheduler text,
    OUT last_run_age_seconds double precision,
    OUT last_run_duration_seconds double precision,
    OUT last_run_failed boolean,
    OUT failed_runs_24h bigint,
    OUT runs_24h bigint,
    OUT is_scheduled boolean,
    OUT scheduler_alive boolean
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_last record;
BEGIN
    SELECT
        count(*) FILTER (WHERE run.status = 'failed'),
        count(*)
    INTO
        failed_runs_24h,
        runs_24h
    FROM {{ schema }}.reservation_cleanup_job_runs(10000) AS run
    WHERE run.start_time >= {{ schema }}.window_start('24 hours');

    SELECT run.*
    INTO v_last
    FROM {{ schema }}.reservation_cleanup_job_runs(10) AS run
    -- One that is running has not succeeded yet, and has not failed.
    WHERE run.end_time IS NOT NULL
    ORDER BY run.start_time DESC NULLS LAST
    LIMIT 1;
    scheduler := COALESCE(v_last.scheduler, 'none');
    last_run_age_seconds := GREATEST(
        extract(EPOCH FROM now() - COALESCE(v_last.start_time, 'epoch'))::double precision, 0
    );
    last_run_duration_seconds := COALESCE(
        extract(EPOCH FROM v_last.end_time - v_last.start_time)::double precision, 0
    );
    last_run_failed := COALESCE(v_last.status = 'failed', false);

    is_scheduled := false;
    IF {{ schema }}.can_use_pg_cron() THEN
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
        -- Its name is seen by everybody; what kind of process it is, is not.
        scheduler_alive := pg_is_in_recovery() OR EXISTS (
            SELECT
            FROM pg_stat_activity AS activity
            WHERE activity.application_name LIKE 'pg_cron%'
        );
    ELSE
        -- Nothing else can be seen of a scheduler elsewhere than that it is not silent.
        SELECT last_run_age_seconds <= rule.threshold
        INTO scheduler_alive
        FROM {{ monitoring_schema }}.alert_rules AS rule
        WHERE rule.alert_name = 'cleanup_job_silent';
        scheduler_alive := COALESCE(scheduler_alive, false);
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cleanup_job_state() IS
'When the cleanup last ran and how it went, and whether anything will run it again. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.cleanup_job_state() TO {{ monitor_role }};
{% endif %}
