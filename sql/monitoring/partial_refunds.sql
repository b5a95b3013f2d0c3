-- For revenue_today: what has been given back of orders that are still paid. The rollup knows
-- orders by their status and amount; these few are found by an index of their own.
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
'Orders since p_since that are paid and of which a part was given back: when they were ordered, '
'and how much of them it was in the minor unit. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.partial_refunds(timestamptz) TO {{ monitor_role }};
{% endif %}
