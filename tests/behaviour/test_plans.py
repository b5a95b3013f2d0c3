"""A sale begins with plans that were made the night before, when nothing was held yet."""

from typing import Any

import pytest

from tests.behaviour.conftest import Connection, Hall, Row, enter, make_hall
from tests.behaviour.plans import Plan, explained
from tests.conftest import Connect, Database

# jit_above_cost: compiling a plan takes longer than any call.
COMPILED_ABOVE = 100_000
# Buffers of a statement, and of a call with all its statements and triggers.
MOST_BUFFERS = 200
MOST_BUFFERS_OF_A_CALL = 600
BUYERS = 600


def sell_one(hall: Hall, first: int, session: str) -> None:
    """Every function of a sale once, on two seats of its own."""
    hold = hall.hold(first, first + 1, session=session)
    assert not hall.reserve(first, session=f"late {session}").success
    assert hall.call(
        "extend_reservation", p_reservation_token=hold.reservation_token, p_session_id=session
    ).success
    order = hall.call(
        "create_ticket_order", p_reservation_token=hold.reservation_token, p_session_id=session
    )
    paid: dict[str, Any] = {"p_show_id": hall.show_id, "p_order_id": order.order_id}
    assert hall.call(
        "confirm_payment",
        **paid,
        p_provider="stripe",
        p_event_id=session,
        p_amount_in_cents=order.total_amount_in_cents,
    ).success
    assert hall.call("refund_order", **paid).success
    hold = hall.hold(first, first + 1, session=session)
    assert hall.call(
        "release_reservation", p_reservation_token=hold.reservation_token, p_session_id=session
    ).success


@pytest.fixture(
    params=["never analysed", "analysed while empty", "analysed while nothing was held"]
)
def night_before(request: pytest.FixtureRequest, database: Database, connect: Connect) -> Hall:
    """A hall on sale in a database whose statistics know of no hold, and keep it so."""
    connection = connect(database)
    hall = make_hall(connection, seats=2 * BUYERS + 6)
    tables: list[Row] = connection.execute(
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'shows'"
    ).fetchall()
    for table in tables:
        connection.execute(f"ALTER TABLE {table.relname} SET (autovacuum_enabled = off)".encode())
    if request.param == "analysed while nothing was held":
        for buyer in range(50):
            hall.release(hall.hold(buyer, session=f"past {buyer}"), session=f"past {buyer}")
    # Seats are there long before they are sold, so autovacuum has seen them.
    connection.execute(
        "ANALYZE show_seats" if request.param == "never analysed" else "VACUUM (ANALYZE)"
    )
    return hall


def hold_everything(hall: Hall, connection: Connection) -> None:
    """The hour after: many hold seats, and the statistics have not heard of it."""
    for buyer in range(BUYERS):
        connection.execute(
            "SELECT reserve_seats(%s, %s, %s)",
            [hall.show_id, hall.ids(2 * buyer, 2 * buyer + 1), f"buyer {buyer}"],
        )


def costly(plans: list[Plan]) -> list[str]:
    """Statements that read a whole table or index, or would be compiled."""
    return [
        f"{plan.buffers} buffers, cost {plan.root['Total Cost']}: {plan.query}"
        for plan in plans
        if plan.buffers > (MOST_BUFFERS if plan.relations else MOST_BUFFERS_OF_A_CALL)
        or plan.root["Total Cost"] > COMPILED_ABOVE
        or any(
            node["Node Type"] == "Seq Scan" and node["Relation Name"] != "show_seats"
            for node in plan.nodes
        )
    ]


def test_a_call_costs_the_same_when_everything_is_held_as_the_night_before(
    night_before: Hall, connect: Connect
) -> None:
    hall = night_before
    sell_one(hall, 2 * BUYERS, "first of the session, for which the plans are made")
    with explained(hall.connection) as plans:
        sell_one(hall, 2 * BUYERS + 2, "early")
    assert costly(plans) == []
    before = sum(plan.buffers for plan in plans)

    hold_everything(hall, enter(connect()))
    with explained(hall.connection) as plans:
        sell_one(hall, 2 * BUYERS + 4, "in the rush")
    assert costly(plans) == []
    assert sum(plan.buffers for plan in plans) < 2 * before


def test_a_statement_that_reads_everything_would_be_seen(hall: Hall) -> None:
    with explained(hall.connection) as plans:
        hall.connection.execute("SELECT count(*) FROM seat_reservations WHERE email = 'x'")
    assert len(costly(plans)) == 1
