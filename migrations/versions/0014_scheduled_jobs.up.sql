-- 0014: Scheduled jobs.
-- A template, frozen by `ticketdb revision`.

-- object: functions/purge_history.sql sha256=582e78726ddadc7a077c3914a0bb7e8ead47f9cc221a17e1814f2e0a7a8ff3da
-- Scheduled hourly, for what was locked or too much the last time. What has passed its retention
-- goes: months of the logs as whole partitions, runs of jobs as rows, personal data as values.
-- What somebody has locked is left for the next time, and nothing else is.
CREATE OR REPLACE FUNCTION {{ schema }}.purge_history()
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The bounds of partitions are printed by these, and read back.
SET datestyle = 'ISO'
SET timezone = 'UTC'
-- For rows, which no seller waits for.
SET lock_timeout = '3s'
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
    v_settings {{ schema }}.ticketing_settings;
    v_partition record;
    v_logs text[] := '{}'::text[];
    v_partitions text[] := '{}'::text[];
    v_rows bigint[] := '{}'::bigint[];
    v_is_needed boolean;
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;
    BEGIN
        RETURN QUERY SELECT purged.* FROM {{ schema }}.purge_rollups() AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'the rollups are left for the next time: %', SQLERRM;
    END;
    BEGIN
        RETURN QUERY SELECT purged.* FROM {{ schema }}.purge_run_history() AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'the history of runs is left for the next time: %', SQLERRM;
    END;
    BEGIN
        RETURN QUERY SELECT purged.* FROM {{ schema }}.purge_personal_data(50000) AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'personal data is left for the next time: %', SQLERRM;
    END;

    -- Months last: what is locked is locked until the end, and sellers wait for it.
    FOR v_partition IN
        SELECT
            logs.name AS log,
            child.relname::text AS name
        FROM {{ schema }}.partitioned_logs() AS logs (name)
        INNER JOIN pg_inherits AS link
            ON link.inhparent = to_regclass(format('%I.%I', v_schema, logs.name))
        INNER JOIN pg_class AS child ON child.oid = link.inhrelid
        CROSS JOIN LATERAL substring(
            pg_get_expr(child.relpartbound, child.oid) FROM 'TO [(]''([^'']+)''[)]'
        ) AS upper_bound (value)
        WHERE
            upper_bound.value::timestamptz
            <= now() - make_interval(hours => 24 * v_settings.audit_retention_days)
            AND {{ schema }}.is_restored_log(logs.name) IS NOT TRUE
        ORDER BY child.relname
    LOOP
        BEGIN
            -- They are counted while nothing is locked.
            EXECUTE format('SELECT count(*) FROM %I.%I', v_schema, v_partition.name)
            INTO rows_removed;
            v_partitions := v_partitions || v_partition.name;
            v_logs := v_logs || v_partition.log;
            v_rows := v_rows || rows_removed;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE WARNING '% is left for the next time: %', v_partition.name, SQLERRM;
        END;
    END LOOP;
    FOR v_number IN 1 .. cardinality(v_partitions) LOOP
        BEGIN
            -- Behind a long query we give up at once: the sellers would queue behind us.
            PERFORM set_config('lock_timeout', '100ms', true);
            -- As DROP would; and in its order, which is that of the writers, too.
            EXECUTE format(
                'LOCK TABLE ONLY %1$I.%2$I, %1$I.%3$I IN ACCESS EXCLUSIVE MODE',
                v_schema, v_logs[v_number], v_partitions[v_number]
            );
            -- What is not rolled up yet would be lost to the dashboards: health says why it is not.
            EXECUTE format(
                'SELECT EXISTS (SELECT FROM %I.%I AS event, %I.metric_watermarks AS mark '
                'WHERE mark.log = $1 AND event.xact_id >= mark.watermark '
                'AND event.id > mark.restored_id)',
                v_schema, v_partitions[v_number], v_schema
            )
            INTO v_is_needed
            USING v_logs[v_number];
            IF v_is_needed THEN
                RAISE EXCEPTION 'it is not rolled up yet' USING ERRCODE = 'lock_not_available';
            END IF;
            EXECUTE format('DROP TABLE %I.%I', v_schema, v_partitions[v_number]);
            object := v_partitions[v_number];
            rows_removed := v_rows[v_number];
            RETURN NEXT;
        EXCEPTION
            -- The locks are given back, too.
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE WARNING '% is left for the next time: %', v_partitions[v_number], SQLERRM;
        END;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.purge_history() IS
'Drops partitions of the logs that are past audit_retention_days and rolled up, deletes rollups '
'that no view reads any more, and runs of jobs past run_history_days, and empties personal columns '
'past personal_data_retention_days. Leaves what somebody has locked for the next time, with a '
'warning. Returns what was removed or emptied, and how many rows.';

-- object: functions/scheduled_jobs.sql sha256=6b5e41e8804c369e0fdd76b40e4c4101d76011ebdb99c931e7149cc9a477ab90
-- The jobs, once: for scheduling them, unscheduling them, and seeing that they are there.
CREATE OR REPLACE FUNCTION {{ schema }}.scheduled_jobs()
RETURNS TABLE (job_name text, schedule text, command text, routine text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
-- Commands are compared: they are written the same whoever asks.
SET quote_all_identifiers = off
ROWS 5
AS $body$
VALUES
(
    {{ cleanup_job }}, {{ cleanup_schedule }},
    format('CALL %I.run_reservation_cleanup(%L)', {{ schema | literal }}, 'pg_cron'),
    'run_reservation_cleanup'
),
(
    {{ rollup_job }}, {{ rollup_schedule }},
    format('SELECT %I.roll_up_metrics()', {{ schema | literal }}), 'roll_up_metrics'
),
(
    {{ invariants_job }}, {{ invariants_schedule }},
    format('SELECT %I.check_invariants()', {{ schema | literal }}), 'check_invariants'
),
(
    {{ partition_job }}, {{ partition_schedule }},
    format('SELECT %I.maintain_partitions()', {{ schema | literal }}), 'maintain_partitions'
),
(
    {{ purge_job }}, {{ purge_schedule }},
    format('SELECT %I.purge_history()', {{ schema | literal }}), 'purge_history'
);
$body$;

COMMENT ON FUNCTION {{ schema }}.scheduled_jobs() IS
'The jobs that keep ticketdb tidy: name, cron schedule, command, and the routine that it calls.';

-- object: functions/schedule_jobs.sql sha256=fd68292f192c40b30b3e9c28e4113adc450d9d72496493e52b8744da9c3ad1ec
-- Called by the migration that introduces the jobs and by every `ticketdb apply`, since pg_cron may
-- come later. Without pg_cron it changes nothing and says so: `ticketdb cleanup`, or any scheduler,
-- runs the same commands.
CREATE OR REPLACE FUNCTION {{ schema }}.schedule_jobs()
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
    -- Only who may read the setting, a superuser, could create the extension.
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
    ELSIF NOT {{ schema }}.can_use_pg_cron() THEN
        v_unavailable := format(
            'unavailable: run GRANT USAGE ON SCHEMA cron TO %I first', current_user
        );
    ELSE
        -- A dump carries along which server the jobs of the original run on. What this one writes
        -- into a job is a setting that superusers read; others see it in a job of their own.
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

    FOR v_job IN SELECT jobs.* FROM {{ schema }}.scheduled_jobs() AS jobs LOOP
        job_name := v_job.job_name;
        schedule := v_job.schedule;
        command := v_job.command;
        action := v_unavailable;
        IF v_unavailable IS NULL THEN
            action := 'scheduled';
            -- Ours by what it runs, or by its name, which is unique among the jobs of a role. One of
            -- that name which runs the same in another schema belongs to another installation.
            FOR v_current IN EXECUTE
                $query$
                SELECT
                    job.jobid,
                    job.jobname::text AS name,
                    job.schedule,
                    job.command,
                    job.database = current_database() AS is_here,
                    -- Of the server that was dumped, of a database or a role that is no more.
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
                                    format(' %I.%I(', {{ schema | literal }}, v_job.routine)
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
                    -- Renamed, older, stale, or a second one.
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

COMMENT ON FUNCTION {{ schema }}.schedule_jobs() IS
'Schedules the jobs of scheduled_jobs() with pg_cron where it is there. Returns each job and what '
'was done: scheduled, unchanged, or unavailable and why.';

-- object: functions/unschedule_jobs.sql sha256=2f5028028adc2d4ea022ffee4242cb0e4eb65cbc7c34d3aec4a667e71c743a6f
-- For the downgrade, and for a DBA who hands the jobs to another scheduler.
CREATE OR REPLACE FUNCTION {{ schema }}.unschedule_jobs()
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_job record;
BEGIN
    IF NOT {{ schema }}.can_use_pg_cron() THEN
        RETURN;
    END IF;
    -- By what they run: a DBA may have renamed them.
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
        USING ARRAY(SELECT jobs.command FROM {{ schema }}.scheduled_jobs() AS jobs)
    LOOP
        EXECUTE 'SELECT cron.unschedule($1::bigint)' USING v_job.jobid;
        RETURN NEXT v_job.name;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.unschedule_jobs() IS
'Takes the jobs of scheduled_jobs() out of pg_cron; returns their names. Nothing happens without '
'pg_cron.';

-- object: jobs/schedule.sql sha256=caf38faba8bf84197248885605ef5470e96d38c28b72bc4eca9ce15308a1e80b
-- With pg_cron the jobs run from now on; without it `ticketdb cleanup`, or any scheduler, runs the
-- same commands.
SELECT {{ schema }}.schedule_jobs();

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
