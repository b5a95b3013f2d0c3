-- For roll_up_metrics(): how far one run goes. Reads the log in the order of its index, and no
-- further than that: a backlog may be many times what one run may take.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.next_range(
    p_log text,
    p_from xid8,
    p_final xid8,
    p_after_id bigint,
    p_max_events integer,
    OUT below_xact_id xid8,
    OUT events bigint,
    OUT last_id bigint,
    OUT is_behind boolean
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
-- The planner would collect the whole backlog first, to sort or to hash it.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashagg = off
SET enable_sort = off
AS $body$
DECLARE
    v_transactions refcursor;
    v_xact_id xid8;
    v_events bigint;
    v_last_id bigint;
BEGIN
    below_xact_id := p_final;
    events := 0;
    is_behind := false;
    -- A cursor, because FOR would fetch fifty transactions ahead.
    OPEN v_transactions FOR EXECUTE format(
        'SELECT event.xact_id, count(*), max(event.id) FROM %I.%I AS event '
        'WHERE event.xact_id >= $1 AND event.xact_id < $2 AND event.id > $3 '
        'GROUP BY event.xact_id ORDER BY event.xact_id',
        {{ schema | literal }}, p_log
    )
    USING p_from, p_final, p_after_id;
    LOOP
        FETCH v_transactions INTO v_xact_id, v_events, v_last_id;
        EXIT WHEN NOT FOUND;
        -- Transactions are taken whole, even one that is too large by itself.
        IF events > 0 AND events + v_events > p_max_events THEN
            below_xact_id := v_xact_id;
            is_behind := true;
            EXIT;
        END IF;
        events := events + v_events;
        last_id := GREATEST(last_id, v_last_id);
    END LOOP;
    CLOSE v_transactions;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.next_range(text, xid8, xid8, bigint, integer) IS
'The transactions of a log that one run of roll_up_metrics() takes: from p_from to below '
'below_xact_id, rows beyond p_after_id, at most p_max_events of them unless one transaction has '
'more; how many rows, the highest id among them, and whether more are final.';
