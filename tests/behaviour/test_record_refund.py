"""record_refund: the money of a due refund has gone back."""

import uuid
from typing import Any
from uuid import UUID

import pytest

from tests.support.hall import Hall
from tests.support.logs import ORDER_LOG
from tests.support.money import (
    CLERK,
    cancel,
    dispute,
    order_row,
    owed,
    refund_of,
    refunds,
    return_money,
    state_of,
    ticket_ids,
)
from tests.support.orders import bring_to, changes, now
from tests.support.queries import Row, tables, value
from tests.support.sabotage import sabotage


def cancelled(hall: Hall) -> tuple[Row, UUID]:
    """An order of two tickets, and the refund of the first."""
    order = hall.sell(0, 1)
    return order, cancel(hall, ticket_ids(hall, order)[:1]).refund_ids[0]


def test_a_refund_whose_money_has_gone_back_is_done(hall: Hall) -> None:
    order, refund_id = cancelled(hall)
    answer = return_money(hall, refund_id)
    assert answer == (True, refund_id, order.order_id, "paid", 1000, "EUR", None, None)
    assert answer._fields == (
        "success",
        "refund_id",
        "order_id",
        "status",
        "amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    )
    (row,) = refunds(hall)
    assert (row.status, row.done_at) == ("done", now(hall))
    assert state_of(hall, order) == ("paid", 1000)


def test_the_event_is_on_record_with_its_amount(hall: Hall) -> None:
    order, refund_id = cancelled(hall)
    return_money(hall, refund_id, "re_9")
    event = hall.connection.execute("SELECT * FROM payment_events WHERE kind = 'refund'").fetchone()
    assert event is not None
    assert (event.provider, event.event_id, event.order_id) == ("stripe", "re_9", order.order_id)
    assert (event.amount_in_cents, event.success, event.order_status) == (1000, True, "paid")
    assert (event.refund_id, event.ticket_ids) == (refund_id, [])


@pytest.mark.parametrize("staff", [None, CLERK])
def test_it_has_one_line_in_the_log_of_orders_which_is_no_payment_report(
    hall: Hall, staff: str | None
) -> None:
    order, refund_id = cancelled(hall)
    payments = "SELECT sum(payments)::integer FROM order_metrics('-infinity')"
    before, count = hall.log(ORDER_LOG), value(hall.connection, payments)
    return_money(hall, refund_id, p_staff=staff)
    (line,) = hall.log(ORDER_LOG)[len(before) :]
    assert (line.order_id, line.old_status, line.new_status) == (order.order_id, "paid", None)
    assert (line.amount_in_cents, line.currency, line.payment_provider) == (1000, "EUR", "stripe")
    expected = {"function": "record_refund", "event_id": "re_1", "refund_id": str(refund_id)}
    assert line.metadata == expected | ({"staff": CLERK} if staff else {})
    assert value(hall.connection, payments) == count


def test_an_order_that_bought_no_tickets_is_refunded_with_its_own_payment(hall: Hall) -> None:
    order = bring_to(hall, "refund_due")
    hall.pay(order, event="evt_twice")
    own, twice = refunds(hall)
    assert return_money(hall, twice.id, "re_twice").status == "refund_due"
    assert state_of(hall, order) == ("refund_due", 0)
    assert return_money(hall, own.id, "re_own").status == "refunded"
    assert state_of(hall, order) == ("refunded", 1000)
    assert ("refund_due", "refunded") in changes(hall)
    assert order_row(hall, order).paid_at is not None


def test_so_is_one_that_was_paid_when_the_show_was_cancelled(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    hall.pay(order)
    (row,) = refunds(hall)
    assert return_money(hall, row.id).status == "refunded"


# repeats


def test_a_repeated_event_gets_the_first_answer_and_changes_nothing(hall: Hall) -> None:
    order, refund_id = cancelled(hall)
    first = return_money(hall, refund_id)
    hall.refund(order)
    before = tables(hall.connection)
    assert return_money(hall, refund_id) == first
    assert tables(hall.connection) == before


def refuse(hall: Hall, code: str, refund_id: UUID | None, event: str = "re_1", **more: Any) -> Any:
    return hall.refuse(code, "record_refund", **refund_of(hall, refund_id, event) | more)


def test_another_event_for_money_that_has_gone_back_is_refused(hall: Hall) -> None:
    order, refund_id = cancelled(hall)
    return_money(hall, refund_id)
    refusal = refuse(hall, "ALREADY_REFUNDED", refund_id, "re_2")
    assert refusal.answer[1:4] == (refund_id, order.order_id, "paid")


def test_so_is_an_event_for_what_a_bank_has_taken_back(hall: Hall) -> None:
    order, refund_id = cancelled(hall)
    assert dispute(hall, order, 1000, "x").refund_id == refund_id
    refuse(hall, "ALREADY_REFUNDED", refund_id, "x")


def test_an_event_that_settled_another_refund_of_the_order_is_refused(hall: Hall) -> None:
    order, refund_id = cancelled(hall)
    other = cancel(hall, ticket_ids(hall, order)[1:]).refund_ids[0]
    return_money(hall, refund_id)
    refuse(hall, "EVENT_MISMATCH", other)
    assert owed(hall) == [("tickets_cancelled", "done", 1000), ("tickets_cancelled", "due", 1100)]
    assert return_money(hall, other, "re_2").success


def test_one_event_may_settle_refunds_of_two_orders(hall: Hall) -> None:
    _, one = cancelled(hall)
    two = cancel(hall, ticket_ids(hall, hall.sell(5, session="ben"))).refund_ids[0]
    assert return_money(hall, one).success
    assert return_money(hall, two).success


# refusals


def test_a_refund_that_is_not_there_is_not_found(hall: Hall) -> None:
    _, refund_id = cancelled(hall)
    refuse(hall, "NOT_FOUND", uuid.uuid4())
    refuse(hall, "NOT_FOUND", None)
    refuse(hall, "NOT_FOUND", refund_id, p_show_id=uuid.uuid4())


@pytest.mark.parametrize(
    "changed",
    [
        {"p_provider": None},
        {"p_provider": " "},
        {"p_provider": "x" * 201},
        {"p_event_id": None},
        {"p_event_id": ""},
        {"p_event_id": "x" * 201},
        {"p_staff": " "},
        {"p_staff": "x" * 201},
    ],
    ids=str,
)
def test_input_that_makes_no_sense_is_refused(hall: Hall, changed: dict[str, Any]) -> None:
    _, refund_id = cancelled(hall)
    refuse(hall, "INVALID_INPUT", refund_id, **changed)


@pytest.mark.parametrize(
    ("table", "event"),
    [("refunds", "UPDATE"), ("ticket_orders", "UPDATE"), ("payment_events", "INSERT")],
)
def test_an_unexpected_error_is_an_answer_and_leaves_it_due(
    hall: Hall, table: str, event: str
) -> None:
    _, refund_id = cancelled(hall)
    sabotage(hall.connection, table, event)
    line = refuse(hall, "INTERNAL_ERROR", refund_id).line
    assert line.metadata["sqlstate"] == "22012"
