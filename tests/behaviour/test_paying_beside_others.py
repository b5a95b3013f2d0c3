"""Orders and payments beside transactions that are open, at every isolation level."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect
from tests.support.hall import Hall, make_hall
from tests.support.logs import ORDER_LOG, lines
from tests.support.queries import Connection, Row, broken_invariants, enter, value
from tests.support.waiting import await_true

# What is promised, and room for a machine that is busy with other tests.
PROMISED_SECONDS = 2.0
SLACK_SECONDS = 1.5

SNAPSHOT_LEVELS = ["REPEATABLE READ", "SERIALIZABLE"]
LEVELS = ["READ COMMITTED", *SNAPSHOT_LEVELS]

Act = Callable[[Hall], Row]


@pytest.fixture
def hall(connect: Connect) -> Iterator[Hall]:
    """A hall that is committed. After the test no invariant is broken."""
    made = make_hall(connect())
    yield made
    assert broken_invariants(made.connection) == []


def seen_by(hall: Hall, connection: Connection) -> Hall:
    return Hall(enter(connection), hall.show_id, hall.seats)


@contextmanager
def open_transaction(hall: Hall, connection: Connection, level: str) -> Iterator[Hall]:
    """The hall as a transaction sees it whose snapshot is taken now."""
    other = seen_by(hall, connection)
    other.connection.execute(f"BEGIN ISOLATION LEVEL {level}")
    other.connection.execute("SELECT count(*) FROM shows")
    yield other
    other.connection.execute("ROLLBACK")


def refund_reasons(hall: Hall) -> list[str]:
    rows = hall.connection.execute("SELECT reason FROM refunds ORDER BY created_at").fetchall()
    return [row.reason for row in rows]


# what was decided on an old snapshot


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seats", [[0], [0, 1]], ids=["one of the seats", "all of them"])
def test_a_seat_that_was_ordered_meanwhile_is_not_sold_twice(
    hall: Hall, connect: Connect, level: str, seats: list[int]
) -> None:
    """The release sees a hold without an order, though it has been ordered since."""
    hold = hall.hold(0, 1)
    with open_transaction(hall, connect(), level) as other:
        order = hall.order(hold)
        if level == "READ COMMITTED":
            assert other.release(hold, hall.ids(*seats)).success
            other.connection.execute("COMMIT")
        else:
            with pytest.raises(psycopg.errors.SerializationFailure):
                other.release(hold, hall.ids(*seats))
    if level == "READ COMMITTED":
        ben = hall.hold(0, session="ben")
        assert hall.pay(order, event="evt_1").status == "refund_due"
        assert hall.pay(hall.order(ben, "ben"), event="evt_2").status == "paid"
    else:
        assert hall.reserve(0, session="ben").error_code == "SEATS_UNAVAILABLE"
        assert hall.pay(order).status == "paid"


Scene = tuple[Act, Act]


def scenes() -> dict[str, Callable[[Hall], Scene]]:
    """Each makes a hall ready, and returns what happens meanwhile and what is decided then."""

    def order_beside_release(hall: Hall) -> Scene:
        hold = hall.hold(0, 1)
        return lambda h: h.release(hold, h.ids(0)), lambda h: h.order(hold)

    def order_beside_order(hall: Hall) -> Scene:
        hold = hall.hold(0)
        return (
            lambda h: h.order(hold, p_idempotency_key="k1"),
            lambda h: h.order(hold, p_idempotency_key="k1"),
        )

    def order_beside_the_key_of_another(hall: Hall) -> Scene:
        hold, other = hall.hold(0), hall.hold(1, session="ben")
        return (
            lambda h: h.order(hold, p_idempotency_key="k1"),
            lambda h: h.order(other, "ben", p_idempotency_key="k1"),
        )

    def payment_beside_release(hall: Hall) -> Scene:
        hold = hall.hold(0)
        order = hall.order(hold)
        return lambda h: h.release(hold), lambda h: h.pay(order)

    def payment_beside_payment(hall: Hall) -> Scene:
        order = hall.order(hall.hold(0))
        return lambda h: h.pay(order), lambda h: h.pay(order)

    def payment_beside_failure(hall: Hall) -> Scene:
        order = hall.order(hall.hold(0))
        return lambda h: h.fail(order), lambda h: h.pay(order)

    def failure_beside_payment(hall: Hall) -> Scene:
        order = hall.order(hall.hold(0))
        return lambda h: h.pay(order), lambda h: h.fail(order)

    def refused_payment_beside_itself(hall: Hall) -> Scene:
        order = hall.order(hall.hold(0))
        return lambda h: h.pay(order, amount=1), lambda h: h.pay(order, amount=1)

    def second_payment_beside_itself(hall: Hall) -> Scene:
        order = hall.sell(0)
        return lambda h: h.pay(order, "evt_2"), lambda h: h.pay(order, "evt_2")

    def refused_failure_beside_itself(hall: Hall) -> Scene:
        order = hall.sell(0)
        return lambda h: h.fail(order), lambda h: h.fail(order)

    def refund_beside_refund(hall: Hall) -> Scene:
        order = hall.sell(0)
        return lambda h: h.refund(order), lambda h: h.refund(order)

    def payment_beside_refund(hall: Hall) -> Scene:
        order = hall.sell(0)
        return lambda h: h.refund(order), lambda h: h.pay(order, "evt_2")

    def late_payment_beside_another_hold(hall: Hall) -> Scene:
        hold = hall.hold(0)
        order = hall.order(hold)
        hall.let_run_out(hold)
        return lambda h: h.reserve(0, session="ben"), lambda h: h.pay(order)

    def late_payment_beside_cleanup(hall: Hall) -> Scene:
        hold = hall.hold(0)
        order = hall.order(hold)
        hall.let_run_out(hold)
        return lambda h: h.clean_up(), lambda h: h.pay(order)

    return {name: scene for name, scene in locals().items() if callable(scene) and "beside" in name}


@pytest.mark.parametrize("level", SNAPSHOT_LEVELS)
@pytest.mark.parametrize("name", scenes())
def test_who_decides_on_what_has_changed_since_fails_and_may_try_again(
    hall: Hall, connect: Connect, name: str, level: str
) -> None:
    meanwhile, decide = scenes()[name](hall)
    with open_transaction(hall, connect(), level) as other:
        meanwhile(hall)
        with pytest.raises(psycopg.errors.SerializationFailure):
            decide(other)
    codes = {line.error_code for line in lines(hall.connection, ORDER_LOG)}
    assert "INTERNAL_ERROR" not in codes
    # Tried again, it gets the answer that it would have got one after the other.
    with open_transaction(hall, connect(), level) as other:
        again = decide(other)
        other.connection.execute("COMMIT")
    assert again.error_code != "INTERNAL_ERROR"


@pytest.mark.parametrize("name", scenes())
def test_at_read_committed_nobody_has_to_try_again(hall: Hall, connect: Connect, name: str) -> None:
    meanwhile, decide = scenes()[name](hall)
    with open_transaction(hall, connect(), "READ COMMITTED") as other:
        first = meanwhile(hall)
        answer = decide(other)
        other.connection.execute("COMMIT")
    assert answer.error_code not in ("INTERNAL_ERROR", "BUSY")
    if name.endswith("itself") or name in ("order_beside_order", "payment_beside_payment"):
        assert answer == first


# who has what we need


Lock = Callable[[Hall], tuple[str, list[Any]]]


def holding(statement: str) -> Lock:
    return lambda hall: (statement, [hall.show_id])


BLOCKERS: dict[str, Lock] = {
    "the hold": holding("SELECT FROM seat_reservations WHERE show_id = %s FOR UPDATE"),
    "the order": holding("UPDATE ticket_orders SET error_message = 'x' WHERE show_id = %s"),
    "the seats": holding("UPDATE show_seats SET price_in_cents = 7 WHERE show_id = %s"),
    "the show": holding("UPDATE shows SET name = 'x' WHERE id = %s"),
    "the table of orders": lambda _: ("LOCK TABLE ticket_orders", []),
}


def ready_to(hall: Hall, function: str) -> Act:
    """A hall in which the function can be called, and the call."""
    hold = hall.hold(0, 1)
    if function == "create_ticket_order":
        hall.connection.execute(
            "UPDATE seat_reservations SET expires_at = clock_timestamp() + interval '60 s'"
        )
        # One that failed, so that there is an order to be locked.
        hall.fail(hall.order(hold, p_idempotency_key="k0"))
        hall.connection.execute(
            "UPDATE seat_reservations SET expires_at = clock_timestamp() + interval '60 s'"
        )
        return lambda h: h.order(
            hold, p_idempotency_key="k0", p_payment_intent_id="pi_2", p_payment_provider="stripe"
        )
    order = hall.order(hold)
    if function == "confirm_payment":
        return lambda h: h.pay(order)
    if function == "late payment":
        hall.let_run_out(hold)
        return lambda h: h.pay(order)
    if function == "fail_payment":
        return lambda h: h.fail(order)
    assert function == "refund_order"
    hall.pay(order)
    return lambda h: h.refund(order)


FUNCTIONS = [
    "create_ticket_order",
    "confirm_payment",
    "late payment",
    "fail_payment",
    "refund_order",
]
# Nothing of it is changed or locked by them.
FREE = {
    ("create_ticket_order", "the seats"),
    ("fail_payment", "the seats"),
} | {(function, "the show") for function in FUNCTIONS if function != "late payment"}


def timed(call: Callable[[], Row]) -> tuple[Row, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


@pytest.mark.parametrize(
    ("blocker", "own_timeout"),
    [
        ("the hold", "20ms"),
        ("the order", "0"),
        ("the seats", "20ms"),
        ("the show", "0"),
        ("the table of orders", "20ms"),
    ],
)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nobody_waits_longer_than_two_seconds_for_a_lock(
    hall: Hall, connect: Connect, function: str, blocker: str, own_timeout: str
) -> None:
    act = ready_to(hall, function)
    statement, arguments = BLOCKERS[blocker](hall)
    keeper = enter(connect())
    buyer = seen_by(hall, connect())
    buyer.connection.execute(f"SET lock_timeout = '{own_timeout}'")
    with keeper.transaction():
        keeper.execute(statement.encode(), arguments)
        answer, seconds = timed(lambda: act(buyer))
        assert seconds < PROMISED_SECONDS + SLACK_SECONDS
        assert value(buyer.connection, "SHOW lock_timeout") == own_timeout
        if (function, blocker) in FREE:
            assert answer.success, answer
            return
        assert (answer.success, answer.error_code) == (False, "BUSY"), answer
        # A lock that comes free within that time is waited for.
        assert seconds > PROMISED_SECONDS / 2
        line = lines(hall.connection, ORDER_LOG)[-1]
        assert (line.error_code, line.show_id) == ("BUSY", hall.show_id)
    assert act(buyer).success


def test_giving_money_back_does_not_wait_for_who_has_the_seats_by_now(
    hall: Hall, connect: Connect
) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.release(hold)
    hall.pay(order)
    keeper = seen_by(hall, connect())
    keeper.connection.execute("BEGIN")
    assert keeper.reserve(0, session="ben").success
    assert hall.refund(order).success
    keeper.connection.execute("ROLLBACK")


def test_many_who_have_a_seat_each_do_not_make_the_wait_longer(
    hall: Hall, connect: Connect
) -> None:
    hold = hall.hold(*range(6))
    order = hall.order(hold)
    keepers = [enter(connect()) for _ in range(6)]
    for keeper, seat in zip(keepers, hall.seats, strict=False):
        keeper.execute("BEGIN")
        keeper.execute("SELECT FROM show_seats WHERE id = %s FOR UPDATE", [seat])

    def let_go() -> None:
        for keeper in sorted(keepers, key=lambda k: k.info.backend_pid):
            time.sleep(0.7)
            keeper.execute("ROLLBACK")

    with ThreadPoolExecutor() as pool:
        background = pool.submit(let_go)
        answer, seconds = timed(lambda: hall.pay(order))
        background.result()
    assert answer.error_code == "BUSY"
    assert seconds < PROMISED_SECONDS + SLACK_SECONDS
    assert hall.pay(order).status == "paid"


def test_a_lock_that_comes_free_in_time_is_waited_for(hall: Hall, connect: Connect) -> None:
    order = hall.order(hall.hold(0))
    keeper = enter(connect())
    buyer = seen_by(hall, connect())
    with ThreadPoolExecutor() as pool:
        with keeper.transaction():
            keeper.execute("SELECT FROM seat_reservations FOR UPDATE")
            paying = pool.submit(buyer.pay, order)
            await_true(
                hall.connection,
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s"
                " AND wait_event_type = 'Lock')",
                [buyer.connection.info.backend_pid],
            )
        assert paying.result().status == "paid"


def test_an_equal_key_that_is_not_committed_is_waited_for_and_then_busy(
    hall: Hall, connect: Connect
) -> None:
    hold, other = hall.hold(0), hall.hold(1, session="ben")
    keeper, buyer = seen_by(hall, connect()), seen_by(hall, connect())
    keeper.connection.execute("BEGIN")
    assert keeper.order(hold, p_idempotency_key="k1").success
    answer, seconds = timed(lambda: buyer.order(other, "ben", p_idempotency_key="k1"))
    assert answer.error_code == "BUSY"
    assert seconds < PROMISED_SECONDS + SLACK_SECONDS
    keeper.connection.execute("COMMIT")
    answer = buyer.order(other, "ben", p_idempotency_key="k1")
    assert answer.error_code == "IDEMPOTENCY_KEY_REUSED"


def test_an_equal_key_that_is_given_up_is_free(hall: Hall, connect: Connect) -> None:
    hold, other = hall.hold(0), hall.hold(1, session="ben")
    keeper, buyer = seen_by(hall, connect()), seen_by(hall, connect())
    with ThreadPoolExecutor() as pool:
        keeper.connection.execute("BEGIN")
        assert keeper.order(hold, p_idempotency_key="k1").success
        ordering = pool.submit(buyer.order, other, "ben", p_idempotency_key="k1")
        await_true(
            hall.connection,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s"
            " AND wait_event_type = 'Lock')",
            [buyer.connection.info.backend_pid],
        )
        keeper.connection.execute("ROLLBACK")
        assert ordering.result().success


# what the disk has


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ],
)
@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name != "late payment"])
def test_money_is_on_disk_when_it_is_acknowledged_whatever_the_caller_has_set(
    hall: Hall, connect: Connect, function: str, asked: str, granted: str
) -> None:
    act = ready_to(hall, function)
    buyer = seen_by(hall, connect())
    buyer.connection.execute(f"SET synchronous_commit = {asked}")
    with buyer.connection.transaction():
        assert act(buyer).success
        assert value(buyer.connection, "SHOW synchronous_commit") == granted
    assert value(buyer.connection, "SHOW synchronous_commit") == asked


# two who do the same


def test_two_orders_of_one_hold_at_once_are_one_order(hall: Hall, connect: Connect) -> None:
    hold = hall.hold(0)
    keeper, buyer = seen_by(hall, connect()), seen_by(hall, connect())
    with ThreadPoolExecutor() as pool:
        keeper.connection.execute("BEGIN")
        first = keeper.order(hold, p_idempotency_key="k1")
        second = pool.submit(buyer.order, hold, p_idempotency_key="k1")
        await_true(
            hall.connection,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s"
            " AND wait_event_type = 'Lock')",
            [buyer.connection.info.backend_pid],
        )
        keeper.connection.execute("COMMIT")
        assert second.result() == first
    assert refund_reasons(hall) == []
