"""Every alert fires when it should, clears when that is over, and leaves the others alone.

Each rule has a case below: what happens just before it fires, exactly at its threshold, beyond it,
and what ends it. Most of it is played in a transaction, where now() stands still and the logs are
read as they are; and once more in a database of its own, where everything is rolled up.
"""

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.behaviour.conftest import NAMES, Connection, Row, acting_as, enter, value
from tests.behaviour.monitoring import (
    CONFLICT,
    CONSTRAINT,
    INVALID,
    AllHoldsEnd,
    AllIsGivenBack,
    Events,
    Happening,
    Holds,
    Orders,
    Refunds,
    Run,
    clocked_database,
    in_window,
    one,
    roll_up_all,
    set_clock,
    write,
)
from tests.conftest import Connect, Database
from ticketdb.private_server import Cluster

Story = tuple[Happening, ...]

WELL = Run()  # a minute ago


@dataclass(frozen=True)
class Case:
    """What a rule is tried with. The stories are complete, the runs of the cleanup included."""

    before: Story | None  # one event, one second less than `exactly`; None: there is no less
    exactly: Story  # the value is the threshold
    beyond: Story
    over: Story | None  # what happens after `beyond` and ends it; None: only time does
    # Alerts that fire together with this one, because what it is about is by definition what they
    # are about, too.
    implied: frozenset[str] = frozenset()
    implied_before: frozenset[str] = frozenset()
    minutes_ago: float = 3  # when `beyond` happened: it leaves the window so much earlier
    events: int | None = None  # how many those were, where the rule asks for a minimum
    told_by: str = ""  # where another view tells the same number


def mix(event_type: str, count: int, of: int, minutes_ago: float = 3) -> Story:
    """So many of a kind to so many holds created, and a cleanup that runs."""
    return (Events("created", of, minutes_ago), Events(event_type, count, minutes_ago), WELL)


def refusals(count: int, of: int) -> Story:
    """Attempts of which some are refused, half of these without a word. Conflicts do not matter."""
    return (
        Events("created", of - count),
        Events("failed", count // 2, message=INVALID),
        Events("failed", count - count // 2),
        Events("failed", 500, message=CONFLICT),
        WELL,
    )


def lengths(*seconds: float) -> Story:
    """Holds that ended after so many seconds. Released ones are not asked."""
    return (
        Events("created", 10),
        *(
            Events("expired" if n % 2 else "completed", hold_seconds=length)
            for n, length in enumerate(seconds)
        ),
        Events("released", 5, hold_seconds=1e6),
        WELL,
    )


# Sales of yesterday keep the rates of the whole day low, while one of the last minutes is high.
EARLIER_HOLDS = Events("created", 200, minutes_ago=300)
EARLIER_ORDERS = Orders("paid", 300, minutes_ago=300)
SALES = Events("created", 40)

CASES = {
    "constraint_violation": Case(
        before=None,
        exactly=(SALES, WELL),
        beyond=(SALES, Events("failed", message=CONSTRAINT), WELL),
        over=None,
        # Five minutes are part of a day.
        implied=frozenset({"double_booking_attempts"}),
        told_by="SELECT attempts FROM double_booking_attempts WHERE time_window = '5m'",
    ),
    "double_booking_attempts": Case(
        before=None,
        exactly=(SALES, WELL),
        beyond=(SALES, Events("failed", minutes_ago=30, message=CONSTRAINT), WELL),
        over=None,
        minutes_ago=30,
        told_by="SELECT attempts FROM double_booking_attempts WHERE time_window = '24h'",
    ),
    "high_expiration_rate": Case(
        before=(EARLIER_HOLDS, *mix("expired", 13, of=20)),
        exactly=(EARLIER_HOLDS, *mix("expired", 14, of=20)),
        beyond=(EARLIER_HOLDS, *mix("expired", 15, of=20)),
        over=(Events("created", 20),),
        events=20,
        told_by="SELECT expiration_rate_pct FROM reservation_expiration_rate"
        " WHERE time_window = '1h'",
    ),
    "high_expiration_rate_24h": Case(
        before=mix("expired", 15, of=20, minutes_ago=90),
        exactly=mix("expired", 16, of=20, minutes_ago=90),
        beyond=mix("expired", 17, of=20, minutes_ago=90),
        over=(Events("created", 20),),
        minutes_ago=90,
        events=20,
        told_by="SELECT expiration_rate_pct FROM quality_dashboard",
    ),
    "low_success_rate": Case(
        before=refusals(9, of=100),
        exactly=refusals(10, of=100),
        beyond=refusals(11, of=100),
        over=(Events("created", 20),),
        events=100,
        told_by="SELECT success_rate_pct FROM reservation_success_rate WHERE time_window = '1h'",
    ),
    "long_hold_time": Case(
        before=lengths(800, 998),
        exactly=lengths(800, 1000),
        beyond=lengths(800, 1002),
        over=(Events("completed", hold_seconds=60),),
        events=2,
        told_by="SELECT avg_hold_seconds FROM reservation_hold_time",
    ),
    "payment_processing_down": Case(
        before=(EARLIER_ORDERS, Orders("pending", 16), Orders("failed", 3), SALES, WELL),
        exactly=(EARLIER_ORDERS, Orders("pending", 16), Orders("failed", 4), SALES, WELL),
        beyond=(EARLIER_ORDERS, Orders("pending", 16), Orders("failed", 5), SALES, WELL),
        over=(Orders("paid", 10),),
        events=21,
        told_by="SELECT failure_rate_pct FROM payment_failures WHERE time_window = '15m'",
    ),
    "payment_failure_rate_24h": Case(
        before=(Orders("paid", 95, 20), Orders("failed", 4, 20), WELL),
        exactly=(Orders("paid", 95, 20), Orders("failed", 5, 20), WELL),
        beyond=(Orders("paid", 95, 20), Orders("failed", 6, 20), WELL),
        over=(Orders("paid", 30),),
        minutes_ago=20,
        events=101,
        told_by="SELECT payment_failure_rate_pct FROM quality_dashboard",
    ),
    "extension_rate": Case(
        before=mix("extended", 9, of=20),
        exactly=mix("extended", 10, of=20),
        beyond=mix("extended", 11, of=20),
        over=(Events("created", 20),),
        events=20,
        told_by="SELECT 100.0::float8 * total_extended / total_created"
        " FROM get_reservation_statistics()",
    ),
    "cleanup_job_failed": Case(
        before=(Run(seconds_ago=899),),
        exactly=(Run(seconds_ago=900),),
        beyond=(Run(seconds_ago=960),),
        over=(WELL,),
        # Who has not run for fifteen minutes has not run for ten.
        implied=frozenset({"cleanup_job_silent"}),
        implied_before=frozenset({"cleanup_job_silent"}),
        told_by="SELECT last_cleanup_age_seconds FROM realtime_dashboard",
    ),
    "cleanup_job_silent": Case(
        before=(Run(seconds_ago=599),),
        exactly=(Run(seconds_ago=600),),
        beyond=(Run(seconds_ago=660),),
        over=(WELL,),
        told_by="SELECT last_run_age_seconds FROM cleanup_job_health",
    ),
    "cleanup_runs_failed": Case(
        before=None,
        exactly=(WELL,),
        beyond=(Run(seconds_ago=1800, status="failed"), WELL),
        over=None,
        minutes_ago=30,
        told_by="SELECT failed_runs_24h FROM cleanup_job_health",
    ),
    "cleanup_job_slow": Case(
        before=(Run(seconds_ago=300, took_seconds=29), WELL),
        exactly=(Run(seconds_ago=300, took_seconds=30), WELL),
        # Runs that wait behind it, and are short, do not hide it.
        beyond=(
            Run(seconds_ago=300, took_seconds=31),
            *(Run(seconds_ago=n) for n in range(60, 45, -1)),
        ),
        over=None,
        minutes_ago=269 / 60,
        told_by="SELECT longest_run_seconds FROM cleanup_job_health",
    ),
    "many_active_reservations": Case(
        before=(Holds(999), WELL),
        exactly=(Holds(1000), WELL),
        beyond=(Holds(1001), WELL),
        # They all run out, which is another alert's matter: the sales of the day make up for it.
        over=(AllHoldsEnd(), Events("created", 500)),
        told_by="SELECT active_reservations FROM realtime_dashboard",
    ),
    "overdue_holds": Case(
        # Runs that succeed and leave them there are no comfort.
        before=(Holds(1, minutes_left=-299 / 60), WELL),
        exactly=(Holds(1, minutes_left=-5), WELL),
        beyond=(Holds(1, minutes_left=-301 / 60), WELL),
        over=(AllHoldsEnd(), Events("created", 500)),
        told_by="SELECT oldest_overdue_seconds FROM cleanup_job_health",
    ),
    "no_payments": Case(
        before=(Orders("paid", 1, minutes_ago=50), Orders("pending", 2, minutes_ago=29), WELL),
        exactly=(Orders("paid", 1, minutes_ago=50), Orders("pending", 2, minutes_ago=30), WELL),
        beyond=(Orders("paid", 1, minutes_ago=50), Orders("pending", 2, minutes_ago=31), WELL),
        over=(Orders("paid", minutes_ago=1),),
        minutes_ago=31,
        events=2,
        told_by="SELECT extract(EPOCH FROM date_trunc('minute', now())"
        " - date_trunc('minute', max(order_created_at)))::float8 FROM ticket_order_audit_log",
    ),
    "refunds_overdue": Case(
        before=(Refunds(hours_ago=24 - 1 / 3600), Refunds(), WELL),
        exactly=(Refunds(hours_ago=24), Refunds(), WELL),
        beyond=(Refunds(hours_ago=24 + 1 / 3600), Refunds(), WELL),
        over=(AllIsGivenBack(),),
        told_by="SELECT max(oldest_age_seconds) FROM refunds_due",
    ),
}
# What is not written into tables is tried further down, each in its own way.
OF_THE_SERVER = {"lock_waits", "long_transaction", "rollup_late", "maintenance_behind"}

RATES = [name for name, case in CASES.items() if case.events is not None]
# Those that look back on a window of time. The others tell of the present moment.
WINDOWED = [
    *RATES,
    "constraint_violation",
    "double_booking_attempts",
    "cleanup_runs_failed",
    "cleanup_job_slow",
]


@pytest.fixture(autouse=True)
def rolled_up(request: pytest.FixtureRequest) -> None:
    """As it is every minute. The tests' template may be older."""
    if "connection" in request.fixturenames:
        request.getfixturevalue("connection").execute(
            "UPDATE metric_watermarks SET rolled_up_at = now(), advanced_at = now()"
        )


def alert(connection: Connection, name: str) -> Row:
    return one(connection, "SELECT * FROM alerts WHERE alert_name = %s", name)


def firing(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT alert_name, firing FROM alerts").fetchall()
    assert {row.firing for row in rows} <= {0, 1}
    return {row.alert_name for row in rows if row.firing == 1}


def change(connection: Connection, name: str, setting: str, new: object) -> None:
    done = connection.execute(
        f"UPDATE alert_rules SET {setting} = %s WHERE alert_name = %s", [new, name]
    )
    assert done.rowcount == 1


def played(connection: Connection, name: str) -> Case:
    """The case of this rule, after everything in it that makes it fire."""
    write(connection, *CASES[name].beyond)
    return CASES[name]


def test_every_rule_has_a_case_and_every_alert_its_rule(connection: Connection) -> None:
    rules = connection.execute("SELECT alert_name FROM alert_rules").fetchall()
    assert {rule.alert_name for rule in rules} == set(CASES) | OF_THE_SERVER
    rows = connection.execute("SELECT alert_name FROM alerts").fetchall()
    assert sorted(row.alert_name for row in rows) == sorted({*CASES, *OF_THE_SERVER})
    windowed = connection.execute(
        "SELECT alert_name FROM alert_rules WHERE time_window_seconds > 0"
    )
    assert {rule.alert_name for rule in windowed.fetchall()} == set(WINDOWED)


def test_what_the_guide_demands_is_what_the_rules_say(connection: Connection) -> None:
    rules = connection.execute(
        "SELECT alert_name, severity, comparison, threshold, time_window_seconds FROM alert_rules"
        " WHERE enabled AND minimum_events = 1 ORDER BY alert_name"
    ).fetchall()
    assert rules == [
        ("cleanup_job_failed", "critical", ">", 900, 0),
        ("cleanup_job_silent", "warning", ">", 600, 0),
        ("cleanup_job_slow", "warning", ">", 30, 3600),
        ("cleanup_runs_failed", "warning", ">", 0, 86400),
        ("constraint_violation", "critical", ">", 0, 300),
        ("double_booking_attempts", "warning", ">", 0, 86400),
        ("extension_rate", "info", ">", 50, 86400),
        ("high_expiration_rate", "warning", ">", 70, 3600),
        ("high_expiration_rate_24h", "warning", ">", 80, 86400),
        ("lock_waits", "warning", ">", 30, 0),
        ("long_hold_time", "warning", ">", 900, 86400),
        ("long_transaction", "warning", ">", 900, 0),
        ("low_success_rate", "warning", "<", 90, 3600),
        ("maintenance_behind", "warning", ">", 172800, 0),
        ("many_active_reservations", "warning", ">", 1000, 0),
        ("no_payments", "critical", ">", 1800, 3600),
        ("overdue_holds", "critical", ">", 300, 0),
        ("payment_failure_rate_24h", "warning", ">", 5, 86400),
        ("payment_processing_down", "critical", ">", 20, 900),
        ("refunds_overdue", "warning", ">", 86400, 0),
        ("rollup_late", "warning", ">", 300, 0),
    ]


def test_an_alert_says_what_its_rule_says(connection: Connection) -> None:
    columns = "alert_name, severity, threshold, time_window_seconds, summary, action, runbook"
    rules = connection.execute(f"SELECT {columns} FROM alert_rules ORDER BY 1").fetchall()
    assert connection.execute(f"SELECT {columns} FROM alerts ORDER BY 1").fetchall() == rules


def test_where_nothing_has_happened_only_the_cleanup_that_never_ran_is_told_of(
    connection: Connection,
) -> None:
    assert firing(connection) == {"cleanup_job_failed", "cleanup_job_silent"}
    rows = connection.execute("SELECT alert_name, value FROM alerts").fetchall()
    values = {row.alert_name: row.value for row in rows}
    # Nothing to divide by, nothing to count, or no age of what has never been.
    never = {"cleanup_job_failed", "cleanup_job_silent"}
    assert {name for name, value in values.items() if value is None} == (
        never | set(RATES) - {"no_payments"}
    )
    assert {name for name, value in values.items() if value == 0} >= {
        "constraint_violation",
        "double_booking_attempts",
        "cleanup_runs_failed",
        "cleanup_job_slow",
        "many_active_reservations",
        "overdue_holds",
        "no_payments",
        "refunds_overdue",
        "lock_waits",
        "maintenance_behind",
    }

    write(connection, WELL)
    assert firing(connection) == set()


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_beyond_its_threshold_not_at_it_and_no_other_moves(
    connection: Connection, name: str
) -> None:
    case = CASES[name]
    rule = one(connection, "SELECT * FROM alert_rules WHERE alert_name = %s", name)
    if case.before is not None:
        with connection.transaction(force_rollback=True):
            write(connection, *case.before)
            found = alert(connection, name)
            assert (found.value > rule.threshold) is (rule.comparison == "<")
            assert found.value != rule.threshold
            assert firing(connection) == case.implied_before
    with connection.transaction(force_rollback=True):
        write(connection, *case.exactly)
        assert alert(connection, name).value == rule.threshold
        assert firing(connection) == case.implied_before

    write(connection, *case.beyond)
    assert firing(connection) == {name} | case.implied
    if case.over is not None:
        write(connection, *case.over)
        assert firing(connection) == set()


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_and_clears_when_all_is_rolled_up_as_well(
    database: Database, connect: Connect, name: str
) -> None:
    case = CASES[name]
    connection = enter(connect(database))
    write(connection, *case.beyond)
    roll_up_all(connection)
    assert firing(connection) == {name} | case.implied
    if case.over is not None:
        write(connection, *case.over)
        assert firing(connection) == set()
        roll_up_all(connection)
        assert firing(connection) == set()


@pytest.mark.parametrize("name", CASES)
def test_an_alert_tells_the_same_number_as_the_views(connection: Connection, name: str) -> None:
    for story in (CASES[name].exactly, CASES[name].beyond):
        with connection.transaction(force_rollback=True):
            write(connection, *story)
            told = value(connection, CASES[name].told_by)
            assert alert(connection, name).value == pytest.approx(told, abs=1e-9)
            assert told is not None


def test_a_run_that_failed_fires_at_once_until_another_has_succeeded(
    connection: Connection,
) -> None:
    write(connection, Run(seconds_ago=120), Run(seconds_ago=60, status="failed"))
    assert firing(connection) == {"cleanup_job_failed", "cleanup_runs_failed"}
    # One that is still at work has neither failed nor succeeded.
    write(connection, Run(seconds_ago=30, status="running"))
    assert firing(connection) == {"cleanup_job_failed", "cleanup_runs_failed"}
    write(connection, Run(seconds_ago=10))
    assert firing(connection) == {"cleanup_runs_failed"}


def test_a_run_that_does_not_end_is_no_sign_of_life(connection: Connection) -> None:
    write(connection, Run(seconds_ago=1000), Run(seconds_ago=60, status="running"))
    assert firing(connection) == {"cleanup_job_failed", "cleanup_job_silent", "cleanup_job_slow"}


# What a DBA changes


@pytest.mark.parametrize("name", CASES)
def test_a_threshold_that_is_changed_is_gone_by_at_once(connection: Connection, name: str) -> None:
    played(connection, name)
    found = alert(connection, name)
    assert found.firing == 1
    quieter = math.inf if found.value > found.threshold else -math.inf
    for threshold, fires in (
        (found.value, False),
        (math.nextafter(found.value, -quieter), True),
        (math.nextafter(found.value, quieter), False),
    ):
        change(connection, name, "threshold", threshold)
        changed = alert(connection, name)
        assert (changed.firing, changed.threshold) == (int(fires), threshold)


@pytest.mark.parametrize("name", CASES)
def test_a_comparison_that_is_turned_round_is_gone_by_at_once(
    connection: Connection, name: str
) -> None:
    played(connection, name)
    comparison = value(connection, "SELECT comparison FROM alert_rules WHERE alert_name = %s", name)
    change(connection, name, "comparison", {"<": ">", ">": "<"}[comparison])
    assert alert(connection, name).firing == 0


@pytest.mark.parametrize("name", CASES)
def test_a_rule_that_is_switched_off_never_fires(connection: Connection, name: str) -> None:
    case = played(connection, name)
    before = alert(connection, name)
    change(connection, name, "enabled", False)
    assert firing(connection) == case.implied
    assert alert(connection, name).value == before.value
    change(connection, name, "enabled", True)
    assert alert(connection, name) == before


def test_a_failed_run_does_not_fire_a_rule_that_is_switched_off(connection: Connection) -> None:
    write(connection, Run(status="failed"))
    change(connection, "cleanup_job_failed", "enabled", False)
    assert firing(connection) == {"cleanup_runs_failed"}


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_that_is_changed_is_gone_by_at_once(connection: Connection, name: str) -> None:
    played(connection, name)
    change(connection, name, "time_window_seconds", 60)
    assert alert(connection, name).firing == 0
    assert alert(connection, name).time_window_seconds == 60
    change(connection, name, "time_window_seconds", 7 * 86400)
    if name not in ("high_expiration_rate", "payment_processing_down"):  # there is more to the week
        assert alert(connection, name).firing == 1


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_may_reach_back_days(connection: Connection, name: str) -> None:
    two_days_ago = value(connection, "SELECT now() - interval '2 days'")
    story = [happening for happening in CASES[name].beyond if happening is not EARLIER_HOLDS]
    write(connection, *(thing for thing in story if thing is not EARLIER_ORDERS), now=two_days_ago)
    write(connection, WELL)
    assert alert(connection, name).firing == 0
    change(connection, name, "time_window_seconds", 3 * 86400)
    assert alert(connection, name).firing == 1


@pytest.mark.parametrize("name", RATES)
def test_a_rate_of_too_few_events_means_nothing(connection: Connection, name: str) -> None:
    events = played(connection, name).events
    assert events is not None
    before = alert(connection, name).value
    for minimum, fires in ((events, 1), (events + 1, 0), (0, 1)):
        change(connection, name, "minimum_events", minimum)
        assert (alert(connection, name).firing, alert(connection, name).value) == (fires, before)


@pytest.mark.parametrize("name", sorted(set(CASES) - set(RATES)))
def test_what_is_no_rate_asks_for_no_minimum(connection: Connection, name: str) -> None:
    played(connection, name)
    change(connection, name, "minimum_events", 1_000_000)
    assert alert(connection, name).firing == 1


def test_a_minimum_of_none_does_not_make_nothing_fire(connection: Connection) -> None:
    write(connection, WELL)
    connection.execute("UPDATE alert_rules SET minimum_events = 0")
    assert firing(connection) == set()


def test_a_rule_that_the_view_knows_nothing_of_is_shown_and_never_fires(
    connection: Connection,
) -> None:
    connection.execute(
        "INSERT INTO alert_rules (alert_name, severity, threshold, summary, action, runbook)"
        " VALUES ('of_mine', 'info', 0, 's', 'a', 'r')"
    )
    write(connection, WELL)
    assert alert(connection, "of_mine")[:5] == ("of_mine", "info", 0, None, 0)


@pytest.mark.parametrize(
    "setting",
    [
        "threshold = 'NaN'",
        "threshold = 'Infinity'",
        "threshold = '-Infinity'",
        "comparison = '='",
        "severity = 'fatal'",
        "time_window_seconds = 604801",
        "time_window_seconds = -1",
        "minimum_events = -1",
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(connection: Connection, setting: str) -> None:
    column = setting.partition(" ")[0]
    with pytest.raises(psycopg.errors.CheckViolation) as caught, connection.transaction():
        connection.execute(f"UPDATE alert_rules SET {setting}")
    assert caught.value.diag.constraint_name == f"alert_rules_{column}_check"


@pytest.mark.parametrize("role", [NAMES.monitor_role, NAMES.dashboard_role, NAMES.datadog_role])
def test_those_who_monitor_see_the_alerts_and_cannot_silence_them(
    connection: Connection, role: str
) -> None:
    write(connection, SALES, Events("failed", message=CONSTRAINT), WELL)
    with acting_as(connection, role):
        assert firing(connection) == {"constraint_violation", "double_booking_attempts"}
    with pytest.raises(psycopg.errors.InsufficientPrivilege), acting_as(connection, role):
        change(connection, "constraint_violation", "enabled", False)


# What time does

NOON = datetime(2031, 5, 14, 12, 34, 56, 789_000, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def clocked(cluster: Cluster, template_database: str) -> Iterator[Database]:
    with clocked_database(cluster, template_database) as database:
        yield database


@pytest.fixture
def at_noon(clocked: Database) -> Iterator[Connection]:
    """A transaction that is taken back, in a database whose clock is set to noon."""
    with closing(psycopg.connect(clocked.dsn, row_factory=namedtuple_row)) as connection:
        set_clock(enter(connection), NOON)
        yield connection


def fires_at(connection: Connection, name: str, now: datetime) -> bool:
    set_clock(connection, now)
    found = alert(connection, name)
    return bool(found.firing)


@pytest.mark.parametrize("name", WINDOWED)
def test_an_alert_clears_when_its_window_has_passed_to_the_minute(
    at_noon: Connection, name: str
) -> None:
    case = CASES[name]
    write(at_noon, *case.beyond, now=NOON)
    assert fires_at(at_noon, name, NOON)
    length = timedelta(seconds=alert(at_noon, name).time_window_seconds)
    happened = NOON - timedelta(minutes=case.minutes_ago)
    # A window begins with a whole minute, so the one in which it happened is in it to its end.
    last = happened.replace(second=0, microsecond=0) + MINUTE + length - INSTANT
    assert fires_at(at_noon, name, last)
    assert not fires_at(at_noon, name, last + INSTANT)


@pytest.mark.parametrize(
    ("name", "seconds"), [("cleanup_job_silent", 600), ("cleanup_job_failed", 900)]
)
def test_silence_fires_when_it_has_lasted_too_long(
    at_noon: Connection, name: str, seconds: int
) -> None:
    write(at_noon, Run(seconds_ago=0), now=NOON)
    too_long = NOON + timedelta(seconds=seconds)
    assert not fires_at(at_noon, name, too_long)
    assert fires_at(at_noon, name, too_long + INSTANT)
    write(at_noon, Run(seconds_ago=0), now=too_long + INSTANT)
    assert not fires_at(at_noon, name, too_long + INSTANT)


def test_many_holds_are_many_no_more_when_they_are_over(at_noon: Connection) -> None:
    write(at_noon, Holds(1001, minutes_left=8), now=NOON)
    end = NOON + timedelta(minutes=8)
    assert fires_at(at_noon, "many_active_reservations", end - INSTANT)
    assert not fires_at(at_noon, "many_active_reservations", end)


def test_holds_become_overdue_whatever_the_runs_say(at_noon: Connection) -> None:
    """A cleanup that is kept from its work by a lock goes on succeeding."""
    write(at_noon, Holds(1, minutes_left=8), now=NOON)
    end = NOON + timedelta(minutes=8)
    write(at_noon, Run(seconds_ago=0), now=end + timedelta(minutes=5))
    assert not fires_at(at_noon, "overdue_holds", end + timedelta(minutes=5))
    assert fires_at(at_noon, "overdue_holds", end + timedelta(minutes=5) + INSTANT)
    assert not fires_at(at_noon, "cleanup_job_failed", end + timedelta(minutes=5) + INSTANT)


def test_what_is_dated_in_the_future_counts_now(at_noon: Connection) -> None:
    """The guide's windows have no end either: a clock that ran ahead hides nothing."""
    write(at_noon, SALES, Events("failed", minutes_ago=-90, message=CONSTRAINT), now=NOON)
    assert fires_at(at_noon, "constraint_violation", NOON)
    assert in_window(at_noon, "double_booking_attempts", "5m").attempts == 1
