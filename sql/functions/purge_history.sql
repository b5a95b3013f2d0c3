-- Scheduled daily. What has passed its retention goes: months of the logs as whole partitions, runs
-- of jobs as rows.
CREATE OR REPLACE FUNCTION {{ schema }}.purge_history()
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The bounds of partitions are printed by these, and read back.
SET datestyle = 'ISO'
SET timezone = 'UTC'
-- DROP of a partition locks its log: behind a long query we give up rather than hold up the
-- sellers. Next time, then.
SET lock_timeout = '3s'
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
    v_settings {{ schema }}.ticketing_settings;
    v_rollup record;
    v_partition record;
    v_logs text[] := '{}'::text[];
    v_partitions text[] := '{}'::text[];
    v_rows bigint[] := '{}'::bigint[];
    v_is_needed boolean;
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;

    -- Nobody may be adding to the rollups meanwhile: its words, say, to a message that goes.
    PERFORM
    FROM {{ schema }}.metric_watermarks AS mark
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
                make_interval(days => v_settings.audit_retention_days + 31)
            ),
            ('order_minutes', 'minute', make_interval(days => v_settings.audit_retention_days)),
            -- Beyond the longest window in which a view reads them.
            ('error_minutes', 'minute', interval '2 days'),
            ('api_request_minutes', 'minute', interval '2 days'),
            ('api_duration_minutes', 'minute', interval '2 days'),
            ('extension_quarters', 'quarter', interval '10 days'),
            ('extended_reservations', 'quarter', interval '10 days')
        ) AS rollups (name, at, kept)
    LOOP
        EXECUTE format(
            'DELETE FROM %I.%I AS rolled_up WHERE rolled_up.%I < $1',
            v_schema, v_rollup.name, v_rollup.at
        )
        USING now() - v_rollup.kept;
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        IF rows_removed > 0 THEN
            object := v_rollup.name;
            RETURN NEXT;
        END IF;
    END LOOP;
    DELETE FROM {{ schema }}.error_messages
    WHERE
        NOT EXISTS (
            SELECT
            FROM {{ schema }}.error_minutes AS used
            WHERE used.message_sha256 = error_messages.message_sha256
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'error_messages';
        RETURN NEXT;
    END IF;

    DELETE FROM {{ schema }}.reservation_cleanup_runs
    WHERE
        reservation_cleanup_runs.finished_at
        < now() - make_interval(days => v_settings.run_history_days);
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'reservation_cleanup_runs';
        RETURN NEXT;
    END IF;

    -- pg_cron never purges its history. Only our jobs: other people's is theirs.
    IF {{ schema }}.can_use_pg_cron() THEN
        EXECUTE
        $query$
        DELETE FROM cron.job_run_details
        USING cron.job
        WHERE
            job_run_details.jobid = job.jobid
            AND job.jobname = ANY($1)
            AND job.database = current_database()
            AND job_run_details.end_time < $2
        $query$
        USING
            ARRAY(SELECT jobs.job_name FROM {{ schema }}.scheduled_jobs() AS jobs),
            now() - make_interval(days => v_settings.run_history_days);
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        IF rows_removed > 0 THEN
            object := 'cron.job_run_details';
            RETURN NEXT;
        END IF;
    END IF;

    -- Months last: what is locked is locked until the end. They are counted before.
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
            <= now() - make_interval(days => v_settings.audit_retention_days)
            AND {{ schema }}.is_restored_log(logs.name) IS NOT TRUE
        ORDER BY child.relname
    LOOP
        EXECUTE format('SELECT count(*) FROM %I.%I', v_schema, v_partition.name) INTO rows_removed;
        v_logs := v_logs || v_partition.log;
        v_partitions := v_partitions || v_partition.name;
        v_rows := v_rows || rows_removed;
    END LOOP;
    FOR v_number IN 1 .. cardinality(v_partitions) LOOP
        -- As DROP would; and in its order, which is that of the writers, too.
        EXECUTE format(
            'LOCK TABLE ONLY %1$I.%2$I, %1$I.%3$I IN ACCESS EXCLUSIVE MODE',
            v_schema, v_logs[v_number], v_partitions[v_number]
        );
        -- What is not rolled up yet would be lost to the dashboards: health tells why it is not.
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.%I AS event, %I.metric_watermarks AS mark '
            'WHERE mark.log = $1 AND event.xact_id >= mark.watermark '
            'AND event.id > mark.restored_id)',
            v_schema, v_partitions[v_number], v_schema
        )
        INTO v_is_needed
        USING v_logs[v_number];
        CONTINUE WHEN v_is_needed;
        EXECUTE format('DROP TABLE %I.%I', v_schema, v_partitions[v_number]);
        object := v_partitions[v_number];
        rows_removed := v_rows[v_number];
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.purge_history() IS
'Drops partitions of the logs that are past audit_retention_days and rolled up, deletes rollups '
'that no view reads any more, and runs of jobs past run_history_days. Returns what was removed.';
