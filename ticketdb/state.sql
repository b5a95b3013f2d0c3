-- What a database says about itself before anything is done to it.
SELECT
    current_database() AS database,
    current_user AS role,
    current_setting('server_version_num')::integer / 10000 AS major,
    pg_is_in_recovery() AS in_recovery,
    n.oid IS NOT NULL AS schema_exists,
    CASE
        WHEN n.oid IS NOT NULL THEN has_schema_privilege(n.oid, 'CREATE')
        ELSE has_database_privilege(current_database(), 'CREATE')
    END AS may_create,
    to_regprocedure(format('%I.schedule_jobs()', w.schema_name)) IS NOT NULL AS has_jobs,
    to_regclass(format('%I.ticketdb_alembic_version', w.schema_name)) IS NOT NULL AS has_version,
    to_regclass(format('%I.ticketdb_migrations', w.schema_name)) IS NOT NULL AS has_ledger
FROM (VALUES ({{ schema | literal }})) AS w (schema_name)
LEFT JOIN pg_namespace AS n ON n.nspname = w.schema_name
