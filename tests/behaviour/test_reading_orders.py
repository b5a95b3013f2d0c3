"""get_order, find_orders, get_tickets, get_refunds: what a shop shows and sends."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.money import listed_refunds
from tests.support.names import NAMES
from tests.support.orders import bring_to
from tests.support.plans import STATISTICS, explained, rows_looked_at
from tests.support.queries import Connection, Row, acting_as, enter, tables, value


def read(hall: Hall, order: Row) -> Row:
    (row,) = hall.connection.execute(
        "SELECT * FROM get_order(%s, %s)", [hall.show_id, order.order_id]
    ).fetchall()
    return row


def find(connection: Connection, payment: str | None, provider: str | None = None) -> list[Row]:
    return connection.execute("SELECT * FROM find_orders(%s, %s)", [provider, payment]).fetchall()


def found(connection: Connection, payment: str | None, provider: str | None = None) -> list[Row]:
    return [row.order_id for row in find(connection, payment, provider)]


def tickets_of(hall: Hall, order: Row) -> list[Row]:
    return hall.connection.execute(
        "SELECT * FROM get_tickets(%s, %s)", [hall.show_id, order.order_id]
    ).fetchall()


# one order


def test_an_order_is_read_with_all_that_a_shop_shows(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    order = hall.order(hold, p_payment_provider="stripe", p_payment_intent_id="pi_1")
    made = hall.row("ticket_orders", order.order_id)
    expected = {
        "order_id": order.order_id,
        "show_id": hall.show_id,
        "reservation_id": hold.reservation_id,
        "status": "pending",
        "total_amount_in_cents": 2100,
        "currency": "EUR",
        "refunded_amount_in_cents": 0,
        "payment_provider": "stripe",
        "payment_intent_id": "pi_1",
        "cancel_reason": None,
        "error_message": None,
        "ticket_count": 0,
        "created_at": made.created_at,
        "paid_at": None,
    }
    assert read(hall, order)._asdict() == expected
    hall.fail(order, message="declined")
    assert read(hall, order)._asdict() == expected | {
        "status": "failed",
        "error_message": "declined",
    }
    hall.pay(order)
    paid = read(hall, order)
    assert (paid.status, paid.ticket_count) == ("paid", 2)
    assert paid.paid_at is not None
    hall.refund(order)
    refunded = read(hall, order)
    assert (refunded.status, refunded.refunded_amount_in_cents) == ("refunded", 2100)
    assert refunded.ticket_count == 0


@pytest.mark.parametrize(
    "status", ["pending", "paid", "failed", "cancelled", "refund_due", "refunded"]
)
def test_every_status_is_read(hall: Hall, status: str) -> None:
    order = bring_to(hall, status)
    row = read(hall, order)
    assert row.status == status
    assert row.cancel_reason == ("released" if status in ("cancelled", "refund_due") else None)


def test_only_valid_tickets_are_counted(hall: Hall) -> None:
    order = hall.sell(0, 1, 2)
    hall.connection.execute(
        "UPDATE tickets SET status = 'cancelled' WHERE show_seat_id = ANY(%s)", [hall.ids(0)]
    )
    assert read(hall, order).ticket_count == 2
    hall.connection.execute("UPDATE tickets SET status = 'valid'")


def test_an_order_of_another_show_is_not_found(hall: Hall) -> None:
    order = hall.sell(0)
    other = make_hall(hall.connection)
    for show, key in (
        (other.show_id, order.order_id),
        (hall.show_id, uuid.uuid4()),
        (hall.show_id, None),
        (None, order.order_id),
    ):
        for function in ("get_order", "get_tickets"):
            rows = hall.connection.execute(
                f"SELECT * FROM {function}(%s, %s)".encode(), [show, key]
            ).fetchall()
            assert rows == []


# orders of a payment


def test_an_order_is_found_by_the_payment_that_it_names(hall: Hall) -> None:
    order = hall.order(hall.hold(0), p_payment_provider="stripe", p_payment_intent_id="pi_1")
    (row,) = find(hall.connection, "pi_1", "stripe")
    assert row == read(hall, order)
    assert found(hall.connection, "pi_1") == [order.order_id]
    assert found(hall.connection, "pi_1", "paypal") == []
    assert found(hall.connection, "pi_2", "stripe") == []
    assert found(hall.connection, None, "stripe") == found(hall.connection, None) == []


def test_an_order_is_found_by_a_payment_that_it_named_before(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold, p_payment_provider="stripe", p_payment_intent_id="pi_1")
    hall.order(hold, p_payment_provider="paypal", p_payment_intent_id="pp_2")
    assert read(hall, order).payment_intent_id == "pp_2"
    for payment, provider in (("pi_1", "stripe"), ("pp_2", "paypal")):
        assert found(hall.connection, payment, provider) == [order.order_id]
        assert found(hall.connection, payment) == [order.order_id]
    assert found(hall.connection, "pi_1", "paypal") == []


def test_a_payment_whose_provider_was_not_named_may_be_of_any(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold, p_payment_intent_id="pi_1")
    assert found(hall.connection, "pi_1", "stripe") == [order.order_id]
    hall.order(hold, p_payment_intent_id="pi_2")
    assert found(hall.connection, "pi_1", "stripe") == [order.order_id]


@pytest.mark.parametrize("provider", ["stripe", None])
def test_an_order_is_found_by_the_events_of_its_payments(hall: Hall, provider: str | None) -> None:
    order = hall.order(hall.hold(0), p_payment_provider="stripe", p_payment_intent_id="pi_1")
    hall.fail(order, event="evt_failed")
    hall.pay(order, event="evt_paid")
    for event in ("evt_failed", "evt_paid", "pi_1"):
        assert found(hall.connection, event, provider) == [order.order_id]
        assert found(hall.connection, event, "paypal") == []


def test_any_provider_means_each_that_has_sent_events(hall: Hall) -> None:
    orders = [hall.order(hall.hold(n, session=f"s{n}"), f"s{n}") for n in range(4)]
    for order, provider in zip(orders, ["adyen", "stripe", "bank", "zebra"], strict=True):
        hall.call(
            "confirm_payment",
            p_show_id=hall.show_id,
            p_order_id=order.order_id,
            p_provider=provider,
            p_event_id="the same",
            p_amount_in_cents=order.total_amount_in_cents,
        )
    assert found(hall.connection, "the same") == [order.order_id for order in orders]
    assert found(hall.connection, "the same", "bank") == [orders[2].order_id]


def test_an_order_is_listed_once_and_all_orders_of_one_transfer_are(hall: Hall) -> None:
    first = hall.order(hall.hold(0), p_payment_provider="stripe", p_payment_intent_id="transfer")
    second = hall.order(hall.hold(1, session="ben"), "ben")
    hall.pay(first, event="transfer")
    hall.pay(second, event="transfer")
    assert found(hall.connection, "transfer", "stripe") == [first.order_id, second.order_id]


def test_nothing_is_found_while_there_are_no_events(hall: Hall) -> None:
    assert find(hall.connection, "evt") == []


# tickets


def test_tickets_have_code_place_price_and_type(hall: Hall) -> None:
    hold = hall.hold(1)
    hall.connection.execute(
        "UPDATE reservation_seats SET price_in_cents = 500, ticket_type = 'child'"
    )
    order = hall.order(hold)
    hall.pay(order)
    (ticket,) = tickets_of(hall, order)
    stored = hall.row("tickets", ticket.ticket_id)
    assert ticket._asdict() == {
        "ticket_id": stored.id,
        "ticket_code": stored.ticket_code,
        "section": "stalls",
        "row_label": "A",
        "seat_number": "1",
        "ticket_type": "child",
        "price_in_cents": 500,
        "currency": "EUR",
        "status": "valid",
        "checked_in_at": None,
    }


def test_tickets_come_in_the_order_of_their_places(connection: Connection) -> None:
    hall = make_hall(connection, seats=12)
    order = hall.sell(10, 2, 11, 1)
    assert [ticket.seat_number for ticket in tickets_of(hall, order)] == ["1", "2", "10", "11"]


def test_a_ticket_that_was_used_or_taken_back_is_listed_with_that(hall: Hall) -> None:
    order = hall.sell(0, 1)
    hall.connection.execute(
        "UPDATE tickets SET checked_in_at = '2026-01-01 20:00+00', check_in_gate = 'north'"
        " WHERE show_seat_id = ANY(%s)",
        [hall.ids(0)],
    )
    used, unused = tickets_of(hall, order)
    assert used.checked_in_at is not None
    assert unused.checked_in_at is None
    hall.refund(order)
    assert [ticket.status for ticket in tickets_of(hall, order)] == ["refunded"] * 2


def test_an_order_without_tickets_has_none(hall: Hall) -> None:
    assert tickets_of(hall, hall.order(hall.hold(0))) == []


# from the seat map to the ticket


def test_the_application_comes_from_the_seat_map_to_the_ticket_by_functions_alone(
    connection: Connection,
) -> None:
    hall = make_hall(connection)
    codes = []
    with acting_as(connection, NAMES.app_role):
        free = connection.execute(
            "SELECT seat_id FROM get_seat_map(%s) WHERE state = 'available'", [hall.show_id]
        ).fetchall()
        hall.call(
            "reserve_seats",
            p_show_id=hall.show_id,
            p_seat_ids=[row.seat_id for row in free[:2]],
            p_session_id="anna",
        )
        # The answer was lost.
        (hold,) = connection.execute("SELECT * FROM get_session_reservations('anna')").fetchall()
        assert hall.order(hold, p_payment_provider="stripe", p_payment_intent_id="pi_1").success
        (order,) = find(connection, "pi_1", "stripe")
        assert hall.pay(order, event="evt_1").success
        assert read(hall, order).status == "paid"
        codes = [ticket.ticket_code for ticket in tickets_of(hall, order)]
    assert len(codes) == 2
    assert sorted(codes) == [
        row.ticket_code
        for row in connection.execute("SELECT ticket_code FROM tickets ORDER BY 1").fetchall()
    ]


READS: dict[str, Callable[[Hall, Row], object]] = {
    "get_order": read,
    "find_orders": lambda hall, _: find(hall.connection, "evt_paid"),
    "get_tickets": tickets_of,
    "get_refunds": listed_refunds,
}


@pytest.mark.parametrize("role", [NAMES.app_role, NAMES.box_office_role])
@pytest.mark.parametrize("function", READS)
def test_it_is_read_in_a_transaction_that_is_read_only_and_leaves_no_trace(
    hall: Hall, function: str, role: str
) -> None:
    order = hall.order(hall.hold(0))
    hall.pay(order, event="evt_paid")
    hall.pay(order, event="evt_again")
    before = tables(hall.connection)
    with acting_as(hall.connection, role):
        hall.connection.execute("SET LOCAL transaction_read_only = on")
        assert READS[function](hall, order)
    assert tables(hall.connection) == before


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("function", READS)
def test_an_answer_is_of_the_snapshot_of_its_transaction(
    house: Hall, connect: Connect, function: str, level: str
) -> None:
    order = house.order(house.hold(0))
    late = replace(house, connection=enter(connect()))
    late.connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    before = READS[function](late, order)
    house.pay(order, event="evt_paid")
    house.pay(order, event="evt_again")
    after = READS[function](late, order)
    late.connection.execute("COMMIT")
    assert (after == before) == (level != "READ COMMITTED")
    assert READS[function](late, order) == READS[function](house, order) != before


# its price


@pytest.mark.parametrize("statistics", STATISTICS)
def test_it_costs_the_same_when_thousands_have_paid(
    database: Database, connect: Connect, statistics: str
) -> None:
    connection = enter(connect(database))
    for table in ("ticket_orders", "tickets", "payment_events", "payment_intents", "show_seats"):
        connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())
    hall = make_hall(connection, seats=1200)
    if statistics == "of the empty tables":
        connection.execute("ANALYZE")
    connection.execute(
        "SELECT confirm_payment(%(show)s, renamed.order_id, 'stripe', 'evt_' || n,"
        " renamed.total_amount_in_cents)"
        " FROM generate_series(0, 599) AS n"
        " CROSS JOIN LATERAL reserve_seats(%(show)s, ARRAY[(%(seats)s::uuid[])[2 * n + 1],"
        " (%(seats)s::uuid[])[2 * n + 2]], 'buyer ' || n) AS hold"
        " CROSS JOIN LATERAL create_ticket_order(hold.reservation_token, 'buyer ' || n,"
        " NULL, 'stripe', 'first_' || n) AS made"
        " CROSS JOIN LATERAL create_ticket_order(hold.reservation_token, 'buyer ' || n,"
        " NULL, 'stripe', 'pi_' || n || left(made.status, 0)) AS renamed",
        {"show": hall.show_id, "seats": list(hall.seats)},
    )
    if statistics == "up to date":
        connection.execute("ANALYZE")

    def read_all() -> None:
        for payment in ("pi_77", "first_77", "evt_77"):
            for provider in ("stripe", None):
                (order,) = find(connection, payment, provider)
        assert read(hall, order).ticket_count == 2
        assert len(tickets_of(hall, order)) == 2

    read_all()  # the first calls of a session make plans
    with explained(connection) as plans:
        read_all()
        connection.execute("SELECT")
    assert value(connection, "SELECT count(*) FROM payment_intents") == 600
    assert len({plan.query for plan in plans}) > 5
    for plan in plans:
        assert plan.buffers < 80, plan.query
        assert sum(rows_looked_at(node) for node in plan.nodes) < 60, plan.query
        assert "Seq Scan" not in {node["Node Type"] for node in plan.nodes}


def test_a_look_at_all_events_would_be_seen(hall: Hall) -> None:
    """The control: without the provider no index leads to an event."""
    for number in range(10):
        hall.sell(number, session=f"buyer {number}")
    with explained(hall.connection) as plans:
        hall.connection.execute("SELECT FROM payment_events WHERE event_id = 'evt'")
        hall.connection.execute("SELECT")
    assert rows_looked_at(plans[0].nodes[0]) == 10
