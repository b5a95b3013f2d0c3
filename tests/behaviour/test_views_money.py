"""Money on the dashboards: a row for each currency, less refunds, and what is to be given back."""

import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.happenings import AllIsGivenBack, Refunds, Requests, write
from tests.support.queries import Connection, Row, enter, one, value
from tests.support.rollups import roll_up_all


def hall_in(connection: Connection, currency: str) -> Hall:
    hall = make_hall(connection)
    connection.execute("UPDATE shows SET currency = %s WHERE id = %s", [currency, hall.show_id])
    return hall


def revenue(connection: Connection) -> dict[str, Row]:
    rows = connection.execute("SELECT * FROM revenue_today").fetchall()
    return {row.currency: row for row in rows}


def of_all(connection: Connection) -> int | None:
    total: int | None = value(connection, "SELECT revenue_today_cents FROM realtime_dashboard")
    return total


def test_euros_and_yen_are_never_added_up(connection: Connection) -> None:
    euros, yen = hall_in(connection, "EUR"), hall_in(connection, "JPY")
    assert of_all(connection) == 0
    euros.sell(0, session="anna")
    assert of_all(connection) == 1000
    yen.sell(0, session="anna")
    assert of_all(connection) is None
    found = revenue(connection)
    assert {name: row.revenue_cents for name, row in found.items()} == {"EUR": 1000, "JPY": 1000}
    # Seats are seats in whatever currency.
    assert value(connection, "SELECT tickets_sold_today FROM realtime_dashboard") == 2


@pytest.mark.parametrize(
    ("currency", "revenue_of_1000"), [("EUR", 10.0), ("JPY", 1000.0), ("KWD", 1.0)]
)
def test_revenue_is_given_in_the_unit_that_people_count_in(
    connection: Connection, currency: str, revenue_of_1000: float
) -> None:
    hall_in(connection, currency).sell(0)
    assert revenue(connection)[currency].revenue == revenue_of_1000


def test_what_was_given_back_of_a_paid_order_is_taken_off(connection: Connection) -> None:
    hall = make_hall(connection)
    order = hall.sell(0, 1)
    whole = revenue(connection)["EUR"].revenue_cents
    assert whole == order.total_amount_in_cents
    connection.execute(
        "UPDATE ticket_orders SET refunded_amount_in_cents = 300 WHERE id = %s", [order.order_id]
    )
    assert revenue(connection)["EUR"].revenue_cents == whole - 300
    assert of_all(connection) == whole - 300
    connection.execute("UPDATE ticket_orders SET refunded_amount_in_cents = 0")
    hall.refund(order)
    assert revenue(connection)["EUR"].revenue_cents == 0


def test_a_part_that_was_given_back_is_taken_off_when_all_is_rolled_up(
    database: Database, connect: Connect
) -> None:
    connection = enter(connect(database))
    order = make_hall(connection).sell(0, 1)
    connection.execute("UPDATE ticket_orders SET refunded_amount_in_cents = 300")
    roll_up_all(connection)
    assert revenue(connection)["EUR"].revenue_cents == order.total_amount_in_cents - 300


def due(connection: Connection) -> dict[tuple[str, str], tuple[int, float]]:
    rows = connection.execute("SELECT * FROM refunds_due").fetchall()
    return {(row.reason, row.currency): (row.refunds, row.amount) for row in rows}


def test_what_is_due_is_listed_by_reason_and_currency(connection: Connection) -> None:
    assert one(connection, "SELECT * FROM refunds_due") == ("none", "none", 0, 0, 0)
    write(
        connection,
        Refunds(2, hours_ago=3),
        Refunds(currency="JPY"),
        Refunds(currency="KWD"),
    )
    hall = make_hall(connection)
    assert hall.pay(hall.sell(0), event="evt_again").error_code == "ORDER_NOT_PAYABLE"
    assert due(connection) == {
        ("late_payment", "EUR"): (2, 20.0),
        ("late_payment", "JPY"): (1, 1000.0),
        ("late_payment", "KWD"): (1, 1.0),
        ("double_payment", "EUR"): (1, 10.0),
    }
    assert value(connection, "SELECT max(oldest_age_seconds) FROM refunds_due") == 3 * 3600
    write(connection, AllIsGivenBack())
    assert due(connection) == {("none", "none"): (0, 0)}


def test_a_late_payment_is_due_at_once(hall: Hall) -> None:
    late = hall.hold(0)
    order = hall.order(late)
    hall.let_run_out(late)
    hall.hold(0, session="in time")
    assert hall.pay(order).status == "refund_due"
    assert due(hall.connection) == {("late_payment", "EUR"): (1, 10.0)}


# Attempts to reserve


def success(connection: Connection) -> Row:
    return one(connection, "SELECT * FROM reservation_success_rate WHERE time_window = '1h'")


def test_two_bogus_tokens_are_no_failed_attempts_to_reserve(hall: Hall) -> None:
    hold = hall.hold(0)
    for function in ("extend_reservation", "release_reservation"):
        answer = hall.call(function, p_reservation_token="bogus", p_session_id="mallory")
        assert answer.error_code == "NOT_FOUND"
    found = success(hall.connection)
    assert (found.total_attempts, found.system_errors, found.success_rate_pct) == (1, 0, 100)
    assert value(hall.connection, "SELECT total_failed FROM get_reservation_statistics()") == 2
    assert (
        value(hall.connection, "SELECT firing FROM alerts WHERE alert_name = 'low_success_rate'")
        == 0
    )
    # The control: an attempt that is refused for another reason counts.
    assert hall.reserve(session="mallory").error_code == "INVALID_INPUT"
    assert success(hall.connection).success_rate_pct == 50
    assert hold.success


def test_who_finds_a_seat_taken_met_no_error(hall: Hall) -> None:
    hall.hold(0)
    assert hall.reserve(0, session="ben").error_code == "SEATS_UNAVAILABLE"
    found = success(hall.connection)
    assert (found.race_conditions, found.system_errors, found.success_rate_pct) == (1, 0, 100)


# Endpoints

MANY = 400


def requests(connection: Connection, view: str = "api_endpoint_health") -> dict[str, int]:
    rows = connection.execute(f"SELECT endpoint, requests FROM {view}".encode()).fetchall()
    return {row.endpoint: row.requests for row in rows}


def test_the_busiest_endpoints_keep_their_names_and_the_rest_are_other(
    database: Database, connect: Connect
) -> None:
    connection = enter(connect(database))
    limit = value(connection, "SELECT endpoint_limit()")
    names = [f"/scan/{n}" for n in range(MANY)]
    write(connection, Requests("/seats", 30), Requests("/orders", 20, status_code=500))
    write(connection, *(Requests(name, minutes_ago=2 + n % 3) for n, name in enumerate(names)))
    for _ in ("in the log", "rolled up"):
        found = requests(connection)
        assert len(found) == limit + 1
        assert (found["/seats"], found["/orders"]) == (30, 20)
        # Exact, whatever they are called.
        assert sum(found.values()) == 50 + MANY
        assert value(connection, "SELECT sum(errors) FROM api_endpoint_health") == 20
        assert value(connection, "SELECT p50_milliseconds FROM api_endpoint_health LIMIT 1")
        roll_up_all(connection)
    # Nor do the rollups grow with what is sent.
    for table in ("api_request_minutes", "api_duration_minutes"):
        most = (
            f"SELECT max(count) FROM (SELECT count(DISTINCT endpoint) FROM {table}"
            " GROUP BY minute) AS minutes"
        )
        assert value(connection, most) <= limit + 1
        assert value(connection, f"SELECT sum(requests) FROM {table}") == 50 + MANY
    # More of the same minute, in later runs, all of it new names.
    for again in range(2):
        write(connection, *(Requests(f"/more/{again}/{n}", minutes_ago=2) for n in range(60)))
        roll_up_all(connection)
        assert value(connection, most) <= limit + 1
    assert sum(requests(connection).values()) == 50 + MANY + 120


def test_an_endpoint_that_is_always_there_is_not_lost_among_those_that_are_asked_for_once(
    database: Database, connect: Connect
) -> None:
    connection = enter(connect(database))
    for minutes_ago in (30, 20, 10):
        write(connection, Requests("/checkout", minutes_ago=minutes_ago))
        roll_up_all(connection)
    write(connection, *(Requests(f"/a-scan/{n}", minutes_ago=5) for n in range(MANY)))
    write(connection, Requests("/checkout", minutes_ago=5))
    roll_up_all(connection)
    assert requests(connection)["/checkout"] == 4
