-- 0002: Shows and their seats.
-- A template, frozen by `ticketdb revision`.

-- drop: tables/show_seats.sql
DROP TABLE {{ schema }}.show_seats;

-- drop: tables/shows.sql
DROP TABLE {{ schema }}.shows;
