"""The script for psql: the same database as apply, or a refusal before anything is changed."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support.by_hand import add_indexes
from tests.support.databases import Connect, Database, fingerprint
from tests.support.program import Program, run_script, take_migration_lock
from ticketdb.catalog import differences
from ticketdb.config import Variables
from ticketdb.develop.generate import AWKWARD_NAMES
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.script import script
from ticketdb.paths import Tree, shipped_tree

own_server = pytest.mark.xdist_group("own_cluster")
both_names = pytest.mark.parametrize(
    "names",
    [pytest.param(Variables(), id="default names"), pytest.param(AWKWARD_NAMES, id="others")],
)
NAMES = Variables()
CHAIN = read_chain(shipped_tree())
HEAD, BEFORE, MIDDLE = CHAIN[-1].revision, CHAIN[-2].revision, CHAIN[len(CHAIN) // 2].revision
NEXT = f"{int(HEAD) + 1:04d}"
INDEX = "CREATE INDEX CONCURRENTLY shows_venue_idx ON {{ schema }}.shows (venue)"


def contents(database: Database, names: Variables = NAMES) -> tuple[Any, ...]:
    """The catalog, the ledger without its times, and alembic's version."""
    columns = "revision, source_sha256, rendered_sha256, package_version, applied_by, variables"
    with psycopg.connect(database.dsn) as connection:
        catalog = fingerprint(connection, names)
        tables = [
            connection.execute(
                sql.SQL("SELECT {} FROM {} ORDER BY 1").format(
                    sql.SQL(what), sql.Identifier(names.internal_schema, table)
                )
            ).fetchall()
            for what, table in (
                (columns, "ticketdb_migrations"),
                ("version_num", "ticketdb_alembic_version"),
            )
        ]
    return catalog, *tables


@pytest.fixture
def behind(database: Database) -> Database:
    """A database that is a revision behind, so that a script has something to do."""
    revert(database.dsn, NAMES, BEFORE)
    return database


def refused(database: Database, text: str, user: str = "postgres") -> str:
    """What a script says that must not run; and nothing has changed."""
    before = contents(database)
    status, printed = run_script(database, text, user=user)
    assert status == 3, printed
    assert contents(database) == before
    return printed


@own_server
@both_names
def test_a_script_makes_the_database_that_apply_makes(
    own_database: Database, names: Variables
) -> None:
    apply(own_database.dsn, names)
    catalog, *tables = contents(own_database, names)
    revert(own_database.dsn, names, "base", allow_data_loss=True)
    for start, to in (("base", MIDDLE), (MIDDLE, "head")):
        assert run_script(own_database, script(names, start=start, to=to)) == (0, "")
    scripted, *others = contents(own_database, names)
    assert differences(catalog, scripted) == []
    assert others == tables
    assert apply(own_database.dsn, names).applied == ()
    revert(own_database.dsn, names, "base", allow_data_loss=True)


def test_a_script_does_not_run_twice(behind: Database) -> None:
    text = script(NAMES, start=BEFORE)
    assert run_script(behind, text) == (0, "")
    assert f"this script has been run, the database is at {HEAD}" in refused(behind, text)


def test_a_script_that_was_interrupted_is_continued_by_another(behind: Database) -> None:
    revert(behind.dsn, NAMES, MIDDLE, allow_data_loss=True)
    text = script(NAMES, start=MIDDLE)
    half = text[: text.index(f"\\echo {BEFORE}: ")]
    assert run_script(behind, half) == (0, "")
    reached = CHAIN[-3].revision
    printed = refused(behind, text)
    assert f"this script starts at revision {MIDDLE}, the database is at {reached}" in printed
    assert f"HINT:  make another with `ticketdb script --from {reached}`" in printed
    assert run_script(behind, script(NAMES, start=reached)) == (0, "")


def test_a_script_that_fails_leaves_the_revisions_before(behind: Database) -> None:
    revert(behind.dsn, NAMES, CHAIN[-3].revision, allow_data_loss=True)
    text = script(NAMES, start=CHAIN[-3].revision)
    position = text.rindex("COMMIT;")
    status, printed = run_script(behind, f"{text[:position]}SELECT 1 / 0;\n{text[position:]}")
    assert (status, "division by zero" in printed) == (3, True)
    _, ledger, version = contents(behind)
    assert version == [(BEFORE,)]
    assert [row[0] for row in ledger] == [revision.revision for revision in CHAIN[:-1]]
    assert run_script(behind, script(NAMES, start=BEFORE)) == (0, "")


def test_a_script_starts_where_it_was_made_for(behind: Database) -> None:
    printed = refused(behind, script(NAMES))
    assert f"starts at revision base, the database is at {BEFORE}" in printed
    printed = refused(behind, script(NAMES, start=MIDDLE, to=BEFORE))
    assert f"has been run, the database is at {BEFORE}" in printed
    printed = refused(behind, script(NAMES, start=HEAD))
    assert f"starts at revision {HEAD}, the database is at {BEFORE}" in printed


def test_a_script_is_for_one_role(behind: Database, connect: Connect) -> None:
    role = f"clerk_{behind.name}"
    connect(behind).execute(f"CREATE ROLE {role} SUPERUSER LOGIN".encode())
    text = script(NAMES, start=BEFORE, role=role)
    assert f"this script is for role {role}, and this is postgres" in refused(behind, text)
    # By default it is for the owner of what is there.
    text = script(NAMES, start=BEFORE)
    printed = refused(behind, text, user=role)
    assert f"this script is for role postgres, and this is {role}" in printed
    assert run_script(behind, "SET ROLE postgres;\n" + text, user=role) == (0, "")
    connect(behind).execute(f"DROP ROLE {role}".encode())


def test_a_script_is_for_one_major_version_if_asked_for(
    behind: Database, ticketdb: Program, tmp_path: Path
) -> None:
    major = behind.cluster.binaries.major
    other = 18 if major < 18 else 17
    printed = refused(behind, script(NAMES, start=BEFORE, major=other))
    assert f"this script is for PostgreSQL {other}, and this is {major}" in printed
    file = tmp_path / "script.sql"
    options = ["--from", BEFORE, "--major", str(major), "--role", "postgres", "--out", str(file)]
    assert ticketdb("script", *options).returncode == 0
    assert run_script(behind, file.read_text()) == (0, "")
    unknown = ticketdb("script", "--major", "14")
    assert (unknown.returncode, "equal to 15" in unknown.stderr) == (2, True)


def test_a_script_is_for_the_major_versions_that_are_supported(
    behind: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    major = behind.cluster.binaries.major
    monkeypatch.setattr("ticketdb.migrate.script.SUPPORTED_MAJORS", range(major + 1, major + 3))
    printed = refused(behind, script(NAMES, start=BEFORE))
    assert f"for PostgreSQL {major + 1}, {major + 2}, and this is {major}" in printed


@pytest.mark.parametrize(
    ("tampering", "printed"),
    [
        (
            "DELETE FROM ticketdb.ticketdb_migrations WHERE revision = '0003'",
            "revision 0003 is not in the ledger",
        ),
        (
            f"UPDATE ticketdb.ticketdb_migrations SET revision = 'x' WHERE revision = '{BEFORE}'",
            f"revision {BEFORE} is not in the ledger",
        ),
        (
            (
                "UPDATE ticketdb.ticketdb_migrations SET source_sha256 = repeat('0', 64)"
                " WHERE revision = '0002'"
            ),
            "revision 0002 was another file when it was applied",
        ),
    ],
)
def test_a_script_is_for_a_database_with_the_same_history(
    tampering: str, printed: str, behind: Database, connect: Connect
) -> None:
    connect(behind).execute(tampering.encode())
    assert f"is for another database: {printed}" in refused(behind, script(NAMES, start=BEFORE))


def test_a_script_is_for_a_database_with_the_same_names(behind: Database) -> None:
    text = script(replace(NAMES, purge_job="sweep"), start=BEFORE)
    printed = refused(behind, text)
    assert "built with purge_job = purge-ticketing-history, not sweep" in printed


def test_a_script_takes_the_migration_lock(behind: Database, connect: Connect) -> None:
    holder = connect(behind)
    take_migration_lock(holder)
    text = script(NAMES, start=BEFORE)
    assert "another migration of this schema is running" in refused(behind, text)
    holder.close()
    assert run_script(behind, text) == (0, "")


def test_a_script_holds_the_migration_lock_while_a_revision_runs(
    behind: Database, connect: Connect
) -> None:
    blocker, observer = connect(behind), connect(behind)
    blocker.execute("BEGIN; LOCK TABLE ticketdb.ticketdb_migrations IN SHARE MODE")
    text = script(NAMES, start=BEFORE)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_script, behind, text)
        while not observer.execute(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND application_name = 'psql' AND datname = current_database()"
        ).fetchall():
            assert not running.done()
        with pytest.raises(TicketdbError, match=r"psql.* holds the migration lock"):
            apply(behind.dsn, NAMES, wait=0)
        blocker.execute("COMMIT")
        assert running.result() == (0, "")
    assert apply(behind.dsn, NAMES, wait=0).applied == ()


def test_a_script_stops_where_another_migration_has_come_in_between(behind: Database) -> None:
    revert(behind.dsn, NAMES, CHAIN[-3].revision, allow_data_loss=True)
    text = script(NAMES, start=CHAIN[-3].revision)
    position = text.index(f"\\echo {HEAD}: ")
    other = script(NAMES, start=BEFORE)
    status, printed = run_script(behind, text[:position] + other + text[position:])
    assert (status, "another migration has come in between" in printed) == (3, True)
    assert f"the database is at {HEAD}" in printed
    assert contents(behind)[2] == [(HEAD,)]


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ("BEGIN;\n", ()),
        ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nSELECT 1;\n", ()),
        ("\\set AUTOCOMMIT off\nSELECT 1;\n", ()),
        ("", ("-1",)),
    ],
    ids=["BEGIN", "serializable", "without autocommit", "psql -1"],
)
def test_a_script_is_refused_inside_a_transaction(
    before: str, options: tuple[str, ...], behind: Database
) -> None:
    """Who ends that decides whether anything has happened: one might say ROLLBACK."""
    text = script(NAMES, start=BEFORE)
    unchanged = contents(behind)
    status, printed = run_script(behind, f"{before}{text}", *options)
    assert (status, "this script must not be run inside a transaction" in printed) == (3, True), (
        printed
    )
    assert "psql without -1" in printed
    assert contents(behind) == unchanged
    assert run_script(behind, text) == (0, "")


def test_a_script_inside_a_transaction_installs_nothing(
    empty_database: Database, connect: Connect
) -> None:
    text = f"BEGIN;\n{script(NAMES)}\nCOMMIT;\n"
    status, printed = run_script(empty_database, text, "-v", "ON_ERROR_STOP=0")
    assert (status, "must not be run inside a transaction" in printed) == (3, True)
    made = connect(empty_database).execute("SELECT relname FROM pg_class WHERE oid >= 16384")
    assert made.fetchall() == []


def test_a_script_that_would_lead_down_is_not_written(ticketdb: Program) -> None:
    done = ticketdb("script", "--from", HEAD, "--to", MIDDLE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error [E_BEYOND]: a script only applies revisions, and {MIDDLE} comes before {HEAD}"
        f" - to go back: `ticketdb revert --to {MIDDLE}`\n"
    )


def test_a_script_leaves_the_session_as_it_was(behind: Database) -> None:
    show = (
        "SELECT name, setting FROM pg_settings WHERE name !~ '^transaction_|[.]'"
        " AND name NOT IN ('application_name', 'client_encoding') ORDER BY name;\n"
    )
    text = script(NAMES, start=BEFORE)
    psql = behind.cluster.binaries.bindir / "psql"
    command: list[Any] = [psql, "-X", "-q", "-A", "-t", behind.dsn]
    done = subprocess.run(
        command, input=show + text + show, check=True, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    settings = len(lines) - max(n for n, line in enumerate(lines) if line.startswith("DateStyle|"))
    assert settings > 100
    assert lines[:settings] == lines[-settings:]


def test_a_script_refuses_tables_that_were_there_before(
    empty_database: Database, connect: Connect
) -> None:
    connection = connect(empty_database)
    connection.execute("CREATE TABLE public.shows (id integer)")
    status, printed = run_script(empty_database, script(NAMES))
    assert (status, "public.shows is there already" in printed) == (3, True)
    made = connection.execute("SELECT relname FROM pg_class WHERE oid >= 16384 AND relkind = 'r'")
    assert made.fetchall() == [("shows",)]


@pytest.fixture
def extended(tree_copy: Tree) -> Tree:
    """A tree with one more revision, which makes an index outside a transaction."""
    add_indexes(tree_copy, INDEX, "COMMENT ON INDEX {{ schema }}.shows_venue_idx IS 'x;y'")
    return tree_copy


def test_a_script_runs_what_runs_outside_a_transaction(database: Database, extended: Tree) -> None:
    apply(database.dsn, NAMES, tree=extended)
    catalog, *tables = contents(database)
    revert(database.dsn, NAMES, BEFORE, tree=extended, allow_data_loss=True)
    with psycopg.connect(database.dsn) as connection:
        connection.execute("DROP INDEX public.shows_venue_idx")
    assert run_script(database, script(NAMES, start=BEFORE, tree=extended)) == (0, "")
    scripted, *others = contents(database)
    assert differences(catalog, scripted) == []
    assert others == tables


def test_a_script_finishes_an_index_that_was_left_invalid(
    database: Database, extended: Tree, connect: Connect
) -> None:
    """As after an attempt that was interrupted: its revision has not been reached."""
    connection = connect()
    made = INDEX.replace("{{ schema }}", "public").encode()
    connection.execute(made)
    valid = "indexrelid = 'public.shows_venue_idx'::regclass"
    connection.execute(f"UPDATE pg_index SET indisvalid = false WHERE {valid}".encode())
    assert run_script(database, script(NAMES, start=HEAD, tree=extended)) == (0, "")
    found = connection.execute(f"SELECT indisvalid FROM pg_index WHERE {valid}".encode())
    assert found.fetchone() == (True,)
    assert contents(database)[2] == [(NEXT,)]


def test_a_script_stops_where_an_index_cannot_be_made(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    unique = INDEX.replace("INDEX", "UNIQUE INDEX", 1)
    add_indexes(tree_copy, unique)
    connection = connect()
    connection.execute(
        "INSERT INTO public.shows (name, venue, starts_at, currency)"
        " VALUES ('a', 'x', now(), 'EUR'), ('b', 'x', now(), 'EUR')"
    )
    text = script(NAMES, start=HEAD, tree=tree_copy)
    status, printed = run_script(database, text)
    assert (status, 'create unique index "shows_venue_idx"' in printed) == (3, True)
    assert contents(database)[2] == [(HEAD,)]
    connection.execute("DELETE FROM public.shows")
    assert run_script(database, text) == (0, "")
    assert contents(database)[2] == [(NEXT,)]
