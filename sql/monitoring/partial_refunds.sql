-- Used by revenue_today: refunds on orders that are still paid. The rollup has orders by status and
-- amount only; these few are found by an index of their own.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.partial_refunds(p_since timestamptz)
RETURNS TABLE (
    ordered_at timestamptz,
    currency text,
    refunded_in_cents bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
ROWS 10
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        paid.created_at,
        paid.currency,
        paid.refunded_amount_in_cents
    FROM {{ schema }}.ticket_orders AS paid
    WHERE
        paid.status = 'paid'
        AND paid.refunded_amount_in_cents > 0
        AND paid.created_at >= p_since;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.partial_refunds(timestamptz) IS
'Paid orders since p_since with refunded tickets: when they were created, and how much of them '
'was refunded, in the minor unit. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.partial_refunds(timestamptz) TO {{ monitor_role }};
{% endif %}
