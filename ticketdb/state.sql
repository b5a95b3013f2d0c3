-- The state of a database, as one row: see State in database.py.
SELECT
    current_database() AS database,
    current_setting('server_version_num')::integer / 10000 AS major,
    pg_is_in_recovery() AS in_recovery,
    current_user::text AS role,
    pg_get_userbyid(v.relowner)::text AS owner,
    to_regprocedure(format('%I.schedule_jobs()', {{ internal_schema | literal }})) IS NOT NULL AS has_jobs,
    to_regprocedure(format('%I.current_violations()', {{ internal_schema | literal }})) IS NOT NULL AS has_invariants,
    to_regprocedure(format('%I.is_restored_log(text)', {{ internal_schema | literal }})) IS NOT NULL
    AND to_regclass(format('%I.metric_watermarks', {{ internal_schema | literal }})) IS NOT NULL
        AS has_rollups,
    p.oid IS NOT NULL AS has_pg_cron,
    COALESCE(has_schema_privilege(p.extnamespace, 'USAGE'), false) AS sees_pg_cron,
    to_regnamespace(quote_ident({{ schema | literal }})) IS NOT NULL AS has_schema,
    ARRAY(
        SELECT n.nspname::text
        FROM pg_class AS c
        INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
        INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'source_sha256'
        WHERE c.relname = 'ticketdb_migrations' AND n.nspname <> {{ internal_schema | literal }}
        ORDER BY n.nspname
    ) AS others,
    v.oid IS NOT NULL AS has_version,
    to_regclass(format('%I.ticketdb_migrations', {{ internal_schema | literal }})) IS NOT NULL AS has_ledger
FROM (VALUES (1)) AS here (always)
LEFT JOIN pg_extension AS p ON p.extname = 'pg_cron'
LEFT JOIN pg_class AS v
    ON v.oid = to_regclass(format('%I.ticketdb_alembic_version', {{ internal_schema | literal }}))
