-- Scheduled hourly, to retry what was locked the last time. May be called by hand; does nothing if
-- there is nothing to do.
CREATE OR REPLACE FUNCTION {{ schema }}.maintain_partitions()
RETURNS TABLE (created_partition text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Give up soon behind a query that reads a log for minutes: sales would queue behind this request.
-- There are months left to try again, and maintenance_backlog() reports that it is due.
SET lock_timeout = '100ms'
AS $body$
DECLARE
    v_inner constant text := {{ internal_schema | literal }};
    v_horizon constant timestamp := {{ internal_schema }}.log_horizon() AT TIME ZONE 'UTC';
    v_log record;
    v_columns text;
    v_month date;
    v_strays date[];
    v_created text[];
BEGIN
    FOR v_log IN SELECT logs.* FROM {{ internal_schema }}.partitioned_logs() AS logs LOOP
        v_created := '{}';
        BEGIN
            v_created := v_created || {{ internal_schema }}.create_log_partition(v_log.relation);

            -- Months of rows in the default partition, which had no partition of their own. Rows
            -- beyond the horizon stay: a clock was wrong.
            EXECUTE format(
                'SELECT array_agg(DISTINCT date_trunc(''month'', created_at AT TIME ZONE '
                '''UTC'')::date) '
                'FROM %I.%I WHERE created_at < %L::timestamp AT TIME ZONE ''UTC''',
                v_inner, v_log.name || '_default', to_char(v_horizon, 'YYYY-MM-DD')
            ) INTO v_strays;
            IF v_strays IS NOT NULL THEN
                -- Rows cannot be deleted from an append-only table: replace the default partition,
                -- and insert its rows again.
                EXECUTE format(
                    'ALTER TABLE %s DETACH PARTITION %I.%I', v_log.relation, v_inner,
                    v_log.name || '_default'
                );
                EXECUTE format(
                    'ALTER TABLE %I.%I RENAME TO %I', v_inner, v_log.name || '_default',
                    v_log.name || '_strays'
                );
                PERFORM {{ internal_schema }}.create_log_partition(v_log.relation);
            END IF;

            FOR v_month IN
                SELECT months.first_day::date
                FROM generate_series(
                    date_trunc('month', now() AT TIME ZONE 'UTC'),
                    v_horizon - interval '1 month',
                    interval '1 month'
                ) AS months (first_day)
                UNION
                SELECT strays.first_day
                FROM unnest(v_strays) AS strays (first_day)
                ORDER BY 1
            LOOP
                v_created := v_created
                    || {{ internal_schema }}.create_log_partition(v_log.relation, v_month);
            END LOOP;

            IF v_strays IS NOT NULL THEN
                SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                INTO v_columns
                FROM pg_attribute AS a
                WHERE a.attrelid = v_log.relation AND a.attnum > 0 AND NOT a.attisdropped;
                EXECUTE format(
                    'INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM %3$I.%4$I',
                    v_log.relation, v_columns, v_inner, v_log.name || '_strays'
                );
                EXECUTE format('DROP TABLE %I.%I', v_inner, v_log.name || '_strays');
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE WARNING 'partitions of % are left for the next time: %', v_log.name, SQLERRM;
                v_created := '{}';
        END;
        RETURN QUERY
        SELECT created.name
        FROM unnest(v_created) AS created (name)
        WHERE created.name IS NOT NULL;
    END LOOP;
    PERFORM {{ internal_schema }}.revoke_default_privileges();
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.maintain_partitions() IS
'Creates the partitions of the logs for this month and three more, moves rows out of the default '
'partition if their month has one now, and returns the names of those created. Skips a log that '
'is locked, with a warning; the next call tries it again.';
