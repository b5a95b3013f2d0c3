"""price_seats: the shop decides what the seats of a hold cost, and for whom they are."""

import uuid
from typing import Any

import pytest

from tests.support.hall import NIL, Hall
from tests.support.orders import bring_to, tickets
from tests.support.queries import Row, tables
from tests.support.sabotage import sabotage


def arguments(hall: Hall, hold: Row, *numbers: int, **changed: Any) -> dict[str, Any]:
    """A good call for these seats, with these arguments changed."""
    return {
        "p_reservation_token": hold.reservation_token,
        "p_session_id": "anna",
        "p_seat_ids": hall.ids(*numbers),
        "p_prices_in_cents": [500] * len(numbers),
        "p_ticket_types": ["child"] * len(numbers),
    } | changed


def claims(hall: Hall) -> list[tuple[int, str | None]]:
    """Price and type of each claim, in the order of the seats."""
    rows = hall.connection.execute(
        "SELECT claim.price_in_cents, claim.ticket_type FROM reservation_seats AS claim"
        " INNER JOIN show_seats ON id = show_seat_id ORDER BY show_seats.price_in_cents"
    ).fetchall()
    return [tuple(row) for row in rows]


def test_the_answer_is_what_all_seats_cost(hall: Hall) -> None:
    hold = hall.hold(0, 1, 2)
    answer = hall.price(hold, {2: 700, 0: 500}, ["member", "child"])
    assert answer == (True, hold.reservation_id, 500 + 1100 + 700, "EUR", None, None)
    assert answer._fields == (
        "success",
        "reservation_id",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    )
    assert claims(hall) == [(500, "child"), (1100, None), (700, "member")]


def test_order_and_tickets_have_what_the_shop_decided(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.price(hold, {0: 500}, ["child"])
    order = hall.order(hold)
    assert order.total_amount_in_cents == 500 + 1100
    hall.pay(order)
    assert [(ticket.price_in_cents, ticket.ticket_type) for ticket in tickets(hall, order)] == [
        (500, "child"),
        (1100, None),
    ]


def test_the_price_of_the_seat_itself_stays(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.price(hold, {0: 1})
    assert hall.row("show_seats", hall.seats[0]).price_in_cents == 1000
    hall.release(hold)
    assert hall.hold(0, session="ben").total_amount_in_cents == 1000


def test_without_types_they_stay_and_a_null_among_them_removes_one(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.price(hold, {0: 1, 1: 2}, ["child", "member"])
    hall.price(hold, {0: 3, 1: 4})
    assert claims(hall) == [(3, "child"), (4, "member")]
    hall.price(hold, {0: 3, 1: 4}, [None, "member"])
    assert claims(hall) == [(3, None), (4, "member")]


@pytest.mark.parametrize("price", [0, 100_000_000_000])
def test_a_price_may_be_nothing_and_very_much(hall: Hall, price: int) -> None:
    assert hall.price(hall.hold(0), {0: price}).total_amount_in_cents == price


def test_the_dearest_seats_add_up(hall: Hall) -> None:
    hold = hall.hold(*range(10))
    answer = hall.price(hold, dict.fromkeys(range(10), 100_000_000_000), ["x" * 200] * 10)
    assert answer.total_amount_in_cents == 10 * 100_000_000_000


def test_a_change_of_prices_leaves_one_line_in_the_audit_log(hall: Hall) -> None:
    hold = hall.hold(0, 1, 2)
    hall.price(hold, {2: 700, 0: 500}, ["member", None])
    assert hall.events() == ["created", "priced"]
    line = hall.log()[-1]
    assert (line.reservation_id, line.session_id) == (hold.reservation_id, "anna")
    assert (line.seat_count, line.seat_ids) == (2, hall.ids(2, 0))
    assert line.metadata == {"prices_in_cents": [700, 500], "ticket_types": ["member", None]}


def test_a_call_whose_answer_was_lost_changes_nothing_when_repeated(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    answer = hall.price(hold, {0: 500}, ["child"])
    hall.order(hold)
    before = tables(hall.connection)
    assert hall.price(hold, {0: 500}, ["child"]) == answer
    assert hall.price(hold, {0: 500}) == answer
    assert tables(hall.connection) == before


def test_the_hold_goes_on_as_before(hall: Hall) -> None:
    hold = hall.hold(0)
    before = hall.reservation(hold)
    hall.price(hold, {0: 1})
    assert hall.reservation(hold) == before


@pytest.mark.parametrize("token", [None, "", "0" * 64, "x" * 1_000_000], ids=lambda t: f"{t!s:.8}")
def test_a_token_of_nothing_is_not_found(hall: Hall, token: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "NOT_FOUND", "price_seats", **arguments(hall, hold, 0, p_reservation_token=token)
    )
    assert set(refusal.answer[1:4]) == {None}
    assert (refusal.line.show_id, refusal.line.reservation_id) == (NIL, None)


@pytest.mark.parametrize("session", [None, "", "ben", "x" * 1_000_000], ids=lambda s: f"{s!s:.8}")
def test_the_token_alone_prices_nothing(hall: Hall, session: str | None) -> None:
    hold = hall.hold(0)
    refusal = hall.refuse(
        "PERMISSION_DENIED", "price_seats", **arguments(hall, hold, 0, p_session_id=session)
    )
    assert set(refusal.answer[1:4]) == {None}
    assert refusal.line.reservation_id == hold.reservation_id


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"p_seat_ids": None}, id="no seats"),
        pytest.param(
            {"p_seat_ids": [], "p_prices_in_cents": [], "p_ticket_types": []}, id="nothing at all"
        ),
        pytest.param({"p_prices_in_cents": None}, id="no prices"),
        pytest.param({"p_prices_in_cents": [1]}, id="too few prices"),
        pytest.param({"p_prices_in_cents": [1, 2, 3]}, id="too many prices"),
        pytest.param({"p_prices_in_cents": [1, None]}, id="a null for a price"),
        pytest.param({"p_prices_in_cents": [1, -1]}, id="a negative price"),
        pytest.param({"p_prices_in_cents": [1, 100_000_000_001]}, id="a price that is too high"),
        pytest.param({"p_ticket_types": ["child"]}, id="too few types"),
        pytest.param({"p_ticket_types": []}, id="an empty list of types"),
        pytest.param({"p_ticket_types": ["a", "b", "c"]}, id="too many types"),
        pytest.param({"p_ticket_types": ["child", ""]}, id="an empty type"),
        pytest.param({"p_ticket_types": ["child", " \t"]}, id="a type of white space"),
        pytest.param({"p_ticket_types": ["child", "x" * 201]}, id="a type that is too long"),
    ],
)
def test_values_that_make_no_sense_are_invalid_input(hall: Hall, changed: dict[str, Any]) -> None:
    hold = hall.hold(0, 1)
    refusal = hall.refuse("INVALID_INPUT", "price_seats", **arguments(hall, hold, 0, 1, **changed))
    assert set(refusal.answer[1:4]) == {None}
    assert refusal.line.metadata == {"function": "price_seats"}


@pytest.mark.parametrize("second", ["null", "the same"])
def test_a_seat_named_twice_or_not_at_all_is_invalid_input(hall: Hall, second: str) -> None:
    hold = hall.hold(0, 1)
    seats = [hall.seats[0], None if second == "null" else hall.seats[0]]
    hall.refuse("INVALID_INPUT", "price_seats", **arguments(hall, hold, 0, 1, p_seat_ids=seats))


@pytest.mark.parametrize("end", ["released", "completed"])
def test_a_hold_that_has_ended_has_its_price(hall: Hall, end: str) -> None:
    hold = hall.hold(0)
    if end == "released":
        hall.release(hold)
    else:
        hall.pay(hall.order(hold))
    hall.refuse("RESERVATION_INACTIVE", "price_seats", **arguments(hall, hold, 0))


@pytest.mark.parametrize("cleaned_up", [False, True])
def test_a_hold_that_is_over_has_no_price(hall: Hall, cleaned_up: bool) -> None:
    hold = hall.hold(0)
    hall.let_run_out(hold)
    if cleaned_up:
        hall.clean_up()
    hall.refuse("RESERVATION_EXPIRED", "price_seats", **arguments(hall, hold, 0))


def test_of_a_cancelled_show_nothing_is_priced(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    hall.refuse("SHOW_NOT_ON_SALE", "price_seats", **arguments(hall, hold, 0))


def test_of_a_closed_show_a_hold_is_still_priced(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE shows SET status = 'closed'")
    assert hall.price(hold, {0: 1}).success


@pytest.mark.parametrize("which", ["of nobody", "of another buyer", "given back"])
def test_seats_that_the_hold_does_not_have_are_not_found(hall: Hall, which: str) -> None:
    hold = hall.hold(0, 1)
    hall.hold(5, session="ben")
    hall.release(hold, hall.ids(1))
    wrong = {
        "of nobody": uuid.uuid4(),
        "of another buyer": hall.seats[5],
        "given back": hall.seats[1],
    }[which]
    seats = [hall.seats[0], wrong]
    refusal = hall.refuse(
        "SEATS_NOT_FOUND", "price_seats", **arguments(hall, hold, 0, 1, p_seat_ids=seats)
    )
    assert refusal.line.seat_ids == seats


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_what_has_been_ordered_has_its_price(hall: Hall, status: str) -> None:
    hold = hall.reserve(0) if bring_to(hall, status) else None
    hall.refuse("ORDER_EXISTS", "price_seats", **arguments(hall, hold, 0))


def test_when_the_order_is_cancelled_the_hold_can_be_priced_again(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.order(hold)
    hall.release(hold, hall.ids(1))
    hall.price(hold, {0: 1})
    assert hall.pay(hall.order(hold)).status == "paid"


def test_an_unexpected_error_is_an_answer_and_leaves_nothing_half_done(hall: Hall) -> None:
    hold = hall.hold(0)
    sabotage(hall.connection, "reservation_seats", "UPDATE")
    refusal = hall.refuse("INTERNAL_ERROR", "price_seats", **arguments(hall, hold, 0))
    assert set(refusal.answer[1:4]) == {None}
    assert refusal.line.metadata["sqlstate"] == "22012"
