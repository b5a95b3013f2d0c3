"""Field cases of money, from beginning to end. After each all invariants hold, and the books are
right per order and in total."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.support.databases import Connect
from tests.support.hall import Hall, make_hall
from tests.support.money import (
    cancel,
    check_in,
    dispute,
    erase,
    owed,
    reckon,
    refunds,
    return_money,
    staffed,
    state_of,
    ticket_ids,
)
from tests.support.orders import tickets
from tests.support.queries import Connection, Row, broken_invariants, enter, value

BUYERS = 2000
CALLERS = 4


@pytest.fixture
def story(connect: Connect) -> Iterator[Hall]:
    hall = make_hall(connect())
    yield hall
    assert broken_invariants(hall.connection) == []
    reckon(hall.connection)


def test_a_chargeback_comes_after_check_in(story: Hall) -> None:
    order = story.sell(0, 1)
    first, _ = ticket_ids(story, order)
    check_in(story, first)
    assert dispute(story, order, 2100).tickets_cancelled == 2
    # Somebody sits on the first seat; the other can be sold.
    assert story.statuses(0, 1) == ["blocked", "available"]
    assert [ticket.status for ticket in tickets(story, order)] == ["refunded"] * 2
    assert story.sell(1, session="ben").success
    assert reckon(story.connection) == {
        "received": 3200,
        "in tickets": 1100,
        "returned": 2100,
        "due": 0,
    }


def test_one_of_two_tickets_is_refunded_and_then_the_other(story: Hall) -> None:
    order = story.sell(0, 1)
    first, second = ticket_ids(story, order)
    (one,) = cancel(story, [first]).refund_ids
    assert state_of(story, order) == ("paid", 1000)
    assert return_money(story, one, "re_1").status == "paid"
    (two,) = cancel(story, [second]).refund_ids
    assert state_of(story, order) == ("refunded", 2100)
    # The second is due although the order is refunded: nobody has sent the money yet.
    assert owed(story) == [("tickets_cancelled", "done", 1000), ("tickets_cancelled", "due", 1100)]
    assert story.refund(order).error_code == "ORDER_NOT_REFUNDABLE"
    assert return_money(story, two, "re_2").status == "refunded"
    assert reckon(story.connection)["due"] == 0


def test_a_customer_is_erased_who_has_a_live_hold_a_paid_order_and_a_refund_due(
    story: Hall,
) -> None:
    petra: dict[str, Any] = {"p_user_id": "petra", "p_email": "petra@example.org"}
    hold = story.hold(0, 1, session="petra", **petra)
    order = story.order(hold, "petra")
    story.pay(order)
    first, _ = ticket_ids(story, order)
    (refund,) = cancel(story, [first]).refund_ids
    live = story.hold(2, session="petra", **petra)
    open_order = story.order(live, "petra")

    answer = erase(story, "petra", "Petra@example.org")
    assert (answer.success, answer.holds_ended, answer.reservations_erased) == (True, 1, 2)
    # She still has her ticket, and gets her money.
    assert [ticket.status for ticket in tickets(story, order)] == ["refunded", "valid"]
    assert return_money(story, refund).success
    assert story.reservation(live).status == "released"
    assert story.pay(open_order, "evt_late").status == "refund_due"
    left = "SELECT count(*) FROM seat_reservations WHERE email IS NOT NULL OR user_id IS NOT NULL"
    assert value(story.connection, left) == 0


def test_a_show_is_cancelled_with_two_thousand_orders_in_three_states_while_payments_come_in(
    connect: Connect,
) -> None:
    owner: Connection = enter(connect())
    hall = make_hall(owner, seats=BUYERS)
    orders: list[Row] = [
        hall.order(hall.hold(number, session=f"buyer {number}"), f"buyer {number}")
        for number in range(BUYERS)
    ]
    for number, order in enumerate(orders):
        if number % 3 == 0:
            hall.pay(order, f"evt_{number}")
        elif number % 3 == 1:
            hall.fail(order, f"evt_{number}")
    payers = [replace(hall, connection=enter(connect())) for _ in range(CALLERS)]

    def pay(payer: int) -> list[str]:
        answers = [
            payers[payer].pay(order, f"evt_late_{order.order_id}")
            for order in orders[payer :: 2 * CALLERS]
        ]
        assert {answer.error_code for answer in answers} <= {None, "ORDER_NOT_PAYABLE", "BUSY"}
        return [answer.status for answer in answers if answer.error_code != "BUSY"]

    clerks = [enter(connect()) for _ in range(2)]

    def end(clerk: int) -> Row:
        return (
            clerks[clerk]
            .execute("CALL cancel_show(%(p_show_id)s, %(p_staff)s)", staffed(hall))
            .fetchone()
        )

    with ThreadPoolExecutor(CALLERS + 2) as pool:
        paying = [pool.submit(pay, number) for number in range(CALLERS)]
        ending = [pool.submit(end, number) for number in range(2)]
        done = [clerk.result() for clerk in ending]
        statuses = {status for payer in paying for status in payer.result()}
    assert statuses <= {"paid", "refund_due", "refunded"}
    # Nothing is left by either; what was paid in the meantime was refunded, or is owed.
    assert tuple(end(0)) == (0, 0, 0)
    assert set(hall.statuses()) == {"available"}
    found = owner.execute("SELECT status, count(*) FROM ticket_orders GROUP BY status").fetchall()
    by_status = dict(found)
    assert set(by_status) == {"cancelled", "refund_due", "refunded"}
    assert by_status["refunded"] == sum(clerk.orders_refunded for clerk in done)
    assert by_status["refunded"] >= len(orders[::3])
    reasons = {row.reason for row in refunds(hall)}
    assert "show_cancelled" in reasons
    assert "late_payment" not in reasons
    assert broken_invariants(owner) == []
    money = reckon(owner)
    assert money["in tickets"] == money["returned"] == 0
    assert money["due"] == money["received"] > 0
