-- 0009: Scheduled jobs.
-- A template, frozen by `ticketdb revision`.

-- object: jobs/purge_rollups.sql sha256=0825a1a3842004109032a9c93ace1bb713b9cad6ee0282fe44ffd436d2eac588
-- For purge_history(): minutes that no view reads any more, and words that no minute uses.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.purge_rollups()
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_settings {{ schema }}.ticketing_settings;
    v_rollup record;
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;

    -- Nobody may be adding to the rollups meanwhile: its words, say, to a message that goes.
    PERFORM
    FROM {{ internal_schema }}.metric_watermarks AS mark
    ORDER BY mark.log
    FOR UPDATE;

    FOR v_rollup IN
        SELECT rollups.*
        FROM (
            VALUES
            -- As far back as get_reservation_statistics() looks, a window of minutes included.
            ('reservation_minutes', 'minute', interval '8761 hours'),
            -- As long as the months of the log, of which the last day counts.
            (
                'reservation_show_minutes', 'minute',
                make_interval(hours => 24 * (v_settings.audit_retention_days + 31))
            ),
            ('order_minutes', 'minute', make_interval(hours => 24 * v_settings.audit_retention_days)),
            -- Beyond the longest window in which a view reads them.
            ('error_minutes', 'minute', interval '48 hours'),
            ('api_request_minutes', 'minute', interval '48 hours'),
            ('api_duration_minutes', 'minute', interval '48 hours'),
            ('extension_quarters', 'quarter', interval '240 hours'),
            ('extended_reservations', 'quarter', interval '240 hours')
        ) AS rollups (name, at, kept)
    LOOP
        EXECUTE format(
            'DELETE FROM %I.%I AS rolled_up WHERE rolled_up.%I < $1',
            {{ internal_schema | literal }}, v_rollup.name, v_rollup.at
        )
        USING now() - v_rollup.kept;
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        IF rows_removed > 0 THEN
            object := v_rollup.name;
            RETURN NEXT;
        END IF;
    END LOOP;
    DELETE FROM {{ internal_schema }}.error_messages
    WHERE
        NOT EXISTS (
            SELECT
            FROM {{ internal_schema }}.error_minutes AS used
            WHERE used.message_sha256 = error_messages.message_sha256
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'error_messages';
        RETURN NEXT;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.purge_rollups() IS
'Deletes rollups that no view reads any more, and returns from which tables and how many rows. '
'Internal.';

-- object: jobs/purge_run_history.sql sha256=5ba523c8fc1bc95fc47f34dea04d16ac5fe618aa52b77629955cde44aafae324
-- For purge_history(): runs of jobs, ours and those that pg_cron has on record.
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

    -- The last one that was not skipped stays, or it would look as if there had never been any.
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

    -- pg_cron never purges its history. Only our jobs, those that are gone included: other people's
    -- is theirs. Runs that never began have no time, and go with those that came before them.
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
'Deletes runs of jobs past run_history_days, and returns from which tables and how many rows. '
'Internal.';

-- object: jobs/purge_personal_data.sql sha256=674e48619501e4c948fcb44bab7112da6b96fb82719277dae930036ab0e453bc
-- For purge_history(). Rows that are emptied leave the index that they are found by, so that it
-- holds what there is to do and no day's work is done twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.purge_personal_data(p_limit integer)
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Policy, and no change by hand: see log_change().
SET commit_siblings = 997
SET enable_seqscan = off
AS $body$
DECLARE
    v_before timestamptz;
BEGIN
    SELECT now() - make_interval(hours => 24 * settings.personal_data_retention_days)
    INTO v_before
    FROM {{ schema }}.ticketing_settings AS settings;

    UPDATE {{ schema }}.seat_reservations
    SET
        user_id = NULL,
        email = NULL,
        user_agent = NULL,
        ip_address = NULL
    WHERE
        -- By their place: any join might be planned as one with the whole table.
        seat_reservations.ctid = ANY(
            ARRAY(
                SELECT hold.ctid
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.ended_at < v_before
                    AND hold.ended_at IS NOT NULL
                    AND (
                        hold.user_id IS NOT NULL
                        OR hold.email IS NOT NULL
                        OR hold.user_agent IS NOT NULL
                        OR hold.ip_address IS NOT NULL
                    )
                ORDER BY hold.ended_at
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            )
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'seat_reservations';
        RETURN NEXT;
    END IF;

    -- The provider's words may name people.
    UPDATE {{ schema }}.ticket_orders
    SET error_message = NULL
    WHERE
        ticket_orders.ctid = ANY(
            ARRAY(
                SELECT failed.ctid
                FROM {{ schema }}.ticket_orders AS failed
                WHERE
                    failed.created_at < v_before
                    AND failed.error_message IS NOT NULL
                ORDER BY failed.created_at
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            )
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'ticket_orders';
        RETURN NEXT;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.purge_personal_data(integer) IS
'Empties the personal columns of at most p_limit reservations and as many orders that are past '
'personal_data_retention_days, the oldest first, and returns how many of each. Internal.';

-- object: jobs/purge_history.sql sha256=9c7b520a8e4490e3aa913588877b980958d35b6e750e29f752a99435d85d7364
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
    v_inner constant text := {{ internal_schema | literal }};
    v_settings {{ schema }}.ticketing_settings;
    v_partition record;
    v_logs text[] := '{}'::text[];
    v_relations regclass[] := '{}'::regclass[];
    v_partitions text[] := '{}'::text[];
    v_rows bigint[] := '{}'::bigint[];
    v_is_needed boolean;
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;
    BEGIN
        RETURN QUERY SELECT purged.* FROM {{ internal_schema }}.purge_rollups() AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'the rollups are left for the next time: %', SQLERRM;
    END;
    BEGIN
        RETURN QUERY SELECT purged.* FROM {{ internal_schema }}.purge_run_history() AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'the history of runs is left for the next time: %', SQLERRM;
    END;
    BEGIN
        RETURN QUERY SELECT purged.* FROM {{ internal_schema }}.purge_personal_data(50000) AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'personal data is left for the next time: %', SQLERRM;
    END;

    -- Months last: what is locked is locked until the end, and sellers wait for it.
    FOR v_partition IN
        SELECT
            logs.name AS log,
            logs.relation,
            child.relname::text AS name
        FROM {{ internal_schema }}.partitioned_logs() AS logs
        INNER JOIN pg_inherits AS link ON link.inhparent = logs.relation
        INNER JOIN pg_class AS child ON child.oid = link.inhrelid
        CROSS JOIN LATERAL substring(
            pg_get_expr(child.relpartbound, child.oid) FROM 'TO [(]''([^'']+)''[)]'
        ) AS upper_bound (value)
        WHERE
            upper_bound.value::timestamptz
            <= now() - make_interval(hours => 24 * v_settings.audit_retention_days)
            AND {{ internal_schema }}.is_restored_log(logs.name) IS NOT TRUE
        ORDER BY child.relname
    LOOP
        BEGIN
            -- They are counted while nothing is locked.
            EXECUTE format('SELECT count(*) FROM %I.%I', v_inner, v_partition.name)
            INTO rows_removed;
            v_partitions := v_partitions || v_partition.name;
            v_logs := v_logs || v_partition.log;
            v_relations := v_relations || v_partition.relation;
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
                'LOCK TABLE ONLY %s, %I.%I IN ACCESS EXCLUSIVE MODE',
                v_relations[v_number], v_inner, v_partitions[v_number]
            );
            -- What is not rolled up yet would be lost to the dashboards: health says why it is not.
            EXECUTE format(
                'SELECT EXISTS (SELECT FROM %I.%I AS event, %I.metric_watermarks AS mark '
                'WHERE mark.log = $1 AND event.xact_id >= mark.watermark '
                'AND event.id > mark.restored_id)',
                v_inner, v_partitions[v_number], v_inner
            )
            INTO v_is_needed
            USING v_logs[v_number];
            IF v_is_needed THEN
                RAISE EXCEPTION 'it is not rolled up yet' USING ERRCODE = 'lock_not_available';
            END IF;
            EXECUTE format('DROP TABLE %I.%I', v_inner, v_partitions[v_number]);
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

-- object: jobs/scheduled_jobs.sql sha256=6d0a7732c4413a04563df39711fce2ca40fdcd2413e3ae580e63639088a3d72e
-- The jobs, once: for scheduling them, unscheduling them, and seeing that they are there.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.scheduled_jobs()
RETURNS TABLE (job_name text, schedule text, command text, routine_schema text, routine text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
-- Commands are compared: they are written the same whoever asks.
SET quote_all_identifiers = off
ROWS 5
AS $body$
SELECT
    job.name,
    job.schedule,
    format(job.command, job.routine_schema, job.routine),
    job.routine_schema,
    job.routine
FROM (
    VALUES
    (
        {{ cleanup_job }}, {{ cleanup_schedule }}, 'CALL %I.%I(''pg_cron'')',
        {{ schema | literal }}, 'run_reservation_cleanup'
    ),
    (
        {{ rollup_job }}, {{ rollup_schedule }}, 'SELECT %I.%I()',
        {{ schema | literal }}, 'roll_up_metrics'
    ),
    (
        {{ invariants_job }}, {{ invariants_schedule }}, 'SELECT %I.%I()',
        {{ internal_schema | literal }}, 'check_invariants'
    ),
    (
        {{ partition_job }}, {{ partition_schedule }}, 'SELECT %I.%I()',
        {{ schema | literal }}, 'maintain_partitions'
    ),
    (
        {{ purge_job }}, {{ purge_schedule }}, 'SELECT %I.%I()',
        {{ schema | literal }}, 'purge_history'
    )
) AS job (name, schedule, command, routine_schema, routine);
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.scheduled_jobs() IS
'The jobs that keep ticketdb tidy: name, cron schedule, command, and the routine that it calls, '
'with its schema.';

-- object: jobs/schedule_jobs.sql sha256=bea0d304fce64cc57e5e0c7e37e56e40229715ea5747c190df491e99f70f72b4
-- Called by the migration that introduces the jobs and by every `ticketdb apply`, since pg_cron may
-- come later. Without pg_cron it changes nothing and says so: `ticketdb cleanup`, or any scheduler,
-- runs the same commands.
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
    ELSIF NOT {{ internal_schema }}.can_use_pg_cron() THEN
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

    FOR v_job IN SELECT jobs.* FROM {{ internal_schema }}.scheduled_jobs() AS jobs LOOP
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

COMMENT ON FUNCTION {{ internal_schema }}.schedule_jobs() IS
'Schedules the jobs of scheduled_jobs() with pg_cron where it is there. Returns each job and what '
'was done: scheduled, unchanged, or unavailable and why.';

-- object: jobs/unschedule_jobs.sql sha256=01ef088f9db07b99208e5df840fb70cdd492661dfa1e36036bb4246b3a49e194
-- For the downgrade, and for a DBA who hands the jobs to another scheduler.
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
        USING ARRAY(SELECT jobs.command FROM {{ internal_schema }}.scheduled_jobs() AS jobs)
    LOOP
        EXECUTE 'SELECT cron.unschedule($1::bigint)' USING v_job.jobid;
        RETURN NEXT v_job.name;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.unschedule_jobs() IS
'Takes the jobs of scheduled_jobs() out of pg_cron; returns their names. Nothing happens without '
'pg_cron.';

-- object: jobs/schedule.sql sha256=ac9b0f89d1f1f9b297d7c55d199d16b3f3724f8f1d7ce5bad4c49e8bbccc2ea0
-- With pg_cron the jobs run from now on; without it `ticketdb cleanup`, or any scheduler, runs the
-- same commands.
SELECT {{ internal_schema }}.schedule_jobs();

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
