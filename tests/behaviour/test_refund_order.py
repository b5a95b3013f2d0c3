"""refund_order: an order that has its money gives back its seats."""

import pytest

from tests.support.hall import Hall
from tests.support.money import cancel, check_in, owed, refunds, state_of, ticket_ids
from tests.support.orders import (
    bring_to,
    changes,
    now,
    tickets,
)
from tests.support.sabotage import sabotage


def test_a_refund_of_a_paid_order_frees_its_seats(hall: Hall) -> None:
    order = hall.sell(0, 1)
    answer = hall.refund(order)
    assert answer == (True, order.order_id, "refunded", 2, None, None)
    assert answer._fields == (
        "success",
        "order_id",
        "status",
        "seats_released",
        "error_code",
        "error_message",
    )
    assert hall.statuses(0, 1) == ["available", "available"]
    assert [ticket.status for ticket in tickets(hall, order)] == ["refunded", "refunded"]
    claims = hall.connection.execute("SELECT released_at FROM reservation_seats").fetchall()
    assert claims == [(now(hall),)] * 2
    assert hall.row("ticket_orders", order.order_id).paid_at == now(hall)


def test_a_refund_leaves_one_line_in_each_log(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    hall.pay(order)
    hall.refund(order)
    assert changes(hall)[-1] == ("paid", "refunded")
    assert len(changes(hall)) == 3
    # The hold was completed, and that stays true.
    assert hall.events() == ["created", "completed", "refunded"]
    line = hall.log()[-1]
    assert (line.reservation_id, line.seat_count) == (hold.reservation_id, 2)
    assert (line.seat_ids, line.metadata) == (sorted(hall.ids(0, 1)), {})


def test_a_refund_that_frees_no_seats_leaves_none_in_the_log_of_seats(hall: Hall) -> None:
    order = bring_to(hall, "refund_due")
    events = hall.events()
    hall.refund(order)
    assert hall.events() == events


def test_the_seat_of_a_ticket_that_was_checked_in_is_blocked(hall: Hall) -> None:
    order = hall.sell(0, 1)
    check_in(hall, ticket_ids(hall, order)[1])
    assert hall.refund(order).seats_released == 2
    assert hall.statuses(0, 1) == ["available", "blocked"]
    assert hall.log()[-1].metadata == {"blocked_seat_ids": [str(hall.seats[1])]}


def test_a_refund_of_an_order_returns_what_was_left_of_it(hall: Hall) -> None:
    order = hall.sell(0, 1)
    first, second = ticket_ids(hall, order)
    cancel(hall, [first])
    answer = hall.refund(order)
    assert (answer.status, answer.seats_released) == ("refunded", 1)
    assert owed(hall) == [("tickets_cancelled", "due", 1000), ("tickets_cancelled", "done", 1100)]
    assert refunds(hall)[1].ticket_ids == [second]
    assert state_of(hall, order) == ("refunded", 2100)


def test_a_ticket_that_the_house_has_cancelled_is_refunded_with_its_order(hall: Hall) -> None:
    order = hall.sell(0, 1)
    first, _ = ticket_ids(hall, order)
    hall.connection.execute("UPDATE tickets SET status = 'cancelled' WHERE id = %s", [first])
    hall.connection.execute(
        "UPDATE reservation_seats SET released_at = now() WHERE show_seat_id = %s", hall.ids(0)
    )
    hall.connection.execute("UPDATE show_seats SET status = 'available' WHERE id = %s", hall.ids(0))
    other = hall.hold(0, session="ben")
    assert hall.refund(order).seats_released == 1
    assert owed(hall) == [("tickets_cancelled", "done", 2100)]
    # The seat has another buyer by now.
    assert hall.row("show_seats", hall.seats[0]).reserved_by == other.reservation_id


def test_a_refund_of_an_order_without_seats_frees_none(hall: Hall) -> None:
    order = bring_to(hall, "refund_due")
    other = hall.hold(0, session="ben")
    answer = hall.refund(order)
    assert (answer.status, answer.seats_released) == ("refunded", 0)
    assert hall.row("show_seats", hall.seats[0]).reserved_by == other.reservation_id
    assert changes(hall)[-1] == ("refund_due", "refunded")


def test_refunded_seats_can_be_sold_again(hall: Hall) -> None:
    first = hall.sell(0, 1)
    hall.refund(first)
    second = hall.sell(1, 2, session="ben")
    assert [ticket.status for ticket in tickets(hall, second)] == ["valid", "valid"]
    assert hall.statuses(0, 1, 2) == ["available", "sold", "sold"]
    # The first order is done with: it does not touch the seat of its second owner.
    hall.refuse(
        "ORDER_NOT_REFUNDABLE", "refund_order", p_show_id=hall.show_id, p_order_id=first.order_id
    )
    assert hall.statuses(1) == ["sold"]


def test_the_buyer_of_refunded_seats_may_buy_them_again(hall: Hall) -> None:
    hall.refund(hall.sell(0))
    assert hall.sell(0).total_amount_in_cents == 1000


@pytest.mark.parametrize("status", ["pending", "failed", "cancelled", "refunded"])
def test_an_order_without_money_is_not_refundable(hall: Hall, status: str) -> None:
    order = bring_to(hall, status)
    refusal = hall.refuse(
        "ORDER_NOT_REFUNDABLE", "refund_order", p_show_id=hall.show_id, p_order_id=order.order_id
    )
    assert refusal.answer[1:4] == (order.order_id, status, None)
    assert (refusal.line.order_id, refusal.line.old_status) == (order.order_id, status)


def test_the_money_of_a_cancelled_show_can_be_given_back(hall: Hall) -> None:
    order = hall.sell(0)
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    assert hall.refund(order).seats_released == 1


@pytest.mark.parametrize("table", ["tickets", "show_seats", "reservation_seats", "ticket_orders"])
def test_an_unexpected_error_while_refunding_is_an_answer_and_frees_nothing(
    hall: Hall, table: str
) -> None:
    order = hall.sell(0)
    sabotage(hall.connection, table, "UPDATE")
    refusal = hall.refuse(
        "INTERNAL_ERROR", "refund_order", p_show_id=hall.show_id, p_order_id=order.order_id
    )
    assert refusal.answer[1:4] == (order.order_id, "paid", None)
    assert refusal.line.metadata["sqlstate"] == "22012"
