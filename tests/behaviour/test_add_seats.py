"""add_seats: more seats for a hold that goes on as before."""

import uuid
from typing import Any

import pytest

from tests.support.hall import NIL, Hall, make_hall
from tests.support.logs import ORDER_LOG
from tests.support.queries import Row, tables
from tests.support.sabotage import sabotage


def arguments(hall: Hall, hold: Row, *numbers: int, **changed: Any) -> dict[str, Any]:
    return {
        "p_reservation_token": hold.reservation_token,
        "p_session_id": "anna",
        "p_seat_ids": hall.ids(*numbers),
    } | changed


def test_a_hold_gets_more_seats_and_the_answer_is_about_all_of_them(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    answer = hall.add(hold, 5, 7)
    assert answer._fields == hold._fields
    assert answer == (
        True,
        hold.reservation_id,
        hold.reservation_token,
        hold.expires_at,
        4,
        1000 + 1100 + 1500 + 1700,
        "EUR",
        None,
        None,
    )
    assert hall.statuses(0, 1, 5, 7) == ["reserved"] * 4
    assert hall.statuses().count("available") == 6


def test_the_clock_goes_on(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.extend(hold)
    before = hall.reservation(hold)
    hall.add(hold, 5)
    assert hall.reservation(hold) == before
    seat = hall.row("show_seats", hall.seats[5])
    assert (seat.reserved_by, seat.reserved_until) == (hold.reservation_id, before.expires_at)


def test_an_addition_leaves_one_line_in_the_audit_log(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.add(hold, 0, 5, 6)
    line = hall.log()[-1]
    assert hall.events() == ["created", "added"]
    assert (line.reservation_id, line.session_id) == (hold.reservation_id, "anna")
    assert (line.seat_count, set(line.seat_ids)) == (2, set(hall.ids(5, 6)))
    assert (line.metadata, line.error_code, line.hold_seconds) == ({}, None, None)


def test_an_addition_whose_answer_was_lost_changes_nothing_when_repeated(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    answer = hall.add(hold, 5)
    hall.order(hold)
    before = tables(hall.connection)
    assert hall.add(hold, 5) == answer
    assert hall.add(hold, 1, 0) == answer
    assert tables(hall.connection) == before


@pytest.mark.parametrize("change", ["closed", "draft"])
def test_what_the_hold_has_is_confirmed_after_the_sale_too(hall: Hall, change: str) -> None:
    hold = hall.hold(0, 1)
    hall.connection.execute("UPDATE shows SET status = %s", [change])
    hall.connection.execute("UPDATE ticketing_settings SET max_seats_per_reservation = 1")
    assert hall.add(hold, 0, 1).seat_count == 2


def test_a_seat_that_the_hold_gave_back_can_be_added_again_at_the_price_of_now(
    hall: Hall,
) -> None:
    hold = hall.hold(0, 1)
    hall.price(hold, {1: 1}, ["child"])
    hall.release(hold, hall.ids(1))
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 777 WHERE id = %s", hall.ids(1))
    assert hall.add(hold, 1).total_amount_in_cents == 1000 + 777
    (claim,) = hall.connection.execute(
        "SELECT ticket_type, released_at FROM reservation_seats WHERE show_seat_id = %s",
        hall.ids(1),
    ).fetchall()
    assert claim == (None, None)
    assert hall.pay(hall.order(hold)).status == "paid"


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_an_order_that_is_not_paid_no_longer_matches_and_is_cancelled(
    hall: Hall, status: str
) -> None:
    hold = hall.hold(0)
    first = hall.order(hold)
    if status == "failed":
        hall.fail(first)
    hall.add(hold, 1)
    order = hall.row("ticket_orders", first.order_id)
    assert (order.status, order.cancel_reason) == ("cancelled", "changed")
    line = hall.log(ORDER_LOG)[-1]
    assert (line.old_status, line.new_status) == (status, "cancelled")

    assert hall.pay(first).status == "refund_due"
    second = hall.order(hold)
    assert second.total_amount_in_cents == 1000 + 1100
    assert hall.pay(second, event="evt_second").status == "paid"
    assert hall.statuses(0, 1) == ["sold"] * 2


def test_an_addition_that_adds_nothing_leaves_the_order_alone(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    hall.add(hold, 1)
    assert hall.pay(order).status == "paid"


def test_seats_of_an_overdue_hold_can_be_added(hall: Hall) -> None:
    over = hall.hold(5, 6, session="ben")
    hall.let_run_out(over)
    hold = hall.hold(0)
    assert hall.add(hold, 5).seat_count == 2
    assert hall.reservation(over).status == "expired"
    assert hall.statuses(5, 6) == ["reserved", "available"]
    assert hall.events() == ["created", "created", "expired", "added"]


@pytest.mark.parametrize("token", [None, "", "0" * 64, "x" * 1_000_000], ids=lambda t: f"{t!s:.8}")
def test_a_token_of_nothing_is_not_found(hall: Hall, token: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "NOT_FOUND", "add_seats", **arguments(hall, hold, 1, p_reservation_token=token)
    )
    assert set(refusal.answer[1:7]) == {None}
    assert (refusal.line.show_id, refusal.line.reservation_id) == (NIL, None)


@pytest.mark.parametrize("session", [None, "", "ben", "x" * 1_000_000], ids=lambda s: f"{s!s:.8}")
def test_the_token_alone_adds_nothing(hall: Hall, session: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "PERMISSION_DENIED", "add_seats", **arguments(hall, hold, 1, p_session_id=session)
    )
    assert set(refusal.answer[1:7]) == {None}
    assert refusal.line.reservation_id == hold.reservation_id


@pytest.mark.parametrize("seats", ["none", "empty", "a null", "twice", "ten thousand times"])
def test_seats_that_make_no_sense_are_invalid_input(hall: Hall, seats: str) -> None:
    hold = hall.hold(0)
    given = {
        "none": None,
        "empty": [],
        "a null": [hall.seats[1], None],
        "twice": hall.ids(1, 1),
        "ten thousand times": hall.ids(1) * 10_000,
    }[seats]
    refusal = hall.refuse("INVALID_INPUT", "add_seats", **arguments(hall, hold, p_seat_ids=given))
    assert refusal.line.seat_count == len(given or [])
    assert refusal.line.reservation_id == hold.reservation_id


def test_a_two_dimensional_array_names_seats_like_any_other(hall: Hall) -> None:
    hold = hall.hold(0)
    seats = [hall.ids(1), hall.ids(2)]
    assert hall.call("add_seats", **arguments(hall, hold, p_seat_ids=seats)).seat_count == 3


@pytest.mark.parametrize("end", ["released", "completed"])
def test_a_hold_that_has_ended_gets_nothing(hall: Hall, end: str) -> None:
    hold = hall.hold(0)
    if end == "released":
        hall.release(hold)
    else:
        hall.pay(hall.order(hold))
    hall.refuse("RESERVATION_INACTIVE", "add_seats", **arguments(hall, hold, 1))


@pytest.mark.parametrize("cleaned_up", [False, True])
def test_a_hold_that_is_over_gets_nothing(hall: Hall, cleaned_up: bool) -> None:
    hold = hall.hold(0)
    hall.let_run_out(hold)
    if cleaned_up:
        hall.clean_up()
    hall.refuse("RESERVATION_EXPIRED", "add_seats", **arguments(hall, hold, 1))


@pytest.mark.parametrize("status", ["draft", "closed", "cancelled"])
def test_a_show_that_is_not_on_sale_sells_nothing_more(hall: Hall, status: str) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE shows SET status = %s", [status])
    hall.refuse("SHOW_NOT_ON_SALE", "add_seats", **arguments(hall, hold, 1))


def test_of_a_cancelled_show_nothing_is_confirmed(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    hall.refuse("SHOW_NOT_ON_SALE", "add_seats", **arguments(hall, hold, 0))


def test_seats_that_the_hold_has_count_towards_the_most(hall: Hall) -> None:
    hall.connection.execute("UPDATE ticketing_settings SET max_seats_per_reservation = 3")
    hold = hall.hold(0, 1)
    hall.refuse("TOO_MANY_SEATS", "add_seats", **arguments(hall, hold, 2, 3))
    assert hall.add(hold, 0, 1, 2).seat_count == 3
    hall.release(hold, hall.ids(0))
    assert hall.add(hold, 3).seat_count == 3


@pytest.mark.parametrize("which", ["of nobody", "of another show"])
def test_seats_that_do_not_exist_are_not_found(hall: Hall, which: str) -> None:
    hold = hall.hold(0)
    other = make_hall(hall.connection).seats[0]
    seats = [hall.seats[1], uuid.uuid4() if which == "of nobody" else other]
    refusal = hall.refuse("SEATS_NOT_FOUND", "add_seats", **arguments(hall, hold, p_seat_ids=seats))
    assert (refusal.line.seat_ids, refusal.line.seat_count) == (seats, 2)


@pytest.mark.parametrize("state", ["held", "sold", "blocked"])
def test_all_or_none_is_added_and_the_order_stays(hall: Hall, state: str) -> None:
    hold = hall.hold(0)
    hall.order(hold)
    if state == "held":
        hall.hold(5, session="ben")
    elif state == "sold":
        hall.sell(5, session="ben")
    else:
        hall.connection.execute(
            "UPDATE show_seats SET status = 'blocked' WHERE id = %s", hall.ids(5)
        )
    refusal = hall.refuse("SEATS_UNAVAILABLE", "add_seats", **arguments(hall, hold, 4, 5))
    assert set(refusal.answer[1:7]) == {None}
    assert hall.statuses(4) == ["available"]


@pytest.mark.breaks_invariants
def test_a_claim_that_should_not_be_there_prevents_a_double_booking(hall: Hall) -> None:
    stray = hall.hold(5, session="stray")
    hall.release(stray, session="stray")
    hall.connection.execute("UPDATE reservation_seats SET released_at = NULL")
    hold = hall.hold(0)
    refusal = hall.refuse("DOUBLE_BOOKING_PREVENTED", "add_seats", **arguments(hall, hold, 4, 5))
    assert refusal.answer.error_message == (
        "Database constraint prevented double-booking: reservation_seats_no_double_booking"
    )


def test_an_unexpected_error_is_an_answer_and_leaves_nothing_half_done(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.order(hold)
    sabotage(hall.connection, "show_seats", "UPDATE")
    refusal = hall.refuse("INTERNAL_ERROR", "add_seats", **arguments(hall, hold, 1))
    assert set(refusal.answer[1:7]) == {None}
    assert refusal.line.metadata["sqlstate"] == "22012"


def test_errors_are_reported_in_an_order_that_does_not_depend_on_chance(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.hold(1, session="ben")
    stranger = uuid.uuid4()
    many = [stranger, *hall.ids(*range(1, 10))]
    # Each call has all the faults that come later too.
    for code, seats in (
        ("INVALID_INPUT", [*many, stranger]),
        ("TOO_MANY_SEATS", [*many, uuid.uuid4()]),
        ("SEATS_NOT_FOUND", [stranger, hall.seats[1]]),
        ("SEATS_UNAVAILABLE", hall.ids(1)),
    ):
        hall.refuse(code, "add_seats", **arguments(hall, hold, p_seat_ids=seats))
