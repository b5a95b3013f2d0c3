"""Orders whose hold expired do not wait for a payment for ever: the cleanup cancels them."""

import pytest

from tests.support.cleaning import clean_up, run_cleanup, runs
from tests.support.databases import Connect
from tests.support.hall import Hall, make_hall
from tests.support.logs import ORDER_LOG
from tests.support.plans import explained
from tests.support.queries import Connection, Row, broken_invariants, enter, token_of, value


def dead_order(hall: Hall, seat: int, minutes_ago: float, session: str = "") -> Row:
    """An order whose hold expired this long ago, and was ended then."""
    hold = hall.hold(seat, session=session or f"orderer {seat}")
    order = hall.order(hold, session=session or f"orderer {seat}")
    assert order.success
    hall.connection.execute(
        "UPDATE seat_reservations SET expires_at = now() - interval '1 second' WHERE id = %s",
        [hold.reservation_id],
    )
    clean_up(hall.connection)
    hall.connection.execute(
        "UPDATE seat_reservations SET ended_at = now() - make_interval(secs => %s) WHERE id = %s",
        [60 * minutes_ago, hold.reservation_id],
    )
    hall.connection.execute(
        "UPDATE ticket_orders SET created_at = now() - make_interval(secs => %s) WHERE id = %s",
        [60 * minutes_ago + 300, order.order_id],
    )
    return order


def order_status(hall: Hall, order: Row) -> str:
    status: str = hall.row("ticket_orders", order.order_id).status
    return status


def test_an_order_whose_hold_expired_is_cancelled_when_its_time_to_pay_is_over(
    house: Hall,
) -> None:
    """order_minutes, 5, after its hold: not before, and whatever else there is."""
    owner = house.connection
    dead, fresh = dead_order(house, 0, 5.1), dead_order(house, 1, 4.5)
    live = house.order(house.hold(2, session="live"), session="live")
    result = run_cleanup(owner)
    assert (result.status, result.orders_cancelled) == ("succeeded", 1)
    assert [order_status(house, order) for order in (dead, fresh, live)] == [
        "cancelled",
        "pending",
        "pending",
    ]
    (run,) = runs(owner)
    assert run.orders_cancelled == 1
    line = [line for line in house.log(ORDER_LOG) if line.order_id == dead.order_id][-1]
    assert (line.old_status, line.new_status) == ("pending", "cancelled")
    assert house.row("ticket_orders", dead.order_id).cancel_reason == "overdue"
    owner.execute("UPDATE ticketing_settings SET order_minutes = 4")
    owner.execute("CALL run_reservation_cleanup()")
    assert order_status(house, fresh) == "cancelled"
    assert broken_invariants(owner) == []


def test_a_payment_that_comes_after_that_is_a_late_payment(house: Hall) -> None:
    """It takes the seats again where they are free."""
    order = dead_order(house, 0, 60)
    house.connection.execute("CALL run_reservation_cleanup()")
    assert order_status(house, order) == "cancelled"
    paid = house.pay(order)
    assert (paid.success, paid.status) == (True, "paid")
    assert house.statuses(0) == ["sold"]
    assert broken_invariants(house.connection) == []


def test_the_cleanup_is_no_change_by_hand(house: Hall) -> None:
    dead_order(house, 0, 60)
    before = value(house.connection, "SELECT count(*) FROM change_log")
    house.let_run_out(house.hold(1, session="over"))
    at_least = value(house.connection, "SELECT count(*) FROM change_log")
    assert at_least > before  # the control: an end that is moved by hand
    house.connection.execute("CALL run_reservation_cleanup()")
    assert value(house.connection, "SELECT count(*) FROM change_log") == at_least


def test_orders_that_somebody_has_locked_are_cancelled_the_next_time(
    house: Hall, connect: Connect
) -> None:
    orders = [dead_order(house, n, 60) for n in range(3)]
    somebody = enter(connect())
    with somebody.transaction():
        somebody.execute("SELECT FROM ticket_orders WHERE id = %s FOR UPDATE", [orders[1].order_id])
        house.connection.execute("SET statement_timeout = '10s'")
        house.connection.execute("CALL run_reservation_cleanup()")
        assert [order_status(house, order) for order in orders] == [
            "cancelled",
            "pending",
            "cancelled",
        ]
    house.connection.execute("CALL run_reservation_cleanup()")
    assert order_status(house, orders[1]) == "cancelled"
    assert {run.status for run in runs(house.connection)} == {"succeeded"}


def test_more_orders_than_go_into_a_portion_are_all_cancelled(owner: Connection) -> None:
    make_orders(owner, dead=250, paid=0)
    assert run_cleanup(owner).orders_cancelled == 250
    left = owner.execute("SELECT count(*) FROM ticket_orders WHERE status = 'pending'").fetchone()
    assert left == (0,)


def make_orders(connection: Connection, dead: int, paid: int) -> None:
    """Orders of one seat: so many whose hold expired an hour ago, and so many that were paid."""
    hall = make_hall(connection, seats=1)
    connection.execute("SET session_replication_role = replica")
    connection.execute(
        """
        WITH holds AS (
            INSERT INTO seat_reservations
                (show_id, reservation_token, session_id, status, expires_at, created_at, ended_at)
            SELECT %(show)s, {token}, 'session ' || n,
                CASE WHEN n <= %(dead)s THEN 'expired' ELSE 'completed' END,
                at, at - interval '10 minutes', at
            FROM generate_series(1, %(dead)s + %(paid)s) AS n
            CROSS JOIN LATERAL (SELECT now() - interval '1 hour' - n * interval '1 s' AS at) AS t
            RETURNING id, status, ended_at
        )
        INSERT INTO ticket_orders (show_id, reservation_id, seat_ids, status,
            total_amount_in_cents, currency, created_at, paid_at)
        SELECT %(show)s, id, ARRAY[%(seat)s::uuid],
            CASE WHEN status = 'expired' THEN 'pending' ELSE 'paid' END, 1000, 'EUR',
            ended_at - interval '5 minutes', CASE WHEN status = 'completed' THEN ended_at END
        FROM holds
        """.replace("{token}", token_of("%(show)s::uuid")),
        {"show": hall.show_id, "seat": hall.seats[0], "dead": dead, "paid": paid},
    )
    connection.execute("RESET session_replication_role")


@pytest.mark.parametrize("statistics", ["none", "up to date"])
def test_finding_dead_orders_costs_the_same_however_many_were_paid(
    owner: Connection, statistics: str
) -> None:
    if statistics == "none":
        for table in ("ticket_orders", "seat_reservations"):
            owner.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())
    make_orders(owner, dead=20, paid=20_000)
    if statistics == "up to date":
        owner.execute("ANALYZE ticket_orders, seat_reservations")
    owner.execute("BEGIN")
    owner.execute("SELECT cancel_dead_orders(10)")  # what a session reads of the catalog
    with explained(owner) as plans:
        owner.execute("SELECT cancel_dead_orders(10)")
    owner.execute("COMMIT")
    reads = [plan for plan in plans if {"ticket_orders", "seat_reservations"} <= plan.relations]
    assert reads
    for plan in reads:
        assert plan.buffers < 300
        assert all(node["Node Type"] not in ("Seq Scan", "Hash Join") for node in plan.nodes)
