"""A server whose roles are the test's own, trees of SQL to break, and the program itself."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from tests.conftest import Database, throw_away_database
from tests.migration.workshop import Workshop
from ticketdb import cli
from ticketdb.catalog import Catalog, read_catalog
from ticketdb.config import Variables
from ticketdb.database import Connection
from ticketdb.paths import Tree, shipped_tree
from ticketdb.private_server import Cluster, private_cluster

OTHER_NAMES = Variables(
    schema="""we"ird; 'sch%s :ema\\""",
    monitoring_schema="M O.N-ä",
    internal_schema="in'ner",
    app_role="app's",
    monitor_role='Mon\\"itor',
    dashboard_role="Dash Board",
    datadog_role="data-dog",
    cleanup_job="it's; a \\ job %s",
    cleanup_schedule="*/2 * * * *",
    rollup_schedule="*/2 * * * *",
)

# A show with one seat, which somebody holds.
HOLD = """
    INSERT INTO public.shows (name, starts_at, currency, status)
    VALUES ('x', now() + interval '1 day', 'EUR', 'on_sale');
    INSERT INTO public.show_seats (show_id, section, row_label, seat_number, price_in_cents)
    SELECT id, 'a', 'a', '1', 100 FROM public.shows;
    SELECT public.reserve_seats(show_id, ARRAY[id], 'session') FROM public.show_seats;
"""

# A session of the program that waits for what the test has locked.
WAITING = (
    "FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'ticketdb' AND wait_event_type = 'Lock'"
)


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit status and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def fingerprint(connection: Connection, variables: Variables) -> Catalog:
    """The catalog of a database: equal for databases that are equal."""
    connection.execute("SET search_path = pg_catalog, pg_temp")
    return read_catalog(connection, variables)


class Program(Protocol):
    """What the fixture `ticketdb` gives: a way to run the program as people do."""

    def __call__(self, *arguments: str, **environment: str) -> Finished: ...


class Start(Protocol):
    """What the fixture `start` gives: a way to have the program run beside the test."""

    def __call__(self, *arguments: str, **environment: str) -> subprocess.Popen[str]: ...


def clean_environment(**more: str) -> dict[str, str]:
    """Ours without what would steer libpq or ticketdb."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "TICKETDB_"))}
    return {**kept, **more}


@pytest.fixture
def ticketdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    """Runs the program in the test's folder. In this process: starting Python costs a second."""

    def run(*arguments: str, **environment: str) -> Finished:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            for name in os.environ.keys() - clean_environment():
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["ticketdb", *arguments])
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return Finished(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def start(database: Database) -> Iterator[Start]:
    """Starts the program as a process of its own, about `database`, and ends it after the test."""
    with ExitStack() as stack:

        def run(*arguments: str, **environment: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [Path(sys.executable).with_name("ticketdb"), *arguments],
                    env=clean_environment(**{"TICKETDB_DSN": database.dsn, **environment}),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield run


def take_migration_lock(holder: psycopg.Connection) -> None:
    """As a migration holds it, until `holder` ends its transaction. The table must be there."""
    holder.execute(
        "BEGIN; LOCK TABLE ticketdb.ticketdb_alembic_version IN SHARE UPDATE EXCLUSIVE MODE"
    )


def await_waiting(observer: psycopg.Connection) -> None:
    """Until a session of the program waits for a lock."""
    while observer.execute(f"SELECT {WAITING}".encode()).rowcount == 0:
        pass


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture(scope="session")
def own_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """A server for tests that drop roles, or change who may log in, under nobody's feet."""
    with private_cluster(cluster.binaries) as own:
        yield own


@pytest.fixture
def own_database(own_cluster: Cluster) -> Iterator[Database]:
    """A database of that server, in which no role is left from other tests."""
    with psycopg.connect(own_cluster.dsn(), autocommit=True) as connection:
        roles = connection.execute("SELECT quote_ident(rolname) FROM pg_roles WHERE oid >= 16384")
        for (role,) in roles.fetchall():
            connection.execute(f"DROP ROLE {role}".encode())
    yield from throw_away_database(own_cluster, None)


@pytest.fixture
def tree_copy(tmp_path: Path) -> Tree:
    """The shipped tree, to be changed."""
    shipped = shipped_tree()
    copy = Tree(tmp_path / "sql", tmp_path / "migrations")
    shutil.copytree(shipped.sql, copy.sql)
    shutil.copytree(
        shipped.migrations, copy.migrations, ignore=shutil.ignore_patterns("__pycache__")
    )
    return copy


@pytest.fixture
def workshop(tmp_path: Path, cluster: Cluster) -> Workshop:
    return Workshop(tmp_path, cluster)
