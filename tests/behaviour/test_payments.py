"""confirm_payment and fail_payment: events of a payment provider, in time and refused."""

import re
import uuid
from typing import Any
from uuid import UUID

import pytest

from tests.support.hall import NIL, Hall, make_hall
from tests.support.logs import ORDER_LOG
from tests.support.orders import (
    MEGABYTE,
    bring_to,
    changes,
    failure_of,
    now,
    payment_of,
    tickets,
)
from tests.support.queries import tables, value
from tests.support.sabotage import sabotage


def test_a_payment_in_time_sells_the_seats(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    answer = hall.pay(order)
    issued = tickets(hall, order)
    assert answer == (
        True,
        order.order_id,
        "paid",
        sorted(ticket.id for ticket in issued),
        None,
        None,
    )
    assert answer._fields == (
        "success",
        "order_id",
        "status",
        "ticket_ids",
        "error_code",
        "error_message",
    )
    assert hall.statuses(0, 1, 2) == ["sold", "sold", "available"]
    assert hall.row("show_seats", hall.seats[0]).reserved_by is None
    reservation = hall.reservation(hold)
    assert reservation.status == "completed"
    assert reservation.created_at < reservation.ended_at


def test_a_ticket_is_issued_for_each_seat_with_a_code_of_its_own(hall: Hall) -> None:
    order = hall.order(hall.hold(0, 1))
    hall.pay(order)
    issued = tickets(hall, order)
    assert [(t.show_seat_id, t.price_in_cents, t.currency, t.status) for t in issued] == [
        (hall.seats[0], 1000, "EUR", "valid"),
        (hall.seats[1], 1100, "EUR", "valid"),
    ]
    assert len({ticket.ticket_code for ticket in issued}) == 2
    assert all(re.fullmatch("[0-9A-F]{32}", ticket.ticket_code) for ticket in issued)


def test_a_payment_leaves_a_line_in_both_logs(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.connection.execute("UPDATE seat_reservations SET created_at = now() - interval '45 s'")
    order = hall.order(hold)
    hall.pay(order)
    completed = hall.log()[-1]
    assert (completed.event_type, completed.reservation_id) == ("completed", hold.reservation_id)
    assert (completed.seat_count, completed.metadata) == (2, {})
    assert completed.hold_seconds == pytest.approx(45, abs=30)
    assert set(completed.seat_ids) == set(hall.ids(0, 1))
    assert changes(hall) == [(None, "pending"), ("pending", "paid")]
    paid = hall.log(ORDER_LOG)[-1]
    assert (paid.order_id, paid.reservation_id) == (order.order_id, hold.reservation_id)
    assert (paid.amount_in_cents, paid.currency, paid.payment_provider) == (2100, "EUR", "stripe")


def test_a_payment_is_stored_with_its_answer(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    answer = hall.pay(order, event="evt_1")
    (event,) = hall.connection.execute("SELECT * FROM payment_events").fetchall()
    assert (event.provider, event.event_id, event.show_id) == ("stripe", "evt_1", hall.show_id)
    assert (event.order_id, event.kind, event.amount_in_cents) == (order.order_id, "payment", 1000)
    assert (event.success, event.order_status) == (True, "paid")
    assert (event.ticket_ids, event.error_code) == (answer.ticket_ids, None)
    paid = hall.row("ticket_orders", order.order_id)
    assert (paid.paid_at, paid.payment_provider) == (now(hall), "stripe")


def test_the_order_names_the_provider_that_was_paid_and_not_the_one_that_was_meant(
    hall: Hall,
) -> None:
    order = hall.order(hall.hold(0), p_payment_provider="adyen")
    hall.pay(order)
    assert hall.row("ticket_orders", order.order_id).payment_provider == "stripe"


def test_a_repeated_payment_gets_the_first_answer_and_changes_nothing(hall: Hall) -> None:
    order = hall.order(hall.hold(0, 1))
    first = hall.pay(order)
    before = tables(hall.connection)
    assert hall.pay(order) == first
    assert tables(hall.connection) == before


def test_a_repeated_payment_gets_the_first_answer_even_after_the_refund(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    first = hall.pay(order)
    hall.refund(order)
    assert hall.pay(order) == first
    assert hall.statuses(0) == ["available"]


def test_a_repeated_refusal_is_the_first_refusal_and_changes_nothing(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    first = hall.pay(order, amount=1)
    before = tables(hall.connection)
    assert hall.pay(order, amount=1) == first
    assert first.error_code == "AMOUNT_MISMATCH"
    assert tables(hall.connection) == before


def test_events_of_different_providers_are_different_events(hall: Hall) -> None:
    first = hall.order(hall.hold(0))
    second = hall.order(hall.hold(1, session="ben"), session="ben")
    hall.pay(first, event="1")
    answer = hall.call(
        "confirm_payment", **payment_of(hall, second, p_provider="adyen", p_event_id="1")
    )
    assert (answer.order_id, answer.status) == (second.order_id, "paid")


def test_a_hold_of_a_show_that_was_closed_meanwhile_can_still_be_paid(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    hall.connection.execute("UPDATE shows SET status = 'closed'")
    assert hall.pay(order).status == "paid"


@pytest.mark.parametrize(
    "amount", [0, 999, 1001, -1000, None, 2**63 - 1, -(2**63)], ids=lambda value: f"{value} cents"
)
def test_an_amount_that_does_not_match_is_refused_and_kept(hall: Hall, amount: int | None) -> None:
    order = hall.order(hall.hold(0))
    refusal = hall.refuse(
        "AMOUNT_MISMATCH",
        "confirm_payment",
        stores_event=True,
        stores_refund=(amount or 0) > 0,
        **payment_of(hall, order, p_amount_in_cents=amount),
    )
    assert refusal.answer[1:4] == (order.order_id, "pending", [])
    line = refusal.line
    assert (line.order_id, line.amount_in_cents, line.old_status) == (
        order.order_id,
        amount,
        "pending",
    )
    assert (line.payment_provider, line.metadata["event_id"]) == ("stripe", "evt_new")
    (event,) = hall.connection.execute("SELECT * FROM payment_events").fetchall()
    assert (event.success, event.error_code, event.amount_in_cents) == (
        False,
        "AMOUNT_MISMATCH",
        amount,
    )


def test_an_order_can_be_paid_in_full_after_a_wrong_amount(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    hall.pay(order, event="evt_1", amount=1)
    assert hall.pay(order, event="evt_2").status == "paid"


@pytest.mark.parametrize("status", ["paid", "refund_due", "refunded"])
def test_an_order_that_has_its_money_takes_no_more_but_keeps_the_event(
    hall: Hall, status: str
) -> None:
    order = bring_to(hall, status)
    refusal = hall.refuse(
        "ORDER_NOT_PAYABLE",
        "confirm_payment",
        stores_event=True,
        stores_refund=True,
        **payment_of(hall, order),
    )
    assert refusal.answer[1:4] == (order.order_id, status, [])
    assert (refusal.line.old_status, refusal.line.amount_in_cents) == (status, 1000)


ORDER_CALLS: dict[str, dict[str, Any]] = {
    "confirm_payment": {"p_provider": "stripe", "p_event_id": "evt", "p_amount_in_cents": 1000},
    "fail_payment": {"p_provider": "stripe", "p_event_id": "evt", "p_error_message": "declined"},
    "refund_order": {},
}


@pytest.mark.parametrize("which", ["of nobody", "of another show", "missing", "without a show"])
@pytest.mark.parametrize("function", ORDER_CALLS)
def test_an_order_that_is_not_there_is_not_found_and_the_event_not_stored(
    hall: Hall, function: str, which: str
) -> None:
    order = hall.order(hall.hold(0))
    elsewhere = make_hall(hall.connection)
    show_id, order_id = {
        "of nobody": (hall.show_id, uuid.uuid4()),
        "of another show": (elsewhere.show_id, order.order_id),
        "missing": (hall.show_id, None),
        "without a show": (None, order.order_id),
    }[which]
    refusal = hall.refuse(
        "NOT_FOUND", function, p_show_id=show_id, p_order_id=order_id, **ORDER_CALLS[function]
    )
    assert refusal.answer[1:3] == (None, None)
    assert (refusal.line.show_id, refusal.line.order_id) == (show_id or NIL, order_id)


def test_an_event_that_came_before_its_order_is_accepted_when_it_comes_again(hall: Hall) -> None:
    hold = hall.hold(0)
    order_id = uuid.uuid4()
    event = {"p_provider": "stripe", "p_event_id": "evt_1", "p_amount_in_cents": 1000}
    early = hall.call("confirm_payment", p_show_id=hall.show_id, p_order_id=order_id, **event)
    assert early.error_code == "NOT_FOUND"
    order = hall.order(hold)
    answer = hall.call(
        "confirm_payment", p_show_id=hall.show_id, p_order_id=order.order_id, **event
    )
    assert answer.status == "paid"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"p_provider": None}, id="no provider"),
        pytest.param({"p_provider": " "}, id="a blank provider"),
        pytest.param({"p_provider": MEGABYTE}, id="a provider of a megabyte"),
        pytest.param({"p_event_id": None}, id="no event"),
        pytest.param({"p_event_id": ""}, id="an empty event"),
        pytest.param({"p_event_id": "x" * 201}, id="an event that is too long"),
        pytest.param({"p_event_id": MEGABYTE}, id="an event of a megabyte"),
    ],
)
@pytest.mark.parametrize("function", ["confirm_payment", "fail_payment"])
def test_an_event_without_a_name_is_invalid_input(
    hall: Hall, function: str, changed: dict[str, Any]
) -> None:
    order = hall.order(hall.hold(0))
    good = (payment_of if function == "confirm_payment" else failure_of)(hall, order)
    refusal = hall.refuse("INVALID_INPUT", function, **good | changed)
    line = refusal.line
    assert (line.show_id, line.order_id) == (hall.show_id, order.order_id)
    provider, event = (good | changed)["p_provider"], (good | changed)["p_event_id"]
    assert line.payment_provider == (provider and provider[:200])
    assert line.metadata["event_id"] == (event and event[:200])


@pytest.mark.parametrize(
    ("function", "given"),
    [
        ("confirm_payment", ["p_provider", "p_event_id", "p_amount_in_cents"]),
        ("fail_payment", ["p_provider", "p_event_id", "p_error_message"]),
    ],
)
def test_a_call_of_nothing_but_nulls_is_invalid_input(
    hall: Hall, function: str, given: list[str]
) -> None:
    nulls: dict[str, Any] = dict.fromkeys(["p_show_id", "p_order_id", *given])
    refusal = hall.refuse("INVALID_INPUT", function, **nulls)
    assert refusal.line.show_id == NIL


def test_a_failed_payment_is_recorded_and_the_hold_goes_on(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    answer = hall.fail(order)
    assert answer == (True, order.order_id, "failed", None, None)
    assert answer._fields == ("success", "order_id", "status", "error_code", "error_message")
    failed = hall.row("ticket_orders", order.order_id)
    assert (failed.status, failed.error_message, failed.paid_at) == ("failed", "declined", None)
    assert hall.statuses(0) == ["reserved"]
    assert hall.reservation(hold).expires_at == hold.expires_at
    (event,) = hall.connection.execute("SELECT * FROM payment_events").fetchall()
    assert (event.kind, event.amount_in_cents, event.order_status) == ("failure", None, "failed")


def test_a_failed_payment_leaves_a_line_that_says_why(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    hall.fail(order)
    assert changes(hall) == [(None, "pending"), ("pending", "failed")]
    line = hall.log(ORDER_LOG)[-1]
    assert (line.error_message, line.error_code) == ("declined", None)
    assert (line.order_id, line.payment_provider) == (order.order_id, "stripe")


def test_a_repeated_failure_gets_the_first_answer_and_changes_nothing(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    first = hall.fail(order)
    before = tables(hall.connection)
    assert hall.fail(order, message="something else") == first
    assert tables(hall.connection) == before


def test_a_second_failure_of_an_order_is_another_event_with_another_reason(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    hall.fail(order, event="evt_1")
    assert hall.fail(order, event="evt_2", message="stolen").status == "failed"
    assert hall.row("ticket_orders", order.order_id).error_message == "stolen"
    assert value(hall.connection, "SELECT count(*) FROM payment_events") == 2


def test_a_failed_order_can_be_paid_after_all(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    hall.fail(order)
    assert hall.pay(order).status == "paid"
    assert changes(hall) == [(None, "pending"), ("pending", "failed"), ("failed", "paid")]


def test_a_failed_order_is_followed_by_a_new_one(hall: Hall) -> None:
    hold = hall.hold(0)
    first = hall.order(hold)
    hall.fail(first)
    second = hall.order(hold)
    assert second.order_id != first.order_id
    assert hall.pay(second).status == "paid"
    assert hall.row("ticket_orders", first.order_id).status == "cancelled"


@pytest.mark.parametrize("message", [None, "", MEGABYTE], ids=["none", "empty", "a megabyte"])
def test_a_failure_may_have_any_reason(hall: Hall, message: str | None) -> None:
    order = hall.order(hall.hold(0))
    assert hall.fail(order, message=message).status == "failed"
    stored = hall.row("ticket_orders", order.order_id).error_message
    assert stored == (message and message[:10_000])
    assert hall.log(ORDER_LOG)[-1].error_message == stored


@pytest.mark.parametrize("status", ["paid", "cancelled", "refund_due", "refunded"])
def test_the_failure_of_an_order_that_is_settled_is_refused_and_kept(
    hall: Hall, status: str
) -> None:
    order = bring_to(hall, status)
    refusal = hall.refuse(
        "ORDER_NOT_PAYABLE", "fail_payment", stores_event=True, **failure_of(hall, order)
    )
    assert refusal.answer[1:3] == (order.order_id, status)
    assert refusal.line.old_status == status
    repeated = hall.call("fail_payment", **failure_of(hall, order))
    assert repeated == refusal.answer


@pytest.mark.parametrize(
    ("table", "event"),
    [
        ("tickets", "INSERT"),
        ("payment_events", "INSERT"),
        ("show_seats", "UPDATE"),
        ("ticket_orders", "UPDATE"),
        ("seat_reservations", "UPDATE"),
    ],
)
def test_an_unexpected_error_while_paying_sells_nothing_and_the_next_attempt_may_succeed(
    hall: Hall, table: str, event: str
) -> None:
    order = hall.order(hall.hold(0))
    sabotage(hall.connection, table, event)
    refusal = hall.refuse("INTERNAL_ERROR", "confirm_payment", **payment_of(hall, order))
    assert refusal.answer[1:4] == (order.order_id, "pending", [])
    assert refusal.line.old_status == "pending"
    assert refusal.line.metadata == {
        "function": "confirm_payment",
        "event_id": "evt_new",
        "sqlstate": "22012",
        "detail": "division by zero",
    }
    hall.connection.execute(f"DROP TRIGGER sabotage ON {table}")
    assert hall.call("confirm_payment", **payment_of(hall, order)).status == "paid"


@pytest.mark.parametrize(
    ("table", "event"), [("ticket_orders", "UPDATE"), ("payment_events", "INSERT")]
)
def test_an_unexpected_error_while_a_payment_fails_is_an_answer(
    hall: Hall, table: str, event: str
) -> None:
    order = hall.order(hall.hold(0))
    sabotage(hall.connection, table, event)
    refusal = hall.refuse("INTERNAL_ERROR", "fail_payment", **failure_of(hall, order))
    assert refusal.answer[1:3] == (order.order_id, "pending")
    assert refusal.line.metadata["sqlstate"] == "22012"


def test_refused_calls_do_not_stop_what_comes_next_in_the_transaction(hall: Hall) -> None:
    hold = hall.hold(0)
    assert not hall.order(hold, session="ben").success
    order = hall.order(hold)
    assert not hall.pay(order, event="evt_1", amount=1).success
    assert not hall.refund(order).success
    assert hall.pay(order, event="evt_2").status == "paid"
    assert not hall.fail(order).success
    assert hall.refund(order).status == "refunded"
    assert [line.error_code for line in hall.log(ORDER_LOG)] == [
        "PERMISSION_DENIED",
        None,
        "AMOUNT_MISMATCH",
        "ORDER_NOT_REFUNDABLE",
        None,
        "ORDER_NOT_PAYABLE",
        None,
    ]


def test_orders_of_two_shows_may_have_the_same_id(hall: Hall) -> None:
    """The key of an order is its id and its show: the same id may stand in two shows."""
    order = hall.order(hall.hold(0))
    elsewhere = make_hall(hall.connection)
    twin = elsewhere.order(elsewhere.hold(0))
    hall.connection.execute(
        "UPDATE ticket_orders SET id = %s WHERE id = %s", [order.order_id, twin.order_id]
    )
    assert hall.pay(order).status == "paid"
    found = dict(
        hall.connection.execute(
            "SELECT show_id, status FROM ticket_orders WHERE id = %s", [order.order_id]
        ).fetchall()
    )
    expected: dict[UUID, str] = {hall.show_id: "paid", elsewhere.show_id: "pending"}
    assert found == expected
