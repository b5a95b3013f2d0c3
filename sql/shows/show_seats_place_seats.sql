-- A statement at a time: the order is that of all seats of a row. ENABLE ALWAYS, so that
-- session_replication_role = replica does not disable it; seats that are replicated have positions.
CREATE OR REPLACE TRIGGER show_seats_place_seats
AFTER INSERT ON {{ schema }}.show_seats
REFERENCING NEW TABLE AS new_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.place_seats();

ALTER TABLE {{ schema }}.show_seats
ENABLE ALWAYS TRIGGER show_seats_place_seats;

COMMENT ON TRIGGER show_seats_place_seats ON {{ schema }}.show_seats IS
'Fills positions of rows and seats that the insert has not given.';
