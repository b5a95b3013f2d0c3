-- Scheduled every minute. Adds final rows of the logs to the rollups: those of transactions that
-- every later snapshot sees as ended. A call is one transaction: if it fails, nothing has changed,
-- and the views read a longer tail of the log.
CREATE OR REPLACE FUNCTION {{ schema }}.roll_up_metrics(p_max_events integer DEFAULT 500000)
RETURNS TABLE (log text, events_folded bigint, is_behind boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The planner cannot know that new rows are few. Rows of a restored log may be many or few; the
-- functions that read them are planned for the actual range.
SET enable_seqscan = off
ROWS 3
AS $body$
DECLARE
    v_mark {{ internal_schema }}.metric_watermarks;
    v_below xid8;
    v_last_id bigint;
BEGIN
    IF p_max_events IS NULL OR p_max_events < 1 THEN
        RAISE EXCEPTION 'p_max_events must be at least 1, not %',
            COALESCE(p_max_events::text, 'NULL')
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR log IN SELECT logs.name FROM {{ internal_schema }}.partitioned_logs() AS logs (name) LOOP
        SELECT mark.*
        INTO v_mark
        FROM {{ internal_schema }}.metric_watermarks AS mark
        WHERE mark.log = roll_up_metrics.log
        FOR UPDATE SKIP LOCKED;
        -- Another session is rolling it up.
        CONTINUE WHEN NOT FOUND;

        IF {{ internal_schema }}.is_restored_log(log) THEN
            events_folded := {{ internal_schema }}.adopt_restored_log(log);
            is_behind := false;
            RETURN NEXT;
            CONTINUE;
        END IF;

        SELECT
            next_range.below_xact_id,
            next_range.events,
            next_range.last_id,
            next_range.is_behind
        INTO
            v_below,
            events_folded,
            v_last_id,
            is_behind
        FROM {{ internal_schema }}.next_range(
            log, v_mark.watermark, pg_snapshot_xmin(pg_current_snapshot()), v_mark.restored_id,
            p_max_events
        );
        IF events_folded > 0 THEN
            PERFORM {{ internal_schema }}.fold_events(
                log, v_mark.watermark, v_below, v_mark.restored_id
            );
        END IF;
        UPDATE {{ internal_schema }}.metric_watermarks
        SET
            watermark = v_below,
            last_folded_id = GREATEST(metric_watermarks.last_folded_id, v_last_id),
            rolled_up_at = clock_timestamp(),
            advanced_at = CASE
                WHEN v_below > metric_watermarks.watermark THEN clock_timestamp()
                ELSE metric_watermarks.advanced_at
            END
        WHERE metric_watermarks.log = roll_up_metrics.log;
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.roll_up_metrics(integer) IS
'Adds new rows of the logs to the tables that the monitoring views read, about p_max_events of '
'each log at most. Returns for each log how many rows were added, and whether more are waiting.';
