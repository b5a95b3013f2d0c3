"""block_seats and unblock_seats: the house takes seats off sale, and puts them back."""

import uuid
from typing import Any

import pytest

from tests.support.counter import CLERK, Counter
from tests.support.hall import NIL, Hall
from tests.support.logs import ORDER_LOG
from tests.support.orders import MEGABYTE
from tests.support.queries import tables
from tests.support.sabotage import sabotage


@pytest.fixture
def counter(hall: Hall) -> Counter:
    return Counter(hall)


def test_blocked_seats_are_off_sale(counter: Counter) -> None:
    answer = counter.block(0, 1)
    assert answer == (True, 2, 0, None, None)
    assert answer._fields == (
        "success",
        "seats_blocked",
        "holds_ended",
        "error_code",
        "error_message",
    )
    assert counter.hall.statuses(0, 1, 2) == ["blocked", "blocked", "available"]
    assert counter.hall.reserve(0).error_code == "SEATS_UNAVAILABLE"
    assert counter.hall.reserve(2).success


def test_unblocked_seats_are_on_sale_again(counter: Counter) -> None:
    counter.block(0, 1)
    answer = counter.unblock(0)
    assert answer == (True, 1, None, None)
    assert answer._fields == ("success", "seats_unblocked", "error_code", "error_message")
    assert counter.hall.statuses(0, 1) == ["available", "blocked"]
    assert counter.hall.reserve(0).success


def test_the_log_names_the_seats_that_changed_and_who_did_it(counter: Counter) -> None:
    counter.block(1)
    counter.block(0, 1, 2, p_staff="dora")
    counter.unblock(2, 3)
    first, second, third = counter.hall.log()
    assert (first.event_type, first.seat_ids) == ("blocked", counter.hall.ids(1))
    assert second.seat_ids == sorted(counter.hall.ids(0, 2))
    assert (third.event_type, third.seat_ids) == ("unblocked", counter.hall.ids(2))
    assert [line.seat_count for line in (first, second, third)] == [1, 2, 1]
    assert [line.metadata for line in (first, second, third)] == [
        {"staff": CLERK},
        {"staff": "dora"},
        {"staff": CLERK},
    ]
    assert {(line.reservation_id, line.session_id) for line in (first, second)} == {(None, None)}


def test_a_lost_answer_may_be_asked_for_again(counter: Counter) -> None:
    counter.block(0, 1)
    before = tables(counter.hall.connection)
    assert counter.block(1, 0) == (True, 0, 0, None, None)
    assert tables(counter.hall.connection) == before
    counter.unblock(0, 1)
    before = tables(counter.hall.connection)
    assert counter.unblock(1, 0) == (True, 0, None, None)
    assert tables(counter.hall.connection) == before


@pytest.mark.parametrize("status", ["draft", "closed", "cancelled"])
def test_the_status_of_the_show_does_not_matter(counter: Counter, status: str) -> None:
    counter.hall.connection.execute("UPDATE shows SET status = %s", [status])
    assert counter.block(0).success
    assert counter.unblock(0).success


def test_a_held_seat_is_left_to_its_buyer(counter: Counter) -> None:
    counter.hall.hold(1)
    counter.refuse("SEATS_HELD", "block_seats", p_seat_ids=counter.hall.ids(0, 1))
    assert counter.hall.statuses(0, 1) == ["available", "reserved"]
    counter.refuse("SEATS_HELD", "block_seats", p_seat_ids=counter.hall.ids(1), p_end_holds=None)


def test_a_held_seat_is_taken_if_the_staff_insists_and_its_hold_ends_as_a_whole(
    counter: Counter,
) -> None:
    hall = counter.hall
    hold, other = hall.hold(0, 1, 2), hall.hold(3, session="ben")
    order = hall.order(hold)
    assert counter.block(1, 4, p_end_holds=True) == (True, 2, 1, None, None)
    assert hall.statuses(0, 1, 2, 3, 4) == [
        "available",
        "blocked",
        "available",
        "reserved",
        "blocked",
    ]
    assert hall.reservation(hold).status == "released"
    assert hall.reservation(other).status == "active"
    cancelled = hall.row("ticket_orders", order.order_id)
    assert (cancelled.status, cancelled.cancel_reason) == ("cancelled", "released")
    assert hall.events(hold) == ["created", "released"]
    # The payment was on its way: the money is owed.
    assert hall.pay(order).status == "refund_due"


def test_an_order_whose_payment_failed_is_cancelled_with_its_hold(counter: Counter) -> None:
    order = counter.hall.order(counter.hall.hold(0))
    counter.hall.fail(order)
    assert counter.block(0, p_end_holds=True).holds_ended == 1
    assert counter.hall.row("ticket_orders", order.order_id).status == "cancelled"


@pytest.mark.parametrize("ends_holds", [False, True])
def test_an_overdue_hold_does_not_count(counter: Counter, ends_holds: bool) -> None:
    hall = counter.hall
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    hall.let_run_out(hold)
    assert counter.block(0, p_end_holds=ends_holds) == (True, 1, 0, None, None)
    assert hall.statuses(0, 1) == ["blocked", "available"]
    assert hall.reservation(hold).status == "expired"
    # As when a buyer takes the seat: a late payment is still possible, and is owed here.
    assert hall.row("ticket_orders", order.order_id).status == "pending"
    assert hall.pay(order).status == "refund_due"


@pytest.mark.parametrize("ends_holds", [False, True])
def test_a_sold_seat_is_never_blocked(counter: Counter, ends_holds: bool) -> None:
    counter.hall.sell(1)
    hold = counter.hall.hold(2, session="ben")
    counter.refuse(
        "SEATS_SOLD",
        "block_seats",
        p_seat_ids=counter.hall.ids(0, 1, 2),
        p_end_holds=ends_holds,
    )
    assert counter.hall.reservation(hold).is_active


@pytest.mark.parametrize("state", ["held", "sold"])
def test_what_is_held_or_sold_cannot_be_unblocked(counter: Counter, state: str) -> None:
    counter.block(0)
    if state == "held":
        counter.hall.hold(1)
    else:
        counter.hall.sell(1)
    counter.refuse("SEATS_NOT_BLOCKED", "unblock_seats", p_seat_ids=counter.hall.ids(0, 1))
    assert counter.hall.statuses(0) == ["blocked"]


def test_an_overdue_hold_is_no_reason_against_unblocking(counter: Counter) -> None:
    counter.block(0)
    hold = counter.hall.hold(1)
    counter.hall.let_run_out(hold)
    assert counter.unblock(0, 1) == (True, 1, None, None)
    assert counter.hall.reservation(hold).is_active


FUNCTIONS = ["block_seats", "unblock_seats"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_seats_of_another_show_are_not_found(counter: Counter, function: str) -> None:
    for seats in ([NIL], [*counter.hall.ids(0), uuid.uuid4()]):
        counter.refuse("SEATS_NOT_FOUND", function, p_seat_ids=seats)
    counter.refuse(
        "SEATS_NOT_FOUND", function, p_seat_ids=counter.hall.ids(0), p_show_id=uuid.uuid4()
    )


INVALID: dict[str, dict[str, Any]] = {
    "no show": {"p_show_id": None},
    "no seats": {"p_seat_ids": None},
    "an empty list": {"p_seat_ids": []},
    "a NULL among them": {"p_seat_ids": [None, uuid.uuid4()]},
    "one of them twice": {"p_seat_ids": [NIL, uuid.uuid4(), NIL]},
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("wrong", INVALID)
def test_a_list_that_makes_no_sense_is_refused(counter: Counter, function: str, wrong: str) -> None:
    given = {"p_seat_ids": counter.hall.ids(0)} | INVALID[wrong]
    counter.refuse("INVALID_INPUT", function, **given)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "staff", [None, "", " \t", "x" * 201, MEGABYTE], ids=["NULL", "empty", "blank", "long", "huge"]
)
def test_who_does_it_must_be_named(counter: Counter, function: str, staff: str | None) -> None:
    refusal = counter.hall.refuse(
        "INVALID_INPUT",
        function,
        **counter.arguments(p_seat_ids=counter.hall.ids(0), p_staff=staff),
    )
    assert refusal.line.metadata["staff"] == (staff and staff[:200])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_longest_name_that_fits_is_accepted(counter: Counter, function: str) -> None:
    assert counter.call(function, p_seat_ids=counter.hall.ids(0), p_staff="ä" * 200).success


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_unexpected_error_is_an_answer_and_changes_nothing(
    counter: Counter, function: str
) -> None:
    hold = counter.hall.hold(0)
    counter.block(1)
    sabotage(counter.hall.connection, "show_seats", "UPDATE")
    if function == "block_seats":
        refusal = counter.refuse(
            "INTERNAL_ERROR", function, p_seat_ids=counter.hall.ids(0), p_end_holds=True
        )
    else:
        refusal = counter.refuse("INTERNAL_ERROR", function, p_seat_ids=counter.hall.ids(1))
    assert refusal.line.metadata["sqlstate"] == "22012"
    assert counter.hall.reservation(hold).is_active


@pytest.mark.breaks_invariants
def test_a_seat_that_no_hold_can_give_back_is_not_blocked(counter: Counter) -> None:
    hold = counter.hall.hold(0)
    counter.hall.connection.execute("UPDATE reservation_seats SET released_at = now()")
    refusal = counter.refuse(
        "INTERNAL_ERROR", "block_seats", p_seat_ids=counter.hall.ids(0), p_end_holds=True
    )
    assert refusal.line.metadata["sqlstate"] == "23000"
    assert counter.hall.reservation(hold).is_active


def test_a_refusal_is_not_counted_as_an_attempt_to_reserve(counter: Counter) -> None:
    counter.hall.hold(0)
    counter.refuse("SEATS_HELD", "block_seats", p_seat_ids=counter.hall.ids(0))
    (row,) = counter.hall.connection.execute(
        "SELECT * FROM reservation_success_rate WHERE time_window = '1h'"
    ).fetchall()
    assert (row.total_attempts, row.race_conditions, row.system_errors) == (1, 0, 0)


def test_the_log_of_orders_records_what_was_cancelled(counter: Counter) -> None:
    counter.hall.order(counter.hall.hold(0))
    counter.block(0, p_end_holds=True)
    assert [line.new_status for line in counter.hall.log(ORDER_LOG)] == ["pending", "cancelled"]
