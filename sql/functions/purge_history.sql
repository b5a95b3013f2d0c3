-- Scheduled daily. What has passed its retention goes: months of the logs as whole partitions, runs
-- of jobs as rows.
CREATE OR REPLACE FUNCTION {{ schema }}.purge_history()
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- DROP of a partition locks its log: behind a long query we give up rather than hold up the
-- sellers. Next time, then.
SET lock_timeout = '3s'
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
    v_settings {{ schema }}.ticketing_settings;
    v_partition record;
    v_rollup record;
    v_is_needed boolean;
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;

    FOR v_partition IN
        SELECT
            child.relname::text AS name,
            mark.watermark,
            mark.restored_id,
            {{ schema }}.is_restored_log(logs.name) AS is_restored
        FROM {{ schema }}.partitioned_logs() AS logs (name)
        INNER JOIN {{ schema }}.metric_watermarks AS mark ON mark.log = logs.name
        INNER JOIN pg_inherits AS link
            ON link.inhparent = to_regclass(format('%I.%I', v_schema, logs.name))
        INNER JOIN pg_class AS child ON child.oid = link.inhrelid
        CROSS JOIN LATERAL substring(
            pg_get_expr(child.relpartbound, child.oid) FROM 'TO \(''([^'']+)''\)'
        ) AS upper_bound (value)
        WHERE
            upper_bound.value::timestamptz
            <= now() - make_interval(days => v_settings.audit_retention_days)
        ORDER BY child.relname
    LOOP
        -- What is not rolled up yet would be lost to the dashboards: the view health tells why.
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.%I AS event WHERE event.xact_id >= $1 AND event.id > $2)',
            v_schema, v_partition.name
        )
        INTO v_is_needed
        USING v_partition.watermark, v_partition.restored_id;
        CONTINUE WHEN v_is_needed OR v_partition.is_restored;
        EXECUTE format('SELECT count(*) FROM %I.%I', v_schema, v_partition.name) INTO rows_removed;
        EXECUTE format('DROP TABLE %I.%I', v_schema, v_partition.name);
        object := v_partition.name;
        RETURN NEXT;
    END LOOP;

    FOR v_rollup IN
        SELECT rollups.*
        FROM (
            VALUES
            -- As far back as get_reservation_statistics() looks, a window of minutes included.
            ('reservation_minutes', 'minute', interval '8761 hours'),
            (
                'reservation_show_minutes', 'minute',
                make_interval(days => v_settings.audit_retention_days)
            ),
            ('order_minutes', 'minute', make_interval(days => v_settings.audit_retention_days)),
            -- Beyond the longest window in which a view reads them.
            ('error_minutes', 'minute', interval '2 days'),
            ('api_request_minutes', 'minute', interval '2 days'),
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
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.purge_history() IS
'Drops partitions of the logs that are past audit_retention_days and rolled up, deletes rollups '
'that no view reads any more, and runs of jobs past run_history_days. Returns what was removed.';
