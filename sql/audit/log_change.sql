-- Trigger function: writes a row into change_log. Its arguments are two lists with commas: the
-- columns of the table's key, and those whose values are personal or secret. Runs as the owner: a
-- role that may change a show need not be able to write the log, and cannot avoid it.
--
-- The triggers leave out what ticketdb's functions do to holds, seats and orders, since other logs
-- record it. They recognise these functions by SET commit_siblings = 997 in their heads, which
-- lasts exactly as long as they run and has no other effect: the server reads it only at commit. A
-- custom setting would do, but only a superuser may give one to a function.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_change()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The row must not depend on the settings of the session.
SET timezone = 'UTC'
SET extra_float_digits = 1
AS $body$
DECLARE
    v_old constant jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    v_new constant jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    v_key constant text[] := string_to_array(TG_ARGV[0], ',');
    v_masked constant text[] := string_to_array(TG_ARGV[1], ',');
    -- The columns that the trigger is for: other triggers log the rest of the same change.
    v_columns constant text[] := ARRAY(
        SELECT columns.attname::text
        FROM pg_trigger AS trigger
        INNER JOIN pg_attribute AS columns
            ON
                columns.attrelid = trigger.tgrelid
                AND columns.attnum > 0
                AND NOT columns.attisdropped
                AND (
                    columns.attnum = ANY(trigger.tgattr)
                    OR cardinality(trigger.tgattr::smallint[]) = 0
                )
        WHERE
            trigger.tgrelid = TG_RELID
            AND trigger.tgname = TG_NAME
    );
BEGIN
    INSERT INTO {{ internal_schema }}.change_log (
        table_name, operation, row_key, old_values, new_values
    )
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
'Trigger function: logs a change of a row in change_log. Arguments: the columns of the key, and '
'those whose values are masked.';
