-- 0013: Alerts and health.
-- A template, frozen by `ticketdb revision`.

-- drop: views/health.sql
DROP VIEW {{ monitoring_schema }}.health;

-- drop: views/alerts.sql
DROP VIEW {{ monitoring_schema }}.alerts;

-- drop: triggers/alert_rules_change_log.sql
DROP TRIGGER alert_rules_change_log_insert ON {{ monitoring_schema }}.alert_rules;
DROP TRIGGER alert_rules_change_log_update ON {{ monitoring_schema }}.alert_rules;
DROP TRIGGER alert_rules_change_log_delete ON {{ monitoring_schema }}.alert_rules;

-- drop: tables/alert_rules.sql
DROP TABLE {{ monitoring_schema }}.alert_rules;
