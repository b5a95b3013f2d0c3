-- Called at the end of every revision and by maintain_partitions(): what the current transaction
-- has created in our schemas keeps the privileges that ticketdb grants, and none that ALTER DEFAULT
-- PRIVILEGES or PostgreSQL itself hands out. Without it every function would be executable by
-- PUBLIC, and Supabase's anon could read every table.
CREATE OR REPLACE FUNCTION {{ schema }}.revoke_default_privileges()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_stray record;
BEGIN
    FOR v_stray IN
        WITH created AS (
            SELECT
                CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
                format('%I.%I', n.nspname, c.relname) AS identity,
                c.relowner AS owner,
                COALESCE(
                    c.relacl,
                    acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)
                ) AS acl
            FROM pg_class AS c
            INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE
                n.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }})
                AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
                AND {{ schema }}.is_own_work(c.xmin)
            UNION ALL
            SELECT
                'ROUTINE',
                format(
                    '%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)
                ),
                p.proowner,
                COALESCE(p.proacl, acldefault('f', p.proowner))
            FROM pg_proc AS p
            INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
            WHERE
                n.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }})
                AND {{ schema }}.is_own_work(p.xmin)
            UNION ALL
            SELECT
                'SCHEMA',
                quote_ident(n.nspname),
                n.nspowner,
                COALESCE(n.nspacl, acldefault('n', n.nspowner))
            FROM pg_namespace AS n
            WHERE
                n.nspname = {{ monitoring_schema | literal }}
                AND {{ schema }}.is_own_work(n.xmin)
        )

        SELECT DISTINCT
            format(
                'REVOKE ALL ON %s %s FROM %s', c.kind, c.identity,
                COALESCE(quote_ident(r.rolname), 'PUBLIC')
            ) AS statement
        FROM created AS c
        CROSS JOIN LATERAL aclexplode(c.acl) AS privilege
        LEFT JOIN pg_roles AS r ON r.oid = privilege.grantee
        WHERE
            privilege.grantee <> c.owner
            AND r.rolname IS DISTINCT FROM {{ app_role | literal }}
            AND r.rolname IS DISTINCT FROM {{ monitor_role | literal }}
    LOOP
        EXECUTE v_stray.statement;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.revoke_default_privileges() IS
'Takes away what default privileges gave to strangers on objects created by the current '
'transaction. For migrations.';
