"""The box office beside buyers, gates and itself, at every isolation level, and beside locks."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.support.counter import Counter, tickets_of
from tests.support.databases import Connect
from tests.support.hall import make_hall
from tests.support.logs import LOGS, RESERVATION_LOG, lines
from tests.support.queries import Row, broken_invariants, enter, tables, value

# What is promised, and room for a machine that is busy with other tests.
PROMISED_SECONDS = 2.0
SLACK_SECONDS = 1.5

SNAPSHOT_LEVELS = ["REPEATABLE READ", "SERIALIZABLE"]

Act = Callable[[Counter], Row]
# What happens meanwhile, what is decided then, and what that answers where it sees the first.
Scene = tuple[Act, Act, str | None]


@pytest.fixture
def counter(connect: Connect) -> Iterator[Counter]:
    """A counter whose hall is committed. After the test no invariant is broken."""
    made = Counter(make_hall(connect()))
    yield made
    assert broken_invariants(made.hall.connection) == []
    codes = {line.error_code for log in LOGS[:2] for line in lines(made.hall.connection, log)}
    assert "INTERNAL_ERROR" not in codes


@contextmanager
def open_transaction(counter: Counter, connect: Connect, level: str) -> Iterator[Counter]:
    """The counter in a transaction whose snapshot is taken now."""
    other = counter.through(enter(connect()))
    connection = other.hall.connection
    connection.execute("SET statement_timeout = '30s'")
    connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    connection.execute("SELECT count(*) FROM shows")
    yield other
    connection.execute("ROLLBACK")


def one_ticket(counter: Counter, seat: int) -> tuple[Row, Row]:
    """An order for a seat, and its ticket."""
    order = counter.hall.sell(seat)
    return order, tickets_of(counter.hall, order.order_id)[0]


def reserve(seat: int) -> Act:
    return lambda c: c.hall.reserve(seat, session="ben")


def insist(*seats: int) -> Act:
    return lambda c: c.block(*seats, p_end_holds=True)


def cancel_show(counter: Counter) -> Row:
    counter.hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    return None


def of_seats() -> dict[str, Callable[[Counter], Scene]]:
    def blocking_beside_reserving(_: Counter) -> Scene:
        return reserve(0), lambda c: c.block(0, 1), "SEATS_HELD"

    def reserving_beside_blocking(_: Counter) -> Scene:
        return lambda c: c.block(0, 1), reserve(0), "SEATS_UNAVAILABLE"

    def blocking_beside_itself(_: Counter) -> Scene:
        return lambda c: c.block(0, 1), lambda c: c.block(0, 1), None

    def unblocking_beside_blocking(counter: Counter) -> Scene:
        counter.block(1)
        return lambda c: c.block(0), lambda c: c.unblock(0, 1), None

    def blocking_beside_unblocking(counter: Counter) -> Scene:
        counter.block(0, 1)
        return lambda c: c.unblock(0), lambda c: c.block(0, 1), None

    def blocking_beside_cleanup(counter: Counter) -> Scene:
        counter.hall.let_run_out(counter.hall.hold(0, 1))
        return lambda c: c.hall.clean_up(), lambda c: c.block(0), None

    def insisting_beside_reserving(_: Counter) -> Scene:
        return reserve(0), insist(0, 1), None

    def insisting_beside_extending(counter: Counter) -> Scene:
        hold = counter.hall.hold(0)
        return lambda c: c.hall.extend(hold), insist(0), None

    def extending_beside_insisting(counter: Counter) -> Scene:
        hold = counter.hall.hold(0)
        return insist(0), lambda c: c.hall.extend(hold), "RESERVATION_INACTIVE"

    def insisting_beside_releasing(counter: Counter) -> Scene:
        hold = counter.hall.hold(0, 1)
        return lambda c: c.hall.release(hold, c.hall.ids(1)), insist(0), None

    def releasing_beside_insisting(counter: Counter) -> Scene:
        hold = counter.hall.hold(0, 1)
        return (
            insist(0),
            lambda c: c.hall.release(hold, c.hall.ids(1)),
            "RESERVATION_INACTIVE",
        )

    def insisting_beside_ordering(counter: Counter) -> Scene:
        hold = counter.hall.hold(0)
        return lambda c: c.hall.order(hold), insist(0), None

    def ordering_beside_insisting(counter: Counter) -> Scene:
        hold = counter.hall.hold(0)
        return insist(0), lambda c: c.hall.order(hold), "RESERVATION_INACTIVE"

    def insisting_beside_paying(counter: Counter) -> Scene:
        order = counter.hall.order(counter.hall.hold(0))
        return lambda c: c.hall.pay(order), insist(0), "SEATS_SOLD"

    def paying_beside_insisting(counter: Counter) -> Scene:
        order = counter.hall.order(counter.hall.hold(0))
        # Answered with refund_due.
        return insist(0), lambda c: c.hall.pay(order), None

    return {n: s for n, s in locals().items() if "beside" in n}


def of_tickets() -> dict[str, Callable[[Counter], Scene]]:
    def issuing_beside_reserving(_: Counter) -> Scene:
        return reserve(0), lambda c: c.issue(0), "SEATS_HELD"

    def reserving_beside_issuing(_: Counter) -> Scene:
        return lambda c: c.issue(0), reserve(0), "SEATS_UNAVAILABLE"

    def issuing_beside_blocking(_: Counter) -> Scene:
        return lambda c: c.block(0), lambda c: c.issue(0), None

    def blocking_beside_issuing(_: Counter) -> Scene:
        return lambda c: c.issue(0), lambda c: c.block(0), "SEATS_SOLD"

    def unblocking_beside_issuing(counter: Counter) -> Scene:
        counter.block(0)
        return lambda c: c.issue(0), lambda c: c.unblock(0), "SEATS_NOT_BLOCKED"

    def issuing_beside_issuing(_: Counter) -> Scene:
        return lambda c: c.issue(0), lambda c: c.issue(0, 1), "SEATS_SOLD"

    def issuing_beside_itself(_: Counter) -> Scene:
        return (
            lambda c: c.issue(0, 1, p_event_id="slip 7"),
            lambda c: c.issue(0, 1, p_event_id="slip 7"),
            None,
        )

    def issuing_beside_the_same_event_for_another_seat(_: Counter) -> Scene:
        return (
            lambda c: c.issue(0, p_event_id="slip 7"),
            lambda c: c.issue(1, p_event_id="slip 7"),
            "EVENT_MISMATCH",
        )

    def issuing_beside_the_end_of_the_show(_: Counter) -> Scene:
        return cancel_show, lambda c: c.issue(0), "SHOW_NOT_ON_SALE"

    def moving_beside_reserving(counter: Counter) -> Scene:
        _, ticket = one_ticket(counter, 5)
        return reserve(0), lambda c: c.move([ticket.id], 0), "SEATS_HELD"

    def reserving_beside_moving(counter: Counter) -> Scene:
        _, ticket = one_ticket(counter, 5)
        return lambda c: c.move([ticket.id], 0), reserve(0), "SEATS_UNAVAILABLE"

    def moving_beside_moving(counter: Counter) -> Scene:
        _, ticket = one_ticket(counter, 5)
        return lambda c: c.move([ticket.id], 0), lambda c: c.move([ticket.id], 1), None

    def moving_beside_another_that_leaves_the_seat(counter: Counter) -> Scene:
        (_, first), (_, second) = one_ticket(counter, 5), one_ticket(counter, 6)
        return (
            lambda c: c.move([first.id], 0),
            lambda c: c.move([second.id, first.id], 5, 1),
            None,
        )

    def moving_beside_a_refund(counter: Counter) -> Scene:
        order, ticket = one_ticket(counter, 5)
        return (
            lambda c: c.hall.refund(order),
            lambda c: c.move([ticket.id], 0),
            "TICKETS_NOT_FOUND",
        )

    def a_refund_beside_moving(counter: Counter) -> Scene:
        order, ticket = one_ticket(counter, 5)
        return lambda c: c.move([ticket.id], 0), lambda c: c.hall.refund(order), None

    def a_refund_beside_a_change_of_places(counter: Counter) -> Scene:
        """After which the order has the same seats as before."""
        order = counter.hall.sell(0, 1)
        tickets = [ticket.id for ticket in tickets_of(counter.hall, order.order_id)]
        return lambda c: c.move(tickets, 1, 0), lambda c: c.hall.refund(order), None

    def moving_beside_blocking(counter: Counter) -> Scene:
        _, ticket = one_ticket(counter, 5)
        return lambda c: c.block(0), lambda c: c.move([ticket.id], 0), None

    def moving_beside_letting_in(counter: Counter) -> Scene:
        _, ticket = one_ticket(counter, 5)
        return (
            lambda c: c.check_in(ticket.ticket_code),
            lambda c: c.move([ticket.id], 0),
            None,
        )

    def letting_in_beside_moving(counter: Counter) -> Scene:
        _, ticket = one_ticket(counter, 5)
        return (
            lambda c: c.move([ticket.id], 0),
            lambda c: c.check_in(ticket.ticket_code),
            None,
        )

    def letting_in_beside_letting_in(counter: Counter) -> Scene:
        _, ticket = one_ticket(counter, 5)
        return (
            lambda c: c.check_in(ticket.ticket_code, p_nonce="1"),
            lambda c: c.check_in(ticket.ticket_code, p_nonce="2"),
            "ALREADY_USED",
        )

    def letting_in_beside_itself(counter: Counter) -> Scene:
        _, ticket = one_ticket(counter, 5)
        return (
            lambda c: c.check_in(ticket.ticket_code, p_nonce="1"),
            lambda c: c.check_in(ticket.ticket_code, p_nonce="1"),
            None,
        )

    def letting_in_beside_a_refund(counter: Counter) -> Scene:
        order, ticket = one_ticket(counter, 5)
        return (
            lambda c: c.hall.refund(order),
            lambda c: c.check_in(ticket.ticket_code),
            "TICKET_NOT_VALID",
        )

    def a_refund_beside_letting_in(counter: Counter) -> Scene:
        order, ticket = one_ticket(counter, 5)
        return (
            lambda c: c.check_in(ticket.ticket_code),
            lambda c: c.hall.refund(order),
            None,
        )

    return {n: s for n, s in locals().items() if "beside" in n}


SCENES = of_seats() | of_tickets()


@pytest.mark.parametrize("level", SNAPSHOT_LEVELS)
@pytest.mark.parametrize("name", SCENES)
def test_who_decides_on_what_has_changed_since_fails_and_may_try_again(
    counter: Counter, connect: Connect, name: str, level: str
) -> None:
    meanwhile, decide, expected = SCENES[name](counter)
    with open_transaction(counter, connect, level) as other:
        meanwhile(counter)
        with pytest.raises(psycopg.errors.SerializationFailure):
            decide(other)
    with open_transaction(counter, connect, level) as other:
        assert decide(other).error_code == expected
        other.hall.connection.execute("COMMIT")


@pytest.mark.parametrize("name", SCENES)
def test_at_read_committed_nobody_has_to_try_again(
    counter: Counter, connect: Connect, name: str
) -> None:
    meanwhile, decide, expected = SCENES[name](counter)
    with open_transaction(counter, connect, "READ COMMITTED") as other:
        first = meanwhile(counter)
        answer = decide(other)
        other.hall.connection.execute("COMMIT")
    assert answer.error_code == expected
    if name in ("issuing_beside_itself", "letting_in_beside_itself"):
        assert answer == first


@pytest.mark.parametrize("name", SCENES)
def test_who_is_waited_for_in_time_is_seen(counter: Counter, connect: Connect, name: str) -> None:
    """The same, but the first has not committed when the second begins."""
    meanwhile, decide, expected = SCENES[name](counter)
    second = counter.through(enter(connect()))
    with (
        open_transaction(counter, connect, "READ COMMITTED") as other,
        ThreadPoolExecutor() as pool,
    ):
        meanwhile(other)
        deciding = pool.submit(decide, second)
        began = time.monotonic()
        while not waits(counter, second) and not deciding.done():
            assert time.monotonic() < began + PROMISED_SECONDS
        other.hall.connection.execute("COMMIT")
        assert deciding.result().error_code == expected


def waits(counter: Counter, other: Counter) -> bool:
    found: bool = value(
        counter.hall.connection,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock')",
        other.hall.connection.info.backend_pid,
    )
    return found


@pytest.mark.parametrize("level", SNAPSHOT_LEVELS)
def test_what_nobody_else_has_touched_is_done(
    counter: Counter, connect: Connect, level: str
) -> None:
    """The control: not every call of a late transaction fails."""
    _, ticket = one_ticket(counter, 5)
    with open_transaction(counter, connect, level) as other:
        counter.hall.hold(9, session="ben")
        assert other.block(0, 1).success
        assert other.unblock(0).success
        assert other.issue(0, 1, p_event_id="slip 7").success
        assert other.move([ticket.id], 6).success
        assert other.check_in(ticket.ticket_code).success
        other.hall.connection.execute("COMMIT")


# Whatever others have locked


def calls(counter: Counter) -> dict[str, Act]:
    """A call of each function; the hall has a hold, an order and tickets for them."""
    hold = counter.hall.hold(0, 1)
    counter.hall.order(hold)
    over = counter.hall.hold(2, session="ben")
    counter.hall.let_run_out(over)
    ticket = tickets_of(counter.hall, counter.sell(5).order_id)[0]
    counter.block(8)
    return {
        "block_seats": lambda c: c.block(0, 2, 3, p_end_holds=True),
        "unblock_seats": lambda c: c.unblock(8),
        "issue_tickets": lambda c: c.issue(2, 4, 8),
        "move_tickets": lambda c: c.move([ticket.id], 2),
        "check_in_ticket": lambda c: c.check_in(ticket.ticket_code),
    }


BLOCKERS = {
    "the holds": "SELECT FROM seat_reservations FOR UPDATE",
    "the seats": "SELECT FROM show_seats FOR UPDATE",
    "one seat": "SELECT FROM show_seats WHERE seat_number = '8' FOR UPDATE",
    "the tickets": "SELECT FROM tickets FOR UPDATE",
    "the claims": "UPDATE reservation_seats SET ticket_type = 'x'",
    "the show": "UPDATE shows SET name = 'x'",
    "the table of seats": "LOCK TABLE show_seats",
    "the table of orders": "LOCK TABLE ticket_orders",
}
# Nothing of it is locked or changed by them.
FREE = {
    ("unblock_seats", "the holds"),
    ("check_in_ticket", "the holds"),
    ("check_in_ticket", "the seats"),
    ("check_in_ticket", "one seat"),
    ("check_in_ticket", "the claims"),
    ("unblock_seats", "the claims"),
    ("block_seats", "the tickets"),
    ("unblock_seats", "the tickets"),
    ("issue_tickets", "the tickets"),
    *((name, "the show") for name in ("block_seats", "unblock_seats", "move_tickets")),
    ("check_in_ticket", "the show"),
    ("move_tickets", "one seat"),
    ("block_seats", "one seat"),
}
FUNCTIONS = ["block_seats", "unblock_seats", "issue_tickets", "move_tickets", "check_in_ticket"]


def timed(call: Callable[[], Row]) -> tuple[Row, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


@pytest.mark.parametrize("blocker", BLOCKERS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nobody_waits_longer_than_two_seconds_for_a_lock(
    counter: Counter, connect: Connect, function: str, blocker: str
) -> None:
    act = calls(counter)[function]
    keeper, other = enter(connect()), counter.through(enter(connect()))
    other.hall.connection.execute("SET lock_timeout = '7ms'")
    with keeper.transaction(force_rollback=True):
        before = tables(counter.hall.connection)
        keeper.execute(BLOCKERS[blocker].encode())
        answer, seconds = timed(lambda: act(other))
        assert seconds < PROMISED_SECONDS + SLACK_SECONDS
        assert value(other.hall.connection, "SHOW lock_timeout") == "7ms"
        if (function, blocker) in FREE:
            assert answer.success, answer
            return
        assert (answer.success, answer.error_code) == (False, "BUSY"), answer
        # A lock that comes free within that time is waited for.
        assert seconds > PROMISED_SECONDS / 2
        if "table" not in blocker:
            after = tables(counter.hall.connection)
            assert {name for name in after if after[name] != before[name]} == {RESERVATION_LOG}
    line = lines(counter.hall.connection, RESERVATION_LOG)[-1]
    assert (line.error_code, line.metadata["function"]) == ("BUSY", function)
    assert act(other).success


@pytest.mark.parametrize(("asked", "granted"), [("off", "on"), ("remote_write", "remote_write")])
@pytest.mark.parametrize("function", ["issue_tickets", "check_in_ticket"])
def test_a_sale_and_an_admission_are_on_disk_when_they_are_acknowledged(
    counter: Counter, function: str, asked: str, granted: str
) -> None:
    act, connection = calls(counter)[function], counter.hall.connection
    connection.execute(f"SET synchronous_commit = {asked}".encode())
    with connection.transaction():
        assert act(counter).success
        assert value(connection, "SHOW synchronous_commit") == granted


def test_a_log_that_is_locked_makes_a_call_raise_in_time_and_write_nothing(
    counter: Counter, connect: Connect
) -> None:
    keeper = enter(connect())
    acts: list[Any] = list(calls(counter).values())
    before = tables(counter.hall.connection)
    for act in acts:
        with keeper.transaction(force_rollback=True):
            keeper.execute(f"LOCK TABLE {RESERVATION_LOG}".encode())
            began = time.monotonic()
            with pytest.raises(psycopg.errors.LockNotAvailable):
                act(counter)
            assert time.monotonic() - began < PROMISED_SECONDS + SLACK_SECONDS
    assert tables(counter.hall.connection) == before
