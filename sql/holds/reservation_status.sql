-- A domain, and not a CHECK of the table, for the reason that event_type has.
CREATE DOMAIN {{ internal_schema }}.reservation_status AS text
CONSTRAINT reservation_status_check
CHECK (value IN ('active', 'completed', 'released', 'expired'));

COMMENT ON DOMAIN {{ internal_schema }}.reservation_status IS
'States of seat_reservations; its column status explains them.';
