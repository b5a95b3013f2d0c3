-- Counts the refused calls in a range of the log. Used by the rollup and, for rows that are not
-- rolled up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.error_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS SETOF {{ internal_schema }}.error_minutes
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        date_bin('1 minute', event.created_at, '2000-01-01 00:00+00') AS minute,
        COALESCE(event.error_message, '(no message)') AS error_message,
        count(*),
        max(event.created_at)
    FROM {{ schema }}.seat_reservation_audit_log AS event
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
        AND event.event_type = 'failed'
    GROUP BY
        1,
        2;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.error_events(xid8, xid8, bigint) IS
'Refused calls about reservations by minute and message, from rows with p_from <= xact_id < '
'p_below and id > p_after_id.';
