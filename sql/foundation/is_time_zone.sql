-- For CHECK constraints. Tries to use the zone, since pg_timezone_names reads the whole zone
-- directory (0.2 s). The pattern excludes POSIX specifications such as Foo/Bar+3, which PostgreSQL
-- would accept as a zone of that offset.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.is_time_zone(p_name text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
STRICT
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF p_name !~ '^(UTC|GMT|Etc/GMT[+-]?[0-9]{1,2}|[A-Z][A-Za-z_]+(/[A-Za-z_-]+)+)$' THEN
        RETURN false;
    END IF;
    PERFORM timezone(p_name, 'epoch'::timestamptz);
    RETURN true;
EXCEPTION
    WHEN invalid_parameter_value THEN
        RETURN false;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.is_time_zone(text) IS
'Whether the server knows this IANA time zone, such as Europe/Berlin.';

-- A check calls it with the privileges of the role that inserts: see revoke_default_privileges().
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.is_time_zone(text) TO PUBLIC;
