-- metric 3 of the guide, from the log
WITH stats AS (
    SELECT
        COUNT(*) FILTER (WHERE event_type = 'created') AS total_created,
        COUNT(*) FILTER (WHERE event_type = 'completed') AS total_completed,
        COUNT(*) FILTER (WHERE event_type = 'expired') AS total_expired
    FROM seat_reservation_audit_log
    WHERE created_at > NOW() - INTERVAL '24 hours'
)

SELECT
    total_created,
    total_completed,
    total_expired,
    ROUND(100.0 * total_expired / NULLIF(total_created, 0), 2) AS expiration_rate_pct
FROM stats
