-- 0010: Statistics and invariants.
-- A template, frozen by `ticketdb revision`.

-- drop: views/invariant_violations.sql
DROP VIEW {{ monitoring_schema }}.invariant_violations;

-- drop: functions/get_reservation_statistics.sql
DROP ROUTINE {{ schema }}.get_reservation_statistics;
