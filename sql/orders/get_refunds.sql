-- What the accounts pay back by, with record_refund(): what is due in a show, or all of an order.
CREATE OR REPLACE FUNCTION {{ schema }}.get_refunds(
    p_show_id uuid,
    p_order_id uuid DEFAULT NULL
)
RETURNS TABLE (
    refund_id uuid,
    order_id uuid,
    ticket_ids uuid[],
    amount_in_cents bigint,
    currency text,
    reason text,
    status text,
    payment_provider text,
    payment_event_id text,
    created_at timestamptz,
    done_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
BEGIN
    IF p_order_id IS NULL THEN
        -- By the index of all that are due, of all shows: few, since they are paid back.
        RETURN QUERY
        SELECT
            due.id,
            due.order_id,
            due.ticket_ids,
            due.amount_in_cents,
            due.currency,
            due.reason,
            due.status,
            due.payment_provider,
            due.payment_event_id,
            due.created_at,
            due.done_at
        FROM {{ schema }}.refunds AS due
        WHERE
            due.status = 'due'
            AND due.show_id = p_show_id
        ORDER BY
            due.created_at,
            due.id;
    ELSE
        RETURN QUERY
        SELECT
            refund.id,
            refund.order_id,
            refund.ticket_ids,
            refund.amount_in_cents,
            refund.currency,
            refund.reason,
            refund.status,
            refund.payment_provider,
            refund.payment_event_id,
            refund.created_at,
            refund.done_at
        FROM {{ schema }}.refunds AS refund
        WHERE
            refund.order_id = p_order_id
            AND refund.show_id = p_show_id
        ORDER BY
            refund.created_at,
            refund.id;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_refunds(uuid, uuid) IS
'Without an order the refunds of a show that are due, with an order all of that order, oldest '
'first. record_refund() settles one by its id. Amounts are in the minor unit of the currency. '
'Raises lock_not_available if the table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_refunds(uuid, uuid)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}
