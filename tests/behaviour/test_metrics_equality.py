"""Every view of the metrics says what a plain query of the raw log says, whatever has happened.

Histories are drawn: who writes what with which time, in which transaction, what is taken back, who
commits last, and when the logs are rolled up in between. At each stage the views are compared with
the queries of `tests/support/metrics.py`: before a rollup, after a part of it, after all of it, and
when the raw rows are gone.

Lines are written into the logs directly, since those who sell cannot choose the time. All examples
are played in one database. Its logs are emptied in between, for which their triggers had to go.

How often each thing happened is counted: a test that has not seen them all fails.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.databases import Database
from tests.support.hall import NIL
from tests.support.histories import (
    CURRENCIES,
    EDGES,
    MICROSECOND,
    QUESTIONS,
    RESERVATIONS,
    SHOWS,
    TURNS,
    WRITERS,
    Event,
    History,
    Line,
    Moment,
    Request,
    Stage,
    Turn,
    Write,
    histories,
)
from tests.support.logs import LOGS, ORDER_LOG, RESERVATION_LOG
from tests.support.metrics import (
    METRICS,
    DisagreementError,
    assert_equal,
    differences,
    of_the_logs,
    of_the_views,
)
from tests.support.names import NAMES, OURS, quoted
from tests.support.queries import Connection, call, enter
from tests.support.rollups import lines_not_rolled_up, roll_up_all
from tests.support.sabotage import Edit

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
def test_the_views_agree_with_the_logs_when_nothing_or_one_thing_has_happened(
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
    """What both sides take for a window, in numbers that neither of them has computed."""
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
    "a hold too many": ("UPDATE reservation_minutes_all SET created = created + 1", OF_HOLDS),
    "a hold of a show too many": (
        "UPDATE reservation_minutes_by_show SET released = released + 1",
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
    "an error under the message of another": (
        "UPDATE error_minutes SET error_message = error_message || ' again'",
        {"top_errors"},
    ),
    "requests that took four per cent longer": (
        # Those of the test differ by more.
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
    "durations are rounded to a tenth": Edit(
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
def test_extensions_that_are_not_distinguished_are_found_out(stage: Stage, edit: Edit) -> None:
    edit(stage.reader)
    with pytest.raises(DisagreementError):
        extend_in_every_order(stage)
