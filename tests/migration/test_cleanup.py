"""`ticketdb cleanup`: the scheduler of those who have no pg_cron."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Connect, Database
from tests.migration.conftest import Program, clean_environment

HOLD = """
    INSERT INTO public.shows (name, starts_at, currency, status)
    VALUES ('x', now() + interval '1 day', 'EUR', 'on_sale');
    INSERT INTO public.show_seats (show_id, section, row_label, seat_number, price_in_cents)
    SELECT id, 'a', 'a', '1', 100 FROM public.shows;
    SELECT public.reserve_seats(show_id, ARRAY[id], 'session') FROM public.show_seats;
"""
OVER = "UPDATE public.seat_reservations SET expires_at = now() - interval '1 minute'"
RAN = re.compile(r"\d{4}-.*: (\d+) holds expired, (\d+) seats released\n")

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(database: Database) -> Iterator[Start]:
    """Starts `ticketdb cleanup` as a process of its own, and ends it after the test."""
    with ExitStack() as stack:

        def run(*options: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [Path(sys.executable).with_name("ticketdb"), "cleanup", *options],
                    env=clean_environment(TICKETDB_DSN=database.dsn),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield run


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_once_ends_what_is_over_and_says_so(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    session = connect()
    session.execute(HOLD)
    session.execute(OVER)
    done = ticketdb("cleanup", TICKETDB_DSN=database.dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert RAN.fullmatch(done.stdout)
    status = session.execute("SELECT status FROM public.seat_reservations").fetchone()
    assert status == ("expired",)


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM])
def test_repeated_runs_end_what_is_over_until_told_to_stop(
    with_signal: signal.Signals, start: Start, connect: Connect
) -> None:
    process = start("--every", "0.2s")
    assert RAN.fullmatch(next_line(process))
    session = connect()
    session.execute(HOLD)
    session.execute(OVER)
    while (line := RAN.fullmatch(next_line(process))) and line[1] == "0":
        pass
    assert line is not None
    assert line.groups() == ("1", "1")
    process.send_signal(with_signal)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output.splitlines()[-1], errors) == (0, "stopped", "")
    seen = session.execute(
        "SELECT DISTINCT scheduler, status FROM public.reservation_cleanup_job_status"
    ).fetchall()
    assert seen == [("ticketdb", "succeeded")]


def test_a_lost_connection_is_told_and_made_again(start: Start, connect: Connect) -> None:
    waiting = (
        "FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'ticketdb' AND wait_event_type = 'Lock'"
    )
    process = start("--every", "0.2")
    assert RAN.fullmatch(next_line(process))
    blocker, observer = connect(), connect()
    with blocker.transaction():
        blocker.execute("LOCK TABLE public.reservation_cleanup_runs")
        while observer.execute(f"SELECT pid {waiting}".encode()).fetchone() is None:
            pass
        observer.execute(f"SELECT pg_terminate_backend(pid, 5000) {waiting}".encode())
    assert process.stderr is not None
    told = process.stderr.readline()
    assert re.fullmatch(r"error \[E_CONNECTION_LOST\]: .*trying again in 0\.2 s\n", told)
    while not RAN.fullmatch(next_line(process)):
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0


def test_a_run_that_fails_is_told_and_the_next_one_tried(
    start: Start, ticketdb: Program, database: Database, connect: Connect
) -> None:
    session = connect()
    session.execute(b"ALTER FUNCTION public.overdue_holds RENAME TO elsewhere")
    once = ticketdb("cleanup", TICKETDB_DSN=database.dsn)
    assert once.returncode == 1
    assert re.fullmatch(r"error \[E_CLEANUP\]: .*does not exist.*\n", once.stderr)
    process = start("--every", "0.2")
    assert process.stderr is not None
    assert "does not exist" in process.stderr.readline()
    session.execute(b"ALTER FUNCTION public.elsewhere RENAME TO overdue_holds")
    assert RAN.fullmatch(next_line(process))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    statuses = session.execute(
        "SELECT DISTINCT status FROM public.reservation_cleanup_job_status ORDER BY 1"
    ).fetchall()
    assert statuses == [("failed",), ("succeeded",)]


def test_while_another_cleanup_runs_it_says_so(ticketdb: Program, database: Database) -> None:
    with psycopg.connect(database.dsn) as other:
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('ticketdb cleanup public', 0))"
        )
        done = ticketdb("cleanup", TICKETDB_DSN=database.dsn)
    assert (done.returncode, done.stdout) == (0, "another cleanup is running\n")


def test_before_apply_it_says_what_is_missing(ticketdb: Program, empty_database: Database) -> None:
    done = ticketdb("cleanup", TICKETDB_DSN=empty_database.dsn)
    assert done.returncode == 1
    assert re.fullmatch(r"error \[E_CLEANUP\]: .*run_reservation_cleanup.*apply.*\n", done.stderr)


@pytest.mark.parametrize("every", ["0", "-1", "soon", "nan", "inf"])
def test_a_time_that_is_none_is_wrong_usage(every: str, ticketdb: Program) -> None:
    assert ticketdb("cleanup", "--every", every).returncode == 2
