-- The tables that are cut by month. One list for making partitions and for dropping them.
CREATE OR REPLACE FUNCTION {{ schema }}.partitioned_logs()
RETURNS SETOF text
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
ROWS 4
AS $body$
VALUES
('seat_reservation_audit_log'), ('ticket_order_audit_log'), ('api_request_log'), ('change_log');
$body$;

COMMENT ON FUNCTION {{ schema }}.partitioned_logs() IS
'Names of the tables that have a partition a month, without the schema.';
