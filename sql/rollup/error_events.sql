-- What a range of the log comes to: for the rollup, and for those who read what is not rolled up
-- yet.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.error_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    minute timestamptz,
    message_sha256 bytea,
    error_message text,
    occurrences bigint,
    last_seen_at timestamptz
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        grouped.minute,
        sha256(convert_to(grouped.error_message, 'UTF8')),
        grouped.error_message,
        grouped.occurrences,
        grouped.last_seen_at
    FROM (
        SELECT
            date_bin('1 minute', event.created_at, '2000-01-01 00:00+00') AS minute,
            COALESCE(event.error_message, '(no message)') AS error_message,
            count(*) AS occurrences,
            max(event.created_at) AS last_seen_at
        FROM {{ schema }}.seat_reservation_audit_log AS event
        WHERE
            event.xact_id >= p_from
            AND event.xact_id < p_below
            AND event.id > p_after_id
            AND event.event_type = 'failed'
        GROUP BY
            1,
            2
    ) AS grouped;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.error_events(xid8, xid8, bigint) IS
'Refused calls about holds a minute and message, of the transactions from p_from to below '
'p_below, rows beyond p_after_id. Internal.';
