-- A description of the session that blocks another. Run it while that one waits: PostgreSQL keeps no record of it.
SELECT
    -- A statement with CONCURRENTLY waits without a time-out.
    w.query ~* '\mCONCURRENTLY\M' AS for_long,
    CASE
        WHEN a.pid IS NULL THEN 'blocked by a prepared transaction, see pg_prepared_xacts'
        ELSE format(
            'blocked by pid %s, %s (%s)',
            a.pid,
            regexp_replace(left(a.query, 100), '\s+', ' ', 'g'),
            concat_ws(
                ', ',
                a.usename,
                NULLIF(a.application_name, ''),
                a.state || COALESCE(to_char(a.xact_start, '" since "HH24:MI:SS'), '')
            )
        )
    END AS description
FROM pg_stat_activity AS w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b (pid)
LEFT JOIN pg_stat_activity AS a ON a.pid = b.pid
WHERE w.pid = {{ pid }}::integer AND w.wait_event_type = 'Lock'
ORDER BY a.xact_start
LIMIT 1
