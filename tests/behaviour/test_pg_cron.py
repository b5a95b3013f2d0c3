"""pg_cron runs the cleanup by itself.

Its clock strikes once a minute, so all that is to be seen here waits for it together: three
installations, under names of their own, in the one database that pg_cron serves.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from tests.support.databases import CRON_DATABASE, CRON_LOCK, Database, empty, skip_without
from tests.support.names import BESIDE, OTHER_NAMES
from tests.support.queries import Connection, Row, value
from tests.support.waiting import await_true
from ticketdb.config import Variables
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster

# Two of the three installations have other names anyway, and nobody need wait for the clock twice.
pytestmark = pytest.mark.default_names

MIGRATOR = "cron_migrator"
DEADLINE_SECONDS = 90.0

DEFAULT = Variables()
# What a DBA installs who is no superuser.
MODEST = OTHER_NAMES
# Its cleanup fails. It shares the roles of the first.
BROKEN = replace(BESIDE, cleanup_job="it's broken")
WORKING = [pytest.param(DEFAULT, id="superuser"), pytest.param(MODEST, id="ordinary role")]


@pytest.fixture(scope="module")
def cron_database(cluster: Cluster) -> Iterator[Database]:
    """As the fixture that this one hides, but for all tests here: they wait for the clock once."""
    skip_without(cluster.binaries, "pg_cron")
    database = Database(cluster, CRON_DATABASE)
    with psycopg.connect(cluster.dsn(), autocommit=True) as turn:
        turn.execute("SELECT pg_advisory_lock(%s)", [CRON_LOCK])
        empty(database)
        yield database
        # Roles are the server's, and would stay.
        empty(database)
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            for role in (
                *(MODEST.datadog_role, MODEST.dashboard_role, MODEST.monitor_role),
                *(MODEST.app_role, MODEST.box_office_role, MIGRATOR),
            ):
                if connection.execute("SELECT to_regrole(%s)", [role]).fetchone() != (None,):
                    name = sql.Identifier(role)
                    connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(name))
                    connection.execute(sql.SQL("DROP ROLE {}").format(name))


@dataclass(frozen=True)
class Installed:
    """The installations. In each a hold was over, and another was not, when its job was made."""

    superuser: Connection
    jobs: dict[str, tuple[commands.Job, ...]]
    since: float


def hold(connection: Connection, variables: Variables, session: str, seat: str) -> None:
    connection.execute(
        sql.SQL(
            "SELECT FROM {}((SELECT id FROM {}),"
            " ARRAY(SELECT id FROM {} WHERE seat_number = {}), {})"
        ).format(
            sql.Identifier(variables.schema, "reserve_seats"),
            sql.Identifier(variables.schema, "shows"),
            sql.Identifier(variables.schema, "show_seats"),
            sql.Literal(seat),
            sql.Literal(session),
        )
    )


def install(dsn: str, superuser: Connection, variables: Variables) -> tuple[commands.Job, ...]:
    jobs = commands.apply(dsn, variables, beside=True).jobs
    shows, seats, holds = (
        sql.Identifier(variables.schema, name)
        for name in ("shows", "show_seats", "seat_reservations")
    )
    superuser.execute(
        sql.SQL(
            "WITH show AS (INSERT INTO {} (name, starts_at, currency, status)"
            " VALUES ('Hamlet', now() + interval '1 day', 'EUR', 'on_sale') RETURNING id)"
            " INSERT INTO {} (show_id, section, row_label, seat_number, price_in_cents)"
            " SELECT id, 'stalls', 'A', number, 1000 FROM show, unnest('{{1,2}}'::text[]) AS number"
        ).format(shows, seats)
    )
    hold(superuser, variables, "over", "1")
    hold(superuser, variables, "still here", "2")
    superuser.execute(
        sql.SQL(
            "UPDATE {} SET expires_at = now() - interval '1 second' WHERE session_id = 'over'"
        ).format(holds)
    )
    return jobs


@pytest.fixture(scope="module")
def installed(cron_database: Database) -> Iterator[Installed]:
    with ExitStack() as stack:
        superuser: Connection = stack.enter_context(
            psycopg.connect(cron_database.dsn, autocommit=True, row_factory=namedtuple_row)
        )
        jobs = {DEFAULT.schema: install(cron_database.dsn, superuser, DEFAULT)}
        # All that a DBA has to do for a migrator who is none.
        migrator = sql.Identifier(MIGRATOR)
        for statement in (
            "CREATE ROLE {} LOGIN CREATEROLE",
            "GRANT USAGE ON SCHEMA cron TO {}",
            f'GRANT CREATE ON DATABASE "{CRON_DATABASE}" TO {{}}',
        ):
            superuser.execute(sql.SQL(statement).format(migrator))
        dsn = cron_database.dsn_as(MIGRATOR)
        jobs[MODEST.schema] = install(dsn, superuser, MODEST)
        jobs[BROKEN.schema] = install(cron_database.dsn, superuser, BROKEN)
        superuser.execute(
            sql.SQL(
                "CREATE FUNCTION {0}.break_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " RAISE EXCEPTION 'disk on fire'; END $$;"
                "CREATE TRIGGER break_it BEFORE UPDATE ON {0}.seat_reservations"
                " FOR EACH ROW EXECUTE FUNCTION {0}.break_it()"
            ).format(sql.Identifier(BROKEN.schema))
        )
        yield Installed(superuser, jobs, time.monotonic())


def status_of(connection: Connection, variables: Variables) -> list[Row]:
    return connection.execute(
        sql.SQL("SELECT * FROM {}").format(
            sql.Identifier(variables.schema, "reservation_cleanup_job_status")
        )
    ).fetchall()


@pytest.fixture(scope="module")
def after_the_first_run(installed: Installed) -> Installed:
    """pg_cron has run every cleanup job. Nobody has asked it to."""
    for variables in (DEFAULT, MODEST, BROKEN):
        view = sql.Identifier(variables.schema, "reservation_cleanup_job_status")
        await_true(
            installed.superuser,
            f"SELECT EXISTS (SELECT FROM {view.as_string(None)} WHERE end_time IS NOT NULL)",
            patience=installed.since + DEADLINE_SECONDS - time.monotonic(),
            every=0.2,
        )
    return installed


@pytest.mark.parametrize("variables", [DEFAULT, MODEST, BROKEN], ids=lambda v: v.schema)
def test_the_migration_has_scheduled_the_jobs(installed: Installed, variables: Variables) -> None:
    made = installed.jobs[variables.schema]
    assert {job.action for job in made} == {"scheduled"}
    found = installed.superuser.execute(
        "SELECT jobname, schedule, command, active, username, database FROM cron.job"
        " WHERE jobname = ANY(%s) ORDER BY jobid",
        [[job.job_name for job in made]],
    ).fetchall()
    owner = MIGRATOR if variables is MODEST else "postgres"
    assert found == [
        (job.job_name, job.schedule, job.command, True, owner, CRON_DATABASE) for job in made
    ]
    assert (made[0].job_name, made[0].schedule) == (variables.cleanup_job, "* * * * *")


@pytest.mark.parametrize("variables", WORKING)
def test_the_job_ends_an_overdue_hold_and_no_other(
    after_the_first_run: Installed, variables: Variables
) -> None:
    named = [
        sql.Identifier(variables.schema, name)
        for name in ("seat_reservations", "reservation_seats", "show_seats")
    ]
    found = after_the_first_run.superuser.execute(
        sql.SQL(
            "SELECT r.session_id, r.status, s.status AS seat FROM {} AS r"
            " JOIN {} AS c ON c.reservation_id = r.id JOIN {} AS s ON s.id = c.show_seat_id"
        ).format(*named)
    ).fetchall()
    assert set(found) == {
        ("still here", "active", "reserved"),
        ("over", "expired", "available"),
    }
    (run,) = after_the_first_run.superuser.execute(
        sql.SQL("SELECT * FROM {} WHERE reservations_expired > 0").format(
            sql.Identifier(variables.schema, "reservation_cleanup_runs")
        )
    ).fetchall()
    assert (run.scheduler, run.status) == ("pg_cron", "succeeded")
    assert (run.reservations_expired, run.seats_released) == (1, 1)


@pytest.mark.usefixtures("after_the_first_run")
@pytest.mark.parametrize("variables", WORKING)
def test_the_dashboards_see_the_run_although_schema_cron_is_closed_to_them(
    cron_database: Database, variables: Variables
) -> None:
    with psycopg.connect(
        cron_database.dsn_as(variables.dashboard_role), autocommit=True, row_factory=namedtuple_row
    ) as reader:
        run = status_of(reader, variables)[-1]  # the first
        assert (run.jobname, run.schedule) == (variables.cleanup_job, variables.cleanup_schedule)
        schema = value(reader, "SELECT quote_ident(%s)", variables.schema)
        assert run.command == f"CALL {schema}.run_reservation_cleanup('pg_cron')"
        assert (run.active, run.status, run.scheduler) == (True, "succeeded", "pg_cron")
        assert 0 <= run.duration_seconds < 30
        assert run.duration_seconds == (run.end_time - run.start_time).total_seconds()

        assert reader.execute("SELECT has_schema_privilege('cron', 'USAGE')").fetchone() == (False,)
        for statement in ("SELECT * FROM cron.job", "SELECT cron.schedule('* * * * *', 'x')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


@pytest.mark.parametrize("variables", WORKING)
def test_a_run_is_listed_once_although_pg_cron_and_we_both_record_it(
    after_the_first_run: Installed, variables: Variables
) -> None:
    starts = [run.start_time for run in status_of(after_the_first_run.superuser, variables)]
    minutes = [start.replace(second=0, microsecond=0) for start in starts]
    assert len(minutes) == len(set(minutes))


@pytest.mark.usefixtures("after_the_first_run")
def test_a_job_that_fails_shows_as_failed_and_says_why(cron_database: Database) -> None:
    with psycopg.connect(
        cron_database.dsn_as(BROKEN.dashboard_role), autocommit=True, row_factory=namedtuple_row
    ) as reader:
        run = status_of(reader, BROKEN)[-1]
        assert (run.jobname, run.status, run.scheduler) == ("it's broken", "failed", "pg_cron")
        assert "Reservation cleanup failed: disk on fire" in run.return_message
        recorded: list[Row] = reader.execute(
            f"SELECT * FROM {BROKEN.schema}.reservation_cleanup_runs ORDER BY id".encode()
        ).fetchall()
        own = recorded[0]
        assert (own.status, own.error_message) == ("failed", "disk on fire")


def test_a_run_by_hand_is_listed_beside_those_of_pg_cron(after_the_first_run: Installed) -> None:
    connection = after_the_first_run.superuser
    connection.execute("CALL run_reservation_cleanup('by hand')")
    shown = status_of(connection, DEFAULT)
    assert {run.scheduler for run in shown} == {"by hand", "pg_cron"}
    assert [run.start_time for run in shown] == sorted(
        (run.start_time for run in shown), reverse=True
    )
