"""Money received is in tickets, returned or due: per order and in total, and on the dashboards."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.money import (
    cancel,
    cancel_in_portions,
    dispute,
    reckon,
    refunds,
    return_money,
    ticket_ids,
)
from tests.support.names import NAMES
from tests.support.orders import bring_to
from tests.support.queries import Connection, acting_as, enter, one, value
from tests.support.rollups import roll_up_all


def violations(hall: Hall, invariant: str = "money_adds_up") -> int:
    counted = "SELECT violations FROM current_violations() WHERE invariant = %s"
    return int(value(hall.connection, counted, invariant))


def test_each_stage_of_an_order_adds_up(hall: Hall) -> None:
    def books() -> tuple[int, ...]:
        return tuple(reckon(hall.connection).values())

    order = hall.order(hall.hold(0, 1))
    assert books() == (0, 0, 0, 0)
    hall.pay(order, "evt_1", amount=5)
    assert books() == (5, 0, 0, 5)
    hall.pay(order, "evt_2")
    assert books() == (2105, 2100, 0, 5)
    hall.pay(order, "evt_3")
    assert books() == (4205, 2100, 0, 2105)
    first, _ = ticket_ids(hall, order)
    (refund,) = cancel(hall, [first]).refund_ids
    assert books() == (4205, 1100, 0, 3105)
    return_money(hall, refund)
    assert books() == (4205, 1100, 1000, 2105)
    dispute(hall, order, 2100, "dp_1")
    assert books() == (4205, 1100, 3100, 5)
    dispute(hall, order, 1100, "dp_2")
    assert books() == (4205, 0, 4200, 5)
    assert violations(hall) == 0


BREAKS = {
    "a payment without its tickets": ("UPDATE tickets SET price_in_cents = price_in_cents - 1"),
    "a refund that is too small": "UPDATE refunds SET amount_in_cents = amount_in_cents - 1",
    "a ticket that was refunded by hand": "UPDATE tickets SET status = 'refunded'",
    "money that is due for nothing": (
        "INSERT INTO refunds (show_id, order_id, amount_in_cents, currency, reason)"
        " SELECT show_id, id, 1, 'EUR', 'double_payment' FROM ticket_orders LIMIT 1"
    ),
}


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("how", BREAKS)
def test_what_does_not_add_up_is_found(hall: Hall, how: str) -> None:
    order = hall.sell(0, 1)
    cancel(hall, ticket_ids(hall, order)[:1])
    assert violations(hall) == 0
    hall.connection.execute(BREAKS[how].encode())
    assert violations(hall) == 1


@pytest.mark.breaks_invariants
def test_two_orders_whose_errors_cancel_out_are_both_found(hall: Hall) -> None:
    one_, two = hall.sell(0), hall.sell(1, session="ben")
    for order, more in ((one_, 1), (two, -1)):
        hall.connection.execute(
            "UPDATE tickets SET price_in_cents = price_in_cents + %s WHERE order_id = %s",
            [more, order.order_id],
        )
    assert violations(hall) == 2


# refunds_add_up and paid_orders_have_their_tickets


def test_money_that_is_due_for_tickets_counts_as_refunded_at_once(hall: Hall) -> None:
    order = hall.sell(0, 1)
    cancel(hall, ticket_ids(hall, order)[:1])
    late = bring_to(make_hall(hall.connection), "refund_due")
    assert hall.row("ticket_orders", order.order_id).refunded_amount_in_cents == 1000
    assert hall.row("ticket_orders", late.order_id).refunded_amount_in_cents == 0
    assert violations(hall, "refunds_add_up") == 0


@pytest.mark.breaks_invariants
@pytest.mark.parametrize(
    ("damage", "invariant"),
    [
        ("UPDATE ticket_orders SET refunded_amount_in_cents = 0", "refunds_add_up"),
        ("UPDATE ticket_orders SET status = 'refunded'", "refunds_add_up"),
        ("UPDATE refunds SET reason = 'double_payment'", "refunds_add_up"),
        (
            "UPDATE ticket_orders SET seat_ids = seat_ids[:1]",
            "paid_orders_have_their_tickets",
        ),
        (
            "UPDATE tickets SET price_in_cents = 1 WHERE status = 'refunded'",
            "paid_orders_have_their_tickets",
        ),
    ],
)
def test_an_order_that_was_refunded_in_part_is_watched(
    hall: Hall, damage: str, invariant: str
) -> None:
    cancel(hall, ticket_ids(hall, hall.sell(0, 1))[:1])
    assert violations(hall, invariant) == 0
    hall.connection.execute(damage.encode())
    assert violations(hall, invariant) == 1


# dashboards


def revenue(connection: Connection) -> tuple[int, int, int]:
    row = one(connection, "SELECT * FROM revenue_today WHERE currency = 'EUR'")
    return row.revenue_cents, row.orders_paid, row.tickets_sold


# What happens to an order of two tickets, and what is left of its 2,100 cents; how many orders are
# paid then.
FATES: dict[str, tuple[Callable[[Hall, Any], Any], int, int]] = {
    "nothing": (lambda _, __: None, 2100, 1),
    "one ticket is cancelled": (
        lambda hall, order: cancel(hall, ticket_ids(hall, order)[:1]),
        1100,
        1,
    ),
    "and its money has gone back": (
        lambda hall, order: return_money(
            hall, cancel(hall, ticket_ids(hall, order)[:1]).refund_ids[0]
        ),
        1100,
        1,
    ),
    "one ticket, then the other": (
        lambda hall, order: [cancel(hall, [ticket]) for ticket in ticket_ids(hall, order)],
        0,
        0,
    ),
    "one ticket, then a refund": (
        lambda hall, order: [cancel(hall, ticket_ids(hall, order)[:1]), hall.refund(order)],
        0,
        0,
    ),
    "a dispute": (lambda hall, order: dispute(hall, order, 2100), 0, 0),
    "a double payment": (lambda hall, order: hall.pay(order, "evt_2"), 2100, 1),
    "a double payment, disputed": (
        lambda hall, order: [hall.pay(order, "evt_2"), dispute(hall, order, 2100)],
        2100,
        1,
    ),
    "the show is cancelled": (lambda hall, _: cancel_in_portions(hall), 0, 0),
}


@pytest.mark.parametrize("fate", FATES)
def test_revenue_is_what_is_left_in_tickets(
    database: Database, connect: Connect, fate: str
) -> None:
    connection = enter(connect(database))
    hall = make_hall(connection)
    happens, left, orders = FATES[fate]
    happens(hall, hall.sell(0, 1))
    for _ in ("in the log", "rolled up"):
        assert revenue(connection) == (left, orders, 2)
        assert reckon(connection)["in tickets"] == left
        assert value(connection, "SELECT revenue_today_cents FROM realtime_dashboard") == left
        roll_up_all(connection)
    # The guide counts paid orders whole: difference 7 of the contract.
    whole = (
        "SELECT COALESCE(sum(total_amount_in_cents), 0) FROM ticket_orders WHERE status = 'paid'"
    )
    assert value(connection, whole) == (2100 if orders else 0)


def test_what_the_staff_does_is_no_event_of_a_hold(database: Database, connect: Connect) -> None:
    connection = enter(connect(database))
    hall = make_hall(connection)
    order = hall.sell(0, 1)
    hour = "SELECT * FROM get_reservation_statistics()"
    hours = "SELECT sum(reservations_created), sum(reservations_failed) AS f FROM hourly_metrics"
    before = one(connection, hour), one(connection, hours)
    cancel(hall, ticket_ids(hall, order)[:1])
    connection.execute(
        "INSERT INTO seat_reservation_audit_log (event_type, show_id)"
        " SELECT event_type, gen_random_uuid()"
        " FROM unnest(ARRAY['added', 'priced', 'transferred', 'blocked', 'unblocked', 'issued',"
        "  'moved', 'refunded', 'checked_in', 'erased']) AS events (event_type)"
    )
    for _ in ("in the log", "rolled up"):
        assert (one(connection, hour), one(connection, hours)) == before
        roll_up_all(connection)


def test_what_is_due_is_listed_until_it_has_gone_back(hall: Hall) -> None:
    due = "SELECT reason, refunds, amount FROM refunds_due"
    first, second = ticket_ids(hall, hall.sell(0, 1))
    (refund,) = cancel(hall, [first]).refund_ids
    cancel(hall, [second])
    assert hall.connection.execute(due).fetchall() == [("tickets_cancelled", 2, 21.0)]
    return_money(hall, refund)
    assert hall.connection.execute(due).fetchall() == [("tickets_cancelled", 1, 11.0)]
    return_money(hall, refunds(hall)[1].id, "re_2")
    assert hall.connection.execute(due).fetchall() == [("none", 0, 0.0)]


# who may


STAFF = {
    "cancel_tickets",
    "record_refund",
    "record_dispute",
    "cancel_show_portion",
    "cancel_show",
    "erase_customer",
    "reconcile_payments",
}
WEBHOOKS = {"record_refund", "record_dispute"}


def test_the_staff_calls_these_functions_and_webhooks_of_the_shop_two_of_them(
    connection: Connection,
) -> None:
    rows = connection.execute(
        "SELECT p.proname::text AS name, r.rolname::text AS role FROM pg_proc AS p"
        " CROSS JOIN pg_roles AS r"
        " WHERE p.proname = ANY(%s) AND r.rolname = ANY(%s)"
        " AND has_function_privilege(r.oid, p.oid, 'EXECUTE')",
        [list(STAFF), [NAMES.box_office_role, NAMES.app_role, NAMES.monitor_role]],
    ).fetchall()
    assert {(row.name, row.role) for row in rows} == {
        (name, NAMES.box_office_role) for name in STAFF
    } | {(name, NAMES.app_role) for name in WEBHOOKS}


def test_the_staff_can_do_all_of_it_with_functions_alone(hall: Hall) -> None:
    order = hall.sell(0, 1)
    hall.hold(2, session="ben", p_user_id="user-ben")
    first, _ = ticket_ids(hall, order)
    with acting_as(hall.connection, NAMES.box_office_role):
        (refund,) = cancel(hall, [first]).refund_ids
        assert return_money(hall, refund).success
        assert dispute(hall, order, 1100).success
        assert hall.call(
            "erase_customer", p_user_id="user-ben", p_email=None, p_staff="clara"
        ).success
        cancel_in_portions(hall)
