-- Used by refunds_due. A function, so that due refunds are found by their index, whatever the
-- statistics.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.due_refunds()
RETURNS TABLE (
    reason text,
    currency text,
    refunds bigint,
    amount_in_cents bigint,
    oldest_age_seconds double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
ROWS 10
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        refund.reason,
        refund.currency,
        count(*),
        sum(refund.amount_in_cents)::bigint,
        GREATEST(extract(EPOCH FROM now() - min(refund.created_at))::double precision, 0)
    FROM {{ schema }}.refunds AS refund
    WHERE refund.status = 'due'
    GROUP BY
        refund.reason,
        refund.currency;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.due_refunds() IS
'Refunds that are due, by reason and currency: their number, their sum in the minor unit, and the '
'seconds for which the oldest has been due. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.due_refunds() TO {{ monitor_role }};
{% endif %}
