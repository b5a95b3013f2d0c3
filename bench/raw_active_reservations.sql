-- metric 6 of the guide
SELECT
    COUNT(*) AS active_reservations,
    COUNT(*) FILTER (WHERE expires_at < NOW() + INTERVAL '2 minutes') AS expiring_soon,
    SUM((SELECT COUNT(*) FROM reservation_seats WHERE reservation_id = seat_reservations.id)) AS total_seats_held
FROM seat_reservations
WHERE
    is_active = true
    AND expires_at > NOW()
