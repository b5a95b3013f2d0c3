-- For the bound of what one run of roll_up_metrics() takes on.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.nth_xact_id(
    p_log text,
    p_from xid8,
    p_below xid8,
    p_after_id bigint,
    p_rows_before integer
)
RETURNS xid8
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_xact_id xid8;
BEGIN
    EXECUTE format(
        'SELECT event.xact_id FROM %I.%I AS event '
        'WHERE event.xact_id >= $1 AND event.xact_id < $2 AND event.id > $3 '
        'ORDER BY event.xact_id OFFSET $4 LIMIT 1',
        {{ schema | literal }},
        p_log
    )
    INTO v_xact_id
    USING p_from, p_below, p_after_id, p_rows_before;
    RETURN v_xact_id;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.nth_xact_id(text, xid8, xid8, bigint, integer) IS
'Transaction of the row that has so many before it among the transactions from p_from to below '
'p_below of a log, rows beyond p_after_id; NULL where there are fewer. Internal.';
