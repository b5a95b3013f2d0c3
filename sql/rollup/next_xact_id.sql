-- The type xid8 has no arithmetic.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.next_xact_id(p_xact_id xid8)
RETURNS xid8
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT (p_xact_id::text::numeric + 1)::text::xid8;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.next_xact_id(xid8) IS
'The transaction number after this one.';
