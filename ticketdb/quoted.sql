-- The names as PostgreSQL prints them: quoted only where necessary.
SELECT
    quote_ident({{ schema | literal }}) AS schema,
    quote_ident({{ monitoring_schema | literal }}) AS monitoring_schema,
    quote_ident({{ internal_schema | literal }}) AS internal_schema,
    quote_ident({{ app_role | literal }}) AS app_role,
    quote_ident({{ box_office_role | literal }}) AS box_office_role,
    quote_ident({{ monitor_role | literal }}) AS monitor_role,
    quote_ident({{ dashboard_role | literal }}) AS dashboard_role,
    quote_ident({{ datadog_role | literal }}) AS datadog_role
