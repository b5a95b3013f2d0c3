"""Hours and days are those of the house, whatever its zone does to the clock, and the session's.

The views are asked in a database whose clock can be set (see `tests/support/clock.py`), about
moments around both changes of the clock in seven zones, and compared with what Python's zoneinfo
makes of the same history. Half of that history is rolled up, half is not.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import cycle
from operator import attrgetter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import psycopg
import pytest
from psycopg import sql

from tests.support.clock import clocked_database, set_clock, set_up_clock
from tests.support.databases import Database
from tests.support.happenings import SHOW, Events, Holds, Requests, Run, write
from tests.support.names import NAMES, quoted
from tests.support.queries import Connection, Row, enter, in_window, one, rolled_back, value, views
from tests.support.rollups import roll_up_all
from ticketdb.private_server import Cluster

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
INSTANT = timedelta(microseconds=1)

# When the clock was changed in 2020; an ordinary day where it was not. Havana changes it at
# midnight, to which it is also put back, Lord Howe by half an hour, Apia lies beyond the date line.
CHANGES = {
    "UTC": ["2020-06-15 12:00"],
    "Europe/Berlin": ["2020-03-29 01:00", "2020-10-25 01:00"],
    "America/New_York": ["2020-03-08 07:00", "2020-11-01 06:00"],
    "Asia/Kathmandu": ["2020-06-15 12:15"],
    "Pacific/Apia": ["2020-04-04 14:00", "2020-09-26 14:00"],
    "America/Havana": ["2020-03-08 05:00", "2020-11-01 05:00"],
    "Australia/Lord_Howe": ["2020-04-04 15:00", "2020-10-03 15:30"],
}
CASES = [
    pytest.param(zone, datetime.fromisoformat(f"{change}+00:00"), id=f"{zone}-{change[:10]}")
    for zone, changes in CHANGES.items()
    for change in changes
]
# Where somebody may sit who looks at the dashboards.
SESSIONS = ["UTC", "America/Havana", "Pacific/Kiritimati", "Asia/Kolkata"]

KINDS = ["created", "created", "extended", "completed", "extended", "failed", "expired"]
RESERVATIONS = 9
PRICE = 1000


@dataclass(frozen=True)
class Moment:
    """What happened at one moment: something to a hold, and an order was paid."""

    number: int
    at: datetime

    @property
    def event_type(self) -> str:
        return KINDS[self.number % len(KINDS)]

    @property
    def reservation(self) -> UUID:
        return UUID(int=self.number // 5 % RESERVATIONS)

    @property
    def price_in_cents(self) -> int:
        return PRICE + self.number


@cache
def history() -> Sequence[Moment]:
    """Nine days around each change: every two hours, and every five minutes close to it."""
    times = set()
    for changes in CHANGES.values():
        for change in changes:
            begin = datetime.fromisoformat(f"{change}+00:00").replace(minute=7, second=31)
            times |= {begin + n * 2 * HOUR for n in range(-8 * 12, 12)}
            times |= {begin + n * 5 * MINUTE for n in range(-36, 36)}
            # The last and the first instant of the hours and quarters about it.
            whole = begin.replace(minute=0, second=0)
            times |= {whole + n * 15 * MINUTE for n in range(-12, 12)}
            times |= {whole + n * 15 * MINUTE - INSTANT for n in range(-12, 12)}
    return [Moment(number, at) for number, at in enumerate(sorted(times))]


def between(begin: datetime, end: datetime) -> Sequence[Moment]:
    """From the one, and before the other."""
    first, last = (bisect_left(history(), time, key=attrgetter("at")) for time in (begin, end))
    return history()[first:last]


def record(connection: Connection, moments: Sequence[Moment]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO seat_reservation_audit_log"
            " (event_type, show_id, reservation_id, created_at) VALUES (%s, %s, %s, %s)",
            [(moment.event_type, SHOW, moment.reservation, moment.at) for moment in moments],
        )
        cursor.executemany(
            "INSERT INTO ticket_order_audit_log (show_id, old_status, new_status, amount_in_cents,"
            " currency, seat_count, order_created_at, created_at)"
            " VALUES (%s, 'pending', 'paid', %s, 'EUR', 2, %s, %s)",
            [(SHOW, moment.price_in_cents, moment.at, moment.at) for moment in moments],
        )


@pytest.fixture(scope="module")
def clocked(cluster: Cluster, template_database: str) -> Iterator[Database]:
    with clocked_database(cluster, template_database) as database:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            enter(connection)
            with connection.transaction():
                record(connection, history()[::2])
            roll_up_all(connection)
            with connection.transaction():
                record(connection, history()[1::2])
            # A currency has its row as long as there is a show.
            connection.execute(
                "INSERT INTO shows (name, starts_at, currency) VALUES ('Faust', now(), 'EUR')"
            )
        yield database


@pytest.fixture
def house(clocked: Database) -> Iterator[Connection]:
    """A transaction that is taken back, in the database that has the history."""
    with rolled_back(clocked.dsn) as connection:
        yield connection


def settle_in(connection: Connection, zone: str) -> None:
    connection.execute("UPDATE ticketing_settings SET business_time_zone = %s", [zone])


def move_session(connection: Connection, zone: str) -> None:
    connection.execute(sql.SQL("SET timezone = {}").format(sql.Literal(zone)))


def in_utc(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Times as UTC: Python calls those of two zones different where a clock shows an hour twice."""
    return [(row[0].astimezone(UTC), *row[1:]) for row in rows]


# What the views should say


def day_of(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def begin_of_hour(now: datetime, zone: ZoneInfo) -> datetime:
    """When the minute hand stood at twelve last, by the clock as it is set now."""
    local = now.astimezone(zone)
    return now - timedelta(minutes=local.minute, seconds=local.second, microseconds=now.microsecond)


def begin_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first moment at which it is this day there."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) - 15 * HOUR
    while day_of(at, zone) != day:
        at += 15 * MINUTE
    return at


def expected_hours(now: datetime, zone: ZoneInfo) -> list[tuple[Any, ...]]:
    current = begin_of_hour(now, zone)
    rows = []
    for start in (current - n * HOUR for n in range(23, -1, -1)):
        kinds = Counter(moment.event_type for moment in between(start, start + HOUR))
        created, completed = kinds["created"], kinds["completed"]
        rate = 100 * completed / created if created else None
        rows.append((start, created, completed, kinds["expired"], kinds["failed"], rate))
    return rows


def expected_today(now: datetime, zone: ZoneInfo) -> tuple[int, int, int]:
    """Orders, cents and tickets."""
    today = day_of(now, zone)
    about = between(now - 2 * DAY, now + 2 * DAY)
    prices = [m.price_in_cents for m in about if day_of(m.at, zone) == today]
    return len(prices), sum(prices), 2 * len(prices)


def expected_extensions(now: datetime, zone: ZoneInfo) -> list[tuple[datetime, int, int]]:
    days = [day_of(now, zone) - n * DAY for n in range(6, -1, -1)]
    found: dict[date, list[UUID]] = {day: [] for day in days}
    for moment in between(now - 9 * DAY, now + 2 * DAY):
        if moment.event_type == "extended":
            found.get(day_of(moment.at, zone), []).append(moment.reservation)
    return [
        (begin_of_day(day, zone), len(reservations), len(set(reservations)))
        for day, reservations in found.items()
    ]


def moments_about(change: datetime, zone: ZoneInfo) -> list[datetime]:
    """Before and after the change, and before and after the midnights about it."""
    midnights = [begin_of_day(day_of(change, zone) + n * DAY, zone) for n in (0, 1)]
    edges = [change, *midnights, change + HOUR]
    return [
        *(moment for edge in edges for moment in (edge - INSTANT, edge)),
        change + 10 * MINUTE,
        change + 12 * HOUR,
    ]


def test_the_changes_are_changes() -> None:
    for zone, changes in CHANGES.items():
        for change in changes:
            at = datetime.fromisoformat(f"{change}+00:00").astimezone(ZoneInfo(zone))
            before = (at.astimezone(UTC) - INSTANT).astimezone(ZoneInfo(zone))
            assert (before.utcoffset() != at.utcoffset()) is (len(changes) == 2), (zone, change)


def test_the_midnight_that_is_there_twice_and_the_one_that_is_not_are_among_them() -> None:
    zone = ZoneInfo("America/Havana")
    twice, never = begin_of_day(date(2020, 11, 1), zone), begin_of_day(date(2020, 3, 8), zone)
    assert (twice.astimezone(zone).hour, (twice + HOUR).astimezone(zone).hour) == (0, 0)
    assert never.astimezone(zone).hour == 1
    assert (never - INSTANT).astimezone(zone).date() == date(2020, 3, 7)


@pytest.mark.parametrize(("zone", "change"), CASES)
def test_the_hours_are_those_of_the_house(house: Connection, zone: str, change: datetime) -> None:
    settle_in(house, zone)
    for session, now in zip(cycle(SESSIONS), moments_about(change, ZoneInfo(zone)), strict=False):
        move_session(house, session)
        set_clock(house, now)
        found = in_utc(house.execute("SELECT * FROM hourly_metrics").fetchall())
        expected = expected_hours(now, ZoneInfo(zone))
        assert [row[:5] for row in found] == [row[:5] for row in expected], (now, session)
        assert [row[5] for row in found] == pytest.approx([row[5] for row in expected])


@pytest.mark.parametrize(("zone", "change"), CASES)
def test_today_is_the_day_of_the_house(house: Connection, zone: str, change: datetime) -> None:
    settle_in(house, zone)
    for session, now in zip(cycle(SESSIONS), moments_about(change, ZoneInfo(zone)), strict=False):
        move_session(house, session)
        set_clock(house, now)
        orders, cents, tickets = expected_today(now, ZoneInfo(zone))
        # What was sold by now, or will have been by the end of the day: windows have no end.
        assert house.execute(
            "SELECT currency, revenue_cents, orders_paid, tickets_sold FROM revenue_today"
            " WHERE currency = 'EUR'"
        ).fetchall() == [("EUR", cents, orders, tickets)], (now, session)
        assert one(
            house, "SELECT tickets_sold_today, revenue_today_cents FROM realtime_dashboard"
        ) == (tickets, cents)


@pytest.mark.parametrize(("zone", "change"), CASES)
def test_the_days_of_a_week_are_those_of_the_house(
    house: Connection, zone: str, change: datetime
) -> None:
    settle_in(house, zone)
    for session, now in zip(cycle(SESSIONS), moments_about(change, ZoneInfo(zone)), strict=False):
        move_session(house, session)
        set_clock(house, now)
        found = in_utc(house.execute("SELECT * FROM extension_trends").fetchall())
        assert found == expected_extensions(now, ZoneInfo(zone)), (now, session)


@pytest.mark.parametrize(("zone", "change"), CASES)
def test_the_last_24_hours_are_the_same_in_every_zone(
    house: Connection, zone: str, change: datetime
) -> None:
    """A window is so many hours, and not a day of the calendar that may have 23 or 25."""
    settle_in(house, zone)
    now = change + 12 * HOUR
    set_clock(house, now)
    move_session(house, zone)
    since = (now - DAY).replace(second=0, microsecond=0)
    kinds = Counter(
        moment.event_type for moment in between(since, datetime.max.replace(tzinfo=UTC))
    )
    row = one(house, "SELECT * FROM reservation_expiration_rate WHERE time_window = '24h'")
    assert row[1:4] == (kinds["created"], kinds["completed"], kinds["expired"])


# The clock and the session


def test_a_clock_that_is_set_right_changes_nothing(connection: Connection) -> None:
    now = value(connection, "SELECT now()")
    write(connection, Run(), Requests(count=3), Holds(2), Events("completed", hold_seconds=9))
    connection.execute("SELECT check_invariants()")
    connection.execute("UPDATE last_invariant_check SET checked_at = now()")
    before = answers(connection)
    set_up_clock(connection)
    set_clock(connection, now)
    assert answers(connection) == before
    # The control: the views do read it.
    assert in_window(connection, "reservation_success_rate", "1h").succeeded == 2
    set_clock(connection, now + HOUR + MINUTE)
    assert in_window(connection, "reservation_success_rate", "1h").succeeded == 0
    assert in_window(connection, "reservation_success_rate", "24h").succeeded == 2


def answers(connection: Connection) -> dict[str, list[Row]]:
    """What all views say, without what is about the connections of the moment."""
    found = {}
    for view in views(connection):
        columns = connection.execute(
            "SELECT attname, atttypid::regtype::text AS type FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0",
            [f"{quoted(NAMES.monitoring_schema)}.{view}"],
        ).fetchall()
        # A client reads times in one style only.
        wanted = [
            f"extract(EPOCH FROM {column.attname})"
            if column.type.startswith("timestamp")
            else column.attname
            for column in columns
            if "connections" not in column.attname
        ]
        where = "WHERE check_name <> 'connections'" if view == "health" else ""
        if view != "connection_pool":
            # Only a view with an ORDER BY promises an order.
            order = "ORDER BY alert_name" if view == "alerts" else ""
            found[view] = connection.execute(
                f"SELECT {', '.join(wanted)} FROM {view} {where} {order}".encode()
            ).fetchall()
    return found


@pytest.fixture
def busy_house(house: Connection) -> Connection:
    """With something in every view."""
    now = datetime(2020, 11, 1, 5, 30, tzinfo=UTC)
    set_clock(house, now)
    settle_in(house, "America/Havana")
    write(house, Run(), Requests(count=7), Requests("/order", 3, status_code=503), now=now)
    write(house, Events("failed", 2, message="constraint"), Holds(3), now=now)
    house.execute("UPDATE metric_watermarks SET rolled_up_at = %s", [now - HOUR])
    house.execute("SELECT maintain_partitions()")
    house.execute("SELECT check_invariants()")
    house.execute("UPDATE last_invariant_check SET checked_at = %s", [now])
    return house


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("timezone", [*CHANGES, "America/St_Johns", "Africa/Monrovia", "EST5EDT", "<+0545>-05:45"]),
        # Hours as a decimal fraction are a zone, too, and minutes begin 24 seconds later there.
        ("timezone", ["0.01", "-11.99"]),
        ("datestyle", ["ISO, DMY", "SQL, DMY", "SQL, MDY", "German", "Postgres, YMD"]),
        ("intervalstyle", ["postgres_verbose", "iso_8601", "sql_standard"]),
        ("lc_time", ["C"]),
        ("plan_cache_mode", ["force_generic_plan", "force_custom_plan"]),
        ("enable_hashjoin", ["off"]),
    ],
    ids=str,
)
def test_a_session_with_settings_of_its_own_gets_the_same_answers(
    busy_house: Connection, setting: str, values: list[str]
) -> None:
    expected = answers(busy_house)
    assert min(len(rows) for rows in expected.values()) > 0
    for chosen in values:
        with busy_house.transaction(force_rollback=True):
            busy_house.execute(
                sql.SQL("SET {} = {}").format(sql.Identifier(setting), sql.Literal(chosen))
            )
            found = answers(busy_house)
        assert [view for view in expected if found[view] != expected[view]] == [], chosen


def zones_by_abbreviation() -> list[str]:
    """A zone for each way to abbreviate one."""
    about = datetime(2026, 12, 1, tzinfo=UTC)
    return list(
        {
            about.astimezone(ZoneInfo(name)).tzname(): name
            for name in sorted(available_timezones())
        }.values()
    )


@pytest.mark.parametrize("style", ["ISO", "SQL, DMY", "Postgres", "German"])
def test_the_ends_of_partitions_are_read_in_every_zone(house: Connection, style: str) -> None:
    """Some styles abbreviate the zone, and not every abbreviation can be read back."""
    set_clock(house, datetime.now(UTC))
    ends = "SELECT log, extract(EPOCH FROM ends_at), has_strays FROM log_partitions()"
    expected = house.execute(ends).fetchall()
    house.execute(sql.SQL("SET datestyle = {}").format(sql.Literal(style)))
    wrong = {}
    for zone in zones_by_abbreviation():
        try:
            with house.transaction(force_rollback=True):
                move_session(house, zone)
                found = house.execute(ends).fetchall()
                if found != expected:
                    wrong[zone] = str(found[0])
        except psycopg.errors.InvalidDatetimeFormat as error:
            wrong[zone] = str(error).partition("\n")[0]
    assert wrong == {}
