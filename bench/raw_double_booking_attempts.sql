-- metric 2 of the guide
SELECT COUNT(*)
FROM seat_reservation_audit_log
WHERE
    event_type = 'failed'
    AND error_message LIKE '%constraint%'
    AND created_at > NOW() - INTERVAL '24 hours'
