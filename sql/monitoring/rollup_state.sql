-- Used by health, system_health and alerts. If the rollup runs but an open transaction holds it
-- back, waiting_seconds shows it.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.rollup_state()
RETURNS TABLE (
    log text,
    is_restored boolean,
    age_seconds double precision,
    waiting_seconds double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
ROWS 3
AS $body$
DECLARE
    v_mark {{ internal_schema }}.metric_watermarks;
BEGIN
    FOR v_mark IN SELECT mark.* FROM {{ internal_schema }}.metric_watermarks AS mark LOOP
        log := v_mark.log;
        is_restored := {{ internal_schema }}.is_restored_log(log);
        age_seconds := GREATEST(
            extract(EPOCH FROM now() - v_mark.rolled_up_at)::double precision, 0
        );
        EXECUTE format(
            'SELECT extract(EPOCH FROM now() - $3)::double precision '
            'FROM %I.%I AS event WHERE event.xact_id >= $1 AND event.id > $2 '
            'ORDER BY event.xact_id LIMIT 1',
            {{ schema | literal }}, log
        )
        INTO waiting_seconds
        USING v_mark.watermark, v_mark.restored_id, v_mark.advanced_at;
        waiting_seconds := GREATEST(waiting_seconds, 0);
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.rollup_state() IS
'For each log: whether it was restored from another server and not rolled up since, seconds since '
'the rollup last ran, and seconds for which rows have waited for the watermark to advance (0 if '
'no row waits). Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.rollup_state() TO {{ monitor_role }};
{% endif %}
