"""What the staff does at the counter and at the gates, on top of a hall."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from tests.support.hall import Hall, Refusal
from tests.support.queries import Connection, Row

CLERK = "clara"


@dataclass(frozen=True)
class Counter:
    """The box office of a hall, and who works there. Seats are called by number."""

    hall: Hall
    staff: str = CLERK

    def through(self, connection: Connection) -> "Counter":
        """The same counter, in another session."""
        return replace(self, hall=replace(self.hall, connection=connection))

    def call(self, function: str, **arguments: Any) -> Row:
        """Call a function about this show in the name of its clerk."""
        return self.hall.call(function, **self.arguments(**arguments))

    def refuse(self, code: str, function: str, **arguments: Any) -> Refusal:
        """As the hall refuses; the line in the log must name the clerk, too."""
        given = self.arguments(**arguments)
        refusal = self.hall.refuse(code, function, **given)
        assert refusal.line.metadata["staff"] == given["p_staff"]
        return refusal

    def arguments(self, **more: Any) -> dict[str, Any]:
        return {"p_show_id": self.hall.show_id, "p_staff": self.staff} | more

    def block(self, *numbers: int, **more: Any) -> Row:
        return self.call("block_seats", p_seat_ids=self.hall.ids(*numbers), **more)

    def unblock(self, *numbers: int, **more: Any) -> Row:
        return self.call("unblock_seats", p_seat_ids=self.hall.ids(*numbers), **more)

    def issue(self, *numbers: int, **more: Any) -> Row:
        return self.call("issue_tickets", **issue_of(self.hall, *numbers, **more))

    def sell(self, *numbers: int, **more: Any) -> Row:
        """Issue tickets, and insist."""
        answer = self.issue(*numbers, **more)
        assert answer.success, answer
        return answer

    def move(self, tickets: Sequence[UUID], *numbers: int, **more: Any) -> Row:
        return self.call(
            "move_tickets", p_ticket_ids=list(tickets), p_seat_ids=self.hall.ids(*numbers), **more
        )

    def check_in(self, code: str | None, **more: Any) -> Row:
        return self.hall.call("check_in_ticket", **scan_of(self.hall, code, **more))

    def serve(self, first: int) -> None:
        """Every function once, on two seats that are free again afterwards."""
        pair = (first, first + 1)
        assert self.block(*pair).seats_blocked == 2
        assert self.unblock(*pair).seats_unblocked == 2
        name = f"slip {first}"
        sold = self.sell(*pair, p_event_id=name)
        assert self.issue(*pair, p_event_id=name) == sold
        assert self.move(sold.ticket_ids, *reversed(pair)).tickets_moved == 2
        assert self.check_in(sold.ticket_codes[0]).success
        assert self.hall.refund(sold).success
        # That of the ticket which was checked in.
        assert self.unblock(*pair).seats_unblocked == 1

    def log_of(self, event_type: str) -> list[Row]:
        """The lines about this show of one kind."""
        return [line for line in self.hall.log() if line.event_type == event_type]


def issue_of(hall: Hall, *numbers: int, **more: Any) -> dict[str, Any]:
    return {
        "p_seat_ids": hall.ids(*numbers),
        "p_prices_in_cents": None,
        "p_ticket_types": None,
        "p_email": None,
    } | more


def scan_of(hall: Hall, code: str | None, **more: Any) -> dict[str, Any]:
    return {
        "p_show_id": hall.show_id,
        "p_ticket_code": code,
        "p_gate": "north",
        "p_nonce": None,
    } | more


def tickets_of(hall: Hall, order: UUID) -> list[Row]:
    """The tickets of an order, by the place of their seat."""
    found = hall.connection.execute(
        "SELECT * FROM tickets WHERE show_id = %s AND order_id = %s", [hall.show_id, order]
    ).fetchall()
    return sorted(found, key=lambda ticket: hall.seats.index(ticket.show_seat_id))


def ids(seats: Sequence[UUID]) -> list[str]:
    """As metadata of the log names them."""
    return [str(seat) for seat in seats]
