-- Run before a revision: checks that its tables do not exist, and creates the schemas and the version table. For
-- `adopt`, where only the history is missing, it creates the ledger, too. alembic would create its table itself, but
-- without comments, and with the privileges of ALTER DEFAULT PRIVILEGES: in `public` of a Supabase database, all
-- privileges for all roles.
DO $body$
DECLARE
    v_grants text;
    v_strangers text;
    v_made text[] := '{}';
    v_new_schema text;
    v_revoke text;
BEGIN
    SELECT
        string_agg(
            DISTINCT format(
                'GRANT CREATE ON %s TO %I',
                CASE
                    WHEN there.oid IS NULL THEN format('DATABASE %I', current_database())
                    ELSE format('SCHEMA %I', ours.name)
                END,
                current_user
            ),
            '; '
        )
    INTO v_grants
    FROM (
        VALUES
        ({{ schema | literal }}), ({{ monitoring_schema | literal }}), ({{ internal_schema | literal }})
    ) AS ours (name)
    LEFT JOIN pg_namespace AS there ON there.nspname = ours.name
    WHERE
        NOT COALESCE(
            has_schema_privilege(there.oid, 'CREATE'),
            has_database_privilege(current_database(), 'CREATE')
        );
    IF v_grants IS NOT NULL THEN
        RAISE EXCEPTION 'role % may not create what ticketdb needs in database %',
            current_user, current_database()
            USING ERRCODE = 'insufficient_privilege', HINT = 'let a DBA run: ' || v_grants;
    END IF;
    SELECT string_agg(there.name, ', ' ORDER BY there.name)
    INTO v_strangers
    FROM jsonb_array_elements_text({{ tables }}) AS wanted (name)
    CROSS JOIN LATERAL (SELECT to_regclass(wanted.name)::text) AS there (name);
    IF v_strangers IS NOT NULL THEN
        RAISE EXCEPTION '% is there already, and in no ledger', v_strangers
            USING ERRCODE = 'duplicate_table', DETAIL = 'nothing was changed';
    END IF;
    BEGIN
        IF to_regnamespace(quote_ident({{ schema | literal }})) IS NULL THEN
            CREATE SCHEMA {{ schema }};
            COMMENT ON SCHEMA {{ schema }} IS 'ticketdb: tables and functions that sell seats.';
        END IF;
        IF to_regnamespace(quote_ident({{ internal_schema | literal }})) IS NULL THEN
            CREATE SCHEMA {{ internal_schema }};
            COMMENT ON SCHEMA {{ internal_schema }} IS
            'ticketdb: ledger, rollups, partitions of the logs and internal functions. For their owner only.';
            v_new_schema := {{ internal_schema | literal }};
        END IF;
        IF to_regclass(format('%I.ticketdb_alembic_version', {{ internal_schema | literal }})) IS NULL THEN
            CREATE TABLE {{ internal_schema }}.ticketdb_alembic_version (
                version_num varchar(32) NOT NULL,
                CONSTRAINT ticketdb_alembic_version_pkc PRIMARY KEY (version_num)
            );
            COMMENT ON TABLE {{ internal_schema }}.ticketdb_alembic_version IS
            'The revision that the database is at: one row, kept by alembic.';
            COMMENT ON COLUMN {{ internal_schema }}.ticketdb_alembic_version.version_num IS 'Revision id.';
            v_made := v_made || 'ticketdb_alembic_version'::text;
        END IF;
    EXCEPTION
        -- Another session has just created them, and with them the table that is the migration lock.
        WHEN unique_violation OR duplicate_schema OR duplicate_table THEN
            RAISE EXCEPTION 'another migration of this schema is running'
                USING ERRCODE = 'lock_not_available', HINT = 'run this again when it is done';
    END;
{% if ledger is defined %}
    IF to_regclass(format('%I.ticketdb_migrations', {{ internal_schema | literal }})) IS NULL THEN
        EXECUTE {{ ledger }};
        v_made := v_made || 'ticketdb_migrations'::text;
    END IF;
{% endif %}
    FOR v_revoke IN
        SELECT DISTINCT
            format(
                'REVOKE ALL ON SCHEMA %I FROM %s', n.nspname, COALESCE(quote_ident(r.rolname), 'PUBLIC')
            )
        FROM pg_namespace AS n
        CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE n.nspname = v_new_schema AND a.grantee <> n.nspowner
        UNION ALL
        SELECT DISTINCT
            format(
                'REVOKE ALL ON TABLE %I.%I FROM %s',
                {{ internal_schema | literal }}, c.relname, COALESCE(quote_ident(r.rolname), 'PUBLIC')
            )
        FROM pg_class AS c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        LEFT JOIN pg_roles AS r ON r.oid = a.grantee
        WHERE
            c.relnamespace = to_regnamespace(quote_ident({{ internal_schema | literal }}))
            AND c.relname = ANY(v_made)
            AND a.grantee <> c.relowner
    LOOP
        EXECUTE v_revoke;
    END LOOP;
END;
$body$;
