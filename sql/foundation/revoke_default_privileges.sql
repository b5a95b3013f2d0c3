-- Called at the end of every revision and by maintain_partitions(). Objects that the current
-- transaction has created in ticketdb's schemas keep the privileges that ticketdb grants, and lose
-- those that ALTER DEFAULT PRIVILEGES or PostgreSQL itself gives. Otherwise PUBLIC could execute
-- every function, and Supabase's anon could read every table.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.revoke_default_privileges()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_schemas constant text[] := ARRAY[
        {{ schema | literal }}, {{ monitoring_schema | literal }}, {{ internal_schema | literal }}
    ];
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
                n.nspname = ANY(v_schemas)
                AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
                AND {{ internal_schema }}.is_own_work(c.xmin)
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
                n.nspname = ANY(v_schemas)
                AND {{ internal_schema }}.is_own_work(p.xmin)
            UNION ALL
            SELECT
                'SCHEMA',
                quote_ident(n.nspname),
                n.nspowner,
                COALESCE(n.nspacl, acldefault('n', n.nspowner))
            FROM pg_namespace AS n
            WHERE
                n.nspname IN ({{ monitoring_schema | literal }}, {{ internal_schema | literal }})
                AND {{ internal_schema }}.is_own_work(n.xmin)
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
            AND r.rolname IS DISTINCT FROM {{ box_office_role | literal }}
            AND r.rolname IS DISTINCT FROM {{ monitor_role | literal }}
            -- Called by a default and a check of tables: every role that inserts needs them, and
            -- can call them in no other way, since only the owner has USAGE on their schema.
            AND NOT (
                privilege.grantee = 0
                AND c.identity IN (
                    format('%I.uuid_v7()', {{ internal_schema | literal }}),
                    format('%I.is_time_zone(p_name text)', {{ internal_schema | literal }})
                )
            )
    LOOP
        EXECUTE v_stray.statement;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.revoke_default_privileges() IS
'Revokes what default privileges gave to other roles on the objects that the current transaction '
'has created. For migrations and new partitions.';
