-- Trigger function: logs each change of an order, by whatever statement. Runs as the caller: a role
-- that may not write the log may not change an order.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.audit_ticket_order()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ schema }}.ticket_order_audit_log (
        order_id, reservation_id, show_id, old_status, new_status, amount_in_cents, currency,
        seat_count, payment_provider, order_created_at, error_message
    )
    VALUES (
        NEW.id,
        NEW.reservation_id,
        NEW.show_id,
        CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END,
        NEW.status,
        NEW.total_amount_in_cents,
        NEW.currency,
        cardinality(NEW.seat_ids),
        NEW.payment_provider,
        NEW.created_at,
        -- The order keeps the message of its last failure; a later success is not logged with it.
        CASE WHEN NEW.status = 'failed' THEN NEW.error_message END
    );
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.audit_ticket_order() IS
'Trigger function: logs each change of status of an order in ticket_order_audit_log.';
