"""What happens in shops, from the first look to the payment. After each, every invariant holds."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.orders import tickets
from tests.support.queries import Connection, Row, broken_invariants, enter
from tests.support.racing import Call, Racers, deadlocks, racers
from tests.support.seating import draw_hall, drawing

Race = Callable[[Sequence[Call]], list[Row]]


@pytest.fixture
def race(database: Database, connect: Connect) -> Iterator[Race]:
    """Lets calls go at the same moment. After the test: no deadlock, no broken invariant."""
    pids: set[int] = set()
    with ExitStack() as stack:
        opened: list[Racers] = []

        def run(calls: Sequence[Call]) -> list[Row]:
            if not opened:
                opened.append(stack.enter_context(racers(database, len(calls))))
                pids.update(opened[0].pids)
            return opened[0].race(calls)

        yield run
    assert broken_invariants(enter(connect())) == []
    assert deadlocks(database, pids) == (0, 0)


def any_place(hall: Hall, quantity: int, session: str) -> Call:
    return Call(
        "reserve_best_seats",
        {"p_show_id": hall.show_id, "p_quantity": quantity, "p_session_id": session},
    )


def codes(answers: Sequence[Row]) -> Counter[str | None]:
    return Counter(answer.error_code for answer in answers)


def seats_of(answers: Sequence[Row]) -> list[Any]:
    return [seat for answer in answers if answer.success for seat in answer.seat_ids]


# Prices.


def test_child_and_adult_in_one_order(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    assert hall.price(hold, {0: 500, 1: 1100}, ["child", "adult"]).total_amount_in_cents == 1600
    order = hall.order(hold)
    assert hall.pay(order).status == "paid"
    assert [(one.ticket_type, one.price_in_cents) for one in tickets(hall, order)] == [
        ("child", 500),
        ("adult", 1100),
    ]
    assert hall.refund(order).seats_released == 2


def test_a_voucher_pays_for_everything(hall: Hall) -> None:
    """An order of 0 is paid with 0, by whatever the shop calls the provider of vouchers."""
    hold = hall.hold(0, 1)
    assert hall.price(hold, {0: 0, 1: 0}, ["voucher", "voucher"]).total_amount_in_cents == 0
    order = hall.order(hold)
    assert order.total_amount_in_cents == 0
    paid = hall.pay(order, event="voucher 7")
    assert (paid.status, len(paid.ticket_ids)) == ("paid", 2)
    assert hall.pay(order, event="voucher 7") == paid
    assert {one.price_in_cents for one in tickets(hall, order)} == {0}
    assert hall.statuses(0, 1) == ["sold"] * 2


def test_the_price_changes_while_the_seat_is_held_and_the_buyer_pays_what_was_shown(
    hall: Hall,
) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 99999")
    order = hall.order(hold)
    assert order.total_amount_in_cents == hold.total_amount_in_cents == 1000
    assert hall.pay(order).status == "paid"
    # Who comes now, or adds a seat, pays the new price.
    other = hall.hold(1, session="ben")
    assert other.total_amount_in_cents == 99999
    assert hall.add(other, 2, session="ben").total_amount_in_cents == 2 * 99999


# Sessions.


def test_two_tabs_of_one_visitor(hall: Hall) -> None:
    """The second tab finds the hold of the first, adds to it, and either can pay."""
    first = hall.reserve_best(2)
    second = hall.reserve_best(2)
    assert second == first
    assert hall.reserve(9).error_code == "DUPLICATE_RESERVATION"
    assert hall.add(second, 9).seat_count == 3
    assert hall.order(first).order_id == hall.order(second).order_id
    assert hall.pay(hall.order(first)).status == "paid"
    assert hall.extend(second).error_code == "RESERVATION_INACTIVE"


def test_a_guest_logs_in(hall: Hall) -> None:
    """A hold in the account that is over does not matter, a live one does."""
    hall.let_run_out(hall.hold(8, session="account"))
    hold = hall.reserve_best(2, session="guest")
    moved = hall.move(hold, "account", session="guest", p_user_id="7", p_email="a@example.org")
    assert moved.success
    assert hall.move(hold, "account", session="guest").success
    # Another guest on the same device.
    other = hall.reserve_best(2, session="guest")
    assert hall.move(other, "account", session="guest").error_code == "DUPLICATE_RESERVATION"
    order = hall.order(hold, "account")
    assert hall.pay(order).status == "paid"
    assert hall.move(other, "account", session="guest").success


@pytest.mark.parametrize("how", ["reserve_seats", "reserve_best_seats"])
def test_the_answer_to_a_reservation_is_lost(hall: Hall, how: str) -> None:
    def ask() -> Row:
        return hall.reserve(3, 4) if how == "reserve_seats" else hall.reserve_best(2)

    ask()
    again = ask()
    assert hall.events() == ["created"]
    assert hall.pay(hall.order(again)).status == "paid"


def test_the_answers_to_all_else_are_lost(hall: Hall) -> None:
    """Each call is made twice, and the second answers as the first."""
    hold = hall.hold(0)
    calls: list[Callable[[], Row]] = [
        lambda: hall.add(hold, 1),
        lambda: hall.price(hold, {0: 500}, ["child"]),
        lambda: hall.move(hold, "anna, logged in"),
        lambda: hall.order(hold, "anna, logged in", p_idempotency_key="k"),
    ]
    for call in calls:
        assert call() == call()
    order = hall.order(hold, "anna, logged in", p_idempotency_key="k")
    assert hall.pay(order) == hall.pay(order)
    assert hall.events() == ["created", "added", "priced", "transferred", "completed"]


# Places.


def test_the_last_four_seats_are_not_adjacent(connection: Connection) -> None:
    hall = draw_hall(connection, "xx.xx", "xxxxx", ".xxxx", "xxxx.", "x.xxx")
    answer = hall.reserve_best(4)
    assert drawing(hall, answer.seat_ids) == ["xxAxx", "xxxxx", "Axxxx", "xxxxA", "xAxxx"]
    assert hall.pay(hall.order(answer)).status == "paid"
    assert hall.reserve_best(1, session="ben").error_code == "SEATS_UNAVAILABLE"


@pytest.mark.parametrize("rows", [1, 60], ids=["in one row", "in a row each"])
def test_60_standing_places_and_100_buyers(connect: Connect, race: Race, rows: int) -> None:
    """No place is sold twice, none is left, and nobody is refused while one is free."""
    for _ in range(5):
        hall = draw_hall(enter(connect()), *["." * (60 // rows)] * rows)
        answers = race([any_place(hall, 1, f"buyer {n}") for n in range(100)])
        assert codes(answers) == {None: 60, "SEATS_UNAVAILABLE": 40}
        assert set(seats_of(answers)) == set(hall.seats)
        assert hall.statuses() == ["reserved"] * 60
        assert Counter(hall.events()) == {"created": 60, "failed": 40}


def test_buyers_who_choose_the_same_place_are_refused_while_others_are_free(
    connect: Connect, race: Race
) -> None:
    """The control: this is what the choice by the database avoids."""
    hall = make_hall(enter(connect()), seats=60)
    answers = race(
        [
            Call(
                "reserve_seats",
                {
                    "p_show_id": hall.show_id,
                    "p_seat_ids": hall.ids(n % 20),
                    "p_session_id": f"buyer {n}",
                },
            )
            for n in range(100)
        ]
    )
    assert codes(answers) == {None: 20, "SEATS_UNAVAILABLE": 80}


def test_60_standing_places_and_50_buyers_of_which_nobody_is_refused(
    connect: Connect, race: Race
) -> None:
    for _ in range(5):
        hall = make_hall(enter(connect()), seats=60)
        answers = race([any_place(hall, 1, f"buyer {n}") for n in range(50)])
        assert codes(answers) == {None: 50}
        assert len(set(seats_of(answers))) == 50


def test_60_seats_and_40_buyers_of_two(connect: Connect, race: Race) -> None:
    for _ in range(5):
        hall = draw_hall(enter(connect()), "." * 20, "." * 20, "." * 20)
        answers = race([any_place(hall, 2, f"buyer {n}") for n in range(40)])
        assert codes(answers) == {None: 30, "SEATS_UNAVAILABLE": 10}
        assert set(seats_of(answers)) == set(hall.seats)


def test_the_places_of_60_overdue_holds_and_100_buyers(connect: Connect, race: Race) -> None:
    hall = make_hall(enter(connect()), seats=60)
    hall.let_run_out(*(hall.hold(n, session=f"slow {n}") for n in range(60)))
    answers = race([any_place(hall, 1, f"buyer {n}") for n in range(100)])
    won = seats_of(answers)
    assert len(won) == len(set(won))
    assert set(codes(answers)) <= {None, "SEATS_UNAVAILABLE"}
    # Who was refused because others were ending these holds gets a place now.
    late = [hall.reserve_best(1, session=f"late {n}") for n in range(60 - len(won))]
    assert all(answer.success for answer in late)


def test_one_visitor_clicks_ten_times_and_has_one_hold(connect: Connect, race: Race) -> None:
    for number in range(10):
        hall = make_hall(enter(connect()), seats=60)
        answers = race([any_place(hall, 2, f"visitor {number}") for _ in range(10)])
        assert codes(answers) == {None: 10}
        assert len({answer.reservation_token for answer in answers}) == 1
        assert hall.events() == ["created"]


def test_buyers_add_each_others_neighbours_at_once(connect: Connect, race: Race) -> None:
    """Ten holds in a ring want the first seat of the next, and two free seats between them."""
    for _ in range(5):
        hall = make_hall(enter(connect()), seats=40)
        holds = [hall.hold(n, session=f"buyer {n}") for n in range(10)]
        calls = [
            Call(
                "add_seats",
                {
                    "p_reservation_token": hold.reservation_token,
                    "p_session_id": f"buyer {n}",
                    "p_seat_ids": hall.ids(10 + n, 10 + (n + 1) % 10),
                },
            )
            for n, hold in enumerate(holds)
        ]
        answers = race(calls)
        assert set(codes(answers)) == {None, "SEATS_UNAVAILABLE"}
        won = [n for n, answer in enumerate(answers) if answer.success]
        assert all((n + 1) % 10 not in won for n in won)
        assert hall.statuses(*range(10, 20)).count("reserved") == 2 * len(won)


def test_overdue_holds_that_two_holders_want_at_once(connect: Connect, race: Race) -> None:
    hall = make_hall(enter(connect()), seats=40)
    for number in range(20):
        over = [hall.hold(n, n + 1, session=f"slow {n}") for n in (10, 12)]
        hall.let_run_out(*over)
        holds = [hall.hold(n, session=f"buyer {n}") for n in range(2)]
        wants = [hall.ids(10, 13), hall.ids(12, 11)]
        answers = race(
            [
                Call(
                    "add_seats",
                    {
                        "p_reservation_token": hold.reservation_token,
                        "p_session_id": f"buyer {n}",
                        "p_seat_ids": wants[n],
                    },
                )
                for n, hold in enumerate(holds)
            ]
        )
        assert codes(answers) == {None: 2}, number
        for n, hold in enumerate(holds):
            hall.release(hold, session=f"buyer {n}")


def test_a_hold_is_moved_and_ordered_and_priced_and_given_back_at_once(
    connect: Connect, race: Race
) -> None:
    hall = make_hall(enter(connect()), seats=40)
    for number in range(20):
        hold = hall.hold(0, 1, session=f"guest {number}")
        who = {"p_reservation_token": hold.reservation_token, "p_session_id": f"guest {number}"}
        answers = race(
            [
                Call("move_reservation", who | {"p_new_session_id": f"account {number}"}),
                Call("create_ticket_order", who),
                Call("add_seats", who | {"p_seat_ids": hall.ids(2)}),
                Call(
                    "price_seats",
                    who
                    | {
                        "p_seat_ids": hall.ids(0),
                        "p_prices_in_cents": [1],
                        "p_ticket_types": None,
                    },
                ),
                Call("release_reservation", who | {"p_seat_ids": hall.ids(1)}),
            ]
        )
        assert set(codes(answers)) <= {None, "PERMISSION_DENIED", "ORDER_EXISTS"}
        assert answers[0].success
        # What it costs is what the last order says, whatever came first.
        order = hall.order(hold, f"account {number}")
        assert hall.pay(order, event=f"evt {number}").status == "paid"
        assert hall.refund(order).success


# Payments.


def test_the_webhook_comes_before_the_commit_of_the_order(house: Hall, connect: Connect) -> None:
    """It is not found, not stored, and sent again by the provider."""
    hold = house.hold(0)
    shop = Hall(enter(connect()), house.show_id, house.seats)
    with shop.connection.transaction():
        order = shop.order(hold)
        assert house.pay(order).error_code == "NOT_FOUND"
    assert house.pay(order).status == "paid"
    assert broken_invariants(house.connection) == []


def test_a_failure_comes_after_the_success(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    assert hall.pay(order, event="evt_2").status == "paid"
    failure = hall.fail(order, event="evt_1")
    assert (failure.error_code, failure.status) == ("ORDER_NOT_PAYABLE", "paid")
    assert hall.statuses(0) == ["sold"]


def test_a_success_comes_after_the_failure(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    assert hall.fail(order, event="evt_1").status == "failed"
    assert hall.pay(order, event="evt_2").status == "paid"
    assert hall.statuses(0) == ["sold"]


def test_one_bank_transfer_pays_two_orders(hall: Hall) -> None:
    """The same event for both, each with its part of the amount."""
    orders = [hall.order(hall.hold(n, session=f"s{n}"), f"s{n}") for n in range(2)]
    for order in orders:
        assert hall.pay(order, event="transfer 7").status == "paid"
    for order in orders:
        assert hall.pay(order, event="transfer 7").status == "paid"
        assert len(tickets(hall, order)) == 1
    # A third order that it does not pay for.
    third = hall.order(hall.hold(2, session="s2"), "s2")
    assert hall.pay(third, event="transfer 7", amount=0).error_code == "AMOUNT_MISMATCH"
