-- Scheduled. Also callable by hand, after something was mended.
CREATE OR REPLACE FUNCTION {{ schema }}.check_invariants()
RETURNS TABLE (broken_invariant text, found_violations bigint)
LANGUAGE plpgsql
SET search_path = {{ schema }}, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ schema }}.invariant_checks (invariant, violations, checked_at)
    SELECT
        found.invariant,
        found.violations,
        clock_timestamp()
    FROM {{ monitoring_schema }}.invariant_violations AS found
    ON CONFLICT (invariant) DO UPDATE SET
        violations = excluded.violations,
        checked_at = excluded.checked_at;

    RETURN QUERY
    SELECT
        broken.invariant,
        broken.violations
    FROM {{ schema }}.invariant_checks AS broken
    WHERE broken.violations > 0
    ORDER BY broken.invariant;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.check_invariants() IS
'Reads the view invariant_violations and keeps what it says for the view health; returns those '
'that are broken.';
