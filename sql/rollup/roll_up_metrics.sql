-- Scheduled every minute. Adds what is final to the rollups: rows of transactions that every
-- snapshot from now on sees as ended. Everything is one transaction; if it fails nothing has
-- happened, and the views read a longer tail of the log.
CREATE OR REPLACE FUNCTION {{ schema }}.roll_up_metrics(p_max_events integer DEFAULT 500000)
RETURNS TABLE (log text, events_folded bigint, is_behind boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The planner would not know that what is new is little. What is restored is folded by its actual
-- values: it may be most of the log, or next to nothing.
SET enable_seqscan = off
ROWS 3
AS $body$
DECLARE
    v_mark {{ internal_schema }}.metric_watermarks;
    v_final xid8;
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
        -- Somebody else is at it.
        CONTINUE WHEN NOT FOUND;

        IF {{ internal_schema }}.is_restored_log(log) THEN
            events_folded := {{ internal_schema }}.adopt_restored_log(log);
            is_behind := false;
            RETURN NEXT;
            CONTINUE;
        END IF;

        v_final := pg_snapshot_xmin(pg_current_snapshot());
        v_below := {{ internal_schema }}.nth_xact_id(
            log, v_mark.watermark, v_final, v_mark.restored_id, p_max_events
        );
        -- A transaction that is too much all by itself is taken whole.
        IF v_below = {{ internal_schema }}.nth_xact_id(
            log, v_mark.watermark, v_final, v_mark.restored_id, 0
        ) THEN
            v_below := {{ internal_schema }}.next_xact_id(v_below);
        END IF;
        v_below := COALESCE(v_below, v_final);
        is_behind := {{ internal_schema }}.nth_xact_id(
            log, v_below, v_final, v_mark.restored_id, 0
        ) IS NOT NULL;

        EXECUTE format(
            'SELECT count(*), max(event.id) FROM %I.%I AS event '
            'WHERE event.xact_id >= $1 AND event.xact_id < $2 AND event.id > $3',
            {{ schema | literal }}, log
        )
        INTO
            events_folded,
            v_last_id
        USING v_mark.watermark, v_below, v_mark.restored_id;
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
'Adds new rows of the logs to the tables that the monitoring views read, at most about '
'p_max_events of each log; returns how many of which, and whether there are more.';
