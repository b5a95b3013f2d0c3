"""The migration lock: strangers cannot take it, and nobody is kept waiting by it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.support.by_hand import add_indexes
from tests.support.databases import Connect, Database, throw_away_database
from tests.support.program import WAITING, take_migration_lock
from tests.support.waiting import await_true
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.run import Step
from ticketdb.paths import Tree, shipped_tree
from ticketdb.private_server import Cluster

pytestmark = pytest.mark.usefixtures("template_database")  # the roles are there

NAMES = Variables()
CHAIN = read_chain(shipped_tree())
HEAD, BEFORE = CHAIN[-1].revision, CHAIN[-2].revision
# What a stranger with a login could do about the lock, and ours can do, too.
OBSTRUCTIONS = [
    "SELECT pg_advisory_lock(hashtextextended('ticketdb migration of public', 0))",
    "LOCK TABLE ticketdb.ticketdb_alembic_version IN ACCESS SHARE MODE",
    "LOCK TABLE ticketdb.ticketdb_alembic_version IN SHARE UPDATE EXCLUSIVE MODE",
    "LOCK TABLE ticketdb.ticketdb_alembic_version IN ACCESS EXCLUSIVE MODE",
    "SELECT FROM ticketdb.ticketdb_alembic_version FOR UPDATE",
    "SELECT FROM ticketdb.ticketdb_migrations FOR UPDATE",
    "VACUUM ticketdb.ticketdb_alembic_version",
    "ANALYZE ticketdb.ticketdb_alembic_version",
    "CREATE INDEX ON ticketdb.ticketdb_alembic_version (version_num)",
    "COMMENT ON TABLE ticketdb.ticketdb_alembic_version IS 'mine'",
]


@pytest.mark.parametrize("member_of", ["", "ticketdb_app", "ticketdb_monitor"])
def test_no_login_can_stop_a_migration(
    member_of: str, database: Database, connect: Connect
) -> None:
    revert(database.dsn, NAMES, BEFORE)
    role, superuser = f"stranger_{database.name}", connect()
    superuser.execute(f"CREATE ROLE {role} LOGIN".encode())
    if member_of:
        superuser.execute(f"GRANT {member_of} TO {role}".encode())
    stranger = connect(user=role)
    refused = 0
    for obstruction in OBSTRUCTIONS:
        if not obstruction.startswith("VACUUM"):
            stranger.execute("BEGIN")
        try:
            stranger.execute(obstruction.encode())
        except psycopg.errors.InsufficientPrivilege:
            refused += 1
        assert apply(database.dsn, NAMES, wait=0).revision == HEAD, obstruction
        revert(database.dsn, NAMES, BEFORE, wait=0)
        stranger.execute("ROLLBACK")
    assert refused >= 7  # the advisory lock is for everybody, and VACUUM only warns
    superuser.execute(f"DROP ROLE {role}".encode())


def test_before_the_first_revision_there_is_nothing_to_lock_for_strangers(
    empty_database: Database, connect: Connect
) -> None:
    connect(empty_database).execute(OBSTRUCTIONS[0].encode())
    assert apply(empty_database.dsn, NAMES, wait=0).revision == HEAD


def test_the_owner_can_take_it(database: Database, connect: Connect) -> None:
    """The control: a migration has it, and so has a DBA who wants no migration now."""
    holder = connect()
    take_migration_lock(holder)
    for migrate in (
        lambda: apply(database.dsn, NAMES, wait=0),
        lambda: revert(database.dsn, NAMES, BEFORE, wait=0),
    ):
        with pytest.raises(TicketdbError, match="holds the migration lock") as caught:
            migrate()
        assert (caught.value.code, caught.value.exit_status) == ("E_LOCK_TIMEOUT", 4)
        assert f"pid {holder.info.backend_pid} (postgres, since " in caught.value.message


@pytest.fixture
def sister_database(cluster: Cluster, template_database: str) -> Iterator[Database]:
    """A database made from the same template: its tables have the same oids."""
    yield from throw_away_database(cluster, template_database)


def test_who_has_the_lock_of_a_sister_database_is_not_named(
    database: Database, sister_database: Database, connect: Connect
) -> None:
    take_migration_lock(connect(sister_database))
    take_migration_lock(holder := connect())
    with pytest.raises(TicketdbError, match=f"pid {holder.info.backend_pid} "):
        apply(database.dsn, NAMES, wait=0)


def test_readers_and_dumps_do_not_wait_for_it(database: Database, connect: Connect) -> None:
    """Those who look at the version, and those who dump it, do not wait."""
    reader = connect()
    reader.execute("SET lock_timeout = '1ms'")
    read: list[str] = []

    def look(step: Step) -> None:
        if step.kind == "start":
            row = reader.execute("SELECT version_num FROM ticketdb_alembic_version").fetchone()
            reader.execute("BEGIN; LOCK TABLE ticketdb_alembic_version IN ACCESS SHARE MODE")
            reader.execute("ROLLBACK")
            read.append(row[0] if row else "")

    revert(database.dsn, NAMES, BEFORE, progress=look)
    apply(database.dsn, NAMES, progress=look)
    assert read == [HEAD, BEFORE]


def test_create_index_concurrently_does_not_wait_for_who_waits_for_the_lock(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    """It waits for every snapshot. Both who hold the lock and who poll for it have none."""
    add_indexes(
        tree_copy, "CREATE INDEX CONCURRENTLY shows_venue_idx ON {{ schema }}.shows (venue)"
    )
    observer, writer = connect(), connect()
    writer.execute(
        "BEGIN; INSERT INTO public.shows (name, starts_at, currency) VALUES ('x', now(), 'EUR')"
    )
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(apply, database.dsn, NAMES, tree=tree_copy)
        await_true(observer, f"SELECT EXISTS (SELECT {WAITING})")
        second = pool.submit(apply, database.dsn, NAMES, tree=tree_copy)
        # The second waits for the lock: its sessions beside those of the first.
        await_true(
            observer,
            "SELECT count(*) >= 5 FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'ticketdb'",
        )
        writer.execute("ROLLBACK")
        assert len(first.result().applied) == 1
        assert second.result().applied == ()


def test_two_first_applies_succeed_whichever_makes_the_table(
    empty_database: Database, connect: Connect
) -> None:
    """One is made to wait for the other between its question and its CREATE TABLE."""
    blocker, observer = connect(empty_database), connect(empty_database)
    blocker.execute("BEGIN; CREATE SCHEMA ticketdb")
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(apply, empty_database.dsn, NAMES, lock_timeout=30) for _ in range(2)]
        await_true(observer, f"SELECT (SELECT count(*) {WAITING}) = 2")
        blocker.execute("ROLLBACK")
        applied = sorted(len(each.result().applied) for each in both)
    assert applied == [0, len(CHAIN)]


def test_a_first_apply_that_fails_leaves_no_table_behind_for_the_lock(
    empty_database: Database, connect: Connect
) -> None:
    session = connect(empty_database)
    session.execute("CREATE TABLE public.shows (id integer)")
    with pytest.raises(TicketdbError, match="is there already, and in no ledger"):
        apply(empty_database.dsn, NAMES)
    made = session.execute("SELECT relname FROM pg_class WHERE oid >= 16384 AND relkind = 'r'")
    assert made.fetchall() == [("shows",)]


# Going back.


def test_a_revert_that_cannot_work_is_not_begun(database: Database, tree_copy: Tree) -> None:
    """What blocks the second is found before the first is undone."""
    down = read_chain(tree_copy)[-2].python_file.with_suffix(".down.sql")
    down.write_text(down.read_text() + "SELECT 1 / 0;\n")
    steps: list[Step] = []
    with pytest.raises(TicketdbError, match="division by zero") as caught:
        revert(
            database.dsn,
            NAMES,
            CHAIN[-3].revision,
            allow_data_loss=True,
            tree=tree_copy,
            progress=steps.append,
        )
    assert caught.value.exit_status == 5
    assert "; the database is at" not in caught.value.message
    assert steps == []
    assert apply(database.dsn, NAMES).applied == ()


def test_a_revert_that_stops_half_way_says_where_the_database_is(
    database: Database, connect: Connect
) -> None:
    ended = threading.Event()

    def end(step: Step) -> None:
        if (step.kind, step.revision) == ("start", BEFORE):
            ended.set()
            connect().execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'ticketdb'"
                " AND state LIKE 'idle in transaction%'"
            )

    with pytest.raises(TicketdbError) as caught:
        revert(database.dsn, NAMES, CHAIN[-4].revision, allow_data_loss=True, progress=end)
    assert ended.is_set()
    assert caught.value.code == "E_CONNECTION_LOST"
    assert caught.value.message.endswith(
        f"; the database is at {BEFORE}: run `ticketdb revert` again to continue,"
        " or `ticketdb apply` to go back"
    )
    assert connect().execute("SELECT version_num FROM ticketdb_alembic_version").fetchall() == [
        (BEFORE,)
    ]
    revert(database.dsn, NAMES, CHAIN[-4].revision, allow_data_loss=True)


def test_an_apply_that_stops_half_way_says_so_too(database: Database, tree_copy: Tree) -> None:
    revert(database.dsn, NAMES, BEFORE)
    reached = CHAIN[-3].revision
    revert(database.dsn, NAMES, reached, allow_data_loss=True)
    up = read_chain(tree_copy)[-1].python_file.with_suffix(".up.sql")
    up.write_text(up.read_text() + "SELECT 1 / 0;\n")
    with pytest.raises(TicketdbError, match=f"the database is at {BEFORE}: run `ticketdb apply`"):
        apply(database.dsn, NAMES, tree=tree_copy)
