-- Logs orders, by whatever statement they change: see audit_ticket_order(). ENABLE ALWAYS, so that
-- session_replication_role = replica does not disable them.
CREATE OR REPLACE TRIGGER ticket_orders_audit_insert
AFTER INSERT ON {{ schema }}.ticket_orders
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.audit_ticket_order();

CREATE OR REPLACE TRIGGER ticket_orders_audit_update
AFTER UPDATE ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION {{ internal_schema }}.audit_ticket_order();

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_audit_insert,
ENABLE ALWAYS TRIGGER ticket_orders_audit_update;

COMMENT ON TRIGGER ticket_orders_audit_insert
ON {{ schema }}.ticket_orders IS 'Logs each new order.';
COMMENT ON TRIGGER ticket_orders_audit_update
ON {{ schema }}.ticket_orders IS 'Logs each change of status.';
