-- Called before pg_cron is used: to_regclass() of one of its tables would raise an error without
-- USAGE on its schema.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.can_use_pg_cron()
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    EXISTS (
        SELECT
        FROM pg_extension AS extension
        INNER JOIN pg_namespace AS namespace ON namespace.nspname = 'cron'
        WHERE
            extension.extname = 'pg_cron'
            AND has_schema_privilege(namespace.oid, 'USAGE')
    );
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.can_use_pg_cron() IS
'Whether pg_cron is installed in this database and the caller may use its schema.';
