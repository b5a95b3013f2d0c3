"""create_ticket_order: what a reservation costs, and the keys that make it repeatable."""

from typing import Any

import pytest

from tests.support.hall import NIL, Hall, make_hall
from tests.support.logs import ORDER_LOG
from tests.support.orders import (
    MEGABYTE,
    changes,
    now,
    order_of,
)
from tests.support.queries import tables, value
from tests.support.sabotage import sabotage


def test_an_order_asks_for_the_sum_of_the_held_seats(hall: Hall) -> None:
    hold = hall.hold(3, 0)
    answer = hall.order(hold)
    assert answer == (True, answer.order_id, "pending", 1000 + 1300, "EUR", None, None)
    assert answer._fields == (
        "success",
        "order_id",
        "status",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    )
    assert answer.order_id.version == 7


def test_an_order_is_on_record_with_its_seats_and_its_payment(hall: Hall) -> None:
    hold = hall.hold(3, 0)
    answer = hall.order(
        hold, p_idempotency_key="k1", p_payment_provider="stripe", p_payment_intent_id="pi_1"
    )
    order = hall.row("ticket_orders", answer.order_id)
    assert (order.show_id, order.reservation_id) == (hall.show_id, hold.reservation_id)
    assert order.seat_ids == sorted(hall.ids(0, 3))
    assert (order.status, order.total_amount_in_cents, order.currency) == ("pending", 2300, "EUR")
    assert (order.idempotency_key, order.payment_provider, order.payment_intent_id) == (
        "k1",
        "stripe",
        "pi_1",
    )
    assert (order.created_at, order.paid_at, order.error_message) == (now(hall), None, None)


def test_an_order_leaves_one_line_in_its_log_and_none_in_that_of_holds(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold, p_payment_provider="stripe")
    (line,) = hall.log(ORDER_LOG)
    assert (line.order_id, line.reservation_id) == (order.order_id, hold.reservation_id)
    assert (line.old_status, line.new_status) == (None, "pending")
    assert (line.amount_in_cents, line.currency, line.payment_provider) == (1000, "EUR", "stripe")
    assert (line.error_code, line.error_message, line.metadata) == (None, None, {})
    assert hall.events() == ["created"]


def test_a_hold_that_is_ordered_goes_on_as_it_was(hall: Hall) -> None:
    hold = hall.hold(0)
    before = tables(hall.connection)
    hall.order(hold)
    after = tables(hall.connection)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"ticket_orders", ORDER_LOG}


def test_the_same_key_returns_the_same_order_and_changes_nothing(hall: Hall) -> None:
    hold = hall.hold(0)
    first = hall.order(hold, p_idempotency_key="k1")
    before = tables(hall.connection)
    assert hall.order(hold, p_idempotency_key="k1") == first
    assert tables(hall.connection) == before


@pytest.mark.parametrize("status", ["pending", "paid", "failed"])
def test_the_same_key_returns_the_same_order_while_it_has_a_future_or_a_happy_end(
    hall: Hall, status: str
) -> None:
    hold = hall.hold(0)
    first = hall.order(hold, p_idempotency_key="k1")
    if status == "paid":
        hall.pay(first)
    if status == "failed":
        hall.fail(first)
    again = hall.order(hold, p_idempotency_key="k1")
    assert (again.success, again.order_id, again.status) == (True, first.order_id, status)
    assert (again.total_amount_in_cents, again.currency) == (1000, "EUR")


@pytest.mark.parametrize("status", ["cancelled", "refund_due", "refunded"])
def test_the_same_key_does_not_return_an_order_that_is_over_as_a_success(
    hall: Hall, status: str
) -> None:
    hold = hall.hold(0)
    first = hall.order(hold, p_idempotency_key="k1")
    if status == "refunded":
        hall.pay(first)
        hall.refund(first)
    else:
        hall.release(hold)
    if status == "refund_due":
        hall.pay(first)
    refusal = hall.refuse(
        "RESERVATION_INACTIVE", "create_ticket_order", **order_of(hold, p_idempotency_key="k1")
    )
    assert set(refusal.answer[1:5]) == {None}


def test_the_same_key_returns_the_same_order_after_the_hold_is_over(hall: Hall) -> None:
    hold = hall.hold(0)
    first = hall.order(hold, p_idempotency_key="k1")
    hall.let_run_out(hold)
    assert hall.order(hold, p_idempotency_key="k1") == first


@pytest.mark.parametrize("key", [None, "k2"])
def test_a_reservation_has_one_pending_order_whatever_the_key(hall: Hall, key: str | None) -> None:
    hold = hall.hold(0)
    first = hall.order(hold, p_idempotency_key="k1")
    assert hall.order(hold, p_idempotency_key=key) == first
    assert value(hall.connection, "SELECT count(*) FROM ticket_orders") == 1


def test_asking_again_names_the_payment_that_the_buyer_is_about_to_use(hall: Hall) -> None:
    hold = hall.hold(0)
    first = hall.order(hold)
    hall.order(
        hold, p_idempotency_key="k1", p_payment_provider="stripe", p_payment_intent_id="pi_1"
    )
    hall.order(hold, p_payment_provider="adyen", p_payment_intent_id="pi_2")
    order = hall.row("ticket_orders", first.order_id)
    assert (order.idempotency_key, order.payment_provider, order.payment_intent_id) == (
        "k1",
        "adyen",
        "pi_2",
    )
    assert changes(hall) == [(None, "pending")]


def test_a_key_that_was_used_for_another_reservation_is_refused(hall: Hall) -> None:
    hall.order(hall.hold(5, session="ben"), session="ben", p_idempotency_key="k1")
    hold = hall.hold(0)
    refusal = hall.refuse(
        "IDEMPOTENCY_KEY_REUSED", "create_ticket_order", **order_of(hold, p_idempotency_key="k1")
    )
    assert set(refusal.answer[1:5]) == {None}
    assert (refusal.line.order_id, refusal.line.reservation_id) == (None, hold.reservation_id)
    assert (refusal.line.show_id, refusal.line.session_id) == (hall.show_id, "anna")


def test_a_key_of_an_earlier_reservation_of_the_same_session_is_refused_too(hall: Hall) -> None:
    first = hall.hold(0)
    hall.order(first, p_idempotency_key="k1")
    hall.release(first)
    hold = hall.hold(0)
    hall.refuse(
        "IDEMPOTENCY_KEY_REUSED", "create_ticket_order", **order_of(hold, p_idempotency_key="k1")
    )


def test_a_key_cannot_be_given_to_a_pending_order_when_another_has_it(hall: Hall) -> None:
    hall.order(hall.hold(5, session="ben"), session="ben", p_idempotency_key="k1")
    hold = hall.hold(0)
    hall.order(hold)
    hall.refuse(
        "IDEMPOTENCY_KEY_REUSED", "create_ticket_order", **order_of(hold, p_idempotency_key="k1")
    )


def test_a_key_may_be_used_again_in_another_show(hall: Hall) -> None:
    elsewhere = make_hall(hall.connection)
    hall.order(hall.hold(0), p_idempotency_key="k1")
    assert elsewhere.order(elsewhere.hold(0), p_idempotency_key="k1").success


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"p_idempotency_key": ""}, id="an empty key"),
        pytest.param({"p_idempotency_key": "  "}, id="a blank key"),
        pytest.param({"p_idempotency_key": "x" * 201}, id="a key that is too long"),
        pytest.param({"p_idempotency_key": MEGABYTE}, id="a key of a megabyte"),
        pytest.param({"p_payment_provider": MEGABYTE}, id="a provider of a megabyte"),
        pytest.param({"p_payment_intent_id": MEGABYTE}, id="an intent of a megabyte"),
    ],
)
def test_values_that_do_not_fit_are_invalid_input(hall: Hall, changed: dict[str, Any]) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse("INVALID_INPUT", "create_ticket_order", **order_of(hold, **changed))
    assert set(refusal.answer[1:5]) == {None}
    assert refusal.line.reservation_id == hold.reservation_id


@pytest.mark.parametrize("token", [None, "", "0" * 64, pytest.param(MEGABYTE, id="a megabyte")])
def test_there_is_no_order_without_a_reservation(hall: Hall, token: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "NOT_FOUND", "create_ticket_order", **order_of(hold, p_reservation_token=token)
    )
    assert set(refusal.answer[1:5]) == {None}
    assert (refusal.line.show_id, refusal.line.reservation_id) == (NIL, None)
    assert refusal.line.session_id == "anna"


@pytest.mark.parametrize("session", [None, "", "ben", pytest.param(MEGABYTE, id="a megabyte")])
def test_the_token_alone_orders_nothing(hall: Hall, session: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "PERMISSION_DENIED", "create_ticket_order", **order_of(hold, p_session_id=session)
    )
    assert set(refusal.answer[1:5]) == {None}
    assert refusal.line.session_id == (session and session[:200])


def test_the_token_and_the_key_of_somebody_else_show_nothing_of_the_order(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.order(hold, p_idempotency_key="k1")
    refusal = hall.refuse(
        "PERMISSION_DENIED",
        "create_ticket_order",
        **order_of(hold, p_session_id="ben", p_idempotency_key="k1"),
    )
    assert set(refusal.answer[1:5]) == {None}


def test_a_released_hold_is_not_ordered(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.release(hold)
    hall.refuse("RESERVATION_INACTIVE", "create_ticket_order", **order_of(hold))


def test_a_paid_hold_is_not_ordered_again(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.pay(hall.order(hold))
    hall.refuse("RESERVATION_INACTIVE", "create_ticket_order", **order_of(hold))


def test_an_unexpected_error_while_ordering_is_an_answer(hall: Hall) -> None:
    hold = hall.hold(0)
    sabotage(hall.connection, "ticket_orders", "INSERT")
    refusal = hall.refuse("INTERNAL_ERROR", "create_ticket_order", **order_of(hold))
    assert set(refusal.answer[1:5]) == {None}
    assert refusal.line.reservation_id == hold.reservation_id
    assert refusal.line.metadata["sqlstate"] == "22012"
