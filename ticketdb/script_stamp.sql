DELETE FROM {{ schema }}.ticketdb_alembic_version;
INSERT INTO {{ schema }}.ticketdb_alembic_version (version_num) VALUES ({{ revision }});
