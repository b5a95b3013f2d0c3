"""Revisions outside a transaction: each statement by itself, and again where it was interrupted."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest

from tests.support.by_hand import OF_SHOWS, add_indexes, add_revision
from tests.support.databases import Connect, Database
from tests.support.program import Program, await_waiting, clean_environment
from ticketdb.catalog import Catalog, read_catalog
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate import commands
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.run import Run, Step
from ticketdb.paths import Tree, shipped_tree

HEAD = read_chain(shipped_tree())[-1].revision
NEXT = f"{int(HEAD) + 1:04d}"
INDEX = "CREATE INDEX CONCURRENTLY shows_venue_idx ON {{ schema }}.shows (venue)"
UNIQUE = "CREATE UNIQUE INDEX CONCURRENTLY shows_name_key ON {{ schema }}.shows (name)"
DROP = "DROP INDEX CONCURRENTLY {{ schema }}.shows_venue_idx;\n"
TWO_SHOWS = """
    INSERT INTO public.shows (name, starts_at, currency)
    VALUES ('twice', now(), 'EUR'), ('twice', now(), 'EUR')
"""
# A session that waits for much longer than the tests let it wait for a lock.
WAITING_LONG = """
    SELECT FROM pg_locks AS l INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE a.datname = current_database() AND l.waitstart < clock_timestamp() - interval '0.5 s'
"""
# Under the names that they have by default.
NAMES = Variables()


def sql_of(statement: str) -> bytes:
    return statement.replace("{{ schema }}", "public").encode()


def index(connection: psycopg.Connection, name: str) -> tuple[int, bool] | None:
    """An index of shows, if it is there: its oid, and whether it is valid."""
    return connection.execute(
        "SELECT i.indexrelid::integer, i.indisvalid FROM pg_index AS i"
        " INNER JOIN pg_class AS c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'public.shows'::regclass AND c.relname = %s",
        [name],
    ).fetchone()


def oid(connection: psycopg.Connection, name: str, *, valid: bool = True) -> int:
    """The oid of an index that must be there, and be valid or not."""
    found = index(connection, name)
    assert found is not None
    assert found[1] == valid
    return found[0]


def reached(connection: psycopg.Connection) -> tuple[str, list[str]]:
    """The revision that alembic knows, and those in the ledger after what is shipped."""
    (version,) = connection.execute(
        "SELECT version_num FROM ticketdb_alembic_version"
    ).fetchone() or ("",)
    ledger = connection.execute(
        "SELECT revision FROM ticketdb_migrations WHERE revision > %s ORDER BY 1", [HEAD]
    )
    return version, [revision for (revision,) in ledger]


def everything(connection: psycopg.Connection) -> Catalog:
    with connection.transaction():
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        return read_catalog(connection, NAMES)


@contextmanager
def beside(action: Callable[..., Any], *arguments: Any, **named: Any) -> Iterator[Future[Any]]:
    """Have something done while the test does something else."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(action, *arguments, **named)


@contextmanager
def unfinished_write(connect: Connect) -> Iterator[psycopg.Connection]:
    """A transaction that has written to shows: CREATE INDEX CONCURRENTLY waits for its end."""
    writer = connect()
    writer.autocommit = False
    writer.execute(
        "INSERT INTO public.shows (name, starts_at, currency) VALUES ('x', now(), 'EUR')"
    )
    yield writer
    writer.rollback()


@contextmanager
def at_work(connect: Connect, statement: str) -> Iterator[psycopg.Connection]:
    """A session that makes an index by hand, and waits in the middle of it."""
    worker, observer = connect(), connect()
    with unfinished_write(connect), beside(worker.execute, sql_of(statement)) as made:
        while index_waits(observer, worker.info.backend_pid) is None:
            assert not made.done()
        yield worker
        with pytest.raises(psycopg.Error):
            made.result()


def index_waits(observer: psycopg.Connection, pid: int) -> object:
    waiting = "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    return observer.execute(waiting, [pid]).fetchone()


def test_an_index_is_made_while_writers_write_however_long_it_waits(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    add_indexes(tree_copy, INDEX)
    steps: list[Step] = []
    observer = connect()
    with unfinished_write(connect) as writer:
        options = {"tree": tree_copy, "lock_timeout": 0.05, "wait": 0.5, "progress": steps.append}
        with beside(apply, database.dsn, NAMES, **options) as done:
            await_waiting(observer)
            observer.execute("SET lock_timeout = '1s'")
            observer.execute(TWO_SHOWS)
            while not (steps[1:] and observer.execute(WAITING_LONG).fetchall()):
                assert not done.done()
            writer.rollback()
            assert [step.revision for step in done.result().applied] == [NEXT]
    assert f"pid {writer.info.backend_pid}, INSERT INTO" in steps[1].detail
    assert [step.kind for step in steps] == ["start", "wait", "done"]
    assert oid(observer, "shows_venue_idx")
    assert reached(observer) == (NEXT, [NEXT])
    (seconds,) = observer.execute(
        "SELECT duration_seconds FROM ticketdb_migrations WHERE revision = %s", [NEXT]
    ).fetchone() or (0,)
    assert 0.02 < seconds < 60


def test_what_makes_an_index_in_a_transaction_would_keep_writers_out(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    """The opposite of the test above: without the line in the heading, this is what happens."""
    add_revision(tree_copy, OF_SHOWS + INDEX.replace("CONCURRENTLY", "") + ";\n", OF_SHOWS)
    with unfinished_write(connect), pytest.raises(TicketdbError) as caught:
        apply(database.dsn, NAMES, tree=tree_copy, lock_timeout=0.05, wait=0.05)
    assert caught.value.code == "E_LOCK_TIMEOUT"


def test_an_index_that_was_left_invalid_is_made_anew(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    add_indexes(tree_copy, UNIQUE)
    connection = connect()
    connection.execute(TWO_SHOWS)
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(sql_of(UNIQUE))
    left = oid(connection, "shows_name_key", valid=False)
    connection.execute("DELETE FROM public.shows")
    apply(database.dsn, NAMES, tree=tree_copy)
    assert oid(connection, "shows_name_key") != left
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(TWO_SHOWS)


def test_an_index_whose_making_was_cancelled_is_made_anew(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    add_indexes(tree_copy, INDEX.replace("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS"))
    connection = connect()
    with at_work(connect, INDEX) as worker:
        connection.execute("SELECT pg_cancel_backend(%s)", [worker.info.backend_pid])
    left = oid(connection, "shows_venue_idx", valid=False)
    apply(database.dsn, NAMES, tree=tree_copy)
    assert oid(connection, "shows_venue_idx") != left


def test_an_index_that_cannot_be_made_leaves_nothing_invalid_and_what_came_before_it(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    add_indexes(tree_copy, INDEX, UNIQUE)
    connection = connect()
    connection.execute(TWO_SHOWS)
    with pytest.raises(TicketdbError) as caught:
        apply(database.dsn, NAMES, tree=tree_copy)
    assert (caught.value.code, caught.value.exit_status) == ("E_MIGRATION_FAILED", 5)
    assert '"shows_name_key" (Key (name)=(twice) is duplicated.)' in caught.value.message
    assert caught.value.message.endswith("run this again, it continues from there")
    assert index(connection, "shows_name_key") is None
    assert reached(connection) == (HEAD, [])
    kept = oid(connection, "shows_venue_idx")

    connection.execute("DELETE FROM public.shows")
    apply(database.dsn, NAMES, tree=tree_copy)
    assert oid(connection, "shows_venue_idx") == kept
    assert oid(connection, "shows_name_key")
    assert reached(connection) == (NEXT, [NEXT])


def test_another_index_of_the_same_name_is_not_taken_for_ours(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    add_indexes(tree_copy, INDEX + " WHERE shows.venue <> 'nowhere'")
    connection = connect()
    for definition in ("(currency)", "(venue)", "(venue) WHERE venue <> 'somewhere'"):
        connection.execute(f"CREATE INDEX shows_venue_idx ON public.shows {definition}".encode())
        with pytest.raises(
            TicketdbError, match=r"public\.shows_venue_idx .* is another one"
        ) as caught:
            apply(database.dsn, NAMES, tree=tree_copy)
        assert caught.value.code == "E_OBJECT_EXISTS"
        connection.execute("DROP INDEX public.shows_venue_idx")
    connection.execute(
        "CREATE INDEX shows_venue_idx ON public.shows (venue) WHERE venue <> 'nowhere'"
    )
    there = oid(connection, "shows_venue_idx")
    apply(database.dsn, NAMES, tree=tree_copy)
    assert oid(connection, "shows_venue_idx") == there


def test_an_index_that_is_not_valid_afterwards_is_named_with_what_to_do(
    database: Database, tree_copy: Tree
) -> None:
    add_indexes(
        tree_copy,
        INDEX,
        "UPDATE pg_index SET indisvalid = false"
        " WHERE indexrelid = '{{ schema }}.shows_venue_idx'::regclass",
        "REINDEX TABLE CONCURRENTLY {{ schema }}.shows",
    )
    # What is not valid REINDEX TABLE leaves out.
    with pytest.raises(TicketdbError) as caught:
        apply(database.dsn, NAMES, tree=tree_copy)
    assert "index public.shows_venue_idx is not valid" in caught.value.message
    assert "- DROP INDEX CONCURRENTLY public.shows_venue_idx, then run" in caught.value.message


def test_an_index_without_a_name_is_refused(database: Database, tree_copy: Tree) -> None:
    add_indexes(tree_copy, INDEX.replace("shows_venue_idx ", ""))
    with pytest.raises(TicketdbError, match="an index needs a name"):
        apply(database.dsn, NAMES, tree=tree_copy)


def test_wherever_its_backend_is_ended_the_next_apply_finishes(
    database: Database, tree_copy: Tree, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_indexes(tree_copy, INDEX, "COMMENT ON TABLE {{ schema }}.shows IS 'Commented on.'")
    observer = connect()
    execute = Run._execute
    sent: list[str] = []
    ended: list[str] = []

    def end_before(self: Run, statements: str, where: str) -> Any:
        if where.startswith(NEXT):
            sent.append(statements)
            if len(sent) == doomed:
                process: Any = self.connection.connection.dbapi_connection
                observer.execute(
                    "SELECT pg_terminate_backend(%s, 5000)", [process.info.backend_pid]
                )
                ended.append(statements)
        return execute(self, statements, where)

    monkeypatch.setattr(Run, "_execute", end_before)
    for doomed in range(1, 100):
        sent.clear()
        if doomed > 1:
            observer.execute("DROP INDEX public.shows_venue_idx")
            observer.execute("UPDATE ticketdb_alembic_version SET version_num = %s", [HEAD])
            observer.execute("DELETE FROM ticketdb_migrations WHERE revision = %s", [NEXT])
        with suppress(TicketdbError):
            apply(database.dsn, NAMES, tree=tree_copy)
        if len(ended) < doomed:
            break
        assert reached(observer) == (HEAD, [])
        apply(database.dsn, NAMES, tree=tree_copy)
        assert oid(observer, "shows_venue_idx")
        assert reached(observer) == (NEXT, [NEXT])
    assert len(ended) > 8
    assert any(statements.startswith("CREATE INDEX") for statements in ended)
    assert any("INSERT INTO" in statements for statements in ended)


def test_after_kill_9_the_index_that_is_still_being_made_is_waited_for_and_kept(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    add_indexes(tree_copy, INDEX)
    program = (
        "import sys; from pathlib import Path; from ticketdb.config import Variables;"
        " from ticketdb.migrate.commands import apply; from ticketdb.paths import Tree;"
        " apply(sys.argv[1], Variables(), tree=Tree(Path(sys.argv[2]), Path(sys.argv[3])))"
    )
    command: list[Any] = [
        sys.executable,
        "-c",
        program,
        database.dsn,
        tree_copy.sql,
        tree_copy.migrations,
    ]
    observer = connect()
    steps: list[Step] = []
    with unfinished_write(connect) as writer:
        with subprocess.Popen(command, env=clean_environment()) as killed:
            await_waiting(observer)
            killed.kill()
        left = oid(observer, "shows_venue_idx", valid=False)
        options = {"tree": tree_copy, "lock_timeout": 1.0, "progress": steps.append}
        with beside(apply, database.dsn, NAMES, **options) as done:
            while not any(step.kind == "wait" for step in steps):
                assert not done.done()
            writer.rollback()
            done.result()
    assert "CREATE INDEX CONCURRENTLY shows_venue_idx" in steps[1].detail
    assert steps[1].seconds > 0  # it gives up in time: two that wait without end are a deadlock
    assert oid(observer, "shows_venue_idx") == left
    assert reached(observer) == (NEXT, [NEXT])


def test_a_rebuild_that_was_cancelled_leaves_nothing_behind(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    again = "REINDEX INDEX CONCURRENTLY {{ schema }}.shows_pkey"
    add_indexes(tree_copy, again)
    connection = connect()
    with at_work(connect, again) as worker:
        connection.execute("SELECT pg_cancel_backend(%s)", [worker.info.backend_pid])
    assert oid(connection, "shows_pkey_ccnew", valid=False)
    before = oid(connection, "shows_pkey")
    apply(database.dsn, NAMES, tree=tree_copy)
    assert index(connection, "shows_pkey_ccnew") is None
    assert oid(connection, "shows_pkey") != before


def test_an_index_is_dropped_also_where_half_of_it_was_done(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    add_indexes(tree_copy, INDEX, down=DROP)
    connection = connect()
    before = everything(connection)
    invalid = (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shows_venue_idx'::regclass"
    )
    for done_already in ("SELECT", invalid, "DROP INDEX public.shows_venue_idx"):
        apply(database.dsn, NAMES, tree=tree_copy)
        assert everything(connection) != before
        connection.execute(done_already.encode())
        assert [s.revision for s in revert(database.dsn, NAMES, HEAD, tree=tree_copy)] == [NEXT]
        assert everything(connection) == before


def test_other_statements_give_way_and_are_tried_again(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    add_indexes(tree_copy, INDEX, "COMMENT ON TABLE {{ schema }}.shows IS 'Commented on.'")
    blocker = connect()
    blocker.autocommit = False
    blocker.execute("COMMENT ON TABLE public.shows IS 'Not to be.'")
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if step.kind == "wait":
            blocker.rollback()

    apply(database.dsn, NAMES, tree=tree_copy, lock_timeout=1.0, progress=on_step)
    (waited,) = [step for step in steps if step.kind == "wait"]
    assert f"pid {blocker.info.backend_pid}, COMMENT ON TABLE" in waited.detail


def test_a_dry_run_says_what_it_cannot_run_and_why(
    database: Database,
    tree_copy: Tree,
    connect: Connect,
    ticketdb: Program,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_indexes(tree_copy, INDEX)
    add_revision(tree_copy, "-- privileges\n", "-- privileges\n")
    connection = connect()
    revert(database.dsn, NAMES, f"{int(HEAD) - 1:04d}")
    before = everything(connection)
    monkeypatch.setattr(commands, "shipped_tree", lambda: tree_copy)
    done = ticketdb("apply", "--dry-run", "--dsn", database.dsn)
    assert done.returncode == 0
    reason = "runs outside a transaction, which cannot be rolled back"
    assert f"1 revision run and rolled back; the database is at {int(HEAD) - 1:04d}" in done.stdout
    assert f"not run: {NEXT}_by_hand, which {reason}\n" in done.stdout
    assert f"not run: {int(NEXT) + 1:04d}_by_hand, which comes after it\n" in done.stdout
    assert everything(connection) == before
    assert apply(database.dsn, NAMES).not_run == ()


def test_going_back_over_an_index_says_that_it_was_not_rehearsed(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    add_indexes(tree_copy, INDEX, down=DROP)
    apply(database.dsn, NAMES, tree=tree_copy)
    steps: list[Step] = []
    done = revert(
        database.dsn, NAMES, f"{int(HEAD) - 1:04d}", tree=tree_copy, progress=steps.append
    )
    assert [step.revision for step in done] == [NEXT, HEAD]
    assert [(step.kind, step.revision) for step in steps][:2] == [("skip", NEXT), ("start", NEXT)]
    assert steps[0].detail == "runs outside a transaction, which cannot be rolled back"
    assert index(connect(), "shows_venue_idx") is None


def test_going_back_over_what_cannot_be_rehearsed_needs_permission(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    loss = "ALTER TABLE {{ schema }}.shows DROP COLUMN IF EXISTS nickname;\n"
    add_indexes(tree_copy, "SELECT 1", down=loss)
    apply(database.dsn, NAMES, tree=tree_copy)
    with pytest.raises(TicketdbError, match=f"lose what {NEXT}_by_hand takes away") as caught:
        revert(database.dsn, NAMES, HEAD, tree=tree_copy)
    assert caught.value.code == "E_DATA_LOSS"
    assert reached(connect()) == (NEXT, [NEXT])
    revert(database.dsn, NAMES, HEAD, tree=tree_copy, allow_data_loss=True)
    assert reached(connect()) == (HEAD, [])
