-- metric 4 of the guide
SELECT AVG(EXTRACT(EPOCH FROM (completed_at - created_at))) / 60 AS avg_minutes
FROM (
    SELECT
        reservation_id,
        MIN(created_at) FILTER (WHERE event_type = 'created') AS created_at,
        MIN(created_at) FILTER (WHERE event_type IN ('completed', 'expired')) AS completed_at
    FROM seat_reservation_audit_log
    WHERE created_at > NOW() - INTERVAL '24 hours'
    GROUP BY reservation_id
    HAVING MIN(created_at) FILTER (WHERE event_type IN ('completed', 'expired')) IS NOT NULL
) AS subq
