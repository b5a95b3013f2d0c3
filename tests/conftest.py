"""One private PostgreSQL a run, one database a test.

The process that was started as `pytest` owns the cluster; the workers of pytest-xdist are told
where it is. TICKETDB_PG_BINDIR and TICKETDB_TEST_MAJOR choose the server.
"""

import os
import re
import signal
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from psycopg import sql
from pytest_postgresql import factories
from pytest_postgresql.executors import NoopExecutor
from pytest_postgresql.janitor import DatabaseJanitor

from ticketdb import testing
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import MADE, read_sources
from ticketdb.paths import shipped_tree
from ticketdb.private_server import (
    SUPERUSER,
    Cluster,
    ServerBinaries,
    find_server_binaries,
    private_cluster,
)

# What things are called in the databases of the tests: as shipped, or, in a second run of the suite
# with TICKETDB_TEST_NAMES=other, nothing of it.
OTHER_NAMES = os.environ.get("TICKETDB_TEST_NAMES") == "other"
NAMES = (
    Variables(
        schema="box office",
        monitoring_schema="gauges",
        internal_schema="boiler room",
        app_role="shop",
        monitor_role="watchers",
        dashboard_role="wallboard",
        datadog_role="hound",
        cleanup_job="sweep",
        rollup_job="tally",
        invariants_job="proof",
        partition_job="months",
        purge_job="forget",
    )
    if OTHER_NAMES
    else Variables()
)
SCHEMAS = (NAMES.schema, NAMES.monitoring_schema, NAMES.internal_schema)
# Set where all of this runs at another time of the world: see scripts/at-date.
SHIFTED_CLOCK = "TICKETDB_CLOCK_OFFSET" in os.environ
CRON_DATABASE = "ticketdb_cron"
REQUIRE_PG_CRON = "TICKETDB_REQUIRE_PG_CRON"

# An advisory lock, whose number means nothing: one worker at a time has pg_cron's database.
CRON_LOCK = 8_421_007

_stack = pytest.StashKey[ExitStack]()
_cluster = pytest.StashKey[Cluster]()


def quoted(name: str) -> str:
    """The name as SQL writes it, for places that take text: a setting, a regnamespace."""
    return sql.Identifier(name).as_string()


# As SQL writes them, and a session that has them all on its path.
OURS = [quoted(schema) for schema in SCHEMAS]
ALL_OF_OURS = f"SET search_path = {', '.join(dict.fromkeys([*OURS, 'public']))}".encode()


@cache
def _schemas() -> dict[str, str]:
    """The variable that names the schema of each object of ours, by the object's name."""
    made = (MADE.search(source.text) for source in read_sources(shipped_tree()))
    paths = (first["name"] for first in made if first and first["name"] and "." in first["name"])
    return {name: schema for schema, name in (re.findall(r"\w+", path) for path in paths)}


def located(name: str) -> sql.Identifier:
    """A table, view or function of ours with its schema."""
    return sql.Identifier(getattr(NAMES, _schemas()[name]), name)


@dataclass(frozen=True)
class Database:
    """A database of the run's cluster, whose sessions find the tables without naming their schema.

    They find `public` as it is. For another schema the connection brings the search path along, as
    a DBA might set it. Nothing of ticketdb itself may need that: the template is made without.
    """

    cluster: Cluster
    name: str

    @property
    def dsn(self) -> str:
        return self.dsn_as(SUPERUSER)

    def dsn_as(self, user: str) -> str:
        """The same database, entered as another role. The cluster trusts everybody who gets in."""
        options = None
        if OTHER_NAMES:
            # Blanks separate options, so those within a name are escaped.
            path = f"{quoted(NAMES.schema)},public"
            options = "-c search_path=" + re.sub(r"([\\ ])", r"\\\1", path)
        return self.cluster.dsn(self.name, user, options=options)


class Connect(Protocol):
    """What the fixture `connect` gives: a factory of autocommit connections."""

    def __call__(
        self, database: Database | None = None, *, user: str = SUPERUSER
    ) -> psycopg.Connection: ...


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
    """Tell a worker of pytest-xdist where the cluster is, or why there is none."""
    try:
        cluster = _running_cluster(node.config)
    except TicketdbError as error:
        node.workerinput["ticketdb_error"] = str(error)
        return
    binaries = asdict(cluster.binaries) | {"bindir": str(cluster.binaries.bindir)}
    node.workerinput["ticketdb_cluster"] = {
        "directory": str(cluster.directory),
        "port": cluster.port,
        "superuser": cluster.superuser,
        "binaries": binaries,
    }


def pytest_unconfigure(config: pytest.Config) -> None:
    if _stack in config.stash:
        config.stash[_stack].close()


def _is_cron(item: pytest.Item) -> bool:
    return "cron_database" in getattr(item, "fixturenames", ())


def pytest_itemcollected(item: pytest.Item) -> None:
    """One worker gets all tests of pg_cron's one database, or others would wait for their turn."""
    if _is_cron(item):
        item.add_marker(pytest.mark.xdist_group("cron"))


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Whoever runs pytest in the background of a script has it ignore SIGINT, and the programs
        # that tests start and interrupt would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers",
        "default_names: left out of the run with other names, in which it would say nothing new",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with pg_cron's tests: they wait for its clock while the other worker works."""
    items.sort(key=lambda item: not _is_cron(item))
    left_out = {
        item
        for item in items
        if (OTHER_NAMES and item.get_closest_marker("default_names"))
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
    described = given["ticketdb_cluster"]
    binaries = described["binaries"] | {"bindir": Path(described["binaries"]["bindir"])}
    return Cluster(
        directory=Path(described["directory"]),
        port=described["port"],
        superuser=described["superuser"],
        binaries=ServerBinaries(**binaries),
    )


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


def skip_without(binaries: ServerBinaries, *extensions: str) -> None:
    """Skip this test where the server lacks one of these, or fail it where they are required."""
    lacking = [name for name in extensions if not getattr(binaries, f"has_{name}")]
    if lacking:
        reason = f"the server in {binaries.bindir} has no {' and no '.join(lacking)}"
        if os.environ.get(REQUIRE_PG_CRON) == "1":
            pytest.fail(f"{reason}, and {REQUIRE_PG_CRON} is 1", pytrace=False)
        pytest.skip(reason)


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


def throw_away_database(cluster: Cluster, template: str | None) -> Iterator[Database]:
    database = Database(cluster, f"test_{uuid.uuid4().hex}")
    with DatabaseJanitor(
        host=str(cluster.directory),
        port=cluster.port,
        user=cluster.superuser,
        dbname=database.name,
        template_dbname=template,
    ):
        yield database


def empty(database: Database) -> None:
    """Take everything out of pg_cron's database.

    It cannot be dropped: pg_cron's launcher holds a session on it, and forcing that session out
    ends the launcher until the server is restarted, under the feet of all other tests.
    """
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP EXTENSION IF EXISTS pg_cron CASCADE")
        schemas = connection.execute(
            "SELECT nspname FROM pg_namespace"
            " WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        )
        for (schema,) in schemas.fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        connection.execute(
            sql.SQL("ALTER DATABASE {} RESET ALL").format(sql.Identifier(database.name))
        )
