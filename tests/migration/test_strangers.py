"""Who else may create in our schemas is reported; what they made to catch calls is a difference."""

import json
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.support.databases import Connect, Database
from tests.support.program import Program
from ticketdb.config import Variables
from ticketdb.migrate.commands import apply
from ticketdb.verify import Check, verify


@pytest.fixture
def landlord(database: Database, connect: Connect) -> Iterator[str]:
    """Who owns the database, and neither ticketdb nor the server."""
    name = f"landlord_{uuid.uuid4().hex}"
    dba = connect()
    dba.execute(f"CREATE ROLE {name} LOGIN".encode())
    yield name
    dba.execute(f"ALTER DATABASE {database.name} OWNER TO postgres".encode())
    dba.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


def own_database(dba: psycopg.Connection, landlord: str) -> None:
    dba.execute(
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
            sql.Identifier(dba.info.dbname), sql.Identifier(landlord)
        )
    )


def verdict(database: Database) -> Check:
    """What verify says of strangers; of nothing else does it complain."""
    checks = verify(database.dsn, Variables())
    assert [check.name for check in checks if not check.ok and check.name != "strangers"] == []
    (check,) = (check for check in checks if check.name == "strangers")
    return check


def test_nobody_else_may_create_where_a_superuser_owns_the_database(database: Database) -> None:
    check = verdict(database)
    assert (check.details, check.warnings) == ((), ())


def test_the_owner_of_the_database_is_reported(
    database: Database, connect: Connect, landlord: str
) -> None:
    own_database(connect(), landlord)
    check = verdict(database)
    assert check.ok
    assert check.warnings == (f"role {landlord} may create objects in schema public",)


@pytest.mark.parametrize("schema", ["public", "monitoring"])
def test_others_who_may_create_are_reported_by_verify_and_apply(
    database: Database, connect: Connect, landlord: str, ticketdb: Program, schema: str
) -> None:
    """Everybody may, in `public` of a cluster that was upgraded from PostgreSQL 14."""
    dba = connect()
    dba.execute(f"GRANT CREATE ON SCHEMA {schema} TO {landlord}".encode())
    if schema == "public":
        dba.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    warnings = [f"role {landlord} may create objects in schema {schema}"]
    if schema == "public":
        warnings.insert(0, "PUBLIC may create objects in schema public")
    assert list(apply(database.dsn, Variables()).warnings) == warnings
    for command in ("verify", "apply"):
        done = ticketdb(command, "--dsn", database.dsn)
        assert f"warning: {warnings[0]}" in done.stdout
        assert done.returncode == (1 if command == "verify" and schema == "monitoring" else 0)
    report = json.loads(ticketdb("verify", "--json", "--dsn", database.dsn).stdout)
    assert warnings in [check["warnings"] for check in report["checks"]]
    report = json.loads(ticketdb("apply", "--json", "--dsn", database.dsn).stdout)
    assert report["warnings"] == warnings
    # Of the schema of the views every grant is a difference, besides.
    if schema == "monitoring":
        dba.execute(f"REVOKE CREATE ON SCHEMA monitoring FROM {landlord}".encode())


TRAPS = [
    (
        "CREATE FUNCTION public.cardinality(uuid[]) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "routine public.cardinality(uuid[])",
    ),
    (
        (
            "CREATE FUNCTION public.same(varchar, text) RETURNS boolean LANGUAGE sql"
            " AS 'SELECT true';"
            " CREATE OPERATOR public.=(FUNCTION = public.same, LEFTARG = varchar, RIGHTARG = text)"
        ),
        "operator public.= (character varying, text)",
    ),
    ("CREATE DOMAIN public.uuid AS text", "type public.uuid"),
    ("CREATE VIEW public.pg_stat_activity AS SELECT 1 AS pid", "relation public.pg_stat_activity"),
]


@pytest.mark.parametrize(("trap", "message"), TRAPS, ids=[message for _, message in TRAPS])
def test_what_a_stranger_made_to_catch_a_call_is_a_difference(
    database: Database, connect: Connect, landlord: str, ticketdb: Program, trap: str, message: str
) -> None:
    own_database(connect(), landlord)
    connect(user=landlord).execute(trap.encode())
    (detail,) = verdict(database).details
    assert detail.startswith(f"{message} of role {landlord} ")
    assert ticketdb("verify", "--dsn", database.dsn).returncode == 1
    assert f"warning: {message}" in ticketdb("apply", "--dsn", database.dsn).stdout


@pytest.mark.parametrize(("trap", "message"), TRAPS, ids=[message for _, message in TRAPS])
def test_what_the_owner_or_an_extension_made_gives_nobody_a_right(
    database: Database, connect: Connect, trap: str, message: str
) -> None:
    dba = connect()
    dba.execute(trap.encode())
    assert message
    check = verdict(database)
    assert (check.details, check.warnings) == ((), ())


def test_an_extension_of_a_stranger_is_no_trap(
    database: Database, connect: Connect, landlord: str
) -> None:
    """citext, which its user may install, brings replace(), lower-case operators and more."""
    dba = connect()
    if not dba.execute("SELECT FROM pg_available_extensions WHERE name = 'citext'").fetchall():
        pytest.skip("the server has no citext")
    own_database(dba, landlord)
    connect(user=landlord).execute("CREATE EXTENSION citext SCHEMA public")
    assert verdict(database).details == ()


def test_what_a_stranger_calls_by_names_of_his_own_is_no_concern(
    database: Database, connect: Connect, landlord: str
) -> None:
    own_database(connect(), landlord)
    connect(user=landlord).execute(
        "CREATE FUNCTION public.seats_left() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
        " CREATE TABLE public.venues (id integer)"
    )
    assert verdict(database).details == ()
