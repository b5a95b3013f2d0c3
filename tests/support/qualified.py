"""Calls with qualified names, from sessions with any search path."""

import uuid
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from tests.support.names import located
from tests.support.queries import Connection, Row


def ask(connection: Connection, function: str, **arguments: Any) -> Row:
    """Call a function of ours by its full name; no operator, type or function of anybody else."""
    statement = sql.SQL("SELECT * FROM {}({})").format(
        located(function),
        sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name))
            for name in arguments
        ),
    )
    (answer,) = connection.execute(statement, arguments).fetchall()
    return answer


def our(name: str) -> sql.Composable:
    return located(name)


@dataclass(frozen=True)
class House:
    """A show in the minefield."""

    connection: Connection
    show_id: uuid.UUID
    seats: list[uuid.UUID]

    def hold(self, *numbers: int, session: str = "anna") -> Row:
        answer = self.reserve(*numbers, session=session)
        assert answer.success, answer
        return answer

    def reserve(self, *numbers: int, session: str = "anna") -> Row:
        return ask(
            self.connection,
            "reserve_seats",
            p_show_id=self.show_id,
            p_seat_ids=[self.seats[number] for number in numbers],
            p_session_id=session,
            p_email="x@example.org",
        )

    def of(self, function: str, hold: Row, session: str = "anna", **more: Any) -> Row:
        return ask(
            self.connection,
            function,
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
            **more,
        )

    def paid(self, function: str, order: Row, event: str, **more: Any) -> Row:
        return ask(
            self.connection,
            function,
            p_show_id=self.show_id,
            p_order_id=order.order_id,
            p_provider="stripe",
            p_event_id=event,
            **more,
        )


def house(connection: Connection, seats: int = 8) -> House:
    show_id, keys = uuid.uuid4(), sorted(uuid.uuid4() for _ in range(seats))
    connection.execute(
        sql.SQL(
            "INSERT INTO {} (id, name, starts_at, currency, status)"
            " VALUES (%s, 'Hamlet', '2040-01-01', 'EUR', 'on_sale')"
        ).format(our("shows")),
        [show_id],
    )
    for number, key in enumerate(keys):
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (id, show_id, section, row_label, seat_number, price_in_cents)"
                " VALUES (%s, %s, 'a', 'a', %s, 100)"
            ).format(our("show_seats")),
            [key, show_id, str(number)],
        )
    return House(connection, show_id, keys)


def let_run_out(connection: Connection) -> None:
    connection.execute(
        sql.SQL("UPDATE {} SET expires_at = '2001-01-01' WHERE is_active").format(
            our("seat_reservations")
        )
    )
