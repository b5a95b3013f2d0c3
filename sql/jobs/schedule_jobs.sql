-- Called by the revision that creates the jobs and by every `ticketdb apply`, since pg_cron may be
-- installed later. Without pg_cron it changes nothing and reports that: `ticketdb cleanup`, or any
-- scheduler, runs the same commands.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.schedule_jobs()
RETURNS TABLE (job_name text, schedule text, command text, action text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_unavailable text;
    v_probe bigint;
    v_nodename text;
    v_nodeport integer;
    v_job record;
    v_current record;
BEGIN
    -- Only a role that may read the setting, a superuser, could create the extension.
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        IF pg_has_role('pg_read_all_settings', 'USAGE')
            AND current_setting('cron.database_name', true) = current_database()
        THEN
            BEGIN
                CREATE EXTENSION pg_cron;
            EXCEPTION
                WHEN insufficient_privilege THEN
                    NULL;
            END;
        END IF;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        v_unavailable := 'unavailable: pg_cron is not installed in this database';
    ELSIF NOT {{ internal_schema }}.can_use_pg_cron() THEN
        v_unavailable := format(
            'unavailable: run GRANT USAGE ON SCHEMA cron TO %I first', current_user
        );
    ELSE
        -- A restored dump has jobs for the server that was dumped. The host and port that this
        -- server gives to a job are settings that only superusers can read; other roles read them
        -- from a job of their own.
        EXECUTE 'SELECT cron.schedule($1, $2)'
        INTO v_probe
        USING '0 0 1 1 *'::text, 'SELECT 1'::text;
        EXECUTE 'SELECT job.nodename, job.nodeport FROM cron.job AS job WHERE job.jobid = $1'
        INTO
            v_nodename,
            v_nodeport
        USING v_probe;
        EXECUTE 'SELECT cron.unschedule($1)' USING v_probe;
    END IF;

    FOR v_job IN SELECT jobs.* FROM {{ internal_schema }}.scheduled_jobs() AS jobs LOOP
        job_name := v_job.job_name;
        schedule := v_job.schedule;
        command := v_job.command;
        action := v_unavailable;
        IF v_unavailable IS NULL THEN
            action := 'scheduled';
            -- A job is ours by its command, or by its name, which is unique among the jobs of a
            -- role. A job of that name with the same routine of another schema belongs to another
            -- installation.
            FOR v_current IN EXECUTE
                $query$
                SELECT
                    job.jobid,
                    job.jobname::text AS name,
                    job.schedule,
                    job.command,
                    job.database = current_database() AS is_here,
                    -- For the server that was dumped, or for a database or role that no longer
                    -- exists.
                    (job.nodename, job.nodeport) <> ($3, $4)
                    OR known.datname IS NULL
                    OR NOT COALESCE(role.rolcanlogin, false) AS is_stale
                FROM cron.job AS job
                LEFT JOIN pg_database AS known ON known.datname = job.database
                LEFT JOIN pg_roles AS role ON role.rolname = job.username
                WHERE
                    (job.jobname = $1 AND job.username = current_user)
                    OR (
                        job.command = $2
                        AND (job.database = current_database() OR known.datname IS NULL)
                    )
                $query$
                USING v_job.job_name, v_job.command, v_nodename, v_nodeport
            LOOP
                IF NOT (v_current.is_here OR v_current.is_stale)
                    OR (
                        v_current.command <> v_job.command
                        AND (
                            strpos(v_current.command, v_job.routine || '(') = 0
                            OR (
                                strpos(v_current.command, '.' || v_job.routine || '(') > 0
                                AND strpos(
                                    ' ' || v_current.command,
                                    format(' %I.%I(', v_job.routine_schema, v_job.routine)
                                ) = 0
                            )
                        )
                    )
                THEN
                    RAISE EXCEPTION 'job "%" is already used for: %',
                        v_job.job_name, v_current.command
                    USING
                        ERRCODE = 'duplicate_object',
                        HINT = 'Choose another job name in ticketdb.toml.';
                ELSIF (v_current.name, v_current.schedule, v_current.command)
                    = (v_job.job_name, v_job.schedule, v_job.command)
                    AND NOT v_current.is_stale
                    AND action = 'scheduled'
                THEN
                    action := 'unchanged';
                ELSE
                    -- Renamed, changed, stale, or a duplicate.
                    EXECUTE 'SELECT cron.unschedule($1::bigint)' USING v_current.jobid;
                END IF;
            END LOOP;
            IF action = 'scheduled' THEN
                EXECUTE 'SELECT cron.schedule($1, $2, $3)'
                USING v_job.job_name, v_job.schedule, v_job.command;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.schedule_jobs() IS
'Schedules the jobs of scheduled_jobs() with pg_cron if that is installed. Returns each job and '
'what was done: scheduled, unchanged, or unavailable and why.';
