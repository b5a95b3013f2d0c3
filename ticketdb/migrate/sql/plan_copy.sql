-- Read from the target, since pg_dump does not dump it: SQL that creates the database and the roles that the dump
-- names; the snapshot for pg_dump; and the tables whose rows a revision may read, none of which holds personal data.
SELECT
    set_config('lock_timeout', '10s', false), -- for later transactions of this session, too
    CASE
        WHEN
            EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron')
            OR current_database() = CASE
                WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('cron.database_name', true)
            END
            THEN current_database()
    END AS cron,
    concat(
        (
            SELECT
                string_agg(
                    -- Only superusers own event triggers and the like.
                    format(E'CREATE ROLE %I NOLOGIN %s;\n', r.rolname, CASE WHEN r.rolsuper THEN 'SUPERUSER' END), ''
                )
            FROM pg_roles AS r
            WHERE r.rolname !~ '^pg_' AND r.rolname <> {{ superuser }}
        ),
        (
            SELECT string_agg(DISTINCT format(E'GRANT %I TO %I;\n', g.rolname, m.rolname), '')
            FROM pg_auth_members AS a
            INNER JOIN pg_roles AS g ON g.oid = a.roleid
            INNER JOIN pg_roles AS m ON m.oid = a.member
            WHERE m.rolname !~ '^pg_'
        ),
        CASE WHEN current_database() <> 'postgres' THEN format('CREATE DATABASE %I;', current_database()) END
    ) AS sql,
    ARRAY[pg_export_snapshot()] || ARRAY(
        SELECT format('%I.%I', n.nspname, c.relname)
        FROM pg_class AS c
        INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE
            (n.nspname, c.relname) IN (
                ({{ internal_schema | literal }}, 'ticketdb_alembic_version'),
                ({{ internal_schema | literal }}, 'ticketdb_migrations'),
                ({{ schema | literal }}, 'ticketing_settings'),
                ({{ schema | literal }}, 'currencies'),
                ({{ internal_schema | literal }}, 'metric_watermarks'),
                ({{ monitoring_schema | literal }}, 'alert_rules')
            )
    ) AS snapshot_and_tables
