-- How wide the buckets of durations are, for those who fill them and those who read them. Rows of
-- api_duration_minutes bear its powers: another value needs another table.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.duration_bucket_growth()
RETURNS double precision
LANGUAGE sql
IMMUTABLE
RETURN 1.04::double precision;

COMMENT ON FUNCTION {{ internal_schema }}.duration_bucket_growth() IS
'Each bucket of durations ends at so many times the end of the one before: what is read from them '
'is within half of that, two percent.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.duration_bucket_growth() TO {{ monitor_role }};
{% endif %}
