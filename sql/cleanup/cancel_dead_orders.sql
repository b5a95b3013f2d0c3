-- Called by run_reservation_cleanup() after the overdue holds. An order waits for its payment until
-- its hold expires and order_minutes longer; confirm_payment() still handles a payment that arrives
-- later.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cancel_dead_orders(p_limit integer)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Not a change by hand: ticket_order_audit_log records it, see log_change().
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
-- Few orders are pending at any time: read them from their index, and the hold of each.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET lock_timeout = '100ms'
AS $body$
DECLARE
    v_dead_before timestamptz;
    v_ids uuid[];
    v_show_ids uuid[];
BEGIN
    SELECT now() - make_interval(mins => settings.order_minutes)
    INTO v_dead_before
    FROM {{ schema }}.ticketing_settings AS settings;

    -- It is enough to lock the order: a late payment that revives the hold changes the order, too.
    SELECT
        array_agg(dead.id),
        array_agg(dead.show_id)
    INTO
        v_ids,
        v_show_ids
    FROM (
        SELECT
            waiting.id,
            waiting.show_id
        FROM {{ schema }}.ticket_orders AS waiting
        INNER JOIN {{ schema }}.seat_reservations AS hold
            ON hold.id = waiting.reservation_id AND hold.show_id = waiting.show_id
        WHERE
            waiting.status = 'pending'
            AND waiting.created_at <= v_dead_before
            AND hold.status = 'expired'
            AND hold.ended_at <= v_dead_before
        ORDER BY
            waiting.created_at,
            waiting.id
        LIMIT p_limit
        FOR UPDATE OF waiting SKIP LOCKED
    ) AS dead;

    UPDATE {{ schema }}.ticket_orders
    SET
        status = 'cancelled',
        cancel_reason = 'overdue'
    FROM unnest(v_ids, v_show_ids) AS dead (id, show_id)
    WHERE
        ticket_orders.id = dead.id
        AND ticket_orders.show_id = dead.show_id;
    RETURN COALESCE(cardinality(v_ids), 0);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.cancel_dead_orders(integer) IS
'Cancels at most p_limit orders that are still not paid order_minutes after their hold expired, '
'skips locked ones, and returns how many it cancelled.';
