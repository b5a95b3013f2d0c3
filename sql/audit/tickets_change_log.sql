-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
CREATE OR REPLACE TRIGGER tickets_change_log_insert
AFTER INSERT ON {{ schema }}.tickets
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'ticket_code');

CREATE OR REPLACE TRIGGER tickets_change_log_update
AFTER UPDATE OF id, show_id, order_id, price_in_cents, currency, ticket_code, ticket_type,
created_at
ON {{ schema }}.tickets
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'ticket_code');

CREATE OR REPLACE TRIGGER tickets_change_log_update_by_hand
AFTER UPDATE OF show_seat_id, status, checked_in_at, check_in_gate, check_in_nonce
ON {{ schema }}.tickets
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'ticket_code');

ALTER TABLE {{ schema }}.tickets
ENABLE ALWAYS TRIGGER tickets_change_log_insert,
ENABLE ALWAYS TRIGGER tickets_change_log_update,
ENABLE ALWAYS TRIGGER tickets_change_log_update_by_hand;

COMMENT ON TRIGGER tickets_change_log_insert ON {{ schema }}.tickets IS
'Logs each ticket that is added by hand.';
COMMENT ON TRIGGER tickets_change_log_update ON {{ schema }}.tickets IS
'Logs each change of the fixed columns of a ticket.';
COMMENT ON TRIGGER tickets_change_log_update_by_hand ON {{ schema }}.tickets IS
'Logs each change by hand of the state of a ticket.';
