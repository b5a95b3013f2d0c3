-- 0001: Schemas, roles, ledger and settings.
-- A template, frozen by `ticketdb revision`.

-- drop: foundation/commit_durably.sql
DROP ROUTINE {{ internal_schema }}.commit_durably;

-- drop: foundation/time_for_the_log.sql
DROP ROUTINE {{ internal_schema }}.time_for_the_log;

-- drop: foundation/wait_for_others.sql
DROP ROUTINE {{ internal_schema }}.wait_for_others;

-- drop: foundation/event_type.sql
DROP DOMAIN {{ internal_schema }}.event_type;

-- drop: foundation/error_message.sql
DROP ROUTINE {{ internal_schema }}.error_message;

-- drop: foundation/currencies.sql
DROP TABLE {{ schema }}.currencies;

-- drop: foundation/ticketing_settings.sql
DROP TABLE {{ schema }}.ticketing_settings;

-- drop: foundation/ticketdb_migrations.sql
DROP TABLE {{ internal_schema }}.ticketdb_migrations;

-- drop: foundation/refuse_change.sql
DROP ROUTINE {{ internal_schema }}.refuse_change;

-- drop: foundation/is_time_zone.sql
DROP ROUTINE {{ internal_schema }}.is_time_zone;

-- drop: foundation/uuid_v7.sql
DROP ROUTINE {{ internal_schema }}.uuid_v7;

-- drop: foundation/revoke_default_privileges.sql
DROP ROUTINE {{ internal_schema }}.revoke_default_privileges;

-- drop: foundation/is_own_work.sql
DROP ROUTINE {{ internal_schema }}.is_own_work;

-- drop: foundation/roles.sql
-- Revokes what the roles may do here, and drops those that ticketdb created and nothing else uses.
{% if manage_roles %}
REVOKE USAGE ON SCHEMA {{ schema }}
FROM {{ app_role }}, {{ box_office_role }}, {{ monitor_role }};
REVOKE USAGE ON SCHEMA {{ monitoring_schema }} FROM {{ monitor_role }};
DO $body$
DECLARE
    v_role record;
BEGIN
    -- Only roles that ticketdb created, and only if nothing on the server uses them. Another
    -- database may use one by a mere membership, which would not stop DROP ROLE.
    FOR v_role IN
        WITH ours AS (
            SELECT
                r.oid,
                r.rolname,
                r.rolname IN (
                    {{ app_role | literal }}, {{ box_office_role | literal }},
                    {{ monitor_role | literal }}
                ) AS is_group,
                COALESCE(shobj_description(r.oid, 'pg_authid'), '')
                LIKE '% Created by ticketdb.' AS is_made_here
            FROM pg_roles AS r
            WHERE
                r.rolname IN (
                    {{ dashboard_role | literal }}, {{ datadog_role | literal }},
                    {{ app_role | literal }}, {{ box_office_role | literal }},
                    {{ monitor_role | literal }}
                )
        ),

        uses AS (
            SELECT
                o.oid,
                'it has objects or privileges in '
                || COALESCE('database ' || quote_ident(d.datname), 'the server') AS use
            FROM ours AS o
            INNER JOIN pg_shdepend AS s
                ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = o.oid
            LEFT JOIN pg_database AS d ON d.oid = s.dbid
            WHERE s.classid <> 'pg_auth_members'::regclass
            UNION ALL
            SELECT
                o.oid,
                format('%s is a member of it', m.member::regrole)
            FROM ours AS o
            INNER JOIN pg_auth_members AS m ON m.roleid = o.oid
            WHERE
                m.member NOT IN (SELECT mine.oid FROM ours AS mine)
                -- From PostgreSQL 16 on, the role that created it is a member with ADMIN, which is
                -- no use.
                AND NOT (
                    m.admin_option
                    AND to_jsonb(m) ->> 'inherit_option' IS NOT DISTINCT FROM 'false'
                )
            UNION ALL
            SELECT
                o.oid,
                format('it is a member of %s', m.roleid::regrole)
            FROM ours AS o
            INNER JOIN pg_auth_members AS m ON m.member = o.oid
            WHERE m.roleid NOT IN (SELECT mine.oid FROM ours AS mine)
            UNION ALL
            SELECT
                o.oid,
                format('it has settings in database %I', d.datname)
            FROM ours AS o
            INNER JOIN pg_db_role_setting AS s ON s.setrole = o.oid
            INNER JOIN pg_database AS d ON d.oid = s.setdatabase AND d.datname <> current_database()
            UNION ALL
            SELECT
                o.oid,
                format('it is connected to database %I', a.datname)
            FROM ours AS o
            INNER JOIN pg_stat_activity AS a ON a.usesysid = o.oid
            WHERE a.datname <> current_database()
        )

        SELECT
            o.rolname AS role_name,
            COALESCE(
                (SELECT min(u.use) FROM uses AS u WHERE u.oid = o.oid),
                -- A member can do what its group can: it is in use if the group is.
                (
                    SELECT
                        min(
                            format(
                                'it is a member of %s, which is kept: %s',
                                m.roleid::regrole, u.use
                            )
                        )
                    FROM pg_auth_members AS m
                    INNER JOIN uses AS u ON u.oid = m.roleid
                    WHERE m.member = o.oid
                )
            ) AS use
        FROM ours AS o
        WHERE o.is_made_here
        ORDER BY o.is_group, o.rolname
    LOOP
        BEGIN
            IF v_role.use IS NOT NULL THEN
                RAISE WARNING 'role % is kept: %', v_role.role_name, v_role.use;
            ELSE
                EXECUTE format('DROP ROLE %I', v_role.role_name);
            END IF;
        EXCEPTION
            WHEN dependent_objects_still_exist OR insufficient_privilege OR undefined_object THEN
                RAISE WARNING 'role % is kept: %', v_role.role_name, SQLERRM;
        END;
    END LOOP;
END;
$body$;
{% endif %}

-- drop: foundation/monitoring.sql
DROP SCHEMA {{ monitoring_schema }};
