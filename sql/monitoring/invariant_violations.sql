-- What check_invariants() found last. What is to be judged at once asks count_violations().
CREATE OR REPLACE VIEW {{ monitoring_schema }}.invariant_violations AS
SELECT
    checked.invariant,
    checked.violations,
    checked.description,
    GREATEST(extract(EPOCH FROM now() - checked.checked_at)::double precision, 0)
        AS checked_age_seconds
FROM {{ internal_schema }}.invariant_checks AS checked;

COMMENT ON VIEW {{ monitoring_schema }}.invariant_violations IS
'One row per invariant of the tables, with the number of rows that broke it when '
'check_invariants() last counted, every ten minutes: 0 when healthy.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.invariant IS
'Name of the invariant.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.violations IS
'How many rows broke it.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.description IS 'What is counted.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.checked_age_seconds IS
'Seconds since it was counted.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.invariant_violations TO {{ monitor_role }};
{% endif %}
