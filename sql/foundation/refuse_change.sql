-- Trigger function of tables that must not be changed in some way. The trigger's argument becomes
-- the hint of the error: what to do instead.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.refuse_change()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    RAISE EXCEPTION '% on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = TG_ARGV[0];
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.refuse_change() IS
'Trigger function: raises restrict_violation (23001) with its argument as the hint. Guards '
'append-only tables, rows that must not be deleted, and the one row of settings.';
