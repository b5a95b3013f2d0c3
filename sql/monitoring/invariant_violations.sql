-- The last result of check_invariants(). For a result that is current, call current_violations().
CREATE OR REPLACE VIEW {{ monitoring_schema }}.invariant_violations AS
SELECT
    checked.invariant,
    checked.violations,
    checked.description,
    GREATEST(extract(EPOCH FROM now() - checked.checked_at)::double precision, 0)
        AS checked_age_seconds
FROM {{ internal_schema }}.last_invariant_check AS checked;

COMMENT ON VIEW {{ monitoring_schema }}.invariant_violations IS
'Invariants, one row each, with the number of violations when check_invariants() last counted, '
'every ten minutes.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.invariant IS
'Name of the invariant.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.violations IS
'Number of violations: 0 when healthy.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.description IS
'What is counted as a violation.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.checked_age_seconds IS
'Seconds since they were counted.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.invariant_violations TO {{ monitor_role }};
{% endif %}
