-- The other step of the cleanup. An order waits for its payment as long as its hold, and
-- order_minutes longer; a payment that comes after that is still judged by confirm_payment().
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cancel_dead_orders(p_limit integer)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The log of orders tells it: see log_change().
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
-- Few orders wait at any time: they come from the index of those, each with its hold.
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

    -- Whoever brings an expired hold back to life, for a payment that comes late, changes its order.
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
'Cancels at most p_limit orders that have been waiting for a payment for order_minutes since their '
'hold expired, leaves out those that somebody has locked, and returns how many. Internal.';
