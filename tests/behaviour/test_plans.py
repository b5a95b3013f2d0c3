"""A sale begins with plans that were made the night before, when nothing was held yet."""

from typing import Any

import pytest

from tests.support.counter import Counter
from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.money import cancel, dispute, return_money
from tests.support.names import OURS
from tests.support.plans import Plan, explained
from tests.support.queries import Connection, Row, enter, value

# jit_above_cost: compiling a plan takes longer than any call.
COMPILED_ABOVE = 100_000
# Buffers of a statement, and of a call with all its statements and triggers.
MOST_BUFFERS = 200
MOST_BUFFERS_OF_A_CALL = 600
BUYERS = 600
# Enough for statistics by which the planner prefers one index to another.
PAST_BUYERS = 150


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
    sold = hall.call(
        "confirm_payment",
        **paid,
        p_provider="stripe",
        p_event_id=session,
        p_amount_in_cents=order.total_amount_in_cents,
    )
    cancelled = cancel(hall, sold.ticket_ids[:1])
    assert return_money(hall, cancelled.refund_ids[0], session).success
    total = order.total_amount_in_cents
    assert hall.pay(order, f"{session} again").error_code == "ORDER_NOT_PAYABLE"
    assert dispute(hall, order, total, session).success
    assert dispute(hall, order, total - cancelled.amount_in_cents, f"{session} again").success
    assert hall.call("refund_order", **paid).error_code == "ORDER_NOT_REFUNDABLE"
    hold = hall.hold(first, session=session)
    assert hall.add(hold, first + 1, session=session).success
    assert hall.price(hold, {first: 1, first + 1: 2}, ["child", None], session=session).success
    assert hall.move(hold, f"account {session}", session=session).success
    assert hall.move(hold, session, session=f"account {session}").success
    assert hall.call(
        "release_reservation", p_reservation_token=hold.reservation_token, p_session_id=session
    ).success
    Counter(hall).serve(first)


@pytest.fixture(
    params=["never analysed", "analysed while empty", "analysed while nothing was held"]
)
def night_before(request: pytest.FixtureRequest, database: Database, connect: Connect) -> Hall:
    """A hall on sale in a database whose statistics know of no hold, and keep it so."""
    connection = connect(database)
    hall = make_hall(connection, seats=2 * BUYERS + 8)
    tables: list[Row] = connection.execute(
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = ANY(%s::regnamespace[]) AND relkind = 'r' AND relname <> 'shows'",
        [OURS],
    ).fetchall()
    for table in tables:
        connection.execute(f"ALTER TABLE {table.relname} SET (autovacuum_enabled = off)".encode())
    if request.param == "analysed while nothing was held":
        for buyer in range(PAST_BUYERS):
            sell_one(hall, 2 * buyer, f"past {buyer}")
    # Seats are there long before they are sold, so autovacuum has seen them.
    connection.execute(
        "ANALYZE show_seats" if request.param == "never analysed" else "VACUUM (ANALYZE)"
    )
    return hall


def hold_everything(hall: Hall, connection: Connection) -> None:
    """The hour after: many hold seats and are about to pay; the statistics do not know it."""
    for buyer in range(BUYERS):
        connection.execute(
            "SELECT order_id FROM reserve_seats(%s, %s, %s) AS hold"
            " CROSS JOIN LATERAL create_ticket_order(hold.reservation_token, %s)",
            [hall.show_id, hall.ids(2 * buyer, 2 * buyer + 1), *[f"buyer {buyer}"] * 2],
        )


def leading_columns(connection: Connection) -> dict[str, str]:
    """The first column of each index."""
    rows: list[Row] = connection.execute(
        "SELECT relname AS index, pg_get_indexdef(indexrelid, 1, false) AS leading"
        " FROM pg_index INNER JOIN pg_class ON pg_class.oid = indexrelid"
    ).fetchall()
    return {row.index: row.leading for row in rows}


def costly(plans: list[Plan]) -> list[str]:
    """Statements that read a whole table, or more than a few pages, or would be compiled."""
    return [
        f"{plan.buffers} buffers, cost {plan.root['Total Cost']}: {plan.query}"
        for plan in plans
        if plan.buffers > (MOST_BUFFERS if plan.relations else MOST_BUFFERS_OF_A_CALL)
        or plan.root["Total Cost"] > COMPILED_ABOVE
        or any(node["Node Type"] == "Seq Scan" for node in plan.nodes)
    ]


def not_entered_by_key(hall: Hall, plans: list[Plan]) -> list[str]:
    """Statements that read an index from one end to the other: its leading column is not asked."""
    leading = leading_columns(hall.connection)
    return [
        f"{node['Index Name']}: {plan.query}"
        for plan in plans
        for node in plan.nodes
        if "Index" in node["Node Type"]
        and leading[node["Index Name"]] not in node.get("Index Cond", "")
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
    # A session that had no processor while others changed the catalog has to read all of it again.
    sell_one(hall, 2 * BUYERS + 4, "in the rush")
    with explained(hall.connection) as plans:
        sell_one(hall, 2 * BUYERS + 6, "in the rush, too")
    assert costly(plans) == []
    assert sum(plan.buffers for plan in plans) < 2 * before
    if value(hall.connection, "SELECT count(*) FROM tickets") > PAST_BUYERS:
        # Where every index of a table is empty, none is better than another.
        assert not_entered_by_key(hall, plans) == []


def make_rows(connection: Connection, rows: int) -> Hall:
    """A hall of rows of twenty seats."""
    hall = make_hall(connection, seats=20 * rows)
    hall.connection.execute(
        "UPDATE show_seats SET row_label = row, row_position = row, seat_position = number % 20"
        " FROM (SELECT id AS seat_id, price_in_cents / 100 AS number, price_in_cents / 2000 AS row"
        " FROM show_seats) AS numbered WHERE id = seat_id"
    )
    hall.connection.execute("VACUUM (ANALYZE)")
    hall.reserve_best(2, session="first of the session, for which the plans are made")
    return hall


def searches(plans: list[Plan]) -> list[Plan]:
    return [plan for plan in plans if "hall_rows" in plan.query]


@pytest.mark.parametrize("rows", [4, 400])
def test_the_best_seats_cost_the_same_in_a_hall_of_any_size_while_the_front_is_free(
    database: Database, connect: Connect, rows: int
) -> None:
    hall = make_rows(connect(database), rows)
    with explained(hall.connection) as plans:
        assert hall.reserve_best(2).seat_count == 2
    assert not_entered_by_key(hall, plans) == []
    assert [plan.buffers < 100 for plan in searches(plans)] == [True]
    assert plans[-1].buffers < MOST_BUFFERS


def test_where_nothing_fits_all_of_the_hall_is_read(database: Database, connect: Connect) -> None:
    """The control: in portions, and then as a whole."""
    rows = 400
    hall = make_rows(connect(database), rows)
    with explained(hall.connection) as plans:
        assert not hall.reserve_best(2, p_max_price_in_cents=1).success
    read = [plan.buffers for plan in searches(plans)]
    assert read[0] < 100
    assert read[-1] > 20 * rows / 10
    assert sum(read) < 2.5 * read[-1]


def test_a_statement_that_reads_everything_would_be_seen(hall: Hall) -> None:
    with explained(hall.connection) as plans:
        hall.connection.execute("SELECT count(*) FROM seat_reservations WHERE email = 'x'")
    assert len(costly(plans)) == 1

    hall.connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
    with explained(hall.connection) as plans:
        hall.connection.execute("SELECT ticket_code FROM tickets ORDER BY ticket_code")
    assert len(not_entered_by_key(hall, plans)) == 1
