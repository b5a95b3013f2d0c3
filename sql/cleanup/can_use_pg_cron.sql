-- to_regclass of a table of pg_cron would raise an error where its schema is closed to us.
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
'Whether pg_cron is installed in this database and its schema is open to the caller.';
