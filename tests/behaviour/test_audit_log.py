"""The logs: nobody changes them, and nobody changes what they record without a line in them."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.logs import (
    ALL_LOGS,
    LOGS,
    ORDER_LOG,
    assert_append_only,
    fill,
    lines,
    partitions,
)
from tests.support.names import OURS
from tests.support.queries import Connection, broken_invariants, enter, tables, token_of, value


@pytest.mark.parametrize("role", ["origin", "replica", "local"])
@pytest.mark.parametrize("log", ALL_LOGS)
def test_nobody_changes_a_log_or_a_partition_of_it(
    connection: Connection, log: str, role: str
) -> None:
    fill(connection)
    connection.execute(f"SET LOCAL session_replication_role = {role}")
    assert value(connection, "SELECT current_setting('is_superuser')") == "on"
    assert len(partitions(connection, log)) == 5
    before = tables(connection)
    assert_append_only(connection, log)
    assert tables(connection) == before


@pytest.mark.parametrize("log", ALL_LOGS)
def test_all_logs_cannot_be_emptied_by_way_of_another_table(
    connection: Connection, log: str
) -> None:
    with (
        pytest.raises(psycopg.errors.RestrictViolation),
        connection.transaction(),
    ):
        connection.execute(f"TRUNCATE payment_events, {log}")


def test_no_foreign_key_reaches_a_log(connection: Connection) -> None:
    found = connection.execute(
        "SELECT conname FROM pg_constraint WHERE contype = 'f'"
        " AND (conrelid::regclass::text ~ '_log' OR confrelid::regclass::text ~ '_log')"
    ).fetchall()
    assert found == []


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_a_hold_that_is_changed_by_hand_leaves_its_lines(hall: Hall, role: str) -> None:
    hold = hall.hold(0)
    hall.connection.execute(f"SET LOCAL session_replication_role = {role}")
    hall.connection.execute("UPDATE seat_reservations SET extension_count = 1")
    hall.connection.execute("UPDATE seat_reservations SET status = 'released', ended_at = now()")
    # As release_reservation would have done, so that the hall is in order again.
    hall.connection.execute("UPDATE reservation_seats SET released_at = now()")
    hall.connection.execute(
        "UPDATE show_seats SET status = 'available', reserved_by = NULL, reserved_until = NULL"
    )
    assert hall.events(hold) == ["created", "extended", "released"]


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_a_hold_that_is_made_by_hand_leaves_a_line(hall: Hall, role: str) -> None:
    hall.connection.execute(f"SET LOCAL session_replication_role = {role}")
    hall.connection.execute(
        "INSERT INTO seat_reservations (show_id, reservation_token, session_id, expires_at)"
        f" SELECT id, {token_of('id')}, 'x', now() FROM shows WHERE id = %s",
        [hall.show_id],
    )
    (line,) = hall.log()
    assert (line.event_type, line.seat_count, line.seat_ids) == ("created", 0, [])


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_an_order_that_is_changed_by_hand_leaves_a_line(hall: Hall, role: str) -> None:
    order = hall.sell(0)
    hall.connection.execute(f"SET LOCAL session_replication_role = {role}")
    hall.connection.execute("UPDATE ticket_orders SET status = 'refunded'")
    line = hall.log(ORDER_LOG)[-1]
    assert (line.order_id, line.old_status, line.new_status) == (
        order.order_id,
        "paid",
        "refunded",
    )


def test_a_change_of_nothing_that_matters_leaves_no_line(hall: Hall) -> None:
    hall.order(hall.hold(0))
    before = len(hall.log()), len(hall.log(ORDER_LOG))
    hall.connection.execute("UPDATE seat_reservations SET email = 'anna@example.org'")
    hall.connection.execute("UPDATE ticket_orders SET payment_intent_id = 'pi_1'")
    assert (len(hall.log()), len(hall.log(ORDER_LOG))) == before


def test_lines_know_their_transaction(hall: Hall) -> None:
    hall.sell(0)
    hall.reserve(0, session="ben")
    hall.call(
        "log_api_request",
        p_endpoint="/seats",
        p_method="GET",
        p_status_code=200,
        p_duration_ms=1.5,
    )
    transaction = value(hall.connection, "SELECT pg_current_xact_id()")
    for log in LOGS:
        found = lines(hall.connection, log)
        assert found
        assert {line.xact_id for line in found} == {transaction}


def test_what_is_rolled_back_leaves_no_line(hall: Hall) -> None:
    with hall.connection.transaction(force_rollback=True):
        hall.sell(0)
        hall.reserve(0, session="ben")
    assert hall.log() == hall.log(ORDER_LOG) == []


def test_the_whole_life_of_a_ticket_committed_call_by_call(
    database: Database, connect: Connect
) -> None:
    """Every other test of these files runs in one transaction, in which now() stands still."""
    hall = make_hall(connect())
    hold = hall.hold(0, 1)
    assert hall.reserve(1, session="ben").error_code == "SEATS_UNAVAILABLE"
    hall.extend(hold)
    order = hall.order(hold)
    hall.fail(order)
    answer = hall.pay(order)
    # A second session sees what has been committed, and repeats the webhook.
    with psycopg.connect(database.dsn, autocommit=True) as second:
        elsewhere = replace(hall, connection=enter(second))
        assert elsewhere.pay(order) == answer
        assert elsewhere.statuses(0, 1) == ["sold", "sold"]
    hall.refund(order)

    assert hall.events() == ["created", "failed", "extended", "completed", "refunded"]
    times = [line.created_at for line in hall.log()]
    assert times == sorted(set(times))
    transactions = [line.xact_id for line in hall.log()]
    assert len(set(transactions)) == 5
    completed = hall.log()[-2]
    assert 0 < completed.hold_seconds < 60
    changes: list[Any] = [(line.old_status, line.new_status) for line in hall.log(ORDER_LOG)]
    assert changes == [
        (None, "pending"),
        ("pending", "failed"),
        ("failed", "paid"),
        ("paid", "refunded"),
    ]
    assert broken_invariants(hall.connection) == []


def test_requests_are_logged_as_they_were(connection: Connection) -> None:
    connection.execute("SELECT log_api_request('/shows/:id', 'POST', 201, 12.5)")
    (line,) = lines(connection, "api_request_log")
    assert (line.endpoint, line.method, line.status_code, line.duration_ms) == (
        "/shows/:id",
        "POST",
        201,
        12.5,
    )
    assert line.created_at == value(connection, "SELECT now()")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ((None, None, None, None), ("unknown", "UNKNOWN", 599, 0.0)),
        (("", "", 0, -1.0), ("unknown", "UNKNOWN", 100, 0.0)),
        (("/", "get", 1000, float("inf")), ("/", "GET", 599, 86_400_000.0)),
        (("/", "DROP TABLE", 200, float("nan")), ("/", "UNKNOWN", 200, 86_400_000.0)),
        (("/", "x" * 1_000_000, 200, float("-inf")), ("/", "UNKNOWN", 200, 0.0)),
        (("e" * 1_000_000, "GET", 200, 0.0), ("e" * 200, "GET", 200, 0.0)),
    ],
    ids=["nulls", "too small", "too large", "not a number", "a megabyte", "another megabyte"],
)
def test_a_request_that_makes_no_sense_is_logged_all_the_same(
    connection: Connection, given: tuple[Any, ...], stored: tuple[Any, ...]
) -> None:
    connection.execute("SELECT log_api_request(%s, %s, %s, %s)", given)
    (line,) = lines(connection, "api_request_log")
    assert (line.endpoint, line.method, line.status_code, line.duration_ms) == stored


def test_every_log_is_among_those_that_are_tested(connection: Connection) -> None:
    found = connection.execute(
        "SELECT relname FROM pg_class"
        " WHERE pg_get_partkeydef(oid) LIKE 'RANGE%%' AND relnamespace = ANY(%s::regnamespace[])",
        [OURS],
    ).fetchall()
    assert sorted(row.relname for row in found) == sorted(ALL_LOGS)
