-- Before an order names another payment: money may still come from the one that it named so far.
CREATE OR REPLACE FUNCTION {{ schema }}.remember_payment_intent(p_order {{ schema }}.ticket_orders)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF p_order.payment_intent_id IS NOT NULL THEN
        INSERT INTO {{ schema }}.payment_intents (
            payment_intent_id, payment_provider, order_id, show_id
        )
        VALUES (
            p_order.payment_intent_id,
            COALESCE(p_order.payment_provider, ''),
            p_order.id,
            p_order.show_id
        )
        ON CONFLICT DO NOTHING;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.remember_payment_intent({{ schema }}.ticket_orders) IS
'Keeps the payment that this state of an order names in payment_intents. Internal.';
