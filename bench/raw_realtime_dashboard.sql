-- the guide's real-time query, without cron.job, and without a sum of several currencies
SELECT
    (
        SELECT COUNT(*)
        FROM seat_reservations
        WHERE is_active = true AND expires_at > NOW()
    ) AS active_reservations,
    (
        SELECT COUNT(*)
        FROM seat_reservation_audit_log
        WHERE event_type = 'created' AND created_at > NOW() - INTERVAL '1 hour'
    ) AS reservations_last_hour,
    (
        SELECT COUNT(*)
        FROM tickets
        WHERE created_at > CURRENT_DATE
    ) AS tickets_sold_today,
    (
        SELECT CASE WHEN MIN(currency) = MAX(currency) THEN ROUND(SUM(total_amount_in_cents) / 100.0, 2) END
        FROM ticket_orders
        WHERE status = 'paid' AND created_at > CURRENT_DATE
    ) AS revenue_today
