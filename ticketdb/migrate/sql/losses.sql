-- Of the tables and columns that would be removed, those that are not empty; a column only if its table stays.
WITH gone AS (
    SELECT
        g.path ->> 0 AS schema_name,
        g.path ->> 1 AS table_name,
        g.path ->> 2 AS column_name
    FROM jsonb_array_elements({{ gone }}) AS g (path)
)

SELECT
    format(
        '%s (%s rows)',
        concat_ws('.', g.schema_name, g.table_name, g.column_name),
        to_char(c.n, 'FM999,999,999,990')
    ) AS loss
FROM gone AS g
CROSS JOIN LATERAL (
    -- The one function of PostgreSQL that runs a query given as text: it counts the rows of a table given by name.
    SELECT substring(
        query_to_xml(
            format(
                'SELECT count(%s) AS n FROM %I.%I',
                COALESCE(quote_ident(g.column_name), '*'), g.schema_name, g.table_name
            ),
            false, true, ''
        )::text FROM '<n>(\d+)</n>'
    )::bigint AS n
) AS c
WHERE
    c.n > 0
    AND (
        g.column_name IS NULL
        OR NOT EXISTS (
            SELECT FROM gone AS t
            WHERE (t.schema_name, t.table_name) = (g.schema_name, g.table_name) AND t.column_name IS NULL
        )
    )
ORDER BY
    g.schema_name,
    g.table_name,
    g.column_name
