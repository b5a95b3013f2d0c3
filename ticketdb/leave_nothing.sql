-- What is left after the first revision is undone. A schema that bootstrap.sql did not make, or
-- that something else lives in, stays.
DROP TABLE IF EXISTS {{ schema }}.ticketdb_alembic_version;
DO $body$
BEGIN
    IF obj_description(to_regnamespace(quote_ident({{ schema | literal }})), 'pg_namespace')
        = 'ticketdb: tables and functions that sell seats.' THEN
        DROP SCHEMA {{ schema }};
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL;
END;
$body$;
