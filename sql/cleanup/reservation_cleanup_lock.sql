-- One cleanup at a time: each transaction of a run locks this row, so that the lock cannot outlive
-- the run. Only the owner can lock it, unlike an advisory lock, which any login can take.
CREATE TABLE {{ internal_schema }}.reservation_cleanup_lock (
    singleton boolean NOT NULL DEFAULT true,
    CONSTRAINT reservation_cleanup_lock_pkey PRIMARY KEY (singleton),
    CONSTRAINT reservation_cleanup_lock_singleton_check CHECK (singleton)
);

INSERT INTO {{ internal_schema }}.reservation_cleanup_lock DEFAULT VALUES;

-- To SKIP LOCKED, a missing row looks like a locked one.
CREATE TRIGGER reservation_cleanup_lock_keep_row
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.reservation_cleanup_lock
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'The cleanup locks this row.'
);

COMMENT ON TABLE {{ internal_schema }}.reservation_cleanup_lock IS
'One row, locked by the cleanup that is running. Only the owner has a privilege on it.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_cleanup_lock.singleton IS
'Always true: there is one row.';
COMMENT ON CONSTRAINT reservation_cleanup_lock_singleton_check
ON {{ internal_schema }}.reservation_cleanup_lock IS 'There is one row only.';
COMMENT ON TRIGGER reservation_cleanup_lock_keep_row
ON {{ internal_schema }}.reservation_cleanup_lock IS
'Refuses DELETE and TRUNCATE.';
