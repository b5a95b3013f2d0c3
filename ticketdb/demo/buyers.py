"""Simulated buyers: each behaves as customers do at an on-sale, and counts the answers it gets.

A buyer calls the functions as the application does, in the role of the application. It reads no
table but the seat map, so its account is independent of what the database records.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

Answer = dict[str, Any]
Connection = psycopg.AsyncConnection[Answer]
Codes = tuple[str | None, ...]

OK: Codes = (None,)
HTTP_STATUS = {None: 200, "INVALID_INPUT": 400, "NOT_FOUND": 404, "INTERNAL_ERROR": 500}
HOLD_FUNCTIONS = ("reserve_seats", "extend_reservation", "release_reservation")
PROVIDER = "demo-pay"
MEAN_PAUSE = 0.3  # seconds: 200 buyers then keep two cores busy, but not choked
HOT_BLOCK = slice(10, 30)  # the middle of the front row, which most buyers want


@dataclass(frozen=True)
class Show:
    """What a buyer knows about a show. The seats are in the order of the hall."""

    id: UUID
    name: str
    currency: str
    sections: dict[str, list[UUID]]
    prices: dict[UUID, int]

    def price(self, seats: list[UUID]) -> int:
        return sum(self.prices[seat] for seat in seats)


@dataclass
class Hold:
    show: Show
    id: UUID
    token: str
    seats: list[UUID]
    expires_at: datetime
    extensions: int = 0
    status: str = "active"


@dataclass
class Order:
    hold: Hold
    id: UUID
    key: str
    amount: int
    status: str = "new"
    tickets: list[UUID] = field(default_factory=list)


@dataclass
class Sale:
    """What all buyers share. `clock`: a DBA's connection, which can change the end of a hold."""

    shows: list[Show]
    clock: Connection
    ends_at: float = 0.0

    @property
    def seconds_left(self) -> float:
        return self.ends_at - asyncio.get_running_loop().time()


class Buyer:
    """One session of the shop. `account`: how often each (metric, of what) has happened."""

    def __init__(self, number: int, seed: int, sale: Sale, connection: Connection) -> None:
        self.name = f"buyer-{number}"
        self.sale = sale
        self.connection = connection
        self.random = random.Random(f"{seed}/{number}")
        self.account: Counter[tuple[str, str]] = Counter()
        self.holds: list[Hold] = []
        self.orders: list[Order] = []
        self.requests: list[tuple[str, int, float]] = []

    async def run(self) -> None:
        """Buy until the sale is over. The last hold is kept, as in a real shop at any moment."""
        try:
            while self.sale.seconds_left > 0:
                await self.visit()
                await self.report()
                await self.pause()
        except psycopg.Error as error:
            message = error.diag.message_primary or error
            self.expect(False, f"exception {type(error).__name__}: {message}")

    async def pause(self, mean: float = MEAN_PAUSE) -> None:
        await asyncio.sleep(min(self.random.expovariate(1 / mean), max(0, self.sale.seconds_left)))

    def is_so(self, chance: float) -> bool:
        return self.random.random() < chance

    def expect(self, right: bool, what: str) -> None:
        if not right:
            self.account["wrong answers", what] += 1

    def event(self, event_type: str, show: Show | None, manner: str = "") -> None:
        self.account["audit log", event_type + manner] += 1
        for name in ("all shows", *([show.name] if show else [])):
            self.account["statistics", f"{name}: {event_type}"] += 1

    def turn(self, order: Order, status: str) -> None:
        self.account["order audit log", f"{order.status} to {status}"] += 1
        order.status = status

    # The functions of the database, and how their answers are counted.

    async def request(self, function: str, *arguments: Any) -> Answer:
        query = f"SELECT * FROM {function}({', '.join(['%s'] * len(arguments))})"
        started = time.perf_counter()
        answer = await (await self.connection.execute(query, arguments)).fetchone()
        assert answer is not None
        status = HTTP_STATUS.get(answer["error_code"], 409)
        self.requests.append((function, status, (time.perf_counter() - started) * 1000))
        return answer

    async def call(
        self, function: str, show: Show | None, *arguments: Any, may: Codes = OK
    ) -> Answer:
        """Make a request and count it. `show`: of a refusal; `may`: the expected error codes."""
        answer = await self.request(function, *arguments)
        code = answer["error_code"]
        right = code in may and answer["success"] == (code is None)
        self.expect(right, f"{function} answers {code}")
        is_hold = function in HOLD_FUNCTIONS
        if code:
            self.account[f"{'hold' if is_hold else 'order'} calls refused", code] += 1
        if code and is_hold:
            self.event("failed", show)
            self.account["error messages", answer["error_message"]] += 1
        if code and function == "reserve_seats":
            self.account["attempts to reserve refused", code] += 1
        return answer

    async def reserve(self, show: Show, seats: list[UUID]) -> Hold | None:
        arguments = (show.id, seats, self.name, None, f"{self.name}@example.com")
        answer = await self.call("reserve_seats", show, *arguments, may=(None, "SEATS_UNAVAILABLE"))
        if not answer["success"]:
            return None
        self.event("created", show)
        price, count = answer["total_amount_in_cents"], answer["seat_count"]
        self.expect((price, count) == (show.price(seats), len(seats)), "reserve_seats: total")
        names = ("reservation_id", "reservation_token", "expires_at")
        id_, token, expires_at = (answer[name] for name in names)
        hold = Hold(show, id_, token, seats, expires_at)
        self.holds.append(hold)
        return hold

    async def extend(self, hold: Hold) -> None:
        answer = await self.call("extend_reservation", hold.show, hold.token, self.name)
        hold.expires_at = answer["expires_at"]
        hold.extensions += 1
        self.event("extended", hold.show)

    async def release(self, hold: Hold, seats: list[UUID] | None = None) -> None:
        """Release some seats, or all; that cancels an open order of the hold."""
        answer = await self.call("release_reservation", hold.show, hold.token, self.name, seats)
        given_back = hold.seats if seats is None else seats
        self.expect(answer["seats_released"] == len(given_back), "release_reservation: seats")
        for order in self.orders:
            if order.hold is hold and order.status in ("pending", "failed"):
                self.turn(order, "cancelled")
        hold.seats = [seat for seat in hold.seats if seat not in given_back]
        if not hold.seats:
            hold.status = "released"
        self.event("released", hold.show, " in part" if hold.seats else "")

    async def order(self, hold: Hold) -> Order:
        key = f"{self.name}-{len(self.orders)}"
        arguments = (hold.token, self.name, key, PROVIDER, f"pi-{key}")
        answer = await self.call("create_ticket_order", hold.show, *arguments)
        total = hold.show.price(hold.seats)
        self.expect(answer["total_amount_in_cents"] == total, "create_ticket_order: total")
        self.orders.append(Order(hold, answer["order_id"], key, total))
        self.turn(self.orders[-1], "pending")
        if self.is_so(0.1):  # a double click
            again = await self.request("create_ticket_order", *arguments)
            self.expect(again == answer, "create_ticket_order: same key, other order")
        return self.orders[-1]

    async def webhook(self, kind: str, order: Order, last: int | str, may: Codes = OK) -> Answer:
        """Deliver an event of the payment provider, sometimes twice, as providers do."""
        event = (order.hold.show.id, order.id, PROVIDER, f"evt-{uuid4()}", last)
        answer = await self.call(kind, order.hold.show, *event, may=may)
        of_what = "payment" if kind == "confirm_payment" else "failure"
        self.account["payment events", of_what] += 1
        if self.is_so(0.25):
            again = await self.request(kind, *event)
            self.expect(again == answer, f"{kind}: same event, other answer")
        return answer

    async def pay(self, order: Order) -> None:
        hold = order.hold
        is_late = hold.status == "expired"
        answer = await self.webhook("confirm_payment", order, order.amount)
        self.turn(order, answer["status"])
        self.expect(order.status == "paid" or is_late, f"confirm_payment: {order.status}")
        if order.status == "paid":
            order.tickets = answer["ticket_ids"]
            self.expect(len(order.tickets) == len(hold.seats), "confirm_payment: tickets")
            hold.status = "completed"
            self.event("completed", hold.show, " late" if is_late else "")

    async def refund(self, order: Order) -> None:
        show = order.hold.show
        answer = await self.call("refund_order", show, show.id, order.id)
        self.expect(answer["seats_released"] == len(order.tickets), "refund_order: seats")
        self.turn(order, "refunded")

    async def lapse(self, hold: Hold) -> None:
        """Let the hold become overdue. It will be ended, and logged as expired, exactly once."""
        await self.sale.clock.execute(
            "UPDATE seat_reservations SET expires_at = now() - interval '1 second'"
            " WHERE id = %s AND show_id = %s",
            (hold.id, hold.show.id),
        )
        hold.status = "expired"
        self.event("expired", hold.show)

    async def report(self) -> None:
        """Log how long each request took, as the shop's middleware does."""
        for function, status, _ in self.requests:
            self.account["API requests", f"/rpc/{function} {status}"] += 1
        await self.connection.execute(
            "SELECT log_api_request('/rpc/' || function, 'POST', status, milliseconds)"
            " FROM unnest(%s::text[], %s::integer[], %s::float8[])"
            " AS request (function, status, milliseconds)",
            [list(column) for column in zip(*self.requests, strict=True)],
        )
        self.requests.clear()

    # What customers do.

    async def visit(self) -> None:
        shows = self.sale.shows
        show = self.random.choices(shows, [len(show.prices) for show in shows])[0]
        hold = await self.reserve(show, await self.choose(show))
        if hold is None and self.sale.seconds_left > 0:  # another buyer was faster: try once more
            hold = await self.reserve(show, await self.choose(show))
        await self.pause()
        if hold is not None and self.sale.seconds_left > 0:
            await self.random.choices(list(PLANS), list(PLANS.values()))[0](self, hold)

    async def choose(self, show: Show) -> list[UUID]:
        """Adjacent seats: in the block that most buyers want, or where the seat map shows some."""
        count = self.random.choice([1, 2, 2, 2, 3, 4])
        section = self.random.choice(list(show.sections))
        block = next(iter(show.sections.values()))[HOT_BLOCK]
        if self.is_so(0.7):
            cursor = await self.connection.execute(
                "SELECT id FROM show_seats"
                " WHERE show_id = %s AND section = %s AND status = 'available'",
                (show.id, section),
            )
            free = {row["id"] for row in await cursor.fetchall()}
            block = [seat for seat in show.sections[section] if seat in free]
        if len(block) < count:
            block = show.sections[section]
        first = self.random.randint(0, len(block) - count)
        return block[first : first + count]

    async def buy(self, hold: Hold) -> None:
        """Order and pay. Some extend first, some release a seat, some have their card declined."""
        if self.is_so(0.2):
            await self.extend(hold)
            await self.pause()
        if self.is_so(0.15) and len(hold.seats) > 1:
            await self.order(hold)
            await self.release(hold, hold.seats[:1])
        order = await self.order(hold)
        await self.pause()
        if self.is_so(0.15):
            await self.webhook("fail_payment", order, "card declined")
            self.turn(order, "failed")
            if self.is_so(0.4):
                await self.lapse(hold)
                return
        await self.pay(order)
        if self.is_so(0.1):
            await self.refund(order)
            show = hold.show
            await self.call("refund_order", show, show.id, order.id, may=("ORDER_NOT_REFUNDABLE",))

    async def walk_away(self, hold: Hold) -> None:
        if self.is_so(0.3):
            await self.order(hold)
        await self.lapse(hold)

    async def pay_late(self, hold: Hold) -> None:
        """Pay after the hold has ended: the seats may still be free, or another buyer's."""
        order = await self.order(hold)
        await self.lapse(hold)
        if self.is_so(0.2):
            mine = (hold.token, self.name)
            await self.call("extend_reservation", hold.show, *mine, may=("RESERVATION_EXPIRED",))
        await self.pause(self.random.choice([0.01, 4 * MEAN_PAUSE]))
        await self.pay(order)
        if order.status == "refund_due" and self.is_so(0.5):
            await self.refund(order)

    async def misbehave(self, hold: Hold) -> None:
        """Make requests that must be refused; then buy, with a wrong amount at first."""
        show, mine, stranger = hold.show, (hold.token, self.name), f"{self.name}'s friend"
        seats, unknown = list(show.prices), uuid4()
        other = next(other for other in self.sale.shows if other is not show)
        used = [order.key for order in self.orders if order.hold.show is show]
        reserve, release, make = "reserve_seats", "release_reservation", "create_ticket_order"
        requests: list[tuple[Any, ...]] = [
            ("INVALID_INPUT", reserve, show, show.id, seats[:1] * 2, stranger),
            ("SHOW_NOT_ON_SALE", reserve, None, unknown, seats[:1], stranger),
            ("TOO_MANY_SEATS", reserve, show, show.id, seats[:11], stranger),
            # Not exactly the seats that it holds: it would get the same hold again.
            ("DUPLICATE_RESERVATION", reserve, show, show.id, [*hold.seats, unknown], self.name),
            ("SEATS_NOT_FOUND", reserve, other, other.id, hold.seats, stranger),
            ("SEATS_UNAVAILABLE", reserve, show, show.id, hold.seats, stranger),
            ("NOT_FOUND", "extend_reservation", None, unknown.hex * 2, self.name),
            ("PERMISSION_DENIED", release, show, hold.token, stranger),
            ("SEATS_NOT_FOUND", release, show, *mine, [unknown]),
            ("NOT_FOUND", "confirm_payment", show, show.id, unknown, PROVIDER, "evt-0", 1),
            *([("IDEMPOTENCY_KEY_REUSED", make, show, *mine, used[0])] if used else []),
        ]
        for code, *request in self.random.sample(requests, 3):
            await self.call(*request, may=(code,))
        if self.is_so(0.5):
            for _ in range(3):
                await self.extend(hold)
            await self.call("extend_reservation", show, *mine, may=("MAX_EXTENSIONS_REACHED",))
        order = await self.order(hold)
        await self.webhook("confirm_payment", order, order.amount + 1, ("AMOUNT_MISMATCH",))
        await self.pay(order)
        await self.webhook("fail_payment", order, "too late", ("ORDER_NOT_PAYABLE",))
        await self.call(release, show, *mine, may=("RESERVATION_INACTIVE",))


# What a buyer does with a hold, and with which weight.
PLANS: dict[Callable[[Buyer, Hold], Awaitable[None]], int] = {
    Buyer.buy: 62,
    Buyer.release: 12,
    Buyer.walk_away: 12,
    Buyer.pay_late: 12,
    Buyer.misbehave: 2,
}
