"""A server whose roles are the test's own, trees of SQL to break, and the program itself."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.support.databases import Database, throw_away_database
from tests.support.program import Finished, Program, Start, clean_environment
from tests.support.workshop import Workshop
from ticketdb import cli
from ticketdb.paths import Tree, shipped_tree
from ticketdb.private_server import Cluster, private_cluster


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


@pytest.fixture(scope="session")
def own_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """A server for tests that drop roles, or change who may log in: other tests would notice."""
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
