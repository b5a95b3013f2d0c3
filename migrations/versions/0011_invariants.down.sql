-- 0011: Invariants.
-- A template, frozen by `ticketdb revision`.

-- drop: views/invariant_violations.sql
DROP VIEW {{ monitoring_schema }}.invariant_violations;

-- drop: jobs/first_check.sql
-- Its rows go with their table.

-- drop: functions/check_invariants.sql
DROP ROUTINE {{ schema }}.check_invariants;

-- drop: tables/invariant_checks.sql
DROP TABLE {{ schema }}.invariant_checks;

-- drop: functions/count_violations.sql
DROP ROUTINE {{ schema }}.count_violations;
