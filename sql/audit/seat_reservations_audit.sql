-- Logs holds, by whatever statement they change: see audit_seat_reservation(). ENABLE ALWAYS, so
-- that session_replication_role = replica does not disable them.
CREATE OR REPLACE TRIGGER seat_reservations_audit_insert
AFTER INSERT ON {{ schema }}.seat_reservations
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.audit_seat_reservation();

CREATE OR REPLACE TRIGGER seat_reservations_audit_update
AFTER UPDATE ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (
    OLD.status IS DISTINCT FROM NEW.status
    OR OLD.extension_count IS DISTINCT FROM NEW.extension_count
)
EXECUTE FUNCTION {{ internal_schema }}.audit_seat_reservation();

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_audit_insert,
ENABLE ALWAYS TRIGGER seat_reservations_audit_update;

COMMENT ON TRIGGER seat_reservations_audit_insert
ON {{ schema }}.seat_reservations IS 'Logs each new hold.';
COMMENT ON TRIGGER seat_reservations_audit_update ON {{ schema }}.seat_reservations IS
'Logs how a hold is extended and how it ends.';
