-- How many endpoints the rollup and the view keep by name. Names of endpoints come from outside,
-- and each becomes a label on a dashboard.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.endpoint_limit()
RETURNS integer
LANGUAGE sql
IMMUTABLE
RETURN 50;

COMMENT ON FUNCTION {{ internal_schema }}.endpoint_limit() IS
'Number of endpoints, the busiest, that keep their name in a minute of the rollup and in '
'api_endpoint_health. The rest are added up as other.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.endpoint_limit() TO {{ monitor_role }};
{% endif %}
