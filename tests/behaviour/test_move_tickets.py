"""move_tickets: tickets get other seats, and stay what they are."""

import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from tests.support.counter import CLERK, Counter, ids, tickets_of
from tests.support.hall import NIL, Hall
from tests.support.logs import ORDER_LOG
from tests.support.orders import MEGABYTE
from tests.support.queries import Row, tables
from tests.support.sabotage import sabotage


@pytest.fixture
def counter(hall: Hall) -> Counter:
    return Counter(hall)


def sold(counter: Counter, *numbers: int, session: str = "anna") -> list[UUID]:
    """The tickets of a buyer, in the order of these seats, which are in that of the hall."""
    order = counter.hall.sell(*numbers, session=session)
    return [ticket.id for ticket in tickets_of(counter.hall, order.order_id)]


def claims(hall: Hall) -> list[tuple[int, int, bool]]:
    """Seat, price and whether it is live, of each claim."""
    rows = hall.connection.execute("SELECT * FROM reservation_seats").fetchall()
    return sorted(
        (hall.seats.index(row.show_seat_id), row.price_in_cents, row.released_at is None)
        for row in rows
    )


def seats_of(counter: Counter, tickets: Sequence[UUID]) -> list[int]:
    rows = [counter.hall.row("tickets", ticket) for ticket in tickets]
    assert {row.status for row in rows} == {"valid"}
    return [counter.hall.seats.index(row.show_seat_id) for row in rows]


def order_seats(hall: Hall, order: Row) -> list[int]:
    return [hall.seats.index(seat) for seat in hall.row("ticket_orders", order.order_id).seat_ids]


def test_tickets_get_other_seats(counter: Counter) -> None:
    tickets = sold(counter, 0, 1)
    before = [counter.hall.row("tickets", ticket) for ticket in tickets]
    answer = counter.move(tickets, 5, 4)
    assert answer == (True, 2, None, None)
    assert answer._fields == ("success", "tickets_moved", "error_code", "error_message")
    assert seats_of(counter, tickets) == [5, 4]
    after = [counter.hall.row("tickets", ticket) for ticket in tickets]
    for old, new in zip(before, after, strict=True):
        assert old._replace(show_seat_id=new.show_seat_id) == new
    assert counter.hall.statuses(0, 1, 4, 5) == ["available", "available", "sold", "sold"]


def test_price_and_type_stay_those_of_the_ticket(counter: Counter) -> None:
    answer = counter.sell(0, 9, p_prices_in_cents=[5, 7], p_ticket_types=["child", None])
    counter.move(answer.ticket_ids[:1], 5)
    assert claims(counter.hall) == [(0, 5, False), (5, 5, True), (9, 7, True)]
    (claim,) = counter.hall.connection.execute(
        "SELECT ticket_type FROM reservation_seats WHERE show_seat_id = %s", counter.hall.ids(5)
    ).fetchall()
    assert claim.ticket_type == "child"


def test_the_order_has_the_new_seats_and_the_same_amount(counter: Counter) -> None:
    order = counter.hall.sell(0, 1, 2)
    tickets = tickets_of(counter.hall, order.order_id)
    counter.move([tickets[1].id], 7)
    row = counter.hall.row("ticket_orders", order.order_id)
    assert row.seat_ids == sorted(counter.hall.ids(0, 7, 2))
    assert row.total_amount_in_cents == order.total_amount_in_cents
    assert row.status == "paid"
    assert [line.new_status for line in counter.hall.log(ORDER_LOG)] == ["pending", "paid"]


def test_left_seats_can_be_sold_and_refunded_ones_are_those_of_now(counter: Counter) -> None:
    order = counter.hall.sell(0)
    counter.move([tickets_of(counter.hall, order.order_id)[0].id], 1)
    counter.hall.sell(0, session="ben")
    assert counter.hall.refund(order).seats_released == 1
    assert counter.hall.statuses(0, 1) == ["sold", "available"]


def test_tickets_change_places(counter: Counter) -> None:
    """Of one order, and of two."""
    anna, ben = sold(counter, 0, 1), sold(counter, 2, session="ben")
    assert counter.move(anna, 1, 0).tickets_moved == 2
    assert seats_of(counter, anna) == [1, 0]
    assert counter.move([anna[0], ben[0]], 2, 1).tickets_moved == 2
    assert seats_of(counter, [*anna, *ben]) == [2, 0, 1]
    assert counter.hall.statuses(0, 1, 2) == ["sold"] * 3


def test_each_moves_to_the_seat_of_the_next_and_one_to_a_new_seat(counter: Counter) -> None:
    tickets = sold(counter, 0, 1, 2)
    assert counter.move(tickets, 1, 2, 3).tickets_moved == 3
    assert seats_of(counter, tickets) == [1, 2, 3]
    assert counter.hall.statuses(0, 1, 2, 3) == ["available", "sold", "sold", "sold"]


def test_a_ticket_may_come_back(counter: Counter) -> None:
    """Its reservation has had that seat before."""
    tickets = sold(counter, 0)
    counter.move(tickets, 5)
    counter.move(tickets, 0)
    assert claims(counter.hall) == [(0, 1000, True), (5, 1000, False)]
    counter.move(tickets, 5)
    assert claims(counter.hall) == [(0, 1000, False), (5, 1000, True)]


def test_a_claim_that_comes_back_has_the_price_of_the_ticket_that_came(counter: Counter) -> None:
    tickets = sold(counter, 0, 1)
    counter.move(tickets, 1, 0)
    assert claims(counter.hall) == [(0, 1100, True), (1, 1000, True)]


def test_a_seat_twice_in_the_history_of_an_order_is_counted_twice(counter: Counter) -> None:
    """The seat of a refunded ticket is taken by another ticket of the order."""
    order = counter.hall.sell(0, 1)
    first, second = tickets_of(counter.hall, order.order_id)
    connection = counter.hall.connection
    with connection.transaction(force_rollback=True):
        # What taking back one ticket leaves in the order.
        connection.execute("UPDATE tickets SET status = 'cancelled' WHERE id = %s", [first.id])
        connection.execute(
            "UPDATE reservation_seats SET released_at = now() WHERE show_seat_id = %s",
            [first.show_seat_id],
        )
        connection.execute(
            "UPDATE show_seats SET status = 'available' WHERE id = %s", [first.show_seat_id]
        )
        counter.move([second.id], 0)
        assert order_seats(counter.hall, order) == [0, 0]
        counter.move([second.id], 5)
        assert sorted(order_seats(counter.hall, order)) == [0, 5]


def test_the_log_has_a_line_for_each_reservation(counter: Counter) -> None:
    anna, ben = sold(counter, 0, 1), sold(counter, 2, session="ben")
    counter.block(5, 6)
    counter.move([anna[0], ben[0], anna[1]], 5, 7, 0)
    lines = {line.reservation_id: line for line in counter.log_of("moved")}
    holds = [counter.hall.row("tickets", ticket[0]).order_id for ticket in (anna, ben)]
    of_anna, of_ben = (
        lines[counter.hall.row("ticket_orders", order).reservation_id] for order in holds
    )
    moves = dict(zip(of_anna.seat_ids, of_anna.metadata["from_seat_ids"], strict=True))
    assert moves == dict(zip(counter.hall.ids(5, 0), ids(counter.hall.ids(0, 1)), strict=True))
    assert of_anna.metadata["blocked_seat_ids"] == ids(counter.hall.ids(5))
    assert of_ben.seat_ids == counter.hall.ids(7)
    assert of_ben.metadata == {
        "staff": CLERK,
        "from_seat_ids": ids(counter.hall.ids(2)),
        "blocked_seat_ids": [],
    }
    assert (of_anna.seat_count, of_ben.seat_count, len(lines)) == (2, 1, 2)


def test_a_lost_answer_may_be_asked_for_again(counter: Counter) -> None:
    tickets = sold(counter, 0, 1)
    counter.move(tickets, 1, 5)
    before = tables(counter.hall.connection)
    assert counter.move(tickets, 1, 5) == (True, 0, None, None)
    assert tables(counter.hall.connection) == before


def test_who_has_the_seat_already_stays_while_others_move(counter: Counter) -> None:
    tickets = sold(counter, 0, 1)
    assert counter.move(tickets, 0, 5) == (True, 1, None, None)
    (line,) = counter.log_of("moved")
    assert line.seat_ids == counter.hall.ids(5)


def test_a_blocked_seat_and_one_of_an_overdue_hold_can_be_moved_to(counter: Counter) -> None:
    tickets = sold(counter, 0, 1)
    counter.block(5)
    hold = counter.hall.hold(6, 7, session="ben")
    counter.hall.let_run_out(hold)
    assert counter.move(tickets, 5, 6).success
    assert counter.hall.reservation(hold).status == "expired"
    assert counter.hall.statuses(5, 6, 7) == ["sold", "sold", "available"]


@pytest.mark.parametrize("status", ["draft", "closed", "cancelled"])
def test_the_status_of_the_show_does_not_matter(counter: Counter, status: str) -> None:
    tickets = sold(counter, 0)
    counter.hall.connection.execute("UPDATE shows SET status = %s", [status])
    assert counter.move(tickets, 1).success


def test_who_has_been_let_in_may_move(counter: Counter) -> None:
    tickets = sold(counter, 0)
    code = counter.hall.row("tickets", tickets[0]).ticket_code
    counter.check_in(code)
    counter.move(tickets, 1)
    assert counter.hall.row("tickets", tickets[0]).check_in_gate == "north"
    assert counter.check_in(code).seat_number == "1"


def arguments(counter: Counter, tickets: Sequence[Any], *numbers: int) -> dict[str, Any]:
    return {"p_ticket_ids": list(tickets), "p_seat_ids": counter.hall.ids(*numbers)}


def test_seats_of_buyers_are_not_moved_to(counter: Counter) -> None:
    tickets = sold(counter, 0, 1)
    hold = counter.hall.hold(5, session="ben")
    counter.refuse("SEATS_HELD", "move_tickets", **arguments(counter, tickets, 4, 5))
    counter.hall.pay(counter.hall.order(hold, "ben"), event="evt_ben")
    counter.refuse("SEATS_SOLD", "move_tickets", **arguments(counter, tickets, 4, 5))
    # Nor to the seat of one who stays.
    counter.refuse("SEATS_SOLD", "move_tickets", **arguments(counter, tickets[:1], 1))
    assert seats_of(counter, tickets) == [0, 1]


def test_seats_of_another_show_are_not_found(counter: Counter) -> None:
    (ticket,) = sold(counter, 0)
    counter.refuse(
        "SEATS_NOT_FOUND", "move_tickets", p_ticket_ids=[ticket], p_seat_ids=[uuid.uuid4()]
    )


def test_tickets_that_are_not_there_or_not_valid_are_not_found(counter: Counter) -> None:
    (ticket,) = sold(counter, 0)
    order = counter.hall.sell(1, session="ben")
    (refunded,) = tickets_of(counter.hall, order.order_id)
    counter.hall.refund(order)
    for other in (NIL, refunded.id):
        counter.refuse(
            "TICKETS_NOT_FOUND", "move_tickets", **arguments(counter, [ticket, other], 5, 6)
        )
    counter.refuse(
        "TICKETS_NOT_FOUND",
        "move_tickets",
        **arguments(counter, [ticket], 5) | {"p_show_id": uuid.uuid4()},
    )


INVALID: dict[str, dict[str, Any]] = {
    "no show": {"p_show_id": None},
    "no tickets": {"p_ticket_ids": None},
    "no seats": {"p_seat_ids": None},
    "empty lists": {"p_seat_ids": [], "p_ticket_ids": []},
    "more seats than tickets": {"p_seat_ids": [NIL, uuid.uuid4()]},
    "more tickets than seats": {"p_ticket_ids": [NIL, uuid.uuid4()]},
    "a NULL among the tickets": {"p_ticket_ids": [None]},
    "a NULL among the seats": {"p_seat_ids": [None]},
    "a ticket twice": {"p_ticket_ids": [NIL, NIL], "p_seat_ids": [NIL, uuid.uuid4()]},
    "a seat twice": {"p_ticket_ids": [NIL, uuid.uuid4()], "p_seat_ids": [NIL, NIL]},
    "nobody": {"p_staff": None},
    "a blank name": {"p_staff": "\n"},
    "a long name": {"p_staff": "x" * 201},
    "a huge name": {"p_staff": MEGABYTE},
}


@pytest.mark.parametrize("wrong", INVALID)
def test_what_makes_no_sense_is_refused(counter: Counter, wrong: str) -> None:
    given = arguments(counter, sold(counter, 0), 5) | INVALID[wrong]
    counter.hall.refuse("INVALID_INPUT", "move_tickets", **counter.arguments(**given))


@pytest.mark.parametrize("table", ["tickets", "show_seats", "ticket_orders", "reservation_seats"])
def test_an_unexpected_error_is_an_answer_and_moves_nobody(counter: Counter, table: str) -> None:
    tickets = sold(counter, 0)
    hold = counter.hall.hold(5, session="ben")
    counter.hall.let_run_out(hold)
    sabotage(counter.hall.connection, table, "UPDATE")
    refusal = counter.refuse("INTERNAL_ERROR", "move_tickets", **arguments(counter, tickets, 5))
    assert refusal.line.metadata["sqlstate"] == "22012"
    assert counter.hall.reservation(hold).is_active
