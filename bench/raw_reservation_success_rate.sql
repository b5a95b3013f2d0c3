-- metric 1 of the guide, for 24 hours
SELECT
    COUNT(*) FILTER (WHERE event_type = 'created') AS total_attempts,
    COUNT(*) FILTER (WHERE event_type = 'failed' AND error_message LIKE '%taken by another%') AS race_conditions,
    COUNT(*) FILTER (WHERE event_type = 'failed' AND error_message NOT LIKE '%taken by another%') AS system_errors,
    ROUND(100.0 * COUNT(*) FILTER (WHERE event_type = 'created') / NULLIF(COUNT(*), 0), 2) AS success_rate_pct
FROM seat_reservation_audit_log
WHERE created_at > NOW() - INTERVAL '24 hours'
