"""create_ticket_order, confirm_payment, fail_payment and refund_order, in time and refused."""

import re
import uuid
from typing import Any
from uuid import UUID

import pytest

from tests.behaviour.conftest import (
    NIL,
    ORDER_LOG,
    Hall,
    Row,
    make_hall,
    sabotage,
    tables,
    value,
)

MEGABYTE = "x" * 1_000_000


def now(hall: Hall) -> Any:
    return value(hall.connection, "SELECT now()")


def changes(hall: Hall) -> list[tuple[str | None, str | None]]:
    """Old and new status of each line of the orders' log."""
    return [(line.old_status, line.new_status) for line in hall.log(ORDER_LOG)]


def tickets(hall: Hall, order: Row) -> list[Row]:
    return hall.connection.execute(
        "SELECT * FROM tickets WHERE order_id = %s ORDER BY price_in_cents", [order.order_id]
    ).fetchall()


def order_of(hold: Row, **changed: Any) -> dict[str, Any]:
    return {"p_reservation_token": hold.reservation_token, "p_session_id": "anna"} | changed


def payment_of(hall: Hall, order: Row, **changed: Any) -> dict[str, Any]:
    return {
        "p_show_id": hall.show_id,
        "p_order_id": order.order_id,
        "p_provider": "stripe",
        "p_event_id": "evt_new",
        "p_amount_in_cents": order.total_amount_in_cents,
    } | changed


def failure_of(hall: Hall, order: Row, **changed: Any) -> dict[str, Any]:
    return {
        "p_show_id": hall.show_id,
        "p_order_id": order.order_id,
        "p_provider": "stripe",
        "p_event_id": "evt_new",
        "p_error_message": "declined",
    } | changed


def bring_to(hall: Hall, status: str) -> Row:
    """An order for seat 0 that has this status."""
    hold = hall.hold(0)
    order = hall.order(hold)
    if status in ("paid", "refunded"):
        hall.pay(order, event="evt_first")
    if status == "failed":
        hall.fail(order, event="evt_first")
    if status in ("cancelled", "refund_due"):
        hall.release(hold)
    if status == "refund_due":
        hall.pay(order, event="evt_first")
    if status == "refunded":
        hall.refund(order)
    assert hall.row("ticket_orders", order.order_id).status == status
    return order


# create_ticket_order


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


# confirm_payment


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


# fail_payment


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


# refund_order


def test_a_refund_of_a_paid_order_frees_its_seats(hall: Hall) -> None:
    order = hall.sell(0, 1)
    answer = hall.refund(order)
    assert answer == (True, order.order_id, "refunded", 2, None, None)
    assert answer._fields == (
        "success",
        "order_id",
        "status",
        "seats_released",
        "error_code",
        "error_message",
    )
    assert hall.statuses(0, 1) == ["available", "available"]
    assert [ticket.status for ticket in tickets(hall, order)] == ["refunded", "refunded"]
    claims = hall.connection.execute("SELECT released_at FROM reservation_seats").fetchall()
    assert claims == [(now(hall),)] * 2
    assert hall.row("ticket_orders", order.order_id).paid_at == now(hall)


def test_a_refund_leaves_one_line_in_the_log_of_orders(hall: Hall) -> None:
    order = hall.sell(0)
    events = hall.events()
    hall.refund(order)
    assert changes(hall)[-1] == ("paid", "refunded")
    assert len(changes(hall)) == 3
    # The hold was completed, and that stays true.
    assert hall.events() == events


def test_a_refund_of_an_order_without_seats_frees_none(hall: Hall) -> None:
    order = bring_to(hall, "refund_due")
    other = hall.hold(0, session="ben")
    answer = hall.refund(order)
    assert (answer.status, answer.seats_released) == ("refunded", 0)
    assert hall.row("show_seats", hall.seats[0]).reserved_by == other.reservation_id
    assert changes(hall)[-1] == ("refund_due", "refunded")


def test_refunded_seats_can_be_sold_again(hall: Hall) -> None:
    first = hall.sell(0, 1)
    hall.refund(first)
    second = hall.sell(1, 2, session="ben")
    assert [ticket.status for ticket in tickets(hall, second)] == ["valid", "valid"]
    assert hall.statuses(0, 1, 2) == ["available", "sold", "sold"]
    # The first order is done with: it does not touch the seat of its second owner.
    hall.refuse(
        "ORDER_NOT_REFUNDABLE", "refund_order", p_show_id=hall.show_id, p_order_id=first.order_id
    )
    assert hall.statuses(1) == ["sold"]


def test_the_buyer_of_refunded_seats_may_buy_them_again(hall: Hall) -> None:
    hall.refund(hall.sell(0))
    assert hall.sell(0).total_amount_in_cents == 1000


@pytest.mark.parametrize("status", ["pending", "failed", "cancelled", "refunded"])
def test_an_order_without_money_is_not_refundable(hall: Hall, status: str) -> None:
    order = bring_to(hall, status)
    refusal = hall.refuse(
        "ORDER_NOT_REFUNDABLE", "refund_order", p_show_id=hall.show_id, p_order_id=order.order_id
    )
    assert refusal.answer[1:4] == (order.order_id, status, None)
    assert (refusal.line.order_id, refusal.line.old_status) == (order.order_id, status)


def test_the_money_of_a_cancelled_show_can_be_given_back(hall: Hall) -> None:
    order = hall.sell(0)
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    assert hall.refund(order).seats_released == 1


# whatever goes wrong


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


def test_an_unexpected_error_while_ordering_is_an_answer(hall: Hall) -> None:
    hold = hall.hold(0)
    sabotage(hall.connection, "ticket_orders", "INSERT")
    refusal = hall.refuse("INTERNAL_ERROR", "create_ticket_order", **order_of(hold))
    assert set(refusal.answer[1:5]) == {None}
    assert refusal.line.reservation_id == hold.reservation_id
    assert refusal.line.metadata["sqlstate"] == "22012"


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


@pytest.mark.parametrize("table", ["tickets", "show_seats", "reservation_seats", "ticket_orders"])
def test_an_unexpected_error_while_refunding_is_an_answer_and_frees_nothing(
    hall: Hall, table: str
) -> None:
    order = hall.sell(0)
    sabotage(hall.connection, table, "UPDATE")
    refusal = hall.refuse(
        "INTERNAL_ERROR", "refund_order", p_show_id=hall.show_id, p_order_id=order.order_id
    )
    assert refusal.answer[1:4] == (order.order_id, "paid", None)
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


def test_ids_of_orders_are_told_apart_by_show(hall: Hall) -> None:
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
