"""What a session has set, or may not do, when it calls the functions of holds."""

from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support.databases import Connect
from tests.support.hall import Hall, make_hall
from tests.support.names import NAMES
from tests.support.queries import Row, acting_as, enter, tables

HOSTILE_SETTINGS = [
    "standard_conforming_strings = off",
    "backslash_quote = on",
    "DateStyle = 'ISO, DMY'",
    "IntervalStyle = 'iso_8601'",
    "TimeZone = 'Pacific/Apia'",
    "extra_float_digits = -15",
    "bytea_output = 'escape'",
    "array_nulls = off",
    "quote_all_identifiers = on",
    "default_transaction_isolation = 'serializable'",
    "lock_timeout = '1ms'",
    "deadlock_timeout = '1ms'",
    "transform_null_equals = on",
    "row_security = off",
    "plan_cache_mode = 'force_custom_plan'",
    "enable_indexscan = off",
    "jit_above_cost = 0",
    "synchronous_commit = off",
    "lc_messages = 'C'",
    "client_min_messages = 'debug5'",
    "check_function_bodies = off",
    "plpgsql.variable_conflict = 'use_column'",
    "plpgsql.extra_errors = 'all'",
]


def answers(hall: Hall) -> list[tuple[Any, ...]]:
    """Every function of holds, with every kind of answer: what of it is the same each time."""

    def same(answer: Row) -> tuple[Any, ...]:
        return tuple(
            value
            for name, value in zip(answer._fields, answer, strict=True)
            if name not in {"reservation_id", "reservation_token", "expires_at"}
        )

    hold = hall.reserve(0, 1, 2)
    calls = [
        hold,
        hall.reserve(2, 1, 0),
        hall.reserve(3),
        hall.reserve(0, session="ben"),
        hall.reserve(4, session=" \t\n"),
        hall.reserve(4, session="SS  s\\S"),
        hall.extend(hold),
        hall.call(
            "extend_reservation",
            p_reservation_token=hold.reservation_token,
            p_session_id="anna",
            p_expires_at=hold.expires_at,
        ),
        hall.extend(hold, session="ben"),
        hall.release(hold, hall.ids(1)),
        hall.release(hold, hall.ids(1)),
        hall.release(hold),
        hall.release(hold),
    ]
    over = hall.reserve(5, session="cleo")
    hall.let_run_out(over)
    calls += [hall.extend(over, session="cleo"), hall.reserve(5, session="ben")]
    return [same(call) for call in calls]


def test_no_setting_of_the_session_changes_an_answer(connect: Connect) -> None:
    expected = answers(make_hall(enter(connect())))
    assert [answer[0] for answer in expected] == [
        *(True, True, False, False, False, True, True, True),
        *(False, True, False, True, False, False, True),
    ]
    differing = {}
    for setting in HOSTILE_SETTINGS:
        session = connect()
        hall = make_hall(enter(session))
        session.execute(f"SET {setting}".encode())
        found = answers(hall)
        if found != expected:
            differing[setting] = found
        session.close()
    assert differing == {}


def calls(hall: Hall, hold: Row) -> list[Callable[[], Row]]:
    """One call of each function that would be done, and one that would be refused."""
    return [
        partial(hall.reserve, 2, session="ben"),
        partial(hall.reserve, 0, session="ben"),
        partial(hall.extend, hold),
        partial(hall.extend, hold, session="ben"),
        partial(hall.release, hold),
        partial(hall.release, hold, session="ben"),
    ]


def test_in_a_read_only_transaction_every_call_raises(connect: Connect) -> None:
    """A refusal leaves a line in the log as well: there is no answer without writing."""
    hall = make_hall(connect())
    hold = hall.hold(0, 1)
    before = tables(hall.connection)
    hall.connection.execute("SET default_transaction_read_only = on")
    for call in calls(hall, hold):
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            call()
    hall.connection.execute("RESET default_transaction_read_only")
    assert tables(hall.connection) == before


def test_a_caller_without_the_right_to_a_function_gets_the_error_of_the_server(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.connection.execute("CREATE ROLE visitor_without_rights")
    hall.connection.execute(
        sql.SQL("GRANT USAGE ON SCHEMA {} TO visitor_without_rights").format(
            sql.Identifier(NAMES.schema)
        )
    )
    before = tables(hall.connection)
    for call in calls(hall, hold):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            acting_as(hall.connection, "visitor_without_rights"),
        ):
            call()
    assert tables(hall.connection) == before
