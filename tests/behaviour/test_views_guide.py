"""The guide's queries and our views say the same of the same data, except where they should not.

The history is made by the functions, as a shop makes it. Each query is read from the guide and
asked verbatim, in one snapshot with the view that answers the same question: while all of the logs
is still to be read, when half is rolled up, and when all is. Where the contract says that the
guide's query is wrong, or a view is more exact, a test gives both numbers.
"""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from tests.support.databases import Connect, Database, throw_away_database
from tests.support.guide import BLOCKS, GUIDE
from tests.support.hall import Hall, make_hall
from tests.support.happenings import CONFLICT, CONSTRAINT, Events, Orders, Run, write
from tests.support.names import NAMES
from tests.support.queries import Connection, Row, enter, in_window, one, value
from tests.support.rollups import roll_up_all
from ticketdb.config import Variables
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster

# The guide says `public` by saying nothing, and has names of its own for roles and jobs.
pytestmark = [
    pytest.mark.default_names,
    pytest.mark.skipif(not BLOCKS, reason=f"there is no {GUIDE}"),
]

HOURS = "hourly-metrics-for-trending"
QUERIES = {block.id: block.query for block in BLOCKS}

ROLLED_UP = ["nothing", "half", "everything"]


def ask(connection: Connection, name: str) -> list[Row]:
    """The answer to a query of the guide, which is called by its heading."""
    return connection.execute(QUERIES[name].encode()).fetchall()


def ask_one(connection: Connection, name: str) -> Row:
    (row,) = ask(connection, name)
    return row


def part_of(name: str, beginning: str) -> str:
    """The parenthesised query within a query of the guide that begins like this."""
    (found,) = re.findall(rf"\(\s*({re.escape(beginning)}[^;]*?)\n  \) as", QUERIES[name])
    return str(found)


def rounded(rate: float | None) -> Decimal | None:
    """As the guide rounds: two places, halves away from zero."""
    return None if rate is None else Decimal(repr(rate)).quantize(Decimal("0.01"), "ROUND_HALF_UP")


def morning(hall: Hall) -> None:
    """Sales with something of everything in them."""
    hall.sell(0, 1, session="buys two")
    hall.extend(hall.hold(2, session="needs time"), session="needs time")
    assert hall.reserve(2, session="too late").error_message == CONFLICT
    assert not hall.reserve(session="wants nothing").success
    refused = hall.hold(3, session="card is refused")
    hall.fail(hall.order(refused, session="card is refused"))
    hall.release(hall.hold(4, session="changes plans"), session="changes plans")
    hall.let_run_out(hall.hold(5, session="leaves"))
    hall.connection.execute("CALL run_reservation_cleanup()")


def afternoon(hall: Hall) -> None:
    """More of the same, what became of the morning, and a constraint that saved the day."""
    again = hall.hold(6, 7, session="comes back")
    for _ in range(3):
        hall.extend(again, session="comes back")
    order = hall.order(again, session="comes back")
    hall.fail(order, event="evt_1", message="insufficient funds")
    hall.pay(order, event="evt_2")
    hall.refund(hall.sell(8, session="regrets"))
    assert hall.reserve(6, session="too late").error_message == CONFLICT
    assert hall.reserve(0, session="too late").error_message == CONFLICT
    hall.connection.execute("UPDATE show_seats SET status = 'available' WHERE id = %s", hall.ids(0))
    assert hall.reserve(0, session="is lucky").error_message == CONSTRAINT
    hall.connection.execute("UPDATE show_seats SET status = 'sold' WHERE id = %s", hall.ids(0))
    soon = hall.hold(9, session="soon over")
    hall.connection.execute(
        "UPDATE seat_reservations SET expires_at = now() + interval '110 seconds' WHERE id = %s",
        [soon.reservation_id],
    )
    hall.connection.execute("CALL run_reservation_cleanup()")


@pytest.fixture(scope="module", params=ROLLED_UP)
def shop(
    request: pytest.FixtureRequest, cluster: Cluster, template_database: str
) -> Iterator[Database]:
    with contextmanager(throw_away_database)(cluster, template_database) as database:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            hall = make_hall(connection)
            morning(hall)
            if request.param == "half":
                roll_up_all(connection)
            afternoon(hall)
            if request.param == "everything":
                roll_up_all(connection)
        yield database


@pytest.fixture
def reader(shop: Database) -> Iterator[Connection]:
    """The dashboards, in a snapshot in which time stands still."""
    with closing(
        psycopg.connect(shop.dsn_as(NAMES.dashboard_role), row_factory=namedtuple_row)
    ) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield enter(connection)


# Where they agree


def test_metric_1_counts_what_the_guide_counts(reader: Connection) -> None:
    guide = ask_one(reader, "1-reservation-success-rate")
    view = in_window(reader, "reservation_success_rate", "1h")
    # What the guide calls attempts are those that succeeded.
    assert (view.succeeded, view.race_conditions, view.system_errors) == guide[:3] == (8, 3, 2)
    assert view.total_attempts == sum(guide[:3])


def test_metric_2_agrees(reader: Connection) -> None:
    (guide,) = ask_one(reader, "2-double-booking-attempts")
    assert in_window(reader, "double_booking_attempts", "24h").attempts == guide == 1


def test_metric_3_agrees(reader: Connection) -> None:
    guide = ask_one(reader, "3-reservation-expiration-rate")
    view = in_window(reader, "reservation_expiration_rate", "24h")
    assert view[1:4] == guide[:3] == (8, 3, 1)
    assert rounded(view.expiration_rate_pct) == guide.expiration_rate_pct == Decimal("12.50")


def test_metric_4_agrees_on_holds_that_began_in_the_window(reader: Connection) -> None:
    guide = ask_one(reader, "4-average-reservation-hold-time")
    view = in_window(reader, "reservation_hold_time", "24h")
    assert view.holds_ended == 4
    # Between two lines of the log some microseconds pass that are no part of the hold.
    assert view.avg_hold_minutes == pytest.approx(float(guide.avg_minutes), abs=0.001)
    assert view.avg_hold_minutes * 60 == pytest.approx(view.avg_hold_seconds)


def test_metric_5_agrees(reader: Connection) -> None:
    runs = ask(reader, "5-cleanup-job-health")
    view = one(reader, "SELECT * FROM cleanup_job_health")
    assert view.runs_24h == len(runs) == 2
    assert view.failed_runs_24h == sum(run.status == "failed" for run in runs) == 0
    assert view.last_run_duration_seconds == runs[0].duration_seconds
    age: timedelta = value(reader, "SELECT now() - %s", runs[0].start_time)
    assert view.last_run_age_seconds == age.total_seconds()


def test_metric_6_agrees(reader: Connection) -> None:
    guide = ask_one(reader, "6-active-reservations-count")
    view = one(reader, "SELECT * FROM active_reservations")
    assert view == tuple(guide) == (3, 1, 3)


def test_metric_7_agrees(reader: Connection) -> None:
    guide = ask_one(reader, "7-payment-intent-failures")
    view = in_window(reader, "payment_failures", "24h")
    assert view[1:3] == guide[:2] == (4, 1)
    assert rounded(view.failure_rate_pct) == guide.failure_rate_pct == Decimal("25.00")


def test_hours_agree(reader: Connection) -> None:
    guide = [tuple(row) for row in ask(reader, HOURS)]
    view = reader.execute("SELECT * FROM hourly_metrics ORDER BY time DESC").fetchall()
    busy = [(*row[:5], rounded(row.completion_rate_pct)) for row in view if any(row[1:5])]
    assert busy == guide
    assert len(busy) in (1, 2)  # the clock may strike in between


def test_top_errors_agree(reader: Connection) -> None:
    guide = ask(reader, "top-errors")
    view = reader.execute("SELECT * FROM top_errors").fetchall()
    assert {row[:2] for row in view} == {row[:2] for row in guide}
    assert [row.occurrences for row in view] == [row.occurrences for row in guide] == [3, 1, 1]
    now = value(reader, "SELECT now()")
    ages = {row.error_message: (now - row.last_seen).total_seconds() for row in guide}
    assert {row.error_message: row.last_seen_age_seconds for row in view} == pytest.approx(ages)


def test_extensions_agree(reader: Connection) -> None:
    guide = ask(reader, "1-extension-rate-trends")
    view = reader.execute("SELECT * FROM extension_trends WHERE extensions > 0").fetchall()
    assert [row[1:] for row in view] == [row[1:] for row in reversed(guide)]
    assert sum(row.extensions for row in view) == 4


@pytest.mark.parametrize(
    ("column", "beginning"),
    [
        ("active_reservations", "SELECT COUNT(*)\n    FROM seat_reservations\n"),
        ("reservations_last_hour", "SELECT COUNT(*)\n    FROM seat_reservation_audit_log"),
        ("tickets_sold_today", "SELECT COUNT(*)\n    FROM tickets"),
        ("revenue_today_cents / 100.0", "SELECT ROUND(SUM(total_amount_in_cents)"),
    ],
)
def test_the_parts_of_the_real_time_query_that_work_agree(
    reader: Connection, column: str, beginning: str
) -> None:
    guide = value(reader, part_of("real-time-dashboard-query", beginning))
    assert value(reader, f"SELECT {column} FROM realtime_dashboard") == guide
    assert guide > 0


@pytest.mark.parametrize(
    ("heading", "alert", "fires"),
    [
        ("1-database-constraint-violation", "constraint_violation", True),
        ("3-payment-processing-down", "payment_processing_down", True),
        ("1-high-expiration-rate", "high_expiration_rate", False),
    ],
)
def test_the_alerts_agree(reader: Connection, heading: str, alert: str, fires: bool) -> None:
    (guide,) = ask_one(reader, heading)
    ours = value(reader, "SELECT firing FROM alerts WHERE alert_name = %s", alert)
    assert bool(ours) is guide is fires


# Where they do not: the contract's six


def success_rates(connection: Connection) -> tuple[Any, Any]:
    """The guide's, and ours."""
    guide = ask_one(connection, "1-reservation-success-rate").success_rate_pct
    ours = in_window(connection, "reservation_success_rate", "1h").success_rate_pct
    return guide, rounded(ours)


def test_1_a_sale_lowers_the_success_rate_of_the_guide_and_not_ours(hall: Hall) -> None:
    assert success_rates(hall.connection) == (None, None)
    hold = hall.hold(0)
    assert success_rates(hall.connection) == (100, 100)
    hall.pay(hall.order(hold))
    assert success_rates(hall.connection) == (50, 100)


def test_1_a_conflict_lowers_the_success_rate_of_the_guide_and_not_ours(hall: Hall) -> None:
    write(hall.connection, Run())
    hall.hold(0)
    hall.reserve(0, session="too late")
    assert success_rates(hall.connection) == (50, 100)
    view = in_window(hall.connection, "reservation_success_rate", "1h")
    assert view.raw_success_rate_pct == 50
    # So does the alert.
    (guide,) = ask_one(hall.connection, "2-low-success-rate")
    ours = value(hall.connection, "SELECT firing FROM alerts WHERE alert_name = 'low_success_rate'")
    assert (guide, ours) == (True, 0)


@pytest.mark.parametrize("heading", ["real-time-dashboard-query", "2-cleanup-job-failed"])
def test_2_what_the_guide_asks_of_cron_job_fails_and_the_views_answer(
    cron_database: Database, connect: Connect, heading: str
) -> None:
    commands.apply(cron_database.dsn, NAMES)
    connection = enter(connect(cron_database))
    connection.execute("CALL run_reservation_cleanup()")
    with pytest.raises(psycopg.errors.UndefinedColumn, match='column "start_time" does not exist'):
        ask(connection, heading)
    view = one(connection, "SELECT * FROM realtime_dashboard")
    assert 0 <= view.last_cleanup_age_seconds < 600
    assert 0 <= view.last_cleanup_duration_seconds < 600
    assert view.last_cleanup_failed == 0
    alert = one(connection, "SELECT * FROM alerts WHERE alert_name = 'cleanup_job_failed'")
    assert alert.firing == 0


def test_3_an_overdue_hold_is_active_for_the_guide_until_it_is_cleaned_up(hall: Hall) -> None:
    (datadog,) = re.findall(r"- query: (SELECT .*active_reservations .*)", GUIDE.read_text())
    ours = "SELECT active_reservations FROM active_reservations"
    hall.let_run_out(hall.hold(0))
    hall.hold(1, session="ben")
    assert (value(hall.connection, datadog), value(hall.connection, ours)) == (2, 1)
    hall.clean_up()
    assert (value(hall.connection, datadog), value(hall.connection, ours)) == (1, 1)


def zone_in_which_it_is(hour: int, now: datetime) -> str:
    """A zone in which the clock shows this hour."""
    east_of_greenwich = (hour - now.hour + 11) % 24 - 11
    return f"Etc/GMT{-east_of_greenwich:+d}"


def test_4_today_depends_on_the_session_in_the_guide_and_not_in_the_views(hall: Hall) -> None:
    connection = hall.connection
    now = value(connection, "SELECT now() AT TIME ZONE 'UTC'")
    # Two tickets of two hours ago, in the tables and in the log.
    connection.execute("ALTER TABLE ticket_orders DISABLE TRIGGER USER")
    hall.sell(0, 1)
    connection.execute("UPDATE tickets SET created_at = now() - interval '2 hours'")
    write(connection, Orders("paid", minutes_ago=120))

    sold = part_of("real-time-dashboard-query", "SELECT COUNT(*)\n    FROM tickets")
    connection.execute(
        "UPDATE ticketing_settings SET business_time_zone = %s", [zone_in_which_it_is(12, now)]
    )
    counted = []
    for hour in (12, 1):  # it is noon where the session is, or one o'clock at night
        zone = sql.Literal(zone_in_which_it_is(hour, now))
        connection.execute(sql.SQL("SET LOCAL timezone = {}").format(zone))
        guide = value(connection, sold)
        counted.append((guide, value(connection, "SELECT sum(tickets_sold) FROM revenue_today")))
        assert value(connection, "SELECT tickets_sold_today FROM realtime_dashboard") == 2
    assert counted == [(2, 2), (0, 2)]


def test_5_a_hold_that_began_before_the_window_has_no_length_in_the_guide(
    connection: Connection,
) -> None:
    reservation = value(connection, "SELECT gen_random_uuid()")
    for event_type, hours, seconds in (("created", "24.1", None), ("completed", "23.85", 900)):
        connection.execute(
            "INSERT INTO seat_reservation_audit_log"
            " (event_type, reservation_id, show_id, hold_seconds, created_at) VALUES"
            " (%s, %s, gen_random_uuid(), %s, now() - %s * interval '1 hour')",
            [event_type, reservation, seconds, hours],
        )
    guide = ask_one(connection, "4-average-reservation-hold-time")
    view = in_window(connection, "reservation_hold_time", "24h")
    assert (guide.avg_minutes, view.avg_hold_minutes, view.holds_ended) == (None, 15, 1)


def test_6_a_cleanup_that_never_ran_raises_no_alert_in_the_guide(
    cron_database: Database, connect: Connect
) -> None:
    """Its query, with the times of the runs from where pg_cron has them."""
    commands.apply(cron_database.dsn, Variables(cleanup_schedule="0 0 29 2 *"))
    mended = QUERIES["2-cleanup-job-failed"].rstrip().rstrip(";")
    mended = mended.replace("MAX(start_time)", "MAX(run.start_time)").replace(
        "FROM cron.job\n",
        "FROM cron.job LEFT JOIN cron.job_run_details AS run ON run.jobid = job.jobid\n",
    )
    connection = enter(connect(cron_database))
    guide = value(connection, f"{mended} GROUP BY job.jobid")
    ours = value(connection, "SELECT firing FROM alerts WHERE alert_name = 'cleanup_job_failed'")
    assert (guide, ours) == (False, 1)
    assert ask(connection, "5-cleanup-job-health") == []
    view = one(connection, "SELECT * FROM cleanup_job_health")
    assert (view.last_run_age_seconds, view.has_run) == (None, 0)


# And where a view is more exact, or says something where the guide's query says nothing


def test_a_seat_that_was_given_back_is_held_in_the_guide_and_not_in_the_view(hall: Hall) -> None:
    hall.release(hall.hold(0, 1, 2), hall.ids(0))
    guide = ask_one(hall.connection, "6-active-reservations-count")
    view = one(hall.connection, "SELECT * FROM active_reservations")
    assert (guide.total_seats_held, view.total_seats_held) == (3, 2)
    assert guide[:2] == view[:2] == (1, 0)


def test_without_a_hold_the_guide_has_no_number_of_seats_and_the_view_has_none(
    connection: Connection,
) -> None:
    guide = ask_one(connection, "6-active-reservations-count")
    view = one(connection, "SELECT * FROM active_reservations")
    assert (guide.total_seats_held, view.total_seats_held) == (None, 0)


def test_an_error_without_words_is_no_error_in_the_guide_and_one_in_the_view(
    connection: Connection,
) -> None:
    write(connection, Events("created"), Events("failed"))
    guide = ask_one(connection, "1-reservation-success-rate")
    view = in_window(connection, "reservation_success_rate", "1h")
    assert (guide.system_errors, view.system_errors) == (0, 1)
    (top,) = ask(connection, "top-errors")
    ours = one(connection, "SELECT * FROM top_errors")
    assert (top.error_message, ours.error_message) == (None, "(no message)")
    assert top.occurrences == ours.occurrences == 1


def log_at(connection: Connection, event_type: str, at: datetime) -> None:
    connection.execute(
        "INSERT INTO seat_reservation_audit_log (event_type, reservation_id, show_id, created_at)"
        " VALUES (%s, gen_random_uuid(), gen_random_uuid(), %s)",
        [event_type, at],
    )


def test_the_days_of_the_guide_begin_in_the_middle_of_one_and_ours_with_a_whole_one(
    connection: Connection,
) -> None:
    today: datetime = value(connection, "SELECT date_trunc('day', now(), 'UTC')")
    oldest = today - timedelta(days=6)
    for at in (oldest - timedelta(microseconds=1), oldest, today):
        log_at(connection, "extended", at)
    guide = {row.date: row.extensions for row in ask(connection, "1-extension-rate-trends")}
    view = connection.execute("SELECT * FROM extension_trends").fetchall()
    days = [(today - timedelta(days=n)).date() for n in range(7, -1, -1)]
    assert [guide.get(day) for day in days] == [1, 1, None, None, None, None, None, 1]
    assert [row.extensions for row in view] == [1, 0, 0, 0, 0, 0, 1]
    assert [row.time.date() for row in view] == days[1:]


def test_an_hour_without_events_is_missing_in_the_guide_and_a_row_of_zeros_in_the_view(
    connection: Connection,
) -> None:
    hour: datetime = value(connection, "SELECT date_trunc('hour', now(), 'UTC')")
    oldest = hour - timedelta(hours=23)
    # The last moment of an hour of which most lies before the guide's window; and two that count.
    for at in (oldest - timedelta(microseconds=1), oldest, hour):
        log_at(connection, "created", at)
    guide = {row.hour: row.reservations_created for row in ask(connection, HOURS)}
    view = connection.execute("SELECT * FROM hourly_metrics").fetchall()
    assert guide == {oldest - timedelta(hours=1): 1, oldest: 1, hour: 1}
    assert [row.reservations_created for row in view] == [1, *[0] * 22, 1]
    assert [row.time for row in view] == [oldest + timedelta(hours=n) for n in range(24)]


def test_a_window_of_the_guide_begins_within_a_minute_and_ours_with_it(
    connection: Connection,
) -> None:
    begin: datetime = value(connection, "SELECT date_trunc('minute', now() - interval '1 hour')")
    log_at(connection, "created", begin)
    log_at(connection, "created", begin - timedelta(microseconds=1))
    guide = ask_one(connection, "1-reservation-success-rate")
    view = in_window(connection, "reservation_success_rate", "1h")
    assert (guide.total_attempts, view.succeeded) == (0, 1)
