-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER ticket_orders_change_log_insert
AFTER INSERT ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update
AFTER UPDATE OF id, show_id, reservation_id, seat_ids, total_amount_in_cents, currency, created_at
ON {{ schema }}.ticket_orders
FOR EACH ROW
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update_by_hand
AFTER UPDATE OF status, idempotency_key, payment_provider, payment_intent_id, error_message,
cancel_reason, refunded_amount_in_cents, paid_at
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
'Logs each change of what a order was made of.';
COMMENT ON TRIGGER ticket_orders_change_log_update_by_hand ON {{ schema }}.ticket_orders IS
'Logs each change of the state of a order that none of our functions makes.';
