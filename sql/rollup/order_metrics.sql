-- Read by the views of orders: the minutes in the rollup and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.order_metrics(p_since timestamptz)
RETURNS TABLE (
    minute timestamptz,
    currency text,
    orders bigint,
    failed_orders bigint,
    paid_orders bigint,
    revenue_in_cents bigint,
    tickets bigint,
    payments bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner cannot estimate a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Since its estimates are guesses, JIT compilation would take longer than the query itself.
SET jit = off
ROWS 1500
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        rolled_up.minute,
        rolled_up.currency,
        rolled_up.orders,
        rolled_up.failed_orders,
        rolled_up.paid_orders,
        rolled_up.revenue_in_cents,
        rolled_up.tickets,
        rolled_up.payments
    FROM {{ internal_schema }}.order_minutes AS rolled_up
    WHERE rolled_up.minute >= p_since
    UNION ALL
    SELECT
        recent.minute,
        recent.currency,
        recent.orders,
        recent.failed_orders,
        recent.paid_orders,
        recent.revenue_in_cents,
        recent.tickets,
        recent.payments
    FROM {{ internal_schema }}.log_tail('ticket_order_audit_log') AS tail
    CROSS JOIN LATERAL {{ internal_schema }}.order_events(
        tail.from_xact_id, tail.below_xact_id, tail.after_id
    ) AS recent
    WHERE recent.minute >= p_since;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.order_metrics(timestamptz) IS
'Orders, tickets and payment reports since p_since, by minute and currency. Rows are to be added '
'up: a minute may have several. A change of status counts in the minute in which the order was '
'created, with its sign.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.order_metrics(timestamptz) TO {{ monitor_role }};
{% endif %}
