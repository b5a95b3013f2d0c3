-- Roles are shared by all databases of a server: what is there already is used as it is, and never
-- given away again.
{% if manage_roles %}
DO $body$
DECLARE
    v_role record;
BEGIN
    FOR v_role IN
        SELECT *
        FROM (
            VALUES
            (
                {{ app_role | literal }}, false, NULL,
                'ticketdb: the application. Calls the functions that sell seats and reads the '
                'seat map.'
            ),
            (
                {{ monitor_role | literal }}, false, '4s',
                'ticketdb: reads monitoring views and columns that say nothing about a person.'
            ),
            (
                {{ dashboard_role | literal }}, true, '4s',
                'ticketdb: login of the dashboards. Has no password until the DBA sets one.'
            ),
            (
                {{ datadog_role | literal }}, true, '4s',
                'ticketdb: login of the Datadog agent. Has no password until the DBA sets one.'
            )
        ) AS wanted (role_name, can_login, statement_timeout, description)
    LOOP
        IF to_regrole(quote_ident(v_role.role_name)) IS NULL THEN
            EXECUTE format(
                'CREATE ROLE %I %s',
                v_role.role_name,
                CASE WHEN v_role.can_login THEN 'LOGIN' ELSE 'NOLOGIN' END
            );
            -- The last words are what revert goes by: a role that was here before ticketdb is not
            -- ours to drop.
            EXECUTE format(
                'COMMENT ON ROLE %I IS %L',
                v_role.role_name,
                v_role.description || ' Created by ticketdb.'
            );
        ELSIF shobj_description(to_regrole(quote_ident(v_role.role_name)), 'pg_authid') IS NULL THEN
            EXECUTE format('COMMENT ON ROLE %I IS %L', v_role.role_name, v_role.description);
        END IF;
        -- A role's settings are not inherited by its members: each login needs its own.
        IF v_role.statement_timeout IS NOT NULL AND NOT EXISTS (
            SELECT
            FROM pg_roles AS r, unnest(r.rolconfig) AS setting (entry)
            WHERE
                r.rolname = v_role.role_name
                AND setting.entry LIKE 'statement_timeout=%'
        ) THEN
            EXECUTE format(
                'ALTER ROLE %I SET statement_timeout = %L',
                v_role.role_name,
                v_role.statement_timeout
            );
        END IF;
    END LOOP;
    IF NOT pg_has_role({{ dashboard_role | literal }}, {{ monitor_role | literal }}, 'MEMBER') THEN
        GRANT {{ monitor_role }} TO {{ dashboard_role }};
    END IF;
    IF NOT pg_has_role({{ datadog_role | literal }}, {{ monitor_role | literal }}, 'MEMBER') THEN
        GRANT {{ monitor_role }} TO {{ datadog_role }};
    END IF;
END;
$body$;

GRANT USAGE ON SCHEMA {{ schema }} TO {{ app_role }}, {{ monitor_role }};
GRANT USAGE ON SCHEMA {{ monitoring_schema }} TO {{ monitor_role }};
{% endif %}
