"""Money that bought no tickets has a row in refunds, and no event hides another."""

from typing import Any

import psycopg
import pytest

from tests.support.hall import Hall, make_hall
from tests.support.logs import ORDER_LOG
from tests.support.queries import Connection, Row, tables, value


def refunds(hall: Hall) -> list[Row]:
    return hall.connection.execute(
        "SELECT * FROM refunds WHERE show_id = %s ORDER BY payment_event_id", [hall.show_id]
    ).fetchall()


def owed(hall: Hall) -> list[tuple[str, str, int]]:
    return [(row.reason, row.status, row.amount_in_cents) for row in refunds(hall)]


def order_row(hall: Hall, order: Row) -> Row:
    return hall.row("ticket_orders", order.order_id)


def counts(hall: Hall, *names: str) -> list[int]:
    return [len(tables(hall.connection)[name]) for name in names]


# what has a row


def test_money_that_buys_tickets_is_not_owed(hall: Hall) -> None:
    hall.sell(0, 1)
    assert owed(hall) == []


def test_money_that_comes_too_late_is_owed(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.let_run_out(hold)
    hall.hold(0, session="ben")
    assert hall.pay(order, event="evt_1").status == "refund_due"
    (row,) = refunds(hall)
    assert (row.order_id, row.ticket_ids, row.amount_in_cents) == (order.order_id, [], 1000)
    assert (row.currency, row.reason, row.status) == ("EUR", "late_payment", "due")
    assert (row.payment_provider, row.payment_event_id) == ("stripe", "evt_1")
    assert (row.created_at, row.done_at) == (value(hall.connection, "SELECT now()"), None)


@pytest.mark.parametrize("status", ["paid", "refund_due", "refunded"])
def test_money_that_comes_twice_is_owed(hall: Hall, status: str) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    if status == "refund_due":
        hall.release(hold)
    hall.pay(order, event="evt_1")
    if status == "refunded":
        hall.refund(order)
    before = owed(hall)
    assert hall.pay(order, event="evt_2").error_code == "ORDER_NOT_PAYABLE"
    assert [entry for entry in owed(hall) if entry not in before] == [
        ("double_payment", "due", 1000)
    ]
    assert order_row(hall, order).status == status


@pytest.mark.parametrize("amount", [1, 999, 1001])
def test_money_of_a_wrong_amount_is_owed(hall: Hall, amount: int) -> None:
    order = hall.order(hall.hold(0))
    assert hall.pay(order, amount=amount).error_code == "AMOUNT_MISMATCH"
    assert owed(hall) == [("amount_mismatch", "due", amount)]


@pytest.mark.parametrize("amount", [0, -1000])
def test_no_money_is_not_owed(hall: Hall, amount: int) -> None:
    order = hall.order(hall.hold(0))
    assert hall.pay(order, amount=amount).error_code == "AMOUNT_MISMATCH"
    assert owed(hall) == []


def test_money_for_a_cancelled_show_is_owed_for_that_reason(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    assert hall.pay(order).status == "refund_due"
    assert owed(hall) == [("show_cancelled", "due", 1000)]


def test_an_order_that_costs_nothing_owes_nothing(hall: Hall) -> None:
    hall.connection.execute("UPDATE show_seats SET price_in_cents = 0")
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.release(hold)
    assert hall.pay(order).status == "refund_due"
    assert owed(hall) == []
    assert hall.refund(order).status == "refunded"
    assert owed(hall) == []


def test_money_for_an_order_that_is_not_there_is_only_in_the_log(hall: Hall) -> None:
    elsewhere = make_hall(hall.connection)
    order = hall.order(hall.hold(0))
    answer = elsewhere.pay(order)
    assert answer.error_code == "NOT_FOUND"
    assert counts(hall, "payment_events", "refunds") == [0, 0]
    (line,) = elsewhere.log(ORDER_LOG)
    assert (line.error_code, line.amount_in_cents) == ("NOT_FOUND", 1000)


def test_a_repeated_event_does_not_owe_the_money_twice(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.release(hold)
    first = hall.pay(order)
    before = tables(hall.connection)
    assert hall.pay(order) == first
    assert tables(hall.connection) == before


# giving back


def test_giving_back_what_was_due_is_done(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.release(hold)
    hall.pay(order)
    hall.refund(order)
    (row,) = refunds(hall)
    assert (row.reason, row.status) == ("late_payment", "done")
    assert row.done_at == value(hall.connection, "SELECT now()")
    assert order_row(hall, order).refunded_amount_in_cents == 1000


@pytest.mark.parametrize(
    ("status", "reason"), [("on_sale", "tickets_cancelled"), ("cancelled", "show_cancelled")]
)
def test_giving_back_what_was_paid_leaves_a_row_that_is_done(
    hall: Hall, status: str, reason: str
) -> None:
    order = hall.order(hall.hold(0, 1))
    paid = hall.pay(order, event="evt_1")
    hall.connection.execute("UPDATE shows SET status = %s", [status])
    assert order_row(hall, order).refunded_amount_in_cents == 0
    hall.refund(order)
    (row,) = refunds(hall)
    assert (row.reason, row.status, row.amount_in_cents) == (reason, "done", 2100)
    assert row.ticket_ids == paid.ticket_ids
    assert (row.payment_provider, row.payment_event_id) == ("stripe", "evt_1")
    assert order_row(hall, order).refunded_amount_in_cents == 2100


def test_giving_back_an_order_does_not_settle_what_was_paid_twice(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.release(hold)
    hall.pay(order, event="evt_1")
    hall.pay(order, event="evt_2")
    hall.pay(order, event="evt_3", amount=5)
    hall.refund(order)
    assert owed(hall) == [
        ("late_payment", "done", 1000),
        ("double_payment", "due", 1000),
        ("amount_mismatch", "due", 5),
    ]


# what cannot be sold is owed


def break_the_hold(hall: Hall, how: str) -> None:
    """What a DBA may do by hand to seat 0, which is held."""
    seat = [hall.seats[0]]
    if how == "the seat was blocked":
        hall.connection.execute(
            "UPDATE show_seats SET status = 'blocked', reserved_by = NULL, reserved_until = NULL"
            " WHERE id = %s",
            seat,
        )
    elif how == "the seat was freed":
        hall.connection.execute(
            "UPDATE show_seats SET status = 'available', reserved_by = NULL, reserved_until = NULL"
            " WHERE id = %s",
            seat,
        )
    elif how == "the claim was released":
        hall.connection.execute(
            "UPDATE reservation_seats SET released_at = now() WHERE show_seat_id = %s", seat
        )
    else:
        assert how == "a ticket was issued"
        order = hall.order(hall.hold(5, session="ben"), session="ben")
        hall.connection.execute(
            "INSERT INTO tickets (show_id, order_id, show_seat_id, price_in_cents, currency)"
            " VALUES (%s, %s, %s, 1000, 'EUR')",
            [hall.show_id, order.order_id, *seat],
        )


@pytest.mark.breaks_invariants
@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("the seat was blocked", "SEATS_UNAVAILABLE"),
        ("the seat was freed", "SEATS_UNAVAILABLE"),
        ("the claim was released", "SEATS_UNAVAILABLE"),
        ("a ticket was issued", "DOUBLE_BOOKING_PREVENTED"),
    ],
)
def test_a_hold_that_does_not_have_its_seats_any_more_sells_none_and_owes_the_money(
    hall: Hall, how: str, code: str
) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    break_the_hold(hall, how)
    before = hall.statuses()
    answer = hall.pay(order)
    assert answer == (True, order.order_id, "refund_due", [], None, None)
    assert owed(hall) == [("late_payment", "due", 2100)]
    assert hall.statuses() == before
    issued = value(
        hall.connection, "SELECT count(*) FROM tickets WHERE order_id = %s", order.order_id
    )
    assert issued == 0
    assert order_row(hall, order).status == "refund_due"
    # No error for the provider, and yet a line for those who have to look into it.
    line = hall.log(ORDER_LOG)[-1]
    assert (line.error_code, line.order_id) == (code, order.order_id)
    assert line.metadata["sqlstate"].startswith("23")
    assert hall.pay(order) == answer


# events


def test_a_failure_does_not_hide_the_payment_of_the_same_name(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    assert hall.fail(order, event="pi_1").status == "failed"
    answer = hall.pay(order, event="pi_1")
    assert (answer.success, answer.status, len(answer.ticket_ids)) == (True, "paid", 1)
    kinds = hall.connection.execute("SELECT kind FROM payment_events ORDER BY kind").fetchall()
    assert [row.kind for row in kinds] == ["failure", "payment"]


def test_a_payment_does_not_hide_the_failure_of_the_same_name(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    hall.pay(order, event="pi_1")
    answer = hall.fail(order, event="pi_1")
    assert (answer.success, answer.error_code, answer.status) == (
        False,
        "ORDER_NOT_PAYABLE",
        "paid",
    )
    assert counts(hall, "payment_events") == [2]


def test_one_transfer_pays_for_two_orders(hall: Hall) -> None:
    first = hall.order(hall.hold(0))
    second = hall.order(hall.hold(0 + 1, session="ben"), session="ben")
    one, two = hall.pay(first, event="evt_1"), hall.pay(second, event="evt_1")
    assert (one.status, one.order_id) == ("paid", first.order_id)
    assert (two.status, two.order_id) == ("paid", second.order_id)
    assert not set(one.ticket_ids) & set(two.ticket_ids)
    assert hall.statuses(0, 1) == ["sold", "sold"]
    assert hall.pay(first, event="evt_1") == one
    assert hall.pay(second, event="evt_1") == two


@pytest.mark.parametrize("first_amount", [1000, 1])
@pytest.mark.parametrize("amount", [999, 0, 2**63 - 1])
def test_an_event_that_comes_again_with_another_amount_changes_nothing(
    hall: Hall, first_amount: int, amount: int
) -> None:
    order = hall.order(hall.hold(0))
    first = hall.pay(order, event="evt_1", amount=first_amount)
    refusal = hall.refuse(
        "EVENT_MISMATCH",
        "confirm_payment",
        p_show_id=hall.show_id,
        p_order_id=order.order_id,
        p_provider="stripe",
        p_event_id="evt_1",
        p_amount_in_cents=amount,
    )
    assert refusal.answer[1:4] == (order.order_id, order_row(hall, order).status, [])
    assert refusal.line.amount_in_cents == amount
    assert hall.pay(order, event="evt_1", amount=first_amount) == first


CHANGES = [
    "UPDATE payment_events SET amount_in_cents = 1",
    "DELETE FROM payment_events",
    "TRUNCATE payment_events",
]


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("statement", CHANGES)
def test_what_a_provider_has_reported_stays_on_record(
    hall: Hall, statement: str, role: str
) -> None:
    hall.sell(0)
    hall.connection.execute(f"SET LOCAL session_replication_role = {role}")
    with (
        pytest.raises(psycopg.errors.RestrictViolation),
        hall.connection.transaction(),
    ):
        hall.connection.execute(statement)
    assert counts(hall, "payment_events") == [1]


# late


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("overdue", "paid"), ("superseded", "refund_due"), (None, "refund_due")],
)
def test_of_cancelled_orders_only_one_whose_hold_ran_out_is_sold_late(
    hall: Hall, reason: str | None, expected: str
) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.let_run_out(hold)
    hall.clean_up()
    hall.connection.execute(
        "UPDATE ticket_orders SET status = 'cancelled', cancel_reason = %s", [reason]
    )
    assert hall.pay(order).status == expected


def test_the_reason_why_an_order_was_cancelled_is_kept(hall: Hall) -> None:
    released, failed = hall.hold(0), hall.hold(1, session="ben")
    first = hall.order(released)
    hall.release(released)
    second = hall.order(failed, session="ben")
    hall.fail(second)
    hall.pay(hall.order(failed, session="ben"))
    assert order_row(hall, first).cancel_reason == "released"
    assert order_row(hall, second).cancel_reason == "superseded"


def test_an_order_that_the_cleanup_has_cancelled_is_sold_late(
    hall: Hall, connection: Connection
) -> None:
    """What the cleanup does in its own transaction, here in ours: its procedure commits."""
    hold = hall.hold(0)
    order = hall.order(hold)
    hall.let_run_out(hold)
    hall.clean_up()
    connection.execute(
        "UPDATE seat_reservations SET created_at = created_at - interval '1 day',"
        " expires_at = expires_at - interval '1 day', ended_at = ended_at - interval '1 day'"
    )
    connection.execute("UPDATE ticket_orders SET created_at = created_at - interval '1 day'")
    assert value(connection, "SELECT cancel_dead_orders(10)") == 1
    cancelled = order_row(hall, order)
    assert (cancelled.status, cancelled.cancel_reason) == ("cancelled", "overdue")
    assert hall.pay(order).status == "paid"


def test_late_money_for_an_order_that_ran_out_is_owed_when_a_seat_is_gone(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold)
    hall.let_run_out(hold)
    hall.clean_up()
    hall.connection.execute(
        "UPDATE ticket_orders SET status = 'cancelled', cancel_reason = 'overdue'"
    )
    hall.hold(1, session="ben")
    assert hall.pay(order).status == "refund_due"
    assert owed(hall) == [("late_payment", "due", 2100)]


# currencies


@pytest.mark.parametrize(
    ("code", "decimals"), [("EUR", 2), ("USD", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("TND", 3)]
)
def test_a_currency_has_its_decimals(connection: Connection, code: str, decimals: int) -> None:
    found = value(connection, "SELECT decimals FROM currencies WHERE code = %s", code)
    assert found == decimals


def test_every_currency_that_is_charged_in_is_listed_once(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT decimals, count(*) AS n FROM currencies GROUP BY decimals ORDER BY decimals"
    ).fetchall()
    assert [tuple(row) for row in rows] == [(0, 16), (2, 134), (3, 7)]


@pytest.mark.parametrize(("currency", "price"), [("JPY", 5000), ("KWD", 12345)])
def test_a_ticket_is_sold_for_the_minor_unit_of_its_currency(
    connection: Connection, currency: str, price: int
) -> None:
    hall = make_hall(connection, seats=1)
    connection.execute("UPDATE shows SET currency = %s", [currency])
    connection.execute("UPDATE show_seats SET price_in_cents = %s", [price])
    order: Any = hall.order(hall.hold(0))
    assert (order.total_amount_in_cents, order.currency) == (price, currency)
    assert hall.pay(order).status == "paid"
    hall.refund(order)
    (row,) = refunds(hall)
    assert (row.amount_in_cents, row.currency) == (price, currency)
