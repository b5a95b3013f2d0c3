-- A description of the session that holds the migration lock.
SELECT
    format(
        'pid %s (%s)', a.pid,
        concat_ws(', ', a.usename, NULLIF(a.application_name, ''), 'since ' || a.xact_start::timestamptz(0))
    ) AS holder
FROM pg_locks AS l
-- Databases that were made from one template give the same oid to their tables.
INNER JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.datid = l.database
WHERE
    a.datname = current_database()
    AND l.relation = to_regclass(format('%I.ticketdb_alembic_version', {{ internal_schema | literal }}))
    AND l.granted
    AND l.mode IN (
        'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'
    )
ORDER BY a.xact_start
LIMIT 1
