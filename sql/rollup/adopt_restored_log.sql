-- A restored database brings rows that bear another server's transaction numbers, and a watermark
-- among those. The dump was one snapshot, so what is in the rollups is right. What is not in them
-- is what the watermark says, and whatever was written here since. From here on that is told by id.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.adopt_restored_log(p_log text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- While it is locked nobody sells; behind a long transaction we give up, and try again next time.
SET lock_timeout = '1s'
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
    v_mark {{ internal_schema }}.metric_watermarks;
    v_last_id bigint;
    v_folded bigint;
BEGIN
    SELECT mark.* INTO v_mark FROM {{ internal_schema }}.metric_watermarks AS mark WHERE mark.log = p_log;
    -- Nobody is in the middle of writing: all rows up to the last id are seen, or never will be.
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
'Makes the rollup of a log that came with a dump of another server go on from here; returns how '
'many rows were not in it yet. Locks the log against writers for a moment. Internal.';
