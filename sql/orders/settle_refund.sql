-- Called when the money of a due refund has gone back. The caller has locked the order.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.settle_refund(p_show_id uuid, p_refund_id uuid)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_refund record;
    v_status text;
BEGIN
    UPDATE {{ schema }}.refunds
    SET
        status = 'done',
        done_at = now()
    WHERE
        refunds.show_id = p_show_id
        AND refunds.id = p_refund_id
    RETURNING
        refunds.order_id,
        refunds.reason IN ('late_payment', 'show_cancelled') AS is_own_payment
    INTO v_refund;

    -- Even if this changes nothing: a concurrent transaction that has decided by the order must
    -- fail.
    UPDATE {{ schema }}.ticket_orders
    SET
        status = CASE
            WHEN ticket_orders.status = 'refund_due' AND v_refund.is_own_payment THEN 'refunded'
            ELSE ticket_orders.status
        END,
        refunded_amount_in_cents = CASE
            WHEN ticket_orders.status = 'refund_due' AND v_refund.is_own_payment
                THEN ticket_orders.total_amount_in_cents
            ELSE ticket_orders.refunded_amount_in_cents
        END
    WHERE
        ticket_orders.show_id = p_show_id
        AND ticket_orders.id = v_refund.order_id
    RETURNING ticket_orders.status INTO v_status;
    RETURN v_status;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.settle_refund(uuid, uuid) IS
'Marks a refund as done, and its order as refunded if that was the payment of an order that is '
'refund_due. Returns the status of the order.';
