"""move_reservation: a hold goes on in another session of its buyer."""

from typing import Any

import pytest

from tests.support.hall import NIL, Hall
from tests.support.queries import Row, tables
from tests.support.sabotage import sabotage


def arguments(hold: Row, **changed: Any) -> dict[str, Any]:
    return {
        "p_reservation_token": hold.reservation_token,
        "p_session_id": "anna",
        "p_new_session_id": "anna, logged in",
    } | changed


def test_the_hold_belongs_to_the_new_session_and_to_no_other(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    answer = hall.move(hold, "anna, logged in")
    assert answer == (True, hold.reservation_id, None, None)
    assert answer._fields == ("success", "reservation_id", "error_code", "error_message")
    assert hall.extend(hold).error_code == "PERMISSION_DENIED"
    assert hall.extend(hold, session="anna, logged in").success
    assert hall.reserve(0, 1, session="anna, logged in").reservation_token == hold.reservation_token
    assert hall.hold(5).success  # the guest's session is free


def test_nothing_but_session_and_buyer_changes(hall: Hall) -> None:
    hold = hall.hold(0, p_user_agent="Firefox")
    before = hall.reservation(hold)
    hall.move(hold, "anna, logged in", p_user_id="user 7", p_email="anna@example.org")
    assert hall.reservation(hold) == before._replace(
        session_id="anna, logged in", user_id="user 7", email="anna@example.org"
    )


def test_user_and_address_that_are_not_given_stay(hall: Hall) -> None:
    hold = hall.hold(0, p_user_id="user 7", p_email="anna@example.org")
    hall.move(hold, "anna, logged in")
    reservation = hall.reservation(hold)
    assert (reservation.user_id, reservation.email) == ("user 7", "anna@example.org")


def test_a_transfer_leaves_one_line_in_the_audit_log_without_the_old_session(hall: Hall) -> None:
    hold = hall.hold(0, 1, 2)
    hall.release(hold, hall.ids(2))
    hall.move(hold, "anna, logged in")
    assert hall.events()[-1] == "transferred"
    line = hall.log()[-1]
    assert (line.reservation_id, line.session_id) == (hold.reservation_id, "anna, logged in")
    assert (line.seat_count, set(line.seat_ids)) == (2, set(hall.ids(0, 1)))
    assert (line.metadata, line.error_code) == ({}, None)


def test_a_transfer_whose_answer_was_lost_changes_nothing_when_repeated(hall: Hall) -> None:
    hold = hall.hold(0)
    answer = hall.move(hold, "anna, logged in", p_user_id="user 7")
    before = tables(hall.connection)
    assert hall.move(hold, "anna, logged in", p_user_id="user 7") == answer
    assert hall.move(hold, "anna, logged in") == answer
    assert tables(hall.connection) == before


def test_within_its_session_a_hold_gets_its_user(hall: Hall) -> None:
    """For shops whose sessions survive a log-in."""
    hold = hall.hold(0)
    assert hall.move(hold, "anna", p_user_id="user 7").success
    assert hall.reservation(hold).user_id == "user 7"
    assert hall.events() == ["created", "transferred"]


def test_an_ordered_hold_is_moved_with_its_order(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold, p_idempotency_key="k")
    hall.move(hold, "anna, logged in")
    assert hall.order(hold, "anna, logged in", p_idempotency_key="k").order_id == order.order_id
    assert hall.pay(order).status == "paid"


def test_an_overdue_hold_of_the_new_session_is_ended(hall: Hall) -> None:
    over = hall.hold(5, 6, session="anna, logged in")
    hall.let_run_out(over)
    hold = hall.hold(0)
    assert hall.move(hold, "anna, logged in").success
    assert hall.reservation(over).status == "expired"
    assert hall.statuses(5, 6) == ["available"] * 2
    assert hall.events() == ["created", "created", "expired", "transferred"]


def test_a_live_hold_of_the_new_session_is_a_second_one(hall: Hall) -> None:
    hall.hold(5, session="anna, logged in")
    hold = hall.hold(0)
    refusal = hall.refuse("DUPLICATE_RESERVATION", "move_reservation", **arguments(hold))
    assert refusal.answer.reservation_id is None
    assert (refusal.line.reservation_id, refusal.line.session_id) == (hold.reservation_id, "anna")


@pytest.mark.parametrize("token", [None, "", "0" * 64, "x" * 1_000_000], ids=lambda t: f"{t!s:.8}")
def test_a_token_of_nothing_is_not_found(hall: Hall, token: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "NOT_FOUND", "move_reservation", **arguments(hold, p_reservation_token=token)
    )
    assert (refusal.line.show_id, refusal.line.reservation_id) == (NIL, None)


@pytest.mark.parametrize("session", [None, "", "ben", "x" * 1_000_000], ids=lambda s: f"{s!s:.8}")
def test_the_token_alone_moves_nothing(hall: Hall, session: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "PERMISSION_DENIED", "move_reservation", **arguments(hold, p_session_id=session)
    )
    assert refusal.line.reservation_id == hold.reservation_id


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"p_new_session_id": None}, id="no session"),
        pytest.param({"p_new_session_id": ""}, id="an empty session"),
        pytest.param({"p_new_session_id": " \t\n"}, id="a session of white space"),
        pytest.param({"p_new_session_id": "x" * 201}, id="a session that is too long"),
        pytest.param({"p_user_id": "x" * 201}, id="a user that is too long"),
        pytest.param({"p_email": "x" * 321}, id="an e-mail address that is too long"),
    ],
)
def test_values_that_make_no_sense_are_invalid_input(hall: Hall, changed: dict[str, Any]) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse("INVALID_INPUT", "move_reservation", **arguments(hold, **changed))
    assert refusal.line.metadata == {"function": "move_reservation"}


def test_the_longest_values_that_are_allowed_are_stored_whole(hall: Hall) -> None:
    hold = hall.hold(0)
    session, user, email = "s" * 200, "ü" * 200, "e" * 320
    hall.move(hold, session, p_user_id=user, p_email=email)
    reservation = hall.reservation(hold)
    assert (reservation.session_id, reservation.user_id, reservation.email) == (
        session,
        user,
        email,
    )


@pytest.mark.parametrize("end", ["released", "completed"])
def test_a_hold_that_has_ended_stays_where_it_is(hall: Hall, end: str) -> None:
    hold = hall.hold(0)
    if end == "released":
        hall.release(hold)
    else:
        hall.pay(hall.order(hold))
    hall.refuse("RESERVATION_INACTIVE", "move_reservation", **arguments(hold))


@pytest.mark.parametrize("cleaned_up", [False, True])
def test_a_hold_that_is_over_stays_where_it_is(hall: Hall, cleaned_up: bool) -> None:
    hold = hall.hold(0)
    hall.let_run_out(hold)
    if cleaned_up:
        hall.clean_up()
    hall.refuse("RESERVATION_EXPIRED", "move_reservation", **arguments(hold))


def test_of_a_cancelled_show_nothing_is_moved(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    hall.refuse("SHOW_NOT_ON_SALE", "move_reservation", **arguments(hold))


def test_an_unexpected_error_is_an_answer_and_leaves_nothing_half_done(hall: Hall) -> None:
    hold = hall.hold(0)
    sabotage(hall.connection, "seat_reservations", "UPDATE")
    refusal = hall.refuse("INTERNAL_ERROR", "move_reservation", **arguments(hold))
    assert refusal.line.metadata["sqlstate"] == "22012"
