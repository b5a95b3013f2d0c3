-- a plain query
SELECT
    endpoint,
    COUNT(*) AS requests,
    COUNT(*) FILTER (WHERE status_code >= 500) AS errors,
    AVG(duration_ms) AS avg_milliseconds,
    PERCENTILE_DISC(ARRAY[0.50, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_ms) AS percentiles
FROM api_request_log
WHERE created_at > NOW() - INTERVAL '1 hour'
GROUP BY endpoint
