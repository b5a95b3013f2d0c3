-- Gives invariant_violations a row for each invariant from the installation on, before the job
-- first runs.
SELECT {{ internal_schema }}.check_invariants();
