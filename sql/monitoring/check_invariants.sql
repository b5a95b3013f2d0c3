-- Scheduled. Also callable by hand, after something was mended.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.check_invariants()
RETURNS TABLE (broken_invariant text, found_violations bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    WITH found AS MATERIALIZED (
        SELECT
            now_found.invariant,
            now_found.violations,
            now_found.description
        FROM {{ internal_schema }}.count_violations() AS now_found
    ),

    -- Those that an older release knew.
    forgotten AS (
        DELETE FROM {{ internal_schema }}.invariant_checks
        WHERE invariant_checks.invariant NOT IN (SELECT found.invariant FROM found)
    )

    INSERT INTO {{ internal_schema }}.invariant_checks (invariant, violations, description, checked_at)
    SELECT
        found.invariant,
        found.violations,
        found.description,
        clock_timestamp()
    FROM found
    ON CONFLICT (invariant) DO UPDATE SET
        violations = excluded.violations,
        description = excluded.description,
        checked_at = excluded.checked_at;

    RETURN QUERY
    SELECT
        broken.invariant,
        broken.violations
    FROM {{ internal_schema }}.invariant_checks AS broken
    WHERE broken.violations > 0
    ORDER BY broken.invariant;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.check_invariants() IS
'Runs count_violations() and keeps what it says for the views invariant_violations and health; '
'returns the invariants that are broken.';
