"""A shop that polls the seat map, and writers whose transactions end in every way meanwhile."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from tests.support.databases import Database
from tests.support.hall import Hall
from tests.support.queries import Connection, Row, enter, value
from tests.support.waiting import PATIENCE_SECONDS

BY_HAND = (
    "UPDATE show_seats SET price_in_cents = price_in_cents + 1 WHERE id = %s",
    "UPDATE show_seats SET status = 'blocked' WHERE id = %s AND status = 'available'",
    "UPDATE show_seats SET status = 'available' WHERE id = %s AND status = 'blocked'",
)


def seat_map(hall: Hall, since: int | None = None) -> list[Row]:
    return hall.connection.execute(
        "SELECT * FROM get_seat_map(%s, %s)", [hall.show_id, since]
    ).fetchall()


def without_version(rows: list[Row]) -> dict[UUID, tuple[Any, ...]]:
    """What each seat looks like; the version is the last column."""
    return {row.seat_id: tuple(row[:-1]) for row in rows}


@dataclass
class Poller:
    """A copy of the seat map that is kept by what has changed since the last answer."""

    hall: Hall
    # How much is added to each version: the control of the tests.
    flaw: int = 0
    version: int | None = None
    copy: dict[UUID, tuple[Any, ...]] = field(default_factory=dict)
    # How many rows each answer had.
    sizes: list[int] = field(default_factory=list)

    def poll(self) -> dict[UUID, tuple[Any, ...]]:
        """Ask once. Returns the seats that look different in the whole map of the same snapshot."""
        connection = self.hall.connection
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            changed = seat_map(self.hall, self.version)
            whole = without_version(seat_map(self.hall))
        self.sizes.append(len(changed))
        self.copy |= without_version(changed)
        if changed:
            (version,) = {row.version for row in changed}
            self.version = version + self.flaw
        return {seat: whole[seat] for seat in whole if self.copy.get(seat) != whole[seat]}


@contextmanager
def session_in(database: Database) -> Iterator[Connection]:
    opened = psycopg.connect(database.dsn, autocommit=True, row_factory=namedtuple_row)
    with closing(enter(opened)) as session:
        yield session


@dataclass
class Storm:
    """Writers beside pollers. A writer may wait for the next poll before its transaction ends."""

    hall: Hall
    database: Database
    polled: threading.Condition = field(default_factory=threading.Condition)
    polls: int = 0
    is_over: bool = False
    errors: list[str] = field(default_factory=list)

    def write(self, number: int, transactions: int) -> None:
        chance = random.Random(number)
        with session_in(self.database) as session:
            hall = replace(self.hall, connection=session)
            for nth in range(transactions):
                try:
                    self.one_transaction(hall, chance, f"buyer {number} {nth}")
                except (
                    psycopg.errors.DeadlockDetected,
                    psycopg.errors.LockNotAvailable,
                    psycopg.errors.SerializationFailure,
                ) as error:
                    self.errors.append(type(error).__name__)

    def one_transaction(self, hall: Hall, chance: random.Random, session: str) -> None:
        with hall.connection.transaction() as whole:
            for step in range(chance.randint(1, 3)):
                with hall.connection.transaction() as part:
                    self.change(hall, chance, f"{session} {step}")
                    if chance.random() < 0.2:
                        raise psycopg.Rollback(part)
            if chance.random() < 0.3:
                self.await_polls(2)
            if chance.random() < 0.2:
                raise psycopg.Rollback(whole)

    def change(self, hall: Hall, chance: random.Random, session: str) -> None:
        seats = chance.sample(range(len(hall.seats)), 2)
        if chance.random() < 0.3:
            hall.connection.execute(
                chance.choice(BY_HAND).encode(), [hall.seats[chance.choice(seats)]]
            )
            return
        hold = hall.reserve(*seats, session=session)
        if not hold.success:
            return
        match chance.randint(0, 3):
            case 0:
                hall.release(hold, session=session)
            case 1:
                hall.pay(hall.order(hold, session), event=f"evt_{session}")
            case 2:
                hall.let_run_out(hold)

    def await_polls(self, count: int) -> None:
        with self.polled:
            until = self.polls + count
            self.polled.wait_for(lambda: self.is_over or self.polls >= until, PATIENCE_SECONDS)

    def run(
        self, pollers: list[Poller], writers: int, transactions: int
    ) -> list[list[dict[UUID, tuple[Any, ...]]]]:
        """Poll until all have written. Returns what each poller has seen differ, in each poll."""
        seen: list[list[dict[UUID, tuple[Any, ...]]]] = [[] for _ in pollers]
        with ThreadPoolExecutor(writers) as threads:
            writing = [threads.submit(self.write, n, transactions) for n in range(writers)]
            try:
                while not all(writer.done() for writer in writing):
                    for poller, differences in zip(pollers, seen, strict=True):
                        differences.append(poller.poll())
                    with self.polled:
                        self.polls += 1
                        self.polled.notify_all()
            finally:
                with self.polled:
                    self.is_over = True
                    self.polled.notify_all()
            for writer in writing:
                writer.result()
        for poller, differences in zip(pollers, seen, strict=True):
            differences.append(poller.poll())
        return seen


def newest(connection: Connection) -> int:
    """The number of the transaction that would be next."""
    last: int = value(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    return last
