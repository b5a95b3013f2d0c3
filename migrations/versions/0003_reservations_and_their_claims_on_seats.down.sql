-- 0003: Reservations and their claims on seats.
-- A template, frozen by `ticketdb revision`.

-- drop: tables/reservation_seats.sql
DROP TABLE {{ schema }}.reservation_seats;

-- drop: tables/seat_reservations.sql
DROP TABLE {{ schema }}.seat_reservations;
