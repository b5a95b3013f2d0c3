"""What must hold in the tables whatever has been called. Knows nothing of the model."""

from collections import Counter

from tests.support.books import Tables


def broken_laws(tables: Tables) -> list[str]:
    """What is wrong with these tables, in words."""
    broken = []
    holds, orders = tables["seat_reservations"], tables["ticket_orders"]
    live: dict[str, list[str]] = {}
    held: dict[str, list[str]] = {}
    for (hold_id, seat_id), claim in tables["reservation_seats"].items():
        if claim["released_at"] is None:
            live.setdefault(seat_id, []).append(hold_id)
            held.setdefault(hold_id, []).append(seat_id)
            if holds[hold_id,]["status"] not in ("active", "completed"):
                broken.append(f"ended hold {hold_id} still claims {seat_id}")
    valid: dict[str, list[str]] = {}
    paid_for: dict[str, list[tuple[str, int]]] = {}
    in_tickets: Counter[str] = Counter()
    for ticket in tables["tickets"].values():
        order_id, seat_id = ticket["order_id"], ticket["show_seat_id"]
        paid_for.setdefault(order_id, []).append((seat_id, ticket["price_in_cents"]))
        if ticket["status"] == "valid":
            valid.setdefault(seat_id, []).append(order_id)
            in_tickets[order_id] += ticket["price_in_cents"]

    for (seat_id,), seat in tables["show_seats"].items():
        claims, tickets = live.get(seat_id, []), valid.get(seat_id, [])
        if len(claims) > 1 or len(tickets) > 1:
            broken.append(f"seat {seat_id} is booked twice")
        elif (seat["status"] in ("reserved", "sold")) != bool(claims):
            broken.append(f"seat {seat_id} is {seat['status']}, claimed by {claims}")
        elif (seat["status"] == "sold") != bool(tickets):
            broken.append(f"seat {seat_id} is {seat['status']}, tickets of {tickets}")
        if seat["status"] == "reserved":
            hold = holds.get((seat["reserved_by"],), {})
            if not (
                claims == [seat["reserved_by"]]
                and hold["status"] == "active"
                and hold["expires_at"] == seat["reserved_until"]
            ):
                broken.append(f"seat {seat_id} is not reserved by its hold")
        elif (seat["reserved_by"], seat["reserved_until"]) != (None, None):
            broken.append(f"seat {seat_id} is {seat['status']} and says by whom it is reserved")

    sessions = [
        (hold["show_id"], hold["session_id"]) for hold in holds.values() if hold["is_active"]
    ]
    if len(sessions) != len(set(sessions)):
        broken.append("a session has two active holds in one show")
    settled = {order["reservation_id"] for order in orders.values() if order["paid_at"]}
    for (hold_id,), hold in holds.items():
        if hold["status"] == "active" and not held.get(hold_id):
            broken.append(f"hold {hold_id} holds nothing")
        if hold["status"] == "completed" and hold_id not in settled:
            broken.append(f"hold {hold_id} was completed without money")

    open_orders = [
        order["reservation_id"]
        for order in orders.values()
        if order["status"] in ("pending", "paid")
    ]
    if len(open_orders) != len(set(open_orders)):
        broken.append("a reservation has two orders that are open or paid")
    for (order_id,), order in orders.items():
        tickets_of = sorted(paid_for.get(order_id, []))
        is_valid = any(order_id in its for its in valid.values())
        if (order["status"] == "paid") != is_valid:
            broken.append(f"order {order_id} is {order['status']}, valid tickets: {is_valid}")
        if (
            order["status"] in ("paid", "refunded")
            and tickets_of
            and (
                [seat for seat, _ in tickets_of] != order["seat_ids"]
                or sum(price for _, price in tickets_of) != order["total_amount_in_cents"]
            )
        ):
            broken.append(f"order {order_id} is paid, its tickets are {tickets_of}")
    received: Counter[str] = Counter()
    settled_by = {
        (row["payment_provider"], row["payment_event_id"], row["order_id"])
        for row in tables["refunds"].values()
    }
    for key, event in tables["payment_events"].items():
        provider, event_id, kind, order_id = key
        order = orders[order_id,]
        money_came = event["success"] and kind == "payment"
        if money_came and order["status"] not in ("paid", "refund_due", "refunded"):
            broken.append(f"the money of event {key} has disappeared")
        bought = event["success"] and event["order_status"] == "paid"
        is_money = kind == "payment" and (event["amount_in_cents"] or 0) > 0
        received[order_id] += event["amount_in_cents"] if is_money else 0
        if is_money and not bought and (provider, event_id, order_id) not in settled_by:
            broken.append(f"the money of event {key} is owed and nobody knows")
    owed: Counter[str] = Counter()
    for row in tables["refunds"].values():
        owed[row["order_id"]] += row["amount_in_cents"]
    for (order_id,) in orders:
        if received[order_id] != in_tickets[order_id] + owed[order_id]:
            broken.append(
                f"order {order_id}: {received[order_id]} came, tickets are worth"
                f" {in_tickets[order_id]}, {owed[order_id]} is due or returned"
            )
    return broken
