-- 0009: Scheduled jobs.
-- A template, frozen by `ticketdb revision`.

-- object: jobs/purge_rollups.sql sha256=b8ecb957b7b0f9feb8e35d934d911052f30ada4b1aac88e7506c7f34b6b4bacd
-- For purge_history(): deletes minutes that no view reads any more.
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

    -- The rollup job must not run at the same time: it may add to a row that is deleted here.
    PERFORM
    FROM {{ internal_schema }}.metric_watermarks AS mark
    ORDER BY mark.log
    FOR UPDATE;

    FOR v_rollup IN
        SELECT rollups.*
        FROM (
            VALUES
            -- As far back as get_reservation_statistics() looks, plus an hour.
            ('reservation_minutes_all', 'minute', interval '8761 hours'),
            -- As long as the months of the log: a month is kept until its last day is past
            -- retention.
            (
                'reservation_minutes_by_show', 'minute',
                make_interval(hours => 24 * (v_settings.audit_retention_days + 31))
            ),
            (
                'order_minutes', 'minute',
                make_interval(hours => 24 * v_settings.audit_retention_days)
            ),
            -- Longer than any window of the views that read them.
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
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.purge_rollups() IS
'Deletes rollups that no view reads any more, and returns from which tables and how many rows.';

-- object: jobs/purge_run_history.sql sha256=2e64d7b6fcc6804b8b277041ad746d229e8b70ce59953e68da504280e83aad5a
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

-- object: jobs/purge_personal_data.sql sha256=1692c3a78503414814dac6ef255e8a38fda6d780b507724a630608a0afb89111
-- For purge_history(). Rows without personal data are not in the index that this reads, so it
-- contains only what is left to do.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.purge_personal_data(p_limit integer)
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- A retention policy and not a change by hand, see log_change().
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
        -- By ctid: any join might be planned as one with the whole table.
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

    -- The message of a provider may contain names.
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
'Sets the personal columns of at most p_limit reservations and as many orders to NULL, if they '
'are past personal_data_retention_days, oldest first, and returns how many of each.';

-- object: jobs/purge_history.sql sha256=208f58b0a1652efa893f3e22bdeebaa9bbd019af909e22ab508f82401e68e0d5
-- Scheduled hourly, to retry what was locked or too much the last time. Removes what is past its
-- retention: months of the logs as whole partitions, runs of jobs as rows, personal data as values.
-- Only what is locked is left for the next time.
CREATE OR REPLACE FUNCTION {{ schema }}.purge_history()
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The bounds of partitions are printed with these settings, and parsed again.
SET datestyle = 'ISO'
SET timezone = 'UTC'
-- For locks on rows that no sale waits for.
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
        RETURN QUERY
        SELECT purged.* FROM {{ internal_schema }}.purge_personal_data(50000) AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'personal data is left for the next time: %', SQLERRM;
    END;

    -- Months last: their locks are kept until the end, and sales wait for them.
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
            -- Counted before anything is locked.
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
            -- Give up soon behind a long query: sales would queue behind this request.
            PERFORM set_config('lock_timeout', '100ms', true);
            -- The locks that DROP takes, in its order, which is that of the writers, too.
            EXECUTE format(
                'LOCK TABLE ONLY %s, %I.%I IN ACCESS EXCLUSIVE MODE',
                v_relations[v_number], v_inner, v_partitions[v_number]
            );
            -- Dashboards would lose what is not rolled up yet. The view health reports why it is
            -- not.
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
            -- This also releases the locks.
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE WARNING '% is left for the next time: %', v_partitions[v_number], SQLERRM;
        END;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.purge_history() IS
'Drops partitions of the logs that are past audit_retention_days and rolled up; deletes rollups '
'that no view reads any more, and runs of jobs past run_history_days; sets personal columns past '
'personal_data_retention_days to NULL. Skips what is locked, with a warning; the next call tries '
'it again. Returns what was changed, and how many rows.';

-- object: jobs/scheduled_jobs.sql sha256=a4f5d391d1c00960c6814c2caba66111100870b7906407227a55e88f8ce42a11
-- The one list of the jobs: for scheduling and unscheduling them, and for checking that they exist.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.scheduled_jobs()
RETURNS TABLE (job_name text, schedule text, command text, routine_schema text, routine text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
-- Commands are compared as text: they must not depend on the settings of the caller.
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
'The jobs of ticketdb: name, cron schedule, command, and the routine that it calls, with its '
'schema.';

-- object: jobs/schedule_jobs.sql sha256=5b72e8529ec0dd4a9eab073db82ba098ef529913736dd56a750a19a5a156503b
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

-- object: jobs/unschedule_jobs.sql sha256=2dfcc31e7f9c1b8b6358fe0837f17538c6699e583a668006268abc7539bf4a89
-- For the downgrade, and for a DBA who moves the jobs to another scheduler.
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
    -- By command: a DBA may have renamed them.
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
'Removes the jobs of scheduled_jobs() from pg_cron and returns their names. Does nothing without '
'pg_cron.';

-- object: jobs/schedule.sql sha256=ac9b0f89d1f1f9b297d7c55d199d16b3f3724f8f1d7ce5bad4c49e8bbccc2ea0
-- With pg_cron the jobs run from now on; without it `ticketdb cleanup`, or any scheduler, runs the
-- same commands.
SELECT {{ internal_schema }}.schedule_jobs();

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
