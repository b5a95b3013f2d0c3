-- the guide's hourly metrics
SELECT
    date_trunc('hour', created_at) AS hour,
    COUNT(*) FILTER (WHERE event_type = 'created') AS reservations_created,
    COUNT(*) FILTER (WHERE event_type = 'completed') AS reservations_completed,
    COUNT(*) FILTER (WHERE event_type = 'expired') AS reservations_expired,
    COUNT(*) FILTER (WHERE event_type = 'failed') AS reservations_failed,
    ROUND(
        100.0 * COUNT(*) FILTER (WHERE event_type = 'completed')
        / NULLIF(COUNT(*) FILTER (WHERE event_type = 'created'), 0),
        2
    ) AS completion_rate_pct
FROM seat_reservation_audit_log
WHERE created_at > NOW() - INTERVAL '24 hours'
GROUP BY hour
ORDER BY hour DESC
