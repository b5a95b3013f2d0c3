"""What the dashboards cost: as much on a day of 200,000 events as on one of 20,000.

Counted, not timed: rows that are read from the logs, and buffers. Two days are made, alike but for
ten times as much going on in each minute; the rollups then have the same rows. Everything is
measured with statistics of three kinds, because plans depend on them and the answer must not.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.databases import Connect, Database, throw_away_database
from tests.support.guide import BLOCKS, GUIDE
from tests.support.hall import make_hall
from tests.support.happenings import Events, Holds, write
from tests.support.logs import LOGS
from tests.support.names import OURS
from tests.support.plans import STATISTICS, explained, rows_looked_at
from tests.support.queries import Connection, Row, enter, token_of, value, views
from tests.support.rollups import roll_up_all
from ticketdb.private_server import Cluster

# The minutes of a day in which something happens, and what: per minute 20 lines, times TIMES.
MINUTES = 1000
TIMES = 10
SHOWS = 8

LOG_LINES = """
    INSERT INTO seat_reservation_audit_log
        (event_type, error_message, hold_seconds, show_id, reservation_id, created_at)
    SELECT
        (ARRAY['created', 'completed', 'created', 'expired', 'extended', 'created', 'failed',
            'created', 'released', 'created'])[1 + n %% 10],
        CASE WHEN n %% 10 = 6 THEN 'Reason ' || n END,
        CASE WHEN n %% 10 IN (1, 3, 8) THEN 300 + n END,
        ('00000000-0000-0000-0000-00000000000' || n %% %(shows)s)::uuid,
        gen_random_uuid(),
        date_trunc('minute', now()) - make_interval(mins => minute, secs => -n)
    FROM generate_series(%(minutes)s, 1, -1) AS minute
    CROSS JOIN generate_series(1, %(times)s) AS times
    CROSS JOIN generate_series(0, 19) AS n;

    INSERT INTO ticket_order_audit_log (order_id, show_id, old_status, new_status, amount_in_cents,
        currency, seat_count, order_created_at, created_at)
    SELECT gen_random_uuid(), gen_random_uuid(), step.old, step.new, 1000,
        (ARRAY['EUR', 'USD'])[1 + n], 2, at, at
    FROM generate_series(%(minutes)s, 1, -1) AS minute
    CROSS JOIN generate_series(1, %(times)s) AS times
    CROSS JOIN generate_series(0, 1) AS n
    CROSS JOIN (VALUES (NULL, 'pending'), ('pending', 'paid')) AS step (old, new)
    CROSS JOIN LATERAL (SELECT date_trunc('minute', now()) - make_interval(mins => minute) AS at)
        AS moment;

    INSERT INTO api_request_log (endpoint, method, status_code, duration_ms, created_at)
    SELECT '/endpoint/' || n, 'GET', 200 + n * 100, 10 * n,
        date_trunc('minute', now()) - make_interval(mins => minute)
    FROM generate_series(%(minutes)s, 1, -1) AS minute
    CROSS JOIN generate_series(1, %(times)s) AS times
    CROSS JOIN generate_series(0, 3) AS n;
"""
# Who held a seat before, and two weeks of a cleanup that runs every minute. The same on both days.
PAST = f"""
    WITH show AS MATERIALIZED (SELECT uuid_v7() AS id),
    opened AS (
        INSERT INTO shows (id, name, starts_at, currency)
        SELECT id, 'Hamlet', now(), 'EUR' FROM show
    ),
    pair AS MATERIALIZED (
        SELECT show.id AS show_id, uuid_v7() AS hold_id, uuid_v7() AS seat_id, n
        FROM show, generate_series(1, 2000) AS n
    ),
    seats AS (
        INSERT INTO show_seats (id, show_id, section, row_label, seat_number, price_in_cents)
        SELECT seat_id, show_id, 'stalls', 'A', n::text, 1000 FROM pair
    ),
    holds AS (
        INSERT INTO seat_reservations
            (id, show_id, reservation_token, session_id, status, expires_at, ended_at)
        SELECT hold_id, show_id, {token_of("show_id")}, 'holder ' || n, 'expired', now(), now()
        FROM pair
    )
    INSERT INTO reservation_seats
        (reservation_id, show_seat_id, show_id, price_in_cents, currency, released_at)
    SELECT hold_id, seat_id, show_id, 1000, 'EUR', now() FROM pair;

    INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)
    SELECT 'external', at, at + interval '1 second', 'succeeded'
    FROM generate_series(now() - interval '14 days', now(), interval '1 minute') AS run (at);
"""
LIVE_HOLDS = 200

# Buffers that a view may take. Most of them read the rows of a day's minutes, 1,440 at most, once
# for each window. Those in the list also look at each live hold and its seats, which takes three or
# four buffers, and at the runs of the cleanup.
MOST_BUFFERS = 300
MORE_BUFFERS = {
    "active_reservations": 5 * LIVE_HOLDS,
    "realtime_dashboard": 5 * LIVE_HOLDS + 400,
    "alerts": 5 * LIVE_HOLDS + 400,
    "health": 2 * (5 * LIVE_HOLDS + 400) + 600,
}
GROWTH = 1.2
# What a session reads of the catalog, now and then, to find out what a name means.
CATALOG_BUFFERS = 20

STATISTICS_OF = {
    "all shows, a day": "SELECT * FROM get_reservation_statistics()",
    "all shows, a year": "SELECT * FROM get_reservation_statistics(NULL, 8760)",
    "a show, a day": f"SELECT * FROM get_reservation_statistics('{UUID(int=3)}')",
    "the runs": "SELECT * FROM reservation_cleanup_job_status",
}


def make_day(database: Database, times: int, statistics: str) -> None:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        enter(connection)
        tables: list[Row] = connection.execute(
            "SELECT oid::regclass::text AS name FROM pg_class"
            " WHERE relnamespace = ANY(%s::regnamespace[]) AND relkind = 'r'",
            [OURS],
        ).fetchall()
        for table in tables:
            # Or autovacuum would bring statistics in the middle of a test.
            connection.execute(f"ALTER TABLE {table.name} SET (autovacuum_enabled = off)".encode())
        if statistics == "of the empty tables":
            connection.execute("ANALYZE")
        # On the first of a month the day before has its partition, as in a house that is older.
        connection.execute(
            "SELECT create_log_partition(relation, (date_trunc('month', now() AT TIME ZONE 'UTC')"
            " - interval '1 month')::date) FROM partitioned_logs()"
        )
        parameters = {"minutes": MINUTES, "times": times, "shows": SHOWS}
        for statement in [*LOG_LINES.split(";")[:-1], *PAST.split(";")[:-1]]:
            connection.execute(statement.encode(), parameters)
        write(connection, Holds(LIVE_HOLDS))
        roll_up_all(connection)
        if statistics == "up to date":
            connection.execute("VACUUM (ANALYZE)")


@dataclass(frozen=True)
class Day:
    """A database in which a day has been made, with so many times the events of an ordinary one."""

    database: Database
    times: int

    @contextmanager
    def session(self) -> Iterator[Connection]:
        with psycopg.connect(self.database.dsn, autocommit=True) as connection:
            yield enter(connection)


@dataclass(frozen=True)
class Days:
    ordinary: Day
    busy: Day


@pytest.fixture(scope="module", params=STATISTICS)
def days(
    request: pytest.FixtureRequest, cluster: Cluster, template_database: str
) -> Iterator[Days]:
    with ExitStack() as stack:
        made = []
        for times in (1, TIMES):
            database = stack.enter_context(
                contextmanager(throw_away_database)(cluster, template_database)
            )
            make_day(database, times, request.param)
            made.append(Day(database, times))
        yield Days(*made)


@dataclass(frozen=True)
class Cost:
    """What a statement took, with all that was run within it."""

    buffers: int
    from_logs: int  # rows that were looked at in the logs
    scanned_logs: frozenset[str]  # partitions that were read from one end to the other
    compiled: int  # statements that were compiled before they ran
    work: int  # rows that passed through all steps of all plans


def is_of_a_log(node: dict[str, Any]) -> bool:
    return str(node.get("Relation Name")).startswith(tuple(LOGS))


def cost(connection: Connection, statement: str) -> Cost:
    compiled = 0

    def count(notice: psycopg.errors.Diagnostic) -> None:
        nonlocal compiled
        compiled += '"JIT":' in (notice.message_primary or "")

    connection.execute(statement.encode())  # the first call of a session makes plans
    connection.add_notice_handler(count)
    with explained(connection) as plans:
        connection.execute(statement.encode())
    connection.remove_notice_handler(count)
    whole = plans[-1]
    assert whole.query == statement
    nodes = [node for plan in plans for node in plan.nodes]
    return Cost(
        buffers=whole.buffers,
        from_logs=sum(rows_looked_at(node) for node in nodes if is_of_a_log(node)),
        scanned_logs=frozenset(
            node["Relation Name"]
            for node in nodes
            if is_of_a_log(node) and node["Node Type"] == "Seq Scan"
        ),
        compiled=compiled,
        work=sum(rows_looked_at(node) for node in nodes),
    )


def questions(connection: Connection) -> dict[str, str]:
    """Everything that dashboards ask, by name."""
    asked = {view: f"SELECT * FROM {view}" for view in views(connection)}
    return asked | STATISTICS_OF


def costs(day: Day) -> dict[str, Cost]:
    with day.session() as connection:
        return {name: cost(connection, text) for name, text in questions(connection).items()}


def most_buffers(name: str) -> int:
    return MORE_BUFFERS.get(name, MOST_BUFFERS)


def test_there_are_as_many_events_as_it_takes(days: Days) -> None:
    for day in (days.ordinary, days.busy):
        with day.session() as connection:
            events = value(connection, "SELECT count(*) FROM seat_reservation_audit_log")
            assert events >= 20 * MINUTES * day.times
            assert value(connection, "SELECT sum(created) FROM reservation_metrics('-infinity')")
    assert 20 * MINUTES * days.busy.times == 200_000


def test_no_view_reads_a_line_of_the_logs_once_they_are_rolled_up(days: Days) -> None:
    found = costs(days.busy)
    assert {name: one.from_logs for name, one in found.items() if one.from_logs} == {}
    # Whether the default partitions have any row is seen from their first.
    scanned = {name: one.scanned_logs for name, one in found.items() if one.scanned_logs}
    assert scanned in ({}, {"health": frozenset(f"{log}_default" for log in LOGS)})


def test_no_view_is_compiled(days: Days) -> None:
    """That takes longer than any of them."""
    assert {name for name, one in costs(days.busy).items() if one.compiled} == set()


def test_views_take_a_bounded_number_of_buffers(days: Days) -> None:
    found = costs(days.busy)
    assert set(MORE_BUFFERS) <= set(found)
    too_many = {
        name: one.buffers for name, one in found.items() if one.buffers > most_buffers(name)
    }
    assert too_many == {}


def test_ten_times_the_events_take_no_more_buffers(days: Days) -> None:
    few, many = costs(days.ordinary), costs(days.busy)
    grown = {
        name: (few[name].buffers, many[name].buffers)
        for name in few
        if many[name].buffers > GROWTH * few[name].buffers + CATALOG_BUFFERS
    }
    assert grown == {}


def test_what_is_not_rolled_up_yet_costs_what_it_is_and_no_more(days: Days) -> None:
    before = costs(days.busy)
    with days.busy.session() as connection:
        write(
            connection,
            *(Events(kind, 200) for kind in ("created", "completed", "expired", "extended")),
            Events("failed", 200, message="Reason 6"),
        )
        after = costs(days.busy)
        for name, one in after.items():
            # Each window that a view has reads the tail once more.
            assert one.from_logs <= 10 * 1000, name
            more = CATALOG_BUFFERS + 1.2 * one.from_logs
            assert one.buffers <= before[name].buffers + more, name
            assert not one.compiled
        assert after["reservation_hold_time"].from_logs == 1000
        assert after["revenue_today"].from_logs == 0
        roll_up_all(connection)
    again = costs(days.busy)
    assert {name for name, one in again.items() if one.from_logs} == set()
    assert {
        name: one.buffers for name, one in again.items() if one.buffers > most_buffers(name)
    } == {}


# Controls


@pytest.mark.skipif(not BLOCKS, reason=f"there is no {GUIDE}")
@pytest.mark.parametrize(
    "heading",
    ["2-double-booking-attempts", "hourly-metrics-for-trending", "top-errors"],
)
def test_a_query_of_the_guide_exceeds_every_bound(days: Days, heading: str) -> None:
    (query,) = (block.query for block in BLOCKS if block.id == heading)
    with days.ordinary.session() as connection:
        few = cost(connection, query)
    with days.busy.session() as connection:
        many = cost(connection, query)
    assert many.from_logs >= 200_000
    assert many.buffers > 10 * MOST_BUFFERS
    assert many.buffers > 5 * few.buffers
    assert many.scanned_logs


def test_what_is_compiled_would_be_seen(days: Days) -> None:
    with days.ordinary.session() as connection:
        if not value(connection, "SELECT pg_jit_available()"):
            pytest.skip("this server has no compiler")
        connection.execute("SET jit_above_cost = 0")
        assert cost(connection, "SELECT count(*) FROM api_request_log").compiled == 1


# The invariants


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("function", ["check_invariants", "current_violations"])
def test_the_invariants_are_checked_in_a_few_passes_whatever_the_statistics(
    database: Database, connect: Connect, function: str, statistics: str
) -> None:
    """Every ten minutes, so also in the middle of a sale that the statistics do not know of yet."""
    connection = enter(connect(database))
    holds, sales = 150, 50

    def sell_out() -> None:
        write(connection, Holds(holds))
        hall = make_hall(connection, seats=2 * sales)
        for n in range(sales):
            hall.sell(2 * n, 2 * n + 1, session=f"buyer {n}")

    if statistics == "of the empty tables":
        # Of tables that were used and are empty again the planner expects least.
        with connection.transaction(force_rollback=True):
            sell_out()
        connection.execute("ANALYZE")
    sell_out()
    if statistics == "up to date":
        connection.execute("ANALYZE")
    # Ten invariants, each of which looks at two or three tables.
    assert cost(connection, f"SELECT * FROM {function}()").work < 50 * (holds + 2 * sales)
