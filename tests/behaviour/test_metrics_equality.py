"""Every view of the metrics says what a plain query of the raw log says, whatever has happened.

Histories are drawn: who writes what with which time, in which transaction, what is taken back, who
commits last, and when the logs are rolled up in between. At each stage the views are compared with
the queries of `metrics.py`: before a rollup, after a part of it, after all of it, and when the raw
rows are gone.

Lines are written into the logs directly, since those who sell cannot choose the time. All examples
are played in one database. Its logs are emptied in between, for which their triggers had to go.

How often each thing happened is counted: a test that has not seen them all fails.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.conftest import (
    LOGS,
    NIL,
    ORDER_LOG,
    RESERVATION_LOG,
    Connection,
    call,
    enter,
)
from tests.behaviour.metrics import (
    METRICS,
    Answers,
    DisagreementError,
    assert_equal,
    differences,
    of_the_logs,
    of_the_views,
    statistics,
)
from tests.behaviour.monitoring import lines_not_rolled_up, roll_up_all
from tests.behaviour.sabotage import Edit
from tests.conftest import NAMES, OURS, Database, quoted

# Views that do not read the logs.
OTHERS = {
    "active_reservations",
    "cleanup_job_health",
    "connection_pool",
    "health",
    "invariant_violations",
    "lock_waits",
    "refunds_due",
}

STAGES = 2
# After ten examples Hypothesis begins to vary those it has, and most of what follows is nearly the
# same again. Ten at a time are all different.
EXAMPLES = 10
EXAMPLES_OF_A_STAGE = 150
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,  # time belongs to the server
    # Hypothesis draws the same examples each time where CI is set.
    derandomize=False,
    database=None,  # time has gone on when an example is played again
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)

ROLLUPS = (
    "reservation_minutes",
    "reservation_show_minutes",
    "order_minutes",
    "api_request_minutes",
    "api_duration_minutes",
    "error_minutes",
    "error_messages",
    "extension_quarters",
    "extended_reservations",
)
WRITERS = 3
SHOWS = (UUID(int=1), UUID(int=2), NIL)
CURRENCIES = ("EUR", "JPY", "USD")
RESERVATIONS = tuple(UUID(int=100 + n) for n in range(2))
HOURS = (1, 24, 8760)
QUESTIONS = METRICS | {"get_reservation_statistics": statistics((SHOWS[0], NIL), HOURS)}

# Offsets in which quarters and hours of the day differ from those of UTC.
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Niue")


# --- what is written -------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """A time told by what it is near to, since windows move on while an example is played."""

    near: str
    by: timedelta

    def at(self, edges: dict[str, datetime]) -> datetime:
        return edges[self.near] + self.by


@dataclass(frozen=True)
class Event:
    """Lines of seat_reservation_audit_log."""

    event_type: str
    moment: Moment
    show: UUID
    reservation: UUID
    error_message: str | None
    hold_seconds: float | None
    times: int
    error_code: str | None = None
    function: str | None = None


@dataclass(frozen=True)
class Request:
    """Lines of api_request_log."""

    moment: Moment
    endpoint: str
    status_code: int
    duration_ms: float
    times: int


@dataclass(frozen=True)
class Turn:
    """A line of ticket_order_audit_log: an order is made, or one of those that are goes on."""

    moment: Moment
    show: UUID
    is_new: bool = True
    which: int = 0
    way: int = 0
    is_refused: bool = False


Line = Event | Request | Turn


@dataclass
class Order:
    """What the log will say of an order, and whose transaction has it locked."""

    id: UUID
    created_at: datetime
    show: UUID
    currency: str
    amount: int
    seats: int
    status: str | None = None
    committed: str | None = None
    writer: int | None = None
    made_by: int | None = None


TURNS: dict[str | None, tuple[str, ...]] = {
    None: ("pending",),
    "pending": ("paid", "failed", "cancelled"),
    "failed": ("paid", "cancelled"),
    "cancelled": ("refund_due",),
    "refund_due": ("refunded",),
    "paid": ("refunded",),
    "refunded": (),
}


# --- what happens ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Write:
    """Into the writer's transaction, which begins with it."""

    writer: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Undo:
    """Written, and taken back to a savepoint. The transaction goes on."""

    writer: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class End:
    writer: int
    commit: bool


@dataclass(frozen=True)
class RollUp:
    max_events: int


@dataclass(frozen=True)
class Compare:
    pass


Step = Write | Undo | End | RollUp | Compare


@dataclass(frozen=True)
class History:
    steps: tuple[Step, ...] = ()
    house_zone: str = "UTC"
    reader_zone: str = "UTC"
    max_events: int = 3


# --- strategies ------------------------------------------------------------------------------

MICROSECOND = timedelta(microseconds=1)
EDGES = ("now", "5m", "15m", "1h", "5h", "24h", "168h", "this hour", "today", "yesterday", "6 days")
# On an edge and at either side of it, a minute's and a quarter's edge further, and anywhere.
STEPS_ASIDE = (
    timedelta(0),
    -MICROSECOND,
    MICROSECOND,
    timedelta(minutes=1) - MICROSECOND,
    timedelta(minutes=15),
    timedelta(minutes=15) - MICROSECOND,
    timedelta(minutes=-1),
)
near_edges = st.builds(
    Moment,
    st.sampled_from(("now", *EDGES)),
    st.one_of(
        st.sampled_from(STEPS_ASIDE),
        st.integers(-7_200_000_000, 7_200_000_000).map(lambda n: timedelta(microseconds=n)),
    ),
)
far_away = st.builds(
    Moment, st.just("now"), st.integers(-400, 3).map(lambda days: timedelta(days=days))
)
moments = st.one_of(near_edges, near_edges, near_edges, near_edges, far_away)
times = st.sampled_from((1, 1, 1, 1, 2, 40))
messages = st.sampled_from(
    (
        None,
        "One or more seats were taken by another customer",
        "Database constraint prevented double-booking: reservation_seats_no_double_booking",
        "a constraint, taken by another",
        "Taken by Another, a Constraint",
        "",
        "(none)",
        "(no message)",
        "x" * 10_000,
        *(f"error {n}" for n in range(12)),
    )
)
lengths = st.sampled_from(
    (None, None, 0.0, 0.000001, 61.5, 600.0, 3599.999999, -5.0, float("nan"), float("inf"), 1e30)
) | st.floats(0, 3600, allow_subnormal=False)
events = st.builds(
    Event,
    st.sampled_from(
        ("created", "completed", "expired", "released", "extended", "extended", "failed", "failed")
    ),
    moments,
    st.sampled_from(SHOWS),
    st.sampled_from(RESERVATIONS),
    messages,
    lengths,
    times,
    st.sampled_from((None, None, "SEATS_UNAVAILABLE", "BUSY", "INTERNAL_ERROR")),
    st.sampled_from((None, "reserve_seats", "extend_reservation", "release_reservation")),
)
requests = st.builds(
    Request,
    moments,
    st.sampled_from(("/seats", "/orders", "(none)")),
    st.sampled_from((200, 404, 499, 500, 503)),
    st.sampled_from((0.0, 0.0001, 0.001, 1.0, 1.04, 1.04**57, 250.0, 86_400_000.0))
    | st.floats(0.001, 10_000, allow_subnormal=False),
    times,
)
turns = st.builds(
    Turn,
    moments,
    st.sampled_from(SHOWS),
    st.sampled_from((False, False, False, True)),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from((False,) * 7 + (True,)),
)
lines = st.one_of(events, events, turns, turns, requests)
writers = st.integers(0, WRITERS - 1)
bounds = st.sampled_from((1, 2, 5, 40, 500_000))
# A writer keeps its transaction open for a while, so that others overtake it.
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(Write, writers, st.lists(lines, min_size=1, max_size=6).map(tuple)),
    st.builds(Write, writers, st.lists(lines, min_size=1, max_size=6).map(tuple)),
    st.builds(Undo, writers, st.lists(events | requests, min_size=1, max_size=2).map(tuple)),
    st.builds(End, writers, st.sampled_from((True, True, True, False))),
    st.builds(RollUp, bounds),
    st.builds(RollUp, bounds),
    st.just(Compare()),
)
histories = st.builds(
    History,
    st.lists(steps, min_size=8, max_size=18).map(tuple),
    st.sampled_from(ZONES),
    st.sampled_from(ZONES),
    bounds,
)


# --- playing it ------------------------------------------------------------------------------


@dataclass
class Stage:
    """A database, those who write in it, and one who asks."""

    reader: Connection
    writers: tuple[Connection, ...]
    tally: Counter[str] = field(default_factory=Counter)
    orders: list[Order] = field(default_factory=list)
    edges: dict[str, datetime] = field(default_factory=dict)
    # Writers whose transaction is open, in the order in which it was begun, and those of them that
    # a later one has overtaken.
    open: list[int] = field(default_factory=list)
    overtaken: set[int] = field(default_factory=set)

    def play(self, history: History) -> None:
        self.begin(history)
        for step in history.steps:
            match step:
                case Write(writer, lines):
                    self.write(writer, lines)
                case Undo(writer, lines):
                    self.writers[writer].execute("SELECT")  # the savepoint is not all there is
                    with self.writers[writer].transaction(force_rollback=True):
                        self.write(writer, lines)
                    self.tally["taken back to a savepoint"] += 1
                case End(writer, commit):
                    self.end(writer, commit=commit)
                case RollUp(max_events):
                    self.roll_up(max_events)
                case Compare():
                    with self.reader.transaction():
                        self.compare(history, "in the midst of it")
        for writer in self.open[:]:
            self.end(writer, commit=True)
        self.compare_at_each_stage(history)

    def begin(self, history: History) -> None:
        for number in self.open[:]:  # left by an example that failed
            self.end(number, commit=False)
        self.orders.clear()
        self.reader.execute(
            ";".join(f"DELETE FROM {table}" for table in (*LOGS, *ROLLUPS)).encode()
        )
        self.reader.execute(
            "UPDATE ticketing_settings SET business_time_zone = %s", [history.house_zone]
        )
        (edges,) = self.reader.execute(
            """
            SELECT date_trunc('minute', now()) AS minute,
                date_trunc('hour', now(), business_time_zone) AS hour,
                date_trunc('day', now(), business_time_zone) AS day
            FROM ticketing_settings
            """
        ).fetchall()
        self.edges = {"now": edges.minute, "this hour": edges.hour, "today": edges.day} | {
            name: edges.minute - ago
            for name, ago in {
                "5m": timedelta(minutes=5),
                "15m": timedelta(minutes=15),
                "1h": timedelta(hours=1),
                "5h": timedelta(hours=5),
                "24h": timedelta(hours=24),
                "168h": timedelta(hours=168),
            }.items()
        }
        self.edges["yesterday"] = edges.day - timedelta(days=1)
        self.edges["6 days"] = edges.day - timedelta(days=6)
        self.tally["examples"] += 1

    def write(self, writer: int, lines: Sequence[Line]) -> None:
        """Into each log what is for it, in one statement each."""
        if writer not in self.open:
            self.open.append(writer)
        connection = self.writers[writer]
        events = [line for line in lines if isinstance(line, Event) for _ in range(line.times)]
        if events:
            connection.execute(
                f"INSERT INTO {RESERVATION_LOG} (event_type, show_id, reservation_id,"
                " error_message, hold_seconds, created_at, error_code, metadata)"
                " SELECT event, show, reservation, message, length, at, code,"
                " jsonb_strip_nulls(jsonb_build_object('function', function))"
                " FROM unnest(%s::text[], %s::uuid[], %s::uuid[], %s::text[], %s::float8[],"
                " %s::timestamptz[], %s::text[], %s::text[]) AS line"
                " (event, show, reservation, message, length, at, code, function)",
                [
                    [event.event_type for event in events],
                    [event.show for event in events],
                    [
                        None if event.event_type == "failed" else event.reservation
                        for event in events
                    ],
                    [event.error_message for event in events],
                    [event.hold_seconds for event in events],
                    [event.moment.at(self.edges) for event in events],
                    [event.error_code for event in events],
                    [event.function for event in events],
                ],
            )
        requests = [line for line in lines if isinstance(line, Request) for _ in range(line.times)]
        if requests:
            connection.execute(
                "INSERT INTO api_request_log (endpoint, method, status_code, duration_ms,"
                " created_at) SELECT e, 'GET', s, d, t FROM unnest(%s::text[], %s::integer[],"
                " %s::float8[], %s::timestamptz[]) AS request (e, s, d, t)",
                [
                    [request.endpoint for request in requests],
                    [request.status_code for request in requests],
                    [request.duration_ms for request in requests],
                    [request.moment.at(self.edges) for request in requests],
                ],
            )
        for line in lines:
            self.tally[f"near {line.moment.near}"] += 1
            match line:
                case Event(event_type=event_type, times=times):
                    self.tally[event_type] += times
                case Turn():
                    self.turn(writer, line)
                case Request(times=times):
                    self.tally["request"] += times

    def turn(self, writer: int, turn: Turn) -> None:
        at = turn.moment.at(self.edges)
        if turn.is_refused:
            # It names an amount, and nothing comes of it.
            self.log_turn(writer, at, None, None, UUID(int=turn.which), turn.show, 10**12, "EUR")
            return
        # Who changes an order has its row locked, and sees what was committed.
        free = [
            order for order in self.orders if order.writer in (None, writer) and TURNS[order.status]
        ]
        if free and not turn.is_new:
            order = free[turn.which % len(free)]
        else:
            n = len(self.orders)
            order = Order(
                id=uuid.uuid4(),
                created_at=at,
                show=turn.show,
                currency=CURRENCIES[n % 3],
                amount=1000 + 7 * n,
                seats=1 + n % 4,
                made_by=writer,
            )
            self.orders.append(order)
        ways = TURNS[order.status]
        status = ways[turn.way % len(ways)]
        self.tally[f"order {order.status} to {status}"] += 1
        self.tally["order goes on in another session"] += order.made_by != writer
        self.log_turn(
            writer, at, order.status, status, order.id, order.show, order.amount, order.currency,
            order.seats, order.created_at,
        )  # fmt: skip
        order.status, order.writer = status, writer

    def log_turn(self, writer: int, at: datetime, *values: Any) -> None:
        values += (None,) * (8 - len(values))
        self.writers[writer].execute(
            f"INSERT INTO {ORDER_LOG} (created_at, old_status, new_status, order_id, show_id,"
            " amount_in_cents, currency, seat_count, order_created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [at, *values],
        )

    def end(self, writer: int, commit: bool) -> None:
        if writer not in self.open:
            return
        if commit:
            self.writers[writer].commit()
            self.tally["commit"] += 1
            self.tally["late commit"] += writer in self.overtaken
            self.overtaken.update(self.open[: self.open.index(writer)])
        else:
            self.writers[writer].rollback()
            self.tally["rollback"] += 1
        for order in self.orders:
            if order.writer == writer:
                order.status = order.committed = order.status if commit else order.committed
                order.writer = None
        self.orders = [order for order in self.orders if order.status is not None]
        self.open.remove(writer)
        self.overtaken.discard(writer)

    def roll_up(self, max_events: int) -> bool:
        """Once. Returns whether there is more to do."""
        done = self.reader.execute("SELECT * FROM roll_up_metrics(%s)", [max_events]).fetchall()
        assert {row.log for row in done} == set(LOGS)
        if any(row.events_folded for row in done):
            self.tally["rollup"] += 1
        self.tally["rollup before a late commit"] += bool(self.overtaken)
        is_behind = any(row.is_behind for row in done)
        self.tally["rollup of a part"] += is_behind
        return is_behind

    def compare(self, history: History, stage: str) -> Answers:
        """Within a transaction of the reader. Returns what the logs say."""
        self.reader.execute("SELECT set_config('timezone', %s, true)", [history.reader_zone])
        of_logs = of_the_logs(self.reader, QUESTIONS)
        assert_equal(of_logs, of_the_views(self.reader, QUESTIONS), stage)
        self.tally[stage] += 1
        return of_logs

    def compare_at_each_stage(self, history: History) -> None:
        # In one transaction, in which time stands still: the logs need to be asked but once.
        with self.reader.transaction():
            of_logs = self.compare(history, "when all have committed")
            self.tally["a part at last"] += self.roll_up(history.max_events)
            assert_equal(of_logs, of_the_views(self.reader, QUESTIONS), "after a bounded rollup")
            roll_up_all(self.reader)
            assert_equal(of_logs, of_the_views(self.reader, QUESTIONS), "after the rollup")
            self.reader.execute(";".join(f"DELETE FROM {log}" for log in LOGS).encode())
            assert_equal(of_logs, of_the_views(self.reader, QUESTIONS), "when raw rows are gone")


@pytest.fixture
def stage(database: Database) -> Iterator[Stage]:
    """A database of one's own, in which lines may be deleted from the logs."""
    with ExitStack() as stack:
        reader, *writers = (
            enter(stack.enter_context(closing(psycopg.connect(database.dsn, autocommit=True))))
            for _ in range(1 + WRITERS)
        )
        for writer in writers:
            writer.autocommit = False
        # Compiling what the logs are asked would take longer than all the answers.
        reader.execute("SET jit = off")
        for log in LOGS:
            reader.execute(f"DROP TRIGGER {log}_append_only ON {log}".encode())
        reader.execute(
            "INSERT INTO shows (name, starts_at, currency)"
            " SELECT 'Hamlet', now(), c FROM unnest(%s::text[]) AS c",
            [list(CURRENCIES)],
        )
        yield Stage(reader, tuple(writers))


# What must have been seen, besides what is near which edge.
HAPPENED = {
    "commit",
    "late commit",
    "rollup before a late commit",
    "rollback",
    "taken back to a savepoint",
    "rollup",
    "rollup of a part",
    "a part at last",
    "in the midst of it",
    "created",
    "completed",
    "expired",
    "released",
    "extended",
    "failed",
    "request",
    "order goes on in another session",
    *(f"order {old} to {new}" for old, ways in TURNS.items() for new in ways),
    *(f"near {edge}" for edge in EDGES),
}

NOW = Moment("now", timedelta(0))
ONE_EVENT = [
    Event("created", NOW, SHOWS[0], RESERVATIONS[0], None, None, 1),
    Event("extended", NOW, SHOWS[0], RESERVATIONS[0], None, None, 1),
    Event("completed", NOW, SHOWS[0], RESERVATIONS[0], None, 61.5, 1),
    Event("failed", NOW, SHOWS[0], RESERVATIONS[0], "a constraint", None, 1),
    Request(NOW, "/seats", 500, 3.0, 1),
    Turn(NOW, SHOWS[0]),
]


def play_some(play: Callable[[History], None]) -> None:
    @SETTINGS
    @given(histories)
    def one(history: History) -> None:
        play(history)

    one()


@pytest.mark.parametrize("_stage", range(STAGES))
def test_the_views_say_what_the_logs_say_whatever_has_happened(stage: Stage, _stage: int) -> None:
    for _ in range(EXAMPLES_OF_A_STAGE // EXAMPLES):
        play_some(stage.play)
    # What is seldom may take longer to be seen.
    while (unseen := HAPPENED - set(+stage.tally)) and stage.tally["examples"] < 300:
        play_some(stage.play)
    assert stage.tally["examples"] >= EXAMPLES_OF_A_STAGE
    assert not unseen


@pytest.mark.parametrize("line", [None, *ONE_EVENT], ids=lambda line: type(line).__name__)
def test_the_views_say_so_when_nothing_or_one_thing_has_happened(
    stage: Stage, line: Line | None
) -> None:
    stage.play(History(() if line is None else (Write(0, (line,)),)))


def test_every_view_is_compared_or_does_not_read_the_logs(stage: Stage) -> None:
    views = stage.reader.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'v'",
        [quoted(NAMES.monitoring_schema)],
    ).fetchall()
    assert {row.relname for row in views} == METRICS.keys() | OTHERS


# Of a transaction that has long ended: rows that bear it are rolled up within the very transaction
# that writes them, in which time stands still.
LONG_ENDED = 3


@pytest.mark.parametrize("rolled_up", [False, True], ids=["in the log", "rolled up"])
def test_a_window_begins_with_its_first_minute(connection: Connection, rolled_up: bool) -> None:
    """What both sides take for a window, in numbers that neither of them has come up with."""
    connection.execute(
        f"INSERT INTO {RESERVATION_LOG}"
        " (event_type, show_id, error_message, xact_id, created_at)"
        " SELECT event_type, %s, 'a constraint', COALESCE(%s::text::xid8, pg_current_xact_id()),"
        " date_trunc('minute', now() - length) - aside"
        " FROM unnest(ARRAY['created', 'failed']) AS event_type,"
        " unnest(ARRAY['5 minutes', '1 hour', '24 hours']::interval[]) AS length,"
        " unnest(ARRAY['0', '1 us']::interval[]) AS aside",
        [SHOWS[0], LONG_ENDED if rolled_up else None],
    )
    connection.execute("SELECT roll_up_metrics()")
    assert lines_not_rolled_up(connection) == (0 if rolled_up else 12)
    # On its edge, and on that of shorter windows and just before it.
    assert dict(connection.execute("TABLE double_booking_attempts").fetchall()) == {
        "5m": 1,
        "24h": 5,
    }
    assert dict(
        connection.execute("SELECT time_window, succeeded FROM reservation_success_rate").fetchall()
    ) == {"1h": 3, "24h": 5}
    for hours in (1, 24):
        answer = call(connection, "get_reservation_statistics", p_hours=hours)
        assert answer.total_created == {1: 3, 24: 5}[hours]


# Another day, and a quarter, the next and the last of today.
QUARTERS = [
    Moment("yesterday", timedelta(hours=3)),
    Moment("today", timedelta(0)),
    Moment("today", timedelta(minutes=15)),
    Moment("today", timedelta(hours=22, minutes=45)),
]


def extend_in_every_order(stage: Stage) -> None:
    """A reservation for each order of the quarters, each rolled up when the next comes."""
    question = {"extension_trends": METRICS["extension_trends"]}
    stage.begin(History())
    for n, quarters in enumerate(permutations(QUARTERS)):
        for moment in quarters:
            event = Event("extended", moment, SHOWS[0], UUID(int=1000 + n), None, None, 1)
            stage.write(0, [event])
            stage.end(0, commit=True)
            assert_equal(of_the_logs(stage.reader, question), of_the_views(stage.reader, question))
            roll_up_all(stage.reader)
            assert_equal(of_the_logs(stage.reader, question), of_the_views(stage.reader, question))


def test_reservations_extended_twice_a_day_count_once_in_whatever_order_they_come(
    stage: Stage,
) -> None:
    extend_in_every_order(stage)


# --- negative controls: sabotaged databases ---------------------------------------------------

# Something of everything, now and before every window, all of it rolled up in the end.
A_BIT_OF_ALL = History(
    tuple(
        Write(
            0,
            (
                *(
                    Event(event_type, moment, SHOWS[0], reservation, message, 61.5, times)
                    for event_type, message, times in (
                        ("created", None, 3),
                        ("completed", None, 1),
                        ("expired", None, 1),
                        ("released", None, 1),
                        ("extended", None, 2),
                        ("failed", "a constraint", 1),
                        ("failed", None, 1),
                    )
                    for reservation in RESERVATIONS[:2]
                ),
                *(
                    # Three orders: two that are paid for, and one that fails.
                    Turn(moment, SHOWS[0], is_new, which, way)
                    for is_new, which, way in (
                        (True, 0, 0),
                        (True, 0, 0),
                        (True, 0, 0),
                        (False, 0, 0),
                        (False, 1, 0),
                        (False, 2, 1),
                    )
                ),
                *(
                    Request(moment, "/seats", status_code, duration, 3)
                    for status_code, duration in ((200, 5.0), (500, 50.0))
                ),
            ),
        )
        for moment in (Moment("24h", -MICROSECOND), NOW)
    )
)

OF_HOLDS = {
    "reservation_success_rate",
    "reservation_expiration_rate",
    "hourly_metrics",
    "realtime_dashboard",
    "quality_dashboard",
    "alerts",
    "get_reservation_statistics",
}
OF_ORDERS = {"payment_failures", "revenue_today", "realtime_dashboard"}
OF_REQUESTS = {"api_endpoint_health", "system_health"}
OF_A_WINDOW = (METRICS.keys() - {"hourly_metrics", "revenue_today", "extension_trends"}) | {
    "get_reservation_statistics"
}
FORGET = "UPDATE metric_watermarks SET watermark = '0' WHERE log = "
SKIP = (
    f"INSERT INTO {RESERVATION_LOG} (event_type, show_id) VALUES ('created', '{NIL}');"
    "UPDATE metric_watermarks SET watermark = '9000000000000000000' WHERE log = "
)

# What is done to a database in which all is rolled up, and who must notice at least.
SABOTAGES: dict[str, tuple[str, set[str]]] = {
    "a hold too many": ("UPDATE reservation_minutes SET created = created + 1", OF_HOLDS),
    "a hold of a show too many": (
        "UPDATE reservation_show_minutes SET released = released + 1",
        {"get_reservation_statistics"},
    ),
    "a second too many": (
        "UPDATE reservation_minutes SET hold_microseconds = hold_microseconds + 1000000",
        {"reservation_hold_time", "quality_dashboard", "alerts", "get_reservation_statistics"},
    ),
    "holds counted twice": (
        FORGET + f"'{RESERVATION_LOG}'",
        {*OF_HOLDS, "double_booking_attempts", "reservation_hold_time", "top_errors"},
    ),
    "holds not counted": (SKIP + f"'{RESERVATION_LOG}'", OF_HOLDS),
    "orders counted twice": (FORGET + f"'{ORDER_LOG}'", OF_ORDERS),
    "requests counted twice": (FORGET + "'api_request_log'", OF_REQUESTS),
    "reservations extended twice counted twice": (
        "UPDATE extension_quarters SET reservations = reservations + 1",
        {"extension_trends"},
    ),
    "errors not counted": ("DELETE FROM error_minutes", {"top_errors"}),
    "an error without its words": (
        "DELETE FROM error_messages WHERE error_message = 'a constraint'",
        {"top_errors"},
    ),
    "requests that took four per cent longer": (
        # The test's own are further apart.
        "UPDATE api_duration_minutes SET duration_bucket = duration_bucket + 1",
        {"api_endpoint_health"},
    ),
    "a request too many": (
        "UPDATE api_request_minutes SET requests = requests + 1",
        OF_REQUESTS,
    ),
    "windows that are a day longer": (
        """
        CREATE OR REPLACE FUNCTION internal.window_start(p_length interval) RETURNS timestamptz
        LANGUAGE sql STABLE RETURN date_trunc('minute', now() - p_length - interval '1 day')
        """,
        OF_A_WINDOW,
    ),
}


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_a_sabotaged_rollup_is_noticed_by_those_who_read_it(stage: Stage, sabotage: str) -> None:
    statement, must_notice = SABOTAGES[sabotage]
    statement = statement.replace("internal.", f"{OURS[2]}.")
    stage.begin(A_BIT_OF_ALL)
    for step in A_BIT_OF_ALL.steps:
        assert isinstance(step, Write)
        stage.write(step.writer, step.lines)
    stage.end(0, commit=True)
    roll_up_all(stage.reader)
    with stage.reader.transaction():
        assert_equal(of_the_logs(stage.reader, QUESTIONS), of_the_views(stage.reader, QUESTIONS))
        stage.reader.execute(statement.encode())
        wrong = differences(
            of_the_logs(stage.reader, QUESTIONS), of_the_views(stage.reader, QUESTIONS)
        )
        assert must_notice <= {name for name, _ in wrong}


def test_every_view_has_a_sabotage() -> None:
    assert set().union(*(noticed for _, noticed in SABOTAGES.values())) == QUESTIONS.keys()


# Other words in the body of a function, which only some histories bring to light.
EDITS: dict[str, Edit] = {
    "what is not final is rolled up": Edit(
        "roll_up_metrics", "pg_snapshot_xmin", "pg_snapshot_xmax"
    ),
    "the first minute of a window is not in it": Edit(
        "reservation_metrics", "recent.minute >= p_since", "recent.minute > p_since"
    ),
    "who is refused an extension tried to reserve": Edit(
        "reservation_events",
        "starts_with(COALESCE(event.metadata ->> 'function', 'reserve_'), 'reserve_')",
        "true",
    ),
    "who meets somebody at work met an error": Edit(
        "reservation_events", "'SEATS_UNAVAILABLE', 'BUSY'", "'SEATS_UNAVAILABLE'"
    ),
    "orders stay failed": Edit(
        "order_events", "- COALESCE((event.old_status = 'failed')::integer, 0)", ""
    ),
    "tickets are of the day on which they were ordered": Edit(
        "order_events",
        "event.created_at,\n            0,",
        "COALESCE(event.order_created_at, event.created_at),\n            0,",
    ),
    "durations are told to a tenth": Edit(
        "duration_bucket_growth", "(1.04)::double precision", "(1.10)::double precision"
    ),
    "an error without a message is none": Edit(
        "error_events", "AND event.event_type = 'failed'", "AND event.error_message <> ''"
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_sabotaged_function_is_found_out(stage: Stage, edit: str) -> None:
    EDITS[edit](stage.reader)
    found: list[DisagreementError] = []

    # Kept from Hypothesis, which would take its time to say what the example was.
    def play(history: History) -> None:
        if not found:
            try:
                stage.play(history)
            except DisagreementError as error:
                found.append(error)

    rounds = 0
    while not found and rounds < 20:
        play_some(play)
        rounds += 1
    assert found


@pytest.mark.parametrize(
    "edit",
    [
        Edit(
            "fold_reservation_events",
            "WHERE counted.reservation_id IN",
            "WHERE false AND counted.reservation_id IN",
        ),
        Edit(
            "extension_metrics",
            "AND (counted.previous_quarter AT TIME ZONE days.zone)::date < days.day",
            "",
        ),
        Edit("extension_metrics", "before.reservation_id = recently.reservation_id", "false"),
    ],
    ids=["in the rollup, late ones", "in the rollup", "in the log, before those"],
)
def test_extensions_that_are_not_told_apart_are_found_out(stage: Stage, edit: Edit) -> None:
    edit(stage.reader)
    with pytest.raises(DisagreementError):
        extend_in_every_order(stage)
