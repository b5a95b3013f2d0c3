-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
CREATE OR REPLACE TRIGGER ticket_orders_change_log_insert
AFTER INSERT ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update
AFTER UPDATE OF id, show_id, reservation_id, total_amount_in_cents, currency, created_at
ON {{ schema }}.ticket_orders
FOR EACH ROW
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update_by_hand
AFTER UPDATE OF seat_ids, status, idempotency_key, payment_provider, payment_intent_id,
error_message, cancel_reason, refunded_amount_in_cents, paid_at
ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_change_log_insert,
ENABLE ALWAYS TRIGGER ticket_orders_change_log_update,
ENABLE ALWAYS TRIGGER ticket_orders_change_log_update_by_hand;

COMMENT ON TRIGGER ticket_orders_change_log_insert ON {{ schema }}.ticket_orders IS
'Logs each order that is added by hand.';
COMMENT ON TRIGGER ticket_orders_change_log_update ON {{ schema }}.ticket_orders IS
'Logs each change of the fixed columns of an order.';
COMMENT ON TRIGGER ticket_orders_change_log_update_by_hand ON {{ schema }}.ticket_orders IS
'Logs each change by hand of the state of an order.';
