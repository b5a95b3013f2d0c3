-- Counts the events of reservations in a range of the log. Used by the rollup and, for rows that
-- are not rolled up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS SETOF {{ internal_schema }}.reservation_minutes
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        event.show_id,
        date_bin('1 minute', event.created_at, '2000-01-01 00:00+00'),
        count(*) FILTER (WHERE event.event_type = 'created'),
        count(*) FILTER (WHERE event.event_type = 'completed'),
        count(*) FILTER (WHERE event.event_type = 'expired'),
        count(*) FILTER (WHERE event.event_type = 'released'),
        count(*) FILTER (WHERE event.event_type = 'extended'),
        count(*) FILTER (WHERE event.event_type = 'failed'),
        count(*) FILTER (WHERE event.event_type = 'failed' AND call.is_attempt),
        count(*) FILTER (
            WHERE
            event.event_type = 'failed'
            AND call.is_attempt
            AND (
                event.error_message LIKE '%taken by another%'
                OR event.error_code IN ('SEATS_UNAVAILABLE', 'BUSY')
            )
        ),
        count(*) FILTER (
            WHERE event.event_type = 'failed' AND event.error_message LIKE '%constraint%'
        ),
        count(hold.microseconds) FILTER (WHERE event.event_type IN ('completed', 'expired')),
        COALESCE(
            sum(hold.microseconds) FILTER (WHERE event.event_type IN ('completed', 'expired')), 0
        )::bigint,
        count(hold.microseconds) FILTER (WHERE event.event_type = 'released'),
        COALESCE(sum(hold.microseconds) FILTER (WHERE event.event_type = 'released'), 0)::bigint
    FROM {{ schema }}.seat_reservation_audit_log AS event
    CROSS JOIN LATERAL (
        SELECT
            -- NaN, or more than three years, is not the duration of a hold.
            CASE
                WHEN event.hold_seconds BETWEEN -1e8 AND 1e8
                    THEN round(event.hold_seconds * 1e6)::bigint
            END AS microseconds
    ) AS hold
    CROSS JOIN LATERAL (
        -- Extending or releasing a reservation is not an attempt to reserve. A row that names no
        -- function counts as one: what is unknown must not make the success rate look better.
        SELECT starts_with(COALESCE(event.metadata ->> 'function', 'reserve_'), 'reserve_')
            AS is_attempt
    ) AS call
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
    GROUP BY
        GROUPING SETS ((event.show_id, 2), (2));
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_events(xid8, xid8, bigint) IS
'Events of reservations by minute, for each show and, with a show_id of NULL, for all of them, '
'from rows with p_from <= xact_id < p_below and id > p_after_id.';
