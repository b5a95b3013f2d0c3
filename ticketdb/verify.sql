-- What is wrong with ticketdb's objects, as (check, detail) rows: none when all is well. Whose objects they are is known
-- from the comments that sql/ (given as a text) puts on each of them, so that strangers in the same schema are left alone.
WITH sources (text) AS (
    VALUES ({{ shipped }})
),

shipped AS (
    SELECT regexp_matches(
        s.text,
        $pattern$^COMMENT ON ([A-Z]+)\s+((?:"(?:""|[^"])*"|[\w.])+(?:\([^)]*\))?)$pattern$
        || $pattern$(?:\s+ON ((?:"(?:""|[^"])*"|[\w.])+))?\s+IS$pattern$
        || $pattern$(?:\s+--[^\n]*)*((?:\s+'(?:''|[^'])*')+);$pattern$,
        'gw'
    ) AS part
    FROM sources AS s
),

-- The triggers that session_replication_role must not get around.
unstoppable AS (
    SELECT (parse_ident(a.part[1]))[1] AS name
    FROM sources AS s
    CROSS JOIN LATERAL regexp_matches(
        s.text, $pattern$ENABLE ALWAYS TRIGGER ((?:"(?:""|[^"])*"|\w)+)$pattern$, 'g'
    ) AS a (part)
),

-- What sql/ puts a comment on.
named AS (
    SELECT
        s.part[1] AS kind,
        CASE
            WHEN s.part[1] = 'COLUMN' THEN format('%I.%I', i.path[1], i.path[2])
            ELSE s.part[3]
        END AS parent,
        CASE
            WHEN s.part[1] IN ('COLUMN', 'CONSTRAINT', 'TRIGGER') THEN i.path[cardinality(i.path)]
            ELSE s.part[2]
        END AS name,
        (
            -- Literals that only a line break stands between are one literal.
            SELECT replace(string_agg(l.part[1], '' ORDER BY l.position), '''''', '''')
            FROM regexp_matches(s.part[4], $pattern$'((?:''|[^'])*)'$pattern$, 'g')
                WITH ORDINALITY AS l (part, position)
        ) AS comment
    FROM shipped AS s
    CROSS JOIN LATERAL (
        SELECT CASE WHEN s.part[2] NOT LIKE '%)' THEN parse_ident(s.part[2]) END AS path
    ) AS i
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
        format('%s.%I', r.name, att.attname),
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
    format('%s comments of sql/ cannot be read', count(*) - (SELECT count(*) FROM named)) AS detail
FROM sources AS s
CROSS JOIN LATERAL regexp_matches(s.text, '^COMMENT ON', 'gw')
HAVING count(*) <> (SELECT count(*) FROM named)
UNION ALL
SELECT
    'objects',
    format('%s %s is missing', lower(f.kind), f.identity)
FROM found AS f
WHERE f.oid IS NULL
UNION ALL
SELECT
    'comments',
    format('%s %s has %s instead of %L', lower(f.kind), f.identity, COALESCE(quote_literal(f.comment), 'no comment'), f.wanted)
FROM found AS f
WHERE f.oid IS NOT NULL AND f.comment IS DISTINCT FROM f.wanted
UNION ALL
SELECT
    'comments',
    format('column %s.%I has no comment', r.name, a.attname)
FROM relations AS r
INNER JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE NOT r.relispartition AND col_description(r.oid, a.attnum) IS NULL
UNION ALL
SELECT
    'comments',
    format('constraint %I on %s has no comment', c.conname, r.name)
FROM relations AS r
INNER JOIN pg_constraint AS c ON c.conrelid = r.oid AND c.contype <> 'n'
WHERE NOT r.relispartition AND obj_description(c.oid, 'pg_constraint') IS NULL
UNION ALL
SELECT
    'comments',
    format('index %s has no comment', i.indexrelid::regclass)
FROM relations AS r
INNER JOIN pg_index AS i ON i.indrelid = r.oid
WHERE
    NOT r.relispartition
    AND obj_description(i.indexrelid, 'pg_class') IS NULL
    AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid AND c.conrelid = r.oid)
UNION ALL
SELECT
    'comments',
    format('trigger %I on %s has no comment', t.tgname, r.name)
FROM relations AS r
INNER JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
WHERE NOT r.relispartition AND obj_description(t.oid, 'pg_trigger') IS NULL
{% if manage_roles %}
UNION ALL
SELECT
    'comments',
    format('role %I is missing or has no comment', w.role_name)
FROM (
    VALUES
    ({{ app_role | literal }}),
    ({{ monitor_role | literal }}),
    ({{ dashboard_role | literal }}),
    ({{ datadog_role | literal }})
) AS w (role_name)
WHERE shobj_description(to_regrole(quote_ident(w.role_name)), 'pg_authid') IS NULL
{% endif %}
UNION ALL
SELECT
    'privileges',
    format('PUBLIC has %s on %s', p.privilege_type, p.object)
FROM privileges AS p
WHERE p.grantee = 0
UNION ALL
SELECT
    'definer functions',
    format('%s is SECURITY DEFINER, and its search_path does not end in pg_temp', r.name)
FROM routines AS r
WHERE
    r.prosecdef
    AND NOT EXISTS (
        SELECT
        FROM unnest(r.proconfig) AS setting (entry)
        WHERE setting.entry LIKE 'search_path=%pg_temp'
    )
UNION ALL
SELECT
    'triggers',
    format('trigger %I on %s is %s', t.tgname, r.name, CASE t.tgenabled WHEN 'D' THEN 'disabled' ELSE 'not ALWAYS' END)
FROM relations AS r
INNER JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
WHERE
    t.tgenabled = 'D'
    OR (t.tgenabled <> 'A' AND t.tgname IN (SELECT u.name FROM unstoppable AS u))
UNION ALL
SELECT
    'constraints and indexes',
    format('constraint %I on %s is NOT VALID', c.conname, r.name)
FROM relations AS r
INNER JOIN pg_constraint AS c ON c.conrelid = r.oid
WHERE NOT c.convalidated
UNION ALL
SELECT
    'constraints and indexes',
    format('index %s is not valid', i.indexrelid::regclass)
FROM relations AS r
INNER JOIN pg_index AS i ON i.indrelid = r.oid
WHERE NOT i.indisvalid
{% if has_rollups %}
UNION ALL
SELECT
    'rollups',
    format('%I was restored from another server: run roll_up_metrics(), or new events may be missing', m.log)
FROM {{ schema }}.metric_watermarks AS m
WHERE {{ schema }}.is_restored_log(m.log)
{% else %}
UNION ALL
SELECT
    'rollups',
    'table metric_watermarks or function is_restored_log is missing'
{% endif %}
{% if has_invariants %}
UNION ALL
SELECT
    'invariants',
    format('%s: %s violations', v.invariant, v.violations)
FROM {{ monitoring_schema }}.invariant_violations AS v
WHERE v.violations <> 0
{% else %}
UNION ALL
SELECT
    'invariants',
    'view invariant_violations is missing'
{% endif %}
{% if has_pg_cron and not sees_pg_cron %}
UNION ALL
SELECT
    'jobs',
    format('role %I may not look into schema cron', current_user)
{% elif has_pg_cron %}
UNION ALL
SELECT
    'jobs',
    CASE count(j.jobid)
        WHEN 1 THEN format('%s was changed or switched off', w.job_name)
        ELSE format('%s is scheduled %s times', w.job_name, count(j.jobid))
    END
FROM {{ schema }}.scheduled_jobs() AS w
LEFT JOIN cron.job AS j ON j.jobname = w.job_name AND j.database = current_database()
GROUP BY w.job_name
HAVING
    count(j.jobid) <> 1
    OR NOT bool_and(j.active AND (j.schedule, j.command) = (w.schedule, w.command))
{% endif %}
ORDER BY 1, 2
