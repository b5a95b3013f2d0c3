"""Settings of roles and databases change neither what is made nor what is said about it."""

import json

import psycopg
import pytest
from psycopg import sql

from tests.support.databases import Connect, Database, fingerprint
from tests.support.program import Program, run_script
from ticketdb.catalog import Catalog, differences, read_catalog
from ticketdb.config import Variables
from ticketdb.database import connect as open_session
from ticketdb.database import explained
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import adopt, apply, revert
from ticketdb.migrate.script import script
from ticketdb.paths import shipped_tree
from ticketdb.private_server import Cluster
from ticketdb.verify import verify

pytestmark = pytest.mark.usefixtures("template_database")  # the roles are there

NAMES = Variables()
CHAIN = read_chain(shipped_tree())
HEAD, BEFORE = CHAIN[-1].revision, CHAIN[-2].revision

# What a DBA may set for a role or a database, and what each of them could bend.
HOSTILE = {
    "quote_all_identifiers": "on",
    "DateStyle": "German, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Pacific/Chatham",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "xmloption": "document",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "check_function_bodies": "off",
    "plpgsql.extra_errors": "all",
    "search_path": "pg_temp, public",
    "client_encoding": "LATIN1",
    "client_min_messages": "debug1",
    "default_transaction_isolation": "serializable",
    "default_toast_compression": "lz4",
    "exit_on_error": "on",
    # Much less than an installation takes, and more than it takes to pin them.
    "statement_timeout": "300ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "400ms",
    "idle_session_timeout": "400ms",
    "row_security": "off",
    "synchronize_seqscans": "off",
    "from_collapse_limit": "1",
    "enable_hashjoin": "off",
    "geqo_threshold": "2",
    "work_mem": "64kB",
    "xmlbinary": "hex",
}
SINCE_16 = {"createrole_self_grant": "set, inherit"}
SINCE_17 = {"transaction_timeout": "400ms", "restrict_nonsystem_relation_kind": "view"}


def hostile_settings(cluster: Cluster) -> dict[str, str]:
    major = cluster.binaries.major
    return HOSTILE | (SINCE_16 if major >= 16 else {}) | (SINCE_17 if major >= 17 else {})


def set_for_all_sessions(database: Database) -> None:
    """Of this database. A list is set as its items, or it would be one item with commas."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for name, value in hostile_settings(database.cluster).items():
            values = value.split(", ") if name == "search_path" else [value]
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                    sql.Identifier(database.name),
                    sql.SQL(".").join(map(sql.Identifier, name.split("."))),
                    sql.SQL(", ").join(map(sql.Literal, values)),
                )
            )


@pytest.fixture
def hostile(empty_database: Database) -> Database:
    """An empty database with all of these settings."""
    set_for_all_sessions(empty_database)
    return empty_database


@pytest.fixture
def expected(database: Database) -> Catalog:
    """What is made in a database that nobody has set anything for."""
    with psycopg.connect(database.dsn) as connection:
        return fingerprint(connection, NAMES)


def catalog(database: Database) -> Catalog:
    with open_session(database.dsn, patient=True) as session:
        return read_catalog(session, NAMES)


def failed_checks(database: Database) -> list[tuple[str, ...]]:
    return [check.details for check in verify(database.dsn, NAMES) if not check.ok]


def stored_settings(database: Database) -> set[str]:
    with psycopg.connect(database.dsn) as connection:
        found = connection.execute(
            "SELECT DISTINCT unnest(p.proconfig) FROM pg_catalog.pg_proc AS p"
            " WHERE p.pronamespace = 'public'::pg_catalog.regnamespace"
        )
        return {setting for (setting,) in found if setting.startswith("search_path")}


def test_the_settings_are_there_and_would_bend_answers(hostile: Database) -> None:
    """The control: a session that does not pin them has them all."""
    with psycopg.connect(hostile.dsn) as session:
        for name, value in hostile_settings(hostile.cluster).items():
            if name.startswith(("plpgsql", "statement", "transaction", "idle", "client")):
                continue
            (found,) = session.execute("SELECT pg_catalog.current_setting(%s)", [name]).fetchall()
            assert found == (value,), name
        shown = session.execute("SELECT pg_catalog.pg_get_viewdef('pg_catalog.pg_user')").fetchall()
        assert '"usename"' in shown[0][0]


def test_apply_makes_the_same_database_and_verify_finds_it_so(
    hostile: Database, expected: Catalog
) -> None:
    assert apply(hostile.dsn, NAMES).revision == HEAD
    assert differences(expected, catalog(hostile)) == []
    assert failed_checks(hostile) == []
    assert stored_settings(hostile) == {"search_path=pg_catalog, pg_temp"}


def test_a_script_makes_the_same_database(hostile: Database, expected: Catalog) -> None:
    assert run_script(hostile, script(NAMES)) == (0, "")
    assert differences(expected, catalog(hostile)) == []
    assert stored_settings(hostile) == {"search_path=pg_catalog, pg_temp"}
    assert failed_checks(hostile) == []


def test_revert_leads_back_and_apply_up_again(database: Database, expected: Catalog) -> None:
    set_for_all_sessions(database)
    middle = CHAIN[len(CHAIN) // 2].revision
    revert(database.dsn, NAMES, middle, allow_data_loss=True)
    assert apply(database.dsn, NAMES).revision == HEAD
    assert differences(expected, catalog(database)) == []


@pytest.mark.xdist_group("own_cluster")  # its roles come and go
def test_nothing_is_left_after_all_is_undone(own_database: Database) -> None:
    set_for_all_sessions(own_database)
    apply(own_database.dsn, NAMES)
    revert(own_database.dsn, NAMES, "base", allow_data_loss=True)
    with psycopg.connect(own_database.dsn) as session:
        left = session.execute(
            "SELECT relname FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.>=) 16384"
        )
        assert left.fetchall() == []


def test_adopt_takes_it_for_what_it_is(database: Database) -> None:
    set_for_all_sessions(database)
    with psycopg.connect(database.dsn) as session:
        session.execute(
            "DROP TABLE ticketdb.ticketdb_migrations, ticketdb.ticketdb_alembic_version"
        )
    assert adopt(database.dsn, NAMES).revision == HEAD
    assert failed_checks(database) == []


def test_plan_and_status_say_the_same(database: Database, ticketdb: Program) -> None:
    revert(database.dsn, NAMES, BEFORE)
    with psycopg.connect(database.dsn, autocommit=True) as session:
        # plan prints current sizes: they are to be the same twice, whatever vacuum is at.
        session.execute("VACUUM ANALYZE ticketdb.ticketdb_migrations")
    plan = ("plan", "--json", "--dsn", database.dsn)
    before = json.loads(ticketdb(*plan).stdout)
    assert before["statements"]
    set_for_all_sessions(database)
    with psycopg.connect(database.dsn, autocommit=True) as session:
        # The role that asks for the dashboards keeps its limits; this one has to be usable.
        limits = [name for name in hostile_settings(database.cluster) if "timeout" in name]
        for limit in limits:
            session.execute(f'ALTER DATABASE "{database.name}" RESET {limit}'.encode())
    after = json.loads(ticketdb(*plan).stdout)
    for was, is_now in zip(before.pop("statements"), after.pop("statements"), strict=True):
        assert is_now == was
    assert after == before
    status = ticketdb("status", "--json", "--dsn", database.dsn)
    assert (status.returncode, json.loads(status.stdout)["revision"]) == (0, BEFORE)


def test_what_is_set_for_a_role_does_not_count_either(
    empty_database: Database, connect: Connect, expected: Catalog
) -> None:
    role = f"clerk_{empty_database.name}"
    superuser = connect(empty_database)
    superuser.execute(f"CREATE ROLE {role} SUPERUSER LOGIN".encode())
    superuser.execute(f"ALTER ROLE {role} SET quote_all_identifiers = on".encode())
    superuser.execute(f"ALTER ROLE {role} SET standard_conforming_strings = off".encode())
    superuser.execute(f"ALTER ROLE {role} SET IntervalStyle = sql_standard".encode())
    superuser.execute(f"ALTER ROLE {role} SET statement_timeout = '5ms'".encode())
    apply(empty_database.dsn_as(role), NAMES)
    assert differences(expected, catalog(empty_database)) == []
    superuser.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER".encode())
    superuser.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


# Hints are known by what raised them: its words depend on lc_messages.


@pytest.mark.parametrize(
    ("statement", "hint"),
    [
        (
            "DO $$ BEGIN RAISE EXCEPTION 'x' USING HINT = 'ask the caretaker'; END $$",
            "x [SQLSTATE P0001] - ask the caretaker",
        ),
        # PostgreSQL's own hint, which is about something else, is not printed.
        ("SELECT pg_catalog.lower(1)", "[SQLSTATE 42883] - it was rolled back"),
    ],
)
def test_a_hint_of_ours_is_given_in_every_language(
    statement: str, hint: str, empty_database: Database, connect: Connect
) -> None:
    with pytest.raises(TicketdbError) as caught, explained("here", statement):
        connect(empty_database).execute(statement.encode())
    assert caught.value.message.endswith(hint)


def test_a_role_that_may_not_create_roles_gets_that_error_in_every_language(
    empty_database: Database, connect: Connect
) -> None:
    """In another language only the SQLSTATE, and the function of the server, are the same."""
    role = f"clerk_{empty_database.name}"
    connect(empty_database).execute(f"CREATE ROLE {role} LOGIN".encode())
    try:
        with pytest.raises(TicketdbError) as caught, explained("here"):
            connect(empty_database, user=role).execute("CREATE ROLE nobody_at_all")
        assert "apply as a role with CREATEROLE" in caught.value.message
    finally:
        connect(empty_database).execute(f"DROP ROLE {role}".encode())
