-- Whether the watermark is another server's. Until roll_up_metrics() has seen to it, new events may
-- be missing from the views.
CREATE OR REPLACE FUNCTION {{ schema }}.is_restored_log(p_log text)
RETURNS boolean
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = {{ schema }}, pg_temp
AS $body$
SELECT
    mark.watermark > pg_snapshot_xmax(pg_current_snapshot())
    OR COALESCE(mark.system_identifier <> {{ schema }}.system_identifier(), false)
FROM {{ schema }}.metric_watermarks AS mark
WHERE mark.log = p_log;
$body$;

COMMENT ON FUNCTION {{ schema }}.is_restored_log(text) IS
'Whether the watermark of a log came with a dump of another server, and roll_up_metrics() has not '
'run since. For the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.is_restored_log(text) TO {{ monitor_role }};
{% endif %}
