-- Roles are shared by all databases of a server. A role that exists already is used as it is, since
-- the migrator need not have ADMIN on it, and is never dropped.
{% if manage_roles %}
DO $body$
DECLARE
    v_role record;
    v_setting record;
BEGIN
    FOR v_role IN
        SELECT *
        FROM (
            VALUES
            (
                {{ app_role | literal }}, NULL,
                'ticketdb: the application. Calls the functions that sell seats and reads the '
                'seat map.'
            ),
            (
                {{ box_office_role | literal }}, NULL,
                'ticketdb: the staff. Sets up shows, and calls the functions of the box office.'
            ),
            (
                {{ monitor_role | literal }}, NULL,
                'ticketdb: reads monitoring views and columns without personal data.'
            ),
            -- Several dashboards, each with a pool.
            (
                {{ dashboard_role | literal }}, 20,
                'ticketdb: login of the dashboards. Has no password until the DBA sets one.'
            ),
            -- An agent opens one connection for each thing that it checks.
            (
                {{ datadog_role | literal }}, 10,
                'ticketdb: login of the Datadog agent. Has no password until the DBA sets one.'
            )
        ) AS wanted (role_name, connection_limit, description)
        WHERE to_regrole(quote_ident(wanted.role_name)) IS NULL
    LOOP
        EXECUTE format('CREATE ROLE %I', v_role.role_name);
        -- revert and verify recognise ticketdb's roles by the last words: a role that existed
        -- before is neither dropped nor compared.
        EXECUTE format(
            'COMMENT ON ROLE %I IS %L',
            v_role.role_name,
            v_role.description || ' Created by ticketdb.'
        );
        CONTINUE WHEN v_role.connection_limit IS NULL;

        EXECUTE format(
            'ALTER ROLE %I LOGIN CONNECTION LIMIT %s', v_role.role_name, v_role.connection_limit
        );
        -- Members do not inherit the settings of a role: each login needs its own. A login may
        -- change them for itself, so they only prevent accidents; the connection limit is enforced.
        FOR v_setting IN
            SELECT *
            FROM (
                VALUES
                ('statement_timeout', '4s'),
                -- An open transaction that has read a log blocks the drop of its partitions.
                ('idle_in_transaction_session_timeout', '10s')
            ) AS wanted (setting_name, setting_value)
        LOOP
            EXECUTE format(
                'ALTER ROLE %I SET %I = %L',
                v_role.role_name,
                v_setting.setting_name,
                v_setting.setting_value
            );
        END LOOP;
    END LOOP;

    FOR v_role IN
        SELECT
            member.rolname AS role_name,
            member.rolinherit AS inherits
        FROM pg_roles AS member
        WHERE
            member.rolname IN ({{ dashboard_role | literal }}, {{ datadog_role | literal }})
            AND NOT pg_has_role(member.oid, {{ monitor_role | literal }}, 'USAGE')
    LOOP
        -- A role that does not inherit gets no privileges from a membership, except, from
        -- PostgreSQL 16 on, from one WITH INHERIT TRUE.
        IF v_role.inherits THEN
            EXECUTE format('GRANT %I TO %I', {{ monitor_role | literal }}, v_role.role_name);
        ELSIF current_setting('server_version_num')::integer >= 160000 THEN
            EXECUTE format(
                'GRANT %I TO %I WITH INHERIT TRUE', {{ monitor_role | literal }}, v_role.role_name
            );
        ELSE
            RAISE EXCEPTION 'role % does not inherit: it could not read the monitoring views',
                v_role.role_name
            USING
                ERRCODE = 'invalid_role_specification',
                HINT = 'ALTER ROLE ... INHERIT, or choose another name in ticketdb.toml.';
        END IF;
    END LOOP;
END;
$body$;

GRANT USAGE ON SCHEMA {{ schema }}
TO {{ app_role }}, {{ box_office_role }}, {{ monitor_role }};
GRANT USAGE ON SCHEMA {{ monitoring_schema }} TO {{ monitor_role }};
{% endif %}
