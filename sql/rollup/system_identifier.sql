-- Some hosts keep the function to themselves: then only a watermark in the future tells of a
-- restored database.
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
'Number that initdb gave to this server, or NULL where it may not be read. Internal.';
