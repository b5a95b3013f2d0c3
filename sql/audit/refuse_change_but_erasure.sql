-- Trigger function of the logs, which are append-only. The one change that it allows empties all
-- personal columns of a row at once, and the key of metadata that may quote a value of them: what
-- erase_customer() does. Arguments: the hint of the error, and these columns.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.refuse_change_but_erasure()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Numbers are compared by their text, whatever the session has set.
SET extra_float_digits = 1
AS $body$
DECLARE
    v_old constant jsonb := to_jsonb(OLD);
    v_erased jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT
            v_old
            || jsonb_object_agg(personal.name, NULL)
            || jsonb_build_object('metadata', (v_old -> 'metadata') - 'detail')
        INTO v_erased
        FROM unnest(string_to_array(TG_ARGV[1], ',')) AS personal (name);
        IF to_jsonb(NEW) = v_erased AND v_old <> v_erased THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = TG_ARGV[0];
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.refuse_change_but_erasure() IS
'Trigger function: raises restrict_violation (23001) with its first argument as the hint, unless '
'an UPDATE does nothing but empty the columns in its second argument, and metadata.detail.';
