"""release_reservation: giving seats back, all of them or some."""

import uuid
from typing import Any

import pytest

from tests.support.hall import NIL, Hall, make_hall
from tests.support.logs import ORDER_LOG
from tests.support.queries import Row, value
from tests.support.sabotage import sabotage


def arguments(hold: Row, **changed: Any) -> dict[str, Any]:
    return {"p_reservation_token": hold.reservation_token, "p_session_id": "anna"} | changed


def test_released_seats_are_free_at_once(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    answer = hall.release(hold)
    assert answer == (True, hold.reservation_id, 2, None, None)
    assert answer._fields == (
        "success",
        "reservation_id",
        "seats_released",
        "error_code",
        "error_message",
    )
    assert hall.statuses() == ["available"] * 10
    assert hall.hold(0, 1, session="ben").seat_count == 2


def test_a_release_ends_the_hold_and_its_claims(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.release(hold)
    reservation = hall.reservation(hold)
    assert (reservation.status, reservation.is_active) == ("released", False)
    now = value(hall.connection, "SELECT clock_timestamp()")
    assert reservation.created_at < reservation.ended_at < now
    claims = hall.connection.execute("SELECT released_at FROM reservation_seats").fetchall()
    assert claims == [(reservation.ended_at,)] * 2


def test_a_release_leaves_one_line_in_the_audit_log(hall: Hall) -> None:
    hold = hall.hold(0, 1, p_user_agent="Firefox")
    hall.connection.execute("UPDATE seat_reservations SET created_at = now() - interval '90 s'")
    hall.release(hold)
    created, released = hall.log()
    assert (created.event_type, released.event_type) == ("created", "released")
    assert released.reservation_id == hold.reservation_id
    assert (released.session_id, released.seat_count) == ("anna", 2)
    assert set(released.seat_ids) == set(hall.ids(0, 1))
    reservation = hall.reservation(hold)
    lasted = reservation.ended_at - reservation.created_at
    assert lasted.total_seconds() > 90
    assert (released.hold_seconds, released.metadata) == (lasted.total_seconds(), {})
    assert (released.user_agent, released.error_code) == ("Firefox", None)


def test_some_seats_can_be_given_back_and_the_rest_stays_held(hall: Hall) -> None:
    hold = hall.hold(0, 1, 2)
    assert hall.release(hold, hall.ids(1)) == (True, hold.reservation_id, 1, None, None)
    assert hall.statuses(0, 1, 2) == ["reserved", "available", "reserved"]
    reservation = hall.reservation(hold)
    assert (reservation.status, reservation.expires_at) == ("active", hold.expires_at)
    assert hall.hold(1, session="ben").success
    assert hall.order(hold).total_amount_in_cents == 1000 + 1200


def test_a_partial_release_says_so_in_the_audit_log(hall: Hall) -> None:
    hold = hall.hold(0, 1, 2)
    hall.release(hold, hall.ids(1, 2))
    line = hall.log()[-1]
    assert (line.event_type, line.reservation_id) == ("released", hold.reservation_id)
    assert (line.seat_count, set(line.seat_ids)) == (2, set(hall.ids(1, 2)))
    # The hold goes on, so it has lasted for no time yet.
    assert (line.metadata, line.hold_seconds) == ({"partial": True}, None)
    assert (line.session_id, line.error_code) == ("anna", None)


def test_releasing_the_last_seats_one_by_one_ends_the_hold(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.release(hold, hall.ids(0))
    assert hall.release(hold, hall.ids(1)).seats_released == 1
    assert hall.reservation(hold).status == "released"
    assert [line.seat_count for line in hall.log()] == [2, 1, 1]
    assert "partial" not in hall.log()[-1].metadata


def test_naming_every_seat_ends_the_hold(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    assert hall.release(hold, hall.ids(1, 0)).seats_released == 2
    assert hall.reservation(hold).status == "released"


def test_a_seat_named_twice_is_given_back_once(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    assert hall.release(hold, hall.ids(0, 0)).seats_released == 1
    assert hall.log()[-1].seat_count == 1
    assert hall.reservation(hold).status == "active"


def test_a_two_dimensional_array_names_seats_like_any_other(hall: Hall) -> None:
    hold = hall.hold(0, 1, 2)
    answer = hall.call(
        "release_reservation", **arguments(hold, p_seat_ids=[hall.ids(0), hall.ids(2)])
    )
    assert (answer.success, answer.seats_released) == (True, 2)
    assert hall.statuses(0, 1, 2) == ["available", "reserved", "available"]


def test_ten_thousand_times_a_seat_that_is_held_is_that_seat(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    assert hall.release(hold, hall.ids(0) * 10_000).seats_released == 1


@pytest.mark.parametrize("seats", [None, [0]], ids=["all seats", "one seat"])
def test_a_release_cancels_an_order_that_is_not_paid(hall: Hall, seats: list[int] | None) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    hall.release(hold, None if seats is None else hall.ids(*seats))
    assert hall.row("ticket_orders", order.order_id).status == "cancelled"
    line = hall.log(ORDER_LOG)[-1]
    assert (line.old_status, line.new_status) == ("pending", "cancelled")


def test_a_release_cancels_an_order_whose_payment_failed(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.fail(order)
    hall.release(hold)
    assert hall.row("ticket_orders", order.order_id).status == "cancelled"


def test_what_is_left_after_a_partial_release_can_be_ordered_anew_and_paid(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    first = hall.order(hold)
    hall.release(hold, hall.ids(0))
    second = hall.order(hold)
    assert second.order_id != first.order_id
    assert second.total_amount_in_cents == 1100
    assert hall.pay(second).status == "paid"
    assert hall.statuses(0, 1) == ["available", "sold"]


def test_a_release_touches_nobody_elses_seats(hall: Hall) -> None:
    bystander = hall.hold(5, 6, session="ben")
    hall.release(hall.hold(0))
    assert hall.statuses(5, 6) == ["reserved", "reserved"]
    assert hall.reservation(bystander).status == "active"


@pytest.mark.parametrize(
    "token",
    [None, "", "0" * 64, pytest.param("x" * 1_000_000, id="a megabyte")],
)
def test_a_token_of_nothing_is_not_found(hall: Hall, token: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "NOT_FOUND", "release_reservation", **arguments(hold, p_reservation_token=token)
    )
    assert set(refusal.answer[1:3]) == {None}
    assert (refusal.line.show_id, refusal.line.reservation_id) == (NIL, None)


@pytest.mark.parametrize(
    "session", [None, "", "ben", pytest.param("x" * 1_000_000, id="a megabyte")]
)
def test_the_token_alone_releases_nothing(hall: Hall, session: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "PERMISSION_DENIED", "release_reservation", **arguments(hold, p_session_id=session)
    )
    assert set(refusal.answer[1:3]) == {None}
    assert refusal.line.reservation_id == hold.reservation_id
    assert refusal.line.session_id == (session and session[:200])


def test_a_hold_is_released_once(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.release(hold)
    refusal = hall.refuse("RESERVATION_INACTIVE", "release_reservation", **arguments(hold))
    assert set(refusal.answer[1:3]) == {None}


def test_sold_seats_are_not_given_back_by_a_release(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.pay(hall.order(hold))
    hall.refuse("RESERVATION_INACTIVE", "release_reservation", **arguments(hold))
    assert hall.statuses(0) == ["sold"]


@pytest.mark.parametrize("cleaned_up", [False, True])
def test_an_overdue_hold_has_nothing_to_release(hall: Hall, cleaned_up: bool) -> None:
    hold = hall.hold(0)
    hall.let_run_out(hold)
    if cleaned_up:
        hall.clean_up()
    hall.refuse("RESERVATION_INACTIVE", "release_reservation", **arguments(hold))


@pytest.mark.parametrize("held", [True, False], ids=["with one of its own", "alone"])
@pytest.mark.parametrize("which", ["of nobody", "of another buyer", "of another show", "null"])
def test_seats_that_are_not_held_are_not_found_and_nothing_is_released(
    hall: Hall, which: str, held: bool
) -> None:
    hold = hall.hold(0, 1)
    hall.hold(5, session="ben")
    wrong = {
        "of nobody": uuid.uuid4(),
        "of another buyer": hall.seats[5],
        "of another show": make_hall(hall.connection).seats[0],
        "null": None,
    }[which]
    seats = [*hall.ids(0), wrong] if held else [wrong]
    refusal = hall.refuse(
        "SEATS_NOT_FOUND", "release_reservation", **arguments(hold, p_seat_ids=seats)
    )
    assert set(refusal.answer[1:3]) == {None}
    assert (refusal.line.seat_ids, refusal.line.seat_count) == (seats, len(seats))
    assert refusal.line.reservation_id == hold.reservation_id


def test_an_empty_list_of_seats_is_not_everything(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.refuse("SEATS_NOT_FOUND", "release_reservation", **arguments(hold, p_seat_ids=[]))
    assert hall.reservation(hold).status == "active"


def test_a_seat_that_was_given_back_before_is_not_found(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.release(hold, hall.ids(0))
    hall.refuse("SEATS_NOT_FOUND", "release_reservation", **arguments(hold, p_seat_ids=hall.ids(0)))


def test_ten_thousand_seats_are_refused_and_do_not_fill_the_log(hall: Hall) -> None:
    hold = hall.hold(0)
    seats = [uuid.uuid4() for _ in range(10_000)]
    refusal = hall.refuse(
        "SEATS_NOT_FOUND", "release_reservation", **arguments(hold, p_seat_ids=seats)
    )
    assert (refusal.line.seat_count, refusal.line.seat_ids) == (10_000, seats[:100])


@pytest.mark.parametrize("seats", [None, [0]], ids=["all seats", "one seat"])
def test_an_unexpected_error_is_an_answer_and_leaves_nothing_half_done(
    hall: Hall, seats: list[int] | None
) -> None:
    hold = hall.hold(0, 1)
    hall.order(hold)
    sabotage(hall.connection, "show_seats", "UPDATE")
    refusal = hall.refuse(
        "INTERNAL_ERROR",
        "release_reservation",
        **arguments(hold, p_seat_ids=None if seats is None else hall.ids(*seats)),
    )
    assert set(refusal.answer[1:3]) == {None}
    assert refusal.line.metadata["sqlstate"] == "22012"


def test_a_refused_release_does_not_stop_what_comes_next_in_the_transaction(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    assert not hall.release(hold, hall.ids(7)).success
    assert hall.release(hold).seats_released == 2
    assert hall.events() == ["created", "failed", "released"]
