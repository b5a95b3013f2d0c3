-- One partition of a log, for maintain_partitions(). Built beside the log and attached: the log
-- itself is locked no harder than SHARE UPDATE EXCLUSIVE, so that sales go on. The default
-- partition is locked for the moment it takes to see that it holds no row of the month.
CREATE OR REPLACE FUNCTION {{ schema }}.create_log_partition(
    p_table text,
    p_month date DEFAULT NULL
)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
    v_partition constant text := p_table || COALESCE(to_char(p_month, '"_p"YYYY_MM'), '_default');
BEGIN
    IF to_regclass(format('%I.%I', v_schema, v_partition)) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Not INCLUDING ALL: attaching makes the indexes, and an identity of its own would number rows
    -- anew.
    EXECUTE format(
        'CREATE TABLE %1$I.%2$I (LIKE %1$I.%3$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        v_schema, v_partition, p_table
    );
    IF p_month IS NULL THEN
        EXECUTE format(
            'ALTER TABLE %1$I.%2$I ATTACH PARTITION %1$I.%3$I DEFAULT',
            v_schema, p_table, v_partition
        );
    ELSE
        EXECUTE format(
            'ALTER TABLE %1$I.%2$I ATTACH PARTITION %1$I.%3$I FOR VALUES FROM (%4$L) TO (%5$L)',
            v_schema, p_table, v_partition,
            to_char(p_month, 'YYYY-MM-DD" 00:00:00+00"'),
            to_char(p_month + interval '1 month', 'YYYY-MM-DD" 00:00:00+00"')
        );
    END IF;
    EXECUTE format(
        'CREATE TRIGGER %3$I BEFORE TRUNCATE ON %1$I.%2$I '
        'FOR EACH STATEMENT EXECUTE FUNCTION %1$I.refuse_change(%4$L)',
        v_schema, v_partition, p_table || '_no_truncate',
        'purge_history() drops what is past retention.'
    );
    EXECUTE format(
        'ALTER TABLE %1$I.%2$I ENABLE ALWAYS TRIGGER %3$I, ENABLE ALWAYS TRIGGER %4$I',
        v_schema, v_partition, p_table || '_no_truncate', p_table || '_append_only'
    );
    EXECUTE format(
        'COMMENT ON TABLE %I.%I IS %L', v_schema, v_partition,
        CASE
            WHEN p_month IS NULL
                THEN format(
                    'Rows of %s that no month has a partition for: no event is ever lost.', p_table
                )
            ELSE format('Rows of %s of one month, UTC.', p_table)
        END
    );
    RETURN v_partition;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.create_log_partition(text, date) IS
'Creates the partition of a log for the month that begins on this day (UTC), or its default '
'partition. Returns its name, or NULL when it is there already.';
