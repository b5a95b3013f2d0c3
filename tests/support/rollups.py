"""What tests of the rollups do with them.

What may be rolled up is a matter of the whole server, so tests in which it matters how much wait
until no transaction elsewhere holds it up.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from tests.support.databases import Connect
from tests.support.logs import LOGS, RESERVATION_LOG
from tests.support.metrics import METRICS, assert_equal, of_the_logs, of_the_views, statistics
from tests.support.queries import Connection, call, enter, value
from tests.support.waiting import PATIENCE_SECONDS, await_true

SHOWS = (UUID(int=1), UUID(int=2))
QUESTIONS = METRICS | {"get_reservation_statistics": statistics(SHOWS, (1, 24, 8760))}


def log_holds(connection: Connection, count: int = 1, at: str = "now()") -> None:
    """Write so many creations of holds, in one statement."""
    connection.execute(
        f"INSERT INTO {RESERVATION_LOG} (event_type, show_id, reservation_id, created_at)"
        f" SELECT 'created', %s, gen_random_uuid(), {at} FROM generate_series(1, %s)",
        [SHOWS[0], count],
    )


def created(connection: Connection) -> int:
    """How many creations of holds are counted, of the last year and the future."""
    return int(call(connection, "get_reservation_statistics", p_hours=8760).total_created)


def await_final(connection: Connection) -> None:
    """Wait until no transaction that is older than the last line holds up the rollup."""
    newest = " UNION ALL ".join(
        f"SELECT max(xact_id::text::bigint) FROM {log} WHERE id >"
        f" (SELECT restored_id FROM metric_watermarks WHERE log = '{log}')"
        for log in LOGS
    )
    await_true(
        connection,
        f"SELECT max(max) < pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM ({newest})"
        " AS newest",
    )


def roll_up(connection: Connection, max_events: int = 500_000) -> dict[str, tuple[int, bool]]:
    """Run it once. Of each log that was rolled up: how many lines, and whether there are more."""
    rows = connection.execute("SELECT * FROM roll_up_metrics(%s)", [max_events]).fetchall()
    return {row.log: (row.events_folded, row.is_behind) for row in rows}


def purge_history(connection: Connection) -> dict[str, int]:
    """Run it. What was removed, and how many rows of it."""
    return dict(connection.execute("SELECT object, rows_removed FROM purge_history()").fetchall())


def assert_exact(connection: Connection) -> None:
    """The views say what the logs say, in one snapshot."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SET LOCAL jit = off")
        assert_equal(of_the_logs(connection, QUESTIONS), of_the_views(connection, QUESTIONS))


def nothing_done() -> dict[str, tuple[int, bool]]:
    return dict.fromkeys(LOGS, (0, False))


@contextmanager
def held_up(
    owner: Connection, connect: Connect, function: str, by: str
) -> Iterator[tuple[Connection, Future[Any]]]:
    """A session in the middle of a function, waiting for a lock that the statement `by` takes.

    The lock is let go when the block is left.
    """
    session, blocker = enter(connect()), enter(connect())
    with ThreadPoolExecutor() as pool, blocker.transaction(force_rollback=True):
        blocker.execute(by.encode())
        running = pool.submit(session.execute, f"SELECT {function}".encode())
        await_true(
            owner,
            "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s",
            [session.info.backend_pid],
        )
        yield session, running


def lines_not_rolled_up(connection: Connection) -> int:
    """Rows of the logs that readers get from there, and not from the rollups."""
    counts = " + ".join(
        f"(SELECT count(*) FROM {log} AS event, metric_watermarks AS mark WHERE mark.log = '{log}'"
        " AND event.xact_id >= mark.watermark AND event.id > mark.restored_id)"
        for log in LOGS
    )
    return int(value(connection, f"SELECT {counts}"))


def roll_up_all(connection: Connection) -> None:
    """Roll up until nothing is left of what was committed.

    A transaction that is still open, in whatever database of the server, holds that up: the other
    tests have some, for a moment each.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    connection.execute("SELECT roll_up_metrics()")
    while lines_not_rolled_up(connection):
        assert time.monotonic() < deadline, "some transaction does not end"
        time.sleep(0.02)
        connection.execute("SELECT roll_up_metrics()")
