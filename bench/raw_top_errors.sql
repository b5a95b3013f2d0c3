-- the guide's top errors
SELECT
    error_message,
    COUNT(*) AS occurrences,
    MAX(created_at) AS last_seen
FROM seat_reservation_audit_log
WHERE
    event_type = 'failed'
    AND created_at > NOW() - INTERVAL '24 hours'
GROUP BY error_message
ORDER BY occurrences DESC
LIMIT 10
