-- Called by roll_up_metrics() after the database was restored from another server. The rows of the
-- log then bear that server's transaction numbers, and so does the watermark. The dump was one
-- snapshot, so what the rollups contain is right. Missing from them are the rows at or above the
-- watermark, and those written here since, which have higher ids than the last row that was added.
-- This adds both and records the last id: rows up to it are in the rollups, whatever their
-- transaction numbers.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.adopt_restored_log(p_log text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The lock blocks every call that writes to the log. Behind a long transaction, give up: the next
-- run tries again.
SET lock_timeout = '1s'
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
    v_mark {{ internal_schema }}.metric_watermarks;
    v_last_id bigint;
    v_folded bigint;
BEGIN
    SELECT mark.*
    INTO v_mark
    FROM {{ internal_schema }}.metric_watermarks AS mark
    WHERE mark.log = p_log;
    -- No transaction is writing under this lock: each row up to the last id is visible now or
    -- never.
    EXECUTE format('LOCK TABLE %I.%I IN SHARE MODE', v_schema, p_log);
    EXECUTE format('SELECT COALESCE(max(event.id), 0) FROM %I.%I AS event', v_schema, p_log)
    INTO v_last_id;
    EXECUTE format(
        'SELECT count(*) FROM %I.%I AS event '
        'WHERE (event.xact_id >= $1 AND event.id > $2) OR event.id > $3',
        v_schema, p_log
    )
    INTO v_folded
    USING v_mark.watermark, v_mark.restored_id, v_mark.last_folded_id;

    PERFORM {{ internal_schema }}.fold_events(
        p_log, v_mark.watermark, '18446744073709551615'::xid8, v_mark.restored_id
    );
    PERFORM {{ internal_schema }}.fold_events(
        p_log, '0'::xid8, v_mark.watermark, v_mark.last_folded_id
    );
    UPDATE {{ internal_schema }}.metric_watermarks
    SET
        watermark = pg_snapshot_xmin(pg_current_snapshot()),
        last_folded_id = v_last_id,
        restored_id = v_last_id,
        system_identifier = {{ internal_schema }}.system_identifier(),
        rolled_up_at = clock_timestamp(),
        advanced_at = clock_timestamp()
    WHERE metric_watermarks.log = p_log;
    RETURN v_folded;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.adopt_restored_log(text) IS
'Adds the rows of a restored log that are not in its rollups yet, and sets the watermark to this '
'server''s transaction numbers. Returns how many rows it added. Blocks writers of the log '
'meanwhile.';
