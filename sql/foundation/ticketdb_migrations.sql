-- The ledger. ticketdb writes it in the transaction of each revision; verify and apply compare it
-- with the package.
CREATE TABLE {{ internal_schema }}.ticketdb_migrations (
    revision text NOT NULL,
    source_sha256 text NOT NULL,
    rendered_sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT session_user,
    duration_seconds double precision NOT NULL,
    package_version text NOT NULL,
    variables jsonb NOT NULL,
    CONSTRAINT ticketdb_migrations_pkey PRIMARY KEY (revision),
    CONSTRAINT ticketdb_migrations_applied_at_check CHECK (isfinite(applied_at)),
    CONSTRAINT ticketdb_migrations_source_sha256_check CHECK (source_sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT ticketdb_migrations_rendered_sha256_check CHECK (rendered_sha256 ~ '^[0-9a-f]{64}$')
);

COMMENT ON TABLE {{ internal_schema }}.ticketdb_migrations IS
'Ledger of applied revisions: what ran, when, by whom, and the checksums that prove it.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.revision IS
'Revision id, as in alembic.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.source_sha256 IS
'SHA-256 (hex) of the frozen template file.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.rendered_sha256 IS
'SHA-256 (hex) of the SQL that was sent, after the variables were filled in.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.applied_at IS
'Start of the transaction that applied it.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.applied_by IS
'The role that had logged in.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.duration_seconds IS
'How long its SQL ran, in seconds.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.package_version IS
'Version of the ticketdb package that ran it.';
COMMENT ON COLUMN {{ internal_schema }}.ticketdb_migrations.variables IS
'Template variables that it was rendered with: names of schemas, roles and jobs.';
COMMENT ON CONSTRAINT ticketdb_migrations_source_sha256_check
ON {{ internal_schema }}.ticketdb_migrations IS 'A SHA-256 has 64 hexadecimal digits.';
COMMENT ON CONSTRAINT ticketdb_migrations_rendered_sha256_check
ON {{ internal_schema }}.ticketdb_migrations IS 'A SHA-256 has 64 hexadecimal digits.';
