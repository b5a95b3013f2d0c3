"""What is personal."""

# What reveals something about a person, or lets its reader act as one.
PERSONAL = {
    "seat_reservations": {
        "reservation_token",
        "session_id",
        "user_id",
        "email",
        "user_agent",
        "ip_address",
    },
    "seat_reservation_audit_log": {"session_id", "user_agent", "ip_address", "metadata"},
    "ticket_order_audit_log": {"session_id", "metadata", "error_message"},
    "ticket_orders": {"idempotency_key", "payment_intent_id", "error_message"},
    "tickets": {"ticket_code"},
    "payment_events": {"event_id", "ticket_ids"},
    "refunds": {"payment_event_id", "ticket_ids"},
}
