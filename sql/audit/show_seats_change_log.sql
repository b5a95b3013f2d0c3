-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
CREATE OR REPLACE TRIGGER show_seats_change_log_insert
AFTER INSERT ON {{ schema }}.show_seats
REFERENCING NEW TABLE AS new_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.log_new_seats();

CREATE OR REPLACE TRIGGER show_seats_change_log_update
AFTER UPDATE OF id, show_id, section, row_label, seat_number, price_in_cents
ON {{ schema }}.show_seats
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER show_seats_change_log_update_by_hand
AFTER UPDATE OF row_position, seat_position, status, reserved_by, reserved_until
ON {{ schema }}.show_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER show_seats_change_log_delete
AFTER DELETE ON {{ schema }}.show_seats
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

ALTER TABLE {{ schema }}.show_seats
ENABLE ALWAYS TRIGGER show_seats_change_log_insert,
ENABLE ALWAYS TRIGGER show_seats_change_log_update,
ENABLE ALWAYS TRIGGER show_seats_change_log_update_by_hand,
ENABLE ALWAYS TRIGGER show_seats_change_log_delete;

COMMENT ON TRIGGER show_seats_change_log_insert ON {{ schema }}.show_seats IS
'Logs seats that are added, a row for each statement and show.';
COMMENT ON TRIGGER show_seats_change_log_update ON {{ schema }}.show_seats IS
'Logs each change of the place or the price of a seat.';
COMMENT ON TRIGGER show_seats_change_log_update_by_hand ON {{ schema }}.show_seats IS
'Logs each change by hand of the state of a seat.';
COMMENT ON TRIGGER show_seats_change_log_delete ON {{ schema }}.show_seats IS
'Logs each seat that is deleted, which is possible only while nothing refers to it.';
