-- Some hosted servers do not allow pg_control_system(). There a restored database is recognised by
-- its transaction numbers alone.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.system_identifier()
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
        RETURN (SELECT control.system_identifier FROM pg_control_system() AS control);
    END IF;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.system_identifier() IS
'System identifier of this server, given by initdb; NULL where it may not be read.';
