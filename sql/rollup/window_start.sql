-- Windows begin at whole minutes: those are what the rollups can tell apart. Not date_trunc():
-- there are time zones whose minutes begin elsewhere, and a session may be in one.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.window_start(p_length interval)
RETURNS timestamptz
LANGUAGE sql
STABLE
RETURN date_bin('1 minute', now() - p_length, '2000-01-01 00:00+00');

COMMENT ON FUNCTION {{ internal_schema }}.window_start(interval) IS
'Beginning of the window of this length up to now, in a view of the metrics.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.window_start(interval) TO {{ monitor_role }};
{% endif %}
