-- The seat map as the shop shows it: sections, most expensive first, with their seats in the order of
-- the hall.
SELECT
    shows.id,
    shows.name,
    shows.currency,
    seats.section,
    array_agg(seats.id ORDER BY seats.row_label, seats.seat_number) AS ids,
    array_agg(seats.price_in_cents ORDER BY seats.row_label, seats.seat_number) AS prices
FROM shows
INNER JOIN show_seats AS seats ON seats.show_id = shows.id
GROUP BY
    shows.id,
    seats.section
ORDER BY
    shows.starts_at DESC,
    max(seats.price_in_cents) DESC;
