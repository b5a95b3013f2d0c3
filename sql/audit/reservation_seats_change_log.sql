-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
CREATE OR REPLACE TRIGGER reservation_seats_change_log_insert
AFTER INSERT ON {{ schema }}.reservation_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('reservation_id,show_seat_id,show_id');

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update
AFTER UPDATE OF reservation_id, show_seat_id, show_id, currency
ON {{ schema }}.reservation_seats
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'reservation_id,show_seat_id,show_id'
);

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update_by_hand
AFTER UPDATE OF price_in_cents, ticket_type, released_at ON {{ schema }}.reservation_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('reservation_id,show_seat_id,show_id');

ALTER TABLE {{ schema }}.reservation_seats
ENABLE ALWAYS TRIGGER reservation_seats_change_log_insert,
ENABLE ALWAYS TRIGGER reservation_seats_change_log_update,
ENABLE ALWAYS TRIGGER reservation_seats_change_log_update_by_hand;

COMMENT ON TRIGGER reservation_seats_change_log_insert ON {{ schema }}.reservation_seats IS
'Logs each claim that is added by hand.';
COMMENT ON TRIGGER reservation_seats_change_log_update ON {{ schema }}.reservation_seats IS
'Logs each change of the fixed columns of a claim.';
COMMENT ON TRIGGER reservation_seats_change_log_update_by_hand ON {{ schema }}.reservation_seats IS
'Logs each change by hand of the state of a claim.';
