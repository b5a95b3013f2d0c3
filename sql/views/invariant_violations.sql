-- What must hold whatever happens, each as a count of what breaks it. Read by verify, by the demo
-- and by the tests.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.invariant_violations AS
SELECT
    counted.invariant,
    counted.violations,
    counted.description
FROM {{ schema }}.count_violations() AS counted;

COMMENT ON VIEW {{ monitoring_schema }}.invariant_violations IS
'One row per invariant of the tables, with the number of rows that break it: 0 when healthy. '
'Reads all seats and reservations.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.invariant IS
'Name of the invariant.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.violations IS
'How many rows break it.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.description IS 'What is counted.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.invariant_violations TO {{ monitor_role }};
{% endif %}
