-- Dispatches to the function that adds the log to its rollups.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.fold_events(
    p_log text,
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    CASE p_log
        WHEN 'seat_reservation_audit_log' THEN
            PERFORM {{ internal_schema }}.fold_reservation_events(p_from, p_below, p_after_id);
        WHEN 'ticket_order_audit_log' THEN
            PERFORM {{ internal_schema }}.fold_order_events(p_from, p_below, p_after_id);
        WHEN 'api_request_log' THEN
            PERFORM {{ internal_schema }}.fold_api_request_events(p_from, p_below, p_after_id);
    END CASE;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.fold_events(text, xid8, xid8, bigint) IS
'Adds a range of a log to its rollups: rows with p_from <= xact_id < p_below and id > p_after_id.';
