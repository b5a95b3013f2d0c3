-- Few rows, only changed by hand: every change is logged.
CREATE OR REPLACE TRIGGER ticketing_settings_change_log_insert
AFTER INSERT ON {{ schema }}.ticketing_settings
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('singleton');

CREATE OR REPLACE TRIGGER ticketing_settings_change_log_update
AFTER UPDATE ON {{ schema }}.ticketing_settings
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('singleton');

ALTER TABLE {{ schema }}.ticketing_settings
ENABLE ALWAYS TRIGGER ticketing_settings_change_log_insert,
ENABLE ALWAYS TRIGGER ticketing_settings_change_log_update;

COMMENT ON TRIGGER ticketing_settings_change_log_insert ON {{ schema }}.ticketing_settings IS
'Logs the row of settings if it is added by hand.';
COMMENT ON TRIGGER ticketing_settings_change_log_update ON {{ schema }}.ticketing_settings IS
'Logs each change of a setting.';
