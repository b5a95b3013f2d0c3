-- Rows that ticketdb's functions add are not logged here, see log_change(). They never update one.
CREATE OR REPLACE TRIGGER payment_intents_change_log_insert
AFTER INSERT ON {{ internal_schema }}.payment_intents
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'payment_intent_id,payment_provider,order_id,show_id'
);

CREATE OR REPLACE TRIGGER payment_intents_change_log_update
AFTER UPDATE ON {{ internal_schema }}.payment_intents
FOR EACH ROW
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'payment_intent_id,payment_provider,order_id,show_id'
);

ALTER TABLE {{ internal_schema }}.payment_intents
ENABLE ALWAYS TRIGGER payment_intents_change_log_insert,
ENABLE ALWAYS TRIGGER payment_intents_change_log_update;

COMMENT ON TRIGGER payment_intents_change_log_insert ON {{ internal_schema }}.payment_intents IS
'Logs each payment that is added by hand.';
COMMENT ON TRIGGER payment_intents_change_log_update ON {{ internal_schema }}.payment_intents IS
'Logs each change of a payment.';
