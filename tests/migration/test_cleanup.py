"""`ticketdb cleanup`: the scheduler of those who have no pg_cron."""

import re
import signal

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.program import HOLD, WAITING, Program, Start, await_waiting, next_line

OVER = "UPDATE public.seat_reservations SET expires_at = now() - interval '1 minute'"
RAN = re.compile(r"\d{4}-.*: (\d+) holds expired, (\d+) seats released\n")


def test_once_ends_what_is_overdue_and_reports_it(
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
def test_repeated_runs_end_what_is_overdue_until_they_are_stopped(
    with_signal: signal.Signals, start: Start, connect: Connect
) -> None:
    process = start("cleanup", "--every", "0.2s")
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


def test_a_lost_connection_is_reported_and_made_again(start: Start, connect: Connect) -> None:
    process = start("cleanup", "--every", "0.2")
    assert RAN.fullmatch(next_line(process))
    blocker, observer = connect(), connect()
    with blocker.transaction():
        blocker.execute("LOCK TABLE public.reservation_cleanup_runs")
        await_waiting(observer)
        observer.execute(f"SELECT pg_terminate_backend(pid, 5000) {WAITING}".encode())
    assert process.stderr is not None
    printed = process.stderr.readline()
    assert re.fullmatch(r"error \[E_CONNECTION_LOST\]: .*trying again in 0\.2 s\n", printed)
    while not RAN.fullmatch(next_line(process)):
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0


def test_a_run_that_fails_is_reported_and_the_next_one_tried(
    start: Start, ticketdb: Program, database: Database, connect: Connect
) -> None:
    session = connect()
    session.execute(b"ALTER FUNCTION ticketdb.overdue_reservation_batches RENAME TO elsewhere")
    once = ticketdb("cleanup", TICKETDB_DSN=database.dsn)
    assert once.returncode == 1
    assert re.fullmatch(r"error \[E_CLEANUP\]: .*does not exist.*\n", once.stderr)
    process = start("cleanup", "--every", "0.2")
    assert process.stderr is not None
    assert "does not exist" in process.stderr.readline()
    session.execute(b"ALTER FUNCTION ticketdb.elsewhere RENAME TO overdue_reservation_batches")
    assert RAN.fullmatch(next_line(process))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    statuses = session.execute(
        "SELECT DISTINCT status FROM public.reservation_cleanup_job_status ORDER BY 1"
    ).fetchall()
    assert statuses == [("failed",), ("succeeded",)]


def test_while_another_cleanup_runs_it_reports_that_and_not_what_the_other_did(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    """Also if the other has the same scheduler on record."""
    first = ticketdb("cleanup", TICKETDB_DSN=database.dsn)
    assert RAN.fullmatch(first.stdout)
    with psycopg.connect(database.dsn) as other:
        other.execute("SELECT FROM ticketdb.reservation_cleanup_lock FOR UPDATE")
        done = ticketdb("cleanup", TICKETDB_DSN=database.dsn)
    assert (done.returncode, done.stdout) == (0, "another cleanup is running\n")
    statuses = (
        connect()
        .execute("SELECT status FROM public.reservation_cleanup_runs ORDER BY id")
        .fetchall()
    )
    assert statuses == [("succeeded",), ("skipped",)]


def test_it_reports_its_own_run_and_not_the_last_one(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    session = connect()
    session.execute(HOLD)
    session.execute(OVER)
    # As if another had run meanwhile.
    session.execute(
        "CREATE FUNCTION another() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.reservation_cleanup_runs"
        " (scheduler, finished_at, status, reservations_expired)"
        " VALUES ('ticketdb', clock_timestamp(), 'succeeded', 77); RETURN NULL; END $$;"
        "CREATE TRIGGER another AFTER UPDATE ON public.reservation_cleanup_runs FOR EACH ROW"
        " WHEN (NEW.status = 'succeeded') EXECUTE FUNCTION another()"
    )
    done = ticketdb("cleanup", TICKETDB_DSN=database.dsn)
    found = RAN.fullmatch(done.stdout)
    assert found is not None
    assert found.groups() == ("1", "1")


def test_before_apply_it_says_what_is_missing(ticketdb: Program, empty_database: Database) -> None:
    done = ticketdb("cleanup", TICKETDB_DSN=empty_database.dsn)
    assert done.returncode == 1
    assert re.fullmatch(r"error \[E_CLEANUP\]: .*run_reservation_cleanup.*apply.*\n", done.stderr)


@pytest.mark.parametrize("every", ["0", "-1", "soon", "nan", "inf"])
def test_a_time_that_is_none_is_wrong_usage(every: str, ticketdb: Program) -> None:
    assert ticketdb("cleanup", "--every", every).returncode == 2
