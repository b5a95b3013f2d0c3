-- 0011: Invariants.
-- A template, frozen by `ticketdb revision`.

-- drop: views/invariant_violations.sql
DROP VIEW {{ monitoring_schema }}.invariant_violations;

-- drop: functions/count_violations.sql
DROP ROUTINE {{ schema }}.count_violations;
