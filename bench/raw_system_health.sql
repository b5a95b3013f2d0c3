-- a plain query
SELECT
    (SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    (SELECT COUNT(*) FROM seat_reservations WHERE is_active AND expires_at <= NOW()) AS overdue_holds,
    (SELECT MAX(start_time) FROM reservation_cleanup_job_status) AS last_cleanup,
    COUNT(*) AS requests_last_hour,
    100.0 * COUNT(*) FILTER (WHERE status_code >= 500) / NULLIF(COUNT(*), 0) AS error_rate_pct,
    AVG(duration_ms) AS avg_milliseconds
FROM api_request_log
WHERE created_at > NOW() - INTERVAL '1 hour'
