"""Orders and payments, as their tests make and read them."""

from typing import Any

from tests.support.hall import Hall
from tests.support.logs import ORDER_LOG
from tests.support.queries import Row, value

MEGABYTE = "x" * 1_000_000


def now(hall: Hall) -> Any:
    return value(hall.connection, "SELECT now()")


def changes(hall: Hall) -> list[tuple[str | None, str | None]]:
    """Old and new status of each line of the orders' log."""
    return [(line.old_status, line.new_status) for line in hall.log(ORDER_LOG)]


def tickets(hall: Hall, order: Row) -> list[Row]:
    return hall.connection.execute(
        "SELECT * FROM tickets WHERE order_id = %s ORDER BY price_in_cents", [order.order_id]
    ).fetchall()


def order_of(hold: Row, **changed: Any) -> dict[str, Any]:
    return {"p_reservation_token": hold.reservation_token, "p_session_id": "anna"} | changed


def payment_of(hall: Hall, order: Row, **changed: Any) -> dict[str, Any]:
    return {
        "p_show_id": hall.show_id,
        "p_order_id": order.order_id,
        "p_provider": "stripe",
        "p_event_id": "evt_new",
        "p_amount_in_cents": order.total_amount_in_cents,
    } | changed


def failure_of(hall: Hall, order: Row, **changed: Any) -> dict[str, Any]:
    return {
        "p_show_id": hall.show_id,
        "p_order_id": order.order_id,
        "p_provider": "stripe",
        "p_event_id": "evt_new",
        "p_error_message": "declined",
    } | changed


def bring_to(hall: Hall, status: str) -> Row:
    """An order for seat 0 that has this status."""
    hold = hall.hold(0)
    order = hall.order(hold)
    if status in ("paid", "refunded"):
        hall.pay(order, event="evt_first")
    if status == "failed":
        hall.fail(order, event="evt_first")
    if status in ("cancelled", "refund_due"):
        hall.release(hold)
    if status == "refund_due":
        hall.pay(order, event="evt_first")
    if status == "refunded":
        hall.refund(order)
    assert hall.row("ticket_orders", order.order_id).status == status
    return order
