-- Windows begin at whole minutes, which is the resolution of the rollups. Not date_trunc(), which
-- depends on the session's time zone: there are zones whose minutes begin at other seconds.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.window_start(p_length interval)
RETURNS timestamptz
LANGUAGE sql
STABLE
RETURN date_bin('1 minute', now() - p_length, '2000-01-01 00:00+00');

COMMENT ON FUNCTION {{ internal_schema }}.window_start(interval) IS
'Start of the window of this length up to now, for the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.window_start(interval) TO {{ monitor_role }};
{% endif %}
