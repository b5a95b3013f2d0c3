-- Removes what is left when the first revision has been undone. A schema stays if bootstrap.sql did not
-- create it, or if it contains other objects.
DROP TABLE IF EXISTS {{ internal_schema }}.ticketdb_alembic_version;
DO $body$
DECLARE
    v_schema text;
BEGIN
    FOR v_schema IN
        SELECT quote_ident(n.nspname)
        FROM pg_namespace AS n
        WHERE
            n.nspname IN ({{ schema | literal }}, {{ internal_schema | literal }})
            AND obj_description(n.oid, 'pg_namespace') LIKE 'ticketdb: %'
    LOOP
        BEGIN
            EXECUTE format('DROP SCHEMA %s', v_schema);
        EXCEPTION
            WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL;
        END;
    END LOOP;
END;
$body$;
