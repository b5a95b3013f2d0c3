-- Rows that ticketdb's functions add are not logged here, see log_change(). They never update one.
CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_insert
AFTER INSERT ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_update
AFTER UPDATE ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

ALTER TABLE {{ internal_schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_insert,
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_update;

COMMENT ON TRIGGER ticket_order_keys_change_log_insert ON {{ internal_schema }}.ticket_order_keys IS
'Logs each key that is added by hand.';
COMMENT ON TRIGGER ticket_order_keys_change_log_update ON {{ internal_schema }}.ticket_order_keys IS
'Logs each change of a key.';
