"""Refunds, disputes and cancelled shows beside other transactions, at every isolation level."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.logs import ORDER_LOG, lines
from tests.support.money import (
    cancel,
    cancel_in_portions,
    check_in,
    dispute,
    dispute_of,
    owed,
    portion,
    reckon,
    refund_of,
    refunds,
    return_money,
    staffed,
    ticket_ids,
)
from tests.support.orders import bring_to
from tests.support.queries import Connection, Row, broken_invariants, enter, value
from tests.support.racing import Call, deadlocks, racers

PROMISED_SECONDS = 2.0
SLACK_SECONDS = 1.5
SNAPSHOT_LEVELS = ["REPEATABLE READ", "SERIALIZABLE"]

Act = Callable[[Hall], Any]
Scene = tuple[Act, Act]


@pytest.fixture
def hall(connect: Connect) -> Iterator[Hall]:
    """A hall that is committed. After the test no invariant is broken, and the books are right."""
    made = make_hall(connect())
    yield made
    assert broken_invariants(made.connection) == []
    reckon(made.connection)
    codes = {line.error_code for line in lines(made.connection, ORDER_LOG)}
    assert "INTERNAL_ERROR" not in codes


def scenes() -> dict[str, Callable[[Hall], Scene]]:
    """Each makes a hall ready, and returns what happens meanwhile and what is decided then."""

    def cancelling_beside_itself(hall: Hall) -> Scene:
        wanted = ticket_ids(hall, hall.sell(0, 1))
        return lambda h: cancel(h, wanted), lambda h: cancel(h, wanted)

    def cancelling_beside_the_other_ticket(hall: Hall) -> Scene:
        first, second = ticket_ids(hall, hall.sell(0, 1))
        return lambda h: cancel(h, [first]), lambda h: cancel(h, [second])

    def cancelling_beside_a_refund(hall: Hall) -> Scene:
        order = hall.sell(0, 1)
        wanted = ticket_ids(hall, order)[:1]
        return lambda h: h.refund(order), lambda h: cancel(h, wanted)

    def a_refund_beside_cancelling(hall: Hall) -> Scene:
        order = hall.sell(0, 1)
        wanted = ticket_ids(hall, order)[:1]
        return lambda h: cancel(h, wanted), lambda h: h.refund(order)

    def cancelling_beside_the_gate(hall: Hall) -> Scene:
        wanted = ticket_ids(hall, hall.sell(0, 1))
        return lambda h: check_in(h, wanted[0]), lambda h: cancel(h, wanted)

    def a_dispute_beside_cancelling(hall: Hall) -> Scene:
        order = hall.sell(0, 1)
        wanted = ticket_ids(hall, order)
        return lambda h: cancel(h, wanted), lambda h: dispute(h, order, 2100)

    def cancelling_beside_a_dispute(hall: Hall) -> Scene:
        order = hall.sell(0, 1)
        wanted = ticket_ids(hall, order)
        return lambda h: dispute(h, order, 2100), lambda h: cancel(h, wanted)

    def a_dispute_beside_itself(hall: Hall) -> Scene:
        order = hall.sell(0)
        return lambda h: dispute(h, order, 1000), lambda h: dispute(h, order, 1000)

    def money_beside_itself(hall: Hall) -> Scene:
        (refund,) = cancel(hall, ticket_ids(hall, hall.sell(0))).refund_ids
        return lambda h: return_money(h, refund), lambda h: return_money(h, refund)

    def money_beside_another_event(hall: Hall) -> Scene:
        (refund,) = cancel(hall, ticket_ids(hall, hall.sell(0))).refund_ids
        return lambda h: return_money(h, refund), lambda h: return_money(h, refund, "re_2")

    def money_beside_a_dispute(hall: Hall) -> Scene:
        order = hall.sell(0)
        (refund,) = cancel(hall, ticket_ids(hall, order)).refund_ids
        return lambda h: dispute(h, order, 1000), lambda h: return_money(h, refund)

    def money_beside_the_refund_of_an_order(hall: Hall) -> Scene:
        order = bring_to(hall, "refund_due")
        (row,) = refunds(hall)
        return lambda h: h.refund(order), lambda h: return_money(h, row.id)

    def the_refund_of_an_order_beside_money(hall: Hall) -> Scene:
        order = bring_to(hall, "refund_due")
        (row,) = refunds(hall)
        return lambda h: return_money(h, row.id), lambda h: h.refund(order)

    def the_end_of_a_show_beside_a_payment(hall: Hall) -> Scene:
        order = hall.order(hall.hold(0))
        portion(hall)
        return lambda h: h.pay(order), portion

    def a_payment_beside_the_end_of_a_show(hall: Hall) -> Scene:
        order = hall.order(hall.hold(0))
        portion(hall)
        return portion, lambda h: h.pay(order)

    def the_end_of_a_show_beside_itself(hall: Hall) -> Scene:
        hall.sell(0)
        portion(hall)
        return portion, portion

    def the_end_of_a_show_beside_its_announcement(hall: Hall) -> Scene:
        hall.sell(0)
        return portion, portion

    def cancelling_beside_the_end_of_a_show(hall: Hall) -> Scene:
        wanted = ticket_ids(hall, hall.sell(0))
        portion(hall)
        return portion, lambda h: cancel(h, wanted)

    def a_release_beside_the_end_of_a_show(hall: Hall) -> Scene:
        hold = hall.hold(0)
        portion(hall)
        return portion, lambda h: h.release(hold)

    return {name: scene for name, scene in locals().items() if callable(scene) and "beside" in name}


def seen_by(hall: Hall, connection: Connection) -> Hall:
    return replace(hall, connection=enter(connection))


@pytest.mark.parametrize("level", SNAPSHOT_LEVELS)
@pytest.mark.parametrize("name", scenes())
def test_who_decides_on_what_has_changed_since_fails_and_may_try_again(
    hall: Hall, connect: Connect, name: str, level: str
) -> None:
    meanwhile, decide = scenes()[name](hall)
    other = seen_by(hall, connect())
    other.connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    other.connection.execute("SELECT count(*) FROM shows")
    meanwhile(hall)
    with pytest.raises(psycopg.errors.SerializationFailure):
        decide(other)
    other.connection.execute("ROLLBACK")
    other.connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    decide(other)
    other.connection.execute("COMMIT")


@pytest.mark.parametrize("name", scenes())
def test_at_read_committed_nobody_has_to_try_again(hall: Hall, connect: Connect, name: str) -> None:
    meanwhile, decide = scenes()[name](hall)
    other = seen_by(hall, connect())
    other.connection.execute("BEGIN")
    other.connection.execute("SELECT count(*) FROM shows")
    first = meanwhile(hall)
    answer = decide(other)
    other.connection.execute("COMMIT")
    assert answer.error_code not in ("INTERNAL_ERROR", "BUSY")
    if name.endswith("itself") and "show" not in name:
        assert answer == first


def test_the_seat_of_one_who_was_let_in_meanwhile_is_blocked(hall: Hall, connect: Connect) -> None:
    wanted = ticket_ids(hall, hall.sell(0))
    other = seen_by(hall, connect())
    other.connection.execute("BEGIN")
    other.connection.execute("SELECT count(*) FROM tickets")
    check_in(hall, wanted[0])
    cancel(other, wanted)
    other.connection.execute("COMMIT")
    assert hall.statuses(0) == ["blocked"]


# who has what we need


def ready_to(hall: Hall, function: str) -> Act:
    order = hall.sell(0, 1)
    wanted = ticket_ids(hall, order)
    if function == "cancel_tickets":
        return lambda h: cancel(h, wanted)
    if function == "record_refund":
        (refund,) = cancel(hall, wanted).refund_ids
        return lambda h: return_money(h, refund)
    if function == "record_dispute":
        return lambda h: dispute(h, order, 2100)
    portion(hall)
    return portion


FUNCTIONS = ["cancel_tickets", "record_refund", "record_dispute", "cancel_show_portion"]
BLOCKERS = {
    "the hold": "SELECT FROM seat_reservations FOR UPDATE",
    "the order": "UPDATE ticket_orders SET error_message = 'x'",
    "the seats": "UPDATE show_seats SET price_in_cents = 7",
    "the tickets": "SELECT FROM tickets FOR UPDATE",
    "the refund": "SELECT FROM refunds FOR UPDATE",
    "the table of orders": "LOCK TABLE ticket_orders",
}
FREE = {
    ("record_refund", "the seats"),
    ("record_refund", "the tickets"),
    *((function, "the refund") for function in FUNCTIONS if function != "record_refund"),
}


@pytest.mark.parametrize("blocker", BLOCKERS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nobody_waits_longer_than_two_seconds_for_a_lock(
    hall: Hall, connect: Connect, function: str, blocker: str
) -> None:
    act = ready_to(hall, function)
    clerk = seen_by(hall, connect())
    clerk.connection.execute("SET lock_timeout = '20ms'")
    keeper: Connection = enter(connect())
    with keeper.transaction():
        keeper.execute(BLOCKERS[blocker].encode())
        began = time.monotonic()
        answer = act(clerk)
        seconds = time.monotonic() - began
        assert seconds < PROMISED_SECONDS + SLACK_SECONDS
        assert value(clerk.connection, "SHOW lock_timeout") == "20ms"
        if (function, blocker) in FREE:
            assert answer.success, answer
            return
        assert answer.error_code == "BUSY", answer
        # A lock that comes free within that time is waited for.
        assert seconds > PROMISED_SECONDS / 2
        keeper.execute("SELECT 1")
    assert act(clerk).success


@pytest.mark.parametrize(("asked", "granted"), [("off", "on"), ("remote_write", "remote_write")])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_money_is_on_disk_when_it_is_acknowledged_whatever_the_caller_has_set(
    hall: Hall, connect: Connect, function: str, asked: str, granted: str
) -> None:
    act = ready_to(hall, function)
    clerk = seen_by(hall, connect())
    clerk.connection.execute(f"SET synchronous_commit = {asked}".encode())
    with clerk.connection.transaction():
        assert act(clerk).success
        assert value(clerk.connection, "SHOW synchronous_commit") == granted


# many at once


def test_twenty_who_return_the_same_money_at_once_return_it_once(
    hall: Hall, database: Database
) -> None:
    order = hall.sell(0, 1)
    wanted = ticket_ids(hall, order)
    (refund,) = cancel(hall, wanted).refund_ids
    with racers(database, 20) as field:
        answers = field.race(
            [
                Call("record_refund", refund_of(hall, refund, f"re_{number % 2}"))
                if number < 10
                else Call("record_dispute", dispute_of(hall, order, 2100, f"dp_{number % 2}"))
                for number in range(20)
            ]
        )
    assert len({answer for answer in answers if answer.success}) == 1
    assert owed(hall) == [("tickets_cancelled", "done", 2100)]
    assert deadlocks(database, field.pids) == (0, 0)


def test_clerks_who_cancel_tickets_of_the_same_orders_do_not_deadlock(
    hall: Hall, database: Database
) -> None:
    orders = [hall.sell(number, 9 - number, session=f"buyer {number}") for number in range(5)]
    wanted = ticket_ids(hall, *orders)
    with racers(database, 20) as field:
        answers: list[Row] = field.race(
            [
                Call(
                    "cancel_tickets",
                    staffed(hall, p_ticket_ids=(wanted[number:] + wanted[:number])[:6]),
                )
                for number in range(10)
            ]
            + [
                Call("refund_order", {"p_show_id": hall.show_id, "p_order_id": order.order_id})
                for order in orders
            ]
            + [Call("cancel_show_portion", staffed(hall)) for _ in range(5)]
        )
    assert {answer.error_code for answer in answers} <= {
        None,
        "TICKETS_NOT_FOUND",
        "ORDER_NOT_REFUNDABLE",
    }
    assert deadlocks(database, field.pids) == (0, 0)
    cancel_in_portions(hall)
    assert reckon(hall.connection)["in tickets"] == 0
