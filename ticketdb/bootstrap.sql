-- Run before a revision: whether there is room, the schema, and alembic's table of the version.
-- Where only the history is missing, `adopt` has it make the ledger, too.
-- alembic would make its table by itself, without comments and with whatever ALTER DEFAULT
-- PRIVILEGES hands out: in `public` of a Supabase database, everything to everybody.
DO $body$
DECLARE
    v_schema oid := to_regnamespace(quote_ident({{ schema | literal }}));
    v_strangers text;
    v_made text[] := '{}';
    v_revoke text;
BEGIN
    IF NOT COALESCE(
        has_schema_privilege(v_schema, 'CREATE'),
        has_database_privilege(current_database(), 'CREATE')
    ) THEN
        RAISE EXCEPTION 'role % may not create anything in schema % of database %',
            current_user, {{ schema | literal }}, current_database()
            USING
                ERRCODE = 'insufficient_privilege',
                HINT = format(
                    'let its owner run: GRANT CREATE ON %s TO %I',
                    CASE
                        WHEN v_schema IS NULL THEN format('DATABASE %I', current_database())
                        ELSE format('SCHEMA %I', {{ schema | literal }})
                    END,
                    current_user
                );
    END IF;
    SELECT string_agg(format('%I.%I', {{ schema | literal }}, c.relname), ', ' ORDER BY c.relname)
    INTO v_strangers
    FROM pg_class AS c
    INNER JOIN jsonb_array_elements_text({{ tables }}) AS t (name) ON t.name = c.relname
    WHERE c.relnamespace = v_schema;
    IF v_strangers IS NOT NULL THEN
        RAISE EXCEPTION '% is there already, and in no ledger', v_strangers
            USING ERRCODE = 'duplicate_table', DETAIL = 'nothing was changed';
    END IF;
    BEGIN
        IF v_schema IS NULL THEN
            CREATE SCHEMA {{ schema }};
            COMMENT ON SCHEMA {{ schema }} IS 'ticketdb: tables and functions that sell seats.';
        END IF;
        IF to_regclass(format('%I.ticketdb_alembic_version', {{ schema | literal }})) IS NULL THEN
            CREATE TABLE {{ schema }}.ticketdb_alembic_version (
                version_num varchar(32) NOT NULL,
                CONSTRAINT ticketdb_alembic_version_pkc PRIMARY KEY (version_num)
            );
            COMMENT ON TABLE {{ schema }}.ticketdb_alembic_version IS
            'The revision that the database is at: one row, kept by alembic.';
            COMMENT ON COLUMN {{ schema }}.ticketdb_alembic_version.version_num IS 'Revision id.';
            COMMENT ON CONSTRAINT ticketdb_alembic_version_pkc
            ON {{ schema }}.ticketdb_alembic_version IS 'A revision is reached once.';
            v_made := v_made || 'ticketdb_alembic_version'::text;
        END IF;
    EXCEPTION
        -- Whoever makes them has the migration lock, which is on that table.
        WHEN unique_violation OR duplicate_schema OR duplicate_table THEN
            RAISE EXCEPTION 'another migration of this schema is running'
                USING ERRCODE = 'lock_not_available', HINT = 'run this again when it is done';
    END;
{% if ledger is defined %}
    IF to_regclass(format('%I.ticketdb_migrations', {{ schema | literal }})) IS NULL THEN
        EXECUTE {{ ledger }};
        v_made := v_made || 'ticketdb_migrations'::text;
    END IF;
{% endif %}
    FOR v_revoke IN
        SELECT DISTINCT
            format(
                'REVOKE ALL ON TABLE %I.%I FROM %s',
                {{ schema | literal }}, c.relname, COALESCE(quote_ident(r.rolname), 'PUBLIC')
            )
        FROM pg_class AS c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE
            c.relnamespace = to_regnamespace(quote_ident({{ schema | literal }}))
            AND c.relname = ANY(v_made)
            AND a.grantee <> c.relowner
    LOOP
        EXECUTE v_revoke;
    END LOOP;
END;
$body$;
