"""What a customer of the shop can do: each call of a function, and how its answer is counted."""

import time
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from ticketdb.demo.people import (
    OK,
    PROVIDER,
    Answer,
    Codes,
    Connection,
    Hold,
    Order,
    Person,
    Sale,
    Show,
    Ticket,
)

HTTP_STATUS = {None: 200, "INVALID_INPUT": 400, "NOT_FOUND": 404, "INTERNAL_ERROR": 500}
HOT_BLOCK = slice(10, 30)  # the middle of the front row, which most buyers want
OVERDUE = (
    "UPDATE seat_reservations SET expires_at = now() - interval '1 second'"
    " WHERE id = %s AND show_id = %s"
)


class Customer(Person):
    """Has a session for each visit to the shop."""

    def __init__(self, number: int, seed: int, sale: Sale, connection: Connection) -> None:
        super().__init__(f"buyer-{number}", seed, sale, connection)
        self.requests: list[tuple[str, int, float]] = []
        self.numbers = count(1)  # of attempts to order

    async def rows(self, function: str, *arguments: Any) -> list[Answer]:
        started = time.perf_counter()
        rows = await super().rows(function, *arguments)
        code = rows[0].get("error_code") if rows else None
        milliseconds = (time.perf_counter() - started) * 1000
        self.requests.append((function, HTTP_STATUS.get(code, 409), milliseconds))
        return rows

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

    async def reserve(self, show: Show) -> Hold | None:
        """Reserve seats of the map, or the best there are."""
        session = f"{self.name}-{len(self.holds)}"
        wanted = self.random.choice([1, 2, 2, 2, 3, 4])
        customer = (None, f"{session}@example.com")
        may = (None, "SEATS_UNAVAILABLE", *(["SHOW_NOT_ON_SALE"] if show.is_doomed else []))
        if self.is_so(0.25):
            function = "reserve_best_seats"
            wish = (wanted, session, self.random.choice([None, *show.sections]), None)
            answer = await self.call(function, show, show.id, *wish, *customer, may=may)
            seats = answer["seat_ids"]
        else:
            function, seats = "reserve_seats", await self.choose(show, wanted)
            answer = await self.call(function, show, show.id, seats, session, *customer, may=may)
        if not answer["success"]:
            return None
        self.event("created", show)
        prices = {seat: show.prices[seat] for seat in seats}
        id_, token = answer["reservation_id"], answer["reservation_token"]
        hold = Hold(show, id_, token, session, prices, answer["expires_at"])
        self.holds.append(hold)
        self.expect(answer["seat_count"] == wanted == len(prices), f"{function}: seats")
        self.expect(answer["total_amount_in_cents"] == hold.total, f"{function}: total")
        return hold

    async def choose(self, show: Show, wanted: int) -> list[UUID]:
        """Adjacent seats: in the block that most buyers want, or where the seat map shows some."""
        section = self.random.choice(list(show.sections))
        block = next(iter(show.sections.values()))[HOT_BLOCK]
        if self.is_so(0.7):
            states = await self.look(show)
            block = [seat for seat in show.sections[section] if states[seat] == "available"]
        if len(block) < wanted:
            block = show.sections[section]
        first = self.random.randint(0, len(block) - wanted)
        return block[first : first + wanted]

    async def find(self, hold: Hold) -> None:
        """The answer was lost: the session finds its hold, as the second tab of a browser does."""
        (found,) = await self.rows("get_session_reservations", hold.session)
        self.expect(found["reservation_token"] == hold.token, "get_session_reservations: token")
        (same,) = await self.rows("get_reservation", hold.token, hold.session)
        self.expect(same == found, "get_reservation: not what get_session_reservations returns")
        right = set(same["seat_ids"]) == set(hold.seats), same["expires_at"] == hold.expires_at
        self.expect(all(right), "get_reservation: seats, or end")
        self.expect(same["total_amount_in_cents"] == hold.total, "get_reservation: total")

    async def log_in(self, hold: Hold) -> None:
        """A guest logs in: from now on the hold is that of another session."""
        before, hold.session = hold.session, f"{hold.session} logged in"
        arguments = (hold.token, before, hold.session, self.name)
        await self.call("move_reservation", hold.show, *arguments)
        self.event("transferred", hold.show)
        found = await self.rows("get_reservation", hold.token, before)
        self.expect(not found, "get_reservation: found by the old session")

    async def extend(self, hold: Hold) -> None:
        answer = await self.call("extend_reservation", hold.show, hold.token, hold.session)
        hold.expires_at = answer["expires_at"]
        hold.extensions += 1
        self.event("extended", hold.show)

    async def add(self, hold: Hold) -> None:
        """Add a seat, if it is still free; that cancels an open order of the hold."""
        seat = (await self.choose(hold.show, 1))[0]
        if seat in hold.prices:
            return
        arguments = (hold.token, hold.session, [seat])
        may = (None, "SEATS_UNAVAILABLE")
        answer = await self.call("add_seats", hold.show, *arguments, may=may)
        if answer["success"]:
            hold.prices[seat] = hold.show.prices[seat]
            self.event("added", hold.show)
            self.cancel_orders(hold)
            self.expect(answer["total_amount_in_cents"] == hold.total, "add_seats: total")
            await self.repeat(answer, "add_seats", *arguments)

    async def price(self, hold: Hold) -> None:
        """A child pays half, or a voucher pays for all."""
        seats, share, ticket_type = hold.seats[:1], 0.5, "child"
        if self.is_so(0.3):
            seats, share, ticket_type = hold.seats, 0, "voucher"
        hold.prices.update({seat: int(hold.prices[seat] * share) for seat in seats})
        prices = [hold.prices[seat] for seat in seats]
        arguments = (hold.token, hold.session, seats, prices, [ticket_type] * len(seats))
        answer = await self.call("price_seats", hold.show, *arguments)
        self.event("priced", hold.show)
        self.expect(answer["total_amount_in_cents"] == hold.total, "price_seats: total")

    async def release(self, hold: Hold, seats: list[UUID] | None = None) -> None:
        """Release some seats, or all; that cancels an open order of the hold."""
        arguments = (hold.token, hold.session, seats)
        answer = await self.call("release_reservation", hold.show, *arguments)
        given_back = hold.seats if seats is None else seats
        self.expect(answer["seats_released"] == len(given_back), "release_reservation: seats")
        self.cancel_orders(hold)
        for seat in given_back:
            del hold.prices[seat]
        if not hold.prices:
            hold.status = "released"
        self.event("released", hold.show, " in part" if hold.prices else "")

    def cancel_orders(self, hold: Hold) -> None:
        for order in self.orders:
            if order.hold is hold and order.status in ("pending", "failed"):
                self.turn(order, "cancelled")

    async def order(self, hold: Hold) -> Order:
        show, key = hold.show, f"{self.name}-{next(self.numbers)}"
        arguments = (hold.token, hold.session, key, PROVIDER, f"pi-{key}")
        may = (None, "SHOW_NOT_ON_SALE") if show.is_doomed else OK
        answer = await self.call("create_ticket_order", show, *arguments, may=may)
        for own in self.orders:
            if own.id == answer["order_id"]:
                return own  # it is still open
        order = Order(hold, answer["order_id"], hold.total, key)
        if not answer["success"]:
            return order
        self.expect(answer["total_amount_in_cents"] == hold.total, "create_ticket_order: total")
        self.orders.append(order)
        self.turn(order, "pending")
        if self.is_so(0.1) and not show.is_doomed:  # a double click
            await self.repeat(answer, "create_ticket_order", *arguments)
        return order

    async def webhook(
        self,
        kind: str,
        order: Order,
        last: int | str,
        may: Codes = OK,
        event_id: str | None = None,
    ) -> Answer:
        """Deliver an event of the payment provider, sometimes twice, as providers do."""
        show = order.hold.show
        event = (show.id, order.id, PROVIDER, event_id or f"evt-{uuid4()}", last)
        answer = await self.call(kind, show, *event, may=may)
        if isinstance(last, int):
            order.received += last
            self.sale.payments[event[3]] += last
        of_what = "payment" if kind == "confirm_payment" else "failure"
        self.account["payment events", of_what] += 1
        if self.is_so(0.25):
            await self.repeat(answer, kind, *event)
        return answer

    async def pay(self, order: Order, event_id: str | None = None) -> None:
        hold = order.hold
        is_late = hold.status != "active"
        answer = await self.webhook("confirm_payment", order, order.amount, OK, event_id)
        self.turn(order, answer["status"])
        if order.status == "paid":
            hold.status = "completed"
            self.event("completed", hold.show, " late" if is_late else "")
            await self.collect(order, answer["ticket_ids"])
        else:
            may_fail = is_late or hold.show.is_doomed
            self.expect(may_fail, f"confirm_payment: {order.status}")
            order.owe(order.amount, "show_cancelled" if hold.show.is_doomed else "late_payment")

    async def collect(self, order: Order, ids: list[UUID]) -> None:
        """Fetch the tickets, with the codes that admit."""
        hold = order.hold
        found = await self.rows("get_tickets", hold.show.id, order.id)
        tickets = {ticket["ticket_id"]: ticket for ticket in found}
        places = {
            id_: hold.show.places[row["section"], row["row_label"], row["seat_number"]]
            for id_, row in tickets.items()
        }
        if tickets.keys() != set(ids) or set(places.values()) != set(hold.seats):
            self.expect(False, "get_tickets: not those that were paid for")
            places = dict(zip(ids, hold.seats, strict=False))
        for id_, seat in places.items():
            row = tickets.get(id_, {"price_in_cents": hold.prices[seat], "ticket_code": ""})
            self.expect(row["price_in_cents"] == hold.prices[seat], "get_tickets: price")
            order.tickets.append(Ticket(id_, seat, hold.prices[seat], row["ticket_code"]))
        if self.is_so(0.3) and not hold.show.is_doomed:
            (known,) = await self.rows("get_order", hold.show.id, order.id)
            state = known["status"], known["ticket_count"], known["total_amount_in_cents"]
            self.expect(state == ("paid", len(ids), order.amount), "get_order: other answer")
            same = await self.rows("find_orders", PROVIDER, f"pi-{order.key}")
            self.expect(same == [known], "find_orders: not what get_order returns")

    async def refund(self, order: Order) -> None:
        show = order.hold.show
        answer = await self.call("refund_order", show, show.id, order.id)
        self.expect(answer["seats_released"] == len(order.valid), "refund_order: seats")
        if order.status == "paid":
            self.take_back(order, order.valid, "tickets_cancelled", "done")
            return
        self.turn(order, "refunded")
        for refund in order.refunds:
            if refund.reason in ("late_payment", "show_cancelled"):
                refund.status = "done"

    async def lapse(self, hold: Hold) -> None:
        """Let the hold become overdue. It will be ended, and logged as expired, exactly once."""
        await self.sale.clock.execute(OVERDUE, (hold.id, hold.show.id))
        hold.status = "expired"
        self.event("expired", hold.show)
