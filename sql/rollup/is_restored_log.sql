-- Whether the watermark of a log is another server's, because the database was restored from a
-- dump. Until roll_up_metrics() has corrected that, new events may be missing from the views.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.is_restored_log(p_log text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Use the index on id to find the rows that are not rolled up.
SET enable_seqscan = off
AS $body$
DECLARE
    v_mark {{ internal_schema }}.metric_watermarks;
    v_is_same_server boolean;
    v_is_restored boolean;
BEGIN
    SELECT mark.*
    INTO v_mark
    FROM {{ internal_schema }}.metric_watermarks AS mark
    WHERE mark.log = p_log;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF v_mark.watermark > pg_snapshot_xmax(pg_current_snapshot()) THEN
        RETURN true;
    END IF;
    v_is_same_server := v_mark.system_identifier = {{ internal_schema }}.system_identifier();
    IF v_is_same_server IS NOT NULL THEN
        RETURN NOT v_is_same_server;
    END IF;
    -- The system identifier is not readable. If the transaction counter of this server has passed
    -- the watermark since the restore, there are rows below the watermark that are newer than all
    -- rows rolled up.
    EXECUTE format(
        'WITH newer AS MATERIALIZED (SELECT event.xact_id FROM %I.%I AS event WHERE event.id > $1) '
        'SELECT EXISTS (SELECT FROM newer WHERE newer.xact_id < $2)',
        {{ schema | literal }}, p_log
    )
    INTO v_is_restored
    USING v_mark.last_folded_id, v_mark.watermark;
    RETURN v_is_restored;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.is_restored_log(text) IS
'Whether the watermark of a log was restored from another server, and roll_up_metrics() has not '
'run since; NULL for an unknown log. Used by the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.is_restored_log(text) TO {{ monitor_role }};
{% endif %}
