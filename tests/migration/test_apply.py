"""Applying and reverting: whichever way a database was made, it is the same database."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest
import sqlalchemy
from alembic import command
from psycopg import sql

from tests.support.by_hand import OF_SHOWS, add_revision
from tests.support.databases import Connect, Database, fingerprint
from tests.support.names import NAMES
from tests.support.program import take_migration_lock
from ticketdb.catalog import Catalog
from ticketdb.config import Variables
from ticketdb.database import own_sql
from ticketdb.develop.generate import AWKWARD_NAMES
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import alembic_config, read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.run import Run, Step
from ticketdb.migrate.statements import shipped_sql
from ticketdb.paths import Tree, shipped_tree
from ticketdb.private_server import private_cluster
from ticketdb.verify import verify

# One worker has the server whose roles come and go.
own_server = pytest.mark.xdist_group("own_cluster")
# Roles belong to all databases of a server: a test that makes them would race with others.
roles_exist = pytest.mark.usefixtures("template_database")
both_names = pytest.mark.parametrize(
    "names",
    [pytest.param(Variables(), id="default names"), pytest.param(AWKWARD_NAMES, id="others")],
)
CHAIN = read_chain(shipped_tree())
HEAD = CHAIN[-1].revision
BEFORE = CHAIN[-2].revision


def catalog(database: Database, variables: Variables) -> Catalog:
    with psycopg.connect(database.dsn) as connection:
        return fingerprint(connection, variables)


def everything(database: Database) -> list[tuple[str, ...]]:
    """Schemas, relations, routines and roles of anybody but PostgreSQL."""
    with psycopg.connect(database.dsn) as connection:
        return connection.execute(
            "SELECT 'schema', nspname FROM pg_namespace"
            " WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
            " UNION ALL SELECT 'relation', oid::regclass::text FROM pg_class WHERE oid >= 16384"
            " UNION ALL SELECT 'routine', oid::regprocedure::text FROM pg_proc WHERE oid >= 16384"
            " UNION ALL SELECT 'role', rolname FROM pg_roles WHERE oid >= 16384 ORDER BY 1, 2"
        ).fetchall()


def failed_checks(database: Database, variables: Variables) -> list[str]:
    return [check.name for check in verify(database.dsn, variables) if not check.ok]


@own_server
@both_names
def test_down_to_nothing_and_up_again_is_the_same_database(
    own_database: Database, names: Variables
) -> None:
    before = everything(own_database)
    first = apply(own_database.dsn, names)
    assert [step.revision for step in first.applied] == [r.revision for r in CHAIN]
    built = catalog(own_database, names)
    assert len(built) > 500

    assert apply(own_database.dsn, names).applied == ()
    assert catalog(own_database, names) == built
    assert failed_checks(own_database, names) == []

    revert(own_database.dsn, names, "base", allow_data_loss=True)
    assert everything(own_database) == before
    apply(own_database.dsn, names)
    assert catalog(own_database, names) == built
    revert(own_database.dsn, names, "base", allow_data_loss=True)


@own_server
def test_every_revision_down_and_up_again_changes_nothing(own_database: Database) -> None:
    for before, revision in zip([None, *CHAIN], CHAIN, strict=False):
        apply(own_database.dsn, Variables(), to=revision.revision)
        there = catalog(own_database, Variables())
        lower = before.revision if before else "base"
        revert(own_database.dsn, Variables(), lower, allow_data_loss=True)
        assert catalog(own_database, Variables()) != there
        apply(own_database.dsn, Variables(), to=revision.revision)
        assert catalog(own_database, Variables()) == there, revision.name
    revert(own_database.dsn, Variables(), "base", allow_data_loss=True)


@roles_exist
def test_the_sources_make_the_database_that_the_revisions_make(
    empty_database: Database, database: Database
) -> None:
    """Edits of sql/ that were not frozen, and revisions that do not do what sql/ says, differ."""
    names = NAMES
    revoke = sql.SQL("SELECT {}.revoke_default_privileges()").format(
        sql.Identifier(names.internal_schema)
    )
    with psycopg.connect(empty_database.dsn) as connection:
        connection.execute(own_sql("migrate/sql/bootstrap.sql", names, tables="[]").encode())
        connection.execute(shipped_sql(names, shipped_tree()).encode())
        connection.execute(revoke)
    assert catalog(empty_database, names) == catalog(database, names)

    with psycopg.connect(empty_database.dsn) as connection:
        connection.execute(
            sql.SQL("COMMENT ON TABLE {} IS 'edited'").format(sql.Identifier(names.schema, "shows"))
        )
    assert catalog(empty_database, names) != catalog(database, names)


@own_server
def test_without_manage_roles_the_dba_gets_the_statements_that_are_missing(
    own_database: Database,
) -> None:
    apply(own_database.dsn, Variables())
    expected = catalog(own_database, Variables())
    revert(own_database.dsn, Variables(), "base", allow_data_loss=True)

    unmanaged = Variables(manage_roles=False)
    result = apply(own_database.dsn, unmanaged)
    assert not any(kind.startswith("role") for kind, _ in catalog(own_database, Variables()))
    assert failed_checks(own_database, unmanaged) == []
    assert any("CREATE ROLE" in statement for statement in result.grants)
    with psycopg.connect(own_database.dsn) as dba:
        for statement in result.grants:
            dba.execute(statement.encode())
    assert catalog(own_database, Variables()) == expected
    assert failed_checks(own_database, unmanaged) == []
    with psycopg.connect(own_database.dsn) as dba:
        roles = "ticketdb_app, dashboard_reader, datadog, ticketdb_monitor"
        dba.execute(f"DROP OWNED BY {roles}; DROP ROLE {roles}".encode())
    revert(own_database.dsn, unmanaged, "base", allow_data_loss=True)


@own_server
def test_a_dry_run_runs_everything_and_leaves_nothing(own_database: Database) -> None:
    before = everything(own_database)
    steps: list[Step] = []
    result = apply(own_database.dsn, Variables(), dry_run=True, progress=steps.append)
    assert len(result.applied) == len(CHAIN)
    assert [step.revision for step in steps if step.kind == "done"] == [r.revision for r in CHAIN]
    assert everything(own_database) == before


@own_server
def test_when_the_first_revision_fails_nothing_is_left(
    own_database: Database, tree_copy: Tree
) -> None:
    before = everything(own_database)
    up = read_chain(tree_copy)[0].python_file.with_suffix(".up.sql")
    up.write_text(up.read_text() + "SELECT 1 / 0;\n")
    with pytest.raises(TicketdbError, match="division by zero") as caught:
        apply(own_database.dsn, AWKWARD_NAMES, tree=tree_copy)
    assert (caught.value.code, caught.value.exit_status) == ("E_MIGRATION_FAILED", 5)
    assert everything(own_database) == before


@roles_exist
def test_a_failure_names_revision_object_and_line_and_keeps_what_was_done(
    empty_database: Database, tree_copy: Tree
) -> None:
    second = read_chain(tree_copy)[1].python_file.with_suffix(".up.sql")
    text = second.read_text()
    marker = re.search(r"^-- object: (\S+) .*\n", text, re.MULTILINE)
    assert marker
    second.write_text(text[: marker.end()] + "\nSELECT nonsense;\n" + text[marker.end() :])
    with pytest.raises(TicketdbError) as caught:
        apply(empty_database.dsn, Variables(), tree=tree_copy)
    message = str(caught.value)
    assert f"{second.name}, {marker[1]}, line 2: column" in message
    assert "\n" not in message
    # One transaction a revision: with the file mended, the next apply goes on from the first.
    second.write_text(text)
    applied = apply(empty_database.dsn, Variables(), tree=tree_copy).applied
    assert applied[0].revision == CHAIN[1].revision


@roles_exist
def test_alembic_is_never_handed_a_transaction_that_is_open(empty_database: Database) -> None:
    """It would take it for its caller's, run everything, and commit nothing."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(empty_database.dsn)
    )
    config = alembic_config(shipped_tree())
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        tree = shipped_tree()
        run = Run(empty_database.dsn, Variables(), tree, "up", HEAD, "", lambda _: None, wait=0)
        run.connection, run.todo = connection, CHAIN
        config.attributes["run"] = run
        with pytest.raises(RuntimeError, match="commit nothing"):
            command.upgrade(config, "head")
    engine.dispose()
    assert [row for row in everything(empty_database) if row[0] == "relation"] == []


@roles_exist
def test_apply_notices_when_nothing_was_committed(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "upgrade", lambda *_: None)
    with pytest.raises(RuntimeError, match="not committed"):
        apply(empty_database.dsn, Variables())


@roles_exist
def test_of_many_at_once_one_migrates_and_the_others_find_nothing_to_do(
    empty_database: Database,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(apply, empty_database.dsn, Variables()) for _ in range(8)]
    done = sorted(len(future.result().applied) for future in futures)
    assert done == [0] * 7 + [len(CHAIN)]


@roles_exist
def test_the_migration_lock_is_waited_for_and_its_holder_named(
    empty_database: Database, connect: Connect
) -> None:
    apply(empty_database.dsn, Variables(), to=CHAIN[0].revision)
    holder = connect(empty_database)
    take_migration_lock(holder)
    pid = holder.info.backend_pid
    with pytest.raises(TicketdbError, match=rf"pid {pid} \(.*holds the migration lock") as caught:
        apply(empty_database.dsn, Variables(), wait=0.3)
    assert (caught.value.code, caught.value.exit_status) == ("E_LOCK_TIMEOUT", 4)
    holder.close()
    assert apply(empty_database.dsn, Variables(), wait=10).applied


def _block_the_rest(database: Database, connect: Connect) -> tuple[psycopg.Connection, str]:
    """Apply until there is a table of seats, and lock it: later revisions refer to it."""
    for revision in CHAIN:
        apply(database.dsn, Variables(), to=revision.revision)
        blocker = connect(database)
        if blocker.execute("SELECT to_regclass('public.show_seats')").fetchone() != (None,):
            blocker.autocommit = False
            blocker.execute("LOCK TABLE public.show_seats IN ACCESS EXCLUSIVE MODE")
            return blocker, revision.revision
    raise AssertionError("no revision makes a table of seats")


@roles_exist
def test_a_lock_that_blocks_a_revision_is_waited_for(
    empty_database: Database, connect: Connect
) -> None:
    blocker, _ = _block_the_rest(empty_database, connect)
    waits: list[Step] = []

    def on_step(step: Step) -> None:
        if step.kind == "wait":
            waits.append(step)
            blocker.rollback()

    result = apply(empty_database.dsn, Variables(), lock_timeout=1.0, progress=on_step)
    assert result.revision == HEAD
    assert [f"pid {blocker.info.backend_pid}," in step.detail for step in waits] == [True]


@roles_exist
def test_a_lock_that_stays_ends_in_exit_status_4_and_the_pid(
    empty_database: Database, connect: Connect
) -> None:
    blocker, reached = _block_the_rest(empty_database, connect)
    pid = blocker.info.backend_pid
    with pytest.raises(TicketdbError, match=f"pid {pid}, LOCK TABLE public.show_seats") as caught:
        apply(empty_database.dsn, Variables(), lock_timeout=0.5, wait=0.2)
    assert (caught.value.code, caught.value.exit_status) == ("E_LOCK_TIMEOUT", 4)
    blocker.rollback()
    assert apply(empty_database.dsn, Variables(), to=reached).applied == ()


INDEX = OF_SHOWS + "CREATE INDEX shows_venue_idx ON {{ schema }}.shows (venue);\n"
WRITE = "INSERT INTO public.shows (name, starts_at, currency) VALUES ('x', now(), 'EUR')"


def test_a_session_that_blocks_is_named_and_one_that_does_not_block_is_not(
    database: Database, connect: Connect, tree_copy: Tree
) -> None:
    """An index keeps writers out. A reader that has been there for longer is no obstacle."""
    add_revision(tree_copy, INDEX, "-- privileges\n")
    reader, writer = connect(), connect()
    reader.execute("BEGIN; SELECT FROM public.shows")
    writer.execute(f"BEGIN; {WRITE}".encode())
    with pytest.raises(TicketdbError) as caught:
        apply(database.dsn, Variables(), tree=tree_copy, lock_timeout=1.0, wait=0)
    message = caught.value.message
    assert f"(blocked by pid {writer.info.backend_pid}, BEGIN; INSERT INTO public.shows" in message
    assert "(postgres, idle in transaction since " in message
    assert str(reader.info.backend_pid) not in message


def test_a_prepared_transaction_that_blocks_is_named_as_one(tree_copy: Tree) -> None:
    """It has no session, and so no pid."""
    add_revision(tree_copy, INDEX, "-- privileges\n")
    with private_cluster(settings={"max_prepared_transactions": "1"}) as cluster:
        apply(cluster.dsn(), Variables())
        with psycopg.connect(cluster.dsn(), autocommit=True) as session:
            session.execute(f"BEGIN; {WRITE}; PREPARE TRANSACTION 'forgotten'".encode())
            with pytest.raises(TicketdbError, match="blocked by a prepared transaction, see"):
                apply(cluster.dsn(), Variables(), tree=tree_copy, lock_timeout=1.0, wait=0)
            session.execute("ROLLBACK PREPARED 'forgotten'")
        apply(cluster.dsn(), Variables(), tree=tree_copy)


@pytest.mark.parametrize("rehearsal", ["apply --dry-run", "revert"])
def test_a_rehearsal_waits_for_locks_too(
    rehearsal: str, database: Database, connect: Connect, tree_copy: Tree
) -> None:
    marker = INDEX.partition("CREATE")[0]
    down = f"{marker}DROP INDEX {{{{ schema }}}}.shows_venue_idx;\n"
    revision = add_revision(tree_copy, INDEX, down)
    if rehearsal == "revert":
        apply(database.dsn, Variables(), tree=tree_copy)
    blocker = connect()
    blocker.execute(f"BEGIN; {WRITE}".encode())
    waits: list[Step] = []

    def on_step(step: Step) -> None:
        if step.kind == "wait":
            waits.append(step)
            blocker.execute("ROLLBACK")

    options: dict[str, Any] = {"tree": tree_copy, "lock_timeout": 1.0, "progress": on_step}
    if rehearsal == "revert":
        done = revert(database.dsn, Variables(), HEAD, **options)
    else:
        done = list(apply(database.dsn, Variables(), dry_run=True, **options).applied)
    assert [step.revision for step in done] == [revision]
    assert [f"pid {blocker.info.backend_pid}," in step.detail for step in waits] == [True]


@roles_exist
def test_apply_stops_when_somebody_else_may_have_the_migration_lock(
    empty_database: Database, connect: Connect
) -> None:
    observer = connect(empty_database)
    holder = (
        "SELECT pg_terminate_backend(l.pid, 5000) FROM pg_locks AS l"
        " INNER JOIN pg_database AS d ON d.oid = l.database"
        " WHERE d.datname = current_database()"
        " AND l.relation = 'ticketdb.ticketdb_alembic_version'::regclass"
        " AND l.mode = 'ShareUpdateExclusiveLock'"
    )

    def end_holder(step: Step) -> None:
        if (step.kind, step.position) == ("start", 3):
            assert observer.execute(holder.encode()).fetchall() == [(True,)]

    with pytest.raises(TicketdbError) as caught:
        apply(empty_database.dsn, Variables(), progress=end_holder)
    assert caught.value.code == "E_CONNECTION_LOST"
    reached = "SELECT version_num FROM ticketdb.ticketdb_alembic_version"
    assert observer.execute(reached.encode()).fetchall() == [(CHAIN[1].revision,)]
    assert apply(empty_database.dsn, Variables()).revision == HEAD


def test_revert_lists_what_would_be_lost_and_stops(database: Database, connect: Connect) -> None:
    before = catalog(database, Variables())
    session = connect()
    session.execute(
        "INSERT INTO public.shows (name, starts_at, currency) VALUES ('a', now(), 'EUR'),"
        " ('b', now(), 'EUR')"
    )
    with pytest.raises(TicketdbError) as caught:
        revert(database.dsn, Variables(), "base")
    assert (caught.value.code, caught.value.exit_status) == ("E_DATA_LOSS", 1)
    assert "public.shows (2 rows)" in caught.value.message
    assert "tickets" not in caught.value.message  # it is empty: no loss
    assert catalog(database, Variables()) == before


def test_revert_without_loss_needs_no_permission(database: Database) -> None:
    done = revert(database.dsn, Variables(), CHAIN[-2].revision)
    assert [step.revision for step in done] == [HEAD]
    assert [step.revision for step in apply(database.dsn, Variables()).applied] == [HEAD]


def test_an_unfinished_revision_is_not_applied(empty_database: Database, tree_copy: Tree) -> None:
    up = read_chain(tree_copy)[-1].python_file.with_suffix(".up.sql")
    up.write_text(up.read_text() + "-- FILL IN: something\n")
    with pytest.raises(TicketdbError, match=f"{up.name} still has a line") as caught:
        apply(empty_database.dsn, Variables(), tree=tree_copy)
    assert caught.value.code == "E_UNFILLED"
    with pytest.raises(TicketdbError, match=f"{up.name} still has a line"):
        verify(empty_database.dsn, Variables(), tree_copy)


def test_an_applied_file_that_was_edited_is_noticed(database: Database, tree_copy: Tree) -> None:
    up = read_chain(tree_copy)[2].python_file.with_suffix(".up.sql")
    up.write_text(up.read_text() + "\n-- harmless\n")
    with pytest.raises(
        TicketdbError, match=rf"{up.name} is not the file that was applied"
    ) as caught:
        apply(database.dsn, Variables(), tree=tree_copy)
    assert caught.value.code == "E_CHECKSUM"
    checks = {check.name: check for check in verify(database.dsn, Variables(), tree_copy)}
    assert not checks["checksums"].ok
    assert up.name in checks["checksums"].details[0]


@pytest.mark.parametrize(
    ("tampering", "code", "expected"),
    [
        (
            f"DELETE FROM ticketdb_migrations WHERE revision = '{HEAD}'",
            "E_LEDGER",
            f"{HEAD} is not in the ledger",
        ),
        ("DELETE FROM ticketdb_alembic_version", "E_LEDGER", "is at base, but revision 0001 is in"),
        ("UPDATE ticketdb_alembic_version SET version_num = '0001'", "E_LEDGER", "0002 is in"),
        (
            "UPDATE ticketdb_alembic_version SET version_num = '9999'",
            "E_UNKNOWN_REVISION",
            "9999.*newer release",
        ),
        (
            "UPDATE ticketdb_migrations SET source_sha256 = repeat('0', 64)",
            "E_CHECKSUM",
            "000000000000…",
        ),
    ],
)
def test_a_history_that_was_tampered_with_is_not_built_upon(
    tampering: str, code: str, expected: str, database: Database, connect: Connect
) -> None:
    connect().execute(tampering.encode())
    with pytest.raises(TicketdbError, match=expected) as caught:
        apply(database.dsn, Variables())
    assert caught.value.code == code
    with pytest.raises(TicketdbError, match=expected):
        revert(database.dsn, Variables(), "base", allow_data_loss=True)


def test_other_variables_than_those_of_the_ledger_are_refused(database: Database) -> None:
    with pytest.raises(TicketdbError, match="built with cleanup_schedule = ") as caught:
        apply(database.dsn, replace(Variables(), cleanup_schedule="0 * * * *"))
    assert (caught.value.code, caught.value.exit_status) == ("E_VARIABLES", 2)


def test_only_the_owner_migrates_and_a_member_does_so_in_the_owner_s_name(
    database: Database, connect: Connect
) -> None:
    """What another role made would belong to it: half of ticketdb here, half there."""
    clerk = f"clerk_{database.name}"
    connect().execute(f"CREATE ROLE {clerk} SUPERUSER LOGIN".encode())
    as_clerk = f"{database.dsn} user={clerk}"
    expected = (
        f"ticketdb belongs to role 'postgres' in database '{database.name}', and this is '{clerk}'"
    )
    for migrate in (apply, partial(revert, to="0001", allow_data_loss=True)):
        with pytest.raises(TicketdbError, match=re.escape(expected)) as caught:
            migrate(as_clerk, Variables())
        assert (caught.value.code, caught.value.exit_status) == ("E_ROLE", 3)
    revert(f"{as_clerk} options='-c role=postgres'", Variables(), BEFORE)
    apply(f"{as_clerk} options='-c role=postgres'", Variables())
    assert failed_checks(database, Variables()) == []
    connect().execute(f"DROP ROLE {clerk}".encode())  # it owns nothing


@roles_exist
def test_apply_goes_on_where_it_was_killed(empty_database: Database, connect: Connect) -> None:
    """Its backend is ended in the middle of each revision; the next apply begins there."""
    reached: list[str] = []
    for revision in CHAIN:
        ended = threading.Event()

        def end(
            step: Step, doomed: str = revision.revision, ended: threading.Event = ended
        ) -> None:
            if step.kind == "start" and step.revision == doomed and not ended.is_set():
                ended.set()
                connect(empty_database).execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'ticketdb'"
                    " AND state = 'idle in transaction'"
                )

        with pytest.raises(TicketdbError) as caught:
            apply(empty_database.dsn, Variables(), progress=end)
        assert (caught.value.code, caught.value.exit_status) == ("E_CONNECTION_LOST", 3)
        result = apply(empty_database.dsn, Variables(), to=revision.revision)
        reached += [step.revision for step in result.applied]
    assert reached == [revision.revision for revision in CHAIN]
    assert failed_checks(empty_database, Variables()) == []
