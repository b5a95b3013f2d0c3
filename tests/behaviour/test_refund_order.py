"""refund_order: an order that has its money gives back its seats."""

import pytest

from tests.support.hall import Hall
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


def test_a_refund_leaves_one_line_in_the_log_of_orders(hall: Hall) -> None:
    order = hall.sell(0)
    events = hall.events()
    hall.refund(order)
    assert changes(hall)[-1] == ("paid", "refunded")
    assert len(changes(hall)) == 3
    # The hold was completed, and that stays true.
    assert hall.events() == events


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
