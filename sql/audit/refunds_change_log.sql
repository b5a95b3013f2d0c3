-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
CREATE OR REPLACE TRIGGER refunds_change_log_insert
AFTER INSERT ON {{ schema }}.refunds
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER refunds_change_log_update
AFTER UPDATE OF id, show_id, order_id, ticket_ids, amount_in_cents, currency, reason,
payment_provider, payment_event_id, created_at
ON {{ schema }}.refunds
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER refunds_change_log_update_by_hand
AFTER UPDATE OF status, done_at ON {{ schema }}.refunds
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

ALTER TABLE {{ schema }}.refunds
ENABLE ALWAYS TRIGGER refunds_change_log_insert,
ENABLE ALWAYS TRIGGER refunds_change_log_update,
ENABLE ALWAYS TRIGGER refunds_change_log_update_by_hand;

COMMENT ON TRIGGER refunds_change_log_insert ON {{ schema }}.refunds IS
'Logs each refund that is added by hand.';
COMMENT ON TRIGGER refunds_change_log_update ON {{ schema }}.refunds IS
'Logs each change of the fixed columns of a refund.';
COMMENT ON TRIGGER refunds_change_log_update_by_hand ON {{ schema }}.refunds IS
'Logs each change by hand of the state of a refund.';
