-- Trigger function: a line in change_log. Its arguments are the columns of the table's key, and
-- those whose values are personal or secret, each list with commas. Runs as the owner: whoever was
-- given the right to change a show need not be able to write the log, and cannot avoid it.
--
-- Our functions that change holds, seats and orders leave no line: other logs tell what they do.
-- They are known by SET commit_siblings = 997 in their heads, which lasts exactly as long as they
-- run and changes nothing else: the server looks at it when a transaction is committed. A setting
-- of our own would do, but only a superuser may give a function one.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_change()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The line is the same whatever the session has set.
SET timezone = 'UTC'
SET extra_float_digits = 1
AS $body$
DECLARE
    v_old constant jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    v_new constant jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    v_key constant text[] := string_to_array(TG_ARGV[0], ',');
    v_masked constant text[] := string_to_array(TG_ARGV[1], ',');
    -- What the trigger is for: another one tells the rest of the same change.
    v_columns constant text[] := ARRAY(
        SELECT columns.attname::text
        FROM pg_trigger AS trigger
        INNER JOIN pg_attribute AS columns
            ON
                columns.attrelid = trigger.tgrelid
                AND columns.attnum > 0
                AND NOT columns.attisdropped
                AND (columns.attnum = ANY(trigger.tgattr) OR cardinality(trigger.tgattr::smallint[]) = 0)
        WHERE
            trigger.tgrelid = TG_RELID
            AND trigger.tgname = TG_NAME
    );
BEGIN
    INSERT INTO {{ internal_schema }}.change_log (table_name, operation, row_key, old_values, new_values)
    SELECT
        TG_TABLE_NAME,
        lower(TG_OP),
        jsonb_object_agg(changed.name, COALESCE(v_old, v_new) -> changed.name)
        FILTER (WHERE changed.name = ANY(v_key)),
        jsonb_object_agg(changed.name, changed.old_value)
        FILTER (WHERE v_old IS NOT NULL AND changed.differs),
        jsonb_object_agg(changed.name, changed.new_value)
        FILTER (WHERE v_new IS NOT NULL AND changed.differs)
    FROM (
        SELECT
            columns.name,
            columns.name = ANY(v_columns)
            AND v_old -> columns.name IS DISTINCT FROM v_new -> columns.name AS differs,
            CASE
                WHEN columns.name = ANY(v_masked) AND v_old -> columns.name <> 'null'
                    THEN to_jsonb('***'::text)
                ELSE v_old -> columns.name
            END AS old_value,
            CASE
                WHEN columns.name = ANY(v_masked) AND v_new -> columns.name <> 'null'
                    THEN to_jsonb('***'::text)
                ELSE v_new -> columns.name
            END AS new_value
        FROM jsonb_object_keys(COALESCE(v_new, v_old)) AS columns (name)
    ) AS changed
    HAVING bool_or(changed.differs);
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_change() IS
'Trigger: writes a change of a row into change_log. Arguments: the columns of the key, and those '
'whose values are masked.';
