-- metrics 1, 2, 3, 4 and 7 of the guide
SELECT
    (
        SELECT ROUND(100.0 * COUNT(*) FILTER (WHERE event_type = 'created') / NULLIF(COUNT(*), 0), 2)
        FROM seat_reservation_audit_log
        WHERE created_at > NOW() - INTERVAL '24 hours'
    ) AS success_rate_pct,
    (
        SELECT COUNT(*)
        FROM seat_reservation_audit_log
        WHERE
            event_type = 'failed'
            AND error_message LIKE '%constraint%'
            AND created_at > NOW() - INTERVAL '24 hours'
    ) AS double_booking_attempts,
    (
        SELECT
            ROUND(
                100.0 * COUNT(*) FILTER (WHERE event_type = 'expired')
                / NULLIF(COUNT(*) FILTER (WHERE event_type = 'created'), 0),
                2
            )
        FROM seat_reservation_audit_log
        WHERE created_at > NOW() - INTERVAL '24 hours'
    ) AS expiration_rate_pct,
    (
        SELECT AVG(EXTRACT(EPOCH FROM (completed_at - created_at))) / 60
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
    ) AS avg_minutes,
    (
        SELECT ROUND(100.0 * COUNT(*) FILTER (WHERE status = 'failed') / NULLIF(COUNT(*), 0), 2)
        FROM ticket_orders
        WHERE created_at > NOW() - INTERVAL '24 hours'
    ) AS failure_rate_pct
