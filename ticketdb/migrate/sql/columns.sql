-- The tables of ticketdb's schemas, and their columns. A partition has those of its table.
WITH tables AS (
    SELECT
        c.oid,
        ARRAY[n.nspname, c.relname]::text[] AS path
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE
        n.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }}, {{ internal_schema | literal }})
        AND c.relname NOT IN ('ticketdb_migrations', 'ticketdb_alembic_version')
        AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition
)

SELECT t.path
FROM tables AS t
UNION ALL
SELECT t.path || a.attname::text
FROM tables AS t
INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid
WHERE a.attnum > 0 AND NOT a.attisdropped
