"""erase_customer: nothing of a person is left, and all of the accounts is."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect
from tests.support.hall import NIL, Hall, make_hall
from tests.support.logs import ORDER_LOG, RESERVATION_LOG, lines
from tests.support.money import CLERK, cancel, erase, order_row, reckon, ticket_ids
from tests.support.orders import order_of
from tests.support.personal import PERSONAL
from tests.support.queries import Connection, Row, broken_invariants, enter, tables
from tests.support.sabotage import sabotage

# Of Petra: what may be found nowhere afterwards, in any case of its letters.
TRACES = ("petra", "192.0.2.99")
PETRA: dict[str, Any] = {
    "p_user_id": "user-petra",
    "p_email": "Petra@Example.org",
    "p_user_agent": "petra's browser",
    "p_ip_address": "192.0.2.99",
}
# The columns of PERSONAL, and what else is about a person: emptied, or kept with the reason.
EMPTIED = {
    "seat_reservations": {"session_id", "user_id", "email", "user_agent", "ip_address"},
    "seat_reservation_audit_log": {"session_id", "user_agent", "ip_address", "metadata"},
    "ticket_order_audit_log": {"session_id", "metadata", "error_message"},
    "ticket_orders": {"idempotency_key", "error_message"},
}
KEPT = {
    "seat_reservations": {"reservation_token"},  # random, and of no use without the session
    "ticket_orders": {"payment_intent_id"},  # the provider's, for the accounts
    "tickets": {"ticket_code"},  # random; the ticket stays valid
    "payment_events": {"event_id", "ticket_ids"},
    "refunds": {"payment_event_id", "ticket_ids"},
}


def traces(connection: Connection) -> dict[str, int]:
    """In how many rows of which tables something of Petra is."""
    found = {
        name: sum(any(trace in row.lower() for trace in TRACES) for row in rows)
        for name, rows in tables(connection).items()
    }
    return {name: rows for name, rows in found.items() if rows}


@pytest.fixture
def past(hall: Hall) -> Hall:
    """All that Petra may have left: a hold, a sale, failed payments, refused calls."""
    hold = hall.hold(0, 1, session="petra-1", **PETRA)
    order = hall.call(
        "create_ticket_order",
        **order_of(hold, p_session_id="petra-1", p_idempotency_key="petra's order"),
    )
    hall.fail(order, message="card of Petra declined")
    order = hall.call(
        "create_ticket_order",
        **order_of(hold, p_session_id="petra-1", p_idempotency_key="petra's second try"),
    )
    assert hall.pay(order).status == "paid"
    assert not hall.reserve(1, session="petra-1", **PETRA).success
    assert not hall.call(
        "create_ticket_order", p_reservation_token="x", p_session_id="petra-1"
    ).success
    # What went wrong may quote her.
    for log, columns, values in [
        (RESERVATION_LOG, "event_type, reservation_id, show_id", "'failed', %s, %s"),
        (ORDER_LOG, "reservation_id, show_id", "%s, %s"),
    ]:
        hall.connection.execute(
            f"INSERT INTO {log} ({columns}, metadata) VALUES ({values},"
            ' \'{"function": "f", "sqlstate": "23505", "detail": "Key (petra)"}\')'.encode(),
            [hold.reservation_id, hall.show_id],
        )
    return hall


def test_nothing_of_her_is_left_in_any_table(past: Hall) -> None:
    assert set(traces(past.connection)) == {
        "seat_reservations",
        "seat_reservation_audit_log",
        "ticket_order_audit_log",
        "ticket_orders",
        "ticket_order_keys",
    }
    answer = erase(past, "user-petra")
    assert answer._fields == (
        "success",
        "holds_ended",
        "reservations_erased",
        "orders_erased",
        "order_keys_erased",
        "reservation_log_rows_erased",
        "order_log_rows_erased",
        "error_code",
        "error_message",
    )
    # Created, completed, refused, and the one by hand; failed, refused, and the one by hand.
    assert answer == (True, 0, 1, 2, 2, 4, 3, None, None)
    assert traces(past.connection) == {}


def test_every_personal_column_is_emptied_or_kept_on_purpose() -> None:
    for table in {*PERSONAL, *EMPTIED, *KEPT}:
        emptied, kept = EMPTIED.get(table, set()), KEPT.get(table, set())
        assert emptied | kept == PERSONAL.get(table, set()), table
        assert not emptied & kept


def test_the_columns_are_empty(past: Hall) -> None:
    erase(past, "user-petra")
    (hold,) = past.connection.execute("SELECT * FROM seat_reservations").fetchall()
    assert hold.session_id == "erased"
    assert (hold.user_id, hold.email, hold.user_agent, hold.ip_address) == (None,) * 4
    for order in past.connection.execute("SELECT * FROM ticket_orders").fetchall():
        assert (order.idempotency_key, order.error_message) == (None, None)
    for line in past.log():
        assert (line.session_id, line.user_agent, line.ip_address) == (None,) * 3
        assert "detail" not in line.metadata
    assert [line.metadata for line in past.log(ORDER_LOG) if "sqlstate" in line.metadata] == [
        {"function": "f", "sqlstate": "23505"}
    ]


def test_what_accounts_and_dashboards_need_stays(past: Hall) -> None:
    before = tables(past.connection)
    counted = "SELECT * FROM get_reservation_statistics()"
    numbers = past.connection.execute(counted).fetchall()
    messages = "SELECT error_message FROM seat_reservation_audit_log ORDER BY id"
    said = past.connection.execute(messages).fetchall()
    erase(past, "user-petra")
    after = tables(past.connection)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == set(EMPTIED) | {"ticket_order_keys"}
    assert past.connection.execute(counted).fetchall() == numbers
    assert past.connection.execute(messages).fetchall()[: len(said)] == said
    assert reckon(past.connection)["in tickets"] == 2100


@pytest.mark.parametrize(
    ("user", "email", "erased"),
    [
        ("user-petra", None, 1),
        (None, "petra@example.org", 1),
        (None, "PETRA@EXAMPLE.ORG", 1),
        ("user-petra", "nobody@example.org", 1),
        ("nobody", "petra@example.org", 1),
        ("USER-PETRA", None, 0),
        ("user", "petra", 0),
    ],
)
def test_she_is_found_by_account_or_by_address(
    past: Hall, user: str | None, email: str | None, erased: int
) -> None:
    assert erase(past, user, email).reservations_erased == erased


def test_others_stay_as_they_are(past: Hall) -> None:
    past.hold(5, session="ben", p_user_id="user-ben", p_email="ben@example.org")
    past.reserve(0, session="ben", p_ip_address="192.0.2.1")
    ben = [line for line in past.log() if line.session_id == "ben"]
    erase(past, "user-petra")
    assert [line for line in past.log() if line.session_id == "ben"] == ben
    held = past.connection.execute("SELECT * FROM seat_reservations WHERE is_active").fetchall()
    assert [row.email for row in held] == ["ben@example.org"]


def test_what_the_counter_has_logged_for_everybody_stays(past: Hall) -> None:
    past.connection.execute(
        "UPDATE seat_reservations SET session_id = 'box office' WHERE user_id = 'user-petra'"
    )
    past.reserve(0, session="box office")
    erase(past, "user-petra")
    assert "box office" in {line.session_id for line in past.log()}


def test_a_live_hold_ends_and_its_order_is_cancelled(hall: Hall) -> None:
    live = hall.hold(0, session="petra-1", **PETRA)
    order = hall.order(live, "petra-1")
    over = hall.hold(1, session="petra-2", p_user_id="user-petra")
    elsewhere = make_hall(hall.connection)
    elsewhere.hold(0, session="petra-1", p_user_id="user-petra")
    hall.let_run_out(over)
    assert erase(hall, "user-petra").holds_ended == 3
    assert hall.statuses(0, 1) == ["available", "available"]
    assert (hall.reservation(live).status, hall.reservation(over).status) == ("released", "expired")
    row = order_row(hall, order)
    assert (row.status, row.cancel_reason) == ("cancelled", "released")
    assert hall.pay(order).status == "refund_due"
    assert traces(hall.connection) == {}


def test_her_other_sessions_are_forgotten_too(hall: Hall) -> None:
    """A guest who logged in: the hold has another session since."""
    hold = hall.hold(0, session="petra-guest")
    assert not hall.reserve(1, 1, session="petra-guest").success
    hall.connection.execute(
        "UPDATE seat_reservations SET session_id = 'petra-1', user_id = 'user-petra' WHERE id = %s",
        [hold.reservation_id],
    )
    erase(hall, "user-petra")
    assert traces(hall.connection) == {}


def test_a_line_says_that_somebody_was_erased_and_by_whom(past: Hall) -> None:
    last = lines(past.connection, RESERVATION_LOG)[-1].id
    erase(past, "user-petra")
    (line,) = lines(past.connection, RESERVATION_LOG, after=last)
    assert (line.event_type, line.show_id, line.reservation_id) == ("erased", NIL, None)
    assert (line.session_id, line.metadata) == (None, {"staff": CLERK})


def test_a_repeat_is_a_success_that_changes_nothing_else(past: Hall) -> None:
    erase(past, "user-petra", "petra@example.org")
    before = tables(past.connection)
    answer = erase(past, "user-petra", "petra@example.org")
    assert answer == (True, 0, 0, 0, 0, 0, 0, None, None)
    after = tables(past.connection)
    assert {name for name in before if before[name] != after[name]} == {RESERVATION_LOG}


def test_a_refund_that_is_due_can_be_paid_afterwards(past: Hall) -> None:
    order = past.connection.execute(
        "SELECT id AS order_id FROM ticket_orders WHERE status = 'paid'"
    ).fetchone()
    (refund_id,) = cancel(past, ticket_ids(past, order)[:1]).refund_ids
    erase(past, "user-petra")
    answer = past.call(
        "record_refund",
        p_show_id=past.show_id,
        p_refund_id=refund_id,
        p_provider="stripe",
        p_event_id="re_1",
    )
    assert answer.amount_in_cents == 1000


# refusals


def refuse(hall: Hall, code: str, **more: Any) -> Any:
    arguments = {"p_user_id": "user-petra", "p_email": None, "p_staff": CLERK} | more
    refusal = hall.refuse(code, "erase_customer", **arguments)
    assert set(refusal.answer[1:7]) == {None}
    assert "petra" not in str(refusal.line).lower()
    return refusal


@pytest.mark.parametrize(
    "changed",
    [
        {"p_user_id": None},
        {"p_user_id": " "},
        {"p_user_id": "x" * 201},
        {"p_email": ""},
        {"p_email": "x" * 321},
        {"p_staff": None},
        {"p_staff": " "},
        {"p_staff": "x" * 201},
    ],
    ids=lambda changed: str(changed)[:30],
)
def test_input_that_makes_no_sense_is_refused(past: Hall, changed: dict[str, Any]) -> None:
    with past.connection.transaction(force_rollback=True):
        erase(past, "user-petra")  # so that no line of hers is left to be found
        refuse(past, "INVALID_INPUT", **changed)


@pytest.mark.parametrize("table", ["seat_reservations", "ticket_orders", "ticket_order_keys"])
def test_an_unexpected_error_is_an_answer_and_erases_nothing(past: Hall, table: str) -> None:
    sabotage(past.connection, table, "UPDATE")
    assert refuse(past, "INTERNAL_ERROR").line.metadata["sqlstate"] == "22012"


# the logs


LOG_COLUMNS = {
    RESERVATION_LOG: "session_id = NULL, user_agent = NULL, ip_address = NULL",
    ORDER_LOG: "session_id = NULL, error_message = NULL",
}


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("log", LOG_COLUMNS)
def test_a_log_may_be_changed_by_the_erasure_and_by_nothing_else(
    past: Hall, log: str, role: str
) -> None:
    connection = past.connection
    connection.execute(f"SET LOCAL session_replication_role = {role}".encode())
    whole = f"{LOG_COLUMNS[log]}, metadata = metadata - 'detail'"
    some = "WHERE metadata ? 'detail'"
    for change in [
        f"{LOG_COLUMNS[log]} {some}",  # not all of it
        f"{whole}, error_code = NULL, created_at = created_at + interval '1 us' {some}",
        f"{whole}, xact_id = '1' {some}",
        f"{whole}, show_id = gen_random_uuid() {some}",
        f"{LOG_COLUMNS[log]}, metadata = metadata - 'detail' - 'function' {some}",
        f"{whole.replace('session_id = NULL', 'session_id = 1')} {some}",
    ]:
        with pytest.raises(psycopg.errors.RestrictViolation) as caught, connection.transaction():
            connection.execute(f"UPDATE {log} SET {change}".encode())
        assert caught.value.diag.message_hint
    with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
        connection.execute(f"DELETE FROM {log} {some}".encode())
    assert connection.execute(f"UPDATE {log} SET {whole} {some}".encode()).rowcount == 1
    # Which is then empty: to empty it again is a change of nothing, and refused.
    with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
        connection.execute(f"UPDATE {log} SET {whole} WHERE metadata ? 'sqlstate'".encode())


# beside others


def test_a_hold_that_is_locked_is_busy_in_two_seconds(connect: Connect) -> None:
    hall = make_hall(connect())
    hall.hold(0, session="petra-1", **PETRA)
    other: Connection = enter(connect())
    with other.transaction():
        other.execute("SELECT FROM seat_reservations FOR UPDATE")
        begun = time.monotonic()
        assert erase(hall, "user-petra").error_code == "BUSY"
        assert time.monotonic() - begun < 3.5
    assert erase(hall, "user-petra").holds_ended == 1
    assert broken_invariants(hall.connection) == []


CHANGES: dict[str, Callable[[Hall, Row], Row]] = {
    "it is extended": lambda hall, hold: hall.extend(hold, "petra-1"),
    "it is ordered": lambda hall, hold: hall.order(hold, "petra-1"),
    "it is released": lambda hall, hold: hall.release(hold, session="petra-1"),
    "it is paid": lambda hall, hold: hall.pay(hall.order(hold, "petra-1")),
}


@pytest.mark.parametrize("erased_first", [False, True])
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("change", CHANGES)
def test_who_decides_by_a_hold_as_it_was_has_to_try_again(
    connect: Connect, change: str, level: str, erased_first: bool
) -> None:
    hall = make_hall(connect())
    hold = hall.hold(0, session="petra-1", **PETRA)
    other = replace(hall, connection=enter(connect()))
    acts: list[Callable[[Hall], Row]] = [
        lambda h: CHANGES[change](h, hold),
        lambda h: erase(h, "user-petra"),
    ]
    first, second = reversed(acts) if erased_first else acts
    other.connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    other.connection.execute("SELECT FROM shows")
    assert first(hall).success
    with pytest.raises(psycopg.errors.SerializationFailure):
        second(other)
    other.connection.execute("ROLLBACK")
    assert erase(hall, "user-petra").success
    assert broken_invariants(hall.connection) == []
    assert traces(hall.connection) == {}
