"""What buyers and clerks share: shows, holds, orders, and an account of the answers they get.

They call the functions as applications do, each in its role, and read no table: so their accounts
are independent of what the database records.
"""

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterable

Answer = dict[str, Any]
Connection = psycopg.AsyncConnection[Answer]
Codes = tuple[str | None, ...]

OK: Codes = (None,)
# Refusals of these are in the log of orders, all others in that of holds.
ORDER_FUNCTIONS = (
    "create_ticket_order",
    "confirm_payment",
    "fail_payment",
    "refund_order",
    "cancel_tickets",
    "record_refund",
    "record_dispute",
)
# What get_reservation_statistics() counts.
STATISTICS = ("created", "completed", "expired", "released", "extended", "failed")
PROVIDER = "demo-pay"
PAGE_LOADS = 0.05  # of the looks at a seat map; all others ask only for what has changed


@dataclass(eq=False)
class Show:
    """What callers know about a show, from its seat map. The seats are in the order of the hall.

    `states` and `version` are those of the last look: the page of the shop, which all share.
    """

    id: UUID
    name: str
    currency: str
    is_doomed: bool = False  # the house cancels it during the sale
    sections: dict[str, list[UUID]] = field(default_factory=dict)
    rows: dict[UUID, int] = field(default_factory=dict)
    prices: dict[UUID, int] = field(default_factory=dict)
    places: dict[tuple[str, str, str], UUID] = field(default_factory=dict)
    states: dict[UUID, str] = field(default_factory=dict)
    version: int = 0

    def draw(self, seats: list[Answer]) -> None:
        self.update(seats)
        for seat in seats:
            id_ = seat["seat_id"]
            self.sections.setdefault(seat["section"], []).append(id_)
            self.rows[id_] = seat["row_position"]
            self.prices[id_] = seat["price_in_cents"]
            self.places[seat["section"], seat["row_label"], seat["seat_number"]] = id_
        best_first = sorted(self.sections, key=lambda name: -self.prices[self.sections[name][0]])
        self.sections = {name: self.sections[name] for name in best_first}

    def update(self, seats: list[Answer]) -> None:
        """Take in an answer of get_seat_map(), unless a later one has overtaken it."""
        if seats and seats[0]["version"] >= self.version:
            self.states.update({seat["seat_id"]: seat["state"] for seat in seats})
            self.version = seats[0]["version"]


@dataclass(eq=False)
class Hold:
    """`prices`: of each seat that it has."""

    show: Show
    id: UUID
    token: str
    session: str
    prices: dict[UUID, int]
    expires_at: datetime | None = None
    extensions: int = 0
    status: str = "active"

    @property
    def seats(self) -> list[UUID]:
        return list(self.prices)

    @property
    def total(self) -> int:
        return sum(self.prices.values())


@dataclass(eq=False)
class Ticket:
    id: UUID
    seat: UUID
    price: int
    code: str = ""
    status: str = "valid"
    gate: str | None = None  # where it was checked in


@dataclass
class Refund:
    amount: int
    reason: str
    status: str = "due"


@dataclass(eq=False)
class Order:
    """`received`: all that was paid for it, also twice or too much."""

    hold: Hold
    id: UUID
    amount: int
    key: str | None = None
    status: str = "new"
    received: int = 0
    tickets: list[Ticket] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)

    @property
    def valid(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.status == "valid"]

    def owe(self, amount: int, reason: str, status: str = "due") -> Refund:
        """Nothing is owed for free tickets."""
        refund = Refund(amount, reason, status)
        if amount:
            self.refunds.append(refund)
        return refund


@dataclass
class Sale:
    """What all share. `clock`: a DBA's connection, which can change the end of a hold."""

    shows: list[Show]
    clock: Connection
    opened_at: datetime
    clerks: "list[Staff]" = field(default_factory=list)
    # What the payment provider has moved, by event: received, or, below 0, returned.
    payments: Counter[str] = field(default_factory=Counter)
    ends_at: float = 0.0

    @property
    def seconds_left(self) -> float:
        return self.ends_at - asyncio.get_running_loop().time()

    def clerk_of(self, show: Show, seat: UUID) -> "Staff":
        """Every row has one clerk: nobody else blocks its seats, or sells them at the counter."""
        return self.clerks[show.rows[seat] % len(self.clerks)]


class Person(ABC):
    """Somebody who calls functions. `account`: how often each (metric, of what) has happened."""

    mean_pause: float  # seconds

    def __init__(self, name: str, seed: int, sale: Sale, connection: Connection) -> None:
        self.name = name
        self.sale = sale
        self.connection = connection
        self.random = random.Random(f"{seed}/{name}")
        self.account: Counter[tuple[str, str]] = Counter()
        self.holds: list[Hold] = []
        self.orders: list[Order] = []

    @abstractmethod
    async def act(self) -> None: ...

    async def run(self) -> None:
        """Act until the sale is over."""
        try:
            while self.sale.seconds_left > 0:
                await self.act()
                await self.pause()
        except psycopg.Error as error:
            message = error.diag.message_primary or error
            self.expect(False, f"exception {type(error).__name__}: {message}")
            if error.diag.context:
                self.expect(False, error.diag.context)  # which call it was

    async def pause(self, times: float = 1) -> None:
        seconds = self.random.expovariate(1 / self.mean_pause) * times
        await asyncio.sleep(min(seconds, max(0, self.sale.seconds_left)))

    def is_so(self, chance: float) -> bool:
        return self.random.random() < chance

    def expect(self, right: bool, what: str) -> None:
        if not right:
            self.account["wrong answers", what] += 1

    def event(self, event_type: str, show: Show | None, manner: str = "") -> None:
        self.account["audit log", event_type + manner] += 1
        if event_type in STATISTICS:
            for name in ("all shows", *([show.name] if show else [])):
                self.account["statistics", f"{name}: {event_type}"] += 1

    def turn(self, order: Order, status: str) -> None:
        """Of a show that is cancelled, nobody knows whether an order was cancelled before."""
        show = order.hold.show
        before = f"{show.name}:" if show.is_doomed else order.status
        self.account["order audit log", f"{before} to {status}"] += 1
        order.status = status

    def take_back(self, order: Order, tickets: list[Ticket], reason: str, status: str) -> Refund:
        """Hand over to an order what became of its tickets."""
        for ticket in tickets:
            ticket.status = "refunded"
        if not order.valid:
            self.turn(order, "refunded")
        self.event("refunded", order.hold.show)
        return order.owe(sum(ticket.price for ticket in tickets), reason, status)

    async def rows(self, function: str, *arguments: Any) -> list[Answer]:
        query = f"SELECT * FROM {function}({', '.join(['%s'] * len(arguments))})"
        return await (await self.connection.execute(query, arguments)).fetchall()

    async def request(self, function: str, *arguments: Any) -> Answer:
        (answer,) = await self.rows(function, *arguments)
        return answer

    async def call(
        self, function: str, show: Show | None, *arguments: Any, may: Codes = OK
    ) -> Answer:
        """Make a request and count it. `show`: of a refusal; `may`: the expected error codes."""
        answer = await self.request(function, *arguments)
        code = answer["error_code"]
        right = code in may and answer["success"] == (code is None)
        self.expect(right, f"{function} answers {code}")
        is_order = function in ORDER_FUNCTIONS
        if code:
            self.account[f"{'order' if is_order else 'hold'} calls refused", code] += 1
        if code and not is_order:
            self.event("failed", show)
            self.account["error messages", answer["error_message"]] += 1
        if code and function.startswith("reserve_"):
            self.account["attempts to reserve refused", code] += 1
        return answer

    async def repeat(self, answer: Answer, function: str, *arguments: Any) -> None:
        """Call again as if the answer had been lost: it must be the same, and nothing counts."""
        again = await self.request(function, *arguments)
        self.expect(again == answer, f"{function}: repeated, other answer")

    async def look(self, show: Show) -> dict[UUID, str]:
        since = None if self.is_so(PAGE_LOADS) else show.version
        show.update(await self.rows("get_seat_map", show.id, since))
        return show.states


class Staff(Person):
    """What the box office does at the request of others. `blocked`: which seats it has blocked."""

    blocked: dict[UUID, Show]

    @abstractmethod
    async def close_off(self, hold: Hold) -> bool: ...

    @abstractmethod
    async def hold_back(self, show: Show) -> None: ...

    @abstractmethod
    async def swap_hall(self, show: Show, everybody: "Iterable[Person]") -> None: ...

    @abstractmethod
    async def cancel(self, order: Order, tickets: list[Ticket]) -> None: ...

    @abstractmethod
    async def let_in(self, order: Order, ticket: Ticket) -> None: ...

    @abstractmethod
    async def forget(self, email: str) -> None: ...

    @abstractmethod
    async def cancel_show(self, show: Show) -> None: ...

    @abstractmethod
    def wind_up(self, show: Show, everybody: "Iterable[Person]") -> None: ...
