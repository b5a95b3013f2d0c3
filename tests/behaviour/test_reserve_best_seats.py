"""reserve_best_seats: which seats it chooses, and every way of being refused."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from tests.support.hall import NIL, Hall, make_hall
from tests.support.queries import Connection, tables, value
from tests.support.sabotage import sabotage
from tests.support.seating import draw_hall, drawing, more_rows

MEGABYTE = "x" * 1_000_000


def arguments(hall: Hall, **changed: Any) -> dict[str, Any]:
    """A good call for two seats, with these arguments changed."""
    return {"p_show_id": hall.show_id, "p_quantity": 2, "p_session_id": "anna"} | changed


def test_a_hold_is_returned_with_its_seats_and_all_that_the_buyer_needs(hall: Hall) -> None:
    before = value(hall.connection, "SELECT clock_timestamp()")
    answer = hall.reserve_best(2)
    after = value(hall.connection, "SELECT clock_timestamp()")
    assert before < answer.expires_at - timedelta(minutes=10) < after
    assert answer == (
        True,
        answer.reservation_id,
        answer.reservation_token,
        answer.expires_at,
        2,
        hall.ids(4, 5),
        1400 + 1500,
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
        "seat_ids",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    )


def test_the_hold_is_like_one_of_seats_that_the_buyer_chose(hall: Hall) -> None:
    buyer = {
        "p_user_id": "user 7",
        "p_email": "anna@example.org",
        "p_user_agent": MEGABYTE,
        "p_ip_address": "192.0.2.7",
    }
    best = hall.reservation(hall.reserve_best(2, **buyer))
    chosen = hall.reservation(hall.hold(0, 1, session="ben", **buyer))
    own = {"id", "reservation_token", "session_id", "expires_at", "created_at"}
    same = set(best._fields) - own
    assert {name: getattr(best, name) for name in same} == {
        name: getattr(chosen, name) for name in same
    }
    assert best.expires_at - best.created_at == chosen.expires_at - chosen.created_at
    assert hall.events() == ["created", "created"]
    created, other = hall.log()
    assert (created.session_id, created.seat_count) == ("anna", 2)
    assert set(created.seat_ids) == set(hall.ids(4, 5))
    assert (created.metadata, created.user_agent) == (other.metadata, other.user_agent)


def test_what_was_held_can_be_ordered_and_paid(hall: Hall) -> None:
    order = hall.order(hall.reserve_best(3))
    assert hall.pay(order).status == "paid"


# Which seats.

CHOICES: dict[str, tuple[int, list[str], list[str]]] = {
    "the middle of the first row": (2, ["......", "......"], ["..AA..", "......"]),
    "one in the middle": (1, [".....", "....."], ["..A..", "....."]),
    "the first row although its middle is taken": (
        2,
        ["..xx..", "......"],
        ["AAxx..", "......"],
    ),
    "another row rather than seats that are not adjacent": (
        3,
        ["..xx..", "......"],
        ["..xx..", "AAA..."],
    ),
    "not across an aisle": (3, [".. ..", "....."], [".. ..", "AAA.."]),
    "not so that a seat stays alone": (2, ["xxx...x", "......."], ["xxx...x", "..AA..."]),
    "nor at the end of a row": (2, ["...xxxx", "......."], ["...xxxx", "..AA..."]),
    "nor at an aisle": (2, ["... ...", "......."], ["... ...", "..AA..."]),
    "off the middle rather than so that a seat stays alone": (
        3,
        [".......x"],
        ["..AAA..x"],
    ),
    "the seat that stands alone already": (1, ["..x.x..", "......."], ["..xAx..", "......."]),
    "a seat stays alone if it cannot be helped": (2, ["...", "..."], ["AA.", "..."]),
    "the nearest of those that leave a seat alone": (
        2,
        ["x.x", "...", "..."],
        ["x.x", "AA.", "..."],
    ),
    "a whole row": (3, ["..", "...", "...."], ["..", "AAA", "...."]),
    "one row with a gap rather than two": (2, [".xxxx", ".x.xx"], [".xxxx", "AxAxx"]),
    "the narrowest gap": (2, [".xx.x.x"], [".xxAxAx"]),
    "one gap rather than two": (3, [".x.x..x"], [".xAxAAx"]),
    "rows that follow one another": (
        2,
        [".x", "xx", "xx", "x.", ".x"],
        [".x", "xx", "xx", "xA", "Ax"],
    ),
    "the last four, wherever they are": (
        4,
        [".x.", "xxx", "x.x", "xx."],
        ["AxA", "xxx", "xAx", "xxA"],
    ),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_best_seats_are(connection: Connection, choice: str) -> None:
    quantity, before, after = CHOICES[choice]
    hall = draw_hall(connection, *before)
    answer = hall.reserve_best(quantity)
    assert answer.success, answer
    assert drawing(hall, answer.seat_ids) == after


@pytest.mark.parametrize("depth", [3, 5, 17, 70])
def test_rows_are_read_to_the_last(connection: Connection, depth: int) -> None:
    rows = ["x.x"] * depth
    hall = draw_hall(connection, *rows, "...x")
    assert drawing(hall, hall.reserve_best(3).seat_ids) == [*rows, "AAAx"]


def test_positions_of_rows_may_be_any(connection: Connection) -> None:
    hall = draw_hall(connection, "x.", "..", "..")
    connection.execute(
        "UPDATE show_seats SET row_position = (ARRAY[-2147483648, 7, 2147483647])[row_position]"
    )
    assert hall.reserve_best(2).seat_ids == list(hall.seats[2:4])
    assert hall.reserve_best(2, session="ben").seat_ids == list(hall.seats[4:])
    assert hall.reserve_best(1, session="cleo").seat_ids == [hall.seats[1]]


def test_of_all_sections_the_nearest_row_is_taken_and_of_equal_ones_the_first_by_name(
    connection: Connection,
) -> None:
    hall = draw_hall(connection, "xxxx", "....")
    hall = more_rows(hall, ["....", "...."], "balcony")
    hall = more_rows(hall, ["....", "...."], "circle")
    assert drawing(hall, hall.reserve_best(4).seat_ids, "balcony")[0] == "AAAA"
    assert drawing(hall, hall.reserve_best(4, session="ben").seat_ids, "circle")[0] == "AAAA"


def test_a_section_can_be_demanded(connection: Connection) -> None:
    hall = more_rows(draw_hall(connection, "...."), ["xx..", "...."], "balcony")
    answer = hall.reserve_best(3, p_section="balcony")
    assert drawing(hall, answer.seat_ids, "balcony") == ["xx..", "AAA."]


def test_seats_of_several_sections_are_the_last_resort(connection: Connection) -> None:
    hall = more_rows(draw_hall(connection, ".x", "x."), [".."], "balcony")
    assert hall.reserve_best(3).seat_count == 3
    assert drawing(hall, [], "balcony") == ["hh"]


def test_no_seat_is_dearer_than_the_most(connection: Connection) -> None:
    hall = draw_hall(connection, "....", "....")
    connection.execute(
        "UPDATE show_seats SET price_in_cents = 2000 WHERE row_position = 1 AND seat_position = 2"
    )
    answer = hall.reserve_best(2, p_max_price_in_cents=1999)
    assert drawing(hall, answer.seat_ids) == ["..AA", "...."]
    dear = hall.reserve_best(1, session="ben", p_max_price_in_cents=2000)
    assert dear.success
    assert hall.reserve_best(8, session="cleo", p_max_price_in_cents=1999).error_code == (
        "SEATS_UNAVAILABLE"
    )
    hall.refuse(
        "SEATS_UNAVAILABLE",
        "reserve_best_seats",
        **arguments(hall, p_session_id="cleo") | {"p_max_price_in_cents": 0},
    )


def test_a_seat_that_is_too_dear_still_counts_as_free_beside_another(
    connection: Connection,
) -> None:
    hall = draw_hall(connection, "...", "...")
    connection.execute(
        "UPDATE show_seats SET price_in_cents = 2000 WHERE row_position = 1 AND seat_position = 3"
    )
    # It would stay alone.
    answer = hall.reserve_best(2, p_max_price_in_cents=1000)
    assert drawing(hall, answer.seat_ids) == ["AA.", "..."]
    connection.execute("UPDATE show_seats SET status = 'blocked' WHERE price_in_cents = 2000")
    answer = hall.reserve_best(1, session="ben", p_max_price_in_cents=1000)
    assert drawing(hall, answer.seat_ids)[1] == ".A." or drawing(hall, answer.seat_ids)[1] == "A.."


def test_buyers_one_after_another_fill_a_row_from_the_middle_without_leaving_a_seat_alone(
    connection: Connection,
) -> None:
    hall = draw_hall(connection, "." * 18)
    for buyer in range(9):
        assert hall.reserve_best(2, session=f"buyer {buyer}").success
        (row,) = drawing(hall, [])
        assert "h.h" not in row
        assert not row.startswith(".h")
        assert not row.endswith("h.")
    assert row == "h" * 18


def nearest_to_the_middle(row: str, quantity: int) -> str:
    """The row with those taken that are adjacent and leave none alone, if there are any."""
    walled = f"xx{row}xx"
    firsts = [
        first
        for first in range(2, len(row) + 3 - quantity)
        if set(walled[first : first + quantity]) == {"."}
        and walled[first - 2 : first] != "x."
        and walled[first + quantity : first + quantity + 2] != ".x"
    ]
    if not firsts:
        return row
    first = min(firsts, key=lambda first: abs(2 * first + quantity - len(walled))) - 2
    return row[:first] + "A" * quantity + row[first + quantity :]


STANDING = {
    "all free": "." * 501,
    "the middle is gone": "." * 90 + "x" * 300 + "." * 111,
    "all but one end is gone": "x" * 480 + "." * 21,
    "single seats in the middle": "." * 60 + ".x" * 200 + "." * 61,
    "with holes": "..x....x" * 60,
    "seats left alone where there are no others": ".x" * 30 + "x" * 100 + "....x..." + "xx." * 50,
}


@pytest.mark.parametrize("quantity", [1, 2, 3, 4])
@pytest.mark.parametrize("row", STANDING)
def test_of_a_long_row_the_nearest_to_its_middle_are_taken(
    connection: Connection, row: str, quantity: int
) -> None:
    hall = draw_hall(connection, STANDING[row], "." * 8)
    answer = hall.reserve_best(quantity)
    assert drawing(hall, answer.seat_ids)[0].replace("h", "x") == (
        nearest_to_the_middle(STANDING[row], quantity)
    )


def test_the_same_hall_gives_the_same_seats(connection: Connection) -> None:
    first, second = (
        drawing(hall, hall.reserve_best(3).seat_ids)
        for hall in (draw_hall(connection, "..x....", ".....x.") for _ in range(2))
    )
    assert first == second


# Holds that are over.


def test_seats_of_overdue_holds_are_taken_where_there_are_not_enough_others(hall: Hall) -> None:
    over = [hall.hold(n, n + 1, session=f"slow {n}") for n in (0, 4, 8)]
    hall.let_run_out(*over)
    assert hall.reserve_best(2).seat_ids == hall.ids(2, 3)
    assert hall.events() == ["created"] * 4
    assert hall.reserve_best(5, session="ben").seat_count == 5
    assert {hall.reservation(hold).status for hold in over} == {"expired"}


def test_only_holds_that_help_are_ended(connection: Connection) -> None:
    hall = more_rows(draw_hall(connection, ".."), [".."], "balcony", price=5000)
    stalls = hall.hold(0, session="ben")
    balcony = hall.hold(2, session="cleo")
    hall.let_run_out(stalls, balcony)
    assert hall.reserve_best(2, p_section="stalls").success
    assert hall.reservation(balcony).status == "active"
    hall.release(hall.hold(3, session="dora"), session="dora")
    assert hall.reserve_best(2, session="ed", p_max_price_in_cents=4999).error_code == (
        "SEATS_UNAVAILABLE"
    )
    assert hall.reservation(balcony).status == "active"


def test_the_overdue_hold_of_the_session_itself_is_ended(hall: Hall) -> None:
    over = hall.hold(0, 1)
    hall.let_run_out(over)
    assert hall.reserve_best(10).seat_count == 10
    assert hall.reservation(over).status == "expired"


def test_a_live_hold_is_not_ended(hall: Hall) -> None:
    hall.hold(0, session="ben")
    hall.refuse("SEATS_UNAVAILABLE", "reserve_best_seats", **arguments(hall, p_quantity=10))


# Repeated.


def test_a_call_whose_answer_was_lost_returns_the_same_hold(hall: Hall) -> None:
    hold = hall.reserve_best(2)
    before = tables(hall.connection)
    assert hall.reserve_best(2) == hold
    assert hall.reserve_best(2, p_section="stalls", p_max_price_in_cents=1500) == hold
    assert hall.reserve(4, 5).reservation_token == hold.reservation_token
    assert tables(hall.connection) == before


def test_a_hold_that_fits_is_returned_after_the_sale_too(hall: Hall) -> None:
    hold = hall.reserve_best(2)
    hall.connection.execute("UPDATE shows SET status = 'closed'")
    assert hall.reserve_best(2) == hold
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    hall.refuse("SHOW_NOT_ON_SALE", "reserve_best_seats", **arguments(hall))


@pytest.mark.parametrize(
    "changed",
    [{"p_quantity": 1}, {"p_quantity": 3}, {"p_section": "circle"}, {"p_max_price_in_cents": 1400}],
    ids=str,
)
def test_another_wish_than_the_hold_that_there_is_is_a_second_hold(
    hall: Hall, changed: dict[str, Any]
) -> None:
    hall.reserve_best(2)
    hall.refuse("DUPLICATE_RESERVATION", "reserve_best_seats", **arguments(hall, **changed))


# Refused.


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"p_show_id": None}, id="no show"),
        pytest.param({"p_quantity": None}, id="no quantity"),
        pytest.param({"p_quantity": 0}, id="no seats"),
        pytest.param({"p_quantity": -2147483648}, id="fewer than none"),
        pytest.param({"p_session_id": None}, id="no session"),
        pytest.param({"p_session_id": " \t"}, id="a session of white space"),
        pytest.param({"p_session_id": MEGABYTE}, id="a session of a megabyte"),
        pytest.param({"p_section": ""}, id="an empty section"),
        pytest.param({"p_section": "\n"}, id="a section of white space"),
        pytest.param({"p_max_price_in_cents": -1}, id="a negative price"),
        pytest.param({"p_user_id": MEGABYTE}, id="a user of a megabyte"),
        pytest.param({"p_email": MEGABYTE}, id="an e-mail address of a megabyte"),
    ],
)
def test_values_that_make_no_sense_are_invalid_input(hall: Hall, changed: dict[str, Any]) -> None:
    given = arguments(hall, **changed)
    refusal = hall.refuse("INVALID_INPUT", "reserve_best_seats", **given)
    assert set(refusal.answer[1:8]) == {None}
    line = refusal.line
    assert line.show_id == (given["p_show_id"] or NIL)
    assert (line.seat_ids, line.seat_count) == ([], 0)
    assert line.metadata == {"function": "reserve_best_seats"}


@pytest.mark.parametrize("status", ["draft", "closed", "cancelled"])
def test_a_show_that_is_not_on_sale_sells_nothing(hall: Hall, status: str) -> None:
    hall.connection.execute("UPDATE shows SET status = %s", [status])
    hall.refuse("SHOW_NOT_ON_SALE", "reserve_best_seats", **arguments(hall))


def test_a_show_that_does_not_exist_is_not_on_sale(hall: Hall) -> None:
    nowhere = uuid.uuid4()
    refusal = hall.refuse(
        "SHOW_NOT_ON_SALE", "reserve_best_seats", **arguments(hall, p_show_id=nowhere)
    )
    assert refusal.line.show_id == nowhere


@pytest.mark.parametrize("quantity", [4, 2_147_483_647])
def test_more_seats_than_the_settings_allow_are_too_many(hall: Hall, quantity: int) -> None:
    hall.connection.execute("UPDATE ticketing_settings SET max_seats_per_reservation = 3")
    hall.refuse("TOO_MANY_SEATS", "reserve_best_seats", **arguments(hall, p_quantity=quantity))
    assert hall.reserve_best(3).seat_count == 3


@pytest.mark.parametrize("section", ["balcony", "Stalls", MEGABYTE], ids=lambda s: f"{s:.8}")
def test_a_section_that_does_not_exist_is_not_found(hall: Hall, section: str) -> None:
    hall.refuse("SEATS_NOT_FOUND", "reserve_best_seats", **arguments(hall, p_section=section))


def test_a_hall_without_seats_has_none_to_sell(connection: Connection) -> None:
    hall = make_hall(connection, seats=0)
    hall.refuse("SEATS_UNAVAILABLE", "reserve_best_seats", **arguments(hall))


def test_who_wants_more_than_are_free_gets_none(connection: Connection) -> None:
    hall = draw_hall(connection, ".x.", "xx.")
    refusal = hall.refuse(
        "SEATS_UNAVAILABLE", "reserve_best_seats", **arguments(hall, p_quantity=4)
    )
    assert set(refusal.answer[1:8]) == {None}
    assert refusal.answer.error_message == "One or more seats were taken by another customer"
    assert hall.reserve_best(3).success


@pytest.mark.breaks_invariants
def test_a_claim_that_should_not_be_there_prevents_a_double_booking(hall: Hall) -> None:
    hall.release(hall.hold(4, session="stray"), session="stray")
    hall.connection.execute("UPDATE reservation_seats SET released_at = NULL")
    hall.refuse("DOUBLE_BOOKING_PREVENTED", "reserve_best_seats", **arguments(hall))


def test_an_unexpected_error_is_an_answer_and_leaves_nothing_half_done(hall: Hall) -> None:
    sabotage(hall.connection, "show_seats", "UPDATE")
    refusal = hall.refuse("INTERNAL_ERROR", "reserve_best_seats", **arguments(hall))
    assert set(refusal.answer[1:8]) == {None}
    assert refusal.line.metadata["sqlstate"] == "22012"


def test_an_overdue_hold_that_cannot_be_ended_is_an_unexpected_error(hall: Hall) -> None:
    hall.let_run_out(hall.hold(*range(10), session="ben"))
    sabotage(hall.connection, "reservation_seats", "UPDATE")
    refusal = hall.refuse("INTERNAL_ERROR", "reserve_best_seats", **arguments(hall))
    assert refusal.line.metadata["sqlstate"] == "22012"


def test_errors_are_reported_in_an_order_that_does_not_depend_on_chance(hall: Hall) -> None:
    hall.hold(0)
    hall.hold(*range(1, 10), session="ben")
    for code, changed in (
        ("TOO_MANY_SEATS", {"p_quantity": 11, "p_section": "balcony"}),
        ("DUPLICATE_RESERVATION", {"p_section": "balcony"}),
        ("SEATS_NOT_FOUND", {"p_section": "balcony", "p_session_id": "cleo"}),
        ("SEATS_UNAVAILABLE", {"p_session_id": "cleo"}),
    ):
        hall.refuse(code, "reserve_best_seats", **arguments(hall, **changed))
