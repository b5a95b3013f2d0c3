-- The migration lock: a lock on the table of the version, until the transaction ends. Only who may write there, its
-- owner, can take it or anything that conflicts with it, and it is in nobody's way: neither of those who read the table
-- nor of alembic, which writes there from another session. Never waited for: CREATE INDEX CONCURRENTLY waits for every
-- snapshot, also for that of a session that waits for this lock.
LOCK TABLE {{ schema }}.ticketdb_alembic_version IN SHARE UPDATE EXCLUSIVE MODE NOWAIT
