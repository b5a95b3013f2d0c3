-- 0001: Schemas, roles, ledger and settings.
-- A template, frozen by `ticketdb revision`.

-- drop: tables/currencies.sql
DROP TABLE {{ schema }}.currencies;

-- drop: tables/ticketing_settings.sql
DROP TABLE {{ schema }}.ticketing_settings;

-- drop: tables/ticketdb_migrations.sql
DROP TABLE {{ schema }}.ticketdb_migrations;

-- drop: functions/refuse_change.sql
DROP ROUTINE {{ schema }}.refuse_change;

-- drop: functions/is_time_zone.sql
DROP ROUTINE {{ schema }}.is_time_zone;

-- drop: functions/uuid_v7.sql
DROP ROUTINE {{ schema }}.uuid_v7;

-- drop: functions/revoke_default_privileges.sql
DROP ROUTINE {{ schema }}.revoke_default_privileges;

-- drop: functions/is_own_work.sql
DROP ROUTINE {{ schema }}.is_own_work;

-- drop: roles/roles.sql
{% if manage_roles %}
REVOKE USAGE ON SCHEMA {{ schema }} FROM {{ app_role }}, {{ monitor_role }};
REVOKE USAGE ON SCHEMA {{ monitoring_schema }} FROM {{ monitor_role }};
DO $body$
DECLARE
    v_role_name text;
BEGIN
    -- Only roles that ticketdb created, and only when no other database of the server gives them anything.
    FOREACH v_role_name IN ARRAY ARRAY[
        {{ dashboard_role | literal }}, {{ datadog_role | literal }},
        {{ app_role | literal }}, {{ monitor_role | literal }}
    ] LOOP
        IF shobj_description(to_regrole(quote_ident(v_role_name)), 'pg_authid') LIKE '% Created by ticketdb.' THEN
            BEGIN
                EXECUTE format('DROP ROLE %I', v_role_name);
            EXCEPTION
                WHEN dependent_objects_still_exist OR insufficient_privilege OR undefined_object THEN
                    RAISE NOTICE 'role % is kept: %', v_role_name, SQLERRM;
            END;
        END IF;
    END LOOP;
END;
$body$;
{% endif %}

-- drop: schemas/monitoring.sql
DROP SCHEMA {{ monitoring_schema }};
