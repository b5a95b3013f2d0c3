"""P5: what dashboards cost, against the guide's queries, and against a tenth of the events.

Two databases with the same shows and the same live holds, one with ten times the events of the
other, both rolled up. Views and queries take turns, and so do the databases. The queries have the
best conditions: covering indexes, an up-to-date visibility map, memory, parallel workers, cost
settings of a fast disk, and no other day in the tables.
"""

import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta
from typing import LiteralString

from psycopg import sql

from bench.harness import EMPTY, HERE, Bench, Connection, Ratio, alternate, read
from bench.report import Fact, Result, Row
from ticketdb.errors import ExitStatus, TicketdbError

DAY, TENTH = "bench_day", "bench_tenth_of_a_day"
LOGS = {
    "seat_reservation_audit_log": "events of holds",
    "ticket_order_audit_log": "events of orders",
    "api_request_log": "requests",
}
FUNCTION = "get_reservation_statistics"
DOUBLE_BOOKINGS = "double_booking_attempts"

# No bar against a query of the log, which these views do not read.
OF_THE_PRESENT = {
    "active_reservations": "live holds",
    "cleanup_job_health": "runs of the cleanup",
    "connection_pool": "connections",
    "invariant_violations": "what a job counted",
}
# This view reads the one of the alerts; its other checks do not read events.
SAME_QUERY = {"health": "alerts"}

MINUTES_A_DAY = 24 * 60
WAL_BYTES = 8e9  # max_wal_size


def check_room(bench: Bench) -> None:
    """Raise TicketdbError E_NO_ROOM where the disk has not enough space for both databases."""
    # About 1 kB for each row, as measured, with all indexes; and as much write-ahead log.
    tables = bench.options.events * 1.1 * 1000
    needed = tables + min(tables, WAL_BYTES)
    free = shutil.disk_usage(bench.cluster.directory).free
    if free < needed:
        raise TicketdbError(
            "E_NO_ROOM",
            ExitStatus.USAGE,
            f"{bench.options.events:,} events need {needed / 1e9:.0f} GB, but the disk of"
            f" {bench.cluster.directory} has {free / 1e9:.0f} GB left"
            " - use fewer with --events",
        )


def write_events(bench: Bench, events: dict[str, int], *, first: int, minutes: int) -> None:
    """Append to each database so many events of holds, with their orders and requests, up to now.

    A log is written by one connection, in the order of time; several logs at once.
    """
    until = datetime.now(UTC)
    since = until - timedelta(minutes=minutes)

    def write(database: str, call: LiteralString, *numbers: int) -> None:
        with bench.connect(database) as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute(call, (*numbers, since, until))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        written = []
        for database, number in events.items():
            holds = number * 2 // 5
            orders = max(1, holds // 2)
            for call, *numbers in (
                ("CALL day.write_holds(%s, %s, %s, %s)", first, holds),
                ("CALL day.write_orders(%s, %s, %s, %s)", first, orders),
                ("CALL day.write_requests(%s, %s, %s)", holds),
            ):
                written.append(pool.submit(write, database, call, *numbers))
        try:
            for done in as_completed(written):
                done.result()
        except BaseException:
            # Otherwise the pool would wait for the others, which take minutes.
            pool.shutdown(wait=False, cancel_futures=True)
            for database in events:
                bench.drop(database)
            raise


def rows_of(connection: Connection, log: str) -> int:
    row = connection.execute(
        sql.SQL("SELECT count(*) FROM public.{}").format(sql.Identifier(log))
    ).fetchone()
    assert row is not None
    return int(row[0])


def roll_up(connection: Connection) -> tuple[int, list[float]]:
    """Roll up all there is. Returns the number of events, and the seconds of each call."""
    folded, seconds, is_behind = 0, [], True
    while is_behind:
        start = time.perf_counter()
        logs = connection.execute(
            "SELECT events_folded, is_behind FROM public.roll_up_metrics()"
        ).fetchall()
        seconds.append(time.perf_counter() - start)
        folded += sum(events for events, _ in logs)
        is_behind = any(behind for _, behind in logs)
    (counted,) = connection.execute(read("rolled_up.sql").encode()).fetchone() or (0,)
    if counted != rows_of(connection, "seat_reservation_audit_log"):
        raise RuntimeError(f"the rollup has {counted:,} events of holds, the log others")
    return folded, seconds


def views(connection: Connection) -> list[str]:
    """What is measured: all views of the monitoring schema, and a function."""
    names = connection.execute(
        "SELECT c.relname FROM pg_class AS c WHERE c.relkind IN ('v', 'm')"
        " AND c.relnamespace = 'monitoring'::regnamespace ORDER BY c.relname"
    ).fetchall()
    return [name for (name,) in names] + [FUNCTION]


def query_of(view: str) -> bytes:
    if view == FUNCTION:
        return b"SELECT * FROM public.get_reservation_statistics(NULL, 24)"
    return sql.SQL("SELECT * FROM monitoring.{}").format(sql.Identifier(view)).as_bytes()


def raw_query(view: str) -> tuple[str, bytes] | None:
    """The query that one would use without the view, and its origin, from the first line."""
    name = f"raw_{SAME_QUERY.get(view, view)}.sql"
    if not (HERE / name).exists():
        return None
    title, query = read(name).split("\n", 1)
    return title.removeprefix("-- "), query.encode()


def milliseconds(bench: Bench, connection: Connection, query: bytes) -> Callable[[int], float]:
    """A slice: one execution or, if it takes only milliseconds, the median of several.

    Planning is included, as it is for a dashboard.
    """
    connection.prepare_threshold = None
    enough = bench.options.seconds / 40

    def run(_pair: int) -> float:
        spent: list[float] = []
        while sum(spent) < enough:
            start = time.perf_counter()
            connection.execute(query).fetchall()
            spent.append(time.perf_counter() - start)
        return 1000 * statistics.median(spent)

    return run


def compare(
    what: str,
    against: str,
    ours: tuple[float, ...],
    theirs: tuple[float, ...],
    bar: float | None = None,
    note: str = "",
) -> Row:
    """Two times; ours is to be at most `bar` of theirs."""
    return Row(
        "P5",
        what,
        against,
        "ms",
        statistics.median(ours),
        statistics.median(theirs),
        Ratio.of(ours, theirs),
        bar,
        at_most=True,
        note=note,
    )


def fill(bench: Bench) -> Iterator[Result]:
    """Make both databases, roll them up, and give the queries of the log their indexes."""
    check_room(bench)
    events = {DAY: bench.options.events, TENTH: bench.options.events // 10}
    for database in events:
        bench.prepare(database, EMPTY, "day.sql")
    write_events(bench, events, first=0, minutes=MINUTES_A_DAY)
    for database in events:
        with bench.connect(database) as connection:
            # As autovacuum would have done.
            connection.execute("VACUUM (FREEZE, ANALYZE)")
            folded, seconds = roll_up(connection)
            if database == DAY:
                for log, what in LOGS.items():
                    yield Fact("P5", f"{what}, a day", rows_of(connection, log), "")
                yield Fact("P5", "rolled up a second, all logs", folded / sum(seconds), "/s")
                yield Fact("P5", "the longest call of roll_up_metrics()", max(seconds), "s")
            connection.execute(read("indexes_for_raw.sql").encode())
            connection.execute("VACUUM (FREEZE, ANALYZE)")
            connection.execute("CHECKPOINT")


def dashboards(bench: Bench) -> Iterator[Result]:
    """Fill, compare each view with its query and with a tenth, and again with a minute to fold."""
    yield from fill(bench)
    with (
        bench.connect(DAY) as day,
        bench.connect(TENTH) as tenth,
        bench.connect(DAY) as log,
    ):
        log.execute("SET work_mem = '256MB'")
        log.execute("SET random_page_cost = 1.1")
        yield from rolled_up(bench, day, tenth, log)
        yield from with_index_of_its_own(bench, day, log)
        yield from with_a_minute_to_fold(bench, day, tenth)
    for database in (DAY, TENTH):
        bench.drop(database)


def rolled_up(
    bench: Bench, day: Connection, tenth: Connection, log: Connection
) -> Iterator[Result]:
    """Each view against its query, and against itself in the database with a tenth."""
    sides: dict[tuple[str, str], Callable[[int], float]] = {}
    for view in views(day):
        sides["day", view] = milliseconds(bench, day, query_of(view))
        sides["tenth", view] = milliseconds(bench, tenth, query_of(view))
        if (raw := raw_query(view)) and view not in SAME_QUERY:
            sides["log", view] = milliseconds(bench, log, raw[1])
    measured = dict(zip(sides, alternate(bench.options.pairs, *sides.values()), strict=True))
    for view in views(day):
        query = measured.get(("log", SAME_QUERY.get(view, view)))
        yield against_query(view, measured["day", view], query)
    for view in views(day):
        yield compare(
            view, "a tenth of the events", measured["day", view], measured["tenth", view], 1.2
        )


def against_query(view: str, ours: tuple[float, ...], theirs: tuple[float, ...] | None) -> Result:
    """A comparison, or a fact if there is no query to compare with."""
    raw = raw_query(view)
    if raw is None or theirs is None:
        return Fact(
            "P5", f"{view}, which has no query to compare with", statistics.median(ours), "ms"
        )
    if view in OF_THE_PRESENT:
        note = f"no bar: reads {OF_THE_PRESENT[view]}"
        return compare(view, raw[0], ours, theirs, note=note)
    return compare(view, raw[0], ours, theirs, 1 / 50)


def with_index_of_its_own(bench: Bench, day: Connection, log: Connection) -> Iterator[Row]:
    """The view against a query whose whole answer is in an index made for it."""
    day.execute(read("index_of_double_bookings.sql").encode())
    title, query = raw_query(DOUBLE_BOOKINGS) or ("", b"")
    ours, theirs = alternate(
        bench.options.pairs,
        milliseconds(bench, day, query_of(DOUBLE_BOOKINGS)),
        milliseconds(bench, log, query),
    )
    note = "with an index for it alone"
    yield compare(DOUBLE_BOOKINGS, title, ours, theirs, note=note)


def with_a_minute_to_fold(bench: Bench, day: Connection, tenth: Connection) -> Iterator[Row]:
    """The views just before the next rollup, when they read a minute of events from the log."""
    a_minute = bench.options.events // MINUTES_A_DAY
    events = {DAY: max(a_minute, 5), TENTH: max(a_minute // 10, 5)}
    write_events(bench, events, first=bench.options.events, minutes=1)
    for view in views(day):
        if view not in OF_THE_PRESENT:
            ours, theirs = alternate(
                bench.options.pairs,
                milliseconds(bench, day, query_of(view)),
                milliseconds(bench, tenth, query_of(view)),
            )
            what = f"{view}, a minute not rolled up"
            yield compare(what, "a tenth of the events", ours, theirs)
