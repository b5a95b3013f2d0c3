-- The last result of check_invariants(). Counting reads all seats and reservations, which is too
-- much for a view that is polled.
CREATE TABLE {{ internal_schema }}.last_invariant_check (
    invariant text NOT NULL,
    violations bigint NOT NULL,
    description text NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT last_invariant_check_pkey PRIMARY KEY (invariant),
    CONSTRAINT last_invariant_check_checked_at_check CHECK (isfinite(checked_at))
);

COMMENT ON TABLE {{ internal_schema }}.last_invariant_check IS
'The last result of check_invariants(), for the views invariant_violations and health.';
COMMENT ON COLUMN {{ internal_schema }}.last_invariant_check.invariant IS
'Name of the invariant, as in current_violations().';
COMMENT ON COLUMN {{ internal_schema }}.last_invariant_check.violations IS 'Number of violations.';
COMMENT ON COLUMN {{ internal_schema }}.last_invariant_check.description IS
'What is counted as a violation.';
COMMENT ON COLUMN {{ internal_schema }}.last_invariant_check.checked_at IS
'When they were counted.';
