"""Simulated staff of the box office: at the counter, at the gate, and at work on the seats."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID, uuid4

from ticketdb.demo.people import (
    PROVIDER,
    Codes,
    Connection,
    Hold,
    Order,
    Person,
    Sale,
    Show,
    Staff,
    Ticket,
)

MAX_BLOCKED = 40  # seats a clerk and show: most are for buyers
# What others may do first: hold or buy the seats, or have them locked for two seconds.
TAKEN: Codes = (None, "SEATS_HELD", "SEATS_SOLD", "BUSY")


class Clerk(Staff):
    """One of the staff, who serves customers and, between them, does his own work.

    `blocked`: which seats of his rows are, see Sale.clerk_of().
    """

    mean_pause = 0.1

    def __init__(self, number: int, seed: int, sale: Sale, connection: Connection) -> None:
        super().__init__(f"clerk-{number}", seed, sale, connection)
        self.gate = f"gate {number}"
        self.blocked: dict[UUID, Show] = {}
        self.desk = asyncio.Lock()  # one thing at a time
        self.forgotten = 0  # customers, in the order of their orders
        self.cancelled: Counter[str] = Counter()  # what cancel_show() has answered

    async def act(self) -> None:
        duty = self.random.choices(list(DUTIES), list(DUTIES.values()))[0]
        shows = [show for show in self.sale.shows if duty is Clerk.sell or not show.is_doomed]
        async with self.desk:
            await duty(self, self.random.choice(shows))

    async def seats(self, show: Show, state: str) -> list[UUID]:
        """The seats of his rows that are in this state."""
        states = await self.look(show)
        return [
            seat
            for seat in show.prices
            if states[seat] == state and self.sale.clerk_of(show, seat) is self
        ]

    async def free(self, show: Show, most: int = 6) -> list[UUID]:
        """Some seats of his rows that are available, or that he has blocked."""
        seats = await self.seats(show, "blocked" if self.is_so(0.2) else "available")
        first = self.random.randrange(len(seats)) if seats else 0
        return seats[first : first + self.random.randint(1, most)]

    def own(self, show: Show) -> Order | None:
        """An order that he has sold, with tickets that nobody has used or returned."""
        orders = [
            order
            for order in self.orders
            if order.hold.show is show
            and order.tickets
            and all(ticket.status == "valid" and not ticket.gate for ticket in order.tickets)
        ]
        return self.random.choice(orders) if orders else None

    # Seats.

    async def block(self, show: Show) -> None:
        if len(self.blocked) > MAX_BLOCKED:
            await self.unblock(show)
            return
        seats = [seat for seat in await self.free(show, 30) if seat not in self.blocked]
        if seats:
            await self.take_off_sale(show, seats)

    async def take_off_sale(self, show: Show, seats: list[UUID]) -> bool:
        answer = await self.call("block_seats", show, show.id, seats, self.name, may=TAKEN)
        if answer["success"]:
            done = answer["seats_blocked"], answer["holds_ended"]
            self.expect(done == (len(seats), 0), "block_seats: seats")
            self.blocked.update(dict.fromkeys(seats, show))
            self.event("blocked", show)
        return bool(answer["success"])

    async def hold_back(self, show: Show) -> None:
        """All that is free in his rows, for a sponsor, beside buyers: they may be faster."""
        async with self.desk:
            while self.sale.seconds_left > 0:
                seats = await self.seats(show, "available")
                if not seats or await self.take_off_sale(show, seats):
                    return

    async def unblock(self, show: Show) -> None:
        seats = [seat for seat, where in self.blocked.items() if where is show]
        if seats:
            answer = await self.call("unblock_seats", show, show.id, seats, self.name)
            self.expect(answer["seats_unblocked"] == len(seats), "unblock_seats: seats")
            self.event("unblocked", show)
            for seat in seats:
                del self.blocked[seat]
        order = self.own(show)
        if order:
            sold, refused = [order.tickets[0].seat], ("SEATS_NOT_BLOCKED",)
            await self.call("unblock_seats", show, show.id, sold, self.name, may=refused)

    async def close_off(self, hold: Hold) -> bool:
        """Block seats that are held, which ends the hold: its buyer has asked for it.

        Only if all are in his rows.
        """
        show, seats = hold.show, hold.seats
        if any(self.sale.clerk_of(show, seat) is not self for seat in seats):
            return False
        async with self.desk:
            call = ("block_seats", show, show.id, seats, self.name)
            await self.call(*call, may=("SEATS_HELD", "BUSY"))
            answer = await self.call(*call, True, may=(None, "BUSY"))
            if answer["success"]:
                done = answer["seats_blocked"], answer["holds_ended"]
                self.expect(done == (len(seats), 1), "block_seats: seats, or holds")
                self.blocked.update(dict.fromkeys(seats, show))
                self.event("blocked", show)
                hold.status = "released"
                self.event("released", show)
            return bool(answer["success"])

    # Tickets.

    async def sell(self, show: Show) -> None:
        """Sell for cash, give away, or sell for a transfer, which is reported twice."""
        seats = await self.free(show)
        if not seats:
            return
        number = len(self.orders)
        email = f"{self.name}-{number}@example.com"
        prices = {seat: show.prices[seat] for seat in seats}
        manner = self.random.choice(["cash", "complimentary", "transfer"])
        is_free, is_transfer = manner == "complimentary", manner == "transfer"
        if is_free:
            prices = dict.fromkeys(seats, 0)
        event = f"transfer-{self.name}-{number}"
        arguments = (
            *(show.id, seats, self.name),
            *((list(prices.values()), [manner] * len(seats)) if is_free else (None, None)),
            *(email, *((PROVIDER, event) if is_transfer else (None, None))),
        )
        may = (*TAKEN, "SHOW_NOT_ON_SALE") if show.is_doomed else TAKEN
        answer = await self.call("issue_tickets", show, *arguments, may=may)
        if not answer["success"]:
            return
        hold = Hold(show, answer["reservation_id"], "", "box office", prices, status="completed")
        order = Order(hold, answer["order_id"], hold.total, received=hold.total)
        issued = list(zip(answer["ticket_ids"] or [], answer["ticket_codes"] or [], strict=True))
        self.expect(len(issued) == len(seats), "issue_tickets: tickets")
        for seat, (id_, code) in zip(seats, issued, strict=False):
            order.tickets.append(Ticket(id_, seat, prices[seat], code))
        self.holds.append(hold)
        self.orders.append(order)
        self.event("issued", show)
        self.turn(order, "paid")
        self.account["payment events", "payment"] += 1
        self.expect(answer["total_amount_in_cents"] == hold.total, "issue_tickets: total")
        for seat in seats:
            self.blocked.pop(seat, None)
        if is_transfer:
            self.sale.payments[event] += hold.total
            await self.repeat(answer, "issue_tickets", *arguments)

    async def move(self, show: Show) -> None:
        """Move tickets to other seats: as many as there are."""
        order, seats = self.own(show), await self.free(show)
        if not order or not seats:
            return
        tickets = order.tickets[: len(seats)]
        seats = seats[: len(tickets)]
        arguments = (show.id, [ticket.id for ticket in tickets], seats, self.name)
        answer = await self.call("move_tickets", show, *arguments, may=TAKEN)
        if answer["success"]:
            self.expect(answer["tickets_moved"] == len(seats), "move_tickets: tickets")
            self.event("moved", show)
            for ticket, seat in zip(tickets, seats, strict=True):
                ticket.seat = seat
                self.blocked.pop(seat, None)
        refused = (show.id, [uuid4()], seats[:1], self.name)
        await self.call("move_tickets", show, *refused, may=("TICKETS_NOT_FOUND",))

    async def swap_hall(self, show: Show, everybody: Iterable[Person]) -> None:
        """Everybody gets the seat of the next: all tickets of the show in one call."""
        moved = [
            (order, ticket)
            for person in everybody
            for order in person.orders
            if order.hold.show is show
            for ticket in order.valid
        ]
        if len(moved) < 2:
            return
        tickets = [ticket for _, ticket in moved]
        seats = [ticket.seat for ticket in (*tickets[1:], tickets[0])]
        arguments = (show.id, [ticket.id for ticket in tickets], seats, self.name)
        answer = await self.call("move_tickets", show, *arguments)
        self.expect(answer["tickets_moved"] == len(seats), "move_tickets: all tickets")
        for ticket, seat in zip(tickets, seats, strict=True):
            ticket.seat = seat
        for _ in {order.id for order, _ in moved}:
            self.event("moved", show)
        await self.repeat(answer | {"tickets_moved": 0}, "move_tickets", *arguments)

    async def cancel(self, order: Order, tickets: list[Ticket]) -> None:
        """Take tickets back. Some of the money goes back at once, the rest stays due."""
        show = order.hold.show
        arguments = (show.id, [ticket.id for ticket in tickets], self.name)
        answer = await self.call("cancel_tickets", show, *arguments)
        refund = self.take_back(order, tickets, "tickets_cancelled", "due")
        self.expect(answer["amount_in_cents"] == refund.amount, "cancel_tickets: amount")
        await self.repeat(answer, "cancel_tickets", *arguments)
        if not answer["refund_ids"] or self.is_so(0.4):
            return
        listed = await self.rows("get_refunds", show.id, order.id)
        found = [row["status"] for row in listed if row["refund_id"] == answer["refund_ids"][0]]
        self.expect(found == ["due"], "get_refunds: it is due")
        due = ("record_refund", show.id, answer["refund_ids"][0], PROVIDER)
        event = f"refund-{uuid4()}"
        done = await self.call(due[0], show, *due[1:], event, self.name)
        self.expect(done["amount_in_cents"] == refund.amount, "record_refund: amount")
        refund.status = "done"
        self.money_went_back(event, refund.amount, "refund")
        await self.repeat(done, *due, event, self.name)
        await self.call(due[0], show, *due[1:], f"{event} again", may=("ALREADY_REFUNDED",))

    async def cancel_own(self, show: Show) -> None:
        order = self.own(show)
        if order:
            await self.cancel(order, order.tickets[:1])
            scan = (show.id, order.tickets[0].code, self.gate, None)
            await self.call("check_in_ticket", show, *scan, may=("TICKET_NOT_VALID",))

    async def dispute(self, show: Show) -> None:
        """A bank takes the money of an order back, perhaps after somebody was let in."""
        order = self.own(show)
        if not order or not order.amount:
            return
        if self.is_so(0.5):
            await self.let_in(order, order.tickets[0])
        event = (show.id, order.id, PROVIDER, f"dispute-{uuid4()}")
        wrong = (*event, order.amount + 1, self.name)
        await self.call("record_dispute", show, *wrong, may=("AMOUNT_MISMATCH",))
        arguments = (*event, order.amount, self.name)
        answer = await self.call("record_dispute", show, *arguments)
        self.expect(answer["tickets_cancelled"] == len(order.tickets), "record_dispute: tickets")
        self.take_back(order, order.valid, "dispute", "done")
        self.money_went_back(event[3], order.amount, "dispute")
        # Somebody sits there.
        self.blocked.update({ticket.seat: show for ticket in order.tickets if ticket.gate})
        await self.repeat(answer, "record_dispute", *arguments)

    def money_went_back(self, event: str, amount: int, kind: str) -> None:
        self.sale.payments[event] -= amount
        self.account["payment events", kind] += 1
        self.account["order audit log", "money went back"] += 1

    async def let_in(self, order: Order, ticket: Ticket) -> None:
        """Scan a ticket. The scanner repeats the call, and somebody else comes with a copy."""
        show = order.hold.show
        scan = (show.id, ticket.code.lower(), self.gate, f"scan-{uuid4()}")
        answer = await self.call("check_in_ticket", show, *scan)
        self.event("checked_in", show)
        self.expect(answer["ticket_id"] == ticket.id, "check_in_ticket: ticket")
        ticket.gate = self.gate
        await self.repeat(answer, "check_in_ticket", *scan)
        copy = (show.id, ticket.code, "back door", f"scan-{uuid4()}")
        refused = await self.call("check_in_ticket", show, *copy, may=("ALREADY_USED",))
        self.expect(refused["gate"] == self.gate, "check_in_ticket: gate of the first scan")

    # Customers, and shows.

    async def forget(self, email: str) -> None:
        """Erase somebody who has one reservation under this address."""
        answer = await self.call("erase_customer", None, None, email, self.name)
        self.event("erased", None)
        done = answer["reservations_erased"], answer["holds_ended"]
        self.expect(done == (1, 0), "erase_customer: reservations")
        answer = await self.call("erase_customer", None, None, email, self.name)
        self.event("erased", None)
        self.expect(answer["reservations_erased"] == 0, "erase_customer: not gone")

    async def forget_own(self, _: Show) -> None:
        await self.call("erase_customer", None, None, None, self.name, may=("INVALID_INPUT",))
        if self.forgotten < len(self.orders):
            await self.forget(f"{self.name}-{self.forgotten}@example.com")
            self.forgotten += 1

    async def cancel_show(self, show: Show) -> None:
        """Cancel a show, and take it off the page of the shop."""
        cursor = await self.connection.execute("CALL cancel_show(%s, %s)", (show.id, self.name))
        (done,) = await cursor.fetchall()
        self.cancelled.update(done)
        if show in self.sale.shows:
            self.sale.shows.remove(show)

    def wind_up(self, show: Show, everybody: Iterable[Person]) -> None:
        """Hand over what cancel_show() did: holds ended, orders cancelled, tickets refunded."""
        found: Counter[str] = Counter()
        for person in everybody:
            for hold in person.holds:
                if hold.show is show and hold.status == "active":
                    found["holds_ended"] += 1
                    hold.status = "released"
                    self.event("released", show)
            for order in person.orders:
                if order.hold.show is show and order.status == "pending":
                    order.status = "cancelled"
                elif order.hold.show is show and order.status == "paid":
                    found["orders_refunded"] += 1
                    self.take_back(order, order.valid, "show_cancelled", "due")
        for what in ("holds_ended", "orders_refunded"):
            self.expect(self.cancelled[what] == found[what], f"cancel_show: {what}")
        # Some of them were paid afterwards.
        key = ("order audit log", f"{show.name}: to cancelled")
        self.account[key] += self.cancelled["orders_cancelled"]


# What a clerk does when no customer is waiting, and with which weight.
DUTIES: dict[Callable[[Clerk, Show], Awaitable[None]], int] = {
    Clerk.block: 15,
    Clerk.unblock: 5,
    Clerk.sell: 40,
    Clerk.move: 15,
    Clerk.cancel_own: 10,
    Clerk.dispute: 10,
    Clerk.forget_own: 5,
}
