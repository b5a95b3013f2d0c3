"""Every alert fires when it should, clears when that is over, and leaves the others alone.

Each rule has a case in `tests/support/alerts.py`: what happens just before it fires, exactly at its
threshold, beyond it, and what ends it. Most of it is played in a transaction, where now() stands
still and the logs are read as they are; and once more in a database of its own, where everything is
rolled up.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.alerts import (
    CASES,
    EARLIER_HOLDS,
    EARLIER_ORDERS,
    OF_THE_SERVER,
    RATES,
    SALES,
    WELL,
    WINDOWED,
    alert,
    change,
    firing,
    played,
)
from tests.support.clock import clocked_database, set_clock
from tests.support.databases import Connect, Database
from tests.support.happenings import (
    CONSTRAINT,
    Events,
    Holds,
    Run,
    write,
)
from tests.support.names import NAMES
from tests.support.queries import Connection, acting_as, enter, in_window, one, rolled_back, value
from tests.support.rollups import roll_up_all
from ticketdb.private_server import Cluster


@pytest.fixture(autouse=True)
def rolled_up(request: pytest.FixtureRequest) -> None:
    """As it is every minute. The tests' template may be older."""
    if "connection" in request.fixturenames:
        request.getfixturevalue("connection").execute(
            "UPDATE metric_watermarks SET rolled_up_at = now(), advanced_at = now()"
        )


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


def test_where_nothing_has_happened_only_the_cleanup_that_never_ran_fires(
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
def test_an_alert_shows_the_same_number_as_the_views(connection: Connection, name: str) -> None:
    for story in (CASES[name].exactly, CASES[name].beyond):
        with connection.transaction(force_rollback=True):
            write(connection, *story)
            expected = value(connection, CASES[name].shown_by)
            assert alert(connection, name).value == pytest.approx(expected, abs=1e-9)
            assert expected is not None


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
def test_a_changed_threshold_applies_at_once(connection: Connection, name: str) -> None:
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
def test_a_reversed_comparison_applies_at_once(connection: Connection, name: str) -> None:
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
def test_a_changed_window_applies_at_once(connection: Connection, name: str) -> None:
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
def test_an_alert_that_is_no_rate_ignores_the_minimum_of_events(
    connection: Connection, name: str
) -> None:
    played(connection, name)
    change(connection, name, "minimum_events", 1_000_000)
    assert alert(connection, name).firing == 1


def test_a_minimum_of_zero_events_fires_nothing_where_nothing_has_happened(
    connection: Connection,
) -> None:
    write(connection, WELL)
    connection.execute("UPDATE alert_rules SET minimum_events = 0")
    assert firing(connection) == set()


def test_a_rule_that_the_view_does_not_know_is_shown_and_never_fires(
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
    with rolled_back(clocked.dsn) as connection:
        set_clock(connection, NOON)
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


def test_overdue_holds_do_not_count_as_active(at_noon: Connection) -> None:
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
