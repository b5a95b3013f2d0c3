-- Which roles, beyond ticketdb's owner and superusers, may create objects in its schemas, and which objects there could
-- catch a call that is meant for one of PostgreSQL's own: rows of (is_trap, detail). Objects of the owner or a
-- superuser give no role a privilege that it did not have. Members of extensions are left out: only trusted roles
-- install those.
WITH spaces AS (
    SELECT
        s.oid,
        s.nspowner,
        s.nspacl,
        quote_ident(s.nspname) AS label
    FROM pg_namespace AS s
    WHERE s.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }}, {{ internal_schema | literal }})
),

trusted AS (
    SELECT r.oid
    FROM pg_roles AS r
    WHERE
        r.rolsuper
        OR r.oid = (
            SELECT c.relowner
            FROM pg_class AS c
            INNER JOIN pg_namespace AS s ON s.oid = c.relnamespace
            WHERE s.nspname = {{ internal_schema | literal }} AND c.relname = 'ticketdb_migrations'
        )
),

creators AS (
    SELECT
        s.label,
        a.grantee
    FROM spaces AS s
    CROSS JOIN LATERAL aclexplode(COALESCE(s.nspacl, acldefault('n', s.nspowner))) AS a
    WHERE a.privilege_type = 'CREATE'
    UNION
    SELECT
        s.label,
        s.nspowner
    FROM spaces AS s
),

grantees AS (
    SELECT
        c.label,
        -- This role stands for the owner of the database.
        CASE c.grantee WHEN 'pg_database_owner'::regrole THEN d.datdba ELSE c.grantee END AS grantee
    FROM creators AS c
    INNER JOIN pg_database AS d ON d.datname = current_database()
),

named AS (
    SELECT
        'pg_proc'::regclass AS class_id,
        p.oid,
        p.pronamespace AS space,
        p.proowner AS owner,
        'routine' AS kind,
        p.proname AS name,
        format('%s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) AS identity
    FROM pg_proc AS p
    UNION ALL
    SELECT
        'pg_operator'::regclass,
        o.oid,
        o.oprnamespace,
        o.oprowner,
        'operator',
        o.oprname,
        format(
            '%s (%s, %s)',
            o.oprname, format_type(NULLIF(o.oprleft, 0), NULL), format_type(NULLIF(o.oprright, 0), NULL)
        )
    FROM pg_operator AS o
    UNION ALL
    SELECT
        'pg_type'::regclass,
        t.oid,
        t.typnamespace,
        t.typowner,
        'type',
        t.typname,
        t.typname::text
    FROM pg_type AS t
    WHERE t.typtype <> 'c' AND t.typelem = 0
    UNION ALL
    SELECT
        'pg_class'::regclass,
        c.oid,
        c.relnamespace,
        c.relowner,
        'relation',
        c.relname,
        c.relname::text
    FROM pg_class AS c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
)

SELECT
    false AS is_trap,
    format(
        '%s may create objects in schema %s',
        CASE WHEN p.grantee = 0 THEN 'PUBLIC' ELSE 'role ' || p.grantee::regrole::text END, p.label
    ) AS detail
FROM grantees AS p
WHERE p.grantee NOT IN (SELECT t.oid FROM trusted AS t)
UNION
SELECT
    true,
    format(
        '%s %s.%s of role %s bears a name of PostgreSQL''s own and could catch its calls',
        n.kind, s.label, n.identity, n.owner::regrole
    )
FROM named AS n
INNER JOIN spaces AS s ON s.oid = n.space
WHERE
    n.owner NOT IN (SELECT t.oid FROM trusted AS t)
    AND EXISTS (
        SELECT FROM named AS theirs
        WHERE theirs.space = 'pg_catalog'::regnamespace AND theirs.kind = n.kind AND theirs.name = n.name
    )
    AND NOT EXISTS (
        SELECT FROM pg_depend AS d
        WHERE d.classid = n.class_id AND d.objid = n.oid AND d.deptype = 'e'
    )
ORDER BY 1, 2
