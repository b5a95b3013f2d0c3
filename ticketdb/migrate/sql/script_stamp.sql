DELETE FROM {{ internal_schema }}.ticketdb_alembic_version;
INSERT INTO {{ internal_schema }}.ticketdb_alembic_version (version_num) VALUES ({{ revision }});
