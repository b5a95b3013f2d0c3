"""One private PostgreSQL a run, one database a test.

The process that was started as `pytest` owns the cluster, and sends the workers of pytest-xdist its
address. TICKETDB_PG_BINDIR and TICKETDB_TEST_MAJOR choose the server.
"""

import os
import pickle
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import psycopg
import pytest
from pytest_postgresql import factories
from pytest_postgresql.executors import NoopExecutor

from tests.support.databases import (
    CRON_DATABASE,
    CRON_LOCK,
    Connect,
    Database,
    empty,
    skip_without,
    throw_away_database,
)
from tests.support.names import ALL_OF_OURS, HAS_OTHER_NAMES, NAMES
from ticketdb import testing
from ticketdb.errors import TicketdbError
from ticketdb.private_server import (
    SUPERUSER,
    Cluster,
    ServerBinaries,
    find_server_binaries,
    private_cluster,
)

# Set where the clock of all programs is moved: see scripts/at-date.
SHIFTED_CLOCK = "TICKETDB_CLOCK_OFFSET" in os.environ

_stack = pytest.StashKey[ExitStack]()
_cluster = pytest.StashKey[Cluster]()


def _binaries() -> ServerBinaries:
    major = os.environ.get("TICKETDB_TEST_MAJOR")
    return find_server_binaries(major=int(major) if major else None)


def _running_cluster(config: pytest.Config) -> Cluster:
    """The run's cluster, started when it is first asked for."""
    if _cluster not in config.stash:
        stack = config.stash.setdefault(_stack, ExitStack())
        stack.enter_context(testing.sigterm_as_ctrl_c())
        cron = None if SHIFTED_CLOCK else CRON_DATABASE
        cluster = stack.enter_context(private_cluster(_binaries(), cron_database=cron))
        # pg_cron's launcher complains once a second until its database is there.
        cluster.create_database(CRON_DATABASE)
        config.stash[_cluster] = cluster
    return config.stash[_cluster]


def pytest_report_header() -> str:
    try:
        found = _binaries()
    except TicketdbError as error:
        return str(error)
    extensions = [
        f"{'with' if present else 'without'} {name}"
        for name, present in (
            ("pg_cron", found.has_pg_cron),
            ("plpgsql_check", found.has_plpgsql_check),
        )
    ]
    return f"server: PostgreSQL {found.version} in {found.bindir}, {', '.join(extensions)}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send a worker of pytest-xdist the address of the cluster, or the reason why there is none."""
    try:
        node.workerinput["ticketdb_cluster"] = pickle.dumps(_running_cluster(node.config))
    except TicketdbError as error:
        node.workerinput["ticketdb_error"] = str(error)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _stack in config.stash:
        config.stash[_stack].close()


def _is_cron(item: pytest.Item) -> bool:
    return "cron_database" in getattr(item, "fixturenames", ())


def pytest_itemcollected(item: pytest.Item) -> None:
    """One worker gets all tests of pg_cron's one database, or others would wait for their turn."""
    if _is_cron(item):
        item.add_marker(pytest.mark.xdist_group("cron"))


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # In the background of a script pytest ignores SIGINT, and the programs that tests start and
        # interrupt would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with pg_cron's tests: they wait for its clock while the other worker works."""
    items.sort(key=lambda item: not _is_cron(item))
    left_out = {
        item
        for item in items
        if (HAS_OTHER_NAMES and item.get_closest_marker("default_names"))
        or (SHIFTED_CLOCK and _is_cron(item))  # whose clock is waited for
    }
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The run's server, also for pytest-postgresql, as if its options named it."""
    cluster = _given_cluster(request.config)
    request.config.option.postgresql_host = str(cluster.directory)
    request.config.option.postgresql_port = cluster.port
    return cluster


def _given_cluster(config: pytest.Config) -> Cluster:
    given = getattr(config, "workerinput", None)
    if given is None:
        return _running_cluster(config)
    if "ticketdb_error" in given:
        pytest.fail(given["ticketdb_error"], pytrace=False)
    cluster: Cluster = pickle.loads(given["ticketdb_cluster"])
    return cluster


# As a shop has it, with the names of this run.
server_at_head = factories.postgresql_noproc(
    dbname="ticketdb", load=[partial(testing.load, variables=NAMES)]
)


@pytest.fixture(scope="session")
def template_database(cluster: Cluster, server_at_head: NoopExecutor) -> str:
    """A database at head with nothing in it, made once a worker."""
    assert server_at_head.host == str(cluster.directory)  # it was started first
    return server_at_head.template_dbname


@pytest.fixture
def database(cluster: Cluster, template_database: str) -> Iterator[Database]:
    """A database at head, for this test alone."""
    yield from throw_away_database(cluster, template_database)


@pytest.fixture
def empty_database(cluster: Cluster) -> Iterator[Database]:
    """A database without ticketdb, for this test alone."""
    yield from throw_away_database(cluster, None)


@pytest.fixture
def cron_database(cluster: Cluster) -> Iterator[Database]:
    """The empty database that pg_cron serves: one test at a time may have it."""
    skip_without(cluster.binaries, "pg_cron")
    database = Database(cluster, CRON_DATABASE)
    with psycopg.connect(cluster.dsn(), autocommit=True) as turn:
        turn.execute("SELECT pg_advisory_lock(%s)", [CRON_LOCK])
        empty(database)
        yield database


@pytest.fixture
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Opens autocommit connections, by default to `database`; closes them after the test."""
    with ExitStack() as stack:

        def open_connection(
            database: Database | None = None, *, user: str = SUPERUSER
        ) -> psycopg.Connection:
            target: Database = database or request.getfixturevalue("database")
            opened = stack.enter_context(psycopg.connect(target.dsn_as(user), autocommit=True))
            opened.execute(ALL_OF_OURS)
            return opened

        yield open_connection
