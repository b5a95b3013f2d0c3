-- Run before the first revision: the schema, and the table in which alembic keeps the version.
-- alembic would make its table by itself, without comments and with whatever ALTER DEFAULT
-- PRIVILEGES hands out: in `public` of a Supabase database, everything to everybody.
DO $body$
DECLARE
    v_table text := format('%I.ticketdb_alembic_version', {{ schema | literal }});
    v_grantee text;
BEGIN
    IF to_regnamespace(quote_ident({{ schema | literal }})) IS NULL THEN
        CREATE SCHEMA {{ schema }};
        COMMENT ON SCHEMA {{ schema }} IS 'ticketdb: tables and functions that sell seats.';
    END IF;
    IF to_regclass(v_table) IS NULL THEN
        CREATE TABLE {{ schema }}.ticketdb_alembic_version (
            version_num varchar(32) NOT NULL,
            CONSTRAINT ticketdb_alembic_version_pkc PRIMARY KEY (version_num)
        );
        COMMENT ON TABLE {{ schema }}.ticketdb_alembic_version IS
        'The revision that the database is at: one row, kept by alembic.';
        COMMENT ON COLUMN {{ schema }}.ticketdb_alembic_version.version_num IS 'Revision id.';
        COMMENT ON CONSTRAINT ticketdb_alembic_version_pkc
        ON {{ schema }}.ticketdb_alembic_version IS 'A revision is reached once.';
        FOR v_grantee IN
            SELECT DISTINCT COALESCE(quote_ident(r.rolname), 'PUBLIC')
            FROM pg_class AS c
            CROSS JOIN LATERAL aclexplode(c.relacl) AS a
            LEFT JOIN pg_roles AS r ON r.oid = a.grantee
            WHERE c.oid = to_regclass(v_table) AND a.grantee <> c.relowner
        LOOP
            EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', v_table, v_grantee);
        END LOOP;
    END IF;
END;
$body$;
