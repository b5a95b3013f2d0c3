-- the same counts, from the log
SELECT
    COUNT(*) FILTER (WHERE event_type = 'created') AS total_created,
    COUNT(*) FILTER (WHERE event_type = 'completed') AS total_completed,
    COUNT(*) FILTER (WHERE event_type = 'expired') AS total_expired,
    COUNT(*) FILTER (WHERE event_type = 'released') AS total_released,
    COUNT(*) FILTER (WHERE event_type = 'extended') AS total_extended,
    COUNT(*) FILTER (WHERE event_type = 'failed') AS total_failed,
    AVG(hold_seconds) AS avg_hold_seconds,
    COALESCE(
        COUNT(*) FILTER (WHERE event_type = 'expired')::double precision
        / NULLIF(COUNT(*) FILTER (WHERE event_type = 'created'), 0),
        0
    ) AS expiration_rate
FROM seat_reservation_audit_log
WHERE created_at > NOW() - INTERVAL '24 hours'
