-- One cleanup at a time: a run has this row locked in each of its transactions, so that the lock
-- can never be left behind. Only the owner can lock it, unlike an advisory lock, which any login
-- can.
CREATE TABLE {{ internal_schema }}.reservation_cleanup_lock (
    singleton boolean NOT NULL DEFAULT true,
    CONSTRAINT reservation_cleanup_lock_pkey PRIMARY KEY (singleton),
    CONSTRAINT reservation_cleanup_lock_singleton_check CHECK (singleton)
);

INSERT INTO {{ internal_schema }}.reservation_cleanup_lock DEFAULT VALUES;

-- A row that is not there looks like one that somebody else has locked.
CREATE TRIGGER reservation_cleanup_lock_keep_row
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.reservation_cleanup_lock
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'The cleanup locks this row.'
);

COMMENT ON TABLE {{ internal_schema }}.reservation_cleanup_lock IS
'One row, locked by the run of the cleanup that is at work. Nobody but the owner has any right on '
'it.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_cleanup_lock.singleton IS
'Always true: there is one row.';
COMMENT ON CONSTRAINT reservation_cleanup_lock_pkey
ON {{ internal_schema }}.reservation_cleanup_lock IS
'One row only.';
COMMENT ON CONSTRAINT reservation_cleanup_lock_singleton_check
ON {{ internal_schema }}.reservation_cleanup_lock IS 'One row only.';
COMMENT ON TRIGGER reservation_cleanup_lock_keep_row
ON {{ internal_schema }}.reservation_cleanup_lock IS
'Refuses DELETE and TRUNCATE.';
