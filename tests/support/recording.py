"""A history of a small hall, and a recording of who had which seat after each step of it."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.support.hall import Hall
from tests.support.queries import Row, one, value

# Of each seat: its state, the reservation that has it, and the order that paid for it.
Owners = dict[UUID, tuple[str, UUID | None, UUID | None]]

# By the present state alone. The end of a hold is compared with the moment that is recorded.
PRESENT = """
    SELECT seat.id, moment.at,
        CASE
            WHEN seat.status <> 'reserved' THEN seat.status
            WHEN seat.reserved_until > moment.at THEN 'held'
            ELSE 'available'
        END AS state,
        CASE
            WHEN seat.status = 'sold' THEN claim.reservation_id
            WHEN seat.reserved_until > moment.at THEN seat.reserved_by
        END AS reservation_id,
        ticket.order_id
    FROM (SELECT clock_timestamp() AS at OFFSET 0) AS moment
    CROSS JOIN show_seats AS seat
    LEFT JOIN reservation_seats AS claim
        ON claim.show_seat_id = seat.id AND claim.released_at IS NULL
    LEFT JOIN tickets AS ticket
        ON ticket.show_seat_id = seat.id AND ticket.status = 'valid'
    WHERE seat.show_id = %s
"""


def present(hall: Hall) -> tuple[datetime, Owners]:
    """Who has which seat now, and when that is."""
    rows = hall.connection.execute(PRESENT.encode(), [hall.show_id]).fetchall()
    (moment,) = {row.at for row in rows}
    return moment, {row.id: (row.state, row.reservation_id, row.order_id) for row in rows}


def seat_map_at(hall: Hall, moment: object) -> list[Row]:
    return hall.connection.execute(
        "SELECT * FROM get_seat_map_at(%s, %s)", [hall.show_id, moment]
    ).fetchall()


def owners_at(hall: Hall, moment: object) -> Owners:
    return {
        row.seat_id: (row.state, row.reservation_id, row.order_id)
        for row in seat_map_at(hall, moment)
    }


@dataclass
class Recording:
    """The hall, and what was seen in it so far. Its connection commits each statement."""

    hall: Hall
    seen: list[tuple[datetime, str, Owners]] = field(default_factory=list)

    def note(self, step: str) -> None:
        moment, owners = present(self.hall)
        self.seen.append((moment, step, owners))

    def differences(self) -> list[tuple[str, dict[UUID, tuple[Any, Any]]]]:
        """After which steps the function answers something else than what was seen."""
        found = []
        for moment, step, owners in self.seen:
            answer = owners_at(self.hall, moment)
            assert answer.keys() == owners.keys()
            wrong = {s: (owners[s], answer[s]) for s in owners if owners[s] != answer[s]}
            if wrong:
                found.append((step, wrong))
        return found


@dataclass
class Staff:
    """What the staff does to seats, statement by statement, with the lines that it leaves."""

    hall: Hall

    def log(
        self, event: str, seats: Sequence[UUID], reservation: UUID | None = None, **detail: Any
    ) -> None:
        self.hall.connection.execute(
            "SELECT log_staff_action(%s, %s, %s, %s, 'staff', %s)",
            [
                event,
                self.hall.show_id,
                reservation,
                list(seats),
                json.dumps(detail, default=str),
            ],
        )

    def functions_only(self) -> None:
        """What follows in the transaction is done as by a function: no change by hand is logged."""
        self.hall.connection.execute("SET LOCAL commit_siblings = 997")

    def set_status(self, seats: Sequence[UUID], status: str) -> None:
        self.hall.connection.execute(
            "UPDATE show_seats SET status = %s, reserved_by = NULL, reserved_until = NULL"
            " WHERE id = ANY(%s)",
            [status, list(seats)],
        )

    def blocked(self, seats: Sequence[UUID]) -> list[UUID]:
        rows = self.hall.connection.execute(
            "SELECT id FROM show_seats WHERE id = ANY(%s) AND status = 'blocked'", [list(seats)]
        ).fetchall()
        return [row.id for row in rows]

    def block(self, seats: Sequence[UUID]) -> None:
        with self.hall.connection.transaction():
            self.functions_only()
            self.set_status(seats, "blocked")
            self.log("blocked", seats)

    def unblock(self, seats: Sequence[UUID]) -> None:
        with self.hall.connection.transaction():
            self.functions_only()
            self.set_status(seats, "available")
            self.log("unblocked", seats)

    def issue(self, seats: Sequence[UUID]) -> Row:
        """Sell seats at the counter. Returns the row of the order."""
        connection, show = self.hall.connection, self.hall.show_id
        with connection.transaction():
            self.functions_only()
            reservation = value(
                connection,
                "INSERT INTO seat_reservations (show_id, reservation_token, session_id, status,"
                " expires_at, ended_at) SELECT %s, encode(uuid_send(%s)"
                " || uuid_send(gen_random_uuid()), 'hex'), 'counter', 'completed', now(), now()"
                " RETURNING id",
                show,
                show,
            )
            self.log("issued", seats, reservation, blocked_seat_ids=self.blocked(seats))
            connection.execute(
                "INSERT INTO reservation_seats (reservation_id, show_seat_id, show_id,"
                " price_in_cents, currency) SELECT %s, seat, %s, 0, 'EUR'"
                " FROM unnest(%s::uuid[]) AS seat",
                [reservation, show, list(seats)],
            )
            order = one(
                connection,
                "INSERT INTO ticket_orders (show_id, reservation_id, seat_ids, status, currency,"
                " total_amount_in_cents, paid_at) VALUES (%s, %s, %s, 'paid', 'EUR', 0, now())"
                " RETURNING *",
                show,
                reservation,
                sorted(seats),
            )
            connection.execute(
                "INSERT INTO tickets (show_id, order_id, show_seat_id, price_in_cents, currency)"
                " SELECT %s, %s, seat, 0, 'EUR' FROM unnest(%s::uuid[]) AS seat",
                [show, order.id, list(seats)],
            )
            self.set_status(seats, "sold")
        return order

    def move(self, moves: dict[UUID, UUID], *, last_first: bool = False) -> None:
        """Give the tickets of these seats other seats, which another of them may leave."""
        connection = self.hall.connection
        with connection.transaction():
            self.functions_only()
            tickets = connection.execute(
                "SELECT ticket.id, ticket.show_seat_id, ticket.order_id, sale.reservation_id"
                " FROM tickets AS ticket INNER JOIN ticket_orders AS sale"
                " ON sale.id = ticket.order_id"
                " WHERE ticket.show_seat_id = ANY(%s) AND ticket.status = 'valid'"
                " ORDER BY sale.reservation_id, ticket.id",
                [list(moves)],
            ).fetchall()
            assert len(tickets) == len(moves)
            lines: dict[UUID, list[UUID]] = {}
            for ticket in tickets:
                lines.setdefault(ticket.reservation_id, []).append(ticket.show_seat_id)
            for reservation in sorted(lines, reverse=last_first):
                new = [moves[seat] for seat in lines[reservation]]
                self.log(
                    "moved",
                    new,
                    reservation,
                    from_seat_ids=lines[reservation],
                    blocked_seat_ids=self.blocked(new),
                )
            connection.execute(
                "UPDATE tickets SET status = 'cancelled' WHERE id = ANY(%s)",
                [[ticket.id for ticket in tickets]],
            )
            connection.execute(
                "UPDATE reservation_seats SET released_at = now() WHERE show_seat_id = ANY(%s)"
                " AND released_at IS NULL",
                [list(moves)],
            )
            self.set_status(list(moves), "available")
            for ticket in tickets:
                seat = moves[ticket.show_seat_id]
                connection.execute(
                    "UPDATE tickets SET status = 'valid', show_seat_id = %s WHERE id = %s",
                    [seat, ticket.id],
                )
                connection.execute(
                    "INSERT INTO reservation_seats (reservation_id, show_seat_id, show_id,"
                    " price_in_cents, currency) VALUES (%s, %s, %s, 0, 'EUR')"
                    " ON CONFLICT (reservation_id, show_seat_id, show_id)"
                    " DO UPDATE SET released_at = NULL",
                    [ticket.reservation_id, seat, self.hall.show_id],
                )
            self.set_status(list(moves.values()), "sold")

    def take_back(self, order: Row) -> None:
        """Refund an order, with a line for its seats if the function leaves none."""
        connection = self.hall.connection
        with connection.transaction():
            if not self.hall.refund(order).seats_released:
                return
            connection.execute(
                "INSERT INTO seat_reservation_audit_log"
                " (event_type, reservation_id, show_id, seat_count, seat_ids)"
                " SELECT 'refunded', sale.reservation_id, sale.show_id,"
                " cardinality(seats.ids), seats.ids"
                " FROM ticket_orders AS sale"
                " CROSS JOIN LATERAL (SELECT ARRAY(SELECT show_seat_id FROM tickets"
                " WHERE order_id = sale.id AND status = 'refunded')) AS seats (ids)"
                " WHERE sale.id = %s AND NOT EXISTS (SELECT FROM seat_reservation_audit_log"
                " WHERE event_type = 'refunded' AND xact_id = pg_current_xact_id())",
                [order.order_id],
            )


# The seats, and the reservation.
END_BY_HAND = (
    """
    UPDATE show_seats SET status = 'available', reserved_by = NULL, reserved_until = NULL
    WHERE reserved_by = %s
    """,
    """
    UPDATE seat_reservations SET status = 'released', ended_at = now() WHERE id = %s AND is_active
    """,
)


@dataclass
class History:
    """Steps at random, each of which is possible in the present state of the hall."""

    recording: Recording
    chance: random.Random
    holds: list[tuple[Row, str]] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    buyers: int = 0

    @property
    def hall(self) -> Hall:
        return self.recording.hall

    @property
    def staff(self) -> Staff:
        return Staff(self.hall)

    def seats(self, *statuses: str) -> list[UUID]:
        rows = self.hall.connection.execute(
            "SELECT id FROM show_seats WHERE show_id = %s AND status = ANY(%s) ORDER BY id",
            [self.hall.show_id, list(statuses)],
        ).fetchall()
        return [row.id for row in rows]

    def some(self, seats: Sequence[UUID], most: int = 3) -> list[UUID]:
        count = min(len(seats), self.chance.randint(1, most))
        return self.chance.sample(list(seats), count)

    def play(self, steps: int) -> None:
        self.recording.note("at first")
        for _ in range(steps):
            step = self.chance.choices(
                [name for name, _ in STEPS], [weight for _, weight in STEPS]
            )[0]
            getattr(self, step)()
            self.recording.note(step)

    def reserve(self) -> None:
        self.buyers += 1
        session = f"buyer {self.buyers}"
        numbers = self.chance.sample(range(len(self.hall.seats)), self.chance.randint(1, 3))
        hold = self.hall.reserve(*numbers, session=session)
        if hold.success:
            self.holds.append((hold, session))

    def a_hold(self) -> tuple[Row, str] | None:
        return self.chance.choice(self.holds[-8:]) if self.holds else None

    def extend(self) -> None:
        if known := self.a_hold():
            self.hall.extend(*known)

    def release(self) -> None:
        if known := self.a_hold():
            hold, session = known
            (row,) = self.hall.connection.execute(
                "SELECT * FROM get_reservation(%s, %s)", [hold.reservation_token, session]
            ).fetchall()
            part = self.chance.random() < 0.5 and row.seat_ids
            self.hall.release(hold, self.some(row.seat_ids) if part else None, session)

    def order(self) -> None:
        if known := self.a_hold():
            order = self.hall.order(*known)
            if order.success:
                self.orders.append(order)

    def pay(self) -> None:
        if self.orders:
            order = self.chance.choice(self.orders[-5:])
            self.hall.pay(order, event=f"evt {len(self.recording.seen)}")

    def sell(self) -> None:
        self.reserve()
        if self.holds:
            order = self.hall.order(*self.holds[-1])
            if order.success:
                self.orders.append(order)
                self.hall.pay(order, event=f"evt {len(self.recording.seen)}")

    def refund(self) -> None:
        if self.orders:
            self.staff.take_back(self.chance.choice(self.orders[-12:]))

    def clean_up(self) -> None:
        self.hall.clean_up()

    def run_out_by_hand(self) -> None:
        if known := self.a_hold():
            self.hall.let_run_out(known[0])

    def run_out_soon(self) -> None:
        """The end comes by itself, between two of the next steps."""
        if known := self.a_hold():
            self.hall.connection.execute(
                "UPDATE seat_reservations SET expires_at = clock_timestamp() + %s * interval '1 ms'"
                " WHERE id = %s AND is_active",
                [self.chance.randint(1, 30), known[0].reservation_id],
            )

    def prolong_by_hand(self) -> None:
        """Perhaps of a hold that was over."""
        if known := self.a_hold():
            self.hall.connection.execute(
                "UPDATE seat_reservations SET expires_at = now() + interval '9 minutes'"
                " WHERE id = %s AND is_active",
                [known[0].reservation_id],
            )

    def block_by_hand(self) -> None:
        self.staff.set_status(self.some(self.seats("available")), "blocked")

    def unblock_by_hand(self) -> None:
        self.staff.set_status(self.some(self.seats("blocked")), "available")

    def end_by_hand(self) -> None:
        """A DBA takes a hold away, in one transaction, the seats first or last."""
        if known := self.a_hold():
            key = [known[0].reservation_id]
            steps = list(END_BY_HAND)
            if self.chance.random() < 0.5:
                steps.reverse()
            with self.hall.connection.transaction():
                live = "SELECT FROM seat_reservations WHERE id = %s AND is_active"
                if self.hall.connection.execute(live, key).fetchall():
                    for statement in steps:
                        self.hall.connection.execute(statement.encode(), key)
                    self.hall.connection.execute(
                        "UPDATE reservation_seats SET released_at = now()"
                        " WHERE reservation_id = %s AND released_at IS NULL",
                        key,
                    )

    def block(self) -> None:
        if seats := self.some(self.seats("available")):
            self.staff.block(seats)

    def unblock(self) -> None:
        if seats := self.some(self.seats("blocked")):
            self.staff.unblock(seats)

    def issue(self) -> None:
        if seats := self.some(self.seats("available", "blocked")):
            self.staff.issue(seats)

    def move(self) -> None:
        old = self.some(self.seats("sold"), 4)
        if old:
            free = self.seats("available", "blocked")
            new = self.chance.sample(old + free, len(old))
            moves = {a: b for a, b in zip(old, new, strict=True) if a != b}
            # A seat that is left out keeps its ticket, so nobody may come to it.
            if not set(moves.values()) & (set(old) - set(moves)):
                self.staff.move(moves, last_first=self.chance.random() < 0.5)


STEPS = [
    ("reserve", 20),
    ("extend", 4),
    ("release", 5),
    ("order", 5),
    ("pay", 6),
    ("sell", 8),
    ("refund", 14),
    ("clean_up", 3),
    ("run_out_by_hand", 5),
    ("run_out_soon", 5),
    ("prolong_by_hand", 3),
    ("block_by_hand", 2),
    ("unblock_by_hand", 4),
    ("end_by_hand", 3),
    ("block", 2),
    ("unblock", 4),
    ("issue", 3),
    ("move", 8),
]
