-- 0013: Alerts and health.
-- A template, frozen by `ticketdb revision`.

-- drop: views/health.sql
DROP VIEW {{ monitoring_schema }}.health;

-- drop: functions/check_invariants.sql
DROP ROUTINE {{ schema }}.check_invariants;

-- drop: tables/invariant_checks.sql
DROP TABLE {{ schema }}.invariant_checks;

-- drop: views/alerts.sql
DROP VIEW {{ monitoring_schema }}.alerts;

-- drop: tables/alert_rules.sql
DROP TABLE {{ monitoring_schema }}.alert_rules;
