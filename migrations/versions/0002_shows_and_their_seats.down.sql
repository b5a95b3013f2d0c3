-- 0002: Shows and their seats.
-- A template, frozen by `ticketdb revision`.

-- drop: shows/get_seat_map_at.sql
DROP ROUTINE {{ schema }}.get_seat_map_at;

-- drop: shows/get_seat_map.sql
DROP ROUTINE {{ schema }}.get_seat_map;

-- drop: shows/show_seats_place_seats.sql
DROP TRIGGER show_seats_place_seats ON {{ schema }}.show_seats;

-- drop: shows/place_seats.sql
DROP ROUTINE {{ internal_schema }}.place_seats;

-- drop: shows/natural_sort_key.sql
DROP ROUTINE {{ internal_schema }}.natural_sort_key;

-- drop: shows/show_seats.sql
DROP TABLE {{ schema }}.show_seats;

-- drop: shows/shows.sql
DROP TABLE {{ schema }}.shows;
