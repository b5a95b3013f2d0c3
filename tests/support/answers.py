"""The form of the answers that the functions give."""

# What each function answers, in this order.
COLUMNS = {
    "reserve_seats": (
        "success",
        "reservation_id",
        "reservation_token",
        "expires_at",
        "seat_count",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    ),
    "reserve_best_seats": (
        "success",
        "reservation_id",
        "reservation_token",
        "expires_at",
        "seat_count",
        "seat_ids",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    ),
    "add_seats": (
        "success",
        "reservation_id",
        "reservation_token",
        "expires_at",
        "seat_count",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    ),
    "price_seats": (
        "success",
        "reservation_id",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    ),
    "move_reservation": ("success", "reservation_id", "error_code", "error_message"),
    "extend_reservation": (
        "success",
        "reservation_id",
        "expires_at",
        "extensions_remaining",
        "error_code",
        "error_message",
    ),
    "release_reservation": (
        "success",
        "reservation_id",
        "seats_released",
        "error_code",
        "error_message",
    ),
    "create_ticket_order": (
        "success",
        "order_id",
        "status",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    ),
    "confirm_payment": (
        "success",
        "order_id",
        "status",
        "ticket_ids",
        "error_code",
        "error_message",
    ),
    "fail_payment": ("success", "order_id", "status", "error_code", "error_message"),
    "refund_order": (
        "success",
        "order_id",
        "status",
        "seats_released",
        "error_code",
        "error_message",
    ),
    "block_seats": (
        "success",
        "seats_blocked",
        "holds_ended",
        "error_code",
        "error_message",
    ),
    "unblock_seats": (
        "success",
        "seats_unblocked",
        "error_code",
        "error_message",
    ),
    "issue_tickets": (
        "success",
        "order_id",
        "reservation_id",
        "ticket_ids",
        "ticket_codes",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    ),
    "move_tickets": (
        "success",
        "tickets_moved",
        "error_code",
        "error_message",
    ),
    "check_in_ticket": (
        "success",
        "ticket_id",
        "section",
        "row_label",
        "seat_number",
        "ticket_type",
        "checked_in_at",
        "gate",
        "error_code",
        "error_message",
    ),
    "cancel_tickets": (
        "success",
        "tickets_cancelled",
        "refund_ids",
        "amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    ),
    "record_refund": (
        "success",
        "refund_id",
        "order_id",
        "status",
        "amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    ),
    "record_dispute": (
        "success",
        "order_id",
        "status",
        "refund_id",
        "tickets_cancelled",
        "error_code",
        "error_message",
    ),
    "cancel_show_portion": (
        "success",
        "holds_ended",
        "orders_cancelled",
        "orders_refunded",
        "is_done",
        "error_code",
        "error_message",
    ),
    "cleanup_expired_seat_reservations": (
        "total_reservations_expired",
        "total_seats_released",
        "reservation_ids",
    ),
    "get_reservation_statistics": (
        "total_created",
        "total_completed",
        "total_expired",
        "total_released",
        "total_extended",
        "total_failed",
        "avg_hold_seconds",
        "expiration_rate",
    ),
}


class Words:
    """Equal to any sentence that the guide's queries would not take for a conflict over seats."""

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, str)
            and bool(other.strip())
            and "taken by another" not in other
            and "constraint" not in other
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<a sentence>"


def message(code: str) -> object:
    if code == "SEATS_UNAVAILABLE":
        return "One or more seats were taken by another customer"
    return Words()
