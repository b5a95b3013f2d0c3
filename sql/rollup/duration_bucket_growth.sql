-- Width of the buckets of durations, for the rollup and its readers. The bucket numbers in
-- api_duration_minutes are exponents of it: another value needs another table.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.duration_bucket_growth()
RETURNS double precision
LANGUAGE sql
IMMUTABLE
RETURN 1.04::double precision;

COMMENT ON FUNCTION {{ internal_schema }}.duration_bucket_growth() IS
'Ratio between the upper ends of two successive buckets of durations. A percentile computed from '
'buckets is within half of their width, that is two percent.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.duration_bucket_growth() TO {{ monitor_role }};
{% endif %}
