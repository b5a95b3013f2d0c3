-- What a range of the log comes to: for the rollup, and for those who read what is not rolled up
-- yet. Both count by this one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    show_id uuid,
    minute timestamptz,
    created bigint,
    completed bigint,
    expired bigint,
    released bigint,
    extended bigint,
    failed bigint,
    failed_attempts bigint,
    race_conditions bigint,
    constraint_violations bigint,
    holds_ended bigint,
    hold_microseconds bigint,
    releases_ended bigint,
    release_microseconds bigint
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        event.show_id,
        date_bin('1 minute', event.created_at, '2000-01-01 00:00+00') AS minute,
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
        count(length.microseconds) FILTER (WHERE event.event_type IN ('completed', 'expired')),
        COALESCE(
            sum(length.microseconds) FILTER (WHERE event.event_type IN ('completed', 'expired')), 0
        )::bigint,
        count(length.microseconds) FILTER (WHERE event.event_type = 'released'),
        COALESCE(sum(length.microseconds) FILTER (WHERE event.event_type = 'released'), 0)::bigint
    FROM {{ schema }}.seat_reservation_audit_log AS event
    CROSS JOIN LATERAL (
        SELECT
            -- Three years: whatever is beyond, NaN included, is no length.
            CASE
                WHEN event.hold_seconds BETWEEN -1e8 AND 1e8
                    THEN round(event.hold_seconds * 1e6)::bigint
            END AS microseconds
    ) AS length
    CROSS JOIN LATERAL (
        -- To extend or give back what one has is no attempt to reserve. A line that names no
        -- function counts: what is unknown must not make the rate look better.
        SELECT starts_with(COALESCE(event.metadata ->> 'function', 'reserve_'), 'reserve_')
            AS is_attempt
    ) AS call
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
    GROUP BY
        event.show_id,
        minute;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_events(xid8, xid8, bigint) IS
'Events of holds a show and minute, of the transactions from p_from to below p_below, rows beyond '
'p_after_id. Internal.';
