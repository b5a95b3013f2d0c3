-- What check_invariants() found last. Counting reads all seats and reservations, which is not for a
-- view that somebody polls.
CREATE TABLE {{ internal_schema }}.invariant_checks (
    invariant text NOT NULL,
    violations bigint NOT NULL,
    description text NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT invariant_checks_pkey PRIMARY KEY (invariant),
    CONSTRAINT invariant_checks_checked_at_check CHECK (isfinite(checked_at))
);

COMMENT ON TABLE {{ internal_schema }}.invariant_checks IS
'The last result of check_invariants(), for the views invariant_violations and health.';
COMMENT ON COLUMN {{ internal_schema }}.invariant_checks.invariant IS
'Name of the invariant, as in count_violations().';
COMMENT ON COLUMN {{ internal_schema }}.invariant_checks.violations IS 'How many rows broke it.';
COMMENT ON COLUMN {{ internal_schema }}.invariant_checks.description IS 'What is counted.';
COMMENT ON COLUMN {{ internal_schema }}.invariant_checks.checked_at IS 'When it was checked.';
COMMENT ON CONSTRAINT invariant_checks_pkey ON {{ internal_schema }}.invariant_checks IS
'One row an invariant.';
COMMENT ON CONSTRAINT invariant_checks_checked_at_check ON {{ internal_schema }}.invariant_checks IS
'Finite.';
