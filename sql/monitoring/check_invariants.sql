-- Scheduled every ten minutes, and called by hand after a repair.
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
        FROM {{ internal_schema }}.current_violations() AS now_found
    ),

    -- Invariants of an older release.
    forgotten AS (
        DELETE FROM {{ internal_schema }}.last_invariant_check
        WHERE last_invariant_check.invariant NOT IN (SELECT found.invariant FROM found)
    )

    INSERT INTO {{ internal_schema }}.last_invariant_check (
        invariant, violations, description, checked_at
    )
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
    FROM {{ internal_schema }}.last_invariant_check AS broken
    WHERE broken.violations > 0
    ORDER BY broken.invariant;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.check_invariants() IS
'Counts the violations of each invariant with current_violations(), and stores the result for the '
'views invariant_violations and health. Returns the invariants that are broken.';
