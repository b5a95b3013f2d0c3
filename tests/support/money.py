"""What the box office does about money, on top of a hall, and whether the books are right."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from tests.support.hall import Hall
from tests.support.orders import tickets
from tests.support.queries import Connection, Row

CLERK = "clara"


def staffed(hall: Hall, **more: Any) -> dict[str, Any]:
    return {"p_show_id": hall.show_id, "p_staff": CLERK} | more


def ticket_ids(hall: Hall, *orders: Row) -> list[UUID]:
    """The tickets of these orders, the cheapest of each first."""
    return [ticket.id for order in orders for ticket in tickets(hall, order)]


def cancel(hall: Hall, ids: Sequence[UUID], **more: Any) -> Row:
    return hall.call("cancel_tickets", **staffed(hall, p_ticket_ids=list(ids), **more))


def refund_of(
    hall: Hall, refund_id: UUID | None, event: str = "re_1", **more: Any
) -> dict[str, Any]:
    return {
        "p_show_id": hall.show_id,
        "p_refund_id": refund_id,
        "p_provider": "stripe",
        "p_event_id": event,
    } | more


def return_money(hall: Hall, refund_id: UUID, event: str = "re_1", **more: Any) -> Row:
    return hall.call("record_refund", **refund_of(hall, refund_id, event, **more))


def dispute_of(
    hall: Hall, order: Row, amount: int | None, event: str = "dp_1", **more: Any
) -> dict[str, Any]:
    return {
        "p_show_id": hall.show_id,
        "p_order_id": order.order_id,
        "p_provider": "stripe",
        "p_event_id": event,
        "p_amount_in_cents": amount,
    } | more


def dispute(hall: Hall, order: Row, amount: int | None, event: str = "dp_1", **more: Any) -> Row:
    return hall.call("record_dispute", **dispute_of(hall, order, amount, event, **more))


def listed_refunds(hall: Hall, order: Row | None = None) -> list[Row]:
    """What get_refunds lists: the refunds that are due, or all of an order."""
    return hall.connection.execute(
        "SELECT * FROM get_refunds(%s, %s)", [hall.show_id, order and order.order_id]
    ).fetchall()


def portion(hall: Hall, **more: Any) -> Row:
    return hall.call("cancel_show_portion", **staffed(hall, **more))


def cancel_in_portions(hall: Hall, limit: int = 500) -> list[Row]:
    """Call until it is done; the answers."""
    answers = [portion(hall, p_limit=limit)]
    while not answers[-1].is_done:
        assert answers[-1].success, answers[-1]
        answers.append(portion(hall, p_limit=limit))
    return answers


def erase(hall: Hall, user: str | None = None, email: str | None = None, **more: Any) -> Row:
    arguments = {"p_user_id": user, "p_email": email, "p_staff": CLERK} | more
    return hall.call("erase_customer", **arguments)


def check_in(hall: Hall, ticket_id: UUID) -> None:
    """As the function of the gates leaves a ticket."""
    hall.connection.execute(
        "UPDATE tickets SET checked_in_at = now(), check_in_gate = 'north' WHERE id = %s",
        [ticket_id],
    )


def refunds(hall: Hall) -> list[Row]:
    return hall.connection.execute(
        "SELECT * FROM refunds WHERE show_id = %s ORDER BY id", [hall.show_id]
    ).fetchall()


def owed(hall: Hall) -> list[tuple[str, str, int]]:
    return [(row.reason, row.status, row.amount_in_cents) for row in refunds(hall)]


def order_row(hall: Hall, order: Row) -> Row:
    return hall.row("ticket_orders", order.order_id)


def state_of(hall: Hall, order: Row) -> tuple[str, int]:
    """The status of an order, and how much of it was refunded."""
    row = order_row(hall, order)
    return row.status, row.refunded_amount_in_cents


def reckon(connection: Connection) -> dict[str, int]:
    """Money received, in tickets, returned and due: counted by order, and added up.

    Not by the statement of the invariant, which is compared with it.
    """
    orders = connection.execute("SELECT id FROM ticket_orders").fetchall()
    total = {"received": 0, "in tickets": 0, "returned": 0, "due": 0}
    for order in orders:
        money = connection.execute(
            "SELECT"
            " (SELECT COALESCE(sum(amount_in_cents), 0) FROM payment_events"
            "  WHERE order_id = %(id)s AND kind = 'payment' AND amount_in_cents > 0) AS received,"
            " (SELECT COALESCE(sum(price_in_cents), 0) FROM tickets"
            "  WHERE order_id = %(id)s AND status <> 'refunded') AS in_tickets,"
            " (SELECT COALESCE(sum(amount_in_cents), 0) FROM refunds"
            "  WHERE order_id = %(id)s AND status = 'done') AS returned,"
            " (SELECT COALESCE(sum(amount_in_cents), 0) FROM refunds"
            "  WHERE order_id = %(id)s AND status = 'due') AS due",
            {"id": order.id},
        ).fetchall()[0]
        received, in_tickets, returned, due = map(int, money)
        assert received - in_tickets - returned == due, (order.id, money)
        for name, amount in zip(total, (received, in_tickets, returned, due), strict=True):
            total[name] += amount
    return total
