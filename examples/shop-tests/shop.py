"""What a shop and its box office do with ticketdb: they call functions, and never write a table."""

from collections.abc import Sequence
from uuid import UUID

from psycopg import Connection
from psycopg.rows import dict_row


class RefusedError(Exception):
    """ticketdb has answered no; the message is for the customer."""


def call(connection: Connection, statement: str, arguments: Sequence[object]) -> dict:
    with connection.cursor(row_factory=dict_row) as cursor:
        answer = cursor.execute(statement, arguments).fetchone()
    if not answer["success"]:
        raise RefusedError(answer["error_message"])
    return answer


def hold(connection: Connection, show_id: UUID, seat_ids: list[UUID], customer: str) -> str:
    """Returns the token of the reservation."""
    answer = call(
        connection, "SELECT * FROM reserve_seats(%s, %s, %s)", [show_id, seat_ids, customer]
    )
    return answer["reservation_token"]


def buy(connection: Connection, show_id: UUID, token: str, customer: str) -> list[dict]:
    """Returns the tickets, with the codes that the customer gets."""
    order = call(connection, "SELECT * FROM create_ticket_order(%s, %s)", [token, customer])
    # Here the payment provider is asked for the money, and answers with the id of an event.
    event = f"evt_{order['order_id']}"
    call(
        connection,
        "SELECT * FROM confirm_payment(%s, %s, 'stripe', %s, %s)",
        [show_id, order["order_id"], event, order["total_amount_in_cents"]],
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        arguments = [show_id, order["order_id"]]
        return cursor.execute("SELECT * FROM get_tickets(%s, %s)", arguments).fetchall()


def take_back(connection: Connection, show_id: UUID, ticket_ids: list[UUID], staff: str) -> int:
    """Returns what is to be refunded, in cents."""
    answer = call(
        connection, "SELECT * FROM cancel_tickets(%s, %s, %s)", [show_id, ticket_ids, staff]
    )
    return answer["amount_in_cents"]
