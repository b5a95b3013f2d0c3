"""The jobs in pg_cron: there once, whatever happened to them, and gone when ticketdb goes."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from tests.support.databases import Database
from tests.support.names import NAMES
from tests.support.queries import Connection, Row
from ticketdb.errors import TicketdbError
from ticketdb.migrate import commands

MIGRATOR = "jobs_migrator"
JOBS = [
    NAMES.cleanup_job,
    NAMES.rollup_job,
    NAMES.invariants_job,
    NAMES.partition_job,
    NAMES.purge_job,
]


@pytest.fixture
def superuser(cron_database: Database) -> Iterator[Connection]:
    with psycopg.connect(
        cron_database.dsn, autocommit=True, row_factory=namedtuple_row
    ) as connection:
        yield connection


@pytest.fixture
def migrator(cron_database: Database, superuser: Connection) -> Iterator[str]:
    """The connection string of a role that owns the schema, and is no superuser."""
    role = sql.Identifier(MIGRATOR)
    superuser.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE").format(role))
    superuser.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
            sql.Identifier(cron_database.name), role
        )
    )
    superuser.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(role))
    yield cron_database.dsn_as(MIGRATOR)
    superuser.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
    superuser.execute(sql.SQL("DROP ROLE {}").format(role))


def apply(dsn: str) -> dict[str, str]:
    """Apply, and return what was done with each job."""
    return {job.job_name: job.action for job in commands.apply(dsn, NAMES).jobs}


def jobs(connection: Connection) -> list[Row]:
    return connection.execute("SELECT * FROM cron.job ORDER BY jobid").fetchall()


def test_apply_makes_each_job_once_and_the_extension_where_it_may(
    cron_database: Database, superuser: Connection
) -> None:
    for action in ("scheduled", "unchanged", "unchanged"):
        assert apply(cron_database.dsn) == dict.fromkeys(JOBS, action)
        assert [job.jobname for job in jobs(superuser)] == JOBS


def test_revert_takes_the_jobs_away_and_apply_brings_one_of_each_back(
    cron_database: Database, superuser: Connection
) -> None:
    apply(cron_database.dsn)
    superuser.execute("SELECT cron.schedule('somebody else''s', '0 0 1 1 *', 'SELECT 1')")
    commands.revert(cron_database.dsn, NAMES, "base", allow_data_loss=True)
    assert [job.jobname for job in jobs(superuser)] == ["somebody else's"]
    apply(cron_database.dsn)
    assert [job.jobname for job in jobs(superuser)] == ["somebody else's", *JOBS]


def test_revert_takes_a_job_away_whose_schedule_a_dba_has_changed(
    cron_database: Database, superuser: Connection
) -> None:
    apply(cron_database.dsn)
    superuser.execute("SELECT cron.alter_job(jobid, '*/7 * * * *', active := false) FROM cron.job")
    commands.revert(cron_database.dsn, NAMES, "base", allow_data_loss=True)
    assert jobs(superuser) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cron.job SET schedule = '0 0 1 1 *' WHERE jobname = '{job}'",
        "UPDATE cron.job SET command = 'CALL run_reservation_cleanup()' WHERE jobname = '{job}'",
        "SELECT cron.unschedule('{job}')",
        "UPDATE cron.job SET jobname = 'renamed' WHERE jobname = '{job}'",
        (
            "INSERT INTO cron.job"
            " (schedule, command, nodename, nodeport, database, username, jobname)"
            " SELECT schedule, command, nodename, nodeport, database, '{role}', jobname"
            " FROM cron.job WHERE jobname = '{job}'"
        ),
        "UPDATE cron.job SET database = 'before it was renamed' WHERE jobname = '{job}'",
        "UPDATE cron.job SET username = 'somebody who left' WHERE jobname = '{job}'",
        "UPDATE cron.job SET nodeport = 1 WHERE jobname = '{job}'",
    ],
    ids=[
        *("other schedule", "older command", "unscheduled", "renamed", "made twice"),
        *("renamed database", "dropped role", "moved port"),
    ],
)
def test_apply_mends_what_a_dba_has_done_to_the_job(
    cron_database: Database, superuser: Connection, change: str
) -> None:
    apply(cron_database.dsn)
    before = jobs(superuser)
    statement = change.format(job=NAMES.cleanup_job, role=NAMES.datadog_role)
    superuser.execute(statement.encode())
    assert jobs(superuser) != before

    assert apply(cron_database.dsn) in (
        dict.fromkeys(JOBS, "unchanged") | {NAMES.cleanup_job: "scheduled"},
        dict.fromkeys(JOBS, "unchanged"),
    )
    assert {job._replace(jobid=0) for job in jobs(superuser)} == {
        job._replace(jobid=0) for job in before
    }
    assert len(jobs(superuser)) == len(before)


def test_apply_schedules_when_pg_cron_comes_later(superuser: Connection, migrator: str) -> None:
    """One step of the DBA's after another, each of which apply asks for in plain words."""
    asked = set(apply(migrator).values())
    assert asked == {"unavailable: pg_cron is not installed in this database"}

    superuser.execute("CREATE EXTENSION pg_cron")
    asked = set(apply(migrator).values())
    assert asked == {f"unavailable: run GRANT USAGE ON SCHEMA cron TO {MIGRATOR} first"}

    superuser.execute(f"GRANT USAGE ON SCHEMA cron TO {MIGRATOR}")
    assert apply(migrator) == dict.fromkeys(JOBS, "scheduled")
    assert [(job.jobname, job.username) for job in jobs(superuser)] == [
        (name, MIGRATOR) for name in JOBS
    ]
    assert apply(migrator) == dict.fromkeys(JOBS, "unchanged")


@pytest.mark.parametrize(
    "statement",
    [
        "CALL run_reservation_cleanup()",
        "SELECT * FROM reservation_cleanup_job_status",
        "SELECT purge_history()",
        "SELECT maintain_partitions()",
    ],
)
def test_what_runs_without_pg_cron_runs_where_its_schema_is_closed_to_us(
    superuser: Connection, migrator: str, statement: str
) -> None:
    """Somebody else on the server uses pg_cron, and we are not invited."""
    apply(migrator)
    superuser.execute("CREATE EXTENSION pg_cron")
    with psycopg.connect(migrator, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    "database", ["current_database()", "'postgres'"], ids=["here", "elsewhere"]
)
@pytest.mark.parametrize("fresh", [True, False], ids=["at installation", "later"])
def test_a_job_name_that_somebody_else_uses_is_a_clear_error(
    cron_database: Database, superuser: Connection, fresh: bool, database: str
) -> None:
    """Also a job in another database: names are unique for the whole server."""
    if fresh:
        superuser.execute("CREATE EXTENSION pg_cron")
    else:
        apply(cron_database.dsn)
        superuser.execute("SELECT cron.unschedule(%s)", [NAMES.cleanup_job])
    superuser.execute(
        f"SELECT cron.schedule_in_database(%s, '0 0 1 1 *', 'VACUUM', {database})".encode(),
        [NAMES.cleanup_job],
    )
    theirs = jobs(superuser)

    with pytest.raises(TicketdbError, match=f'job "{NAMES.cleanup_job}".* VACUUM') as caught:
        apply(cron_database.dsn)
    assert "another job name" in caught.value.message

    assert [job for job in jobs(superuser) if job.command == "VACUUM"] == [
        job for job in theirs if job.command == "VACUUM"
    ]
