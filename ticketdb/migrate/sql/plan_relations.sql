-- All relations but PostgreSQL's own, by oid, as they are before a statement. Owners: the table of an index, and the
-- tables that a partition belongs to, nearest first.
SELECT
    COALESCE(
        jsonb_object_agg(
            c.oid,
            jsonb_build_object(
                'name', c.oid::regclass::text,
                'kind', c.relkind,
                'filenode', c.relfilenode,
                'scans', pg_stat_get_numscans(c.oid) + pg_stat_get_xact_numscans(c.oid),
                'modes', '[]'::jsonb,
                'owners', (
                    SELECT jsonb_agg(o.oid ORDER BY o.number)
                    FROM (
                        SELECT
                            i.indrelid AS oid,
                            0 AS number
                        WHERE i.indrelid IS NOT NULL
                        UNION ALL
                        SELECT
                            a.relid,
                            a.number
                        FROM pg_partition_ancestors(COALESCE(i.indrelid, c.oid)) WITH ORDINALITY AS a (relid, number)
                        WHERE a.number > 1
                    ) AS o
                )
            )
        ),
        '{}'
    ) AS relations
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind <> 'c'
