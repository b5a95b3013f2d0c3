"""The end of the sale: what is left to do, and the account of all who took part."""

from collections import Counter
from json import dumps

from ticketdb.demo.buyers import Buyer
from ticketdb.demo.people import PROVIDER, Person, Sale, Show


async def close(sale: Sale, shows: list[Show], crowd: list[Buyer]) -> None:
    """What is left to do when nobody buys any more."""
    manager, buyer = sale.clerks[0], crowd[0]
    doomed = next(show for show in shows if show.is_doomed)
    # A buyer who was quick may have got seats after the last portion: the call is safe to repeat.
    await manager.cancel_show(doomed)
    everybody: list[Person] = [*crowd, *sale.clerks]
    manager.wind_up(doomed, everybody)
    await manager.swap_hall(shows[0], everybody)
    events, amounts = list(sale.payments), list(sale.payments.values())
    for difference in await manager.rows(
        "reconcile_payments", PROVIDER, events, amounts, "-infinity", "infinity"
    ):
        manager.expect(False, f"reconcile_payments: {difference['difference']}")
    for show in shows:
        states = dict(await buyer.look(show))
        for state, seats in Counter(states.values()).items():
            buyer.account["seat map", f"{show.name}: {state}"] = seats
        past = await manager.rows("get_seat_map_at", show.id, sale.opened_at)
        then = {seat["seat_id"]: seat["state"] for seat in past}
        all_free = dict.fromkeys(show.prices, "available")
        manager.expect(then == all_free, "get_seat_map_at: not as when the sale began")
    await buyer.report()


def account_of(everybody: list[Person], sale: Sale) -> str:
    """What all together have counted, held, ordered and blocked, as JSON."""
    total: Counter[tuple[str, str]] = Counter()
    for person in everybody:
        total.update(person.account)
    holds = [hold for person in everybody for hold in person.holds]
    orders = [order for person in everybody for order in person.orders]
    tickets = [(order, ticket) for order in orders for ticket in order.tickets]
    codes = Counter(ticket.code for _, ticket in tickets)
    total["must not happen", "ticket codes given twice"] = len(tickets) - len(codes)
    account = {
        "account": [(*key, value) for key, value in total.items()],
        "holds": [vars(h) | {"show": h.show.name, "seats": h.seats, "prices": None} for h in holds],
        "orders": [
            {
                "id": order.id,
                "show": order.hold.show.name,
                "currency": order.hold.show.currency,
                "status": order.status,
                "amount": order.amount,
                "received": order.received,
            }
            for order in orders
        ],
        "tickets": [vars(ticket) | {"order_id": order.id} for order, ticket in tickets],
        "refunds": [
            vars(refund) | {"order_id": order.id} for order in orders for refund in order.refunds
        ],
        "blocked": [
            {"seat": seat, "show": show.name}
            for clerk in sale.clerks
            for seat, show in clerk.blocked.items()
        ],
    }
    return dumps(account, default=str)
