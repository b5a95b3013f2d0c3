-- Counts the requests in a range of the log. Used by the rollup and, for rows that are not rolled
-- up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.api_request_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    minute timestamptz,
    endpoint text,
    duration_bucket smallint,
    requests bigint,
    errors bigint,
    duration_microseconds bigint
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        date_bin('1 minute', event.created_at, '2000-01-01 00:00+00') AS minute,
        event.endpoint,
        -- Durations are limited to between a microsecond and eleven days.
        ceil(
            ln(LEAST(GREATEST(event.duration_ms, 0.001), 1e9))
            / ln({{ internal_schema }}.duration_bucket_growth())
        )::smallint
        AS duration_bucket,
        count(*),
        count(*) FILTER (WHERE event.status_code >= 500),
        round(sum(LEAST(event.duration_ms, 1e9)) * 1000)::bigint
    FROM {{ schema }}.api_request_log AS event
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
    GROUP BY
        minute,
        event.endpoint,
        duration_bucket;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.api_request_events(xid8, xid8, bigint) IS
'Requests by minute, endpoint and logarithmic bucket of durations, from rows with p_from <= '
'xact_id < p_below and id > p_after_id.';
