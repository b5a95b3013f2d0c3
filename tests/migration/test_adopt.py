"""A database that has everything but its history gets it, if it really has everything."""

import subprocess
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.program import Program, take_migration_lock
from ticketdb.config import Variables
from ticketdb.database import own_sql
from ticketdb.develop.generate import AWKWARD_NAMES
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import adopt, apply, revert
from ticketdb.paths import shipped_tree
from ticketdb.verify import verify

HEAD = read_chain(shipped_tree())[-1].revision
FORGET = "DROP TABLE ticketdb.ticketdb_migrations, ticketdb.ticketdb_alembic_version"
LEDGER = """
    SELECT revision, source_sha256, rendered_sha256, package_version, variables
    FROM ticketdb.ticketdb_migrations ORDER BY revision
"""
HISTORY = """
    SELECT relname FROM pg_class
    WHERE relname IN ('ticketdb_migrations', 'ticketdb_alembic_version')
"""


@pytest.fixture
def forgetful(database: Database, connect: Connect) -> psycopg.Connection:
    """A session in a database at head that has lost its history."""
    connection = connect(database)
    connection.execute(FORGET)
    return connection


def failed_checks(database: Database, variables: Variables | None = None) -> list[str]:
    return [c.name for c in verify(database.dsn, variables or Variables()) if not c.ok]


def refused(database: Database, code: str = "E_NOT_OURS") -> str:
    with pytest.raises(TicketdbError) as caught:
        adopt(database.dsn, Variables())
    assert (caught.value.code, caught.value.exit_status) == (code, 1)
    return caught.value.message


def test_history_is_written_as_apply_would_have_written_it(
    database: Database, connect: Connect, ticketdb: Program
) -> None:
    connection = connect()
    ledger = connection.execute(LEDGER).fetchall()
    connection.execute(FORGET)
    # What is new gets nothing of what is handed out to everybody.
    connection.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC")
    done = ticketdb("adopt", "--dsn", database.dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"adopted; the database is at {HEAD}\njob ")
    assert connection.execute(LEDGER).fetchall() == ledger
    assert failed_checks(database) == []
    assert apply(database.dsn, Variables()).applied == ()


@pytest.mark.xdist_group("own_cluster")
def test_a_database_with_other_names_is_adopted_under_them(own_database: Database) -> None:
    apply(own_database.dsn, AWKWARD_NAMES)
    with psycopg.connect(own_database.dsn) as connection:
        schema = AWKWARD_NAMES.internal_schema.replace('"', '""')
        connection.execute(FORGET.replace("ticketdb.", f'"{schema}".').encode())
    adopt(own_database.dsn, AWKWARD_NAMES)
    assert failed_checks(own_database, AWKWARD_NAMES) == []
    revert(own_database.dsn, AWKWARD_NAMES, "base", allow_data_loss=True)


def test_tables_that_were_restored_without_rows_are_filled(
    database: Database, connect: Connect
) -> None:
    connect().execute("TRUNCATE ticketdb.ticketdb_migrations, ticketdb.ticketdb_alembic_version")
    adopt(database.dsn, Variables())
    assert failed_checks(database) == []


def test_a_dump_without_the_history_is_adopted(
    database: Database, empty_database: Database
) -> None:
    bindir = database.cluster.binaries.bindir
    dump = subprocess.run(
        [bindir / "pg_dump", "--exclude-table=ticketdb.ticketdb_*", database.dsn],
        check=True,
        capture_output=True,
    )
    psql: list[Any] = [bindir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", empty_database.dsn]
    subprocess.run(psql, input=dump.stdout, check=True, stdout=subprocess.DEVNULL)
    adopt(empty_database.dsn, Variables())
    assert failed_checks(empty_database) == []


def test_what_differs_is_listed_and_nothing_is_written(
    forgetful: psycopg.Connection, database: Database
) -> None:
    forgetful.execute("DROP INDEX public.tickets_one_valid_per_seat")
    forgetful.execute("COMMENT ON TABLE public.shows IS 'Mine.'")
    message = refused(database)
    assert message.startswith("3 differences, beginning with: comment index public.tickets")
    assert "comment relation public.shows: 'Mine.' instead of" in message
    assert forgetful.execute(HISTORY).fetchall() == []


def test_a_table_in_the_place_of_the_ledger_is_a_difference(
    forgetful: psycopg.Connection, database: Database
) -> None:
    forgetful.execute("CREATE TABLE ticketdb.ticketdb_migrations (revision text)")
    assert "column ticketdb.ticketdb_migrations." in refused(database)
    assert forgetful.execute(HISTORY).fetchall() == [("ticketdb_migrations",)]


def test_an_empty_database_is_not_adopted(empty_database: Database, connect: Connect) -> None:
    assert "is missing" in refused(empty_database)
    assert connect(empty_database).execute(HISTORY).fetchall() == []


def test_who_does_not_own_it_cannot_adopt_it(
    forgetful: psycopg.Connection, database: Database
) -> None:
    role = f"clerk_{database.name}"
    forgetful.execute(f"CREATE ROLE {role} SUPERUSER LOGIN".encode())
    with pytest.raises(TicketdbError, match="again as the owner of the tables") as caught:
        adopt(database.dsn_as(role), Variables())
    assert caught.value.code == "E_NOT_OURS"
    assert forgetful.execute(HISTORY).fetchall() == []
    forgetful.execute(f"DROP ROLE {role}".encode())


def test_where_there_is_a_ledger_there_is_nothing_to_adopt(
    database: Database, connect: Connect
) -> None:
    assert refused(database, "E_ADOPTED").startswith(f"nothing to adopt: the ledger reaches {HEAD}")
    connect().execute("DROP TABLE ticketdb.ticketdb_alembic_version")
    assert "is at base, but revision 0001 is in the ledger" in refused(database, "E_LEDGER")


def test_the_migration_lock_is_held(forgetful: psycopg.Connection, database: Database) -> None:
    forgetful.execute(own_sql("migrate/sql/bootstrap.sql", Variables(), tables="[]").encode())
    take_migration_lock(forgetful)
    with pytest.raises(TicketdbError, match="holds the migration lock"):
        adopt(database.dsn, Variables(), wait=0.2)


def test_apply_points_to_adopt(forgetful: psycopg.Connection, database: Database) -> None:
    with pytest.raises(TicketdbError) as caught:
        apply(database.dsn, Variables())
    assert caught.value.code == "E_OBJECT_EXISTS"
    assert "public.shows, " in caught.value.message
    assert "if ticketdb made it, run `ticketdb adopt`; otherwise rename" in caught.value.message
    assert forgetful.execute(HISTORY).fetchall() == []
