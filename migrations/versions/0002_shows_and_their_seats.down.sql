-- 0002: Shows and their seats.
-- A template, frozen by `ticketdb revision`.

-- drop: shows/show_seats.sql
DROP TABLE {{ schema }}.show_seats;

-- drop: shows/shows.sql
DROP TABLE {{ schema }}.shows;
