-- The migration lock: a lock on the version table, until the transaction ends. Only a role that may write there, that
-- is its owner, can take it or a lock that conflicts with it. It blocks neither those who read the table nor alembic,
-- which writes there from another session. NOWAIT, since CREATE INDEX CONCURRENTLY waits for every snapshot, including
-- that of a session that waits for this lock: the two would wait for each other.
LOCK TABLE {{ internal_schema }}.ticketdb_alembic_version IN SHARE UPDATE EXCLUSIVE MODE NOWAIT
