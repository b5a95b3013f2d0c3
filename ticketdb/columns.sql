-- The columns that can hold data of ours. A partition has those of its table.
SELECT
    n.nspname,
    c.relname,
    a.attname
FROM pg_catalog.pg_attribute AS a
INNER JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    n.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }})
    AND c.relname NOT IN ('ticketdb_migrations', 'ticketdb_alembic_version')
    AND c.relkind IN ('r', 'p')
    AND NOT c.relispartition
    AND a.attnum > 0
    AND NOT a.attisdropped
