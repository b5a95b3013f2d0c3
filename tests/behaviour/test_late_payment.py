"""Money that comes when the hold is over: the seats are sold after all, or the money is owed."""

from typing import Any

import pytest

from tests.support.hall import Hall
from tests.support.logs import ORDER_LOG
from tests.support.queries import Row, tables, value

either_way = pytest.mark.parametrize("cleaned_up", [False, True], ids=["not cleaned up", "cleaned"])


def run_out(hall: Hall, cleaned_up: bool, *holds: Row) -> None:
    hall.let_run_out(*holds)
    if cleaned_up:
        assert hall.clean_up().total_reservations_expired == len(holds)


def status_of(hall: Hall, order: Row) -> str:
    status: str = hall.row("ticket_orders", order.order_id).status
    return status


def events_stored(hall: Hall) -> list[tuple[str, str | None, int | None]]:
    return [
        (event.order_status, event.error_code, event.amount_in_cents)
        for event in hall.connection.execute(
            "SELECT * FROM payment_events ORDER BY event_id"
        ).fetchall()
    ]


@either_way
def test_seats_that_are_still_free_are_sold_after_all(hall: Hall, cleaned_up: bool) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    run_out(hall, cleaned_up, hold)
    answer = hall.pay(order)
    assert answer[:3] == (True, order.order_id, "paid")
    assert hall.statuses(0, 1) == ["sold", "sold"]
    assert hall.reservation(hold).status == "completed"
    tickets = hall.connection.execute(
        "SELECT id, show_seat_id, price_in_cents, status FROM tickets ORDER BY price_in_cents"
    ).fetchall()
    assert [ticket[1:] for ticket in tickets] == [
        (hall.seats[0], 1000, "valid"),
        (hall.seats[1], 1100, "valid"),
    ]
    assert answer.ticket_ids == sorted(ticket.id for ticket in tickets)
    live = value(
        hall.connection, "SELECT count(*) FROM reservation_seats WHERE released_at IS NULL"
    )
    assert live == 2


@either_way
def test_a_late_sale_is_marked_in_the_audit_log(hall: Hall, cleaned_up: bool) -> None:
    hold = hall.hold(0, 1)
    hall.connection.execute("UPDATE seat_reservations SET created_at = now() - interval '601 s'")
    order = hall.order(hold)
    run_out(hall, cleaned_up, hold)
    hall.pay(order)
    assert hall.events(hold) == ["created", "expired", "completed"]
    _, expired, completed = hall.log()
    assert (expired.hold_seconds, expired.metadata) == (pytest.approx(601, abs=30), {})
    # The hold had ended, and its length was counted, when it was over.
    assert (completed.hold_seconds, completed.metadata) == (None, {"late": True})
    assert (completed.seat_count, set(completed.seat_ids)) == (2, set(hall.ids(0, 1)))


@either_way
def test_seats_that_were_held_by_another_meanwhile_are_not_taken_away(
    hall: Hall, cleaned_up: bool
) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    run_out(hall, cleaned_up, hold)
    other = hall.hold(1, session="ben")
    answer = hall.pay(order)
    assert answer == (True, order.order_id, "refund_due", [], None, None)
    assert hall.row("show_seats", hall.seats[1]).reserved_by == other.reservation_id
    # All or nothing: the seat that is free is not sold either.
    assert hall.statuses(0) == ["available"]
    assert value(hall.connection, "SELECT count(*) FROM tickets") == 0
    assert hall.reservation(hold).status == "expired"


@either_way
def test_seats_that_were_sold_meanwhile_stay_with_their_buyer(hall: Hall, cleaned_up: bool) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    run_out(hall, cleaned_up, hold)
    sold = hall.sell(0, session="ben")
    assert hall.pay(order).status == "refund_due"
    (ticket,) = hall.connection.execute("SELECT order_id, status FROM tickets").fetchall()
    assert ticket == (sold.order_id, "valid")


def test_money_without_seats_is_on_record_as_owed(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.let_run_out(hold)
    hall.sell(0, session="ben")
    hall.pay(order)
    owed = hall.row("ticket_orders", order.order_id)
    assert (owed.status, owed.paid_at) == ("refund_due", value(hall.connection, "SELECT now()"))
    line = hall.log(ORDER_LOG)[-1]
    assert (line.old_status, line.new_status) == ("pending", "refund_due")
    assert (line.order_id, line.amount_in_cents, line.error_code) == (order.order_id, 1000, None)
    assert ("refund_due", None, 1000) in events_stored(hall)


def test_a_seat_that_the_house_has_blocked_meanwhile_is_gone(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    run_out(hall, True, hold)
    hall.connection.execute("UPDATE show_seats SET status = 'blocked' WHERE id = %s", hall.ids(1))
    assert hall.pay(order).status == "refund_due"
    assert hall.statuses(0, 1) == ["available", "blocked"]


@either_way
def test_an_overdue_hold_of_another_session_does_not_prevent_the_sale(
    hall: Hall, cleaned_up: bool
) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    run_out(hall, cleaned_up, hold)
    other = hall.hold(1, 2, session="ben")
    hall.let_run_out(other)
    assert hall.pay(order).status == "paid"
    assert hall.statuses(0, 1, 2) == ["sold", "sold", "available"]
    assert hall.events(other) == ["created", "expired"]


def test_the_first_of_two_late_payers_gets_the_seat(hall: Hall) -> None:
    first = hall.hold(0)
    first_order = hall.order(first)
    hall.let_run_out(first)
    second = hall.hold(0, session="ben")
    second_order = hall.order(second, session="ben")
    hall.let_run_out(second)
    assert hall.pay(second_order, event="evt_1").status == "paid"
    assert hall.pay(first_order, event="evt_2").status == "refund_due"


@either_way
@pytest.mark.parametrize("seats_are_free", [True, False])
def test_a_late_payment_that_is_repeated_counts_once(
    hall: Hall, seats_are_free: bool, cleaned_up: bool
) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    run_out(hall, cleaned_up, hold)
    if not seats_are_free:
        hall.hold(0, session="ben")
    first = hall.pay(order)
    assert first.status == ("paid" if seats_are_free else "refund_due")
    before = tables(hall.connection)
    assert hall.pay(order) == first
    assert tables(hall.connection) == before


def test_an_answer_does_not_change_when_the_seats_become_free_later(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.let_run_out(hold)
    other = hall.hold(0, session="ben")
    first = hall.pay(order)
    hall.release(other, session="ben")
    assert hall.pay(order) == first
    assert (status_of(hall, order), hall.statuses(0)) == ("refund_due", ["available"])


def test_the_buyer_may_have_chosen_again_meanwhile_and_gets_both(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.let_run_out(hold)
    second = hall.hold(5)
    assert hall.pay(order).status == "paid"
    assert hall.reservation(second).status == "active"
    assert hall.statuses(0, 5) == ["sold", "reserved"]


def test_the_buyer_who_holds_the_same_seat_again_is_owed_the_first_payment(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.let_run_out(hold)
    second = hall.hold(0)
    assert hall.pay(order).status == "refund_due"
    assert hall.row("show_seats", hall.seats[0]).reserved_by == second.reservation_id


@pytest.mark.parametrize("seats", [None, [0]], ids=["all seats", "one seat"])
def test_money_for_an_order_that_a_release_has_cancelled_is_owed(
    hall: Hall, seats: list[int] | None
) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    hall.release(hold, None if seats is None else hall.ids(*seats))
    before = hall.statuses()
    assert hall.pay(order)[2:4] == ("refund_due", [])
    assert hall.statuses() == before
    line = hall.log(ORDER_LOG)[-1]
    assert (line.old_status, line.new_status) == ("cancelled", "refund_due")


@pytest.mark.parametrize("state", ["held", "over", "cleaned up"])
def test_money_for_a_cancelled_show_is_owed(hall: Hall, state: str) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    if state != "held":
        run_out(hall, state == "cleaned up", hold)
    assert hall.pay(order)[2:4] == ("refund_due", [])
    assert value(hall.connection, "SELECT count(*) FROM tickets") == 0


def test_a_late_payment_for_a_show_that_is_closed_is_still_honoured(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.connection.execute("UPDATE shows SET status = 'closed'")
    hall.let_run_out(hold)
    assert hall.pay(order).status == "paid"


@either_way
def test_an_order_that_failed_is_paid_late(hall: Hall, cleaned_up: bool) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.fail(order)
    run_out(hall, cleaned_up, hold)
    assert hall.pay(order).status == "paid"
    assert hall.statuses(0) == ["sold"]


def test_the_failure_of_a_payment_is_recorded_after_the_hold_is_over(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    run_out(hall, True, hold)
    assert hall.fail(order).status == "failed"
    assert hall.statuses(0) == ["available"]


def test_of_two_orders_of_a_hold_one_is_paid_and_the_money_of_the_other_is_owed(
    hall: Hall,
) -> None:
    hold = hall.hold(0)
    first = hall.order(hold)
    hall.fail(first)
    second = hall.order(hold)
    assert hall.pay(first, event="evt_1").status == "paid"
    assert status_of(hall, second) == "cancelled"
    assert hall.pay(second, event="evt_2").status == "refund_due"
    assert hall.statuses(0) == ["sold"]
    assert value(hall.connection, "SELECT count(*) FROM tickets") == 1


@either_way
def test_of_two_orders_of_an_overdue_hold_one_is_paid_too(hall: Hall, cleaned_up: bool) -> None:
    hold = hall.hold(0)
    first = hall.order(hold)
    hall.fail(first)
    second = hall.order(hold)
    run_out(hall, cleaned_up, hold)
    assert hall.pay(second, event="evt_2").status == "paid"
    assert hall.pay(first, event="evt_1").status == "refund_due"
    assert value(hall.connection, "SELECT count(*) FROM tickets") == 1


def test_what_was_given_back_before_the_order_is_not_taken_late(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.release(hold, hall.ids(0))
    order = hall.order(hold)
    hall.let_run_out(hold)
    hall.hold(0, session="ben")
    assert hall.pay(order).status == "paid"
    assert hall.statuses(0, 1) == ["reserved", "sold"]


def test_a_late_payment_of_the_wrong_amount_takes_no_seats(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    run_out(hall, True, hold)
    assert hall.pay(order, amount=1).error_code == "AMOUNT_MISMATCH"
    assert hall.statuses(0) == ["available"]
    assert hall.reservation(hold).status == "expired"


def test_late_sales_and_money_that_was_owed_are_refunded_alike(hall: Hall) -> None:
    late, unlucky = hall.hold(0), hall.hold(1, session="ben")
    late_order, unlucky_order = hall.order(late), hall.order(unlucky, session="ben")
    hall.let_run_out(late, unlucky)
    hall.hold(1, session="cleo")
    hall.pay(late_order, event="evt_1")
    hall.pay(unlucky_order, event="evt_2")
    assert hall.refund(late_order).seats_released == 1
    assert hall.refund(unlucky_order).seats_released == 0
    assert hall.statuses(0, 1) == ["available", "reserved"]
    assert hall.hold(0, session="dora").success


def test_after_a_refund_a_new_payment_of_the_order_takes_nothing(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.let_run_out(hold)
    hall.pay(order, event="evt_1")
    hall.refund(order)
    assert hall.pay(order, event="evt_2").error_code == "ORDER_NOT_PAYABLE"
    assert hall.statuses(0) == ["available"]


def test_no_event_that_came_is_ever_missing(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.fail(order, event="1")
    hall.pay(order, event="2", amount=1)
    hall.let_run_out(hold)
    hall.pay(order, event="3")
    hall.pay(order, event="4")
    expected: list[Any] = [
        ("failed", None, None),
        ("failed", "AMOUNT_MISMATCH", 1),
        ("paid", None, 1000),
        ("paid", "ORDER_NOT_PAYABLE", 1000),
    ]
    assert events_stored(hall) == expected
