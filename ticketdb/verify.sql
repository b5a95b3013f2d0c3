-- What is wrong with ticketdb's objects, as (check, detail) rows: none when all is well. Whose objects they are is known
-- from the comments that sql/ puts on each of them, so that strangers in the same schema are left alone.
WITH named AS (
    SELECT n.*
    FROM unnest(%(kinds)s::text[], %(parents)s::text[], %(names)s::text[], %(comments)s::text[])
        AS n (kind, parent, name, comment)
),

-- One row for each thing that was named: what it is and what its comment says; NULL where it is missing.
found AS (
    SELECT
        n.kind,
        concat_ws('.', n.parent, n.name) AS identity,
        n.comment AS wanted,
        o.oid,
        o.comment
    FROM named AS n
    LEFT JOIN LATERAL (
        SELECT
            c.oid,
            obj_description(c.oid, 'pg_class') AS comment
        FROM pg_class AS c
        WHERE n.kind IN ('TABLE', 'VIEW', 'INDEX', 'SEQUENCE') AND c.oid = to_regclass(n.name)
        UNION ALL
        SELECT
            a.attrelid,
            col_description(a.attrelid, a.attnum)
        FROM pg_attribute AS a
        WHERE
            n.kind = 'COLUMN'
            AND a.attrelid = to_regclass(n.parent)
            AND a.attname = n.name
            AND NOT a.attisdropped
        UNION ALL
        SELECT
            c.oid,
            obj_description(c.oid, 'pg_constraint')
        FROM pg_constraint AS c
        WHERE n.kind = 'CONSTRAINT' AND c.conrelid = to_regclass(n.parent) AND c.conname = n.name
        UNION ALL
        SELECT
            t.oid,
            obj_description(t.oid, 'pg_trigger')
        FROM pg_trigger AS t
        WHERE n.kind = 'TRIGGER' AND t.tgrelid = to_regclass(n.parent) AND t.tgname = n.name
        UNION ALL
        SELECT
            p.oid,
            obj_description(p.oid, 'pg_proc')
        FROM pg_proc AS p
        WHERE n.kind IN ('FUNCTION', 'PROCEDURE') AND p.oid = to_regprocedure(n.name)
        UNION ALL
        SELECT
            s.oid,
            obj_description(s.oid, 'pg_namespace')
        FROM pg_namespace AS s
        WHERE n.kind = 'SCHEMA' AND s.oid = to_regnamespace(n.name)
    ) AS o ON true
),

relations AS (
    SELECT
        c.oid,
        c.oid::regclass AS name,
        c.relkind,
        c.relowner,
        c.relispartition,
        c.relacl
    FROM pg_class AS c
    WHERE c.oid IN (
        SELECT f.oid FROM found AS f WHERE f.kind IN ('TABLE', 'VIEW')
        UNION ALL
        SELECT i.inhrelid
        FROM pg_inherits AS i
        INNER JOIN found AS f ON f.oid = i.inhparent
    )
),

routines AS (
    SELECT
        p.*,
        p.oid::regprocedure AS name
    FROM pg_proc AS p
    INNER JOIN found AS f ON f.oid = p.oid AND f.kind IN ('FUNCTION', 'PROCEDURE')
),

privileges AS (
    SELECT
        r.name::text AS object,
        a.grantee,
        a.privilege_type
    FROM relations AS r
    CROSS JOIN LATERAL aclexplode(r.relacl) AS a
    UNION ALL
    SELECT
        format('%%s.%%I', r.name, att.attname),
        a.grantee,
        a.privilege_type
    FROM relations AS r
    INNER JOIN pg_attribute AS att ON att.attrelid = r.oid
    CROSS JOIN LATERAL aclexplode(att.attacl) AS a
    UNION ALL
    SELECT
        r.name::text,
        a.grantee,
        a.privilege_type
    FROM routines AS r
    CROSS JOIN LATERAL aclexplode(COALESCE(r.proacl, acldefault('f', r.proowner))) AS a
    UNION ALL
    SELECT
        n.nspname::text,
        a.grantee,
        a.privilege_type
    FROM pg_namespace AS n
    CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
    WHERE n.nspname = {{ monitoring_schema | literal }}
)

SELECT
    'objects' AS "check",
    format('%%s %%s is missing', lower(f.kind), f.identity) AS detail
FROM found AS f
WHERE f.oid IS NULL
UNION ALL
SELECT
    'comments',
    format('%%s %%s has %%s instead of %%L', lower(f.kind), f.identity, COALESCE(quote_literal(f.comment), 'no comment'), f.wanted)
FROM found AS f
WHERE f.oid IS NOT NULL AND f.comment IS DISTINCT FROM f.wanted
UNION ALL
SELECT
    'comments',
    format('column %%s.%%I has no comment', r.name, a.attname)
FROM relations AS r
INNER JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE NOT r.relispartition AND col_description(r.oid, a.attnum) IS NULL
UNION ALL
SELECT
    'comments',
    format('constraint %%I on %%s has no comment', c.conname, r.name)
FROM relations AS r
INNER JOIN pg_constraint AS c ON c.conrelid = r.oid AND c.contype <> 'n'
WHERE NOT r.relispartition AND obj_description(c.oid, 'pg_constraint') IS NULL
UNION ALL
SELECT
    'comments',
    format('index %%s has no comment', i.indexrelid::regclass)
FROM relations AS r
INNER JOIN pg_index AS i ON i.indrelid = r.oid
WHERE
    NOT r.relispartition
    AND obj_description(i.indexrelid, 'pg_class') IS NULL
    AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid AND c.conrelid = r.oid)
UNION ALL
SELECT
    'comments',
    format('trigger %%I on %%s has no comment', t.tgname, r.name)
FROM relations AS r
INNER JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
WHERE NOT r.relispartition AND obj_description(t.oid, 'pg_trigger') IS NULL
UNION ALL
SELECT
    'comments',
    format('role %%I is missing or has no comment', w.role_name)
FROM unnest(%(roles)s::text[]) AS w (role_name)
WHERE shobj_description(to_regrole(quote_ident(w.role_name)), 'pg_authid') IS NULL
UNION ALL
SELECT
    'privileges',
    format('PUBLIC has %%s on %%s', p.privilege_type, p.object)
FROM privileges AS p
WHERE p.grantee = 0
UNION ALL
SELECT
    'definer functions',
    format('%%s is SECURITY DEFINER, and its search_path does not end in pg_temp', r.name)
FROM routines AS r
WHERE
    r.prosecdef
    AND NOT EXISTS (
        SELECT
        FROM unnest(r.proconfig) AS setting (entry)
        WHERE setting.entry LIKE 'search_path=%%pg_temp'
    )
UNION ALL
SELECT
    'triggers',
    format('trigger %%I on %%s is %%s', t.tgname, r.name, CASE t.tgenabled WHEN 'D' THEN 'disabled' ELSE 'not ALWAYS' END)
FROM relations AS r
INNER JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
WHERE t.tgenabled = 'D' OR (t.tgname = ANY(%(always)s::text[]) AND t.tgenabled <> 'A')
UNION ALL
SELECT
    'constraints and indexes',
    format('constraint %%I on %%s is NOT VALID', c.conname, r.name)
FROM relations AS r
INNER JOIN pg_constraint AS c ON c.conrelid = r.oid
WHERE NOT c.convalidated
UNION ALL
SELECT
    'constraints and indexes',
    format('index %%s is not valid', i.indexrelid::regclass)
FROM relations AS r
INNER JOIN pg_index AS i ON i.indrelid = r.oid
WHERE NOT i.indisvalid
ORDER BY 1, 2
