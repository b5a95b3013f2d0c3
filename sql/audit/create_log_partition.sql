-- Called by maintain_partitions() for one partition of a log. It is created as a table and then
-- attached: the log itself is locked no harder than SHARE UPDATE EXCLUSIVE, so that sales continue.
-- The default partition is locked while PostgreSQL checks that it has no row of the month.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.create_log_partition(
    p_log regclass,
    p_month date DEFAULT NULL
)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_name constant text := (
        SELECT log.relname::text FROM pg_class AS log WHERE log.oid = p_log
    );
    v_partition constant text := v_name || COALESCE(to_char(p_month, '"_p"YYYY_MM'), '_default');
    v_path constant text := format('%I.%I', {{ internal_schema | literal }}, v_partition);
BEGIN
    IF to_regclass(v_path) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Not INCLUDING ALL: attaching creates the indexes, and an identity column of its own would
    -- number rows again.
    EXECUTE format(
        'CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', v_path, p_log
    );
    IF p_month IS NULL THEN
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s DEFAULT', p_log, v_path);
    ELSE
        EXECUTE format(
            'ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', p_log, v_path,
            to_char(p_month, 'YYYY-MM-DD" 00:00:00+00"'),
            to_char(p_month + interval '1 month', 'YYYY-MM-DD" 00:00:00+00"')
        );
    END IF;
    EXECUTE format(
        'CREATE TRIGGER %I BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
        'EXECUTE FUNCTION %I.refuse_change(%L)',
        v_name || '_no_truncate', v_path, {{ internal_schema | literal }},
        'purge_history() drops what is past retention.'
    );
    EXECUTE format(
        'ALTER TABLE %s ENABLE ALWAYS TRIGGER %I, ENABLE ALWAYS TRIGGER %I',
        v_path, v_name || '_no_truncate', v_name || '_append_only'
    );
    EXECUTE format(
        'COMMENT ON TABLE %s IS %L', v_path,
        CASE
            WHEN p_month IS NULL
                THEN format(
                    'Rows of %s whose month has no partition: no event is ever lost.', v_name
                )
            ELSE format('Rows of %s of one month, UTC.', v_name)
        END
    );
    RETURN v_partition;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.create_log_partition(regclass, date) IS
'Creates the partition of a log for the month that begins on this day (UTC), or its default '
'partition. Returns its name, or NULL if it exists already.';
