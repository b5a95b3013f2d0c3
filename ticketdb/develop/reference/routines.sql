-- The functions and procedures that people call, with all that the reference says of them. `section`: of the
-- application, of operation, or of the views, which call them for whoever reads them.
WITH routines AS (
    SELECT
        p.*,
        s.nspname AS schema,
        (
            SELECT COALESCE(jsonb_agg(DISTINCT o.rolname ORDER BY o.rolname), '[]'::jsonb)
            FROM aclexplode(p.proacl) AS x
            INNER JOIN pg_roles AS o ON o.oid = x.grantee
            WHERE x.grantee <> p.proowner AND x.privilege_type = 'EXECUTE'
        ) AS callers
    FROM pg_proc AS p
    INNER JOIN pg_namespace AS s ON s.oid = p.pronamespace
    WHERE s.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }})
),

sections AS (
    SELECT
        r.*,
        CASE
            -- Of the contract, whoever may call them.
            WHEN r.proname IN (
                'check_invariants', 'cleanup_expired_seat_reservations', 'maintain_partitions', 'purge_history',
                'roll_up_metrics', 'run_reservation_cleanup'
            ) THEN 'operation'
            WHEN r.callers ? {{ app_role | literal }} THEN 'application'
            WHEN r.callers <> '[]'::jsonb THEN 'views'
        END AS section
    FROM routines AS r
)

SELECT
    r.section,
    r.proname AS name,
    r.prokind = 'p' AS is_procedure,
    r.proretset AS returns_rows,
    r.callers,
    r.prosrc AS body,
    obj_description(r.oid, 'pg_proc') AS comment,
    CASE WHEN r.prorettype NOT IN ('record'::regtype, 'void'::regtype) THEN format_type(r.prorettype, NULL) END AS type,
    (
        SELECT
            COALESCE(
                jsonb_agg(
                    jsonb_build_object(
                        'name', a.name,
                        'type', format_type(a.type, NULL),
                        'mode', COALESCE(a.mode, 'i'),
                        'default', pg_get_function_arg_default(r.oid, a.number::integer)
                    ) ORDER BY a.number
                ),
                '[]'::jsonb
            )
        FROM unnest(COALESCE(r.proallargtypes, r.proargtypes::oid[]), r.proargmodes, r.proargnames)
            WITH ORDINALITY AS a (type, mode, name, number)
    ) AS arguments
FROM sections AS r
WHERE r.section IS NOT NULL
ORDER BY
    r.section,
    r.proname COLLATE "C"
