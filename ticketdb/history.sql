-- The revision that alembic has recorded, and the ledger.
SELECT
    {% if has_version %}
    (SELECT v.version_num FROM {{ internal_schema }}.ticketdb_alembic_version AS v) AS revision,
    {% else %}
    NULL AS revision,
    {% endif %}
    {% if has_ledger %}
    COALESCE(
        (
            SELECT jsonb_agg(to_jsonb(l) ORDER BY l.revision)
            FROM {{ internal_schema }}.ticketdb_migrations AS l
        ),
        '[]'
    ) AS ledger
    {% else %}
    '[]'::jsonb AS ledger
    {% endif %}
