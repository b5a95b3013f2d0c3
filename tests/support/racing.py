"""Many sessions at once, let go together by the server.

A test that sends calls one after another and hopes that they meet proves little: the first is often
done before the last is sent. Here every call waits at a gate, an advisory lock of the database, and
runs when all have arrived.
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from tests.support.databases import Database
from tests.support.names import NAMES
from tests.support.queries import Row
from tests.support.waiting import PATIENCE_SECONDS, await_true

GATE = 1  # the key of the advisory lock; its scope is the database

AsyncConnection = psycopg.AsyncConnection[Any]


@dataclass(frozen=True)
class Call:
    """A function to call with named arguments, `delay` seconds after the gate opens."""

    function: str
    arguments: dict[str, Any]
    delay: float = 0.0

    def statement(self) -> sql.Composed:
        return sql.SQL("SELECT * FROM {}({})").format(
            sql.Identifier(NAMES.schema, self.function),
            sql.SQL(", ").join(
                sql.SQL("{} => {}").format(sql.Identifier(name), sql.Literal(value))
                for name, value in self.arguments.items()
            ),
        )


@dataclass(frozen=True)
class Racers:
    """Open sessions, and the one that keeps the gate."""

    runner: asyncio.Runner
    gatekeeper: AsyncConnection
    sessions: tuple[AsyncConnection, ...]
    pids: frozenset[int]

    def race(self, calls: Sequence[Call]) -> list[Row]:
        """Make all calls at the same moment, each in a session of its own.

        Returns the answer of each, which must be one row. Raises what the first that failed raised,
        when all are done.
        """
        return self.runner.run(self._race(calls))

    def storm(self, work: Callable[[int, AsyncConnection], Coroutine[Any, Any, None]]) -> None:
        """Let every session do its work, which gets its number, until all are done."""

        async def everybody() -> None:
            async with asyncio.TaskGroup() as group:
                for number, session in enumerate(self.sessions):
                    group.create_task(work(number, session))

        self.runner.run(everybody())

    async def _race(self, calls: Sequence[Call]) -> list[Row]:
        assert len(calls) <= len(self.sessions)
        await self.gatekeeper.execute("SELECT pg_advisory_lock(%s)", [GATE])
        running = [
            asyncio.create_task(_call_at_gate(session, call))
            for session, call in zip(self.sessions, calls, strict=False)
        ]
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while await self._waiting() < len(calls):
                assert time.monotonic() < deadline, "a session does not reach the gate"
        finally:
            await self.gatekeeper.execute("SELECT pg_advisory_unlock(%s)", [GATE])
            answers = await asyncio.gather(*running, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def _waiting(self) -> int:
        cursor = await self.gatekeeper.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND (classid, objid, objsubid) = (0, %s, 1)",
            [GATE],
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


async def _call_at_gate(session: AsyncConnection, call: Call) -> Row:
    # Sent as one message, which is one transaction: nothing of the client's comes between.
    parts = [sql.SQL("SELECT pg_advisory_xact_lock_shared({})").format(GATE), call.statement()]
    if call.delay:
        parts.insert(1, sql.SQL("SELECT pg_sleep({})").format(call.delay))
    cursor = await session.execute(sql.SQL(";").join(parts))
    while cursor.nextset():
        pass
    (answer,) = await cursor.fetchall()
    return answer


@contextmanager
def racers(database: Database, count: int) -> Iterator[Racers]:
    """Open `count` sessions, and close them when the block is left."""
    with asyncio.Runner() as runner:

        async def open_session() -> AsyncConnection:
            return await psycopg.AsyncConnection.connect(
                database.dsn,
                autocommit=True,
                row_factory=namedtuple_row,
            )

        async def open_all() -> list[AsyncConnection]:
            return [await open_session() for _ in range(count + 1)]

        async def close_all() -> None:
            for session in opened:
                await session.close()

        opened = runner.run(open_all())
        try:
            gatekeeper, *sessions = opened
            pids = frozenset(session.info.backend_pid for session in sessions)
            yield Racers(runner, gatekeeper, tuple(sessions), pids)
        finally:
            runner.run(close_all())


def deadlocks(database: Database, pids: Set[int]) -> tuple[int, int]:
    """How many deadlocks the database counts, and how many of these processes the log names.

    A process hands in its count when it ends, so this waits until they have. The log is the
    server's and names no database: the process identifies it.
    """
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        await_true(
            connection,
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY(%s)",
            [list(pids)],
        )
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
    log = database.cluster.log_file.read_text(errors="replace")
    victims = re.findall(r"\[(\d+)\] ERROR: +deadlock detected", log)
    return row[0], sum(int(victim) in pids for victim in victims)
