-- The relations, by oid, that a session has locked or waits to lock, up to the oid `newest`. The stamp changes with the
-- definition, even between savepoints: a row that a statement wrote has its subtransaction's id.
SELECT
    COALESCE(
        jsonb_object_agg(
            l.relation,
            jsonb_build_object(
                'modes', l.modes,
                'filenode', c.relfilenode,
                'scans', pg_stat_get_numscans(c.oid) + pg_stat_get_xact_numscans(c.oid),
                'stamp', (
                    SELECT concat(count(*), ' ', max(r.xmin::text::bigint))
                    FROM (
                        SELECT c.xmin
                        UNION ALL
                        SELECT a.xmin FROM pg_attribute AS a WHERE a.attrelid = c.oid
                        UNION ALL
                        SELECT a.xmin FROM pg_constraint AS a WHERE a.conrelid = c.oid
                        UNION ALL
                        SELECT a.xmin FROM pg_index AS a WHERE a.indrelid = c.oid
                        UNION ALL
                        SELECT a.xmin FROM pg_trigger AS a WHERE a.tgrelid = c.oid
                        UNION ALL
                        SELECT a.xmin FROM pg_rewrite AS a WHERE a.ev_class = c.oid
                        UNION ALL
                        SELECT a.xmin FROM pg_policy AS a WHERE a.polrelid = c.oid
                        UNION ALL
                        SELECT a.xmin
                        FROM pg_description AS a
                        WHERE a.objoid = c.oid AND a.classoid = 'pg_class'::regclass
                    ) AS r
                )
            )
        ),
        '{}'
    ) AS locks
FROM (
    SELECT
        k.relation,
        jsonb_agg(DISTINCT k.mode) AS modes
    FROM pg_locks AS k
    WHERE
        k.pid = {{ pid }}::integer
        AND k.locktype = 'relation'
        AND k.relation BETWEEN 16384 AND {{ newest }}::oid -- PostgreSQL's own have lower oids
    GROUP BY k.relation
) AS l
LEFT JOIN pg_class AS c ON c.oid = l.relation
