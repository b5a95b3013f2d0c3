"""`ticketdb status`: where a database stands, its dashboards and its alerts."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row

from tests.support.databases import Connect, Database
from tests.support.program import (
    HOLD,
    WAITING,
    Program,
    Start,
    await_waiting,
    clean_environment,
    next_line,
)
from ticketdb.migrate.chain import read_chain
from ticketdb.paths import shipped_tree
from ticketdb.watch import dashboards

TITLES = ("Real-Time Operations", "Quality Metrics", "System Health")
HEAD = read_chain(shipped_tree())[-1].revision
# The last of the views that status reads cannot be read while somebody has this.
LOCK = "LOCK TABLE monitoring.alert_rules"
STAMP = re.compile(r"-- \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d\n")
ONE_HOLD = re.compile(r"^active reservations +1\b", re.MULTILINE)

Report = dict[str, Any]


def in_json(ticketdb: Program, dsn: str) -> Report:
    done = ticketdb("status", "--json", "--dsn", dsn)
    assert (done.returncode, done.stderr) == (0, "")
    report: Report = json.loads(done.stdout)
    return report


def views_of(report: Report) -> dict[str, list[dict[str, Any]]]:
    of_dashboards = (report["dashboards"][title].items() for title in TITLES)
    return {name: rows for views in of_dashboards for name, rows in views} | {
        "health": report["health"],
        "alerts": report["alerts"],
    }


def values_of_alerts(report: Report) -> dict[str, float | None]:
    return {alert["alert_name"]: alert["value"] for alert in report["alerts"]}


def blocks(process: subprocess.Popen[str]) -> Iterator[str]:
    """What is printed between one time stamp and the next."""
    assert process.stdout is not None
    assert STAMP.fullmatch(next_line(process))
    lines: list[str] = []
    for line in process.stdout:
        if STAMP.fullmatch(line):
            yield "".join(lines)
            lines.clear()
        else:
            lines.append(line)


def test_json_has_every_row_of_the_views_of_the_dashboards(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    session = connect()
    session.execute(HOLD)
    session.execute("SELECT public.log_api_request('/a', 'GET', 200, 12.5)")
    report = in_json(ticketdb, database.dsn)
    assert tuple(report["dashboards"]) == TITLES
    assert report["missing_views"] == []
    views = views_of(report)
    assert tuple(views) == dashboards.VIEWS
    assert views["realtime_dashboard"][0]["active_reservations"] == 1

    # What moves with the clock, or with those who look.
    moving = re.compile(r"_age_seconds|^connections|^used_pct")

    def steady(rows: list[dict[str, Any]]) -> list[str]:
        kept = (
            {
                name: value
                for name, value in row.items()
                if not moving.search(name) and not (name == "value" and "check_name" in row)
            }
            for row in rows
            if row.get("alert_name")
            not in ("cleanup_job_failed", "cleanup_job_silent", "rollup_late")
        )
        return sorted(map(json.dumps, kept))

    for name, shown in views.items():
        cursor = session.cursor(row_factory=dict_row)
        rows = cursor.execute(f"SELECT * FROM monitoring.{name}".encode()).fetchall()
        assert steady(shown) == steady(rows), name


def test_people_see_the_three_dashboards_and_then_the_alerts(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    connect().execute(HOLD)
    done = ticketdb("status", "--dsn", database.dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^revision +{HEAD}\nhead +{HEAD}$", done.stdout, re.MULTILINE)
    places = [done.stdout.index(f"\n{title}\n") for title in (*TITLES, "Health", "Alerts")]
    assert places == sorted(places)
    assert ONE_HOLD.search(done.stdout)
    assert all(
        f"{view} " in done.stdout for view in dashboards.VIEWS if view not in ("health", "alerts")
    )
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_runs_of_the_cleanup_are_listed_newest_first(ticketdb: Program, database: Database) -> None:
    before = in_json(ticketdb, database.dsn)
    assert (before["scheduler"], before["last_runs"]) == ("none has run yet", [])
    for _ in range(2):
        ticketdb("cleanup", "--dsn", database.dsn)
    after = in_json(ticketdb, database.dsn)
    assert after["scheduler"] == "ticketdb"
    started = [run["start_time"] for run in after["last_runs"]]
    assert len(started) == 2
    assert started == sorted(started, reverse=True)


def test_firing_alerts_come_first_with_their_severity_and_what_to_do(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    # A cleanup that never ran: two alerts, and each is what it is by the rules alone. The rollup
    # runs, as it does every minute: the template of the tests may be older.
    connect().execute(
        "SELECT public.roll_up_metrics();"
        "UPDATE monitoring.alert_rules SET action = 'Wake the stage manager.'"
        " WHERE alert_name = 'cleanup_job_silent'"
    )
    noisy = ticketdb("status", "--dsn", database.dsn, COLUMNS="200").stdout
    assert re.search(r"^firing +cleanup_job_failed, cleanup_job_silent$", noisy, re.MULTILINE)
    states = re.findall(r"^(FIRING|quiet) +(\w+) +(\w+) ", noisy, re.MULTILINE)
    assert states[:3] == [
        ("FIRING", "cleanup_job_failed", "critical"),
        ("FIRING", "cleanup_job_silent", "warning"),
        ("quiet", "constraint_violation", "critical"),
    ]
    assert {state for state, *_ in states[2:]} == {"quiet"}
    assert len(states) == len(in_json(ticketdb, database.dsn)["alerts"])
    assert re.search(
        r"^warning cleanup_job_silent: .+ Wake the stage manager\. See .+\.md$", noisy, re.M
    )
    ticketdb("cleanup", "--dsn", database.dsn)
    quiet = ticketdb("status", "--dsn", database.dsn).stdout
    assert "FIRING" not in quiet
    assert "stage manager" not in quiet
    assert re.search(r"^firing +none$", quiet, re.MULTILINE)
    assert re.search(r"^health +OK$", quiet, re.MULTILINE)


def test_no_alert_is_never_all_that_is_said_while_health_is_critical(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    ticketdb("cleanup", "--dsn", database.dsn)
    session = connect()
    session.execute("UPDATE ticketdb.last_invariant_check SET violations = 3")
    said = ticketdb("status", "--dsn", database.dsn, COLUMNS="200").stdout
    assert re.search(r"^firing +none, but see health$", said, re.MULTILINE)
    assert re.search(r"^health +CRITICAL: invariants$", said, re.MULTILINE)
    assert re.search(r"^CRITICAL +invariants +\w+ is broken", said, re.MULTILINE)
    (worst, *_) = sorted(
        in_json(ticketdb, database.dsn)["health"], key=lambda check: -check["severity"]
    )
    assert (worst["check_name"], worst["status"], worst["value"]) == ("invariants", "CRITICAL", 3)


def test_what_has_never_happened_is_said_to_be_never(ticketdb: Program, database: Database) -> None:
    said = ticketdb("status", "--dsn", database.dsn, COLUMNS="200").stdout
    assert re.search(r"^last cleanup age s +never\b", said, re.MULTILINE)
    assert re.search(r"^FIRING +cleanup_job_failed +critical +never +900", said, re.MULTILINE)
    assert "1,7" not in said


def test_everything_is_read_in_one_snapshot(
    ticketdb: Program, start: Start, database: Database, connect: Connect
) -> None:
    blocker, observer = connect(), connect()
    with blocker.transaction():
        blocker.execute(LOCK)
        process = start("status", "--json")
        await_waiting(observer)
        observer.execute(HOLD)  # between two of the views
    output, _ = process.communicate(timeout=30)
    report = json.loads(output)
    assert views_of(report)["realtime_dashboard"][0]["active_reservations"] == 0
    assert values_of_alerts(report)["many_active_reservations"] == 0

    later = in_json(ticketdb, database.dsn)
    assert views_of(later)["realtime_dashboard"][0]["active_reservations"] == 1
    assert values_of_alerts(later)["many_active_reservations"] == 1


def test_who_may_only_look_at_dashboards_may_look_at_the_status(
    ticketdb: Program, database: Database
) -> None:
    report = in_json(ticketdb, database.dsn_as("dashboard_reader"))
    assert report["revision"] == "not readable by this role"
    assert tuple(views_of(report)) == dashboards.VIEWS
    assert report["missing_views"] == []


def test_who_may_not_look_gets_the_names_of_those_who_may(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    role = f"stranger_{database.name}"
    connect().execute(f"CREATE ROLE {role} LOGIN".encode())
    try:
        done = ticketdb("status", "--dsn", database.dsn_as(role))
    finally:
        connect().execute(f"DROP ROLE {role}".encode())
    assert (done.returncode, done.stdout) == (5, "")
    assert re.fullmatch(r"error \[E_PRIVILEGE\]: status: .* monitor_role.*\n", done.stderr)


def test_before_apply_it_says_what_to_do(ticketdb: Program, empty_database: Database) -> None:
    done = ticketdb("status", "--dsn", empty_database.dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"^revision +base\nhead +{HEAD}$", done.stdout, re.MULTILINE)
    assert re.search(r"missing: realtime_dashboard, .* run\s+`ticketdb\s+apply`", done.stdout, re.S)
    assert not any(title in done.stdout for title in TITLES)
    assert in_json(ticketdb, empty_database.dsn)["missing_views"] == list(dashboards.VIEWS)


@pytest.mark.usefixtures("template_database")
def test_a_database_that_is_behind_shows_what_it_has(
    ticketdb: Program, empty_database: Database
) -> None:
    dsn = empty_database.dsn
    ticketdb("apply", "--to", "0007", "--dsn", dsn)
    ticketdb("cleanup", "--dsn", dsn)
    report = in_json(ticketdb, dsn)
    assert (report["revision"], report["head"]) == ("0007", HEAD)
    assert len(report["last_runs"]) == 1
    assert report["missing_views"] == list(dashboards.VIEWS)
    ticketdb("apply", "--dsn", dsn)
    assert in_json(ticketdb, dsn)["missing_views"] == []


def test_a_view_that_is_missing_leaves_the_others(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    connect().execute("DROP VIEW monitoring.quality_dashboard")
    printed = ticketdb("status", "--dsn", database.dsn).stdout
    assert "missing: quality_dashboard - run `ticketdb apply`" in printed
    assert TITLES[0] in printed
    assert TITLES[1] not in printed
    assert TITLES[2] in printed


def test_a_label_cannot_steer_the_terminal(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    endpoint = "/a\x1b[2J\r\n[red]b[/]"
    connect().execute("SELECT public.log_api_request(%s, 'GET', 200, 1)", [endpoint])
    printed = ticketdb("status", "--dsn", database.dsn).stdout
    assert "\x1b" not in printed
    assert "/a\ufffd[2J\ufffd\ufffd[red]b[/]" in printed
    rows = views_of(in_json(ticketdb, database.dsn))["api_endpoint_health"]
    assert [row["endpoint"] for row in rows] == [endpoint]


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_watching_prints_it_again_and_again_until_it_is_stopped(
    with_signal: signal.Signals, start: Start, connect: Connect
) -> None:
    process = start("status", "--watch", "0.1")
    printed = blocks(process)
    first = next(printed)
    assert all(title in first for title in TITLES)
    assert not ONE_HOLD.search(first)
    connect().execute(HOLD)
    while not ONE_HOLD.search(next(printed)):
        pass
    process.send_signal(with_signal)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_watching_in_json_is_a_document_a_line(start: Start, connect: Connect) -> None:
    process = start("status", "--watch", "0.1", "--json")
    assert views_of(json.loads(next_line(process)))["realtime_dashboard"]
    connect().execute(HOLD)

    def active() -> int:
        report = json.loads(next_line(process))
        return int(views_of(report)["realtime_dashboard"][0]["active_reservations"])

    while active() != 1:
        pass
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert all(json.loads(line) for line in output.splitlines())


def test_a_watch_is_ended_also_while_it_waits_for_the_database(
    start: Start, connect: Connect
) -> None:
    process = start("status", "--watch", "0.1")
    next(blocks(process))
    blocker = connect()
    with blocker.transaction():
        blocker.execute(LOCK)
        await_waiting(connect())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_a_lost_connection_is_reported_in_a_line_and_made_again(
    start: Start, connect: Connect
) -> None:
    process = start("status", "--watch", "0.1")
    printed = blocks(process)
    next(printed)
    blocker, observer = connect(), connect()
    with blocker.transaction():
        blocker.execute(LOCK)
        await_waiting(observer)
        observer.execute(f"SELECT pg_terminate_backend(pid, 5000) {WAITING}".encode())
        assert process.stderr is not None
        line = process.stderr.readline()
        assert re.fullmatch(r"error \[E_CONNECTION_LOST\]: .*trying again in 0\.1 s\n", line)
    observer.execute(HOLD)
    while not ONE_HOLD.search(next(printed)):
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0


class Terminal:
    """A terminal of 100 columns and 120 lines, on which the program runs."""

    def __init__(self, dsn: str, *arguments: str, term: str = "xterm") -> None:
        self.master, slave = pty.openpty()
        self.printed = ""
        size = {"COLUMNS": "100", "LINES": "120", "TERM": term}
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("ticketdb"), *arguments],
            env=clean_environment(TICKETDB_DSN=dsn, **size),
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)

    def read_until(self, seen: Callable[[str], object]) -> bool:
        """Read on, up to what is looked for in the text without its colours, or to the end."""
        while not seen(re.sub(r"\x1b\[[\d;]*m", "", self.printed)):
            try:
                self.printed += os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # nobody holds the other side any more
                return False
        return True

    def ended(self) -> int:
        """Read to the end. Returns the exit status."""
        self.read_until(lambda _: False)
        return self.process.wait(timeout=30)

    def close(self) -> None:
        os.close(self.master)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def terminal(database: Database) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def run(*arguments: str, **more: str) -> Terminal:
        opened.append(Terminal(database.dsn, *arguments, **more))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_on_a_terminal_it_is_refreshed_in_place(
    with_signal: signal.Signals, terminal: Callable[..., Terminal], connect: Connect
) -> None:
    screen = terminal("status", "--watch", "0.1")
    assert screen.read_until(lambda text: "Alerts" in text)
    assert screen.printed.count("\x1b[?1049h") == 1  # to the other screen, as top does
    connect().execute(HOLD)
    assert screen.read_until(ONE_HOLD.search)
    assert screen.printed.count("\x1b[?1049h") == 1
    assert "\x1b[?1049l" not in screen.printed
    screen.process.send_signal(with_signal)
    assert screen.ended() == 0
    # The screen from before is back, with nothing more on it.
    _, _, after = screen.printed.partition("\x1b[?1049l")
    assert re.sub(r"\x1b\[\??[\d;]*[a-zA-Z]|\s", "", after) == ""


def test_on_a_terminal_a_lost_connection_is_reported_above_what_was_known(
    terminal: Callable[..., Terminal], connect: Connect
) -> None:
    screen = terminal("status", "--watch", "0.1")
    screen.read_until(lambda text: "Alerts" in text)
    blocker, observer = connect(), connect()
    with blocker.transaction():
        blocker.execute(LOCK)
        await_waiting(observer)
        observer.execute(f"SELECT pg_terminate_backend(pid, 5000) {WAITING}".encode())
        shown = re.compile(r"error \[E_CONNECTION_LOST\].*Real-Time Operations.*Alerts", re.DOTALL)
        assert screen.read_until(shown.search)
    shown_and_gone = re.compile(shown.pattern + r".*\x1b\[Hevery 0\.1 s", re.DOTALL)
    assert screen.read_until(shown_and_gone.search)
    screen.process.send_signal(signal.SIGINT)
    assert screen.ended() == 0


def test_a_terminal_that_cannot_move_its_cursor_gets_blocks(
    terminal: Callable[..., Terminal],
) -> None:
    screen = terminal("status", "--watch", "0.1", term="dumb")
    assert screen.read_until(lambda text: text.count("Real-Time Operations") == 2)
    assert "\x1b" not in screen.printed
    screen.process.send_signal(signal.SIGINT)
    assert screen.ended() == 0


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "inf"])
def test_a_time_that_is_none_is_wrong_usage(seconds: str, ticketdb: Program) -> None:
    assert ticketdb("status", "--watch", seconds).returncode == 2


def test_what_waiting_does_not_mend_ends_a_watch(start: Start) -> None:
    process = start("status", "--watch", "0.1", TICKETDB_DSN="no dsn")
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (2, "")
    assert errors.startswith("error [E_CONFIG]: the DSN is not a libpq connection string")
