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
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;

    FOR v_partition IN
        SELECT child.relname::text AS name
        FROM {{ schema }}.partitioned_logs() AS logs (name)
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
        EXECUTE format('SELECT count(*) FROM %I.%I', v_schema, v_partition.name) INTO rows_removed;
        EXECUTE format('DROP TABLE %I.%I', v_schema, v_partition.name);
        object := v_partition.name;
        RETURN NEXT;
    END LOOP;

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
            ARRAY[{{ cleanup_job }}, {{ partition_job }}, {{ purge_job }}],
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
'Drops partitions of the logs that are past audit_retention_days, and deletes runs of jobs past '
'run_history_days. Returns what was removed.';
