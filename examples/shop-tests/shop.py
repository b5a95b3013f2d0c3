"""What a shop does with ticketdb: it calls functions, and never writes a table."""

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


def buy(connection: Connection, show_id: UUID, token: str, customer: str) -> list[UUID]:
    """Returns the ids of the tickets."""
    order = call(connection, "SELECT * FROM create_ticket_order(%s, %s)", [token, customer])
    # Here the payment provider is asked for the money, and answers with the id of an event.
    event = f"evt_{order['order_id']}"
    paid = call(
        connection,
        "SELECT * FROM confirm_payment(%s, %s, 'stripe', %s, %s)",
        [show_id, order["order_id"], event, order["total_amount_in_cents"]],
    )
    return paid["ticket_ids"]
