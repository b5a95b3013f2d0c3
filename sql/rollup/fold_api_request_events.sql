-- Adds a range of the log to its rollups. Called only through roll_up_metrics(), which knows which
-- ranges are final and not added yet.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.fold_api_request_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_minutes timestamptz[];
BEGIN
    WITH events AS MATERIALIZED (
        SELECT
            event.minute,
            event.endpoint,
            event.duration_bucket,
            event.requests,
            event.errors,
            event.duration_microseconds
        FROM {{ internal_schema }}.api_request_events(p_from, p_below, p_after_id) AS event
    ),

    totals AS (
        INSERT INTO {{ internal_schema }}.api_request_minutes (
            minute, endpoint, requests, errors, duration_microseconds
        )
        SELECT
            events.minute,
            events.endpoint,
            sum(events.requests),
            sum(events.errors),
            sum(events.duration_microseconds)
        FROM events
        GROUP BY
            events.minute,
            events.endpoint
        ORDER BY
            events.minute,
            events.endpoint
        ON CONFLICT (minute, endpoint) DO UPDATE SET
            requests = api_request_minutes.requests + excluded.requests,
            errors = api_request_minutes.errors + excluded.errors,
            duration_microseconds
            = api_request_minutes.duration_microseconds + excluded.duration_microseconds
    ),

    durations AS (
        INSERT INTO {{ internal_schema }}.api_duration_minutes (
            minute, endpoint, duration_bucket, requests
        )
        SELECT
            events.minute,
            events.endpoint,
            events.duration_bucket,
            events.requests
        FROM events
        ORDER BY
            events.minute,
            events.endpoint,
            events.duration_bucket
        ON CONFLICT (minute, endpoint, duration_bucket) DO UPDATE SET
            requests = api_duration_minutes.requests + excluded.requests
    )

    SELECT array_agg(DISTINCT events.minute) INTO v_minutes FROM events;

    -- A separate statement, so that it sees the rows written above.
    PERFORM {{ internal_schema }}.merge_minor_endpoints(v_minutes);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.fold_api_request_events(xid8, xid8, bigint) IS
'Adds a range of api_request_log to its rollups.';
