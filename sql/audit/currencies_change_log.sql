-- Few rows, only changed by hand: every change is logged.
CREATE OR REPLACE TRIGGER currencies_change_log_insert
AFTER INSERT ON {{ schema }}.currencies
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('code');

CREATE OR REPLACE TRIGGER currencies_change_log_update
AFTER UPDATE ON {{ schema }}.currencies
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('code');

CREATE OR REPLACE TRIGGER currencies_change_log_delete
AFTER DELETE ON {{ schema }}.currencies
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('code');

ALTER TABLE {{ schema }}.currencies
ENABLE ALWAYS TRIGGER currencies_change_log_insert,
ENABLE ALWAYS TRIGGER currencies_change_log_update,
ENABLE ALWAYS TRIGGER currencies_change_log_delete;

COMMENT ON TRIGGER currencies_change_log_insert ON {{ schema }}.currencies IS
'Logs each currency that is added by hand.';
COMMENT ON TRIGGER currencies_change_log_update ON {{ schema }}.currencies IS
'Logs each change of a currency.';
COMMENT ON TRIGGER currencies_change_log_delete ON {{ schema }}.currencies IS
'Logs each currency that is deleted.';
