-- The view invariant_violations has a row for each invariant from the day of installation on; the
-- job goes on from there.
SELECT {{ internal_schema }}.check_invariants();
