-- Called before an order names another payment, since money may still arrive from the present one.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.remember_payment_intent(
    p_show_id uuid,
    p_order_id uuid,
    p_payment_provider text,
    p_payment_intent_id text
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
AS $body$
BEGIN
    IF p_payment_intent_id IS NOT NULL THEN
        INSERT INTO {{ internal_schema }}.payment_intents (
            payment_intent_id, payment_provider, order_id, show_id
        )
        VALUES (
            p_payment_intent_id, COALESCE(p_payment_provider, ''), p_order_id, p_show_id
        )
        ON CONFLICT DO NOTHING;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.remember_payment_intent(uuid, uuid, text, text) IS
'Keeps the payment that an order names at present in payment_intents.';
