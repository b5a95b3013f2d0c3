-- Roles are shared by all databases of a server: what is there already is used as it is, by a
-- migrator who need not be allowed to change it, and never given away again.
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
                {{ monitor_role | literal }}, NULL,
                'ticketdb: reads monitoring views and columns that say nothing about a person.'
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
        -- The last words are what revert and verify go by: a role that was here before ticketdb is
        -- not ours to drop or to judge.
        EXECUTE format(
            'COMMENT ON ROLE %I IS %L',
            v_role.role_name,
            v_role.description || ' Created by ticketdb.'
        );
        CONTINUE WHEN v_role.connection_limit IS NULL;

        EXECUTE format(
            'ALTER ROLE %I LOGIN CONNECTION LIMIT %s', v_role.role_name, v_role.connection_limit
        );
        -- A role's settings are not inherited by its members: each login needs its own. A login may
        -- change them for itself, so they are a guard against accidents; the connection limit
        -- holds.
        FOR v_setting IN
            SELECT *
            FROM (
                VALUES
                ('statement_timeout', '4s'),
                -- An open transaction that has read a log keeps its partitions from being dropped.
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
        -- A membership gives nothing to a role that does not inherit, unless it says so, which it
        -- can from PostgreSQL 16 on.
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

GRANT USAGE ON SCHEMA {{ schema }} TO {{ app_role }}, {{ monitor_role }};
GRANT USAGE ON SCHEMA {{ monitoring_schema }} TO {{ monitor_role }};
{% endif %}
