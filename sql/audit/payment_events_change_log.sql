-- The table is append-only, and rows that ticketdb's functions add are not logged here: see
-- log_change().
CREATE OR REPLACE TRIGGER payment_events_change_log_insert
AFTER INSERT ON {{ schema }}.payment_events
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'provider,event_id,kind,order_id,show_id',
    'error_message'
);

ALTER TABLE {{ schema }}.payment_events
ENABLE ALWAYS TRIGGER payment_events_change_log_insert;

COMMENT ON TRIGGER payment_events_change_log_insert ON {{ schema }}.payment_events IS
'Logs each event that is added by hand.';
