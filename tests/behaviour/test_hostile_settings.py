"""Nothing that a session can set changes an answer.

One story is played from beginning to end in a database of its own under each setting: everything is
sold, refused, cleaned up, rolled up, purged, scheduled and read. What was answered must be what is
answered under the defaults, but for keys, tokens and times.
"""

import re
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from tests.support.databases import throw_away_database
from tests.support.names import SCHEMAS
from tests.support.qualified import ask, house, let_run_out, our
from tests.support.queries import Connection
from ticketdb.private_server import Cluster

BACKWARDS = ", ".join(["pg_temp", *(sql.Identifier(n).as_string() for n in reversed(SCHEMAS))])
# Several at once: a database for each would take minutes.
SETTINGS: dict[str, dict[str, str]] = {
    "formats of times and numbers": {
        "datestyle": "German, DMY",
        "intervalstyle": "sql_standard",
        "timezone": "Pacific/Kiritimati",
        "extra_float_digits": "-15",
        "bytea_output": "escape",
        "xmlbinary": "hex",
        "xmloption": "document",
    },
    "the language of the server": {
        "lc_messages": "de_DE.UTF-8",
        "lc_monetary": "de_DE.UTF-8",
        "lc_numeric": "de_DE.UTF-8",
        "lc_time": "de_DE.UTF-8",
        "default_text_search_config": "pg_catalog.german",
        "client_encoding": "LATIN1",
    },
    "how SQL is read": {
        "standard_conforming_strings": "off",
        "escape_string_warning": "off",
        "backslash_quote": "on",
        "quote_all_identifiers": "on",
        "array_nulls": "off",
        "transform_null_equals": "on",
        "check_function_bodies": "off",
    },
    "where names are found, and rows seen": {
        "search_path": BACKWARDS,
        "row_security": "off",
        "session_replication_role": "replica",
        "client_min_messages": "debug1",
    },
    "how transactions begin and end": {
        "default_transaction_isolation": "serializable",
        "default_transaction_deferrable": "on",
        "synchronous_commit": "off",
    },
    "limits of time and memory": {
        "lock_timeout": "1ms",
        "statement_timeout": "10min",
        "transaction_timeout": "10min",
        "work_mem": "64kB",
    },
    "how plans are made": {
        "enable_bitmapscan": "off",
        "enable_hashjoin": "off",
        "enable_indexscan": "off",
        "enable_nestloop": "off",
        "enable_partition_pruning": "off",
        "enable_sort": "off",
        "plan_cache_mode": "force_custom_plan",
        "jit_above_cost": "0",
    },
    "how plans are searched": {
        "constraint_exclusion": "off",
        "cursor_tuple_fraction": "0.01",
        "from_collapse_limit": "1",
        "geqo_threshold": "2",
    },
}
# What a server may lack: a locale, or a setting that came with a later version.
MAY_BE_MISSING = {"lc_messages", "lc_monetary", "lc_numeric", "lc_time", "transaction_timeout"}

# Read at the end, besides every view. Ids and times are distinguished from values by their types.
TABLES = [
    "show_seats",
    "seat_reservations",
    "reservation_seats",
    "ticket_orders",
    "tickets",
    "payment_events",
    "seat_reservation_audit_log",
    "ticket_order_audit_log",
    "api_request_log",
    "change_log",
]
VIEWS = [
    "reservation_success_rate",
    "double_booking_attempts",
    "reservation_expiration_rate",
    "reservation_hold_time",
    "cleanup_job_health",
    "active_reservations",
    "payment_failures",
    "realtime_dashboard",
    "revenue_today",
    "hourly_metrics",
    "top_errors",
    "extension_trends",
    "quality_dashboard",
    "system_health",
    "api_endpoint_health",
    "alerts",
    "health",
    "invariant_violations",
]
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# What is different each time.
UNLIKE = re.compile(
    r"(_seconds|_microseconds|_age|_id|^id|xact_id|watermark|pid|port|value|last_|hold_minutes|checked_at)$"
    r"|^(message|connections|connections_used_pct|max_connections|utilisation_pct|used_pct)$"
)

Play = Callable[[Connection], None]


class Player(Protocol):
    """What the fixture `play` gives: the answers of a story under settings, in its own database."""

    def __call__(self, settings: dict[str, str] | None = None, story: Play = ...) -> list[str]: ...


class Story:
    """What was answered, with keys and tokens in the order in which they first appeared."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.known: dict[Any, str] = {}

    def comparable(self, value: Any) -> Any:
        """The value, without what differs each time."""
        if isinstance(value, (datetime, timedelta)):
            return "a time"
        if isinstance(value, uuid.UUID):
            return self.known.setdefault(value, f"key {len(self.known)}")
        if isinstance(value, (list, tuple)):
            return [self.comparable(item) for item in value]
        if isinstance(value, dict):
            return {key: self.comparable(item) for key, item in sorted(value.items())}
        if isinstance(value, str):
            value = re.sub(UUID, lambda found: self.comparable(uuid.UUID(found[0])), value)
            value = re.sub(r"\b[0-9a-fA-F]{32,64}\b", "a token", value)
            return re.sub(r"\d{4}-\d{2}-\d{2}([T ][-\d:.+]+)?", "a time", value)
        return value

    def record(self, names: list[str], rows: list[Any]) -> None:
        lines = [
            str(
                [
                    (name, self.comparable(item))
                    for name, item in zip(names, row, strict=True)
                    if not UNLIKE.search(name)
                ]
            )
            for row in rows
        ]
        if len(lines) > 1:  # in any order, and so keys in any, too
            lines = sorted(re.sub(r"key \d+", "a key", row) for row in lines)
        self.lines.append("; ".join(lines))


def listening(story: Story) -> type[psycopg.Cursor[Any]]:
    """A cursor whose answers are noted. In binary: as text they would depend on the settings."""

    class Listening(psycopg.Cursor[Any]):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self.format = psycopg.pq.Format.BINARY

        def fetchall(self) -> list[Any]:
            rows = super().fetchall()
            story.record([column.name for column in self.description or ()], rows)
            return rows

    return Listening


def sell_and_operate(connection: Connection) -> None:
    """The story: what a shop does in a year, in a second."""
    show = house(connection)
    hold = show.hold(0, 1, 2)
    show.reserve(0, session="ben")
    show.reserve(0, 0, session="ben")
    show.reserve(session="ben")
    show.reserve(3, session=" ")
    show.of("extend_reservation", hold)
    show.of("extend_reservation", hold, session="ben")
    show.of("release_reservation", hold, p_seat_ids=[show.seats[2]])
    order = show.of("create_ticket_order", hold, p_idempotency_key="k1")
    show.of("create_ticket_order", hold, p_idempotency_key="k1")
    show.paid("fail_payment", order, "f1", p_error_message="card declined")
    show.paid("confirm_payment", order, "p1", p_amount_in_cents=1)
    show.paid("confirm_payment", order, "p2", p_amount_in_cents=200)
    show.paid("confirm_payment", order, "p2", p_amount_in_cents=200)
    show.paid("confirm_payment", order, "p3", p_amount_in_cents=200)
    show.paid("confirm_payment", order, " ", p_amount_in_cents=200)
    late = show.of("create_ticket_order", show.hold(3, session="cleo"), session="cleo")
    show.hold(4, session="dan")
    let_run_out(connection)
    show.hold(4, session="eve")
    show.paid("confirm_payment", late, "l1", p_amount_in_cents=100)
    answers(connection, "SELECT * FROM {}('stripe', 'p2')", "find_orders")
    for reads in ("get_order", "get_tickets", "get_refunds"):
        answers(connection, f"SELECT * FROM {{}}('{show.show_id}', '{order.order_id}')", reads)
    answers(connection, "SELECT * FROM {}('eve')", "get_session_reservations")
    ask(connection, "refund_order", p_show_id=show.show_id, p_order_id=order.order_id)
    show.hold(5, session="fay")
    let_run_out(connection)
    answers(connection, "SELECT * FROM {}(1)", "cleanup_expired_seat_reservations")
    connection.execute(sql.SQL("CALL {}()").format(our("run_reservation_cleanup")))
    ask(
        connection,
        "log_api_request",
        p_endpoint="/shows",
        p_method="get",
        p_status_code=200,
        p_duration_ms=0.1 + 0.2,
    )
    connection.execute(
        sql.SQL("UPDATE {} SET starts_at = '2041-02-03T04:05:06Z'").format(our("shows"))
    )
    connection.execute(
        sql.SQL(
            "INSERT INTO {} (event_type, show_id, created_at)"
            " VALUES ('created', %s, '2020-01-31T23:59:59Z')"
        ).format(our("seat_reservation_audit_log")),
        [show.show_id],
    )
    all_is_final(connection)
    for function in (
        "roll_up_metrics",
        "maintain_partitions",
        "check_invariants",
        "schedule_jobs",
        "log_partitions",
        "get_reservation_statistics",
        "purge_history",
    ):
        answers(connection, "SELECT * FROM {}()", function)
    for name in ("Europe/Berlin", "Europe/Nowhere", "UTC+3"):
        answers(connection, "SELECT {}(%s)", "is_time_zone", name)
    for table in TABLES:
        answers(connection, "SELECT * FROM {}", table)
    for view in VIEWS:
        answers(connection, "SELECT * FROM {}", view)


def all_is_final(connection: Connection) -> None:
    """Wait until all of it can be rolled up: open transactions anywhere on the server forbid it."""
    last = connection.execute("SELECT pg_catalog.pg_current_xact_id()::text").fetchone()
    assert last is not None
    query = (
        "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())"
        " OPERATOR(pg_catalog.>) %s::pg_catalog.text::pg_catalog.xid8"
    )
    for _ in range(1200):
        found = connection.execute(query, [last[0]]).fetchone()
        if found is not None and found[0]:
            return
        time.sleep(0.1)
    raise AssertionError("a transaction has been open for two minutes")


def answers(connection: Connection, query: str, name: str, *parameters: Any) -> None:
    """Ask for all rows, in an order that depends on nothing but what is in them."""
    statement = sql.SQL(query).format(our(name))
    connection.execute(statement, parameters or None).fetchall()


@pytest.fixture(scope="module")
def play(cluster: Cluster, template_database: str) -> Player:
    def played(settings: dict[str, str] | None = None, story: Play = sell_and_operate) -> list[str]:
        noted = Story()
        with (
            contextmanager(throw_away_database)(cluster, template_database) as database,
            psycopg.connect(database.dsn, autocommit=True, row_factory=namedtuple_row) as session,
        ):
            for setting, value in (settings or {}).items():
                try:
                    session.execute("SELECT set_config(%s, %s, false)", [setting, value])
                except (psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject):
                    assert setting in MAY_BE_MISSING, setting
            session.cursor_factory = listening(noted)
            story(session)
        return noted.lines

    return played


@pytest.fixture(scope="module")
def usual(play: Player) -> list[str]:
    return play()


def test_the_answers_are_the_same_when_the_story_is_repeated(
    play: Player, usual: list[str]
) -> None:
    assert len(usual) > 60
    text = "\n".join(usual)
    for word in ("SEATS_UNAVAILABLE", "AMOUNT_MISMATCH", "refunded", "completed", "a token"):
        assert word in text
    assert "INTERNAL_ERROR" not in text
    assert play() == usual


@pytest.mark.parametrize("kind", SETTINGS)
def test_no_setting_of_a_session_changes_an_answer(
    play: Player, usual: list[str], kind: str
) -> None:
    assert play(SETTINGS[kind]) == usual


def test_at_least_thirty_settings_are_tried() -> None:
    assert sum(len(settings) for settings in SETTINGS.values()) >= 30


@pytest.mark.parametrize(
    ("setting", "expression"),
    [
        ("datestyle", "'2001-02-03'::date::text"),
        ("intervalstyle", "'1 day 02:03'::interval::text"),
        ("extra_float_digits", "(0.1::float8 + 0.2)::text"),
        ("standard_conforming_strings", "length('a\\b')"),
        ("quote_all_identifiers", "'pg_class'::regclass::text || quote_ident('x')"),
        ("bytea_output", "'x'::bytea::text"),
        ("transform_null_equals", "count(*) FILTER (WHERE NOT relname = NULL) FROM pg_class"),
        ("timezone", "extract(hour FROM '2001-02-03 04:05Z'::timestamptz)"),
        ("array_nulls", "('{NULL}'::text[])[1] IS NULL"),
    ],
)
def test_a_function_that_depends_on_a_setting_is_found(
    cluster: Cluster, setting: str, expression: str
) -> None:
    """The control, without a database of its own."""
    noted = Story()

    def bent(connection: Connection) -> None:
        connection.execute(
            sql.SQL("CREATE FUNCTION pg_temp.bent() RETURNS text LANGUAGE plpgsql AS {}").format(
                sql.SQL(f"$$ BEGIN RETURN (SELECT {expression}); END $$")
            )
        )
        connection.cursor_factory = listening(noted)
        connection.execute("SELECT pg_temp.bent()").fetchall()

    def answered(story: Play) -> list[str]:
        with psycopg.connect(cluster.dsn(), row_factory=namedtuple_row) as connection:
            story(connection)
        return [noted.lines.pop()]

    (value,) = (found[setting] for found in SETTINGS.values() if setting in found)

    def under_the_setting(connection: Connection) -> None:
        connection.execute("SELECT set_config(%s, %s, false)", [setting, value])
        bent(connection)

    assert answered(under_the_setting) != answered(bent)
