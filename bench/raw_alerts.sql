-- the guide's alerts and its "alert if"
SELECT
    (
        SELECT COUNT(*) > 0
        FROM seat_reservation_audit_log
        WHERE
            event_type = 'failed'
            AND error_message LIKE '%constraint%'
            AND created_at > NOW() - INTERVAL '5 minutes'
    ) AS constraint_violation,
    (
        SELECT
            MAX(start_time) < NOW() - INTERVAL '15 minutes'
            OR BOOL_OR(status = 'failed')
            OR MAX(duration_seconds) > 30
        FROM reservation_cleanup_job_status
    ) AS cleanup_job,
    (
        SELECT COUNT(*) FILTER (WHERE status = 'failed') > COUNT(*) * 0.2
        FROM ticket_orders
        WHERE created_at > NOW() - INTERVAL '15 minutes'
    ) AS payment_processing_down,
    (
        SELECT COUNT(*) FILTER (WHERE event_type = 'expired') > COUNT(*) FILTER (WHERE event_type = 'created') * 0.7
        FROM seat_reservation_audit_log
        WHERE created_at > NOW() - INTERVAL '1 hour'
    ) AS high_expiration_rate,
    (
        SELECT
            COUNT(*) FILTER (WHERE event_type = 'created')
            < (COUNT(*) FILTER (WHERE event_type = 'created') + COUNT(*) FILTER (WHERE event_type = 'failed')) * 0.9
        FROM seat_reservation_audit_log
        WHERE created_at > NOW() - INTERVAL '1 hour'
    ) AS low_success_rate,
    (
        SELECT COUNT(*) > 0
        FROM seat_reservation_audit_log
        WHERE
            event_type = 'failed'
            AND error_message LIKE '%constraint%'
            AND created_at > NOW() - INTERVAL '24 hours'
    ) AS double_booking_attempts,
    (
        SELECT COUNT(*) FILTER (WHERE event_type = 'expired') > COUNT(*) FILTER (WHERE event_type = 'created') * 0.8
        FROM seat_reservation_audit_log
        WHERE created_at > NOW() - INTERVAL '24 hours'
    ) AS high_expiration_rate_24h,
    (
        SELECT AVG(EXTRACT(EPOCH FROM (completed_at - created_at))) / 60 > 15
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
    ) AS long_hold_time,
    (
        SELECT COUNT(*) > 1000
        FROM seat_reservations
        WHERE is_active = true AND expires_at > NOW()
    ) AS many_active_reservations,
    (
        SELECT COUNT(*) FILTER (WHERE status = 'failed') > COUNT(*) * 0.05
        FROM ticket_orders
        WHERE created_at > NOW() - INTERVAL '24 hours'
    ) AS payment_failure_rate_24h,
    (
        SELECT COUNT(*)
        FROM seat_reservation_audit_log
        WHERE
            event_type = 'extended'
            AND created_at > NOW() - INTERVAL '24 hours'
    ) AS extensions
