-- The tables and views that people use, with what the reference prints about them. Left out are those that only the
-- owner may read, those of other schemas, and partitions.
WITH relations AS (
    SELECT
        c.oid,
        s.nspname AS schema,
        c.relname AS name,
        c.relkind IN ('v', 'm') AS is_view,
        c.relowner,
        c.relacl,
        pg_get_partkeydef(c.oid) AS partition_key,
        obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class AS c
    INNER JOIN pg_namespace AS s ON s.oid = c.relnamespace
    WHERE
        s.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }})
        AND c.relkind IN ('r', 'p', 'v', 'm')
        AND NOT c.relispartition
),

grants AS (
    SELECT
        r.oid,
        0 AS part,
        x.grantee,
        x.privilege_type
    FROM relations AS r
    CROSS JOIN LATERAL aclexplode(r.relacl) AS x
    WHERE x.grantee <> r.relowner
    UNION ALL
    SELECT
        r.oid,
        a.attnum,
        x.grantee,
        x.privilege_type
    FROM relations AS r
    INNER JOIN pg_attribute AS a ON a.attrelid = r.oid AND NOT a.attisdropped
    CROSS JOIN LATERAL aclexplode(a.attacl) AS x
)

SELECT
    r.schema,
    r.name,
    r.is_view,
    r.partition_key,
    r.comment,
    (
        SELECT
            jsonb_agg(
                jsonb_build_object(
                    'name', a.attname,
                    'type', format_type(a.atttypid, a.atttypmod),
                    'not_null', a.attnotnull,
                    'default', pg_get_expr(d.adbin, d.adrelid),
                    'is_generated', a.attgenerated <> '',
                    'is_identity', a.attidentity <> '',
                    'comment', col_description(r.oid, a.attnum),
                    'readers', (
                        SELECT COALESCE(jsonb_agg(DISTINCT o.rolname ORDER BY o.rolname), '[]'::jsonb)
                        FROM grants AS g
                        INNER JOIN pg_roles AS o ON o.oid = g.grantee
                        WHERE g.oid = r.oid AND g.part IN (0, a.attnum) AND g.privilege_type = 'SELECT'
                    )
                ) ORDER BY a.attnum
            )
        FROM pg_attribute AS a
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS columns,
    (
        SELECT
            COALESCE(
                jsonb_agg(
                    jsonb_build_object(
                        'name', c.conname,
                        'definition', pg_get_constraintdef(c.oid, true),
                        'comment', obj_description(c.oid, 'pg_constraint'),
                        'columns', (
                            SELECT jsonb_agg(a.attname)
                            FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum = ANY(c.conkey)
                        ),
                        'refers_to', f.relname,
                        'may_be_null', (
                            SELECT bool_or(NOT a.attnotnull)
                            FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum = ANY(c.conkey)
                        ),
                        'kind', c.contype
                    ) ORDER BY position(c.contype IN 'pufcx'), c.conname COLLATE "C"
                ),
                '[]'::jsonb
            )
        FROM pg_constraint AS c
        LEFT JOIN pg_class AS f ON f.oid = c.confrelid
        -- NOT NULL, a constraint from PostgreSQL 18 on, is printed with its column. Left out are constraints that
        -- PostgreSQL derives from a key, for partitions of the table that it refers to: their names are generated.
        WHERE c.conrelid = r.oid AND c.contype IN ('p', 'u', 'f', 'c', 'x') AND c.conparentid = 0
    ) AS constraints,
    (
        SELECT
            COALESCE(
                jsonb_agg(
                    jsonb_build_object(
                        'name', c.relname,
                        'definition', concat(
                            CASE WHEN i.indisunique THEN 'UNIQUE ' END,
                            substring(pg_get_indexdef(c.oid, 0, true) FROM ' USING (.*)$')
                        ),
                        'comment', obj_description(c.oid, 'pg_class')
                    ) ORDER BY c.relname COLLATE "C"
                ),
                '[]'::jsonb
            )
        FROM pg_index AS i
        INNER JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid = r.oid AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
    ) AS indexes
FROM relations AS r
WHERE
    EXISTS (SELECT FROM grants AS g WHERE g.oid = r.oid)
    -- Part of the contract, although only the owner may read them.
    OR (r.schema = {{ schema | literal }} AND r.name IN ('change_log', 'ticketing_settings'))
ORDER BY
    r.schema <> {{ schema | literal }},
    r.name COLLATE "C"
