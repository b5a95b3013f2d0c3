"""Without pg_cron: `ticketdb cleanup` does what its job would."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall
from tests.support.names import NAMES
from tests.support.queries import Connection
from tests.support.waiting import await_true

COMMAND = [sys.executable, "-c", "from ticketdb.cli import main; main()", "cleanup"]


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of this run, in the configuration file of the command."""
    file = tmp_path / "ticketdb.toml"
    settings = [f"{name} = {json.dumps(given)}\n" for name, given in asdict(NAMES).items()]
    file.write_text("[variables]\n" + "".join(settings))
    monkeypatch.setenv("TICKETDB_CONFIG", str(file))


@contextmanager
def scheduler(database: Database, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running on its own; killed if the test did not end it."""
    dsn = database.cluster.dsn(database.name)  # without a search path: the command needs none
    process = subprocess.Popen(
        [*COMMAND, "--dsn", dsn, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TICKETDB_DSN": ""},
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_it_ends_holds_again_and_again_until_ctrl_c(
    database: Database, house: Hall, owner: Connection
) -> None:
    first, second, live = (house.hold(n, session=f"visitor {n}") for n in range(3))
    ended = "SELECT status = 'expired' FROM seat_reservations WHERE id = %s"
    with scheduler(database, "--every", "0.2") as process:
        for hold in (first, second):
            house.let_run_out(hold)
            await_true(owner, ended, [hold.reservation_id])
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (0, "")
    assert "1 holds expired, 1 seats released" in output
    assert output.endswith("stopped\n")
    assert house.statuses(0, 1, 2) == ["available", "available", "reserved"]
    assert house.reservation(live).status == "active"
    assert [house.events(hold) for hold in (first, second)] == [["created", "expired"]] * 2
    # Whatever it was doing when it was stopped, it has finished.
    shown = owner.execute("SELECT * FROM reservation_cleanup_job_status").fetchall()
    assert {run.status for run in shown} == {"succeeded"}
    assert {run.scheduler for run in shown} == {"ticketdb"}
    assert {run.jobname for run in shown} == {NAMES.cleanup_job}


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_finishes_the_run_that_it_is_in_before_it_stops(
    database: Database, house: Hall, owner: Connection, connect: Connect, ending: signal.Signals
) -> None:
    house.let_run_out(house.hold(0))
    somebody = connect()
    # It does not wait for a hold or a seat, but for the record of its run.
    owner.execute(
        "CREATE FUNCTION wait_for_it() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';"
        "CREATE TRIGGER wait_for_it BEFORE UPDATE ON reservation_cleanup_runs FOR EACH ROW"
        " EXECUTE FUNCTION wait_for_it()"
    )
    with scheduler(database, "--every", "60") as process:
        with somebody.transaction():
            somebody.execute("SELECT pg_advisory_xact_lock(1)")
            await_true(
                owner,
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database())",
            )
            process.send_signal(ending)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert output.endswith("stopped\n")
    (run,) = owner.execute("SELECT * FROM reservation_cleanup_runs").fetchall()
    assert (run.scheduler, run.status, run.reservations_expired) == ("ticketdb", "succeeded", 1)


def test_it_goes_on_after_a_run_that_failed_or_lost_its_connection(
    database: Database, house: Hall, owner: Connection
) -> None:
    owner.execute(
        "CREATE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'disk on fire'; END $$;"
        "CREATE TRIGGER break_it BEFORE UPDATE OF status ON seat_reservations FOR EACH ROW"
        " EXECUTE FUNCTION break_it()"
    )
    hold = house.hold(0)
    house.let_run_out(hold)
    failed = "SELECT EXISTS (SELECT FROM reservation_cleanup_runs WHERE status = 'failed')"
    with scheduler(database, "--every", "0.2") as process:
        await_true(owner, failed)
        owner.execute("DROP TRIGGER break_it ON seat_reservations")
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()"
        )
        await_true(
            owner,
            "SELECT status = 'expired' FROM seat_reservations WHERE id = %s",
            [hold.reservation_id],
        )
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "disk on fire" in errors
    assert all(line.endswith("trying again in 0.2 s") for line in errors.splitlines())


def test_without_every_it_runs_once(database: Database, house: Hall, owner: Connection) -> None:
    house.let_run_out(house.hold(0))
    with scheduler(database) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.endswith(": 1 holds expired, 1 seats released\n")
    assert house.statuses(0) == ["available"]
    assert owner.execute("SELECT count(*) FROM reservation_cleanup_runs").fetchone() == (1,)


def test_once_where_it_fails_is_an_error(
    empty_database: Database,
) -> None:
    """The control: exit 0 means that it has run."""
    with scheduler(empty_database) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert output == ""
    assert errors.startswith("error [E_")
    assert len(errors.splitlines()) == 1
