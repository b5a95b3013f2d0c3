-- For seat_reservation_audit_log. A domain, since that log is on the hot path: each statement that
-- writes parses every CHECK of the table again, and this one took 5 % of a hold and 15 % of a
-- refusal.
CREATE DOMAIN {{ internal_schema }}.event_type AS text
CONSTRAINT event_type_check CHECK (
    value IN (
        'created', 'extended', 'released', 'expired', 'completed', 'failed', 'added', 'priced',
        'transferred', 'blocked', 'unblocked', 'issued', 'moved', 'refunded', 'checked_in',
        'erased'
    )
);

COMMENT ON DOMAIN {{ internal_schema }}.event_type IS
'Events of seat_reservation_audit_log; its column event_type explains them.';
