-- Counts the extended reservations in a range of the log. Used by the rollup and, for rows that are
-- not rolled up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.extension_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    reservation_id uuid,
    quarter timestamptz
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT DISTINCT
        event.reservation_id,
        date_bin('15 minutes', event.created_at, '2000-01-01 00:00+00')
    FROM {{ schema }}.seat_reservation_audit_log AS event
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
        AND event.event_type = 'extended'
        AND event.reservation_id IS NOT NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.extension_events(xid8, xid8, bigint) IS
'Reservations extended by quarter of an hour, each once a quarter, from rows with p_from <= '
'xact_id < p_below and id > p_after_id.';
