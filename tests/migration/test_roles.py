"""Roles belong to the whole server: whose they are, who may change them, and when they go.

On a server of the test's own, since roles come and go here.
"""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from tests.support.databases import Database, throw_away_database
from tests.support.program import Program
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate.commands import apply, revert
from ticketdb.private_server import Cluster
from ticketdb.verify import verify

pytestmark = pytest.mark.xdist_group("own_cluster")

NAMES = Variables()
LOGINS = {NAMES.dashboard_role, NAMES.datadog_role}
OURS = {NAMES.app_role, NAMES.box_office_role, NAMES.monitor_role} | LOGINS
# All that a role is but for its password, memberships and grants.
FACTS = """
    SELECT rolname::text, to_jsonb(pg_roles) - 'rolpassword' || jsonb_build_object(
        'comment', shobj_description(oid, 'pg_authid'),
        'here', (SELECT setconfig FROM pg_db_role_setting WHERE setrole = oid AND setdatabase > 0)
    )
    FROM pg_roles WHERE oid >= 16384
"""


@pytest.fixture
def dba(own_database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(own_database.dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def other_database(own_database: Database) -> Iterator[Database]:
    """A second database of the same server."""
    yield from throw_away_database(own_database.cluster, None)


@pytest.fixture
def migrator(own_database: Database, dba: psycopg.Connection) -> Iterator[str]:
    """A DSN of one who owns the database and may make roles, and is no superuser."""
    dba.execute("CREATE ROLE migrator LOGIN CREATEROLE")
    dba.execute(f"ALTER DATABASE {own_database.name} OWNER TO migrator".encode())
    yield own_database.dsn_as("migrator")
    revert(own_database.dsn_as("migrator"), NAMES, "base", allow_data_loss=True)
    dba.execute(f"ALTER DATABASE {own_database.name} OWNER TO postgres".encode())


def roles(connection: psycopg.Connection) -> dict[str, dict[str, object]]:
    return dict(connection.execute(FACTS.encode()).fetchall())


def failed(database: Database, names: Variables = NAMES) -> list[str]:
    return [detail for check in verify(database.dsn, names) for detail in check.details]


def take_away(database: Database, names: Variables = NAMES) -> None:
    revert(database.dsn, names, "base", allow_data_loss=True)


# What is made


def test_logins_that_ticketdb_makes_have_limits_and_groups_cannot_log_in(
    own_database: Database, dba: psycopg.Connection
) -> None:
    apply(own_database.dsn, NAMES)
    made = roles(dba)
    assert made.keys() == OURS
    for name in OURS:
        is_login = name in LOGINS
        assert made[name]["rolcanlogin"] is is_login
        assert (made[name]["rolconnlimit"] in range(1, 21)) is is_login
        settings = ["statement_timeout=4s", "idle_in_transaction_session_timeout=10s"]
        assert made[name]["rolconfig"] == (settings if is_login else None)
    take_away(own_database)
    assert roles(dba) == {}


def test_a_login_has_no_more_connections_than_its_limit(
    own_database: Database, dba: psycopg.Connection
) -> None:
    apply(own_database.dsn, NAMES)
    limit = roles(dba)[NAMES.datadog_role]["rolconnlimit"]
    assert isinstance(limit, int)
    sessions = [psycopg.connect(own_database.dsn_as(NAMES.datadog_role)) for _ in range(limit)]
    with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
        psycopg.connect(own_database.dsn_as(NAMES.datadog_role))
    limits = "SELECT current_setting('idle_in_transaction_session_timeout')"
    assert sessions[0].execute(limits).fetchone() == ("10s",)
    for session in sessions:
        session.close()
    take_away(own_database)


# What is there already


EXISTING = [
    "CREATE ROLE datadog LOGIN PASSWORD 'x' CONNECTION LIMIT 3",
    "ALTER ROLE datadog SET statement_timeout = '1min'",
    "ALTER ROLE datadog SET search_path = datadog",
    "GRANT pg_monitor TO datadog",
]


@pytest.mark.parametrize("comment", [None, "The Agent's"])
def test_a_role_that_exists_is_used_as_it_is_by_a_superuser(
    own_database: Database, dba: psycopg.Connection, comment: str | None
) -> None:
    for statement in EXISTING:
        dba.execute(statement.encode())
    if comment:
        dba.execute("COMMENT ON ROLE datadog IS 'The Agent''s'")
    before = roles(dba)["datadog"]
    apply(own_database.dsn, NAMES)
    assert roles(dba)["datadog"] == before
    assert failed(own_database) == []
    with psycopg.connect(own_database.dsn_as("datadog")) as agent:
        assert agent.execute("SELECT count(*) > 0 FROM monitoring.health").fetchone() == (True,)
    # Whatever its owner does with it later is no concern of ours, either.
    dba.execute("ALTER ROLE datadog CREATEDB")
    dba.execute(f"ALTER ROLE datadog IN DATABASE {own_database.name} SET work_mem = '8MB'".encode())
    assert failed(own_database) == []
    take_away(own_database)
    assert roles(dba).keys() == {"datadog"}


def test_an_existing_role_that_is_not_in_our_group_is_reported(
    own_database: Database, dba: psycopg.Connection
) -> None:
    """The control: of a role that exists, what ticketdb did to it is compared anyway."""
    dba.execute("CREATE ROLE datadog LOGIN")
    apply(own_database.dsn, NAMES)
    dba.execute("REVOKE ticketdb_monitor FROM datadog")
    assert [detail for detail in failed(own_database) if "datadog in ticketdb_monitor" in detail]
    dba.execute("GRANT ticketdb_monitor TO datadog")
    take_away(own_database)


def test_a_migrator_without_rights_on_an_existing_role_succeeds(
    own_database: Database, dba: psycopg.Connection, migrator: str
) -> None:
    for statement in EXISTING:
        dba.execute(statement.encode())
    before = roles(dba)["datadog"]
    apply(migrator, NAMES)
    assert roles(dba)["datadog"] == before
    assert failed(own_database) == []
    with psycopg.connect(own_database.dsn_as("datadog")) as agent:
        assert agent.execute("SELECT count(*) > 0 FROM monitoring.health").fetchone() == (True,)


def test_a_role_that_does_not_inherit_reads_the_views_or_is_refused(
    own_database: Database, own_cluster: Cluster, dba: psycopg.Connection
) -> None:
    dba.execute("CREATE ROLE datadog LOGIN NOINHERIT")
    if own_cluster.binaries.major < 16:
        with pytest.raises(TicketdbError, match="does not inherit"):
            apply(own_database.dsn, NAMES)
        return
    apply(own_database.dsn, NAMES)
    with psycopg.connect(own_database.dsn_as("datadog")) as agent:
        assert agent.execute("SELECT count(*) > 0 FROM monitoring.health").fetchone() == (True,)
    take_away(own_database)


# What goes


def test_roles_that_another_installation_uses_stay(
    own_database: Database, other_database: Database, dba: psycopg.Connection
) -> None:
    apply(own_database.dsn, NAMES)
    dba.execute("ALTER ROLE dashboard_reader PASSWORD 'x'")
    apply(other_database.dsn, NAMES)
    take_away(own_database)
    assert roles(dba).keys() == OURS
    password = dba.execute(
        "SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'dashboard_reader'"
    ).fetchone()
    assert password == (True,)
    with psycopg.connect(other_database.dsn_as(NAMES.dashboard_role)) as session:
        session.execute("SELECT * FROM monitoring.health")
    assert failed(other_database) == []
    # The last one closes the door.
    take_away(other_database)
    assert roles(dba) == {}


def test_logins_in_the_group_of_another_installation_stay(
    own_database: Database, other_database: Database, dba: psycopg.Connection
) -> None:
    """They have nothing there but a membership."""
    apply(own_database.dsn, NAMES)
    other = replace(NAMES, monitor_role="watchers", app_role="shop", box_office_role="counter")
    apply(other_database.dsn, other)
    take_away(own_database)
    assert roles(dba).keys() == LOGINS | {"watchers", "shop", "counter"}
    take_away(other_database, other)
    assert roles(dba) == {}


@pytest.mark.parametrize(
    ("use", "kept", "undo"),
    [
        (
            "CREATE ROLE anna; GRANT ticketdb_monitor TO anna",
            {"ticketdb_monitor", *LOGINS, "anna"},
            "DROP ROLE anna",
        ),
        (
            "CREATE ROLE anna; GRANT dashboard_reader TO anna",
            {"dashboard_reader", "anna"},
            "DROP ROLE anna",
        ),
        ("GRANT pg_read_all_data TO datadog", {"datadog"}, "REVOKE pg_read_all_data FROM datadog"),
        (
            "ALTER ROLE datadog IN DATABASE postgres SET work_mem = '8MB'",
            {"datadog"},
            "ALTER ROLE datadog IN DATABASE postgres RESET ALL",
        ),
        (
            "GRANT CONNECT ON DATABASE postgres TO dashboard_reader",
            {"dashboard_reader"},
            "REVOKE CONNECT ON DATABASE postgres FROM dashboard_reader",
        ),
        ("SELECT 1", set(), "SELECT 1"),
    ],
    ids=["a member", "a member of a login", "a membership", "a setting", "a privilege", "nothing"],
)
def test_a_role_that_somebody_uses_stays_and_the_reason_is_printed(
    own_database: Database,
    dba: psycopg.Connection,
    ticketdb: Program,
    use: str,
    kept: set[str],
    undo: str,
) -> None:
    apply(own_database.dsn, NAMES)
    dba.execute(use.encode())
    done = ticketdb("revert", "--to", "base", "--allow-data-loss", "--dsn", own_database.dsn)
    assert done.returncode == 0
    assert roles(dba).keys() == kept
    warned = {line for line in done.stderr.splitlines() if line.startswith("warning: role ")}
    assert len(warned) == len(kept & OURS)
    dba.execute(undo.encode())


def test_who_made_the_roles_and_administers_them_takes_them_away(
    dba: psycopg.Connection, migrator: str
) -> None:
    """From PostgreSQL 16 on a migrator is a member of what it makes, which is no use of it."""
    apply(migrator, NAMES)
    revert(migrator, NAMES, "base", allow_data_loss=True)
    assert roles(dba).keys() == {"migrator"}
