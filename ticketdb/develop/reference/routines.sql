-- The functions and procedures that people call, with all that the reference says of them: those of the application,
-- those of the box office, and those that operate the database, which only its owner may call.
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
)

SELECT
    CASE
        WHEN r.callers ? {{ app_role | literal }} THEN 'application'
        WHEN r.callers ? {{ box_office_role | literal }} THEN 'box office'
        ELSE 'operation'
    END AS section,
    r.proname AS name,
    r.prokind = 'p' AS is_procedure,
    r.proretset AS returns_rows,
    r.callers,
    -- With those of internal functions that find out error codes for it.
    concat_ws(
        ' ',
        r.prosrc,
        (
            SELECT string_agg(f.prosrc, ' ')
            FROM pg_proc AS f
            WHERE
                f.pronamespace = to_regnamespace(quote_ident({{ internal_schema | literal }}))
                AND 'error_code' = ANY(f.proargnames)
                AND strpos(r.prosrc, '.' || f.proname || '(') > 0
        )
    ) AS body,
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
FROM routines AS r
ORDER BY
    section,
    r.proname COLLATE "C"
