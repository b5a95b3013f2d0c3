"""cancel_tickets: the staff takes some or all tickets back, and the money is due."""

import uuid
from typing import Any

import pytest

from tests.support.hall import Hall, make_hall
from tests.support.logs import ORDER_LOG
from tests.support.money import (
    CLERK,
    cancel,
    check_in,
    owed,
    refunds,
    return_money,
    staffed,
    state_of,
    ticket_ids,
)
from tests.support.orders import changes, tickets
from tests.support.queries import tables, value
from tests.support.sabotage import sabotage


def test_one_of_two_tickets_is_refunded_and_its_order_stays_paid(hall: Hall) -> None:
    order = hall.sell(0, 1)
    first, _ = ticket_ids(hall, order)
    answer = cancel(hall, [first])
    (row,) = refunds(hall)
    assert answer == (True, 1, [row.id], 1000, "EUR", None, None)
    assert answer._fields == (
        "success",
        "tickets_cancelled",
        "refund_ids",
        "amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    )
    assert [ticket.status for ticket in tickets(hall, order)] == ["refunded", "valid"]
    assert hall.statuses(0, 1) == ["available", "sold"]
    assert state_of(hall, order) == ("paid", 1000)
    assert (row.reason, row.status, row.ticket_ids) == ("tickets_cancelled", "due", [first])
    assert (row.payment_provider, row.payment_event_id) == ("stripe", f"evt_{order.order_id}")
    assert row.done_at is None


def test_without_any_ticket_left_the_order_is_refunded(hall: Hall) -> None:
    order = hall.sell(0, 1)
    first, second = ticket_ids(hall, order)
    cancel(hall, [first])
    cancel(hall, [second])
    assert state_of(hall, order) == ("refunded", 2100)
    assert owed(hall) == [("tickets_cancelled", "due", 1000), ("tickets_cancelled", "due", 1100)]
    assert changes(hall)[-1] == ("paid", "refunded")


def test_tickets_of_two_orders_have_a_refund_each(hall: Hall) -> None:
    one, two = hall.sell(0, 1), hall.sell(2, 3, session="ben")
    wanted = ticket_ids(hall, one, two)[:3]
    answer = cancel(hall, wanted)
    assert (answer.tickets_cancelled, answer.amount_in_cents) == (3, 3300)
    found = {row.order_id: row for row in refunds(hall)}
    assert set(answer.refund_ids) == {row.id for row in found.values()}
    assert found[one.order_id].amount_in_cents == 2100
    assert found[two.order_id].amount_in_cents == 1200
    assert (state_of(hall, one), state_of(hall, two)) == (("refunded", 2100), ("paid", 1200))


def test_what_was_cancelled_can_be_sold_again(hall: Hall) -> None:
    order = hall.sell(0, 1)
    cancel(hall, ticket_ids(hall, order)[:1])
    again = hall.sell(0, session="ben")
    assert [ticket.status for ticket in tickets(hall, again)] == ["valid"]
    assert hall.sell(2).total_amount_in_cents == 1200


def test_a_free_ticket_is_refunded_and_nothing_is_owed(hall: Hall) -> None:
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 0")
    order = hall.sell(0)
    assert cancel(hall, ticket_ids(hall, order)) == (True, 1, [], 0, "EUR", None, None)
    assert owed(hall) == []
    assert state_of(hall, order) == ("refunded", 0)


def test_the_seat_of_a_ticket_that_was_checked_in_is_blocked(hall: Hall) -> None:
    order = hall.sell(0, 1)
    check_in(hall, ticket_ids(hall, order)[0])
    cancel(hall, ticket_ids(hall, order))
    assert hall.statuses(0, 1) == ["blocked", "available"]
    line = hall.log()[-1]
    assert line.metadata == {"staff": CLERK, "blocked_seat_ids": [str(hall.seats[0])]}


def test_each_reservation_has_a_line_that_names_the_staff(hall: Hall) -> None:
    holds = [hall.hold(0, 1), hall.hold(2, session="ben")]
    orders = [hall.order(holds[0]), hall.order(holds[1], "ben")]
    for number, order in enumerate(orders):
        hall.pay(order, event=f"evt_{number}")
    cancel(hall, ticket_ids(hall, *orders))
    lines = [line for line in hall.log() if line.event_type == "refunded"]
    assert {(line.reservation_id, line.seat_count, *line.seat_ids) for line in lines} == {
        (holds[0].reservation_id, 2, *sorted(hall.ids(0, 1))),
        (holds[1].reservation_id, 1, *hall.ids(2)),
    }
    assert [line.metadata for line in lines] == [{"staff": CLERK}] * 2


def test_an_order_that_stays_paid_has_no_line_in_the_log_of_orders(hall: Hall) -> None:
    order = hall.sell(0, 1)
    before = len(hall.log(ORDER_LOG))
    cancel(hall, ticket_ids(hall, order)[:1])
    assert len(hall.log(ORDER_LOG)) == before


# repeats


def test_a_repeat_gets_the_first_answer_and_changes_nothing(hall: Hall) -> None:
    one, two = hall.sell(0, 1), hall.sell(2, session="ben")
    wanted = ticket_ids(hall, one, two)
    first = cancel(hall, wanted)
    return_money(hall, first.refund_ids[0])
    before = tables(hall.connection)
    assert cancel(hall, wanted[::-1]) == first
    assert tables(hall.connection) == before


def test_a_repeat_for_free_tickets_is_a_success_too(hall: Hall) -> None:
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 0 WHERE id = %s", hall.ids(0))
    order = hall.sell(0, 1)
    free, paid = ticket_ids(hall, order)
    first = cancel(hall, [free])
    assert cancel(hall, [free]) == first
    second = cancel(hall, [paid])
    assert cancel(hall, [paid]) == second


def test_some_of_the_tickets_of_a_refund_are_no_repeat_of_it(hall: Hall) -> None:
    order = hall.sell(0, 1)
    wanted = ticket_ids(hall, order)
    cancel(hall, wanted)
    refuse(hall, "TICKETS_NOT_FOUND", p_ticket_ids=wanted[:1])


def test_tickets_of_two_calls_are_a_repeat_of_both(hall: Hall) -> None:
    order = hall.sell(0, 1)
    first, second = ticket_ids(hall, order)
    ids = cancel(hall, [first]).refund_ids + cancel(hall, [second]).refund_ids
    answer = cancel(hall, [first, second])
    assert (answer.refund_ids, answer.amount_in_cents) == (ids, 2100)


# refusals


def refuse(hall: Hall, code: str, **more: Any) -> Any:
    refusal = hall.refuse(code, "cancel_tickets", **staffed(hall) | more)
    assert refusal.answer[1:5] == (None, None, None, None)
    return refusal


def test_tickets_that_are_not_there_or_not_valid_are_refused_with_the_others(hall: Hall) -> None:
    order = hall.sell(0, 1)
    first, second = ticket_ids(hall, order)
    elsewhere = make_hall(hall.connection)
    foreign = ticket_ids(elsewhere, elsewhere.sell(0, session="ben"))[0]
    refuse(hall, "TICKETS_NOT_FOUND", p_ticket_ids=[first, uuid.uuid4()])
    refuse(hall, "TICKETS_NOT_FOUND", p_ticket_ids=[first, foreign])
    refuse(hall, "TICKETS_NOT_FOUND", p_ticket_ids=[first], p_show_id=None)
    cancel(hall, [first])
    refuse(hall, "TICKETS_NOT_FOUND", p_ticket_ids=[first, second])
    hall.refund(order)
    refuse(hall, "TICKETS_NOT_FOUND", p_ticket_ids=[second, uuid.uuid4()])


def test_a_ticket_that_the_house_has_cancelled_is_not_valid(hall: Hall) -> None:
    order = hall.sell(0, 1)
    first, _ = ticket_ids(hall, order)
    with hall.connection.transaction(force_rollback=True):
        hall.connection.execute("UPDATE tickets SET status = 'cancelled' WHERE id = %s", [first])
        refuse(hall, "TICKETS_NOT_FOUND", p_ticket_ids=[first])


@pytest.mark.parametrize(
    "changed",
    [
        {"p_ticket_ids": None},
        {"p_ticket_ids": []},
        {"p_ticket_ids": "with NULL"},
        {"p_ticket_ids": "twice"},
        {"p_staff": None},
        {"p_staff": " "},
        {"p_staff": "x" * 201},
    ],
    ids=str,
)
def test_input_that_makes_no_sense_is_refused(hall: Hall, changed: dict[str, Any]) -> None:
    wanted = ticket_ids(hall, hall.sell(0))
    special = {"with NULL": [*wanted, None], "twice": wanted * 2}
    arguments = {"p_ticket_ids": wanted} | changed
    if isinstance(arguments["p_ticket_ids"], str):
        arguments["p_ticket_ids"] = special[arguments["p_ticket_ids"]]
    line = refuse(hall, "INVALID_INPUT", **arguments).line
    staff = changed.get("p_staff", CLERK)
    assert line.metadata["staff"] == (staff and staff[:200])


@pytest.mark.parametrize(
    ("table", "event"),
    [
        ("tickets", "UPDATE"),
        ("show_seats", "UPDATE"),
        ("reservation_seats", "UPDATE"),
        ("ticket_orders", "UPDATE"),
        ("refunds", "INSERT"),
    ],
)
def test_an_unexpected_error_is_an_answer_and_frees_nothing(
    hall: Hall, table: str, event: str
) -> None:
    wanted = ticket_ids(hall, hall.sell(0))
    sabotage(hall.connection, table, event)
    line = refuse(hall, "INTERNAL_ERROR", p_ticket_ids=wanted).line
    assert line.metadata["sqlstate"] == "22012"
    assert line.metadata["ticket_ids"] == [str(ticket) for ticket in wanted]


def test_two_thousand_tickets_are_cancelled_at_once(hall: Hall) -> None:
    big = make_hall(hall.connection, seats=2000)
    hall.connection.execute("UPDATE ticketing_settings SET max_seats_per_reservation = 100")
    orders = [
        big.sell(*range(first, first + 100), session=f"group {first}")
        for first in range(0, 2000, 100)
    ]
    answer = cancel(big, ticket_ids(big, *orders))
    assert answer.tickets_cancelled == 2000
    assert answer.amount_in_cents == sum(order.total_amount_in_cents for order in orders)
    assert set(big.statuses()) == {"available"}
    assert value(hall.connection, "SELECT count(*) FROM refunds") == 20
