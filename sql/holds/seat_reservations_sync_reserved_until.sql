-- Fires only if the value changes: by an extension, an order, or by hand.
CREATE OR REPLACE TRIGGER seat_reservations_sync_reserved_until
AFTER UPDATE OF expires_at ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (NEW.status = 'active' AND OLD.expires_at IS DISTINCT FROM NEW.expires_at)
EXECUTE FUNCTION {{ internal_schema }}.sync_reserved_until();

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_sync_reserved_until;

COMMENT ON TRIGGER seat_reservations_sync_reserved_until ON {{ schema }}.seat_reservations IS
'Keeps show_seats.reserved_until equal to the expires_at of the hold.';
