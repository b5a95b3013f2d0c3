-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER reservation_seats_change_log_insert
AFTER INSERT ON {{ schema }}.reservation_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('reservation_id,show_seat_id,show_id');

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update
AFTER UPDATE OF reservation_id, show_seat_id, show_id, price_in_cents, currency
ON {{ schema }}.reservation_seats
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'reservation_id,show_seat_id,show_id'
);

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update_by_hand
AFTER UPDATE OF released_at ON {{ schema }}.reservation_seats
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
'Logs each change of what a claim was made of.';
COMMENT ON TRIGGER reservation_seats_change_log_update_by_hand ON {{ schema }}.reservation_seats IS
'Logs each change of the state of a claim that none of our functions makes.';
