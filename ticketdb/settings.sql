-- The settings of a connection of ticketdb, whatever those of the role and the database are: the ones that pg_dump
-- pins, and others that could change what is stored, found or printed. With this search path an unqualified name is an
-- error instead of a guess. Settings that this server does not have, such as transaction_timeout before 17, are left
-- out. Time limits are lifted for `patient` connections only: the limits of roles that monitor are there on purpose.
SELECT
    pg_catalog.set_config(
        s.setting,
{% if resetting is defined %}
        p.reset_val,
{% else %}
        s.value,
{% endif %}
{% if is_local is defined %}
        true
{% else %}
        false
{% endif %}
    )
FROM (
    VALUES
    ('client_min_messages', 'warning'),
    ('standard_conforming_strings', 'on'),
    ('search_path', 'pg_catalog, pg_temp'),
    ('quote_all_identifiers', 'off'),
    ('DateStyle', 'ISO, MDY'),
    ('IntervalStyle', 'postgres'),
    ('extra_float_digits', '3'),
    ('bytea_output', 'hex'),
    ('xmloption', 'content'),
    ('array_nulls', 'on'),
    ('transform_null_equals', 'off'),
    ('row_security', 'on'),
    ('restrict_nonsystem_relation_kind', ''),
    ('check_function_bodies', 'on'),
    ('plpgsql.extra_errors', 'none'),
    ('createrole_self_grant', ''),
    ('default_transaction_isolation', 'read committed'),
    ('exit_on_error', 'off')
{% if patient is defined %},
    ('TimeZone', 'UTC'),
    ('lock_timeout', {{ lock_timeout }}),
    ('statement_timeout', {{ statement_timeout }}),
    ('transaction_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('idle_session_timeout', '0')
{% endif %}
) AS s (setting, value)
{% if resetting is defined %}
INNER JOIN pg_catalog.pg_settings AS p ON p.name = s.setting
{% else %}
WHERE pg_catalog.current_setting(s.setting, true) IS NOT NULL
{% endif %};
