-- Dashboard 3 of the operations guide: requests to the endpoints of the shop. Percentiles come from
-- logarithmic buckets, and are within two percent of the request at that rank. The busiest
-- endpoints have a row each, and all others one together.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.api_endpoint_health AS
WITH metrics AS MATERIALIZED (
    SELECT metric.*
    FROM {{ internal_schema }}.api_metrics({{ internal_schema }}.window_start('1 hour')) AS metric
),

labels AS MATERIALIZED (
    SELECT
        placed.endpoint,
        CASE
            WHEN placed.place <= {{ internal_schema }}.endpoint_limit() THEN placed.endpoint
            ELSE 'other'
        END AS label
    FROM (
        SELECT
            metrics.endpoint,
            row_number() OVER (
                ORDER BY
                    metrics.endpoint = 'other',
                    metrics.requests DESC,
                    metrics.endpoint COLLATE "C" ASC -- noqa: RF03
            ) AS place
        FROM metrics
    ) AS placed
),

ranked AS (
    SELECT
        bucket.endpoint,
        -- The value in the bucket whose relative distance from both ends is the same.
        2 / (1 + growth.factor) * power(growth.factor, bucket.duration_bucket) AS milliseconds,
        sum(bucket.requests) OVER by_duration AS requests_up_to,
        sum(bucket.requests) OVER (PARTITION BY bucket.endpoint) AS requests_in_all
    FROM (
        SELECT
            labels.label AS endpoint,
            metric.duration_bucket,
            sum(metric.requests) AS requests
        FROM
            {{ internal_schema }}.api_durations({{ internal_schema }}.window_start('1 hour'))
                AS metric
        INNER JOIN labels ON labels.endpoint = metric.endpoint
        GROUP BY
            labels.label,
            metric.duration_bucket
    ) AS bucket
    CROSS JOIN {{ internal_schema }}.duration_bucket_growth() AS growth (factor)
    WINDOW by_duration AS (PARTITION BY bucket.endpoint ORDER BY bucket.duration_bucket)
),

percentiles AS (
    SELECT
        ranked.endpoint,
        min(ranked.milliseconds) FILTER (
            WHERE ranked.requests_up_to >= 0.50 * ranked.requests_in_all
        ) AS p50,
        min(ranked.milliseconds) FILTER (
            WHERE ranked.requests_up_to >= 0.95 * ranked.requests_in_all
        ) AS p95,
        min(ranked.milliseconds) FILTER (
            WHERE ranked.requests_up_to >= 0.99 * ranked.requests_in_all
        ) AS p99
    FROM ranked
    GROUP BY ranked.endpoint
),

endpoints AS (
    SELECT
        labels.label AS endpoint,
        sum(metrics.requests)::bigint AS requests,
        sum(metrics.errors)::bigint AS errors,
        sum(metrics.duration_microseconds)::double precision / 1000 AS milliseconds
    FROM metrics
    INNER JOIN labels ON labels.endpoint = metrics.endpoint
    GROUP BY labels.label
),

listed AS (
    SELECT endpoints.*
    FROM endpoints
    UNION ALL
    SELECT
        '(none)' AS endpoint,
        0 AS requests,
        0 AS errors,
        NULL AS milliseconds
    WHERE NOT EXISTS (SELECT FROM endpoints)
)

SELECT
    listed.endpoint,
    listed.requests,
    listed.errors,
    100.0::double precision * listed.errors / NULLIF(listed.requests, 0) AS error_rate_pct,
    listed.milliseconds / NULLIF(listed.requests, 0) AS avg_milliseconds,
    percentiles.p50 AS p50_milliseconds,
    percentiles.p95 AS p95_milliseconds,
    percentiles.p99 AS p99_milliseconds
FROM listed
LEFT JOIN percentiles ON percentiles.endpoint = listed.endpoint;

COMMENT ON VIEW {{ monitoring_schema }}.api_endpoint_health IS
'Requests to the endpoints of the shop in the last hour: a row for each of the busiest, and one '
'for all others.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.endpoint IS
'Route, as given to log_api_request(); other for those beyond the endpoint_limit() busiest; '
'(none) if there was no request.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.requests IS 'Number of requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.errors IS
'Number of requests answered with a status of 500 or above.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.error_rate_pct IS
'Requests answered with a status of 500 or above, in percent; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.avg_milliseconds IS
'Average duration in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.p50_milliseconds IS
'Median of the durations in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.p95_milliseconds IS
'95th percentile of the durations in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.p99_milliseconds IS
'99th percentile of the durations in milliseconds; NULL without requests.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.api_endpoint_health TO {{ monitor_role }};
{% endif %}
