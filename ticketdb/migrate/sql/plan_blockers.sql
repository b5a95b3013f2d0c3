-- Locks to be held by one session each, so that a statement outside a transaction has to wait, and can be observed,
-- before each of its steps: when it requests its first lock; when it waits for the sessions that use the table; and, if
-- it detaches a partition, for those that use that.
SELECT
    format(
        'LOCK TABLE %s IN %s MODE',
        string_agg('ONLY ' || c.oid::regclass, ', '),
        b.mode
    ) AS statement
FROM (
    VALUES
    (1, 'SHARE UPDATE EXCLUSIVE', NULL),
    (2, 'ROW EXCLUSIVE', false),
    (3, 'ROW EXCLUSIVE', true)
) AS b (number, mode, is_partition)
INNER JOIN pg_class AS c ON c.relkind IN ('r', 'p') AND b.is_partition IS DISTINCT FROM NOT c.relispartition
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
GROUP BY
    b.number,
    b.mode
