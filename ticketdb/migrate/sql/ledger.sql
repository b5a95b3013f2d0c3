{% if is_up %}
INSERT INTO {{ internal_schema }}.ticketdb_migrations (
    revision, source_sha256, rendered_sha256, duration_seconds, package_version, variables
) VALUES (
    {{ revision }}, {{ source_sha256 }}, {{ rendered_sha256 }},
    extract(epoch FROM clock_timestamp())
    - COALESCE(
        NULLIF(current_setting('ticketdb.started', true), '')::numeric, extract(epoch FROM transaction_timestamp())
    ),
    {{ package_version }}, {{ variables_json }}::jsonb
);
{% else %}
DELETE FROM {{ internal_schema }}.ticketdb_migrations WHERE revision = {{ revision }};
{% endif %}
