"""A dump that is restored into another server: ticketdb is complete, and its jobs run there only.

The jobs of pg_cron wait for its clock, which strikes once a minute: one wait serves all tests.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support.databases import Database, skip_without
from tests.support.hall import Hall, make_hall
from tests.support.program import Program
from tests.support.queries import Connection, Row, enter, tables, value
from tests.support.restoring import copy, copy_roles, run
from tests.support.waiting import await_true
from ticketdb import SUPPORTED_MAJORS
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate.commands import apply
from ticketdb.private_server import Cluster, find_server_binaries, private_cluster

NUMBERS = ("reservation_success_rate", "hourly_metrics", "revenue_today", "api_endpoint_health")
NAME = "shop"  # of the database that pg_cron serves, on each of the servers
JOBS = [
    Variables().cleanup_job,
    Variables().rollup_job,
    Variables().invariants_job,
    Variables().partition_job,
    Variables().purge_job,
]
DEADLINE_SECONDS = 90.0


@contextmanager
def session(database: Database) -> Iterator[Connection]:
    with psycopg.connect(database.dsn, autocommit=True, row_factory=namedtuple_row) as connection:
        yield enter(connection)


def numbers(connection: Connection) -> dict[str, list[Row]]:
    return {view: connection.execute(f"TABLE {view}".encode()).fetchall() for view in NUMBERS}


def trade(connection: Connection) -> Hall:
    """Something of everything, of which the rollups have seen a part."""
    hall = make_hall(connection)
    hall.sell(0, 1)
    hall.extend(hall.hold(2, session="ben"), session="ben")
    hall.reserve(2, session="cleo")
    connection.execute("SELECT log_api_request('/rpc/reserve_seats', 'POST', 200, 12.5)")
    connection.execute("SELECT roll_up_metrics()")
    hall.refund(hall.sell(3, session="dora"))
    hall.release(hall.hold(4, session="emil"), session="emil")
    connection.execute("SELECT log_api_request('/rpc/release_reservation', 'POST', 500, 7.5)")
    return hall


@pytest.fixture
def sold(own_database: Database) -> Database:
    """A database at head, with business done in it."""
    apply(own_database.dsn, Variables())
    with session(own_database) as connection:
        trade(connection)
    return own_database


@pytest.fixture(scope="module", params=["the same major version", "the newest"])
def elsewhere(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Cluster]:
    """Another server."""
    binaries = cluster.binaries
    if request.param == "the newest":
        try:
            binaries = find_server_binaries(major=SUPPORTED_MAJORS[-1])
        except TicketdbError as error:
            pytest.skip(str(error))
        if binaries.major == cluster.binaries.major:
            pytest.skip(f"PostgreSQL {binaries.major} is the newest there is")
    with private_cluster(binaries) as other:
        yield other


@pytest.mark.parametrize("custom", [True, False], ids=["custom", "plain"])
def test_a_copy_is_what_is_shipped_once_its_rollups_have_been_adopted(
    sold: Database, elsewhere: Cluster, ticketdb: Program, custom: bool
) -> None:
    copy_roles(sold.cluster, elsewhere)
    restored = Database(elsewhere, f"{sold.name}_{custom}")
    elsewhere.create_database(restored.name)
    copy(sold, restored, custom)
    with session(sold) as original, session(restored) as connection:
        assert tables(connection) == tables(original)

        verified = ticketdb("verify", "--dsn", restored.dsn)
        assert verified.returncode == 1, verified.stdout
        failed = [line for line in verified.stdout.splitlines() if line.startswith("FAILED")]
        assert failed == ["FAILED rollups"]

        connection.execute("SELECT roll_up_metrics()")
        verified = ticketdb("verify", "--dsn", restored.dsn)
        assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout

        before = numbers(original)
        assert numbers(connection) == before
        # It lives: what happens from now on is counted here, and nowhere else.
        trade(connection)
        assert numbers(original) == before
        assert [row.succeeded for row in numbers(connection)["reservation_success_rate"]] == [
            2 * row.succeeded for row in before["reservation_success_rate"]
        ]


def test_a_copy_on_a_server_without_the_roles_does_not_pass(
    sold: Database, cluster: Cluster, ticketdb: Program
) -> None:
    with private_cluster(cluster.binaries) as other:
        restored = Database(other, sold.name)
        other.create_database(restored.name)
        with pytest.raises(AssertionError, match=r'role "ticketdb_\w+" does not exist'):
            copy(sold, restored)
        run(
            other,
            "psql",
            "-X",
            "-q",
            restored.dsn,
            text="DROP SCHEMA public, monitoring CASCADE; CREATE SCHEMA public;"
            + run(other, "pg_dump", sold.dsn),
        )
        verified = ticketdb("verify", "--dsn", restored.dsn)
        assert verified.returncode == 1
        assert "FAILED privileges" in verified.stdout
        assert "FAILED roles" in verified.stdout


@pytest.fixture(scope="module")
def cron_database(cluster: Cluster) -> Iterator[Database]:
    """The original, on a server of its own. The name has its tests begin early: they wait."""
    skip_without(cluster.binaries, "pg_cron")
    with private_cluster(cluster.binaries, cron_database=NAME) as server:
        server.create_database(NAME)
        original = Database(server, NAME)
        apply(original.dsn, Variables())
        with session(original) as connection:
            hall = make_hall(connection)
            hall.let_run_out(hall.hold(0))
        yield original


def jobs(database: Database) -> set[tuple[str, str, int, str]]:
    """Which jobs a server's pg_cron has, and where it runs them: host, port and database."""
    with session(database) as connection:
        return set(connection.execute("SELECT jobname, nodename, nodeport, database FROM cron.job"))


def jobs_of(database: Database) -> set[tuple[str, str, int, str]]:
    """All jobs, where they should run."""
    server = database.cluster
    return {(job, str(server.directory), server.port, database.name) for job in JOBS}


@contextmanager
def copy_with_jobs(original: Database, name: str = NAME) -> Iterator[Database]:
    """Restore into a new server, whose pg_cron sees the jobs as soon as they are there."""
    with private_cluster(original.cluster.binaries, cron_database=name) as server:
        restored = Database(server, name)
        server.create_database(name)
        copy_roles(original.cluster, server)
        copy(original, restored)
        yield restored


@dataclass(frozen=True)
class Copies:
    """Two copies of one original, whose own jobs have been taken away: `apply` saw the second."""

    original: Database
    careless: Database
    careful: Database


@pytest.fixture(scope="module")
def copies(cron_database: Database) -> Iterator[Copies]:
    with copy_with_jobs(cron_database) as careless, copy_with_jobs(cron_database) as careful:
        applied = apply(careful.dsn, Variables())
        assert {job.action for job in applied.jobs} == {"scheduled"}
        with session(cron_database) as connection:
            connection.execute("SELECT cron.unschedule(jobid) FROM cron.job")
        yield Copies(cron_database, careless, careful)


@pytest.fixture(scope="module")
def after_the_strike(copies: Copies) -> Copies:
    """The clock of both copies has struck, and what it began has ended."""
    ended = {
        copies.careless: "EXISTS (SELECT FROM cron.job_run_details"
        " WHERE command ~ '^CALL' AND status IN ('succeeded', 'failed'))",
        copies.careful: "EXISTS (SELECT FROM reservation_cleanup_runs WHERE finished_at IS NOT"
        " NULL) AND NOT (SELECT bool_or(is_restored_log(log)) FROM metric_watermarks)",
    }
    deadline = time.monotonic() + DEADLINE_SECONDS
    for database, question in ended.items():
        with session(database) as connection:
            left = deadline - time.monotonic()
            await_true(connection, f"SELECT {question}", patience=left, every=0.2)
    return copies


def runs(database: Database) -> list[Row]:
    with session(database) as connection:
        return connection.execute(
            "SELECT scheduler, status, reservations_expired FROM reservation_cleanup_runs"
        ).fetchall()


def test_verify_says_that_the_jobs_of_a_dump_run_on_the_original(
    copies: Copies, ticketdb: Program
) -> None:
    assert jobs(copies.careless) == jobs_of(copies.original)
    verified = ticketdb("verify", "--dsn", copies.careless.dsn)
    assert verified.returncode == 1
    here, there = (d.cluster.directory for d in (copies.careless, copies.original))
    for job in JOBS:
        assert f"job {job}; runs on {there}:5432 instead of {here}:5432" in verified.stdout


def test_apply_has_the_jobs_run_on_the_copy(copies: Copies) -> None:
    assert jobs(copies.careful) == jobs_of(copies.careful)
    applied = apply(copies.careful.dsn, Variables())
    assert {job.action for job in applied.jobs} == {"unchanged"}


def test_the_jobs_of_a_copy_run_on_the_original_until_apply_has_seen_it(
    after_the_strike: Copies,
) -> None:
    """The control of the next test."""
    with session(after_the_strike.careless) as connection:
        sent = value(
            connection,
            "SELECT count(*) FROM cron.job_run_details"
            " WHERE command ~ '^CALL' AND status = 'succeeded'",
        )
    arrived = runs(after_the_strike.original)
    assert arrived[0] == ("pg_cron", "succeeded", 1)
    assert runs(after_the_strike.careless) == []
    assert len(arrived) == sent  # and none that the other copy sent


def test_then_they_run_on_the_copy_and_adopt_its_rollups(
    after_the_strike: Copies, ticketdb: Program
) -> None:
    assert runs(after_the_strike.careful)[0] == ("pg_cron", "succeeded", 1)
    verified = ticketdb("verify", "--dsn", after_the_strike.careful.dsn)
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stdout


def test_a_dump_without_the_rows_of_pg_cron_brings_no_jobs(cron_database: Database) -> None:
    server = cron_database.cluster
    marker = "COPY cron.job ("
    assert marker in run(server, "pg_dump", cron_database.dsn)  # the control
    excluded = "--exclude-table-data=cron.*"
    assert marker not in run(server, "pg_dump", excluded, cron_database.dsn)


@pytest.mark.usefixtures("after_the_strike")  # until then nobody else may run on the original
def test_apply_mends_a_copy_under_another_name_too(cron_database: Database) -> None:
    apply(cron_database.dsn, Variables())
    with copy_with_jobs(cron_database, "copy of the shop") as renamed:
        assert jobs(renamed) == jobs_of(cron_database)
        applied = apply(renamed.dsn, Variables())
        assert {job.action for job in applied.jobs} == {"scheduled"}
        assert jobs(renamed) == jobs_of(renamed)
