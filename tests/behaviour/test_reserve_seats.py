"""reserve_seats: holding seats, and every way of being refused."""

import re
import uuid
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import NIL, Hall, make_hall
from tests.support.logs import lines
from tests.support.queries import tables, value
from tests.support.sabotage import sabotage

MEGABYTE = "x" * 1_000_000


def arguments(hall: Hall, **changed: Any) -> dict[str, Any]:
    """A good call for seats 0 and 1, with these arguments changed."""
    good = {"p_show_id": hall.show_id, "p_seat_ids": hall.ids(0, 1), "p_session_id": "anna"}
    return good | changed


def now(hall: Hall) -> Any:
    """When the transaction began."""
    return value(hall.connection, "SELECT now()")


def clock(hall: Hall) -> Any:
    return value(hall.connection, "SELECT clock_timestamp()")


def plant_stray_claim(hall: Hall, seat: int) -> None:
    """A live claim on a seat that looks free: what the functions alone never leave behind."""
    hold = hall.hold(seat, session="stray")
    hall.release(hold, session="stray")
    hall.connection.execute(
        "UPDATE reservation_seats SET released_at = NULL WHERE reservation_id = %s",
        [hold.reservation_id],
    )


def test_a_hold_is_returned_with_all_that_the_buyer_needs(hall: Hall) -> None:
    before = clock(hall)
    answer = hall.reserve(0, 3)
    assert before < answer.expires_at - timedelta(minutes=10) < clock(hall)
    assert answer == (
        True,
        answer.reservation_id,
        answer.reservation_token,
        answer.expires_at,
        2,
        1000 + 1300,
        "EUR",
        None,
        None,
    )
    assert answer._fields == (
        "success",
        "reservation_id",
        "reservation_token",
        "expires_at",
        "seat_count",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    )
    assert answer.reservation_id.version == 7
    assert re.fullmatch("[0-9a-f]{64}", answer.reservation_token)


def test_a_hold_is_on_record_with_its_buyer_and_its_claims(hall: Hall) -> None:
    hold = hall.hold(
        0,
        3,
        p_user_id="user 7",
        p_email="anna@example.org",
        p_user_agent="Firefox",
        p_ip_address="192.0.2.7",
    )
    reservation = hall.reservation(hold)
    assert (reservation.show_id, reservation.session_id) == (hall.show_id, "anna")
    assert (reservation.user_id, reservation.email) == ("user 7", "anna@example.org")
    assert (reservation.user_agent, reservation.ip_address) == (
        "Firefox",
        ip_address("192.0.2.7"),
    )
    assert (reservation.status, reservation.is_active, reservation.ended_at) == (
        "active",
        True,
        None,
    )
    assert (reservation.expires_at, reservation.extension_count) == (hold.expires_at, 0)
    assert reservation.reservation_token == hold.reservation_token

    claims = hall.connection.execute(
        "SELECT show_seat_id, price_in_cents, currency, released_at FROM reservation_seats"
        " WHERE reservation_id = %s ORDER BY price_in_cents",
        [hold.reservation_id],
    ).fetchall()
    assert claims == [(hall.seats[0], 1000, "EUR", None), (hall.seats[3], 1300, "EUR", None)]


def test_only_the_wanted_seats_become_reserved(hall: Hall) -> None:
    hold = hall.hold(0, 3)
    for number, seat in enumerate(hall.seats):
        found = hall.row("show_seats", seat)
        assert (found.status, found.reserved_by, found.reserved_until) == (
            ("reserved", hold.reservation_id, hold.expires_at)
            if number in (0, 3)
            else ("available", None, None)
        )


def test_a_hold_leaves_one_line_in_the_audit_log(hall: Hall) -> None:
    hold = hall.hold(0, 3, p_user_agent="Firefox", p_ip_address="192.0.2.7")
    (line,) = hall.log()
    assert (line.event_type, line.reservation_id) == ("created", hold.reservation_id)
    assert (line.session_id, line.seat_count) == ("anna", 2)
    assert set(line.seat_ids) == set(hall.ids(0, 3))
    assert (line.error_code, line.error_message, line.hold_seconds) == (None, None, None)
    assert (line.user_agent, line.ip_address) == ("Firefox", ip_address("192.0.2.7"))
    assert (line.metadata, line.created_at) == ({}, now(hall))


def test_the_length_of_a_hold_is_a_setting(hall: Hall) -> None:
    hall.connection.execute("UPDATE ticketing_settings SET hold_minutes = 7")
    hold = hall.hold(0)
    assert hold.expires_at == hall.reservation(hold).created_at + timedelta(minutes=7)


def test_prices_are_those_of_the_moment_of_the_hold(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 99999")
    assert hall.order(hold).total_amount_in_cents == hold.total_amount_in_cents == 1000


def test_the_dearest_seats_that_one_call_may_hold_add_up(hall: Hall) -> None:
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 100000000000")
    assert hall.hold(*range(10)).total_amount_in_cents == 10 * 100_000_000_000


def test_free_seats_may_be_held(hall: Hall) -> None:
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 0")
    assert hall.hold(0, 1).total_amount_in_cents == 0


def test_one_session_may_hold_seats_of_two_shows(hall: Hall) -> None:
    other = make_hall(hall.connection)
    assert hall.hold(0).reservation_id != other.hold(0).reservation_id


def test_tokens_are_never_alike(hall: Hall) -> None:
    tokens = [hall.hold(n, session=f"s{n}").reservation_token for n in range(10)]
    # The first half is the show; the secret is the second.
    assert {token[:32] for token in tokens} == {hall.show_id.hex}
    assert len({token[32:] for token in tokens}) == 10


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"p_show_id": None}, id="no show"),
        pytest.param({"p_seat_ids": None}, id="no seats"),
        pytest.param({"p_session_id": None}, id="no session"),
        pytest.param({"p_seat_ids": []}, id="an empty list of seats"),
        pytest.param({"p_session_id": ""}, id="an empty session"),
        pytest.param({"p_session_id": "   "}, id="a session of blanks"),
        pytest.param({"p_session_id": "\t\r\n"}, id="a session of other white space"),
        pytest.param({"p_session_id": "x" * 201}, id="a session that is too long"),
        pytest.param({"p_session_id": MEGABYTE}, id="a session of a megabyte"),
        pytest.param({"p_user_id": MEGABYTE}, id="a user of a megabyte"),
        pytest.param({"p_email": MEGABYTE}, id="an e-mail address of a megabyte"),
        pytest.param(
            {"p_show_id": None, "p_seat_ids": None, "p_session_id": None}, id="nothing at all"
        ),
    ],
)
def test_values_that_make_no_sense_are_invalid_input(hall: Hall, changed: dict[str, Any]) -> None:
    given = arguments(hall, **changed)
    refusal = hall.refuse("INVALID_INPUT", "reserve_seats", **given)
    assert set(refusal.answer[1:7]) == {None}
    line = refusal.line
    assert line.show_id == (given["p_show_id"] or NIL)
    assert line.seat_ids == (given["p_seat_ids"] or [])
    assert line.seat_count == len(given["p_seat_ids"] or [])
    assert line.session_id == (given["p_session_id"] and given["p_session_id"][:200])
    assert line.metadata == {"function": "reserve_seats"}


def test_a_null_among_the_seats_is_invalid_input(hall: Hall) -> None:
    seats = [hall.seats[0], None]
    refusal = hall.refuse("INVALID_INPUT", "reserve_seats", **arguments(hall, p_seat_ids=seats))
    assert (refusal.line.seat_ids, refusal.line.seat_count) == (seats, 2)


def test_nothing_but_nulls_is_invalid_input(hall: Hall) -> None:
    hall.refuse("INVALID_INPUT", "reserve_seats", **arguments(hall, p_seat_ids=[None, None]))


def test_the_same_seat_twice_is_invalid_input(hall: Hall) -> None:
    hall.refuse("INVALID_INPUT", "reserve_seats", **arguments(hall, p_seat_ids=hall.ids(0, 1, 0)))


def test_ten_thousand_times_the_same_seat_is_invalid_input(hall: Hall) -> None:
    seats = hall.ids(0) * 10_000
    refusal = hall.refuse("INVALID_INPUT", "reserve_seats", **arguments(hall, p_seat_ids=seats))
    assert (len(refusal.line.seat_ids), refusal.line.seat_count) == (100, 10_000)


def test_a_two_dimensional_array_names_seats_like_any_other(hall: Hall) -> None:
    answer = hall.call(
        "reserve_seats",
        **arguments(hall, p_seat_ids=[hall.ids(0, 1), hall.ids(2, 3)]),
    )
    assert (answer.success, answer.seat_count, answer.total_amount_in_cents) == (True, 4, 4600)
    assert hall.statuses() == ["reserved"] * 4 + ["available"] * 6


def test_a_seat_twice_in_a_two_dimensional_array_is_invalid_input(hall: Hall) -> None:
    seats = [hall.ids(0, 1), hall.ids(1, 2)]
    hall.refuse("INVALID_INPUT", "reserve_seats", **arguments(hall, p_seat_ids=seats))


def test_an_array_that_does_not_begin_at_one_is_read_like_any_other(hall: Hall) -> None:
    seats = f"[7:8]={{{hall.seats[0]},{hall.seats[1]}}}"
    assert hall.call("reserve_seats", **arguments(hall, p_seat_ids=seats)).seat_count == 2


def test_a_user_agent_of_a_megabyte_is_cut(hall: Hall) -> None:
    hold = hall.hold(0, p_user_agent=MEGABYTE)
    assert len(hall.reservation(hold).user_agent) == 1000
    assert len(hall.log()[0].user_agent) == 1000


def test_a_refused_user_agent_of_a_megabyte_is_cut_too(hall: Hall) -> None:
    refusal = hall.refuse(
        "SEATS_NOT_FOUND",
        "reserve_seats",
        **arguments(hall, p_seat_ids=[uuid.uuid4()], p_user_agent=MEGABYTE, p_ip_address="::1"),
    )
    assert len(refusal.line.user_agent) == 1000
    assert refusal.line.ip_address == ip_address("::1")


def test_the_longest_values_that_are_allowed_are_stored_whole(hall: Hall) -> None:
    session, user, email = "s" * 200, "ü" * 200, "e" * 320
    hold = hall.hold(0, session=session, p_user_id=user, p_email=email)
    reservation = hall.reservation(hold)
    assert (reservation.session_id, reservation.user_id, reservation.email) == (
        session,
        user,
        email,
    )


@pytest.mark.parametrize("status", ["draft", "closed", "cancelled"])
def test_a_show_that_is_not_on_sale_sells_nothing(hall: Hall, status: str) -> None:
    hall.connection.execute("UPDATE shows SET status = %s", [status])
    refusal = hall.refuse("SHOW_NOT_ON_SALE", "reserve_seats", **arguments(hall))
    assert (refusal.line.show_id, refusal.line.seat_count) == (hall.show_id, 2)


def test_a_show_that_does_not_exist_is_not_on_sale(hall: Hall) -> None:
    nowhere = uuid.uuid4()
    refusal = hall.refuse("SHOW_NOT_ON_SALE", "reserve_seats", **arguments(hall, p_show_id=nowhere))
    assert refusal.line.show_id == nowhere


def test_more_seats_than_the_settings_allow_are_too_many(hall: Hall) -> None:
    hall.connection.execute("UPDATE ticketing_settings SET max_seats_per_reservation = 3")
    hall.refuse(
        "TOO_MANY_SEATS", "reserve_seats", **arguments(hall, p_seat_ids=hall.ids(*range(4)))
    )
    assert hall.hold(*range(3)).seat_count == 3


def test_ten_thousand_seats_are_too_many_and_do_not_fill_the_log(hall: Hall) -> None:
    seats = [uuid.uuid4() for _ in range(10_000)]
    refusal = hall.refuse("TOO_MANY_SEATS", "reserve_seats", **arguments(hall, p_seat_ids=seats))
    assert (refusal.line.seat_count, refusal.line.seat_ids) == (10_000, seats[:100])


def test_a_session_holds_once_in_a_show(hall: Hall) -> None:
    hall.hold(5)
    refusal = hall.refuse("DUPLICATE_RESERVATION", "reserve_seats", **arguments(hall))
    assert (refusal.line.reservation_id, refusal.line.session_id) == (None, "anna")


def test_the_same_seats_asked_for_again_are_the_same_hold(hall: Hall) -> None:
    """The answer was lost, and with it the token."""
    hold = hall.hold(0, 3, p_email="anna@example.org")
    before = tables(hall.connection)
    assert hall.reserve(3, 0) == hold
    assert hall.reserve(0, 3, p_email="other@example.org", p_user_agent="Firefox") == hold
    assert tables(hall.connection) == before


def test_a_hold_that_is_returned_again_ends_and_costs_what_it_does_now(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    extended = hall.extend(hold)
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 99999")
    again = hall.reserve(0, 1)
    assert again.expires_at == extended.expires_at
    assert again.total_amount_in_cents == hold.total_amount_in_cents == hall.order(hold)[3]


def test_what_is_left_of_a_hold_is_the_same_hold(hall: Hall) -> None:
    hold = hall.hold(0, 1, 2)
    hall.release(hold, hall.ids(1))
    again = hall.reserve(0, 2)
    assert (again.reservation_token, again.seat_count) == (hold.reservation_token, 2)
    assert again.total_amount_in_cents == 1000 + 1200


@pytest.mark.parametrize("seats", [(0,), (0, 1, 2), (0, 2), (2, 3)])
def test_other_seats_than_those_of_its_hold_are_a_second_hold(
    hall: Hall, seats: tuple[int, ...]
) -> None:
    hall.hold(0, 1)
    hall.refuse(
        "DUPLICATE_RESERVATION", "reserve_seats", **arguments(hall, p_seat_ids=hall.ids(*seats))
    )


def test_the_seats_of_another_session_are_not_the_same_hold(hall: Hall) -> None:
    hall.hold(0, 1)
    hall.refuse("SEATS_UNAVAILABLE", "reserve_seats", **arguments(hall, p_session_id="ben"))


@pytest.mark.parametrize(
    ("seats", "code"), [((0, 1, 1), "INVALID_INPUT"), ((0, 0), "INVALID_INPUT")]
)
def test_a_call_that_makes_no_sense_makes_none_when_it_is_repeated(
    hall: Hall, seats: tuple[int, ...], code: str
) -> None:
    hall.hold(0, 1)
    hall.refuse(code, "reserve_seats", **arguments(hall, p_seat_ids=hall.ids(*seats)))


def test_an_ordered_hold_is_the_same_hold_and_a_sold_one_is_not(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    assert hall.reserve(0, 1).reservation_token == hold.reservation_token
    hall.pay(order)
    hall.refuse("SEATS_UNAVAILABLE", "reserve_seats", **arguments(hall))


@pytest.mark.parametrize("change", ["closed", "draft", "fewer seats"])
def test_a_hold_that_could_not_be_had_any_more_is_still_returned_again(
    hall: Hall, change: str
) -> None:
    """Its seats may still be paid for, and the buyer needs the token for that."""
    hold = hall.hold(0, 1)
    if change == "fewer seats":
        hall.connection.execute("UPDATE ticketing_settings SET max_seats_per_reservation = 1")
    else:
        hall.connection.execute("UPDATE shows SET status = %s", [change])
    assert hall.reserve(0, 1) == hold


def test_of_a_cancelled_show_nothing_is_returned_again(hall: Hall) -> None:
    hall.hold(0, 1)
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    hall.refuse("SHOW_NOT_ON_SALE", "reserve_seats", **arguments(hall))


def test_a_session_may_hold_again_after_it_has_released_or_paid(hall: Hall) -> None:
    hall.release(hall.hold(0))
    hall.sell(0)
    assert hall.hold(1).success


def test_a_seat_that_does_not_exist_is_not_found(hall: Hall) -> None:
    seats = [hall.seats[0], uuid.uuid4()]
    refusal = hall.refuse("SEATS_NOT_FOUND", "reserve_seats", **arguments(hall, p_seat_ids=seats))
    assert refusal.line.seat_ids == seats


def test_a_seat_of_another_show_is_not_found(hall: Hall) -> None:
    elsewhere = make_hall(hall.connection)
    seats = [hall.seats[0], elsewhere.seats[0]]
    hall.refuse("SEATS_NOT_FOUND", "reserve_seats", **arguments(hall, p_seat_ids=seats))


def test_the_second_buyer_of_a_held_seat_is_refused(hall: Hall) -> None:
    hall.hold(1, 2)
    refusal = hall.refuse(
        "SEATS_UNAVAILABLE", "reserve_seats", **arguments(hall, p_session_id="ben")
    )
    # The guide's queries search for these words.
    assert refusal.line.error_message == "One or more seats were taken by another customer"
    assert (refusal.line.session_id, refusal.line.reservation_id) == ("ben", None)


def test_a_sold_seat_is_unavailable(hall: Hall) -> None:
    hall.sell(1)
    hall.refuse("SEATS_UNAVAILABLE", "reserve_seats", **arguments(hall, p_session_id="ben"))


def test_a_blocked_seat_is_unavailable(hall: Hall) -> None:
    hall.connection.execute("UPDATE show_seats SET status = 'blocked' WHERE id = %s", hall.ids(1))
    hall.refuse("SEATS_UNAVAILABLE", "reserve_seats", **arguments(hall))


@pytest.mark.breaks_invariants
def test_a_stray_claim_is_caught_by_the_constraint(hall: Hall) -> None:
    plant_stray_claim(hall, 1)
    refusal = hall.refuse("DOUBLE_BOOKING_PREVENTED", "reserve_seats", **arguments(hall))
    # The guide's queries search for these words.
    assert refusal.line.error_message == (
        "Database constraint prevented double-booking: reservation_seats_no_double_booking"
    )
    assert refusal.line.seat_ids == hall.ids(0, 1)
    assert refusal.line.metadata == {"function": "reserve_seats"}
    assert hall.statuses(0, 1) == ["available", "available"]


@pytest.mark.breaks_invariants
def test_a_prevented_double_booking_does_not_end_holds_that_it_found_over(hall: Hall) -> None:
    plant_stray_claim(hall, 1)
    over = hall.hold(0, 5, session="ben")
    hall.let_run_out(over)
    hall.refuse("DOUBLE_BOOKING_PREVENTED", "reserve_seats", **arguments(hall))
    assert hall.reservation(over).status == "active"


@pytest.mark.parametrize(
    ("table", "event"),
    [
        ("seat_reservations", "INSERT"),
        ("reservation_seats", "INSERT"),
        ("show_seats", "UPDATE"),
    ],
)
def test_an_unexpected_error_is_an_answer_and_leaves_nothing_half_done(
    hall: Hall, table: str, event: str
) -> None:
    sabotage(hall.connection, table, event)
    refusal = hall.refuse("INTERNAL_ERROR", "reserve_seats", **arguments(hall))
    assert set(refusal.answer[1:7]) == {None}
    assert refusal.line.metadata == {
        "function": "reserve_seats",
        "sqlstate": "22012",
        "detail": "division by zero",
    }
    # What the buyer reads reveals nothing about the server.
    assert "division" not in refusal.answer.error_message


def test_an_unexpected_error_does_not_end_holds_that_it_found_over(hall: Hall) -> None:
    over = hall.hold(0, session="ben")
    hall.let_run_out(over)
    sabotage(hall.connection, "seat_reservations", "INSERT")
    hall.refuse("INTERNAL_ERROR", "reserve_seats", **arguments(hall))
    assert hall.reservation(over).status == "active"


def test_a_refused_buyer_may_choose_again_in_the_same_transaction(hall: Hall) -> None:
    hall.hold(0, session="ben")
    assert not hall.reserve(0, 1).success
    assert hall.hold(1, 2).seat_count == 2
    assert hall.events() == ["created", "failed", "created"]


def test_errors_are_reported_in_an_order_that_does_not_depend_on_chance(hall: Hall) -> None:
    hall.hold(0)
    hall.hold(1, session="ben")
    stranger = uuid.uuid4()
    # Each call has all the faults that come later too.
    expected: list[tuple[str, dict[str, Any]]] = [
        ("INVALID_INPUT", {"p_seat_ids": [stranger, *hall.ids(*range(10)), hall.seats[1]]}),
        ("TOO_MANY_SEATS", {"p_seat_ids": [stranger, *hall.ids(*range(10))]}),
        ("DUPLICATE_RESERVATION", {"p_seat_ids": [stranger, hall.seats[1]]}),
        ("SEATS_NOT_FOUND", {"p_seat_ids": [stranger, hall.seats[1]], "p_session_id": "cleo"}),
    ]
    for code, changed in expected:
        hall.refuse(code, "reserve_seats", **arguments(hall, **changed))
    assert [line.error_code for line in lines(hall.connection, "seat_reservation_audit_log")][
        2:
    ] == [code for code, _ in expected]


def test_a_loser_skips_the_disk_where_the_shop_says_so_and_nobody_else_does(
    database: Database, connect: Connect
) -> None:
    connection = connect(database)
    connection.execute("SET synchronous_commit = on")
    hall = make_hall(connection)

    def reserve(seat: int, session: str) -> tuple[str | None, str]:
        row = connection.execute(
            "SELECT answer.error_code, current_setting('synchronous_commit')"
            " FROM reserve_seats(%s, %s, %s) AS answer",
            [hall.show_id, hall.ids(seat), session],
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    assert reserve(0, "winner") == (None, "on")
    assert reserve(0, "loser") == ("SEATS_UNAVAILABLE", "on")
    connection.execute("UPDATE ticketing_settings SET async_conflict_log = true")
    assert reserve(0, "loser") == ("SEATS_UNAVAILABLE", "off")
    assert value(connection, "SHOW synchronous_commit") == "on"
    assert reserve(1, "winner") == ("DUPLICATE_RESERVATION", "on")
    with connection.transaction():
        assert reserve(1, "one who has written") == (None, "on")
        assert reserve(0, "one who lost after it") == ("SEATS_UNAVAILABLE", "on")
