-- Try to take the migration lock of this schema, and say who holds it. Polled: CREATE INDEX
-- CONCURRENTLY waits for every snapshot, also for that of a session that waits for this lock.
SELECT
    pg_try_advisory_lock(k.key) AS taken,
    (
        SELECT
            format(
                'pid %s (%s, %s, since %s)', a.pid, a.usename, a.application_name, a.backend_start::timestamptz(0)
            )
        FROM pg_locks AS l
        INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
        WHERE
            l.locktype = 'advisory'
            AND l.granted
            AND l.objsubid = 1
            AND a.datname = current_database()
            AND (l.classid::bigint << 32 | l.objid::bigint) = k.key
    ) AS holder
FROM (VALUES (hashtextextended('ticketdb migration of ' || {{ schema | literal }}, 0))) AS k (key)
