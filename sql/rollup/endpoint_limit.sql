-- How many endpoints are told apart, for the rollup and for the view: the busiest. Their names come
-- from outside, and each is a label of somebody's dashboard.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.endpoint_limit()
RETURNS integer
LANGUAGE sql
IMMUTABLE
RETURN 50;

COMMENT ON FUNCTION {{ internal_schema }}.endpoint_limit() IS
'So many endpoints, the busiest, keep their name in a minute of the rollup and in '
'api_endpoint_health; the rest are added up as "other".';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.endpoint_limit() TO {{ monitor_role }};
{% endif %}
