-- The oldest transaction of somebody else's that holds a lock on something of ours, in words.
SELECT
    COALESCE(
        (
            SELECT format('in the way: pid %s, %s', a.pid, left(a.query, 100))
            FROM pg_stat_activity AS a
            INNER JOIN pg_locks AS l ON l.pid = a.pid AND l.granted AND l.database = a.datid
            INNER JOIN pg_class AS c ON c.oid = l.relation
            INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE
                n.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }})
                AND a.pid <> pg_backend_pid()
                AND a.datname = current_database()
            ORDER BY a.xact_start
            LIMIT 1
        ),
        'what was in the way is gone'
    ) AS description
