-- Rules are few and changed only by hand, so that every change is logged.
CREATE OR REPLACE TRIGGER alert_rules_change_log_insert
AFTER INSERT ON {{ monitoring_schema }}.alert_rules
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('alert_name');

CREATE OR REPLACE TRIGGER alert_rules_change_log_update
AFTER UPDATE ON {{ monitoring_schema }}.alert_rules
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('alert_name');

CREATE OR REPLACE TRIGGER alert_rules_change_log_delete
AFTER DELETE ON {{ monitoring_schema }}.alert_rules
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('alert_name');

ALTER TABLE {{ monitoring_schema }}.alert_rules
ENABLE ALWAYS TRIGGER alert_rules_change_log_insert,
ENABLE ALWAYS TRIGGER alert_rules_change_log_update,
ENABLE ALWAYS TRIGGER alert_rules_change_log_delete;

COMMENT ON TRIGGER alert_rules_change_log_insert ON {{ monitoring_schema }}.alert_rules IS
'Logs each new rule in change_log.';
COMMENT ON TRIGGER alert_rules_change_log_update ON {{ monitoring_schema }}.alert_rules IS
'Logs each change of a rule in change_log.';
COMMENT ON TRIGGER alert_rules_change_log_delete ON {{ monitoring_schema }}.alert_rules IS
'Logs each deleted rule in change_log.';
