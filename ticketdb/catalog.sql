-- The catalog fingerprint: everything in ticketdb's two schemas, with its four roles and its jobs, as rows of (kind,
-- identity, definition). Names of schemas and roles are replaced by placeholders, owners by <owner>, so that databases
-- that were built with other names compare equal. Partitions of single months are left out: they come and go.
-- Run it with search_path = pg_catalog, or names are printed without their schema.
WITH RECURSIVE names AS (
    SELECT
        n.position,
        n.name,
        n.placeholder,
        -- As an identifier, as a literal, and bare: before a dot, or in a search_path.
        concat_ws(
            '|',
            '"' || regexp_replace(replace(n.name, '"', '""'), '(\W)', '\\\1', 'g') || '"',
            -- A literal with a backslash is rendered with a space before its E.
            CASE WHEN strpos(n.name, '\') > 0 THEN ' ' ELSE '' END
            || regexp_replace(ltrim(quote_literal(n.name)), '(\W)', '\\\1', 'g'),
            CASE
                WHEN quote_ident(n.name) = n.name THEN '\m' || n.name || '(?=\.|(, [^,]+)*, pg_temp)'
            END
        ) AS pattern
    FROM (
        VALUES
        (1, {{ schema | literal }}, '<schema>'),
        (2, {{ monitoring_schema | literal }}, '<monitoring_schema>'),
        (3, {{ app_role | literal }}, '<app_role>'),
        (4, {{ monitor_role | literal }}, '<monitor_role>'),
        (5, {{ dashboard_role | literal }}, '<dashboard_role>'),
        (6, {{ datadog_role | literal }}, '<datadog_role>'),
        (7, {{ cleanup_job }}, '<cleanup_job>'),
        (8, {{ cleanup_schedule }}, '<cleanup_schedule>'),
        (9, {{ partition_job }}, '<partition_job>'),
        (10, {{ partition_schedule }}, '<partition_schedule>'),
        (11, {{ purge_job }}, '<purge_job>'),
        (12, {{ purge_schedule }}, '<purge_schedule>'),
        (13, {{ rollup_job }}, '<rollup_job>'),
        (14, {{ rollup_schedule }}, '<rollup_schedule>'),
        (15, {{ invariants_job }}, '<invariants_job>'),
        (16, {{ invariants_schedule }}, '<invariants_schedule>')
    ) AS n (position, name, placeholder)
),

spaces AS (
    SELECT
        s.oid,
        s.nspacl,
        n.placeholder AS label,
        n.position = 1 AS is_shared -- may have been there before, and may be used by others
    FROM pg_namespace AS s
    INNER JOIN names AS n ON n.name = s.nspname AND n.position <= 2
),

roles AS (
    SELECT
        r.oid,
        COALESCE(
            n.placeholder,
            CASE
                WHEN r.oid = (
                    SELECT c.relowner
                    FROM pg_class AS c
                    INNER JOIN spaces AS s ON s.oid = c.relnamespace AND s.is_shared
                    WHERE c.relname = 'ticketdb_migrations'
                ) THEN '<owner>'
            END,
            r.rolname
        ) AS label,
        n.name IS NOT NULL AS is_ours
    FROM pg_roles AS r
    LEFT JOIN names AS n ON n.name = r.rolname AND n.position BETWEEN 3 AND 6
    UNION ALL
    SELECT
        0,
        'PUBLIC',
        false
),

relations AS (
    SELECT
        c.*,
        s.label || '.' || c.relname AS identity
    FROM pg_class AS c
    INNER JOIN spaces AS s ON s.oid = c.relnamespace
    WHERE
        c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
        AND NOT (c.relispartition AND c.relname ~ '_p\d{4}_\d{2}$')
        AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        )
),

routines AS (
    SELECT
        p.*,
        format('%s.%s(%s)', s.label, p.proname, pg_get_function_identity_arguments(p.oid)) AS identity
    FROM pg_proc AS p
    INNER JOIN spaces AS s ON s.oid = p.pronamespace
    WHERE NOT EXISTS (
        SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    )
),

-- What can be commented on, with where its comment is kept.
objects AS (
    SELECT
        'pg_class'::regclass AS class_id,
        r.oid AS object_id,
        0 AS part,
        'relation' AS kind,
        r.identity,
        concat_ws(
            ' ',
            r.relkind, r.relpersistence, 'owner', o.label,
            'partitioned', pg_get_partkeydef(r.oid), pg_get_expr(r.relpartbound, r.oid),
            'options', r.reloptions, 'security', r.relrowsecurity, r.relforcerowsecurity, 'identity', r.relreplident
        ) AS definition
    FROM relations AS r
    INNER JOIN roles AS o ON o.oid = r.relowner
    UNION ALL
    SELECT
        'pg_class'::regclass,
        r.oid,
        a.attnum,
        'column',
        r.identity || '.' || a.attname,
        concat_ws(
            ' ',
            row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum),
            format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attnotnull THEN 'NOT NULL' END,
            'default', pg_get_expr(d.adbin, d.adrelid),
            'generated', NULLIF(a.attgenerated, ''), 'identity', NULLIF(a.attidentity, ''),
            'storage', a.attstorage, a.attcompression, a.attoptions, NULLIF(a.attcollation, 0)::regcollation
        )
    FROM relations AS r
    INNER JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind <> 'S'
    UNION ALL
    SELECT
        'pg_constraint'::regclass,
        c.oid,
        0,
        'constraint',
        r.identity || '.' || c.conname,
        concat_ws(' ', pg_get_constraintdef(c.oid), CASE WHEN NOT c.convalidated THEN '(not validated)' END)
    FROM relations AS r
    INNER JOIN pg_constraint AS c ON c.conrelid = r.oid
    -- NOT NULL is a constraint from PostgreSQL 18 on; here it is told with its column.
    WHERE c.contype <> 'n'
    UNION ALL
    SELECT
        'pg_class'::regclass,
        i.indexrelid,
        0,
        'index',
        r.identity || '.' || c.relname,
        concat_ws(
            ' ', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN '(not valid)' END,
            CASE WHEN i.indisclustered THEN '(clustered)' END
        )
    FROM relations AS r
    INNER JOIN pg_index AS i ON i.indrelid = r.oid
    INNER JOIN pg_class AS c ON c.oid = i.indexrelid
    UNION ALL
    SELECT
        'pg_trigger'::regclass,
        t.oid,
        0,
        'trigger',
        r.identity || '.' || t.tgname,
        concat_ws(' ', pg_get_triggerdef(t.oid), 'enabled', t.tgenabled)
    FROM relations AS r
    INNER JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT
        'pg_rewrite'::regclass,
        w.oid,
        0,
        'rule',
        r.identity || '.' || w.rulename,
        concat_ws(' ', pg_get_ruledef(w.oid), 'enabled', w.ev_enabled)
    FROM relations AS r
    INNER JOIN pg_rewrite AS w ON w.ev_class = r.oid
    UNION ALL
    SELECT
        'pg_policy'::regclass,
        p.oid,
        0,
        'policy',
        r.identity || '.' || p.polname,
        concat_ws(
            ' ', p.polcmd, 'permissive', p.polpermissive, 'to', (
                SELECT string_agg(o.label, ' ' ORDER BY o.label) FROM roles AS o WHERE o.oid = ANY(p.polroles)
            ), 'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)
        )
    FROM relations AS r
    INNER JOIN pg_policy AS p ON p.polrelid = r.oid
    UNION ALL
    SELECT
        'pg_proc'::regclass,
        p.oid,
        0,
        'routine',
        p.identity,
        concat_ws(
            ' ',
            p.prokind, pg_get_function_arguments(p.oid), 'returns', pg_get_function_result(p.oid), 'language',
            l.lanname, 'volatility', p.provolatile, 'strict', p.proisstrict, 'definer', p.prosecdef, 'parallel',
            p.proparallel, 'leakproof', p.proleakproof, 'cost', p.procost, p.prorows, 'owner', o.label, 'settings',
            array_to_string(p.proconfig, '; ')
        )
    FROM routines AS p
    INNER JOIN pg_language AS l ON l.oid = p.prolang
    INNER JOIN roles AS o ON o.oid = p.proowner
    UNION ALL
    SELECT
        'pg_type'::regclass,
        t.oid,
        0,
        'type',
        s.label || '.' || t.typname,
        concat_ws(
            ' ', t.typtype, format_type(NULLIF(t.typbasetype, 0), t.typtypmod), t.typnotnull, t.typdefault, (
                SELECT string_agg(pg_get_constraintdef(c.oid), ' ' ORDER BY c.conname)
                FROM pg_constraint AS c WHERE c.contypid = t.oid
            ), (
                SELECT string_agg(quote_literal(e.enumlabel), ' ' ORDER BY e.enumsortorder)
                FROM pg_enum AS e WHERE e.enumtypid = t.oid
            )
        )
    FROM pg_type AS t
    INNER JOIN spaces AS s ON s.oid = t.typnamespace
    WHERE t.typtype IN ('d', 'e')
    UNION ALL
    SELECT
        'pg_statistic_ext'::regclass,
        x.oid,
        0,
        'statistics',
        s.label || '.' || x.stxname,
        pg_get_statisticsobjdef(x.oid)
    FROM pg_statistic_ext AS x
    INNER JOIN spaces AS s ON s.oid = x.stxnamespace
    UNION ALL
    SELECT
        'pg_namespace'::regclass,
        n.oid,
        0,
        'schema',
        s.label,
        concat_ws(' ', 'owner', o.label)
    FROM pg_namespace AS n
    INNER JOIN spaces AS s ON s.oid = n.oid AND NOT s.is_shared
    INNER JOIN roles AS o ON o.oid = n.nspowner
),

privileges AS (
    SELECT
        r.identity,
        r.relowner AS owner,
        r.relacl AS acl
    FROM relations AS r
    UNION ALL
    SELECT
        r.identity || '.' || a.attname,
        r.relowner,
        a.attacl
    FROM relations AS r
    INNER JOIN pg_attribute AS a ON a.attrelid = r.oid
    UNION ALL
    SELECT
        p.identity,
        p.proowner,
        COALESCE(p.proacl, acldefault('f', p.proowner))
    FROM routines AS p
    UNION ALL
    SELECT
        s.label,
        n.nspowner,
        s.nspacl
    FROM spaces AS s
    INNER JOIN pg_namespace AS n ON n.oid = s.oid
),

raw AS (
    SELECT
        o.kind,
        o.identity,
        o.definition
    FROM objects AS o
    UNION ALL
    SELECT
        'body',
        p.identity,
        concat_ws(' ', p.prosrc, pg_get_function_sqlbody(p.oid))
    FROM routines AS p
    UNION ALL
    SELECT
        'sequence',
        r.identity,
        concat_ws(
            ' ', format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle
        )
    FROM relations AS r
    INNER JOIN pg_sequence AS q ON q.seqrelid = r.oid
    UNION ALL
    SELECT
        'comment',
        o.kind || ' ' || o.identity,
        d.description
    FROM objects AS o
    INNER JOIN pg_description AS d ON d.classoid = o.class_id AND d.objoid = o.object_id AND d.objsubid = o.part
    UNION ALL
    SELECT
        'grant',
        p.identity || ' to ' || g.label,
        string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, ' ' ORDER BY a.privilege_type)
    FROM privileges AS p
    CROSS JOIN LATERAL aclexplode(p.acl) AS a
    INNER JOIN roles AS g ON g.oid = a.grantee
    WHERE a.grantee <> p.owner AND (p.identity <> '<schema>' OR g.is_ours)
    GROUP BY
        p.identity,
        g.label
    UNION ALL
    SELECT
        'role',
        o.label,
        concat_ws(
            ' ', 'login', r.rolcanlogin, 'inherit', r.rolinherit, 'superuser', r.rolsuper, 'createrole',
            r.rolcreaterole, 'createdb', r.rolcreatedb, 'replication', r.rolreplication, 'bypassrls', r.rolbypassrls,
            'limit', r.rolconnlimit, 'member of', (
                SELECT string_agg(g.label, ' ' ORDER BY g.label)
                FROM pg_auth_members AS m
                INNER JOIN roles AS g ON g.oid = m.roleid
                WHERE m.member = r.oid
            ), 'settings', r.rolconfig, 'comment', shobj_description(r.oid, 'pg_authid')
        )
    FROM pg_roles AS r
    INNER JOIN roles AS o ON o.oid = r.oid AND o.is_ours
    UNION ALL
    SELECT
        'role setting',
        o.label || ' here',
        s.setconfig::text
    FROM pg_db_role_setting AS s
    INNER JOIN roles AS o ON o.oid = s.setrole AND o.is_ours
    INNER JOIN pg_database AS b ON b.oid = s.setdatabase AND b.datname = current_database()
{% if has_pg_cron %}
    UNION ALL
    SELECT
        'job',
        COALESCE(j.jobname, j.jobid::text),
        concat_ws(' ', j.schedule, 'active', j.active, j.command)
    FROM cron.job AS j
    WHERE j.database = current_database()
{% endif %}
),

normal AS (
    SELECT
        r.kind,
        r.identity,
        r.definition,
        1 AS position
    FROM raw AS r
    UNION ALL
    SELECT
        o.kind,
        o.identity,
        -- Comments are prose: a schema called monitoring must not change the word.
        CASE o.kind
            WHEN 'comment' THEN o.definition ELSE regexp_replace(o.definition, n.pattern, n.placeholder, 'g')
        END,
        o.position + 1
    FROM normal AS o
    INNER JOIN names AS n ON n.position = o.position
)

SELECT
    f.kind,
    f.identity,
    CASE f.kind WHEN 'body' THEN md5(f.definition) ELSE f.definition END AS definition
FROM normal AS f
WHERE f.position > (SELECT max(n.position) FROM names AS n)
ORDER BY
    f.kind COLLATE "C",
    f.identity COLLATE "C"
