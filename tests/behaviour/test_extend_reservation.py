"""extend_reservation: more time, up to a limit."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.hall import NIL, Hall
from tests.support.queries import Row, tables, value
from tests.support.sabotage import sabotage


def arguments(hold: Row, **changed: Any) -> dict[str, Any]:
    return {"p_reservation_token": hold.reservation_token, "p_session_id": "anna"} | changed


def test_an_extension_adds_minutes_and_says_how_many_are_left(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    answer = hall.extend(hold)
    assert answer == (
        True,
        hold.reservation_id,
        hold.expires_at + timedelta(minutes=5),
        2,
        None,
        None,
    )
    assert answer._fields == (
        "success",
        "reservation_id",
        "expires_at",
        "extensions_remaining",
        "error_code",
        "error_message",
    )
    assert [hall.extend(hold).extensions_remaining for _ in range(2)] == [1, 0]
    reservation = hall.reservation(hold)
    assert reservation.expires_at == hold.expires_at + timedelta(minutes=15)
    assert (reservation.extension_count, reservation.status) == (3, "active")


def test_the_seats_of_an_extended_hold_are_reserved_as_long(hall: Hall) -> None:
    bystander = hall.hold(5, session="ben")
    hold = hall.hold(0, 1)
    answer = hall.extend(hold)
    for seat in hall.ids(0, 1):
        assert hall.row("show_seats", seat).reserved_until == answer.expires_at
    assert hall.row("show_seats", hall.seats[5]).reserved_until == bystander.expires_at


def test_an_extension_leaves_one_line_in_the_audit_log(hall: Hall) -> None:
    hold = hall.hold(0, 1, p_user_agent="Firefox")
    hall.extend(hold)
    created, extended = hall.log()
    assert (created.event_type, extended.event_type) == ("created", "extended")
    assert extended.reservation_id == hold.reservation_id
    assert (extended.session_id, extended.seat_count) == ("anna", 2)
    assert set(extended.seat_ids) == set(hall.ids(0, 1))
    assert (extended.user_agent, extended.metadata) == ("Firefox", {})
    assert (extended.error_code, extended.hold_seconds) == (None, None)


def test_the_length_of_an_extension_is_a_setting(hall: Hall) -> None:
    hall.connection.execute("UPDATE ticketing_settings SET extension_minutes = 2")
    hold = hall.hold(0)
    assert hall.extend(hold).expires_at == hold.expires_at + timedelta(minutes=2)


def test_a_hold_is_never_extended_beyond_the_longest_hold(hall: Hall) -> None:
    hall.connection.execute("UPDATE ticketing_settings SET max_hold_minutes = 12")
    hold = hall.hold(0)
    # What is left of the limit is given ...
    assert hall.extend(hold).expires_at == hold.expires_at + timedelta(minutes=2)
    # ... and where nothing is left, nothing is counted.
    hall.refuse("MAX_EXTENSIONS_REACHED", "extend_reservation", **arguments(hold))
    assert hall.reservation(hold).extension_count == 1


def test_a_hold_that_was_lengthened_by_hand_is_not_shortened_by_an_extension(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE seat_reservations SET expires_at = now() + interval '3 hours'")
    hall.refuse("MAX_EXTENSIONS_REACHED", "extend_reservation", **arguments(hold))


def test_the_fourth_extension_is_refused(hall: Hall) -> None:
    hold = hall.hold(0)
    for _ in range(3):
        assert hall.extend(hold).success
    refusal = hall.refuse("MAX_EXTENSIONS_REACHED", "extend_reservation", **arguments(hold))
    assert set(refusal.answer[1:4]) == {None}
    assert refusal.line.reservation_id == hold.reservation_id
    assert (refusal.line.show_id, refusal.line.session_id) == (hall.show_id, "anna")


def test_extensions_can_be_forbidden(hall: Hall) -> None:
    hall.connection.execute("UPDATE ticketing_settings SET max_extensions = 0")
    hall.refuse("MAX_EXTENSIONS_REACHED", "extend_reservation", **arguments(hall.hold(0)))


def test_an_extension_whose_answer_was_lost_is_not_given_twice(hall: Hall) -> None:
    """Who says which end he wants to be extended may ask as often as he likes."""
    hold = hall.hold(0, 1)
    known = arguments(hold, p_expires_at=hold.expires_at)
    answer = hall.call("extend_reservation", **known)
    assert answer.expires_at == hold.expires_at + timedelta(minutes=5)
    before = tables(hall.connection)
    assert [hall.call("extend_reservation", **known) for _ in range(5)] == [answer] * 5
    assert tables(hall.connection) == before
    # The next one is asked for with the end that was answered.
    known = arguments(hold, p_expires_at=answer.expires_at)
    assert hall.call("extend_reservation", **known).extensions_remaining == 1


@pytest.mark.parametrize("rounded_to", ["milliseconds", "second"])
def test_a_caller_whose_clock_is_coarser_gets_his_extension(hall: Hall, rounded_to: str) -> None:
    """A JavaScript date has milliseconds."""
    hold = hall.hold(0)
    known = value(
        hall.connection, "SELECT date_trunc(%s, %s::timestamptz)", rounded_to, hold.expires_at
    )
    answer = hall.call("extend_reservation", **arguments(hold, p_expires_at=known))
    assert answer.expires_at == hold.expires_at + timedelta(minutes=5)


def test_an_extension_is_no_longer_repeated_when_the_hold_has_ended(hall: Hall) -> None:
    hold = hall.hold(0)
    known = arguments(hold, p_expires_at=hold.expires_at)
    assert hall.call("extend_reservation", **known).success
    hall.release(hold)
    hall.refuse("RESERVATION_INACTIVE", "extend_reservation", **known)


def test_the_last_extension_can_be_asked_for_again(hall: Hall) -> None:
    hall.connection.execute("UPDATE ticketing_settings SET max_extensions = 1")
    hold = hall.hold(0)
    known = arguments(hold, p_expires_at=hold.expires_at)
    first, again = (hall.call("extend_reservation", **known) for _ in range(2))
    assert (first, first.extensions_remaining) == (again, 0)


def test_nothing_is_extended_for_a_show_that_was_cancelled(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    hall.refuse("SHOW_NOT_ON_SALE", "extend_reservation", **arguments(hold))


def test_a_hold_of_a_show_that_was_closed_is_extended(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE shows SET status = 'closed'")
    assert hall.extend(hold).success


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(None, id="no token"),
        pytest.param("", id="an empty token"),
        pytest.param("0" * 64, id="a token of nobody"),
        pytest.param("x" * 1_000_000, id="a token of a megabyte"),
    ],
)
def test_a_token_of_nothing_is_not_found(hall: Hall, token: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "NOT_FOUND", "extend_reservation", **arguments(hold, p_reservation_token=token)
    )
    assert set(refusal.answer[1:4]) == {None}
    assert (refusal.line.show_id, refusal.line.reservation_id) == (NIL, None)
    assert refusal.line.session_id == "anna"


def test_the_id_of_a_reservation_is_no_token(hall: Hall) -> None:
    hold = hall.hold(0)
    token = hold.reservation_id.hex
    hall.refuse("NOT_FOUND", "extend_reservation", **arguments(hold, p_reservation_token=token))


@pytest.mark.parametrize(
    "session",
    [
        pytest.param(None, id="no session"),
        pytest.param("", id="an empty session"),
        pytest.param("ben", id="another session"),
        pytest.param("Anna", id="almost the session"),
        pytest.param("x" * 1_000_000, id="a session of a megabyte"),
    ],
)
def test_the_token_alone_extends_nothing(hall: Hall, session: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "PERMISSION_DENIED", "extend_reservation", **arguments(hold, p_session_id=session)
    )
    assert set(refusal.answer[1:4]) == {None}
    assert refusal.line.reservation_id == hold.reservation_id
    # Who tried, not whose it is.
    assert refusal.line.session_id == (session and session[:200])


def test_a_stranger_with_a_token_learns_nothing_about_the_hold(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.release(hold)
    hall.refuse("PERMISSION_DENIED", "extend_reservation", **arguments(hold, p_session_id="ben"))


def test_a_released_hold_is_not_extended(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.release(hold)
    hall.refuse("RESERVATION_INACTIVE", "extend_reservation", **arguments(hold))


def test_a_paid_hold_is_not_extended(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.pay(hall.order(hold))
    hall.refuse("RESERVATION_INACTIVE", "extend_reservation", **arguments(hold))


def test_a_hold_that_was_cleaned_up_is_not_extended(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.let_run_out(hold)
    hall.clean_up()
    hall.refuse("RESERVATION_EXPIRED", "extend_reservation", **arguments(hold))


def test_an_unexpected_error_is_an_answer_and_leaves_nothing_half_done(hall: Hall) -> None:
    hold = hall.hold(0)
    sabotage(hall.connection, "show_seats", "UPDATE")
    refusal = hall.refuse("INTERNAL_ERROR", "extend_reservation", **arguments(hold))
    assert set(refusal.answer[1:4]) == {None}
    assert refusal.line.reservation_id == hold.reservation_id
    assert (refusal.line.metadata["sqlstate"], refusal.line.metadata["detail"]) == (
        "22012",
        "division by zero",
    )


def test_a_refused_extension_does_not_stop_what_comes_next_in_the_transaction(hall: Hall) -> None:
    hold = hall.hold(0)
    assert not hall.extend(hold, session="ben").success
    assert hall.extend(hold).success
    assert hall.events() == ["created", "failed", "extended"]
