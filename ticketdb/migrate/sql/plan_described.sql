-- A description of each lock that was measured on the copy, with the size of the relation in the target, and a warning
-- if other sessions would wait for long. `today`: the relations before the first revision, since a revision may rename
-- them.
WITH limits (large_rows, large_bytes) AS (
    VALUES (1000000::bigint, 100 * 1024 ^ 2)
),

locks AS (
    SELECT
        l.*,
        to_regclass({{ today }}::jsonb -> l.oid ->> 'name') AS relation_today
    FROM ROWS FROM (
        jsonb_to_recordset({{ locks }}::jsonb) AS (
            oid text, relation text, mode text, is_held boolean, drops boolean, rewrites boolean,
            scans boolean, partitions integer, blocks text
        )
    ) WITH ORDINALITY AS l
),

sizes AS (
    SELECT
        t.oid,
        -- -1: never analyzed. The count of a partitioned table is the sum of its partitions'.
        sum(NULLIF(c.reltuples, -1)) FILTER (WHERE c.relkind <> 'p')::bigint AS rows,
        sum(pg_total_relation_size(c.oid))::bigint AS bytes
    FROM (SELECT DISTINCT l.relation_today AS oid FROM locks AS l) AS t
    CROSS JOIN LATERAL (
        SELECT t.oid
        UNION
        SELECT p.relid FROM pg_partition_tree(t.oid) AS p
    ) AS parts
    INNER JOIN pg_class AS c ON c.oid = parts.oid
    GROUP BY t.oid
),

sized AS (
    SELECT
        l.*,
        s.rows,
        s.bytes,
        s.rows >= m.large_rows OR s.bytes >= m.large_bytes AS is_large,
        CASE
            WHEN s.oid IS NULL THEN 'not there yet'
            ELSE NULLIF(
                concat_ws(
                    ', ', to_char(NULLIF(s.rows, 0), 'FM999,999,999,999,990') || ' rows',
                    pg_size_pretty(NULLIF(s.bytes, 0))
                ), ''
            )
        END AS size,
        CASE WHEN l.drops THEN 'drops' WHEN l.rewrites THEN 'rewrites' WHEN l.scans THEN 'scans' END AS effect
    FROM locks AS l
    CROSS JOIN limits AS m
    LEFT JOIN sizes AS s ON s.oid = l.relation_today
)

SELECT
    s.rows,
    s.bytes,
    concat(
        s.mode, ' on ', s.relation, ' and ' || NULLIF(s.partitions, 0) || ' of its partitions',
        CASE WHEN s.is_held THEN ', held since an earlier statement' END,
        ' (' || NULLIF(concat_ws('; ', s.effect || ' it', s.size), '') || ')'
    ) AS text,
    CASE
        WHEN s.is_large AND s.blocks IS NOT NULL THEN concat(
            s.blocks, ' of ', s.relation, ' (', s.size, ') wait until it commits',
            ', and meanwhile it ' || s.effect || ' all of it'
        )
    END AS warning
FROM sized AS s
ORDER BY s.ordinality
