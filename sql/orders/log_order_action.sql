-- Called where the status of an order may stay as it is, so that no trigger logs what was done: one
-- line for each call.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_order_action(
    p_function text,
    p_show_id uuid,
    p_order_id uuid DEFAULT NULL,
    p_reservation_id uuid DEFAULT NULL,
    p_old_status text DEFAULT NULL,
    p_amount_in_cents bigint DEFAULT NULL,
    p_currency text DEFAULT NULL,
    p_payment_provider text DEFAULT NULL,
    p_detail jsonb DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ schema }}.ticket_order_audit_log (
        order_id, reservation_id, show_id, old_status, amount_in_cents, currency,
        payment_provider, metadata
    )
    VALUES (
        p_order_id,
        p_reservation_id,
        p_show_id,
        p_old_status,
        p_amount_in_cents,
        p_currency,
        p_payment_provider,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_order_action(
    text, uuid, uuid, uuid, text, bigint, text, text, jsonb
) IS 'Records what a call did about orders in ticket_order_audit_log.';
