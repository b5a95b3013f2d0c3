"""record_dispute: a bank has taken money back."""

import uuid
from typing import Any

import pytest

from tests.support.hall import Hall
from tests.support.logs import ORDER_LOG
from tests.support.money import (
    CLERK,
    cancel,
    check_in,
    dispute,
    dispute_of,
    owed,
    refunds,
    state_of,
    ticket_ids,
)
from tests.support.orders import bring_to, tickets
from tests.support.queries import tables, value
from tests.support.sabotage import sabotage


def test_a_disputed_order_loses_its_tickets_and_its_seats_are_free(hall: Hall) -> None:
    order = hall.sell(0, 1)
    answer = dispute(hall, order, 2100)
    (row,) = refunds(hall)
    assert answer == (True, order.order_id, "refunded", row.id, 2, None, None)
    assert answer._fields == (
        "success",
        "order_id",
        "status",
        "refund_id",
        "tickets_cancelled",
        "error_code",
        "error_message",
    )
    assert hall.statuses(0, 1) == ["available", "available"]
    assert [ticket.status for ticket in tickets(hall, order)] == ["refunded", "refunded"]
    assert (row.reason, row.status, row.amount_in_cents) == ("dispute", "done", 2100)
    assert row.ticket_ids == sorted(ticket_ids(hall, order))
    assert row.payment_event_id == f"evt_{order.order_id}"
    assert state_of(hall, order) == ("refunded", 2100)


def test_what_is_left_of_an_order_is_disputed(hall: Hall) -> None:
    order = hall.sell(0, 1)
    cancel(hall, ticket_ids(hall, order)[:1])
    assert dispute(hall, order, 1100).tickets_cancelled == 1
    assert owed(hall) == [("tickets_cancelled", "due", 1000), ("dispute", "done", 1100)]


def test_money_that_is_due_anyway_is_not_paid_twice(hall: Hall) -> None:
    order = hall.sell(0, 1)
    cancel(hall, ticket_ids(hall, order)[:1])
    answer = dispute(hall, order, 1000)
    (row,) = refunds(hall)
    assert (answer.refund_id, answer.tickets_cancelled, answer.status) == (row.id, 0, "paid")
    assert owed(hall) == [("tickets_cancelled", "done", 1000)]
    assert hall.statuses(1) == ["sold"]


def test_of_two_equal_amounts_that_are_due_the_older_is_settled(hall: Hall) -> None:
    order = hall.sell(0)
    hall.pay(order, event="evt_2")
    hall.pay(order, event="evt_3")
    first, second = refunds(hall)
    assert dispute(hall, order, 1000, "dp_1").refund_id == first.id
    assert dispute(hall, order, 1000, "dp_2").refund_id == second.id
    assert dispute(hall, order, 1000, "dp_3").tickets_cancelled == 1


def test_an_order_that_bought_no_tickets_is_refunded_by_a_dispute(hall: Hall) -> None:
    order = bring_to(hall, "refund_due")
    assert dispute(hall, order, 1000).status == "refunded"
    assert state_of(hall, order) == ("refunded", 1000)
    assert owed(hall) == [("late_payment", "done", 1000)]


def test_the_event_and_its_line_are_on_record(hall: Hall) -> None:
    order = hall.sell(0)
    payments = "SELECT sum(payments)::integer FROM order_metrics('-infinity')"
    before, count = len(hall.log(ORDER_LOG)), value(hall.connection, payments)
    answer = dispute(hall, order, 1000, p_staff=CLERK)
    event = hall.connection.execute(
        "SELECT * FROM payment_events WHERE kind = 'dispute'"
    ).fetchone()
    assert event is not None
    assert (event.amount_in_cents, event.order_status) == (1000, "refunded")
    assert (event.refund_id, event.ticket_ids) == (answer.refund_id, ticket_ids(hall, order))
    change, line = hall.log(ORDER_LOG)[before:]
    assert (change.old_status, change.new_status) == ("paid", "refunded")
    assert (line.new_status, line.amount_in_cents, line.error_code) == (None, 1000, None)
    assert line.metadata == {
        "function": "record_dispute",
        "event_id": "dp_1",
        "refund_id": str(answer.refund_id),
        "staff": CLERK,
    }
    assert hall.log()[-1].metadata == {"staff": CLERK}
    assert value(hall.connection, payments) == count


def test_without_staff_the_line_about_the_seats_names_none(hall: Hall) -> None:
    order = hall.sell(0, 1)
    check_in(hall, ticket_ids(hall, order)[0])
    dispute(hall, order, 2100)
    assert hall.statuses(0, 1) == ["blocked", "available"]
    assert hall.log()[-1].metadata == {"blocked_seat_ids": [str(hall.seats[0])]}


def test_a_repeated_event_gets_the_first_answer_and_changes_nothing(hall: Hall) -> None:
    order = hall.sell(0, 1)
    cancel(hall, ticket_ids(hall, order)[:1])
    first, second = dispute(hall, order, 1000, "dp_1"), dispute(hall, order, 1100, "dp_2")
    before = tables(hall.connection)
    assert dispute(hall, order, 1000, "dp_1") == first
    assert dispute(hall, order, 1100, "dp_2") == second
    assert tables(hall.connection) == before


# refusals


def refuse(hall: Hall, code: str, order: Any, amount: int | None, **more: Any) -> Any:
    return hall.refuse(code, "record_dispute", **dispute_of(hall, order, amount) | more)


@pytest.mark.parametrize("amount", [1, 1000, 1099, 2101])
def test_an_amount_that_is_neither_due_nor_in_tickets_is_refused_until_tickets_are_cancelled(
    hall: Hall, amount: int
) -> None:
    order = hall.sell(0, 1)
    refusal = refuse(hall, "AMOUNT_MISMATCH", order, amount)
    assert refusal.answer[1:5] == (order.order_id, "paid", None, None)
    assert refusal.line.amount_in_cents == amount
    # Nothing is stored: the event can be sent again.
    cancel(hall, ticket_ids(hall, order)[:1])
    assert dispute(hall, order, amount).success == (amount == 1000)


@pytest.mark.parametrize("status", ["pending", "failed", "cancelled", "refunded"])
def test_an_order_without_money_cannot_be_disputed(hall: Hall, status: str) -> None:
    refuse(hall, "AMOUNT_MISMATCH", bring_to(hall, status), 1000)


def test_an_event_that_comes_again_with_another_amount_is_refused(hall: Hall) -> None:
    order = hall.sell(0, 1)
    cancel(hall, ticket_ids(hall, order)[:1])
    dispute(hall, order, 1000)
    refuse(hall, "EVENT_MISMATCH", order, 1100)


def test_an_order_that_is_not_there_is_not_found(hall: Hall) -> None:
    order = hall.sell(0)
    refuse(hall, "NOT_FOUND", order, 1000, p_order_id=uuid.uuid4())
    refuse(hall, "NOT_FOUND", order, 1000, p_order_id=None)
    refuse(hall, "NOT_FOUND", order, 1000, p_show_id=uuid.uuid4())


@pytest.mark.parametrize(
    "changed",
    [
        {"p_provider": None},
        {"p_provider": "x" * 201},
        {"p_event_id": " "},
        {"p_event_id": "x" * 201},
        {"p_amount_in_cents": None},
        {"p_amount_in_cents": 0},
        {"p_amount_in_cents": -1},
        {"p_staff": ""},
        {"p_staff": "x" * 201},
    ],
    ids=str,
)
def test_input_that_makes_no_sense_is_refused(hall: Hall, changed: dict[str, Any]) -> None:
    refuse(hall, "INVALID_INPUT", hall.sell(0), 1000, **changed)


@pytest.mark.parametrize(
    ("table", "event"), [("tickets", "UPDATE"), ("refunds", "INSERT"), ("payment_events", "INSERT")]
)
def test_an_unexpected_error_is_an_answer_and_takes_nothing_back(
    hall: Hall, table: str, event: str
) -> None:
    order = hall.sell(0)
    sabotage(hall.connection, table, event)
    assert refuse(hall, "INTERNAL_ERROR", order, 1000).line.metadata["sqlstate"] == "22012"
