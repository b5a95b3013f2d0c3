"""A hall whose seats are for sale, and what tests of the SQL functions do with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql

from tests.support.logs import LOG_OF, RESERVATION_LOG, lines
from tests.support.queries import Connection, Row, call, enter, tables, value

NIL = UUID(int=0)


@dataclass(frozen=True)
class Refusal:
    """What a refused call answered, and the line it left in the log."""

    answer: Row
    line: Row


@dataclass(frozen=True)
class Hall:
    """A show and its seats. Seat n costs 1000 + 100 n cents; tests call seats by number."""

    connection: Connection
    show_id: UUID
    seats: tuple[UUID, ...]

    def call(self, function: str, **arguments: Any) -> Row:
        return call(self.connection, function, **arguments)

    def ids(self, *numbers: int) -> list[UUID]:
        return [self.seats[number] for number in numbers]

    def reserve(self, *numbers: int, session: str = "anna", **more: Any) -> Row:
        return self.call(
            "reserve_seats",
            p_show_id=self.show_id,
            p_seat_ids=self.ids(*numbers),
            p_session_id=session,
            **more,
        )

    def hold(self, *numbers: int, session: str = "anna", **more: Any) -> Row:
        """Reserve, and insist."""
        answer = self.reserve(*numbers, session=session, **more)
        assert answer.success, answer
        return answer

    def extend(self, hold: Row, session: str = "anna") -> Row:
        return self.call(
            "extend_reservation",
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
        )

    def release(self, hold: Row, seats: Sequence[UUID] | None = None, session: str = "anna") -> Row:
        return self.call(
            "release_reservation",
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
            p_seat_ids=seats,
        )

    def reserve_best(self, quantity: int, session: str = "anna", **more: Any) -> Row:
        return self.call(
            "reserve_best_seats",
            p_show_id=self.show_id,
            p_quantity=quantity,
            p_session_id=session,
            **more,
        )

    def add(self, hold: Row, *numbers: int, session: str = "anna") -> Row:
        return self.call(
            "add_seats",
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
            p_seat_ids=self.ids(*numbers),
        )

    def price(
        self,
        hold: Row,
        prices: dict[int, int],
        types: Sequence[str | None] | None = None,
        session: str = "anna",
    ) -> Row:
        """Give seats, by number, these prices, and these types in the same order."""
        return self.call(
            "price_seats",
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
            p_seat_ids=self.ids(*prices),
            p_prices_in_cents=list(prices.values()),
            p_ticket_types=types if types is None else list(types),
        )

    def move(self, hold: Row, to: str, session: str = "anna", **more: Any) -> Row:
        return self.call(
            "move_reservation",
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
            p_new_session_id=to,
            **more,
        )

    def order(self, hold: Row, session: str = "anna", **more: Any) -> Row:
        return self.call(
            "create_ticket_order",
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
            **more,
        )

    def pay(self, order: Row, event: str = "evt_paid", amount: int | None = None) -> Row:
        return self.call(
            "confirm_payment",
            p_show_id=self.show_id,
            p_order_id=order.order_id,
            p_provider="stripe",
            p_event_id=event,
            p_amount_in_cents=order.total_amount_in_cents if amount is None else amount,
        )

    def fail(self, order: Row, event: str = "evt_failed", message: str | None = "declined") -> Row:
        return self.call(
            "fail_payment",
            p_show_id=self.show_id,
            p_order_id=order.order_id,
            p_provider="stripe",
            p_event_id=event,
            p_error_message=message,
        )

    def refund(self, order: Row) -> Row:
        return self.call("refund_order", p_show_id=self.show_id, p_order_id=order.order_id)

    def sell(self, *numbers: int, session: str = "anna") -> Row:
        """Hold, order and pay. Returns the order as create_ticket_order answered."""
        order = self.order(self.hold(*numbers, session=session), session)
        answer = self.pay(order, event=f"evt_{order.order_id}")
        assert answer.status == "paid", answer
        return order

    def let_run_out(self, *holds: Row) -> None:
        """Move the end of holds into the past, as a DBA may: they are over, and not cleaned up."""
        self.connection.execute(
            "UPDATE seat_reservations SET expires_at = now() - interval '1 second'"
            " WHERE id = ANY(%s)",
            [[hold.reservation_id for hold in holds]],
        )

    def clean_up(self) -> Row:
        return self.call("cleanup_expired_seat_reservations")

    def statuses(self, *numbers: int) -> list[str]:
        """Status of these seats, or of all of them."""
        found = self.connection.execute(
            "SELECT id, status FROM show_seats WHERE show_id = %s", [self.show_id]
        ).fetchall()
        by_id = {row.id: row.status for row in found}
        return [by_id[seat] for seat in (self.ids(*numbers) if numbers else self.seats)]

    def row(self, table: str, key: UUID) -> Row:
        return self.connection.execute(
            sql.SQL("SELECT * FROM {} WHERE id = %s").format(sql.Identifier(table)), [key]
        ).fetchone()

    def reservation(self, hold: Row) -> Row:
        return self.row("seat_reservations", hold.reservation_id)

    def log(self, log: str = RESERVATION_LOG) -> list[Row]:
        """The lines of a log about this show."""
        return [line for line in lines(self.connection, log) if line.show_id == self.show_id]

    def events(self, hold: Row | None = None) -> list[str]:
        """What the log says has happened, in order: in this hall, or to one hold."""
        return [
            line.event_type
            for line in self.log()
            if hold is None or line.reservation_id == hold.reservation_id
        ]

    def refuse(
        self,
        code: str,
        function: str,
        *,
        stores_event: bool = False,
        stores_refund: bool = False,
        **arguments: Any,
    ) -> Refusal:
        """Call, and insist that it is refused with this code.

        It must leave exactly one line in the log of its kind, which says what the answer says, and
        not a trace in any other table; with `stores_event` exactly one row in payment_events too,
        with `stores_refund` one in refunds.
        """
        log = LOG_OF[function]
        before = tables(self.connection)
        last = max((line.id for line in lines(self.connection, log)), default=0)
        answer = self.call(function, **arguments)
        assert (answer.success, answer.error_code) == (False, code), answer
        (line,) = lines(self.connection, log, after=last)
        after = tables(self.connection)

        assert (line.error_code, line.error_message) == (code, answer.error_message)
        assert answer.error_message
        assert line.metadata["function"] == function
        if log == RESERVATION_LOG:
            assert (line.event_type, line.hold_seconds) == ("failed", None)
        else:
            assert line.new_status is None
        expected = {log: 1}
        if stores_event:
            expected["payment_events"] = 1
        if stores_refund:
            expected["refunds"] = 1
        added = {
            name: len(rows) - len(before[name])
            for name, rows in after.items()
            if rows != before[name]
        }
        assert added == expected
        for name in added:
            assert set(before[name]) < set(after[name])
        return Refusal(answer, line)


def make_hall(connection: Connection, seats: int = 10, status: str = "on_sale") -> Hall:
    """Put a new show with this many seats on sale, through any connection."""
    enter(connection)
    show_id = value(
        connection,
        "INSERT INTO shows (name, starts_at, currency, status)"
        " VALUES ('Hamlet', now() + interval '30 days', 'EUR', %s) RETURNING id",
        status,
    )
    connection.execute(
        "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
        " SELECT %s, 'stalls', 'A', n::text, 1000 + 100 * n"
        " FROM generate_series(0, %s - 1) AS n",
        [show_id, seats],
    )
    made = connection.execute(
        "SELECT id FROM show_seats WHERE show_id = %s ORDER BY price_in_cents", [show_id]
    ).fetchall()
    return Hall(connection, show_id, tuple(row.id for row in made))
