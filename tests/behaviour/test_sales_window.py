"""sales_start_at and sales_end_at: seats can be held from the one until before the other."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.support.hall import Hall
from tests.support.queries import Row, value
from tests.support.sabotage import Edit

Want = Callable[[Hall, Row], Row]

WANTS: dict[str, Want] = {
    "reserve_seats": lambda hall, _: hall.reserve(5, session="ben"),
    "reserve_best_seats": lambda hall, _: hall.reserve_best(2, session="ben"),
    "add_seats": lambda hall, hold: hall.add(hold, 5),
}
MOMENT = timedelta(microseconds=1)


@pytest.fixture(params=WANTS)
def function(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def sell_between(hall: Hall, start: str, end: str) -> None:
    hall.connection.execute(f"UPDATE shows SET sales_start_at = {start}, sales_end_at = {end}")


def stop_clock(hall: Hall, function: str) -> None:
    """For this function it is always one second after the transaction began."""
    Edit(function, "v_now := clock_timestamp();", "v_now := now() + interval '1 second';")(
        hall.connection
    )


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        (None, None, None),
        (0, None, None),
        (1, None, "SHOW_NOT_ON_SALE"),
        (None, 1, None),
        (None, 0, "SHOW_NOT_ON_SALE"),
        (None, -1, "SHOW_NOT_ON_SALE"),
        (0, 1, None),
        (1, 2, "SHOW_NOT_ON_SALE"),
        (-1, 0, "SHOW_NOT_ON_SALE"),
    ],
)
def test_the_first_moment_is_within_and_the_last_is_not(
    hall: Hall, function: str, start: int | None, end: int | None, code: str | None
) -> None:
    """The bounds, in microseconds from the moment of the call."""
    hold = hall.hold(0)
    stop_clock(hall, function)
    moment = value(hall.connection, "SELECT now() + interval '1 second'")
    hall.connection.execute(
        "UPDATE shows SET sales_start_at = %s, sales_end_at = %s",
        [bound if bound is None else moment + bound * MOMENT for bound in (start, end)],
    )
    assert WANTS[function](hall, hold).error_code == code


def test_the_clock_counts_and_not_the_beginning_of_the_transaction(
    hall: Hall, function: str
) -> None:
    hold = hall.hold(0)
    sell_between(hall, "clock_timestamp()", "NULL")
    assert value(hall.connection, "SELECT now() < sales_start_at FROM shows")
    assert WANTS[function](hall, hold).success


def test_who_comes_after_the_end_in_a_transaction_that_is_older_is_too_late(
    hall: Hall, function: str
) -> None:
    hold = hall.hold(0)
    sell_between(hall, "NULL", "clock_timestamp()")
    assert value(hall.connection, "SELECT now() < sales_end_at FROM shows")
    assert WANTS[function](hall, hold).error_code == "SHOW_NOT_ON_SALE"


@pytest.mark.parametrize("status", ["draft", "closed", "cancelled"])
def test_within_the_time_the_status_counts_too(hall: Hall, function: str, status: str) -> None:
    hold = hall.hold(0)
    sell_between(hall, "now() - interval '1 day'", "now() + interval '1 day'")
    hall.connection.execute("UPDATE shows SET status = %s", [status])
    assert WANTS[function](hall, hold).error_code == "SHOW_NOT_ON_SALE"
    hall.connection.execute("UPDATE shows SET status = 'on_sale'")
    assert WANTS[function](hall, hold).success


@pytest.mark.parametrize("outside", ["before", "after"])
def test_what_is_held_can_be_extended_ordered_and_paid_outside(hall: Hall, outside: str) -> None:
    hold = hall.hold(0, 1)
    if outside == "before":
        sell_between(hall, "now() + interval '1 day'", "NULL")
    else:
        sell_between(hall, "NULL", "now() - interval '1 day'")
    # The control: nothing new.
    hall.refuse(
        "SHOW_NOT_ON_SALE",
        "reserve_seats",
        p_show_id=hall.show_id,
        p_seat_ids=hall.ids(5),
        p_session_id="ben",
    )
    assert hall.reserve(1, 0).reservation_token == hold.reservation_token
    assert hall.reserve_best(2).reservation_token == hold.reservation_token
    assert hall.add(hold, 0).seat_count == 2
    assert hall.extend(hold).success
    assert hall.price(hold, {0: 500}).success
    assert hall.move(hold, "anna, logged in").success
    assert hall.release(hold, hall.ids(1), session="anna, logged in").success
    order = hall.order(hold, "anna, logged in")
    assert hall.pay(order).status == "paid"
