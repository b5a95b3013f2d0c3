-- The objects that depend on those of each file, directly or not. Dependents of a dependent table are not followed:
-- the table is altered, not dropped. Parts of a table (`holds_data`) belong to the file of the table.
-- `trigger_columns`: those that a trigger names, in UPDATE OF or WHEN. Their types cannot change while it exists.
WITH RECURSIVE found AS (
    SELECT o.path AS needed, o.class_id, o.object_id, false AS by_row_type, true AS leads_on
    FROM pg_temp.owned AS o
    -- Everything depends on a schema, but a change of the schema affects none of it.
    WHERE o.class_id <> 'pg_namespace'::regclass
    UNION
    SELECT
        f.needed,
        next.class_id,
        next.object_id,
        f.by_row_type OR d.refclassid = 'pg_type'::regclass,
        next.class_id IN ('pg_proc'::regclass, 'pg_type'::regclass)
        OR EXISTS (SELECT FROM pg_class AS c WHERE c.oid = next.object_id AND c.relkind IN ('v', 'm'))
    FROM found AS f
    INNER JOIN pg_depend AS d
        ON d.refclassid = f.class_id AND d.refobjid = f.object_id AND d.deptype IN ('n', 'a', 'i')
    LEFT JOIN pg_rewrite AS w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END AS class_id,
            COALESCE(w.ev_class, d.objid) AS object_id
    ) AS next
    WHERE f.leads_on
),

placed AS (
    SELECT
        f.needed,
        f.by_row_type,
        pg_describe_object(f.class_id, f.object_id, 0) AS what,
        ARRAY(
            SELECT format('%I.%I.%I', n.nspname, k.relname, b.attname)
            FROM pg_depend AS d
            INNER JOIN pg_attribute AS b ON b.attrelid = d.refobjid AND b.attnum = d.refobjsubid
            INNER JOIN pg_class AS k ON k.oid = b.attrelid
            INNER JOIN pg_namespace AS n ON n.oid = k.relnamespace
            WHERE
                d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
                AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
            ORDER BY b.attnum
        ) AS trigger_columns,
        own.path AS own_path,
        home.path AS home_path,
        r.oid IS NOT NULL AND r.relkind NOT IN ('v', 'm')
        AND (r.relispartition OR own.path IS NULL OR own.path = home.path) AS holds_data
    FROM found AS f
    LEFT JOIN pg_trigger AS t ON f.class_id = 'pg_trigger'::regclass AND t.oid = f.object_id
    LEFT JOIN pg_constraint AS c ON f.class_id = 'pg_constraint'::regclass AND c.oid = f.object_id
    LEFT JOIN pg_attrdef AS a ON f.class_id = 'pg_attrdef'::regclass AND a.oid = f.object_id
    LEFT JOIN pg_policy AS p ON f.class_id = 'pg_policy'::regclass AND p.oid = f.object_id
    LEFT JOIN pg_index AS i ON f.class_id = 'pg_class'::regclass AND i.indexrelid = f.object_id
    LEFT JOIN pg_class AS r ON r.oid = COALESCE(
        t.tgrelid, NULLIF(c.conrelid, 0), a.adrelid, p.polrelid, i.indrelid,
        CASE WHEN f.class_id = 'pg_class'::regclass THEN f.object_id END
    )
    LEFT JOIN pg_temp.owned AS own ON own.class_id = f.class_id AND own.object_id = f.object_id
    LEFT JOIN pg_temp.owned AS home
        ON home.class_id = 'pg_class'::regclass
        AND home.object_id = COALESCE(pg_partition_root(r.oid), r.oid)
    -- A trigger's copies on partitions are dropped and created with it.
    WHERE COALESCE(t.tgparentid, 0) = 0
),

homed AS (
    SELECT
        p.*,
        CASE WHEN p.holds_data THEN p.home_path ELSE COALESCE(p.own_path, p.home_path) END AS path
    FROM placed AS p
)

SELECT DISTINCT h.needed, h.path, h.what, h.holds_data, h.by_row_type, h.trigger_columns
FROM homed AS h
WHERE h.path <> h.needed
ORDER BY h.needed, h.what
