-- Around the SQL of a revision that replaces an object: users' views that depend on it are dropped before, and created
-- again after, in the same transaction. If any of them could not be restored as it was, nothing is done, and all such
-- objects are listed. The views are kept in a setting of the transaction: a temporary table would need a privilege.
DO $body$
DECLARE
    -- The attributes of a view ($1) besides its query.
    v_details CONSTANT text := $query$
        SELECT jsonb_build_object(
            'owner', pg_get_userbyid(c.relowner),
            'options', c.reloptions,
            'comment', obj_description(c.oid, 'pg_class'),
            'columns', (
                SELECT jsonb_agg(
                    jsonb_build_object(
                        'name', a.attname,
                        'preset', pg_get_expr(d.adbin, d.adrelid),
                        'comment', col_description(c.oid, a.attnum)
                    ) ORDER BY a.attnum
                )
                FROM pg_attribute AS a
                LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                WHERE a.attrelid = c.oid AND a.attnum > 0
            ),
            -- Grants by the owner come first: the others depend on them.
            'privileges', (
                SELECT jsonb_agg(
                    jsonb_build_object(
                        'column', p.attname,
                        'grantee', e.rolname,
                        'grantor', pg_get_userbyid(p.grantor),
                        'privilege', p.privilege_type,
                        'option', p.is_grantable
                    )
                    ORDER BY p.grantor <> c.relowner, p.grantor, e.rolname, p.attname, p.privilege_type
                )
                FROM (
                    SELECT
                        NULL AS attname,
                        x.*
                    FROM aclexplode(COALESCE(c.relacl, acldefault('r', c.relowner))) AS x
                    UNION ALL
                    SELECT
                        a.attname,
                        x.*
                    FROM pg_attribute AS a
                    CROSS JOIN LATERAL aclexplode(a.attacl) AS x
                    WHERE a.attrelid = c.oid
                ) AS p
                LEFT JOIN pg_roles AS e ON e.oid = p.grantee
            )
        )
        FROM pg_class AS c
        WHERE c.oid = $1
    $query$;
{% if saving %}
    v_replacing CONSTANT text := regexp_replace({{ replacing }}, '--[^\n]*', '', 'g');
    v_name CONSTANT text := '(?:"(?:[^"]|"")+"|[[:alpha:]_][\w$]*)';
    v_path CONSTANT text := v_name || '(?:\.' || v_name || ')?';
    v_own CONSTANT text[] := ARRAY(SELECT jsonb_array_elements_text({{ own }}));
    v_stuck text;
    v_views oid[];
    v_view oid;
    v_path_of_view text;
    v_query text;
    v_found jsonb;
    v_saved jsonb := '[]';
BEGIN
    WITH RECURSIVE altered AS (
        SELECT
            COALESCE(p.relid, to_regclass(m[1])) AS relation,
            m[2] AS actions
        FROM regexp_matches(
            v_replacing, 'ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(' || v_path || ')([^;]*)', 'gi'
        ) AS m
        LEFT JOIN LATERAL pg_partition_tree(to_regclass(m[1])) AS p ON true
    ),

    replaced AS (
        SELECT
            'pg_class'::regclass::oid AS class_id,
            c.oid AS object_id,
            0 AS part
        FROM regexp_matches(v_replacing, 'DROP\s+(?:VIEW|TABLE)\s+(?:IF\s+EXISTS\s+)?(' || v_path || ')', 'gi') AS m
        INNER JOIN pg_class AS c ON c.oid = to_regclass(m[1])
        UNION
        SELECT
            'pg_proc'::regclass,
            p.oid,
            0
        FROM regexp_matches(
            v_replacing, 'DROP\s+(?:FUNCTION|PROCEDURE|ROUTINE)\s+(?:IF\s+EXISTS\s+)?(' || v_path || ')', 'gi'
        ) AS m
        INNER JOIN pg_namespace AS n ON n.nspname = (parse_ident(m[1]))[1]
        INNER JOIN pg_proc AS p ON p.pronamespace = n.oid AND p.proname = (parse_ident(m[1]))[2]
        UNION
        SELECT
            'pg_class'::regclass,
            a.attrelid,
            a.attnum
        FROM altered AS t
        CROSS JOIN LATERAL regexp_matches(
            t.actions,
            '\mALTER\s+(?:COLUMN\s+)?(' || v_name || ')\s+(?:SET\s+DATA\s+)?TYPE\M'
            || '|\mDROP\s+COLUMN\s+(?:IF\s+EXISTS\s+)?(' || v_name || ')',
            'gi'
        ) AS m
        INNER JOIN pg_attribute AS a
            ON a.attrelid = t.relation AND a.attname = (parse_ident(COALESCE(m[1], m[2])))[1]
        UNION
        SELECT
            'pg_constraint'::regclass,
            c.oid,
            0
        FROM altered AS t
        CROSS JOIN LATERAL regexp_matches(
            t.actions, '\mDROP\s+CONSTRAINT\s+(?:IF\s+EXISTS\s+)?(' || v_name || ')', 'gi'
        ) AS m
        INNER JOIN pg_constraint AS c ON c.conrelid = t.relation AND c.conname = (parse_ident(m[1]))[1]
    ),

    own_relations AS (
        SELECT c.oid
        FROM pg_class AS c
        INNER JOIN pg_class AS r ON r.oid = COALESCE(pg_partition_root(c.oid), c.oid)
        INNER JOIN pg_namespace AS n ON n.oid = r.relnamespace
        WHERE
            n.nspname IN ({{ schema | literal }}, {{ monitoring_schema | literal }}, {{ internal_schema | literal }})
            AND r.relname = ANY(v_own)
    ),

    -- Objects that prevent the change, and those that depend on the views among them. A view depends through its rule,
    -- and has a row type.
    reached AS (
        SELECT
            r.*,
            0 AS depth,
            false AS is_part,
            true AS leads_on
        FROM replaced AS r
        UNION
        SELECT
            x.*,
            r.depth + 1,
            d.deptype = 'i',
            d.deptype = 'i' OR (v.relkind = 'v' AND x.part = 0 AND o.oid IS NULL)
        FROM reached AS r
        INNER JOIN pg_depend AS d
            ON d.refclassid = r.class_id AND d.refobjid = r.object_id
            AND (r.part = 0 OR d.refobjsubid = r.part)
            AND d.deptype IN ('n', 'i')
        LEFT JOIN pg_rewrite AS w
            ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid AND w.rulename = '_RETURN'
        CROSS JOIN LATERAL (
            SELECT
                CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_class'::regclass END AS class_id,
                COALESCE(w.ev_class, d.objid) AS object_id,
                CASE WHEN w.oid IS NULL THEN d.objsubid ELSE 0 END AS part
        ) AS x
        LEFT JOIN pg_class AS v ON x.class_id = 'pg_class'::regclass AND v.oid = x.object_id
        LEFT JOIN own_relations AS o ON o.oid = v.oid
        WHERE
            r.leads_on
            AND (x.class_id, x.object_id) <> (r.class_id, r.object_id)
            -- ALTER COLUMN TYPE rebuilds foreign keys by itself.
            AND NOT (r.part > 0 AND x.class_id = 'pg_constraint'::regclass)
    ),

    dependents AS (
        SELECT
            r.class_id,
            r.object_id,
            r.part,
            COALESCE(v.relkind = 'v' AND r.part = 0, false) AS is_view,
            max(r.depth) AS depth
        FROM reached AS r
        LEFT JOIN pg_trigger AS t ON r.class_id = 'pg_trigger'::regclass AND t.oid = r.object_id
        LEFT JOIN pg_constraint AS c ON r.class_id = 'pg_constraint'::regclass AND c.oid = r.object_id
        LEFT JOIN pg_attrdef AS a ON r.class_id = 'pg_attrdef'::regclass AND a.oid = r.object_id
        LEFT JOIN pg_policy AS p ON r.class_id = 'pg_policy'::regclass AND p.oid = r.object_id
        LEFT JOIN pg_class AS v ON r.class_id = 'pg_class'::regclass AND v.oid = r.object_id
        LEFT JOIN pg_index AS i ON i.indexrelid = v.oid
        LEFT JOIN pg_proc AS f ON r.class_id = 'pg_proc'::regclass AND f.oid = r.object_id
        LEFT JOIN pg_namespace AS n ON n.oid = f.pronamespace
        LEFT JOIN own_relations AS o
            ON o.oid = COALESCE(t.tgrelid, NULLIF(c.conrelid, 0), a.adrelid, p.polrelid, i.indrelid, v.oid)
        WHERE
            NOT r.is_part
            AND o.oid IS NULL
            AND NOT COALESCE(
                n.nspname IN (
                    {{ schema | literal }}, {{ monitoring_schema | literal }}, {{ internal_schema | literal }}
                )
                AND f.proname = ANY(v_own),
                false
            )
            AND NOT EXISTS (
                SELECT FROM replaced AS x WHERE (x.class_id, x.object_id, x.part) = (r.class_id, r.object_id, r.part)
            )
        GROUP BY
            1,
            2,
            3,
            4
    ),

    judged AS (
        SELECT
            d.object_id,
            d.depth,
            pg_describe_object(d.class_id, d.object_id, d.part) AS what,
            CASE
                WHEN NOT d.is_view THEN ''
                WHEN v.relpersistence = 't' THEN ' (temporary)'
                WHEN NOT pg_has_role(v.relowner, 'USAGE') THEN format(' (of role %I)', pg_get_userbyid(v.relowner))
                WHEN EXISTS (
                    SELECT FROM pg_depend AS e
                    WHERE (e.classid, e.objid, e.deptype) = ('pg_class'::regclass, v.oid, 'e')
                ) THEN ' (of an extension)'
                WHEN EXISTS (
                    SELECT FROM pg_seclabel AS l
                    WHERE (l.classoid, l.objoid) = ('pg_class'::regclass, v.oid)
                ) THEN ' (has a security label)'
            END AS objection
        FROM dependents AS d
        LEFT JOIN pg_class AS v ON d.is_view AND v.oid = d.object_id
        UNION ALL
        -- These would be dropped without notice.
        SELECT
            a.object_id,
            0,
            pg_describe_object(a.class_id, a.object_id, 0),
            ''
        FROM (
            SELECT
                'pg_trigger'::regclass AS class_id,
                t.oid AS object_id,
                t.tgrelid AS relation
            FROM pg_trigger AS t
            UNION ALL
            SELECT
                'pg_rewrite'::regclass,
                w.oid,
                w.ev_class
            FROM pg_rewrite AS w
            WHERE w.rulename <> '_RETURN'
        ) AS a
        INNER JOIN pg_class AS v ON v.oid = a.relation AND v.relkind = 'v'
        WHERE
            EXISTS (
                SELECT FROM reached AS r
                WHERE (r.class_id, r.object_id, r.part, r.leads_on) = ('pg_class'::regclass, v.oid, 0, true)
            )
    )

    SELECT
        string_agg(DISTINCT j.what || j.objection, '; ' ORDER BY j.what || j.objection),
        array_agg(j.object_id ORDER BY j.depth DESC, j.object_id DESC) FILTER (WHERE j.objection IS NULL)
    INTO v_stuck, v_views
    FROM judged AS j;
    IF v_stuck IS NOT NULL THEN
        RAISE EXCEPTION 'objects that could not be restored depend on what this revision replaces: %', v_stuck
            USING ERRCODE = 'dependent_objects_still_exist', DETAIL = 'nothing was changed';
    END IF;
    FOREACH v_view IN ARRAY COALESCE(v_views, '{}') LOOP
        EXECUTE v_details INTO v_found USING v_view;
        SELECT
            format('%I.%I', n.nspname, c.relname),
            pg_get_viewdef(c.oid)
        INTO v_path_of_view, v_query
        FROM pg_class AS c
        INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.oid = v_view;
        v_saved := jsonb_build_object('view', v_path_of_view, 'query', v_query, 'details', v_found) || v_saved;
        EXECUTE 'DROP VIEW ' || v_path_of_view;
    END LOOP;
    PERFORM set_config('ticketdb.dependents', v_saved::text, true);
{% else %}
    v_role CONSTANT text := current_user;
    v_saved record;
    v_statement text;
    v_found jsonb;
BEGIN
    FOR v_saved IN
        SELECT
            s.element ->> 'view' AS path,
            s.element ->> 'query' AS query,
            s.element -> 'details' AS details,
            s.element #>> '{details,owner}' AS owner
        FROM jsonb_array_elements(current_setting('ticketdb.dependents')::jsonb) WITH ORDINALITY
            AS s (element, position)
        ORDER BY s.position
    LOOP
        BEGIN
            EXECUTE format(
                'CREATE VIEW %s%s AS %s',
                v_saved.path,
                (
                    SELECT ' WITH (' || string_agg(o.option #>> '{}', ', ') || ')'
                    FROM jsonb_path_query(v_saved.details, '$.options[*]') AS o (option)
                ),
                v_saved.query
            );
            EXECUTE format('ALTER VIEW %s OWNER TO %I', v_saved.path, v_saved.owner);
            FOR v_statement IN
                SELECT format('COMMENT ON VIEW %s IS %L', v_saved.path, v_saved.details ->> 'comment')
                WHERE v_saved.details ->> 'comment' IS NOT NULL
                UNION ALL
                SELECT format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', v_saved.path, c.name, c.preset)
                FROM jsonb_to_recordset(v_saved.details -> 'columns') AS c (name text, preset text)
                WHERE c.preset IS NOT NULL
                UNION ALL
                SELECT format('COMMENT ON COLUMN %s.%I IS %L', v_saved.path, c.name, c.comment)
                FROM jsonb_to_recordset(v_saved.details -> 'columns') AS c (name text, comment text)
                WHERE c.comment IS NOT NULL
            LOOP
                EXECUTE v_statement;
            END LOOP;
            EXECUTE v_details INTO v_found USING v_saved.path::regclass;
            IF v_found -> 'privileges' IS DISTINCT FROM v_saved.details -> 'privileges' THEN
                FOR v_statement IN
                    SELECT DISTINCT
                        format(
                            'REVOKE ALL ON TABLE %s FROM %s', v_saved.path, COALESCE(quote_ident(p.grantee), 'PUBLIC')
                        )
                    FROM jsonb_to_recordset(v_found -> 'privileges') AS p (grantee text)
                LOOP
                    EXECUTE v_statement;
                END LOOP;
                FOR v_statement IN
                    SELECT
                        CASE WHEN p.grantor <> v_saved.owner THEN format('SET LOCAL ROLE %I; ', p.grantor) ELSE '' END
                        || format(
                            'GRANT %s%s ON TABLE %s TO %s%s',
                            p.privilege,
                            '(' || quote_ident(p.column) || ')',
                            v_saved.path,
                            COALESCE(quote_ident(p.grantee), 'PUBLIC'),
                            CASE WHEN p.option THEN ' WITH GRANT OPTION' END
                        )
                        || CASE WHEN p.grantor <> v_saved.owner THEN format('; SET LOCAL ROLE %I', v_role) ELSE '' END
                    FROM ROWS FROM (
                        jsonb_to_recordset(v_saved.details -> 'privileges')
                        AS (grantor text, grantee text, "column" text, privilege text, option boolean)
                    ) WITH ORDINALITY AS p (grantor, grantee, "column", privilege, option, position)
                    ORDER BY p.position
                LOOP
                    EXECUTE v_statement;
                END LOOP;
                EXECUTE v_details INTO v_found USING v_saved.path::regclass;
            END IF;
            IF v_found IS DISTINCT FROM v_saved.details THEN
                RAISE EXCEPTION 'it would be % instead of %', v_found, v_saved.details;
            END IF;
        EXCEPTION
            WHEN OTHERS THEN
                RAISE EXCEPTION 'view % cannot be made again: %', v_saved.path, SQLERRM
                    USING ERRCODE = 'dependent_objects_still_exist';
        END;
    END LOOP;
{% endif %}
END;
$body$;
