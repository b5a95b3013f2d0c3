"""What is past its retention is purged: months of the logs, old runs, and personal data."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.logs import (
    LOGS,
    ORDER_LOG,
    RESERVATION_LOG,
    backlog,
    first_instant,
    lines,
    log_at,
    maintain,
    month,
    months_that_have_a_partition,
    purge,
)
from tests.support.plans import explained
from tests.support.queries import Connection, Row, enter, token_of, value, warnings_of

pytestmark = pytest.mark.this_month


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Niue"])
@pytest.mark.parametrize("style", ["ISO, MDY", "SQL, DMY", "German", "Postgres, MDY"])
def test_whole_months_past_retention_are_dropped_and_nothing_else(
    connection: Connection, zone: str, style: str
) -> None:
    connection.execute(f"SET LOCAL timezone = '{zone}'")
    connection.execute(f"SET LOCAL datestyle = '{style}'")
    for log in LOGS:
        for offset in range(-6, 0):
            log_at(connection, log, first_instant(month(connection, offset)))
    maintain(connection)
    written = {month(connection, offset) for offset in range(-6, 0)}
    # By Python's calendar: months that were over when the month began in which retention ends.
    now = float(value(connection, "SELECT extract(EPOCH FROM now())"))
    retained_from = datetime.fromtimestamp(now, UTC) - timedelta(days=90)
    past = {name for name in written if name < f"{retained_from:%Y_%m}"}
    assert 2 <= len(past) <= 4  # 31 August and 30 November are 90 days after a second and a first
    removed = purge(connection)
    ahead = {month(connection, offset) for offset in range(4)}
    assert removed == {f"{log}_p{name}": 1 for log in LOGS for name in past}
    for log in LOGS:
        assert months_that_have_a_partition(connection, log) == (written - past) | ahead
        assert {
            row.month
            for row in connection.execute(
                f"SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY_MM') AS month FROM {log}"
            ).fetchall()
        } == written - past


def test_retention_is_a_setting(connection: Connection) -> None:
    log_at(connection, RESERVATION_LOG, first_instant(month(connection, -12)))
    maintain(connection)
    connection.execute("UPDATE ticketing_settings SET audit_retention_days = 400")
    assert purge(connection) == {}
    connection.execute("UPDATE ticketing_settings SET audit_retention_days = 90")
    assert purge(connection) == {f"{RESERVATION_LOG}_p{month(connection, -12)}": 1}


def test_a_month_is_kept_until_its_last_event_is_past_retention(connection: Connection) -> None:
    name = month(connection, -12)
    log_at(connection, RESERVATION_LOG, first_instant(name))
    maintain(connection)
    days = value(
        connection,
        "SELECT extract(DAY FROM now() - %s::timestamptz)::integer",
        first_instant(month(connection, -11)),
    )
    retention = "UPDATE ticketing_settings SET audit_retention_days = %s"
    connection.execute(retention, [days + 1])
    assert purge(connection) == {}
    connection.execute(retention, [days])
    assert purge(connection) == {f"{RESERVATION_LOG}_p{name}": 1}


def test_the_default_partition_is_never_purged(connection: Connection) -> None:
    log_at(connection, RESERVATION_LOG, first_instant(month(connection, -12)))
    assert purge(connection) == {}
    assert len(lines(connection, RESERVATION_LOG)) == 1


def test_old_runs_of_the_cleanup_are_purged_and_running_ones_kept(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)"
        " SELECT 'external', now() - days * interval '24 hours',"
        " CASE WHEN days <> 30 THEN now() - days * interval '24 hours' END,"
        " CASE WHEN days <> 30 THEN 'succeeded' ELSE 'running' END"
        " FROM unnest(ARRAY[1, 13, 15, 16, 30]) AS days"
    )
    assert purge(connection) == {"reservation_cleanup_runs": 2}
    ages = value(
        connection,
        "SELECT array_agg(round(extract(EPOCH FROM now() - started_at) / 86400)::integer"
        " ORDER BY id) FROM reservation_cleanup_runs",
    )
    assert ages == [1, 13, 30]


def test_the_last_run_that_did_something_is_kept_whatever_its_age(connection: Connection) -> None:
    """Or it would look as if the cleanup had never run."""
    connection.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)"
        " SELECT 'external', now() - days * interval '24 hours',"
        " now() - days * interval '24 hours',"
        " CASE WHEN days < 40 THEN 'skipped' ELSE 'succeeded' END"
        " FROM unnest(ARRAY[60, 50, 30, 1]) AS days"
    )
    assert purge(connection) == {"reservation_cleanup_runs": 1}
    health = connection.execute("SELECT * FROM cleanup_job_health").fetchall()[0]
    assert health.has_run == 1
    assert health.last_run_age_seconds == pytest.approx(50 * 86400)


def test_a_log_that_somebody_reads_keeps_its_month_and_the_others_lose_theirs(
    database: Database, connect: Connect
) -> None:
    """And sellers go on: who purges does not wait in front of them."""
    owner, seller = enter(connect()), connect()
    hall = make_hall(seller)
    for log in LOGS:
        log_at(owner, log, first_instant(month(owner, -6)))
    maintain(owner)
    months = {log: f"{log}_p{month(owner, -6)}" for log in LOGS}
    owner.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)"
        " SELECT 'external', at, at, 'succeeded' FROM unnest("
        " ARRAY[now() - interval '60 days', now()]) AS at"
    )
    heard = warnings_of(owner)
    with psycopg.connect(database.dsn) as reader:
        enter(reader).execute(f"SELECT count(*) FROM {RESERVATION_LOG}")
        owner.execute("SET statement_timeout = '5s'")
        seller.execute("SET lock_timeout = '2s'")
        removed = purge(owner)
        assert removed == {
            "reservation_cleanup_runs": 1,
            months[ORDER_LOG]: 1,
            months["api_request_log"]: 1,
        }
        assert [message for message in heard if months[RESERVATION_LOG] in (message or "")]
        assert hall.reserve(0).success
        backlog = dict(owner.execute("SELECT * FROM maintenance_backlog()").fetchall())
        assert {task for task, seconds in backlog.items() if seconds > 0} == {
            f"purge of {RESERVATION_LOG}"
        }
    assert purge(owner) == {months[RESERVATION_LOG]: 1}


def test_a_month_past_retention_has_been_due_since_its_last_event_was(
    connection: Connection,
) -> None:
    log_at(connection, ORDER_LOG, first_instant(month(connection, -12)))
    maintain(connection)
    due = value(
        connection,
        "SELECT extract(EPOCH FROM now() - %s::timestamptz - interval '2160 hours')::float8",
        first_instant(month(connection, -11)),
    )
    assert backlog(connection) == {f"purge of {ORDER_LOG}": pytest.approx(due)}
    purge(connection)
    assert backlog(connection) == {}


PERSONAL = {
    "user_id": "user 1",
    "email": "ann@example.com",
    "user_agent": "Mozilla",
    "ip_address": ip_address("192.0.2.1"),
}


def personal(hall: Hall, hold: Row) -> dict[str, Any]:
    row = hall.reservation(hold)
    return {column: getattr(row, column) for column in PERSONAL}


def hold_by_a_person(hall: Hall, seat: int) -> Row:
    arguments = {f"p_{column}": given for column, given in PERSONAL.items()}
    return hall.hold(seat, session=f"person {seat}", **arguments)


def test_personal_columns_of_holds_are_emptied_when_they_are_past_their_retention(
    connection: Connection,
) -> None:
    hall = make_hall(connection)
    old, young, live = (hold_by_a_person(hall, n) for n in range(3))
    connection.execute("UPDATE ticketing_settings SET personal_data_retention_days = 30")
    for hold, days in ((old, 31), (young, 29)):
        hall.let_run_out(hold)
        hall.clean_up()
        connection.execute(
            "UPDATE seat_reservations SET ended_at = now() - make_interval(hours => 24 * %s)"
            " WHERE id = %s",
            [days, hold.reservation_id],
        )
    before = hall.reservation(old)
    by_hand = value(connection, "SELECT count(*) FROM change_log")
    assert backlog(connection) == {"personal data": pytest.approx(86400)}
    assert purge(connection) == {"seat_reservations": 1}
    assert personal(hall, old) == dict.fromkeys(PERSONAL)
    assert personal(hall, young) == personal(hall, live) == PERSONAL
    after = hall.reservation(old)
    assert after._replace(**PERSONAL) == before  # nothing else has changed
    assert backlog(connection) == {}
    # Nor is it written anew each day.
    assert purge(connection) == {}
    assert hall.events(old) == ["created", "expired"]
    assert value(connection, "SELECT count(*) FROM change_log") == by_hand


def test_a_providers_words_are_emptied_when_they_are_past_their_retention(
    connection: Connection,
) -> None:
    hall = make_hall(connection)
    orders = []
    for seat, days in ((0, 401), (1, 399)):
        order = hall.order(hall.hold(seat, session=f"session {seat}"), session=f"session {seat}")
        hall.fail(order, event=f"evt_{seat}")
        connection.execute(
            "UPDATE ticket_orders SET created_at = now() - make_interval(hours => 24 * %s)"
            " WHERE id = %s",
            [days, order.order_id],
        )
        orders.append(order)
    before = [hall.row("ticket_orders", order.order_id) for order in orders]
    assert before[0].error_message is not None
    assert purge(connection) == {"ticket_orders": 1}
    after = [hall.row("ticket_orders", order.order_id) for order in orders]
    assert after == [before[0]._replace(error_message=None), before[1]]
    assert purge(connection) == {}


def test_personal_data_is_purged_in_portions_from_an_index(connection: Connection) -> None:
    """The oldest first; the cost is that of the portion, however many holds there are."""
    hall = make_hall(connection, seats=1)
    connection.execute("SET LOCAL session_replication_role = replica")
    connection.execute(
        "INSERT INTO seat_reservations (show_id, reservation_token, session_id, email, status,"
        " expires_at, created_at, ended_at)"
        f" SELECT show.id, {token_of('show.id')}, 'session ' || n,"
        " CASE WHEN n > 19000 THEN 'ann@example.com' END, 'expired',"
        " at, at, at FROM generate_series(1, 20000) AS n"
        " CROSS JOIN LATERAL (SELECT now() - interval '500 days' - n * interval '1 s' AS at) AS t"
        " CROSS JOIN (SELECT %s::uuid) AS show (id)",
        [hall.show_id],
    )
    connection.execute("SELECT purge_personal_data(1)")  # what a session reads of the catalog
    with explained(connection) as plans:
        (done,) = connection.execute("SELECT * FROM purge_personal_data(100)").fetchall()
    assert done == ("seat_reservations", 100)
    (plan,) = [p for p in plans if p.query.startswith("UPDATE") and "seat_res" in p.query]
    assert plan.buffers < 100 * 40  # every index of a row that is written
    assert all(node["Node Type"] != "Seq Scan" for node in plan.nodes)
    left = connection.execute(
        "SELECT count(*), max(substring(session_id FROM 9)::integer) FROM seat_reservations"
        " WHERE email IS NOT NULL"
    ).fetchall()
    assert left == [(899, 19899)]


def test_what_somebody_has_locked_keeps_no_others_personal_data(
    database: Database, connect: Connect
) -> None:
    owner = enter(connect())
    hall = make_hall(owner)
    holds = [hold_by_a_person(hall, n) for n in range(3)]
    hall.let_run_out(*holds)
    hall.clean_up()
    owner.execute("UPDATE seat_reservations SET ended_at = now() - interval '500 days'")
    with psycopg.connect(database.dsn) as somebody:
        enter(somebody).execute(
            "SELECT FROM seat_reservations WHERE id = %s FOR UPDATE", [holds[1].reservation_id]
        )
        owner.execute("SET statement_timeout = '5s'")
        assert purge(owner) == {"seat_reservations": 2}
    assert purge(owner) == {"seat_reservations": 1}


def test_tickets_and_money_are_never_purged(connection: Connection) -> None:
    hall = make_hall(connection)
    hall.sell(0)
    connection.execute(
        "UPDATE tickets SET created_at = '2001-01-01';"
        "UPDATE ticket_orders SET created_at = '2001-01-01', paid_at = '2001-01-01';"
        "UPDATE seat_reservations SET created_at = '2001-01-01', ended_at = '2001-01-01'"
    )
    assert purge(connection) == {}
    assert value(connection, "SELECT count(*) FROM tickets") == 1
