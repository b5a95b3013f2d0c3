-- For a statement of a revision that runs outside a transaction: the statements to send in its place, one a row.
-- Usually that is the statement itself. One that creates, rebuilds or drops an index CONCURRENTLY gets others around
-- it, so that it can be repeated, wherever it was interrupted: an invalid index slows down every write, serves no read,
-- and would be kept by IF NOT EXISTS for ever. lock_timeout would end its wait for old transactions, and leave such an
-- index.
WITH parsed AS (
    SELECT
        upper(m[1]) AS action,
        m[2] AS is_unique,
        m[3] AS name,
        m[4] AS relation,
        m[5] AS definition
    FROM regexp_match(
        {{ statement }},
        '^(CREATE|REINDEX|DROP)(\s+UNIQUE)?(?:\s*\([^)]*\))?\s+(?:INDEX|TABLE)\s+CONCURRENTLY\s+'
        || replace(
            '(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?!ON\M)(<name>)(?:\s+ON\s+(<name>)(.*))?',
            '<name>',
            '(?:"(?:[^"]|"")+"|\w+)(?:\.(?:"(?:[^"]|"")+"|\w+))?'
        ),
        'i'
    ) AS m
),

-- The index, if it exists. REINDEX builds the new one under another name, and drops the old one under a third.
found AS (
    SELECT
        i.indexrelid::regclass AS index,
        i.indisvalid
    FROM parsed AS p
    CROSS JOIN pg_index AS i
    INNER JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE
        CASE p.action
            WHEN 'CREATE' THEN i.indrelid = to_regclass(p.relation) AND c.relname = (parse_ident(p.name))[1]
            WHEN 'DROP' THEN i.indexrelid = to_regclass(p.name)
            ELSE c.relname ~ '_cc(new|old)\d*$' AND i.indrelid IN (
                SELECT x.indrelid FROM pg_index AS x WHERE to_regclass(p.name) IN (x.indexrelid, x.indrelid)
            )
        END
),

sent AS (
    -- A session that still builds the index, for instance after its client was killed, has this lock. Wait for it; if
    -- it has changed anything in the meantime, this whole query has to be run again.
    SELECT
        1 AS position,
        format('BEGIN; LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE; COMMIT', p.relation) AS statement
    FROM parsed AS p
    WHERE p.action = 'CREATE'
    UNION ALL
    SELECT
        2,
        format(
            $check$
            DO $do$
            BEGIN
                IF (
                    SELECT format('%%s %%s', i.indexrelid::regclass, i.indisvalid)
                    FROM pg_index AS i
                    INNER JOIN pg_class AS c ON c.oid = i.indexrelid
                    WHERE i.indrelid = to_regclass(%L) AND c.relname = (parse_ident(%L))[1]
                ) IS DISTINCT FROM %L THEN
                    RAISE lock_not_available USING MESSAGE = 'another session was making that index';
                END IF;
            END;
            $do$
            $check$,
            p.relation, p.name, (SELECT format('%s %s', f.index, f.indisvalid) FROM found AS f)
        )
    FROM parsed AS p
    WHERE p.action = 'CREATE'
    UNION ALL
    SELECT
        3,
        $do$DO 'BEGIN RAISE syntax_error USING MESSAGE = ''an index needs a name, to be found again''; END'$do$
    WHERE {{ statement }} ~* '\mINDEX\s+CONCURRENTLY\s+(IF\s+NOT\s+EXISTS\s+)?ON\M'
    UNION ALL
    SELECT
        4,
        'SET lock_timeout = 0'
    FROM parsed
    UNION ALL
    SELECT
        5,
        format('DROP INDEX CONCURRENTLY IF EXISTS %s', f.index)
    FROM found AS f
    WHERE NOT f.indisvalid
    UNION ALL
    SELECT
        6,
        {{ statement }}
    WHERE NOT EXISTS (
        SELECT FROM parsed AS p
        WHERE
            (p.action = 'CREATE' AND EXISTS (SELECT FROM found AS f WHERE f.indisvalid))
            OR (p.action = 'DROP' AND NOT EXISTS (SELECT FROM found AS f WHERE f.indisvalid))
    )
    UNION ALL
    SELECT
        7,
        format('SET lock_timeout = %L', current_setting('lock_timeout'))
    FROM parsed
    UNION ALL
    -- Is the index valid, and is it the one that the statement creates? If so, pg_get_indexdef prints the same for an
    -- index that the statement creates on an empty table.
    SELECT
        8,
        format(
            $check$
            DO $do$
            DECLARE
                v_index record;
                v_wanted text;
            BEGIN
                FOR v_index IN
                    SELECT
                        format('%%I.%%I', n.nspname, x.relname) AS name,
                        i.indisvalid,
                        t.relname AS relation,
                        format('%%I.%%I', n.nspname, t.relname) AS relation_path,
                        replace(
                            pg_get_indexdef(i.indexrelid),
                            format(' INDEX %%I ON %%I.%%I USING ', x.relname, n.nspname, t.relname),
                            ' INDEX USING '
                        ) AS definition
                    FROM pg_index AS i
                    INNER JOIN pg_class AS x ON x.oid = i.indexrelid
                    INNER JOIN pg_class AS t ON t.oid = i.indrelid
                    INNER JOIN pg_namespace AS n ON n.oid = t.relnamespace
                    WHERE
                        to_regclass(%2$L) IN (x.oid, t.oid)
                        OR (t.oid = to_regclass(%3$L) AND x.relname = (parse_ident(%2$L))[1])
                LOOP
                    IF NOT v_index.indisvalid THEN
                        RAISE EXCEPTION 'index %% is not valid', v_index.name
                            USING
                                ERRCODE = 'object_not_in_prerequisite_state',
                                HINT = format('DROP INDEX CONCURRENTLY %%s, then run this again', v_index.name);
                    END IF;
                    CONTINUE WHEN %1$L <> 'CREATE';
                    EXECUTE format(
                        'CREATE TEMPORARY TABLE %%I (LIKE %%s) ON COMMIT DROP', v_index.relation, v_index.relation_path
                    );
                    EXECUTE format('CREATE %%s INDEX probe ON pg_temp.%%I %%s', %4$L, v_index.relation, %5$L);
                    v_wanted := replace(
                        pg_get_indexdef('pg_temp.probe'::regclass),
                        format(' INDEX probe ON pg_temp.%%I USING ', v_index.relation),
                        ' INDEX USING '
                    );
                    IF v_index.definition <> v_wanted THEN
                        RAISE EXCEPTION 'index %% is there already, and is another one: %% instead of %%',
                            v_index.name, v_index.definition, v_wanted
                            USING ERRCODE = 'duplicate_object';
                    END IF;
                END LOOP;
            END;
            $do$
            $check$,
            p.action, p.name, p.relation, p.is_unique, p.definition
        )
    FROM parsed AS p
    WHERE p.action <> 'DROP'
)

SELECT s.statement
FROM sent AS s
ORDER BY s.position
