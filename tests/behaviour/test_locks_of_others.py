"""Whatever others have locked, and however many they are: nobody who holds seats waits for long."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.logs import LOGS, RESERVATION_LOG, lines
from tests.support.queries import Connection, Row, broken_invariants, enter, tables, value
from tests.support.racing import deadlocks
from tests.support.waiting import await_true

PROMISE_SECONDS = 2.0
# Of a busy machine, between the answer and who measures.
NOISE_SECONDS = 1.5


@dataclass(frozen=True)
class Street:
    """A hall, a buyer, and others beside him, each in a session of his own."""

    hall: Hall
    buyer: Hall
    database: Database
    threads: ThreadPoolExecutor

    @contextmanager
    def open_transaction(self) -> Iterator[Hall]:
        """Another session that does something and does not end its transaction."""
        with psycopg.connect(self.database.dsn) as session:
            yield replace(self.hall, connection=enter(session))
            session.rollback()

    def meanwhile(self, call: Callable[[], Row]) -> Future[tuple[Row, float]]:
        """Make a call in another thread: its answer, and how many seconds it took."""

        def timed() -> tuple[Row, float]:
            begun = time.monotonic()
            answer = call()
            return answer, time.monotonic() - begun

        return self.threads.submit(timed)

    def await_waiting(self, buyer: Hall, milliseconds: int = 0) -> None:
        """Until this session waits for a lock, and has been busy for so long."""
        await_true(
            self.hall.connection,
            "SELECT wait_event_type = 'Lock'"
            " AND clock_timestamp() - query_start >= make_interval(secs => %s / 1000.0)"
            " FROM pg_stat_activity WHERE pid = %s",
            [milliseconds, buyer.connection.info.backend_pid],
        )


@pytest.fixture
def street(database: Database, connect: Connect) -> Iterator[Street]:
    hall = make_hall(connect(), seats=60)
    buyer = replace(hall, connection=enter(connect()))
    # A call that waits for ever is to fail, and not to hang.
    buyer.connection.execute("SET statement_timeout = '30s'")
    with ThreadPoolExecutor(8) as threads:
        yield Street(hall, buyer, database, threads)
    assert broken_invariants(hall.connection) == []
    codes = {line.error_code for line in lines(hall.connection, RESERVATION_LOG)}
    assert "INTERNAL_ERROR" not in codes


def another_buyer(street: Street, connect: Connect) -> Hall:
    buyer = replace(street.hall, connection=enter(connect()))
    # A call that waits for ever is to fail, and not to hang.
    buyer.connection.execute("SET statement_timeout = '30s'")
    return buyer


def in_time(seconds: float) -> bool:
    return seconds < PROMISE_SECONDS + NOISE_SECONDS


def run(statement: str) -> Callable[[Hall], Any]:
    return lambda hall: hall.connection.execute(statement.encode(), {"seats": hall.ids(0, 1)})


LOCKED_AGAINST_RESERVING: dict[str, Callable[[Hall], Any]] = {
    "a reservation in an open transaction": lambda hall: hall.hold(0, 1, session="ben"),
    "another hold of the same session": lambda hall: hall.hold(5),
    "a change of prices": run("UPDATE show_seats SET price_in_cents = 1 WHERE id = ANY(%(seats)s)"),
    "seats about to be deleted": run("DELETE FROM show_seats WHERE id = ANY(%(seats)s)"),
    "the table of seats": run("LOCK TABLE show_seats"),
    "the table of reservations": run("LOCK TABLE seat_reservations"),
    "the settings": run("LOCK TABLE ticketing_settings"),
}


@pytest.mark.parametrize("locked", LOCKED_AGAINST_RESERVING)
def test_seats_that_cannot_be_had_within_two_seconds_are_unavailable(
    street: Street, locked: str
) -> None:
    with street.open_transaction() as other:
        LOCKED_AGAINST_RESERVING[locked](other)
        answer, seconds = street.meanwhile(lambda: street.buyer.reserve(0, 1)).result()
    assert (answer.success, answer.error_code) == (False, "SEATS_UNAVAILABLE")
    assert set(answer[1:7]) == {None}
    assert in_time(seconds)
    (line,) = street.hall.log()
    assert (line.event_type, line.error_code) == ("failed", "SEATS_UNAVAILABLE")
    # Nothing has been left behind: the next call finds all as it was.
    assert street.buyer.reserve(0, 1).success


@pytest.mark.parametrize(
    "locked",
    [
        "SELECT FROM seat_reservations WHERE session_id = 'anna' FOR UPDATE",
        "UPDATE show_seats SET price_in_cents = 1",
        "LOCK TABLE seat_reservations",
        "LOCK TABLE ticketing_settings",
    ],
)
def test_an_extension_that_has_to_wait_for_two_seconds_answers_that_somebody_is_busy(
    street: Street, locked: str
) -> None:
    hold = street.hall.hold(0, 1)
    with street.open_transaction() as other:
        other.connection.execute(locked.encode())
        answer, seconds = street.meanwhile(lambda: street.buyer.extend(hold)).result()
    assert (answer.success, answer.error_code) == (False, "BUSY")
    assert answer.error_message == "Somebody else is working on it at this moment, try again"
    assert in_time(seconds)
    assert [line.error_code for line in lines(street.hall.connection, RESERVATION_LOG)] == [
        None,
        "BUSY",
    ]
    assert street.hall.reservation(hold).extension_count == 0
    assert street.buyer.extend(hold).success


def test_what_others_lock_elsewhere_is_not_waited_for(street: Street) -> None:
    """The control."""
    hold = street.hall.hold(0, 1)
    street.hall.hold(2, 3, session="ben")
    with street.open_transaction() as other:
        other.connection.execute(
            "SELECT FROM seat_reservations WHERE session_id = 'ben' FOR UPDATE"
        )
        other.connection.execute(
            "UPDATE show_seats SET price_in_cents = 1 WHERE id <> ALL(%s)",
            [street.hall.ids(0, 1)],
        )
        assert street.buyer.extend(hold).success
        assert street.buyer.release(hold, street.hall.ids(0)).success
        assert street.buyer.release(hold).success
        assert street.buyer.reserve(0, 1).success


@pytest.mark.parametrize(
    ("locked", "seats"),
    [
        ("SELECT FROM seat_reservations FOR UPDATE", None),
        ("SELECT FROM show_seats FOR UPDATE", None),
        ("SELECT FROM show_seats FOR UPDATE", (0,)),
        ("SELECT FROM ticket_orders FOR UPDATE", (0,)),
        ("UPDATE reservation_seats SET price_in_cents = 1", (0,)),
        ("LOCK TABLE reservation_seats", None),
    ],
)
def test_a_release_that_has_to_wait_for_two_seconds_answers_that_somebody_is_busy(
    street: Street, locked: str, seats: tuple[int, ...] | None
) -> None:
    hold = street.hall.hold(0, 1)
    street.hall.order(hold)
    wanted = None if seats is None else street.hall.ids(*seats)
    with street.open_transaction() as other:
        other.connection.execute(locked.encode())
        answer, seconds = street.meanwhile(lambda: street.buyer.release(hold, wanted)).result()
    assert (answer.success, answer.error_code, answer.seats_released) == (False, "BUSY", None)
    assert in_time(seconds)
    assert street.hall.statuses(0, 1) == ["reserved"] * 2
    assert street.buyer.release(hold, wanted).success


@pytest.mark.parametrize(
    ("locked", "code"),
    [
        ("SELECT FROM seat_reservations FOR UPDATE", "BUSY"),
        ("SELECT FROM ticket_orders FOR UPDATE", "BUSY"),
        ("LOCK TABLE ticketing_settings", "BUSY"),
        ("LOCK TABLE reservation_seats", "BUSY"),
        ("SELECT FROM show_seats FOR UPDATE", "SEATS_UNAVAILABLE"),
    ],
)
def test_seats_are_added_within_two_seconds_or_not_at_all(
    street: Street, locked: str, code: str
) -> None:
    hold = street.hall.hold(0, 1)
    order = street.hall.order(hold)
    with street.open_transaction() as other:
        other.connection.execute(locked.encode())
        answer, seconds = street.meanwhile(lambda: street.buyer.add(hold, 5, 6)).result()
    assert (answer.success, answer.error_code) == (False, code)
    assert set(answer[1:7]) == {None}
    assert in_time(seconds)
    assert [line.error_code for line in lines(street.hall.connection, RESERVATION_LOG)] == [
        None,
        code,
    ]
    assert street.hall.statuses(0, 1, 5, 6) == ["reserved"] * 2 + ["available"] * 2
    assert street.hall.row("ticket_orders", order.order_id).status == "pending"
    assert street.buyer.add(hold, 5, 6).success


def test_an_overdue_hold_that_is_locked_does_not_keep_who_adds_its_seats_waiting(
    street: Street,
) -> None:
    over = street.hall.hold(5, session="ben")
    hold = street.hall.hold(0)
    street.hall.let_run_out(over)
    with street.open_transaction() as other:
        other.connection.execute(
            "SELECT FROM seat_reservations WHERE session_id = 'ben' FOR UPDATE"
        )
        answer, seconds = street.meanwhile(lambda: street.buyer.add(hold, 5)).result()
    assert (answer.error_code, in_time(seconds)) == ("SEATS_UNAVAILABLE", True)
    assert street.buyer.add(hold, 5).success


@pytest.mark.parametrize(
    "locked",
    [
        "SELECT FROM seat_reservations FOR UPDATE",
        "UPDATE reservation_seats SET price_in_cents = 1",
        "LOCK TABLE shows",
        "LOCK TABLE reservation_seats",
    ],
)
def test_pricing_that_has_to_wait_for_two_seconds_answers_that_somebody_is_busy(
    street: Street, locked: str
) -> None:
    hold = street.hall.hold(0, 1)
    with street.open_transaction() as other:
        other.connection.execute(locked.encode())
        answer, seconds = street.meanwhile(lambda: street.buyer.price(hold, {0: 7})).result()
    assert (answer.success, answer.error_code, in_time(seconds)) == (False, "BUSY", True)
    assert [line.error_code for line in lines(street.hall.connection, RESERVATION_LOG)] == [
        None,
        "BUSY",
    ]
    assert street.buyer.price(hold, {0: 7}).total_amount_in_cents == 7 + 1100


@pytest.mark.parametrize(
    "locked",
    [
        "SELECT FROM seat_reservations WHERE session_id = 'anna' FOR UPDATE",
        # The overdue hold of the other session, or one that it is about to have.
        "SELECT FROM seat_reservations WHERE session_id = 'ben' FOR UPDATE",
        "UPDATE seat_reservations SET session_id = 'ben' WHERE session_id = 'cleo'",
        "LOCK TABLE shows",
    ],
)
def test_a_move_that_has_to_wait_for_two_seconds_answers_that_somebody_is_busy(
    street: Street, locked: str
) -> None:
    hold = street.hall.hold(0, 1)
    street.hall.hold(5, session="cleo")
    if "UPDATE seat" not in locked:
        street.hall.let_run_out(street.hall.hold(6, session="ben"))
    with street.open_transaction() as other:
        other.connection.execute(locked.encode())
        answer, seconds = street.meanwhile(lambda: street.buyer.move(hold, "ben")).result()
    assert (answer.success, answer.error_code, in_time(seconds)) == (False, "BUSY", True)
    assert street.hall.reservation(hold).session_id == "anna"
    assert street.buyer.move(hold, "ben").success


@pytest.mark.parametrize("locked", LOCKED_AGAINST_RESERVING)
def test_the_best_seats_are_had_within_two_seconds_or_unavailable(
    street: Street, locked: str
) -> None:
    street.hall.connection.execute(
        "UPDATE show_seats SET status = 'blocked' WHERE id <> ALL(%s)", [street.hall.ids(0, 1)]
    )
    if locked == "another hold of the same session":
        street.hall.connection.execute(
            "UPDATE show_seats SET status = 'available' WHERE id = %s", street.hall.ids(5)
        )
    with street.open_transaction() as other:
        LOCKED_AGAINST_RESERVING[locked](other)
        answer, seconds = street.meanwhile(lambda: street.buyer.reserve_best(2)).result()
    assert in_time(seconds)
    assert (answer.success, answer.error_code) == (False, "SEATS_UNAVAILABLE")
    assert set(answer[1:8]) == {None}
    assert street.buyer.reserve_best(2).success


def test_the_best_seats_are_others_than_those_that_are_being_taken(street: Street) -> None:
    """At once: nobody is waited for."""
    with street.open_transaction() as other:
        other.connection.execute(
            "UPDATE show_seats SET price_in_cents = 1 WHERE id <> ALL(%s)",
            [street.hall.ids(3, 58, 59)],
        )
        street.buyer.connection.execute("SET log_lock_waits = on; SET deadlock_timeout = '1ms'")
        assert set(street.buyer.reserve_best(2).seat_ids) == set(street.hall.ids(58, 59))
        assert street.buyer.reserve_best(1, session="ben").seat_ids == street.hall.ids(3)
    pid = street.buyer.connection.info.backend_pid
    log = street.database.cluster.log_file.read_text(errors="replace")
    assert f"process {pid} still waiting" not in log


def test_the_last_seats_are_waited_for_until_their_buyer_goes(street: Street) -> None:
    with street.open_transaction() as other:
        for number in range(6):
            other.hold(*range(10 * number, 10 * number + 10), session=f"ben {number}")
        waiting = street.meanwhile(lambda: street.buyer.reserve_best(2))
        street.await_waiting(street.buyer, milliseconds=300)
        other.connection.rollback()
        answer, _ = waiting.result()
    assert answer.seat_ids == street.hall.ids(29, 30)


def test_an_overdue_hold_that_is_locked_does_not_keep_the_next_buyer_waiting(
    street: Street,
) -> None:
    over = street.hall.hold(0, 1, session="ben")
    street.hall.let_run_out(over)
    with street.open_transaction() as other:
        other.connection.execute("SELECT FROM seat_reservations FOR UPDATE")
        answer, seconds = street.meanwhile(lambda: street.buyer.reserve(0)).result()
        assert (answer.error_code, in_time(seconds)) == ("SEATS_UNAVAILABLE", True)
        # Nor buyers of other seats, at all.
        assert street.buyer.reserve(2).success


@pytest.mark.parametrize("own", ["0", "1ms", "1h"])
def test_the_callers_own_limit_on_waiting_counts_for_nothing_and_is_as_before_afterwards(
    street: Street, own: str
) -> None:
    connection = street.buyer.connection
    connection.execute(f"SET lock_timeout = '{own}'")
    with connection.transaction():
        with street.open_transaction() as other:
            other.hold(0, session="ben")
            waiting = street.meanwhile(lambda: street.buyer.reserve(0, 1))
            street.await_waiting(street.buyer, milliseconds=300)
        answer, _ = waiting.result()
        assert answer.success
        assert value(connection, "SHOW lock_timeout") == own
    with connection.transaction():
        with street.open_transaction() as other:
            other.connection.execute("SELECT FROM seat_reservations FOR UPDATE")
            assert street.buyer.extend(answer).error_code == "BUSY"
        assert value(connection, "SHOW lock_timeout") == own


@pytest.mark.parametrize("milliseconds", [0, 500], ids=["at once", "after several turns"])
@pytest.mark.parametrize("commits", [False, True], ids=["rolls back", "commits"])
def test_who_comes_to_an_end_in_time_is_waited_for(
    street: Street, commits: bool, milliseconds: int
) -> None:
    with street.open_transaction() as other:
        other.connection.execute("UPDATE show_seats SET price_in_cents = 7")
        waiting = street.meanwhile(lambda: street.buyer.reserve(0, 1))
        street.await_waiting(street.buyer, milliseconds)
        if commits:
            other.connection.commit()
        else:
            other.connection.rollback()
        answer, _ = waiting.result()
    assert answer.success
    assert answer.total_amount_in_cents == (14 if commits else 2100)
    assert street.hall.events() == ["created"]


def test_a_seat_whose_buyer_comes_to_an_end_in_time_is_taken(street: Street) -> None:
    with street.open_transaction() as other:
        other.hold(1, session="ben")
        waiting = street.meanwhile(lambda: street.buyer.reserve(0, 1))
        street.await_waiting(street.buyer)
        other.connection.commit()
        answer, _ = waiting.result()
    assert answer.error_code == "SEATS_UNAVAILABLE"


def test_the_sum_of_all_waits_is_bounded_where_many_let_go_one_after_another(
    street: Street,
) -> None:
    """Each of 60 seats is locked by a session that releases it soon after the buyer gets there."""
    street.hall.connection.execute("UPDATE ticketing_settings SET max_seats_per_reservation = 60")
    with ExitStack() as stack:
        others = [stack.enter_context(street.open_transaction()) for _ in street.hall.seats]
        by_pid = {}
        for seat, other in zip(sorted(street.hall.seats), others, strict=True):
            other.connection.execute("SELECT FROM show_seats WHERE id = %s FOR UPDATE", [seat])
            by_pid[other.connection.info.backend_pid] = other
        waiting = street.meanwhile(lambda: street.buyer.reserve(*range(60)))
        pid = street.buyer.connection.info.backend_pid
        while not waiting.done():
            for blocker in value(street.hall.connection, "SELECT pg_blocking_pids(%s)", pid):
                time.sleep(0.09)
                by_pid[blocker].connection.rollback()
        answer, seconds = waiting.result()
    assert answer.error_code in {None, "SEATS_UNAVAILABLE"}
    assert in_time(seconds)


def test_everybody_in_a_queue_for_the_same_seat_is_answered_in_time(
    street: Street, connect: Connect
) -> None:
    """Who comes later does not wait for the turn of the others, and then once more."""
    buyers = [another_buyer(street, connect) for _ in range(6)]
    with street.open_transaction() as other:
        other.hold(0, session="ben")
        waiting = []
        for number, buyer in enumerate(buyers):
            waiting.append(street.meanwhile(partial(buyer.reserve, 0, session=f"buyer {number}")))
            street.await_waiting(buyer)
        answers = [one.result() for one in waiting]
    assert {answer.error_code for answer, _ in answers} == {"SEATS_UNAVAILABLE"}
    assert all(in_time(seconds) for _, seconds in answers)


def test_who_waits_for_one_seat_keeps_no_others_from_the_rest(
    street: Street, connect: Connect
) -> None:
    first, second, last = sorted(range(3), key=lambda n: street.hall.seats[n])
    ben = another_buyer(street, connect)
    with street.open_transaction() as idle:
        idle.connection.execute(
            "UPDATE show_seats SET price_in_cents = 7 WHERE id = %s", street.hall.ids(last)
        )
        waiting = street.meanwhile(lambda: street.buyer.reserve(first, second, last))
        street.await_waiting(street.buyer)
        assert ben.reserve(first, session="ben").success
        answer, _ = waiting.result()
    assert answer.error_code == "SEATS_UNAVAILABLE"


def test_a_dba_who_locks_seats_in_another_order_causes_no_deadlock(street: Street) -> None:
    first, last = sorted(range(2), key=lambda n: street.hall.seats[n])
    with street.open_transaction() as dba:
        pids = {dba.connection.info.backend_pid}
        dba.connection.execute(
            "UPDATE show_seats SET price_in_cents = 7 WHERE id = %s", street.hall.ids(last)
        )
        waiting = street.meanwhile(lambda: street.buyer.reserve(0, 1))
        street.await_waiting(street.buyer)
        # The buyer has the first seat and waits for the last.
        dba.connection.execute(
            "UPDATE show_seats SET price_in_cents = 7 WHERE id = %s", street.hall.ids(first)
        )
        dba.connection.commit()
        answer, _ = waiting.result()
    assert (answer.success, answer.total_amount_in_cents) == (True, 14)
    assert deadlocks(street.database, pids) == (0, 0)


REFUSALS: dict[str, Callable[[Hall, Row], Row]] = {
    "seats": lambda buyer, _: buyer.reserve(0, session="ben"),
    "a hold": lambda buyer, hold: buyer.extend(hold, session="ben"),
    "an order": lambda buyer, hold: buyer.order(hold, session="ben"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_refusal_waits_for_its_line_in_a_log_that_is_locked_for_a_moment(
    street: Street, what: str
) -> None:
    hold = street.hall.hold(0, 1)
    with street.open_transaction() as other:
        for log in LOGS:
            other.connection.execute(f"LOCK TABLE {log}".encode())
        answer = street.meanwhile(partial(REFUSALS[what], street.buyer, hold))
        street.await_waiting(street.buyer, milliseconds=700)
    refused, _ = answer.result()
    assert refused.error_code == ("SEATS_UNAVAILABLE" if what == "seats" else "PERMISSION_DENIED")


@pytest.mark.parametrize("locked", ["the log", "its partitions"])
def test_without_its_line_in_the_log_a_call_raises_in_time_and_writes_nothing(
    street: Street, locked: str
) -> None:
    hold = street.hall.hold(0, 1)
    before = tables(street.hall.connection)
    calls: list[Callable[[], Row]] = [
        partial(street.buyer.reserve, 2, session="ben"),
        partial(street.buyer.reserve, 0, session="ben"),
        partial(street.buyer.extend, hold),
        partial(street.buyer.release, hold, session="ben"),
        partial(street.buyer.reserve_best, 2, session="ben"),
        partial(street.buyer.reserve_best, 0, session="ben"),
        partial(street.buyer.add, hold, 5),
        partial(street.buyer.price, hold, {0: 1}),
        partial(street.buyer.move, hold, "ben"),
    ]
    for call in calls if locked == "the log" else calls[:2]:
        with street.open_transaction() as other:
            names = [RESERVATION_LOG]
            if locked == "its partitions":
                partitions = other.connection.execute(
                    "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
                    " WHERE inhparent = %s::regclass",
                    [RESERVATION_LOG],
                ).fetchall()
                names = [row.name for row in partitions]
            for name in names:
                other.connection.execute(f"LOCK TABLE {name}".encode())
            begun = time.monotonic()
            with pytest.raises(psycopg.errors.LockNotAvailable):
                call()
            assert in_time(time.monotonic() - begun)
    assert tables(street.hall.connection) == before


READS: dict[str, Callable[[Hall, Row, Row], list[Any]]] = {
    "get_seat_map": lambda hall, *_: [hall.show_id],
    "get_seat_map_at": lambda hall, *_: [hall.show_id, "now"],
    "get_reservation": lambda _, hold, __: [hold.reservation_token, "anna"],
    "get_session_reservations": lambda *_: ["anna"],
    "get_order": lambda hall, _, order: [hall.show_id, order.order_id],
    "find_orders": lambda *_: [None, "pi_1"],
    "get_tickets": lambda hall, _, order: [hall.show_id, order.order_id],
    "get_refunds": lambda hall, _, order: [hall.show_id, order.order_id],
}


@pytest.mark.parametrize("function", READS)
def test_who_reads_waits_for_no_locked_row_and_for_a_locked_table_in_vain(
    street: Street, function: str
) -> None:
    hold = street.hall.hold(0, 1)
    order = street.hall.order(hold, p_payment_provider="stripe", p_payment_intent_id="pi_1")
    street.hall.pay(order)
    street.hall.pay(order, event="evt_again")
    hold = street.hall.hold(2, 3)
    arguments = READS[function](street.hall, hold, order)
    names = ("show_seats", "seat_reservations", "ticket_orders", "tickets", "refunds")

    def read() -> Row:
        question = f"SELECT * FROM {function}({', '.join(['%s'] * len(arguments))})"
        return street.buyer.connection.execute(question.encode(), arguments).fetchall()

    with street.open_transaction() as other:
        for table in names:
            other.connection.execute(f"SELECT FROM {table} FOR UPDATE".encode())
        answer, seconds = street.meanwhile(read).result()
    assert answer != []
    assert seconds < PROMISE_SECONDS
    before = tables(street.hall.connection)
    with street.open_transaction() as other:
        other.connection.execute(f"LOCK TABLE {', '.join(names)}".encode())
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            read()
        assert in_time(time.monotonic() - begun)
    assert tables(street.hall.connection) == before


def test_a_log_that_is_locked_for_a_moment_is_waited_for(street: Street) -> None:
    street.hall.hold(0, 1, session="ben")
    with street.open_transaction() as other:
        other.connection.execute(f"LOCK TABLE {RESERVATION_LOG}".encode())
        waiting = street.meanwhile(lambda: street.buyer.reserve(0))
        street.await_waiting(street.buyer)
    answer, _ = waiting.result()
    assert answer.error_code == "SEATS_UNAVAILABLE"


def test_a_lock_that_nobody_limits_would_be_waited_for_beyond_the_promise(
    street: Street, connect: Connect
) -> None:
    """The control of this file: the same street, and a plain statement."""
    plain: Connection = connect()
    with street.open_transaction() as other:
        other.hold(0, session="ben")
        plain.execute("SET statement_timeout = '4s'")
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            enter(plain).execute(
                "SELECT FROM show_seats WHERE id = %s FOR UPDATE", street.hall.ids(0)
            )
        assert not in_time(time.monotonic() - begun)
