"""Simulated buyers: each behaves as customers do at an on-sale."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from ticketdb.demo.customers import Customer
from ticketdb.demo.people import PROVIDER, Hold, Order


class Buyer(Customer):
    """Buys until the sale is over. The last hold is kept, as in a real shop at any moment."""

    mean_pause = 0.3  # 200 buyers then keep two cores busy, but not choked

    async def act(self) -> None:
        await self.visit()
        await self.report()

    async def visit(self) -> None:
        shows = self.sale.shows
        weights = [len(show.prices) * (4 if show.is_doomed else 1) for show in shows]
        show = self.random.choices(shows, weights)[0]
        hold = await self.reserve(show)
        if hold is None and self.sale.seconds_left > 0:  # another buyer was faster: try once more
            hold = await self.reserve(show)
        await self.pause()
        if hold is not None and self.sale.seconds_left > 0:
            plan = self.random.choices(list(PLANS), list(PLANS.values()))[0]
            await (Buyer.trust if show.is_doomed else plan)(self, hold)

    async def buy(self, hold: Hold) -> None:
        """Order and pay. Some change their mind before, some have their card declined."""
        for step, chance in BEFORE_ORDERING.items():
            if self.is_so(chance):
                await step(self, hold)
                await self.pause()
        if self.is_so(0.15) and len(hold.seats) > 1:
            await self.order(hold)
            await self.release(hold, hold.seats[:1])
        elif self.is_so(0.05):
            await self.order(hold)
            await self.add(hold)
        order = await self.order(hold)
        await self.pause()
        if self.is_so(0.15):
            await self.webhook("fail_payment", order, "card declined")
            self.turn(order, "failed")
            if self.is_so(0.4):
                await self.lapse(hold)
                return
        await self.pay(order)
        if order.status == "paid":
            await self.random.choices(list(AFTERWARDS), list(AFTERWARDS.values()))[0](self, order)

    async def walk_away(self, hold: Hold) -> None:
        if self.is_so(0.3):
            await self.order(hold)
        await self.lapse(hold)

    async def pay_late(self, hold: Hold) -> None:
        """Pay after the hold has ended: the seats may still be free, or another buyer's."""
        order = await self.order(hold)
        await self.lapse(hold)
        if self.is_so(0.2):
            mine = (hold.token, hold.session)
            await self.call("extend_reservation", hold.show, *mine, may=("RESERVATION_EXPIRED",))
        await self.pause(self.random.choice([0.03, 4]))
        await self.pay(order)
        if order.status == "refund_due" and self.is_so(0.5):
            await self.refund(order)

    async def pay_together(self, hold: Hold) -> None:
        """One bank transfer pays for two orders."""
        shows = [show for show in self.sale.shows if not show.is_doomed]
        other = await self.reserve(self.random.choice(shows))
        orders = [await self.order(mine) for mine in (hold, other) if mine]
        transfer = f"transfer-{uuid4()}"
        for order in orders:
            await self.pay(order, transfer)

    async def sit_badly(self, hold: Hold) -> None:
        """A seat breaks while it is held: the staff ends the hold, but the payment is under way."""
        show = hold.show
        clerk = self.sale.clerk_of(show, hold.seats[0])
        order = await self.order(hold)
        if not await clerk.close_off(hold):
            await self.release(hold)
            return
        self.cancel_orders(hold)
        mine = (hold.token, hold.session)
        await self.call("extend_reservation", show, *mine, may=("RESERVATION_INACTIVE",))
        await self.pay(order)
        if self.is_so(0.5):
            await self.refund(order)

    async def trust(self, hold: Hold) -> None:
        """Buy for a show that the house cancels at any moment, perhaps before the payment."""
        await self.pause()
        order = await self.order(hold)
        await self.pause(4)
        if order.status == "new" or self.is_so(0.2):
            return
        await self.pay(order)
        if order.status == "refund_due" and self.is_so(0.5):
            await self.refund(order)

    async def misbehave(self, hold: Hold) -> None:
        """Make requests that must be refused; then buy, with a wrong amount at first, and twice."""
        show, mine, stranger = hold.show, (hold.token, hold.session), f"{self.name}'s friend"
        seats, unknown = list(show.prices), uuid4()
        other = next(other for other in self.sale.shows if other is not show)
        used = [order.key for order in self.orders if order.hold.show is show and order.key]
        reserve, release, make = "reserve_seats", "release_reservation", "create_ticket_order"
        requests: list[tuple[Any, ...]] = [
            ("INVALID_INPUT", reserve, show, show.id, seats[:1] * 2, stranger),
            ("SHOW_NOT_ON_SALE", reserve, None, unknown, seats[:1], stranger),
            ("TOO_MANY_SEATS", reserve, show, show.id, seats[:11], stranger),
            # Not exactly the seats that it holds: it would get the same hold again.
            ("DUPLICATE_RESERVATION", reserve, show, show.id, [*hold.seats, unknown], mine[1]),
            ("SEATS_NOT_FOUND", reserve, other, other.id, hold.seats, stranger),
            ("SEATS_UNAVAILABLE", reserve, show, show.id, hold.seats, stranger),
            ("SEATS_NOT_FOUND", "reserve_best_seats", show, show.id, 1, stranger, "Roof"),
            ("SEATS_NOT_FOUND", "add_seats", show, *mine, [unknown]),
            ("INVALID_INPUT", "price_seats", show, *mine, hold.seats[:1], [-1], None),
            ("PERMISSION_DENIED", "move_reservation", show, hold.token, stranger, "mine"),
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
        prices = (hold.seats[:1], [1], None)
        await self.call("price_seats", show, *mine, *prices, may=("ORDER_EXISTS",))
        await self.webhook("confirm_payment", order, order.amount + 1, ("AMOUNT_MISMATCH",))
        order.owe(order.amount + 1, "amount_mismatch")
        await self.pay(order)
        await self.webhook("fail_payment", order, "too late", ("ORDER_NOT_PAYABLE",))
        await self.webhook("confirm_payment", order, order.amount, ("ORDER_NOT_PAYABLE",))
        order.owe(order.amount, "double_payment")
        await self.call(release, show, *mine, may=("RESERVATION_INACTIVE",))

    # With their tickets.

    async def keep(self, order: Order) -> None:
        pass

    async def regret(self, order: Order) -> None:
        await self.refund(order)
        show, refused = order.hold.show, ("ORDER_NOT_REFUNDABLE",)
        await self.call("refund_order", show, show.id, order.id, may=refused)

    async def give_back(self, order: Order) -> None:
        """Give tickets back at the box office: at first one of them, then another."""
        clerk = self.random.choice(self.sale.clerks)
        await clerk.cancel(order, order.valid[:1])
        if order.valid and self.is_so(0.5):
            await clerk.cancel(order, order.valid[:1])

    async def attend(self, order: Order) -> None:
        await self.random.choice(self.sale.clerks).let_in(order, order.valid[0])

    async def be_forgotten(self, order: Order) -> None:
        """The keys of the orders of this hold are gone then: they could be used again."""
        hold = order.hold
        email = f"{hold.session.removesuffix(' logged in')}@example.com"
        await self.random.choice(self.sale.clerks).forget(email)
        for own in self.orders:
            if own.hold is hold:
                own.key = None


# What a buyer does with a hold, and with which weight; before it is ordered, and with which chance;
# and after it is paid, with which weight.
PLANS: dict[Callable[[Buyer, Hold], Awaitable[None]], int] = {
    Buyer.buy: 57,
    Buyer.release: 12,
    Buyer.walk_away: 11,
    Buyer.pay_late: 11,
    Buyer.pay_together: 3,
    Buyer.sit_badly: 3,
    Buyer.misbehave: 3,
}
BEFORE_ORDERING: dict[Callable[[Buyer, Hold], Awaitable[None]], float] = {
    Buyer.find: 0.1,
    Buyer.log_in: 0.1,
    Buyer.extend: 0.2,
    Buyer.add: 0.1,
    Buyer.price: 0.1,
}
AFTERWARDS: dict[Callable[[Buyer, Order], Awaitable[None]], int] = {
    Buyer.keep: 70,
    Buyer.regret: 10,
    Buyer.give_back: 8,
    Buyer.attend: 10,
    Buyer.be_forgotten: 2,
}
