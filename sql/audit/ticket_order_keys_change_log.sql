-- What ticketdb's functions do is not logged here, see log_change(): they add keys, and erase them.
CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_insert
AFTER INSERT ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_update
AFTER UPDATE OF show_id, order_id ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_update_by_hand
AFTER UPDATE OF idempotency_key ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

ALTER TABLE {{ internal_schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_insert,
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_update,
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_update_by_hand;

COMMENT ON TRIGGER ticket_order_keys_change_log_insert ON {{ internal_schema }}.ticket_order_keys IS
'Logs each key that is added by hand.';
COMMENT ON TRIGGER ticket_order_keys_change_log_update ON {{ internal_schema }}.ticket_order_keys IS
'Logs each change of the order of a key.';
COMMENT ON TRIGGER ticket_order_keys_change_log_update_by_hand
ON {{ internal_schema }}.ticket_order_keys IS
'Logs each change by hand of a key.';
