-- The tables that are partitioned by month, in one place: for creating partitions, and for dropping
-- them.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.partitioned_logs()
RETURNS TABLE (name text, relation regclass)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 4
AS $body$
SELECT
    log.name,
    to_regclass(format('%I.%I', log.schema, log.name))
FROM (
    VALUES
    ({{ schema | literal }}, 'seat_reservation_audit_log'),
    ({{ schema | literal }}, 'ticket_order_audit_log'),
    ({{ schema | literal }}, 'api_request_log'),
    ({{ internal_schema | literal }}, 'change_log')
) AS log (schema, name);
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.partitioned_logs() IS
'The tables that have a partition for each month. Their partitions are in the internal schema.';
