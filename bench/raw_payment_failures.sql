-- metric 7 of the guide
SELECT
    COUNT(*) AS total_orders,
    COUNT(*) FILTER (WHERE status = 'failed') AS failed_orders,
    ROUND(100.0 * COUNT(*) FILTER (WHERE status = 'failed') / NULLIF(COUNT(*), 0), 2) AS failure_rate_pct
FROM ticket_orders
WHERE created_at > NOW() - INTERVAL '24 hours'
