"""cancel_show and cancel_show_portion: all holds end, all money of tickets is due."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect
from tests.support.hall import Hall, make_hall
from tests.support.logs import ORDER_LOG
from tests.support.money import (
    CLERK,
    cancel,
    cancel_in_portions,
    order_row,
    owed,
    portion,
    reckon,
    refunds,
    return_money,
    staffed,
    state_of,
    ticket_ids,
)
from tests.support.names import NAMES
from tests.support.orders import changes, tickets
from tests.support.queries import Connection, Row, broken_invariants, enter, tables, value
from tests.support.sabotage import sabotage


def show_of(hall: Hall) -> str:
    return str(hall.row("shows", hall.show_id).status)


def test_the_first_call_sets_the_status_of_the_show_and_nothing_else(hall: Hall) -> None:
    hold = hall.hold(0)
    answer = portion(hall)
    assert answer == (True, 0, 0, 0, False, None, None)
    assert answer._fields == (
        "success",
        "holds_ended",
        "orders_cancelled",
        "orders_refunded",
        "is_done",
        "error_code",
        "error_message",
    )
    assert show_of(hall) == "cancelled"
    assert hall.reservation(hold).status == "active"
    (line,) = hall.log(ORDER_LOG)
    assert line.metadata == {"function": "cancel_show_portion", "staff": CLERK}


def test_holds_end_open_orders_are_cancelled_and_paid_ones_are_owed(hall: Hall) -> None:
    held = hall.hold(0, session="holds")
    pending = hall.order(hall.hold(1, session="orders"), "orders")
    failed = hall.order(hall.hold(2, session="fails"), "fails")
    hall.fail(failed)
    paid = hall.sell(3, 4, session="pays")
    _, answer = cancel_in_portions(hall)
    assert answer[1:5] == (3, 2, 1, True)
    assert hall.reservation(held).status == "released"
    for order in (pending, failed):
        row = order_row(hall, order)
        assert (row.status, row.cancel_reason) == ("cancelled", "show_cancelled")
    (row,) = refunds(hall)
    assert (row.reason, row.status, row.amount_in_cents) == ("show_cancelled", "due", 2700)
    assert row.ticket_ids == sorted(ticket_ids(hall, paid))
    assert state_of(hall, paid) == ("refunded", 2700)
    assert set(hall.statuses()) == {"available"}


def test_its_lines_name_the_staff_and_say_how_much_was_done(hall: Hall) -> None:
    hall.hold(0, session="holds")
    hall.sell(3, session="pays")
    cancel_in_portions(hall)
    line = hall.log(ORDER_LOG)[-1]
    assert line.metadata == {
        "function": "cancel_show_portion",
        "staff": CLERK,
        "holds_ended": 1,
        "orders_cancelled": 0,
        "orders_refunded": 1,
    }
    assert [line.event_type for line in hall.log()][-2:] == ["released", "refunded"]
    assert hall.log()[-1].metadata == {"staff": CLERK}


def test_a_hold_that_was_over_has_expired(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.let_run_out(hold)
    cancel_in_portions(hall)
    assert hall.reservation(hold).status == "expired"


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_open_orders_whose_hold_has_ended_are_cancelled_too(hall: Hall, status: str) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    if status == "failed":
        hall.fail(order)
    hall.let_run_out(hold)
    hall.clean_up()
    _, answer = cancel_in_portions(hall)
    assert answer[1:5] == (0, 1, 0, True)
    assert order_row(hall, order).cancel_reason == "show_cancelled"
    assert hall.pay(order).status == "refund_due"


def test_orders_of_other_shows_stay_as_they_are(hall: Hall) -> None:
    elsewhere = make_hall(hall.connection)
    elsewhere.order(elsewhere.hold(0))
    elsewhere.fail(elsewhere.order(elsewhere.hold(1, session="ben"), "ben"))
    elsewhere.sell(2, session="cleo")
    before = elsewhere.log(ORDER_LOG), elsewhere.statuses()
    hall.sell(0)
    cancel_in_portions(hall)
    assert (elsewhere.log(ORDER_LOG), elsewhere.statuses()) == before


def test_what_was_refunded_before_is_not_owed_twice(hall: Hall) -> None:
    order, gone = hall.sell(0, 1), hall.sell(2, session="ben")
    cancel(hall, ticket_ids(hall, order)[:1])
    hall.refund(gone)
    cancel_in_portions(hall)
    assert owed(hall) == [
        ("tickets_cancelled", "due", 1000),
        ("tickets_cancelled", "done", 1200),
        ("show_cancelled", "due", 1100),
    ]


def test_a_free_order_is_refunded_and_nothing_is_owed(hall: Hall) -> None:
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 0")
    order = hall.sell(0)
    cancel_in_portions(hall)
    assert (state_of(hall, order), owed(hall)) == (("refunded", 0), [])


def test_portions_are_as_large_as_wanted(hall: Hall) -> None:
    for number in range(7):
        hall.sell(number, session=f"buyer {number}")
    answers = cancel_in_portions(hall, limit=3)
    assert [answer.orders_refunded for answer in answers] == [0, 3, 3, 1]
    assert [answer.is_done for answer in answers] == [False, False, False, True]


def test_a_payment_that_comes_in_meanwhile_is_owed(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    portion(hall)
    assert hall.pay(order).status == "refund_due"
    assert owed(hall) == [("show_cancelled", "due", 1000)]
    cancel_in_portions(hall)
    assert state_of(hall, order) == ("refund_due", 0)
    assert return_money(hall, refunds(hall)[0].id).status == "refunded"


def test_a_show_that_is_wound_up_is_done_at_once_and_leaves_no_line(hall: Hall) -> None:
    hall.sell(0)
    cancel_in_portions(hall)
    before = tables(hall.connection)
    assert portion(hall) == (True, 0, 0, 0, True, None, None)
    assert tables(hall.connection) == before


def test_a_show_that_was_cancelled_by_hand_is_wound_up(hall: Hall) -> None:
    hall.sell(0)
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    assert portion(hall)[1:5] == (0, 0, 1, True)


# refusals


def refuse(hall: Hall, code: str, **more: Any) -> Any:
    refusal = hall.refuse(code, "cancel_show_portion", **staffed(hall) | more)
    assert refusal.answer[1:5] == (None, None, None, None)
    return refusal


def test_a_show_that_is_not_there_is_not_found(hall: Hall) -> None:
    refuse(hall, "NOT_FOUND", p_show_id=uuid.uuid4())
    refuse(hall, "NOT_FOUND", p_show_id=None)


@pytest.mark.parametrize(
    "changed",
    [
        {"p_staff": None},
        {"p_staff": ""},
        {"p_staff": "x" * 201},
        {"p_limit": None},
        {"p_limit": 0},
        {"p_limit": 10_001},
    ],
    ids=str,
)
def test_input_that_makes_no_sense_is_refused(hall: Hall, changed: dict[str, Any]) -> None:
    refuse(hall, "INVALID_INPUT", **changed)
    assert show_of(hall) == "on_sale"


@pytest.mark.parametrize("table", ["shows", "tickets", "seat_reservations"])
def test_an_unexpected_error_is_an_answer_and_leaves_all_as_it_was(hall: Hall, table: str) -> None:
    hall.hold(1, session="ben")
    hall.sell(0)
    if table != "shows":
        portion(hall)
    sabotage(hall.connection, table, "UPDATE")
    assert refuse(hall, "INTERNAL_ERROR").line.metadata["sqlstate"] == "22012"


# the procedure, and others beside it


@pytest.fixture
def stage(connect: Connect) -> Iterator[Hall]:
    """A hall that is committed. After the test no invariant is broken."""
    made = make_hall(connect(), seats=12)
    yield made
    assert broken_invariants(made.connection) == []
    reckon(made.connection)


def call(hall: Hall, **more: Any) -> Row:
    arguments = staffed(hall) | more
    return hall.connection.execute(
        "CALL cancel_show(%(p_show_id)s, %(p_staff)s)", arguments
    ).fetchone()


def sell_each(hall: Hall, count: int) -> list[Row]:
    return [hall.sell(number, session=f"buyer {number}") for number in range(count)]


def test_the_procedure_does_all_of_it_and_says_what_it_did(stage: Hall) -> None:
    sell_each(stage, 3)
    stage.order(stage.hold(5))
    assert call(stage) == (1, 1, 3)
    assert show_of(stage) == "cancelled"
    assert set(stage.statuses()) == {"available"}
    assert call(stage) == (0, 0, 0)


def test_the_staff_calls_the_procedure(stage: Hall) -> None:
    sell_each(stage, 2)
    stage.connection.execute(f'SET ROLE "{NAMES.box_office_role}"')
    assert call(stage) == (0, 0, 2)
    stage.connection.execute("RESET ROLE")


def test_within_a_transaction_it_does_nothing_but_the_function_works(stage: Hall) -> None:
    sell_each(stage, 2)
    with (
        pytest.raises(psycopg.errors.InvalidTransactionTermination),
        stage.connection.transaction(),
    ):
        call(stage)
    assert show_of(stage) == "on_sale"
    with stage.connection.transaction():
        cancel_in_portions(stage)
    assert set(stage.statuses()) == {"available"}


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"p_show_id": uuid.UUID(int=7)}, psycopg.errors.NoDataFound),
        ({"p_staff": " "}, psycopg.errors.InvalidParameterValue),
    ],
)
def test_a_refusal_is_an_error_of_the_procedure_and_its_line_stays(
    stage: Hall, changed: dict[str, Any], error: type[psycopg.Error]
) -> None:
    with pytest.raises(error):
        call(stage, **changed)
    count = "SELECT count(*) FROM ticket_order_audit_log WHERE error_code IS NOT NULL"
    assert value(stage.connection, count) == 1


LOCKS = {
    "a reservation": "SELECT FROM seat_reservations WHERE session_id = 'buyer 0' FOR UPDATE",
    "an order": "SELECT FROM ticket_orders WHERE total_amount_in_cents = 1000 FOR UPDATE",
    "a seat": "SELECT FROM show_seats WHERE price_in_cents = 1000 FOR UPDATE",
}


@pytest.mark.parametrize("locked", LOCKS)
def test_what_is_locked_is_left_until_the_rest_is_done_and_is_busy_then(
    stage: Hall, connect: Connect, locked: str
) -> None:
    orders = sell_each(stage, 4)
    other: Connection = enter(connect())
    with other.transaction():
        other.execute(LOCKS[locked].encode())
        with pytest.raises(psycopg.errors.LockNotAvailable) as caught:
            call(stage)
        assert caught.value.diag.message_detail == "BUSY"
        assert "again" in (caught.value.diag.message_hint or "")
        assert [state_of(stage, order)[0] for order in orders] == ["paid", *["refunded"] * 3]
    assert call(stage) == (0, 0, 1)


def test_a_pending_order_without_a_hold_that_is_locked_is_busy_then_done(
    stage: Hall, connect: Connect
) -> None:
    hold = stage.hold(0)
    stage.order(hold)
    stage.let_run_out(hold)
    stage.clean_up()
    other: Connection = enter(connect())
    with other.transaction():
        other.execute("SELECT FROM ticket_orders FOR UPDATE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            call(stage)
    assert call(stage) == (0, 1, 0)


def overdue_order(stage: Hall) -> Row:
    """An order that the cleanup has cancelled, and which may still be paid."""
    hold = stage.hold(0)
    order = stage.order(hold)
    stage.let_run_out(hold)
    stage.clean_up()
    stage.connection.execute(
        "UPDATE ticket_orders SET status = 'cancelled', cancel_reason = 'overdue'"
    )
    return order


def test_a_late_payment_that_saw_the_show_on_sale_is_refunded_or_refused(
    stage: Hall, connect: Connect
) -> None:
    """It takes its seats again behind the back of who cancels, unless one waits for the other."""
    order = overdue_order(stage)
    other = replace(stage, connection=enter(connect()))
    other.connection.execute("BEGIN")
    assert other.pay(order).status == "paid"
    assert portion(stage).error_code == "BUSY"
    other.connection.execute("COMMIT")
    assert call(stage) == (0, 0, 1)


def test_a_late_payment_with_an_old_snapshot_has_to_try_again(
    stage: Hall, connect: Connect
) -> None:
    order = overdue_order(stage)
    other = replace(stage, connection=enter(connect()))
    other.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    other.connection.execute("SELECT FROM shows")
    call(stage)
    with pytest.raises(psycopg.errors.SerializationFailure):
        other.pay(order)
    other.connection.execute("ROLLBACK")
    assert stage.pay(order).status == "refund_due"
    assert tickets(stage, order) == []
    assert changes(stage)[-1] == ("cancelled", "refund_due")
