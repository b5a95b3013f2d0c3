-- The session that holds the migration lock.
SELECT
    a.pid,
    a.usename,
    a.application_name,
    a.backend_start::timestamptz(0) AS connected_at
FROM pg_catalog.pg_locks AS l
INNER JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE
    l.locktype = 'advisory'
    AND l.granted
    AND l.objsubid = 1
    AND a.datname = pg_catalog.current_database()
    AND (l.classid::bigint << 32 | l.objid::bigint) = pg_catalog.hashtextextended({{ lock_name }}, 0)
