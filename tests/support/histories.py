"""Histories of the logs, drawn at random, and how they are played."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from tests.support.hall import NIL
from tests.support.happenings import CONFLICT, CONSTRAINT
from tests.support.logs import LOGS, ORDER_LOG, RESERVATION_LOG
from tests.support.metrics import (
    METRICS,
    Answers,
    assert_equal,
    of_the_logs,
    of_the_views,
    statistics,
)
from tests.support.queries import Connection
from tests.support.rollups import roll_up_all

ROLLUPS = (
    "reservation_minutes",
    "order_minutes",
    "api_request_minutes",
    "api_duration_minutes",
    "error_minutes",
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
    """A time by what it is near to, since windows move on while an example is played."""

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
        CONFLICT,
        CONSTRAINT,
        "a constraint, taken by another",
        "Taken by Another, a Constraint",
        "",
        "(none)",
        "(no message)",
        "\N{TICKET}" * 500,  # as long as the log takes
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
            # It names an amount, which must not count.
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
