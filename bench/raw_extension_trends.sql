-- the guide's extension rate trends
SELECT
    DATE(created_at) AS date,
    COUNT(*) AS extensions,
    COUNT(DISTINCT reservation_id) AS unique_reservations
FROM seat_reservation_audit_log
WHERE
    event_type = 'extended'
    AND created_at > NOW() - INTERVAL '7 days'
GROUP BY date
ORDER BY date DESC
