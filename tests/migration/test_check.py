"""`ticketdb check`: a plugin for Nagios. What it prints is read here as Nagios would read it."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.program import Finished, Program, Start, await_waiting
from ticketdb.watch import check as nagios

# By the Monitoring Plugins Development Guidelines: a number has digits and a point, a range may
# begin with @ and have a colon, and a label is quoted.
LINE = re.compile(
    r"TICKETDB (?P<state>[A-Z]+) - (?P<text>[^|\n]+)(?:\|(?P<performance>[^|\n]+))?\n"
)
NUMBER = r"-?\d+(?:\.\d+)?"
RANGE = rf"(?:@?(?:(?:{NUMBER}|~):)?(?:{NUMBER})?)"
FIGURE = re.compile(
    rf"'(?P<label>(?:[^'=]|'')+)'=(?P<value>{NUMBER})(?P<unit>s|us|ms|%|B|KB|MB|TB|c)?"
    rf";(?P<warning>{RANGE});(?P<critical>{RANGE});(?P<min>(?:{NUMBER})?);(?P<max>(?:{NUMBER})?)"
    r"(?: |$)"
)
STATES = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}


@dataclass(frozen=True)
class Figure:
    value: float
    unit: str
    warning: str
    critical: str


@dataclass(frozen=True)
class Answer:
    state: str
    text: str
    figures: dict[str, Figure]


def understood(done: Finished) -> Answer:
    """What Nagios makes of it. Fails where that would not be what is meant."""
    line = LINE.fullmatch(done.stdout)
    assert line, done
    assert done.returncode == STATES[line["state"]]
    assert done.stderr == ""
    figures: dict[str, Figure] = {}
    rest = line["performance"] or ""
    while rest:
        item = FIGURE.match(rest)
        assert item, rest
        assert item["label"] not in figures
        figures[item["label"]] = Figure(
            float(item["value"]), item["unit"] or "", item["warning"], item["critical"]
        )
        rest = rest[item.end() :]
    return Answer(line["state"], line["text"], figures)


def is_outside(value: float, of_range: str) -> bool:
    """Whether a value alerts, by the guidelines' table of ranges."""
    start, colon, end = of_range.rpartition(":")
    low = float("-inf") if start == "~" else float(start or 0) if colon else 0.0
    high = float(end) if end else float("inf")
    return not low <= value <= high


@pytest.fixture
def healthy(database: Database, ticketdb: Program) -> Database:
    """A database about which there is nothing to say: the jobs have run."""
    assert ticketdb("cleanup", "--dsn", database.dsn).returncode == 0
    return database


@pytest.fixture
def session(healthy: Database, connect: Connect) -> psycopg.Connection:
    return connect(healthy)


def lower(session: psycopg.Connection, alert: str, **more: object) -> None:
    """Let an alert fire: its number is not below zero."""
    columns = ", ".join(f"{column} = %s" for column in ("threshold", *more))
    query = f"UPDATE monitoring.alert_rules SET {columns} WHERE alert_name = %s"
    assert session.execute(query.encode(), [-1, *more.values(), alert]).rowcount == 1


@pytest.mark.parametrize("user", ["postgres", "dashboard_reader"])
def test_all_is_well(user: str, ticketdb: Program, healthy: Database) -> None:
    answer = understood(ticketdb("check", "--dsn", healthy.dsn_as(user)))
    assert answer.state == "OK"
    assert answer.text == "9 checks passed, no critical or warning alert fires"
    assert "many_active_reservations" in answer.figures


def test_the_figures_are_the_alerts_with_their_thresholds_by_severity(
    ticketdb: Program, healthy: Database, session: psycopg.Connection
) -> None:
    # Something to divide by, and a number that is written with an exponent where nobody takes care.
    session.execute(
        """
        INSERT INTO public.seat_reservation_audit_log
            (event_type, show_id, seat_count, hold_seconds)
        SELECT kind, gen_random_uuid(), 1, length
        FROM (
            VALUES ('created', NULL), ('created', NULL), ('created', NULL), ('expired', 0.00001)
        ) AS event (kind, length);
        UPDATE monitoring.alert_rules SET threshold = 1e9 WHERE alert_name = 'long_hold_time';
        """
    )
    answer = understood(ticketdb("check", "--dsn", healthy.dsn))
    rules = session.execute(
        "SELECT r.alert_name, r.severity, r.comparison, r.threshold, a.value"
        " FROM monitoring.alert_rules AS r INNER JOIN monitoring.alerts AS a USING (alert_name)"
    ).fetchall()
    # No orders: nothing is known of their failures, and nothing is made up.
    assert answer.figures.keys() == {name for name, *_, value in rules if value is not None}
    assert {name for name, *_, value in rules if value is None} == {
        "payment_processing_down",
        "payment_failure_rate_24h",
    }
    for name, severity, comparison, threshold, value in rules:
        if value is None:
            continue
        figure = answer.figures[name]
        fields = {"warning": figure.warning, "critical": figure.critical}
        limit = fields.pop(severity, "")
        assert set(fields.values()) == {""}, name
        if not name.startswith("cleanup_job_") and name != "rollup_late":  # which grow older
            assert figure.value == pytest.approx(value, abs=1e-6)
        if severity == "info":
            assert limit == ""
            continue
        for number in (threshold - 1, threshold, threshold + 1, value):
            if number >= 0:
                fires = number < threshold if comparison == "<" else number > threshold
                assert is_outside(number, limit) is fires, (name, limit, number)
    units = {unit: {n for n, f in answer.figures.items() if f.unit == unit} for unit in ("s", "%")}
    assert units["s"] == {
        "cleanup_job_failed",
        "cleanup_job_silent",
        "cleanup_job_slow",
        "lock_waits",
        "long_hold_time",
        "long_transaction",
        "maintenance_behind",
        "no_payments",
        "overdue_holds",
        "refunds_overdue",
        "rollup_late",
    }
    assert units["%"] == {"high_expiration_rate", "high_expiration_rate_24h", "low_success_rate"}


@pytest.mark.parametrize(
    ("alert", "state"),
    [("many_active_reservations", "WARNING"), ("constraint_violation", "CRITICAL")],
)
def test_an_alert_that_fires_is_the_state_by_its_severity(
    alert: str,
    state: str,
    ticketdb: Program,
    healthy: Database,
    session: psycopg.Connection,
) -> None:
    lower(session, alert, summary="The house | is\non fire.")
    for arguments in ([], ["--alert", alert]):
        answer = understood(ticketdb("check", *arguments, "--dsn", healthy.dsn))
        assert answer.state == state
        assert answer.text == f"{alert} is 0 (fires > -1): The house / is on fire"
    other = understood(ticketdb("check", "--alert", "low_success_rate", "--dsn", healthy.dsn))
    assert other.state == "OK"

    session.execute("UPDATE monitoring.alert_rules SET enabled = false WHERE threshold = -1")
    assert understood(ticketdb("check", "--dsn", healthy.dsn)).state == "OK"
    one = understood(ticketdb("check", "--alert", alert, "--dsn", healthy.dsn))
    assert (one.state, list(one.figures)) == ("OK", [alert])


def test_the_worst_decides_and_comes_first(
    ticketdb: Program, healthy: Database, session: psycopg.Connection
) -> None:
    lower(session, "many_active_reservations")
    lower(session, "constraint_violation")
    answer = understood(ticketdb("check", "--dsn", healthy.dsn))
    assert answer.state == "CRITICAL"
    assert re.fullmatch("constraint_violation .*; many_active_reservations .*", answer.text)


def test_an_alert_for_the_daily_review_never_raises(
    ticketdb: Program, healthy: Database, session: psycopg.Connection
) -> None:
    lower(session, "many_active_reservations", severity="info")
    for arguments in ([], ["--alert", "many_active_reservations"]):
        answer = understood(ticketdb("check", *arguments, "--dsn", healthy.dsn))
        assert answer.state == "OK"
        figure = answer.figures["many_active_reservations"]
        assert (figure.warning, figure.critical) == ("", "")


@pytest.mark.parametrize(
    ("change", "state", "said"),
    [
        ("UPDATE ticketdb.last_invariant_check SET violations = 3", "CRITICAL", r"is broken \(3\)"),
        (
            "UPDATE ticketdb.last_invariant_check SET checked_at = now() - interval '2 hours'",
            "WARNING",
            r"not checked recently: .* \(7,200s\)",
        ),
        ("DELETE FROM ticketdb.last_invariant_check", "UNKNOWN", "never checked"),
    ],
)
def test_a_check_of_health_is_the_state_without_any_alert(
    change: str,
    state: str,
    said: str,
    ticketdb: Program,
    healthy: Database,
    session: psycopg.Connection,
) -> None:
    session.execute(change.encode())
    answer = understood(ticketdb("check", "--dsn", healthy.dsn))
    assert answer.state == state
    assert re.match(rf"invariants: .*{said}", answer.text)
    one = understood(ticketdb("check", "--alert", "low_success_rate", "--dsn", healthy.dsn))
    assert one.state == "OK"


def test_what_is_unknown_does_not_hide_what_is_known(
    ticketdb: Program, healthy: Database, session: psycopg.Connection
) -> None:
    session.execute("DELETE FROM ticketdb.last_invariant_check")
    lower(session, "many_active_reservations")
    answer = understood(ticketdb("check", "--dsn", healthy.dsn))
    assert answer.state == "WARNING"
    assert answer.text.endswith("; invariants: never checked: run ticketdb.check_invariants()")


def test_a_cleanup_that_never_ran_is_critical(ticketdb: Program, database: Database) -> None:
    for arguments in ([], ["--alert", "cleanup_job_failed"]):
        answer = understood(ticketdb("check", *arguments, "--dsn", database.dsn))
        assert answer.state == "CRITICAL"
        assert "cleanup_job_failed" not in answer.figures
    assert answer.text.startswith("cleanup_job_failed is never (fires > 900): ")


def test_an_alert_without_data_is_quiet_and_has_no_figure(
    ticketdb: Program, database: Database
) -> None:
    answer = understood(ticketdb("check", "--alert", "low_success_rate", "--dsn", database.dsn))
    assert answer == Answer("OK", "low_success_rate has no data (fires < 90)", {})


def test_an_alert_that_does_not_exist_is_unknown_and_those_that_do_are_named(
    ticketdb: Program, database: Database
) -> None:
    answer = understood(ticketdb("check", "--alert", "fire", "--dsn", database.dsn))
    assert (answer.state, answer.figures) == ("UNKNOWN", {})
    assert re.fullmatch(r"no alert is named fire; .* low_success_rate, .*", answer.text)


def test_no_server_is_unknown(ticketdb: Program, tmp_path: Path) -> None:
    answer = understood(ticketdb("check", "--dsn", f"host={tmp_path} dbname=shop"))
    assert answer.state == "UNKNOWN"
    assert answer.text.startswith("error [E_CONNECT]: cannot connect: ")


def test_a_database_without_the_views_is_unknown(
    ticketdb: Program, empty_database: Database, connect: Connect
) -> None:
    for statement in ("SELECT", "CREATE SCHEMA monitoring"):
        connect(empty_database).execute(statement.encode())
        answer = understood(ticketdb("check", "--dsn", empty_database.dsn))
        assert answer.state == "UNKNOWN"
        assert re.match(
            r"error \[E_MONITORING\]: .*monitoring.* does not exist.*ticketdb apply", answer.text
        )


def test_a_role_that_may_not_look_is_unknown(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    role = f"stranger_{database.name}"
    connect().execute(f"CREATE ROLE {role} LOGIN".encode())
    try:
        answer = understood(ticketdb("check", "--dsn", database.dsn_as(role)))
    finally:
        connect().execute(f"DROP ROLE {role}".encode())
    assert answer.state == "UNKNOWN"
    assert re.match(r"error \[E_PRIVILEGE\]: check: permission denied .* monitor_role", answer.text)


def test_a_statement_timeout_of_the_role_is_unknown(
    ticketdb: Program, healthy: Database, connect: Connect
) -> None:
    blocker = connect(healthy)
    dsn = f"{healthy.dsn} options='-c statement_timeout=50'"
    with blocker.transaction():
        blocker.execute("LOCK TABLE monitoring.alert_rules")
        answer = understood(ticketdb("check", "--dsn", dsn))
    assert answer.state == "UNKNOWN"
    assert answer.text.startswith("error [E_STATEMENT_TIMEOUT]: check: canceling statement")


def test_a_server_that_does_not_answer_in_time_is_unknown_and_left_nothing_to_do(
    start: Start, healthy: Database, connect: Connect
) -> None:
    blocker, observer = connect(healthy), connect(healthy)
    with blocker.transaction():
        blocker.execute("LOCK TABLE monitoring.alert_rules")
        process = start("check", "--timeout", "2")
        await_waiting(observer)
        output, errors = process.communicate(timeout=30)
        answer = understood(Finished(process.returncode, output, errors))
        assert (answer.state, answer.text) == ("UNKNOWN", "no answer within 2 s")
        # Although what it waits for is still not to be had.
        deadline = time.monotonic() + 30
        while observer.execute(
            "SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'ticketdb'"
        ).rowcount:
            assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nonsense"], "--nonsense"),
        (["--timeout", "soon"], "--timeout"),
        (["--timeout", "0"], "--timeout"),
        (["--alert"], "--alert"),
        (["everything"], "everything"),
        (["--config", "absent.toml"], "absent.toml"),
        (["--dsn", "user=x secret-4711"], "libpq"),
    ],
)
def test_wrong_usage_is_unknown(arguments: list[str], said: str, ticketdb: Program) -> None:
    answer = understood(ticketdb("check", *arguments))
    assert answer.state == "UNKNOWN"
    assert said in answer.text
    assert "4711" not in answer.text


@pytest.mark.parametrize("message", ["a | b\nTraceback\x1b[2J", ""])
def test_what_nobody_expected_is_unknown(
    message: str, ticketdb: Program, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_more: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(nagios, "query", fail)
    answer = understood(ticketdb("check", "--dsn", database.dsn))
    assert answer.state == "UNKNOWN"
    assert answer.text == ("a / b Traceback\ufffd[2J" if message else "RuntimeError")


def test_a_terminal_of_another_language_is_no_obstacle(
    start: Start, session: psycopg.Connection
) -> None:
    lower(session, "many_active_reservations", summary="Zu viele Plätze")
    process = start("check", PYTHONIOENCODING="ascii")
    output, errors = process.communicate(timeout=30)
    answer = understood(Finished(process.returncode, output, errors))
    assert (answer.state, answer.text[-15:]) == ("WARNING", "Zu viele Pl?tze")


def test_help_is_for_people(ticketdb: Program) -> None:
    done = ticketdb("check", "--help")
    assert (done.returncode, "Usage" in done.stdout) == (0, True)
