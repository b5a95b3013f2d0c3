-- Trigger function: a shop may add the 80,000 seats of a stadium in one statement, which gets one
-- row.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_new_seats()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ internal_schema }}.change_log (
        table_name, operation, row_key, rows_changed, new_values
    )
    SELECT
        TG_TABLE_NAME,
        'insert',
        jsonb_build_object('show_id', new_seats.show_id),
        count(*),
        jsonb_build_object(
            'status', jsonb_agg(DISTINCT new_seats.status),
            'lowest_price_in_cents', min(new_seats.price_in_cents),
            'highest_price_in_cents', max(new_seats.price_in_cents)
        )
    FROM new_seats
    GROUP BY new_seats.show_id;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_new_seats() IS
'Trigger function: logs in change_log how many seats a statement has added to which show.';
