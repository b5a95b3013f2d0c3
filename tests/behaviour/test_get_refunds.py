"""get_refunds: what is to be paid back, with the ids by which it is recorded."""

from tests.support.hall import Hall, make_hall
from tests.support.money import cancel, listed_refunds, return_money, ticket_ids
from tests.support.queries import Row


def owed(hall: Hall) -> list[Row]:
    """Three orders: a late payment, a second one, and a ticket that was cancelled."""
    hold = hall.hold(0)
    late = hall.order(hold)
    hall.release(hold)
    hall.pay(late, event="evt_late")
    double = hall.sell(1, session="ben")
    hall.pay(double, event="evt_double")
    some = hall.sell(2, 3, session="cleo")
    cancel(hall, ticket_ids(hall, some)[:1])
    return [late, double, some]


def test_what_is_due_in_a_show_is_listed_with_how_it_came(hall: Hall) -> None:
    late, double, some = owed(hall)
    (first,) = ticket_ids(hall, some)[:1]
    assert {
        (row.order_id, row.reason, row.amount_in_cents, row.status, tuple(row.ticket_ids))
        for row in listed_refunds(hall)
    } == {
        (late.order_id, "late_payment", 1000, "due", ()),
        (double.order_id, "double_payment", 1100, "due", ()),
        (some.order_id, "tickets_cancelled", 1200, "due", (first,)),
    }
    assert {row.payment_event_id for row in listed_refunds(hall)} == {
        "evt_late",
        "evt_double",
        f"evt_{some.order_id}",
    }


def test_each_refund_that_is_listed_can_be_recorded_and_is_due_no_more(hall: Hall) -> None:
    orders = owed(hall)
    for number, refund in enumerate(listed_refunds(hall)):
        assert return_money(hall, refund.refund_id, f"re_{number}").success
    assert listed_refunds(hall) == []
    for order in orders:
        (done,) = listed_refunds(hall, order)
        assert (done.status, done.done_at is not None) == ("done", True)


def test_another_show_and_another_order_have_their_own(hall: Hall) -> None:
    late, double, _ = owed(hall)
    assert listed_refunds(make_hall(hall.connection)) == []
    assert [row.order_id for row in listed_refunds(hall, late)] == [late.order_id]
    assert [row.reason for row in listed_refunds(hall, double)] == ["double_payment"]
