"""get_reservation and get_session_reservations: for the basket, the second tab, the lost answer."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.names import NAMES
from tests.support.plans import STATISTICS, explained, rows_looked_at
from tests.support.queries import Connection, Row, acting_as, enter, tables, token_of, value

NO_TOKENS = ["", "no token", "g" * 64, "0" * 63, "0" * 65, "0" * 64, " " * 64, None]


def read(hall: Hall, hold: Row, session: str | None = "anna") -> list[Row]:
    return hall.connection.execute(
        "SELECT * FROM get_reservation(%s, %s)", [hold.reservation_token, session]
    ).fetchall()


def read_one(hall: Hall, hold: Row, session: str = "anna") -> Row:
    (row,) = read(hall, hold, session)
    return row


def of_session(connection: Connection, session: str | None = "anna") -> list[Row]:
    return connection.execute("SELECT * FROM get_session_reservations(%s)", [session]).fetchall()


# one reservation


def test_a_hold_is_read_with_its_seats_and_what_they_cost(hall: Hall) -> None:
    hold = hall.hold(3, 1)
    (row,) = read(hall, hold)
    seats = sorted(hall.ids(1, 3))
    assert row._asdict() == {
        "reservation_id": hold.reservation_id,
        "reservation_token": hold.reservation_token,
        "show_id": hall.show_id,
        "session_id": "anna",
        "status": "active",
        "expires_at": hold.expires_at,
        "extensions_remaining": 3,
        "seat_ids": seats,
        "prices_in_cents": [1000 + 100 * hall.seats.index(seat) for seat in seats],
        "ticket_types": [None, None],
        "total_amount_in_cents": hold.total_amount_in_cents,
        "currency": "EUR",
        "order_id": None,
        "order_status": None,
    }


def test_prices_and_types_are_those_of_the_claims_in_the_order_of_the_seats(hall: Hall) -> None:
    hold = hall.hold(0, 1, 2)
    for number, kind in enumerate(("adult", None, "child")):
        hall.connection.execute(
            "UPDATE reservation_seats SET price_in_cents = %s, ticket_type = %s"
            " WHERE show_seat_id = %s",
            [number, kind, hall.seats[number]],
        )
    row = read_one(hall, hold)
    found = dict(
        zip(
            row.seat_ids,
            zip(row.prices_in_cents, row.ticket_types, strict=True),
            strict=True,
        )
    )
    assert found == dict(
        zip(hall.ids(0, 1, 2), [(0, "adult"), (1, None), (2, "child")], strict=True)
    )
    assert row.total_amount_in_cents == 3


def test_an_extension_and_a_seat_given_back_show(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    extended = hall.extend(hold)
    hall.release(hold, hall.ids(0))
    row = read_one(hall, hold)
    assert (row.expires_at, row.extensions_remaining) == (
        extended.expires_at,
        extended.extensions_remaining,
    )
    assert (row.seat_ids, row.prices_in_cents, row.ticket_types) == (hall.ids(1), [1100], [None])
    assert row.total_amount_in_cents == 1100


def expire(hall: Hall, hold: Row) -> None:
    hall.let_run_out(hold)
    hall.clean_up()


ENDINGS: dict[str, tuple[Callable[[Hall, Row], object], str, int]] = {
    "released": (lambda hall, hold: hall.release(hold), "released", 0),
    "paid": (lambda hall, hold: hall.pay(hall.order(hold)), "completed", 2),
    "overdue": (lambda hall, hold: hall.let_run_out(hold), "expired", 0),
    "cleaned up": (expire, "expired", 0),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_reservation_that_is_over_is_read_as_such(hall: Hall, ending: str) -> None:
    end, status, seats = ENDINGS[ending]
    hold = hall.hold(0, 1)
    end(hall, hold)
    row = read_one(hall, hold)
    assert (row.status, row.extensions_remaining) == (status, 0)
    assert len(row.seat_ids) == len(row.prices_in_cents) == len(row.ticket_types) == seats
    assert row.total_amount_in_cents == (hold.total_amount_in_cents if seats else 0)
    assert row.currency == "EUR"
    # Only what is live is listed for the session.
    assert of_session(hall.connection) == []


def test_the_order_that_waits_or_is_paid_goes_with_it(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold)
    assert read_one(hall, hold)[-2:] == (order.order_id, "pending")
    hall.pay(order)
    assert read_one(hall, hold)[-2:] == (order.order_id, "paid")
    hall.refund(order)
    assert read_one(hall, hold)[-2:] == (order.order_id, "refunded")


def test_of_orders_that_have_ended_the_last_one_goes_with_it(hall: Hall) -> None:
    hold = hall.hold(0, 1, 2)
    first = hall.order(hold)
    hall.release(hold, hall.ids(0))
    assert read_one(hall, hold)[-2:] == (first.order_id, "cancelled")
    second = hall.order(hold)
    hall.fail(second)
    assert read_one(hall, hold)[-2:] == (second.order_id, "failed")
    third = hall.order(hold, p_idempotency_key="again")
    assert read_one(hall, hold)[-2:] == (third.order_id, "pending")
    # An open one before a later one that has ended.
    hall.connection.execute(
        "INSERT INTO ticket_orders (show_id, reservation_id, seat_ids, status, currency,"
        " total_amount_in_cents, created_at) VALUES (%s, %s, %s, 'failed', 'EUR', 1, %s)",
        [hall.show_id, hold.reservation_id, hall.ids(1), "2100-01-01"],
    )
    assert read_one(hall, hold)[-2:] == (third.order_id, "pending")


def test_another_session_reads_nothing_with_the_token(hall: Hall) -> None:
    hold = hall.hold(0)
    for session in ("ben", "", None, "ANNA"):
        assert read(hall, hold, session) == []
    assert read(hall, hold) != []


@pytest.mark.parametrize("token", NO_TOKENS)
def test_what_is_no_token_finds_nothing(hall: Hall, token: str | None) -> None:
    hall.hold(0)
    assert (
        hall.connection.execute("SELECT FROM get_reservation(%s, 'anna')", [token]).fetchall() == []
    )


def test_a_token_that_is_nobodys_finds_nothing(hall: Hall) -> None:
    hall.hold(0)
    token = value(hall.connection, f"SELECT {token_of('%s::uuid')}", hall.show_id)
    assert (
        hall.connection.execute("SELECT FROM get_reservation(%s, 'anna')", [token]).fetchall() == []
    )


def test_extensions_remaining_are_never_negative(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.extend(hold)
    hall.connection.execute("UPDATE ticketing_settings SET max_extensions = 0")
    assert read_one(hall, hold).extensions_remaining == 0


# those of a session


def test_a_session_has_its_live_holds_of_all_shows_the_oldest_first(
    connection: Connection,
) -> None:
    halls = [make_hall(connection) for _ in range(4)]
    holds = [hall.hold(0, 1) for hall in (halls[2], halls[0], halls[1])]
    halls[3].let_run_out(halls[3].hold(0))
    halls[0].hold(5, session="ben")
    rows = of_session(connection)
    assert [row.reservation_id for row in rows] == [hold.reservation_id for hold in holds]
    for row, hold, hall in zip(rows, holds, (halls[2], halls[0], halls[1]), strict=True):
        assert row == read_one(hall, hold)
    assert [row.status for row in rows] == ["active"] * 3


@pytest.mark.parametrize("session", ["nobody", "", None])
def test_a_session_without_holds_has_none(hall: Hall, session: str | None) -> None:
    hall.hold(0)
    assert of_session(hall.connection, session) == []


def test_the_answer_that_was_lost_is_read_by_the_session(hall: Hall) -> None:
    """A buyer who knows nothing but his session goes on to the ticket."""
    hall.hold(0)
    (found,) = of_session(hall.connection)
    assert hall.extend(found).success
    assert hall.pay(hall.order(found)).status == "paid"


# beside others, and for whom


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_an_answer_is_of_the_snapshot_of_its_transaction(
    house: Hall, connect: Connect, level: str
) -> None:
    hold = house.hold(0, 1)
    late = replace(house, connection=enter(connect()))
    late.connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    before = read_one(late, hold)
    house.pay(house.order(hold))
    row = read_one(late, hold)
    if level == "READ COMMITTED":
        assert (row.status, row.order_status) == ("completed", "paid")
    else:
        assert row == before
        assert of_session(late.connection) == [before]
    late.connection.execute("COMMIT")
    assert read_one(late, hold).status == "completed"


@pytest.mark.parametrize("role", [NAMES.app_role, NAMES.box_office_role])
def test_it_is_read_in_a_transaction_that_is_read_only_and_leaves_no_trace(
    hall: Hall, role: str
) -> None:
    hold = hall.hold(0)
    before = tables(hall.connection)
    with acting_as(hall.connection, role):
        hall.connection.execute("SET LOCAL transaction_read_only = on")
        assert read(hall, hold) == of_session(hall.connection) != []
    assert tables(hall.connection) == before


# its price


@pytest.mark.parametrize("statistics", STATISTICS)
def test_it_costs_the_same_when_thousands_hold_seats(
    database: Database, connect: Connect, statistics: str
) -> None:
    connection = enter(connect(database))
    for table in ("seat_reservations", "reservation_seats", "ticket_orders"):
        connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())
    hall = make_hall(connection, seats=2000)
    if statistics == "of the empty tables":
        connection.execute("ANALYZE")
    connection.execute(
        "SELECT create_ticket_order(hold.reservation_token, 'buyer ' || n)"
        " FROM generate_series(0, 999) AS n"
        " CROSS JOIN LATERAL reserve_seats(%s, ARRAY[(%s::uuid[])[2 * n + 1],"
        " (%s::uuid[])[2 * n + 2]], 'buyer ' || n) AS hold",
        [hall.show_id, list(hall.seats), list(hall.seats)],
    )
    if statistics == "up to date":
        connection.execute("ANALYZE")
    (hold,) = of_session(connection, "buyer 77")
    with explained(connection) as plans:
        read_one(hall, hold, "buyer 77")
        (again,) = of_session(connection, "buyer 77")
        connection.execute("SELECT")
    assert again == hold
    assert len({plan.query for plan in plans}) > 3
    for plan in plans:
        assert plan.buffers < 60, plan.query
        assert sum(rows_looked_at(node) for node in plan.nodes) < 60, plan.query
        assert "Seq Scan" not in {node["Node Type"] for node in plan.nodes}


def test_a_statement_that_looks_at_all_holds_would_be_seen(hall: Hall) -> None:
    """The control: ten holds are more than one."""
    for number in range(10):
        hall.hold(number, session=f"buyer {uuid.uuid4()}")
    with explained(hall.connection) as plans:
        hall.connection.execute("SELECT FROM seat_reservations WHERE email = 'x'")
        hall.connection.execute("SELECT")
    assert rows_looked_at(plans[0].nodes[0]) == 10
