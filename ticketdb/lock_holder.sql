-- Who holds the migration lock, in words.
SELECT
    format(
        'pid %s (%s)', a.pid,
        concat_ws(', ', a.usename, NULLIF(a.application_name, ''), 'since ' || a.xact_start::timestamptz(0))
    ) AS holder
FROM pg_locks AS l
INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE
    l.relation = to_regclass(format('%I.ticketdb_alembic_version', {{ schema | literal }}))
    AND l.granted
    AND l.mode IN (
        'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'
    )
ORDER BY a.xact_start
LIMIT 1
