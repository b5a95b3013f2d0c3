-- the guide's revenue of today
SELECT
    currency,
    SUM(total_amount_in_cents) AS revenue_cents,
    COUNT(*) AS orders_paid
FROM ticket_orders
WHERE
    status = 'paid'
    AND created_at > CURRENT_DATE
GROUP BY currency
