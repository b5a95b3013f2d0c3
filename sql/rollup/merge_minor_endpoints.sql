-- Keeps the rollups of requests small, however many names of endpoints are sent: in each minute
-- with too many endpoints, the least busy ones become one, other. They are ranked by the hour up to
-- that minute, so that an address requested once does not displace one that is requested all the
-- time. Only names are lost: counts and buckets are added up.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.merge_minor_endpoints(p_minutes timestamptz[])
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $body$
WITH crowded AS MATERIALIZED (
    SELECT counted.minute
    FROM {{ internal_schema }}.api_request_minutes AS counted
    WHERE counted.minute = ANY(p_minutes)
    GROUP BY counted.minute
    HAVING
        count(*) FILTER (WHERE counted.endpoint <> 'other')
        > {{ internal_schema }}.endpoint_limit()
),

minor AS MATERIALIZED (
    SELECT
        ranked.minute,
        ranked.endpoint
    FROM (
        SELECT
            crowded.minute,
            busy.endpoint,
            row_number() OVER (
                PARTITION BY crowded.minute
                ORDER BY busy.requests DESC, busy.endpoint COLLATE "C" ASC
            ) AS place
        FROM crowded
        CROSS JOIN LATERAL (
            SELECT
                hour.endpoint,
                sum(hour.requests) AS requests
            FROM {{ internal_schema }}.api_request_minutes AS hour
            WHERE
                hour.minute > crowded.minute - interval '1 hour'
                AND hour.minute <= crowded.minute
                AND hour.endpoint <> 'other'
            GROUP BY hour.endpoint
            HAVING bool_or(hour.minute = crowded.minute)
        ) AS busy
    ) AS ranked
    WHERE ranked.place > {{ internal_schema }}.endpoint_limit()
),

requests AS (
    DELETE FROM {{ internal_schema }}.api_request_minutes AS counted
    USING minor
    WHERE
        counted.minute = minor.minute
        AND counted.endpoint = minor.endpoint
    RETURNING counted.*
),

durations AS (
    DELETE FROM {{ internal_schema }}.api_duration_minutes AS counted
    USING minor
    WHERE
        counted.minute = minor.minute
        AND counted.endpoint = minor.endpoint
    RETURNING counted.*
),

merged AS (
    INSERT INTO {{ internal_schema }}.api_request_minutes (
        minute, endpoint, requests, errors, duration_microseconds
    )
    SELECT
        requests.minute,
        'other',
        sum(requests.requests),
        sum(requests.errors),
        sum(requests.duration_microseconds)
    FROM requests
    GROUP BY requests.minute
    ON CONFLICT (minute, endpoint) DO UPDATE SET
        requests = api_request_minutes.requests + excluded.requests,
        errors = api_request_minutes.errors + excluded.errors,
        duration_microseconds
        = api_request_minutes.duration_microseconds + excluded.duration_microseconds
)

INSERT INTO {{ internal_schema }}.api_duration_minutes (minute, endpoint, duration_bucket, requests)
SELECT
    durations.minute,
    'other',
    durations.duration_bucket,
    sum(durations.requests)
FROM durations
GROUP BY
    durations.minute,
    durations.duration_bucket
ON CONFLICT (minute, endpoint, duration_bucket) DO UPDATE SET
    requests = api_duration_minutes.requests + excluded.requests;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.merge_minor_endpoints(timestamptz[]) IS
'Merges the endpoints of the given minutes that are not among the endpoint_limit() busiest into '
'other.';
