-- What a statement did to the relations that existed before its revision: computed from their state before it, and from
-- samples of the locks of its session, the last of them taken after it.
WITH modes (mode, name, strength, blocks) AS (
    VALUES
    ('AccessShareLock', 'ACCESS SHARE', 1, NULL),
    ('RowShareLock', 'ROW SHARE', 2, NULL),
    ('RowExclusiveLock', 'ROW EXCLUSIVE', 3, NULL),
    ('ShareUpdateExclusiveLock', 'SHARE UPDATE EXCLUSIVE', 4, NULL),
    ('ShareLock', 'SHARE', 5, 'writers'),
    ('ShareRowExclusiveLock', 'SHARE ROW EXCLUSIVE', 6, 'writers'),
    ('ExclusiveLock', 'EXCLUSIVE', 7, 'writers'),
    ('AccessExclusiveLock', 'ACCESS EXCLUSIVE', 8, 'readers and writers')
),

before AS (
    SELECT
        e.key::oid AS oid,
        r.*
    FROM jsonb_each({{ before }}::jsonb) AS e
    CROSS JOIN LATERAL jsonb_to_record(e.value) AS r (
        name text, kind text, filenode oid, scans bigint, modes jsonb, stamp text, owners jsonb
    )
),

looks AS (
    SELECT
        l.number = jsonb_array_length({{ looks }}::jsonb) AS is_last,
        e.key::oid AS oid,
        r.*
    FROM jsonb_array_elements({{ looks }}::jsonb) WITH ORDINALITY AS l (look, number)
    CROSS JOIN LATERAL jsonb_each(l.look) AS e
    CROSS JOIN LATERAL jsonb_to_record(e.value) AS r (filenode oid, scans bigint, modes jsonb, stamp text)
),

strengths AS (
    SELECT
        b.oid,
        max(m.strength) AS strength,
        COALESCE(max(m.strength) FILTER (WHERE b.modes ? m.mode), 0) AS before
    FROM before AS b
    INNER JOIN looks AS l ON l.oid = b.oid
    INNER JOIN modes AS m ON l.modes ? m.mode
    GROUP BY b.oid
),

touched AS (
    SELECT
        s.*,
        b.name,
        b.kind,
        b.owners,
        e.*
    FROM strengths AS s
    INNER JOIN before AS b ON b.oid = s.oid
    LEFT JOIN looks AS l ON l.oid = s.oid AND l.is_last
    CROSS JOIN LATERAL (
        SELECT
            s.strength = s.before AS is_held,
            l.filenode IS NULL AND b.filenode IS NOT NULL AS drops,
            COALESCE(l.filenode <> b.filenode, false) AS rewrites,
            COALESCE(b.kind IN ('r', 'm') AND l.scans > b.scans, false) AS scans
    ) AS e
    WHERE
        e.drops
        OR e.rewrites
        OR e.scans
        OR l.stamp <> b.stamp
        -- Every query locks the indexes of its tables too, which blocks nothing that the table's lock allows.
        OR NOT (e.is_held OR (s.strength < 4 AND b.kind IN ('i', 'I')))
),

-- Indexes and partitions are listed with their table, if that has a lock at least as strong.
listed AS (
    SELECT
        p.oid,
        p.kind,
        p.rewrites,
        p.scans,
        COALESCE(
            (
                SELECT t.oid
                FROM jsonb_array_elements_text(p.owners) WITH ORDINALITY AS o (oid, number)
                INNER JOIN touched AS t ON t.oid = o.oid::oid AND t.strength >= p.strength
                ORDER BY o.number DESC
                LIMIT 1
            ),
            p.oid
        ) AS listed_as
    FROM touched AS p
)

SELECT
    t.oid::text,
    t.name AS relation,
    m.name AS mode,
    t.is_held,
    t.drops,
    bool_or(p.rewrites) AS rewrites,
    bool_or(p.scans) AS scans,
    count(*) FILTER (WHERE p.oid <> t.oid AND p.kind IN ('r', 'f')) AS partitions,
    CASE WHEN NOT t.is_held OR bool_or(p.rewrites OR p.scans) THEN m.blocks END AS blocks
FROM touched AS t
INNER JOIN listed AS p ON p.listed_as = t.oid
INNER JOIN modes AS m ON m.strength = t.strength
GROUP BY
    t.oid,
    t.name,
    t.is_held,
    t.drops,
    m.name,
    m.blocks,
    m.strength
ORDER BY
    m.strength DESC,
    t.name
