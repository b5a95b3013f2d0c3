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
