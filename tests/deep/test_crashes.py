"""The server dies in the middle of a rush: what a buyer was answered is there afterwards.

`make test` kills it three times, `make test-deep` 25 times.
"""

import ctypes
import dataclasses
import os
import random
import select
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.databases import Database
from tests.support.hall import Hall, make_hall
from tests.support.names import NAMES
from tests.support.queries import Connection, Row, broken_invariants, call, enter
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster, private_cluster

DEEP = os.environ.get("TICKETDB_TEST_DEEP") == "1"
# What gives its first answer again; or the seats are others', if the first call had no effect.
REPEATABLE = {"reserve_seats", "create_ticket_order", "confirm_payment", "fail_payment"}
KILLS = 25 if DEEP else 3
BUYERS = 8
ANSWERS = 400  # so many, and then the server dies
SEATS = 1500
PATIENCE_SECONDS = 60.0
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

pytestmark = pytest.mark.xdist_group("crashes")


@dataclass(frozen=True)
class Said:
    """A call and what was answered: nothing, where the server died first."""

    function: str
    arguments: dict[str, Any]
    answer: Row | None

    @property
    def is_done(self) -> bool:
        return self.answer is not None and self.answer.success


@dataclass
class Buyer:
    """Buys, changes its mind, pays, fails, wants the money back, until the server is gone."""

    hall: Hall
    name: str
    acknowledged: threading.Semaphore
    chance: random.Random
    said: list[Said] = field(default_factory=list)
    turn: int = 0

    def shop(self) -> None:
        with suppress(psycopg.OperationalError):
            while True:
                self.turn += 1
                self.buy_once(f"{self.name}.{self.turn}")

    def say(self, function: str, **arguments: Any) -> Row:
        try:
            answer = call(self.hall.connection, function, **arguments)
        except psycopg.OperationalError:
            self.said.append(Said(function, arguments, None))
            raise
        self.said.append(Said(function, arguments, answer))
        self.acknowledged.release()
        return answer

    def buy_once(self, session: str) -> None:
        seats = self.chance.sample(self.hall.seats, self.chance.randint(1, 3))
        show = {"p_show_id": self.hall.show_id}
        hold = self.say("reserve_seats", **show, p_seat_ids=seats, p_session_id=session)
        if not hold.success:
            return
        ours = {"p_reservation_token": hold.reservation_token, "p_session_id": session}
        if self.chance.random() < 0.3:
            self.say("extend_reservation", **ours)
        if self.chance.random() < 0.2:
            self.say("release_reservation", **ours)
            return
        order = self.say("create_ticket_order", **ours, p_idempotency_key=f"key {session}")
        keys = {**show, "p_order_id": order.order_id}
        if self.chance.random() < 0.3:
            failure = {"p_event_id": f"no {session}", "p_error_message": "declined"}
            self.say("fail_payment", **keys, p_provider="stripe", **failure)
        payment = {
            "p_event_id": f"yes {session}",
            "p_amount_in_cents": order.total_amount_in_cents,
        }
        self.say("confirm_payment", **keys, p_provider="stripe", **payment)
        if self.chance.random() < 0.2:
            self.say("refund_order", **keys)


def forgotten(connection: Connection, said: Sequence[Said]) -> list[str]:
    """Answers that the database does not bear out, in words."""

    def rows(query: str) -> dict[Any, Row]:
        return {row[0]: row for row in connection.execute(query.encode()).fetchall()}

    holds = rows("SELECT id, reservation_token, status, expires_at FROM seat_reservations")
    orders = rows("SELECT id, status, total_amount_in_cents FROM ticket_orders")
    tickets = rows("SELECT id, order_id, status FROM tickets")
    events = rows("SELECT event_id || ' ' || kind, order_status FROM payment_events")
    reserved = rows("SELECT reserved_by, count(*) FROM show_seats GROUP BY reserved_by")
    refusals = rows(
        "SELECT session_id || ' ' || error_code, count(*) FROM seat_reservation_audit_log"
        " WHERE error_code IS NOT NULL GROUP BY 1"
    )
    # What may have been refunded by a call that was never answered.
    refunds = {one.arguments["p_order_id"] for one in said if one.function == "refund_order"}
    missing = []
    for one in said:
        answer, arguments = one.answer, one.arguments
        if answer is None:
            continue
        match one.function:
            case _ if not answer.success:
                borne_out = f"{arguments.get('p_session_id')} {answer.error_code}" in refusals
            case "reserve_seats":
                hold = holds.get(answer.reservation_id)
                borne_out = hold is not None and hold.reservation_token == answer.reservation_token
            case "extend_reservation":
                hold = holds.get(answer.reservation_id)
                borne_out = hold is not None and hold.expires_at >= answer.expires_at
            case "release_reservation":
                hold = holds.get(answer.reservation_id)
                borne_out = hold is not None and hold.status == "released"
                borne_out = borne_out and answer.reservation_id not in reserved
            case "create_ticket_order":
                order = orders.get(answer.order_id)
                borne_out = order is not None and (
                    order.total_amount_in_cents == answer.total_amount_in_cents
                )
            case "fail_payment":
                borne_out = f"{arguments['p_event_id']} failure" in events
            case "confirm_payment":
                order, event = (
                    orders.get(answer.order_id),
                    events.get(f"{arguments['p_event_id']} payment"),
                )
                refunded = {"refunded"} if answer.order_id in refunds else set()
                borne_out = (
                    order is not None
                    and event is not None
                    and event.order_status == answer.status == "paid"
                    and order.status in {"paid"} | refunded
                    and len(answer.ticket_ids) > 0
                    and all(
                        (ticket := tickets.get(ticket_id)) is not None
                        and ticket.order_id == answer.order_id
                        and ticket.status in {"valid"} | refunded
                        for ticket_id in answer.ticket_ids
                    )
                )
            case "refund_order":
                order = orders.get(answer.order_id)
                borne_out = order is not None and order.status == "refunded"
            case _:
                raise AssertionError(one)
        if not borne_out:
            missing.append(f"{one.function} {arguments}: {answer}")
    return missing


@dataclass(frozen=True)
class Shop:
    """A server that may be killed, and a database in it."""

    database: Database

    @property
    def cluster(self) -> Cluster:
        return self.database.cluster

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        with psycopg.connect(self.database.dsn, autocommit=True) as connection:
            yield enter(connection)

    def rush(self, number: int) -> list[Said]:
        """Sell until there are enough answers, and kill the server. What everybody was answered."""
        acknowledged = threading.Semaphore(0)
        with self.connected() as connection:
            hall = make_hall(connection, SEATS)
        sessions = [
            enter(psycopg.connect(self.database.dsn, autocommit=True)) for _ in range(BUYERS)
        ]
        buyers = [
            Buyer(
                dataclasses.replace(hall, connection=session),
                f"rush {number}, buyer {n}",
                acknowledged,
                random.Random(1000 * number + n),
            )
            for n, session in enumerate(sessions)
        ]
        with ThreadPoolExecutor(BUYERS) as pool:
            shopping = [pool.submit(buyer.shop) for buyer in buyers]
            try:
                for _ in range(ANSWERS):
                    assert acknowledged.acquire(timeout=PATIENCE_SECONDS), "nobody is answered"
            finally:
                self.kill()
        for one in shopping:
            one.result()
        for session in sessions:
            session.close()
        return [one for buyer in buyers for one in buyer.said]

    def kill(self) -> None:
        """End the postmaster at once, and wait until its processes have noticed."""
        pid = self.cluster.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        family = {}
        for member in [pid, *map(int, children)]:
            with suppress(ProcessLookupError):
                family[member] = os.pidfd_open(member)
        os.kill(pid, signal.SIGKILL)
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            for member, handle in family.items():
                left = deadline - time.monotonic()
                assert select.select([handle], [], [], max(left, 0))[0], "somebody lives on"
                reap(member)
        finally:
            for handle in family.values():
                os.close(handle)


def reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Become the parent of processes whose own has ended, such as a server's.

    Otherwise that is the machine's process 1, and in many a container it leaves the dead lie about:
    pg_ctl would take the killed server for a running one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[Shop]:
    """A server of its own, whose disk is waited for."""
    with adopting_orphans():
        with private_cluster(cluster.binaries, durable=True) as own:
            own.create_database("shop")
            commands.apply(own.dsn("shop"), NAMES)
            yield Shop(Database(own, "shop"))
            last = own.pid
        reap(last)


def again(connection: Connection, unanswered: Said) -> Row:
    """Ask once more what was not answered, as a buyer's browser or a provider does."""
    return call(connection, unanswered.function, **unanswered.arguments)


def test_what_was_answered_is_there_after_the_server_was_killed(shop: Shop) -> None:
    said: list[Said] = []
    for number in range(KILLS):
        latest = shop.rush(number)
        shop.cluster.restart()
        said += latest
        with shop.connected() as connection:
            assert forgotten(connection, said) == []
            assert broken_invariants(connection) == []
            for unanswered in [one for one in latest if one.answer is None]:
                first, second = (again(connection, unanswered) for _ in range(2))
                if unanswered.function in REPEATABLE:
                    assert first.success or first.error_code == "SEATS_UNAVAILABLE"
                    assert first == second, unanswered
            assert broken_invariants(connection) == []
    heard = Counter(one.function for one in said if one.is_done)
    assert len(heard) == 7, heard  # each function was at work
    assert len(said) > KILLS * ANSWERS


FORGERIES: dict[str, Callable[[Row], Row]] = {
    "reserve_seats": lambda answer: answer._replace(reservation_id=uuid.uuid4()),
    "extend_reservation": lambda answer: answer._replace(
        expires_at=answer.expires_at.replace(year=answer.expires_at.year + 1)
    ),
    "release_reservation": lambda answer: answer._replace(reservation_id=uuid.uuid4()),
    "create_ticket_order": lambda answer: answer._replace(total_amount_in_cents=1),
    "fail_payment": lambda answer: answer,
    "confirm_payment": lambda answer: answer._replace(ticket_ids=[uuid.uuid4()]),
    "refund_order": lambda answer: answer._replace(order_id=uuid.uuid4()),
}


@pytest.mark.parametrize("function", FORGERIES)
def test_an_answer_that_the_database_does_not_know_is_found(
    connection: Connection, function: str
) -> None:
    """The control of the test above: what it would see if the server had lost something."""
    buyer = Buyer(make_hall(connection, 30), "anna", threading.Semaphore(0), random.Random(1))
    while function not in {one.function for one in buyer.said if one.is_done}:
        buyer.turn += 1
        buyer.buy_once(f"anna {buyer.turn}")
    assert forgotten(connection, buyer.said) == []

    one = next(one for one in buyer.said if one.function == function and one.is_done)
    assert one.answer is not None
    arguments = one.arguments | {"p_event_id": "never seen"}
    forged = Said(function, arguments, FORGERIES[function](one.answer))
    assert len(forgotten(connection, [*buyer.said, forged])) == 1


def test_a_refusal_that_left_no_line_is_found(connection: Connection) -> None:
    hall = make_hall(connection, 3)
    hall.hold(0)
    arguments = {"p_show_id": hall.show_id, "p_seat_ids": hall.ids(0), "p_session_id": "bert"}
    refused = Said("reserve_seats", arguments, call(connection, "reserve_seats", **arguments))
    assert not refused.is_done
    assert forgotten(connection, [refused]) == []
    unheard = dataclasses.replace(refused, arguments=arguments | {"p_session_id": "cleo"})
    assert len(forgotten(connection, [unheard])) == 1
