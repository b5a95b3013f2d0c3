-- The catalog fingerprint: everything in ticketdb's three schemas, and its five roles, as rows of (root, kind,
-- identity, definition). The root is the relation or routine that a row belongs to, in the schema that other
-- applications may use. The owner is <owner>. Partitions of single months, which are created and dropped all the time,
-- have one name, <month>, so that equal ones give one row. Jobs are not in it: scheduled_jobs() lists what they should
-- be. Run it with the settings of settings.sql, or names are printed without their schema, or quoted. It compares what
-- ticketdb or a DBA declares. What a server adds by itself, or what another build, minor release or locale prints
-- otherwise, is left out or brought into one form: notes among the options of a column, quotes in the settings of a
-- routine, the order of options and settings, grants on dropped columns, the default of a domain as text.
WITH spaces AS (
    SELECT
        s.oid,
        s.nspacl,
        quote_ident(s.nspname) AS label,
        s.nspname = {{ schema | literal }} AS is_shared -- may have existed before, and may be used by others
    FROM pg_namespace AS s
    WHERE s.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }}, {{ internal_schema | literal }})
),

roles AS (
    SELECT
        r.oid,
        CASE
            WHEN r.oid = (
                SELECT c.relowner
                FROM pg_class AS c
                INNER JOIN pg_namespace AS s ON s.oid = c.relnamespace
                WHERE s.nspname = {{ internal_schema | literal }} AND c.relname = 'ticketdb_migrations'
            ) THEN '<owner>'
            ELSE quote_ident(r.rolname)
        END AS label,
        r.rolname IN (
            {{ app_role | literal }}, {{ box_office_role | literal }}, {{ monitor_role | literal }},
            {{ dashboard_role | literal }}, {{ datadog_role | literal }}
        ) AS is_ours,
        -- A role that existed before is used as it is: its owner decides what it may do, and its settings.
        COALESCE(shobj_description(r.oid, 'pg_authid'), '') LIKE '% Created by ticketdb.' AS is_made_here
    FROM pg_roles AS r
    UNION ALL
    SELECT
        0,
        'PUBLIC',
        false,
        false
),

relations AS (
    SELECT
        c.*,
        s.label || '.' || regexp_replace(quote_ident(c.relname), '_p\d{4}_\d{2}$', '_<month>') AS identity,
        CASE
            WHEN s.is_shared THEN s.label || '.' || regexp_replace(quote_ident(c.relname), '_p\d{4}_\d{2}$', '_<month>')
        END AS root,
        acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner) AS default_acl
    FROM pg_class AS c
    INNER JOIN spaces AS s ON s.oid = c.relnamespace
    WHERE
        c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
        AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        )
),

routines AS (
    SELECT
        p.*,
        CASE WHEN s.is_shared THEN format('%s.%I', s.label, p.proname) END AS root,
        p.oid::regprocedure::text AS identity
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
        r.root,
        'pg_class'::regclass AS class_id,
        r.oid AS object_id,
        0 AS part,
        'relation' AS kind,
        r.identity,
        concat_ws(
            ' ',
            r.relkind, r.relpersistence, 'owner', o.label,
            'partitioned', pg_get_partkeydef(r.oid), CASE
                -- The months of the business time zone.
                WHEN pg_get_expr(r.relpartbound, r.oid) LIKE 'FOR VALUES FROM %' THEN 'MONTH'
                ELSE pg_get_expr(r.relpartbound, r.oid)
            END,
            'options', (
                SELECT array_agg(x.entry ORDER BY x.entry COLLATE "C") FROM unnest(r.reloptions) AS x (entry)
            ), (
                SELECT 'toast options ' || array_agg(x.entry ORDER BY x.entry COLLATE "C")::text
                FROM pg_class AS t
                CROSS JOIN LATERAL unnest(t.reloptions) AS x (entry)
                WHERE t.oid = r.reltoastrelid
            ), 'security', r.relrowsecurity, r.relforcerowsecurity, 'identity', r.relreplident
        ) AS definition
    FROM relations AS r
    INNER JOIN roles AS o ON o.oid = r.relowner
    UNION ALL
    SELECT
        r.root,
        'pg_class'::regclass,
        r.oid,
        a.attnum,
        'column',
        r.identity || '.' || quote_ident(a.attname),
        concat_ws(
            ' ',
            row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum),
            format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attnotnull THEN 'NOT NULL' END,
            'default', pg_get_expr(d.adbin, d.adrelid),
            'generated', NULLIF(a.attgenerated, ''), 'identity', NULLIF(a.attidentity, ''),
            'storage', a.attstorage, NULLIF(a.attcompression, ''), (
                -- What ALTER COLUMN ... SET can set. A server may keep notes of its own there, as 15.20 does.
                SELECT array_agg(o.declared ORDER BY o.declared COLLATE "C") FROM unnest(a.attoptions) AS o (declared)
                WHERE o.declared ~ '^n_distinct(_inherited)?='
            ), NULLIF(a.attcollation, 0)::regcollation
        )
    FROM relations AS r
    INNER JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind <> 'S'
    UNION ALL
    SELECT
        r.root,
        'pg_constraint'::regclass,
        c.oid,
        0,
        'constraint',
        r.identity || '.' || quote_ident(c.conname),
        concat_ws(' ', pg_get_constraintdef(c.oid), CASE WHEN NOT c.convalidated THEN '(not validated)' END)
    FROM relations AS r
    INNER JOIN pg_constraint AS c ON c.conrelid = r.oid
    -- NOT NULL is a constraint from PostgreSQL 18 on; here it belongs to its column.
    WHERE c.contype <> 'n'
    UNION ALL
    SELECT
        r.root,
        'pg_class'::regclass,
        i.indexrelid,
        0,
        'index',
        r.identity || '.' || quote_ident(c.relname),
        concat_ws(
            ' ', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN '(not valid)' END,
            CASE WHEN i.indisclustered THEN '(clustered)' END
        )
    FROM relations AS r
    INNER JOIN pg_index AS i ON i.indrelid = r.oid
    INNER JOIN pg_class AS c ON c.oid = i.indexrelid
    UNION ALL
    SELECT
        r.root,
        'pg_trigger'::regclass,
        t.oid,
        0,
        'trigger',
        r.identity || '.' || quote_ident(t.tgname),
        concat_ws(
            ' ', pg_get_triggerdef(t.oid), CASE t.tgenabled
                WHEN 'O' THEN 'enabled' WHEN 'A' THEN 'enabled always' WHEN 'R' THEN 'for replicas' ELSE 'disabled'
            END
        )
    FROM relations AS r
    INNER JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT
        r.root,
        'pg_rewrite'::regclass,
        w.oid,
        0,
        'rule',
        r.identity || '.' || quote_ident(w.rulename),
        concat_ws(' ', pg_get_ruledef(w.oid), 'enabled', w.ev_enabled)
    FROM relations AS r
    INNER JOIN pg_rewrite AS w ON w.ev_class = r.oid
    UNION ALL
    SELECT
        r.root,
        'pg_policy'::regclass,
        p.oid,
        0,
        'policy',
        r.identity || '.' || quote_ident(p.polname),
        concat_ws(
            ' ', p.polcmd, 'permissive', p.polpermissive, 'to', (
                SELECT string_agg(o.label, ' ' ORDER BY o.label COLLATE "C")
                FROM roles AS o WHERE o.oid = ANY(p.polroles)
            ), 'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)
        )
    FROM relations AS r
    INNER JOIN pg_policy AS p ON p.polrelid = r.oid
    UNION ALL
    SELECT
        p.root,
        'pg_proc'::regclass,
        p.oid,
        0,
        'routine',
        p.identity,
        concat_ws(
            ' ',
            p.prokind, pg_get_function_arguments(p.oid), 'returns', pg_get_function_result(p.oid), 'language',
            l.lanname, 'volatility', p.provolatile, 'strict', p.proisstrict, 'definer', p.prosecdef, 'parallel',
            p.proparallel, 'leakproof', p.proleakproof, 'cost', p.procost, p.prorows, 'owner', o.label, 'settings', (
                -- A list of names is stored as it was quoted, and quote_all_identifiers quotes what need not be.
                SELECT
                    string_agg(
                        regexp_replace(x.entry, '"([a-z_][a-z0-9_$]*)"', '\1', 'g'), '; ' ORDER BY x.entry COLLATE "C"
                    )
                FROM unnest(p.proconfig) AS x (entry)
            )
        )
    FROM routines AS p
    INNER JOIN pg_language AS l ON l.oid = p.prolang
    INNER JOIN roles AS o ON o.oid = p.proowner
    UNION ALL
    SELECT
        CASE WHEN s.is_shared THEN s.label || '.' || quote_ident(t.typname) END,
        'pg_type'::regclass,
        t.oid,
        0,
        'type',
        s.label || '.' || quote_ident(t.typname),
        concat_ws(
            ' ', t.typtype, format_type(NULLIF(t.typbasetype, 0), t.typtypmod), t.typnotnull,
            -- Its text is as printed under the settings of the session that declared it.
            COALESCE(pg_get_expr(t.typdefaultbin, 0), t.typdefault), (
                SELECT string_agg(pg_get_constraintdef(c.oid), ' ' ORDER BY c.conname)
                FROM pg_constraint AS c WHERE c.contypid = t.oid AND c.contype <> 'n'
            ), (
                SELECT string_agg(quote_literal(e.enumlabel), ' ' ORDER BY e.enumsortorder)
                FROM pg_enum AS e WHERE e.enumtypid = t.oid
            )
        )
    FROM pg_type AS t
    INNER JOIN spaces AS s ON s.oid = t.typnamespace
    WHERE
        t.typtype IN ('d', 'e')
        AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
        )
    UNION ALL
    SELECT
        CASE WHEN s.is_shared THEN s.label || '.' || quote_ident(x.stxname) END,
        'pg_statistic_ext'::regclass,
        x.oid,
        0,
        'statistics',
        s.label || '.' || quote_ident(x.stxname),
        pg_get_statisticsobjdef(x.oid)
    FROM pg_statistic_ext AS x
    INNER JOIN spaces AS s ON s.oid = x.stxnamespace
    UNION ALL
    SELECT
        NULL,
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
        r.root,
        r.oid AS object_id,
        r.identity,
        r.relowner AS owner,
        COALESCE(r.relacl, r.default_acl) AS acl
    FROM relations AS r
    UNION ALL
    SELECT
        r.root,
        r.oid,
        r.identity || '.' || quote_ident(a.attname),
        r.relowner,
        a.attacl
    FROM relations AS r
    -- A dropped column keeps its grants, which nobody can revoke.
    INNER JOIN pg_attribute AS a ON a.attrelid = r.oid AND NOT a.attisdropped
    UNION ALL
    SELECT
        p.root,
        p.oid,
        p.identity,
        p.proowner,
        COALESCE(p.proacl, acldefault('f', p.proowner))
    FROM routines AS p
    UNION ALL
    SELECT
        NULL,
        s.oid,
        s.label,
        n.nspowner,
        COALESCE(s.nspacl, acldefault('n', n.nspowner))
    FROM spaces AS s
    INNER JOIN pg_namespace AS n ON n.oid = s.oid
),

raw AS (
    SELECT
        o.root,
        o.kind,
        o.identity,
        o.definition
    FROM objects AS o
    UNION ALL
    SELECT
        p.root,
        'body',
        p.identity,
        concat_ws(' ', p.prosrc, pg_get_function_sqlbody(p.oid))
    FROM routines AS p
    UNION ALL
    SELECT
        r.root,
        'sequence',
        r.identity,
        concat_ws(
            ' ', format_type(q.seqtypid, NULL), q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle
        )
    FROM relations AS r
    INNER JOIN pg_sequence AS q ON q.seqrelid = r.oid
    UNION ALL
    SELECT
        o.root,
        'comment',
        o.kind || ' ' || o.identity,
        d.description
    FROM objects AS o
    INNER JOIN pg_description AS d ON d.classoid = o.class_id AND d.objoid = o.object_id AND d.objsubid = o.part
    UNION ALL
    SELECT
        p.root,
        CASE WHEN g.is_ours THEN 'role grant' ELSE 'grant' END,
        p.identity || ' to ' || g.label,
        string_agg(a.privilege, ' ' ORDER BY a.privilege COLLATE "C")
    FROM privileges AS p
    -- The same from two grantors is one privilege.
    CROSS JOIN LATERAL (
        SELECT
            x.grantee,
            x.privilege_type || CASE WHEN bool_or(x.is_grantable) THEN '*' ELSE '' END AS privilege
        FROM aclexplode(p.acl) AS x
        GROUP BY
            x.grantee,
            x.privilege_type
    ) AS a
    INNER JOIN roles AS g ON g.oid = a.grantee
    WHERE
        -- Other roles of a schema that others use are not compared.
        (g.is_ours OR NOT EXISTS (SELECT FROM spaces AS s WHERE s.oid = p.object_id AND s.is_shared))
{% if not manage_roles %}
        AND NOT g.is_ours
{% endif %}
    GROUP BY
        p.root,
        p.object_id,
        p.identity,
        g.label,
        g.is_ours
{% if manage_roles %}
    UNION ALL
    SELECT
        NULL,
        'role',
        o.label,
        CASE WHEN NOT o.is_made_here THEN '<as it was>' ELSE concat_ws(
            ' ', 'login', r.rolcanlogin, 'inherit', r.rolinherit, 'superuser', r.rolsuper, 'createrole',
            r.rolcreaterole, 'createdb', r.rolcreatedb, 'replication', r.rolreplication, 'bypassrls', r.rolbypassrls,
            'limit', r.rolconnlimit, 'settings', (
                SELECT array_agg(x.entry ORDER BY x.entry COLLATE "C") FROM unnest(r.rolconfig) AS x (entry)
            ), 'comment', shobj_description(r.oid, 'pg_authid')
        ) END
    FROM pg_roles AS r
    INNER JOIN roles AS o ON o.oid = r.oid AND o.is_ours
    UNION ALL
    SELECT
        NULL,
        'role membership',
        format('%s in %s', o.label, g.label),
        CASE WHEN bool_or(m.admin_option) THEN 'admin' ELSE '' END
    FROM pg_auth_members AS m
    INNER JOIN roles AS o ON o.oid = m.member AND o.is_ours
    INNER JOIN roles AS g ON g.oid = m.roleid
    WHERE o.is_made_here OR g.is_ours
    -- From PostgreSQL 16 on, several roles may have granted it.
    GROUP BY
        o.label,
        g.label
    UNION ALL
    SELECT
        NULL,
        'role setting',
        o.label,
        (SELECT array_agg(x.entry ORDER BY x.entry COLLATE "C") FROM unnest(s.setconfig) AS x (entry))::text
    FROM pg_db_role_setting AS s
    INNER JOIN roles AS o ON o.oid = s.setrole AND o.is_ours AND o.is_made_here
    INNER JOIN pg_database AS b ON b.oid = s.setdatabase AND b.datname = current_database()
{% endif %}
)

SELECT DISTINCT
    r.root,
    r.kind COLLATE "C" AS kind,
    regexp_replace(r.identity, '_p\d{4}_\d{2}', '_<month>', 'g') COLLATE "C" AS identity,
    CASE r.kind
        WHEN 'body' THEN r.definition
        ELSE regexp_replace(r.definition, '_p\d{4}_\d{2}', '_<month>', 'g')
    END AS definition
FROM raw AS r
ORDER BY
    2,
    3,
    4
