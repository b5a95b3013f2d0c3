"""apply among others: many at once, killed half-way, in front of a lock, in the midst of a sale."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pglast.parser import parse_sql

from tests.support.by_hand import add_indexes, add_revision
from tests.support.databases import Connect, Database, fingerprint, throw_away_database
from tests.support.program import (
    WAITING,
    Program,
    Start,
    clean_environment,
    next_line,
    take_migration_lock,
)
from tests.support.waiting import PATIENCE_SECONDS, await_true
from ticketdb.catalog import Catalog
from ticketdb.config import Variables
from ticketdb.database import State, own_sql
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import Revision, parse_sections, read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.run import Step
from ticketdb.migrate.statements import split_statements
from ticketdb.paths import Tree, shipped_tree
from ticketdb.private_server import Cluster, private_cluster
from ticketdb.templates import render
from ticketdb.verify import verify

pytestmark = pytest.mark.default_names
roles_exist = pytest.mark.usefixtures("template_database")

brings_it_down = pytest.mark.xdist_group("crashing")

NAMES = Variables()
CHAIN = read_chain(shipped_tree())
HEAD = CHAIN[-1].revision
PROCESSES = 8
ROUNDS = 10
PAUSE_SECONDS = 0.01  # between two looks: leaves the processor to those who are waited for
OURS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'ticketdb'"
    " AND backend_type = 'client backend'"
)


def is_waiting(observer: psycopg.Connection) -> int:
    """Wait until the migration waits for a lock. Returns the process id of its backend."""
    await_true(observer, f"SELECT EXISTS (SELECT {WAITING})")
    (pid,) = observer.execute(f"SELECT pid {WAITING}".encode()).fetchone() or (0,)
    return int(pid)


# The program as often as there are folders, each a process with its own folder for what it prints.
# Python and its modules are loaded once: that costs ten times as much as finding nothing to do.
MANY_PROGRAMS = """
import os, sys
import alembic.command, sqlalchemy
from ticketdb import cli

for folder in sys.argv[1:]:
    if os.fork() == 0:
        for number, name in ((1, "output"), (2, "errors")):
            os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT), number)
        sys.argv = ["ticketdb", "apply", "--json"]
        cli.main()
for folder in sys.argv[1:]:
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@contextmanager
def held_up(gatekeeper: psycopg.Connection) -> Iterator[None]:
    """Let what is started in the block go on together, when the last waits for the lock.

    The lock is on a table, which must be there; and nothing is applied yet.
    """
    gatekeeper.execute(own_sql("migrate/sql/bootstrap.sql", NAMES, tables="[]").encode())
    take_migration_lock(gatekeeper)
    yield
    # Each has a session that looks, and one for the lock.
    await_true(
        gatekeeper,
        f"SELECT pg_stat_clear_snapshot() IS NOT NULL AND count(*) = {2 * PROCESSES} {OURS}",
    )
    gatekeeper.execute("ROLLBACK")


def assert_one_has_migrated(outputs: list[str]) -> None:
    results = [json.loads(output) for output in outputs]
    assert {result["revision"] for result in results} == {HEAD}
    migrated = sorted(len(result["applied"]) for result in results)
    assert migrated == [0] * (PROCESSES - 1) + [len(CHAIN)]


@roles_exist
def test_of_many_programs_one_migrates_and_the_others_find_nothing_to_do(
    empty_database: Database, connect: Connect, start: Start
) -> None:
    with held_up(connect(empty_database)):
        programs = [
            start("apply", "--json", TICKETDB_DSN=empty_database.dsn) for _ in range(PROCESSES)
        ]
    ended = [(*program.communicate(), program.returncode) for program in programs]
    assert [(errors, status) for _, errors, status in ended] == [("", 0)] * PROCESSES
    assert_one_has_migrated([output for output, _, _ in ended])


@roles_exist
@pytest.mark.parametrize("_round", range(1, ROUNDS + 1))
def test_so_it_is_time_and_again(
    _round: int, empty_database: Database, connect: Connect, tmp_path: Path
) -> None:
    folders = [tmp_path / str(number) for number in range(PROCESSES)]
    for folder in folders:
        folder.mkdir()
    with held_up(connect(empty_database)):
        programs = subprocess.Popen(
            [sys.executable, "-c", MANY_PROGRAMS, *folders],
            env=clean_environment(TICKETDB_DSN=empty_database.dsn),
            stdout=subprocess.PIPE,
            text=True,
        )
    statuses, _ = programs.communicate()
    assert [(folder / "errors").read_text() for folder in folders] == [""] * PROCESSES
    assert statuses.split() == ["0"] * PROCESSES
    assert_one_has_migrated([(folder / "output").read_text() for folder in folders])


def catalog(database: Database) -> Catalog:
    with psycopg.connect(database.dsn) as connection:
        return fingerprint(connection, NAMES)


def obstacle(revision: Revision) -> str:
    """What lets a revision come as far as the last of its objects, while it is not committed.

    It makes something of the same name: a unique index of the system catalogs lets only one of two
    transactions do that, and the other one waits for it.
    """
    for section in reversed(parse_sections(render(revision.up, NAMES))):
        statement: Any = parse_sql(section.text)[0].stmt
        match type(statement).__name__:
            case "CreateStmt" | "ViewStmt":
                name = getattr(statement, "relation", None) or statement.view
                return f"CREATE TABLE {name.schemaname}.{name.relname} ()"
            # Before the first revision the schema of the internal ones is not there.
            case "CreateFunctionStmt" if revision is not CHAIN[0]:
                return f"SET check_function_bodies = off; {split_statements(section.text)[0]}"
    raise AssertionError(f"{revision.name} makes no object that could block it")


@dataclass
class Twins:
    """A database in which apply is killed, and one in which nothing ever happens to it."""

    killed: Database
    clean: Database

    def __post_init__(self) -> None:
        self.clean_catalog = catalog(self.clean)

    def assert_nothing_is_left_of(self, revision: Revision) -> None:
        """The one is where the other is, which has never heard of this revision."""
        with psycopg.connect(self.killed.dsn, autocommit=True) as connection:
            await_true(connection, f"SELECT NOT EXISTS (SELECT {OURS})")
            state = State.read(connection, NAMES)
            invalid = "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid"
            assert connection.execute(invalid).fetchall() == []
        before = CHAIN[: CHAIN.index(revision)]
        assert state.revision == (before[-1].revision if before else None)
        assert [row["revision"] for row in state.ledger] == [r.revision for r in before]
        found = catalog(self.killed)
        if not before:  # alembic's table is there before the first revision, and holds nothing yet
            made_before = re.compile(r"\bticketdb\b")  # it, and its schema
            found = {k: v for k, v in found.items() if not made_before.search(k[1])}
        assert found == self.clean_catalog, revision.name

    def go_on(self, revision: Revision) -> None:
        """Both reach this revision, the one by the apply after the one that was killed."""
        for database in (self.killed, self.clean):
            result = apply(database.dsn, NAMES, to=revision.revision)
            assert [step.revision for step in result.applied] == [revision.revision]
        self.clean_catalog = catalog(self.clean)
        assert catalog(self.killed) == self.clean_catalog, revision.name


@pytest.fixture
def twins(cluster: Cluster, template_database: str) -> Iterator[Twins]:
    """Two empty databases; the roles are there."""
    assert template_database
    with ExitStack() as stack:
        both = (
            stack.enter_context(contextmanager(throw_away_database)(cluster, None))
            for _ in range(2)
        )
        yield Twins(*both)


def test_the_next_apply_goes_on_where_the_process_was_killed(
    twins: Twins, connect: Connect, start: Start
) -> None:
    """In the middle of each revision in turn: its last object is not made, all others are."""
    observer, blocker = connect(twins.killed), connect(twins.killed)
    blocker.autocommit = False
    for revision in CHAIN:
        blocker.execute(obstacle(revision).encode())
        process = start("apply", "--lock-timeout", "60", TICKETDB_DSN=twins.killed.dsn)
        is_waiting(observer)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        blocker.rollback()
        twins.assert_nothing_is_left_of(revision)
        twins.go_on(revision)
    assert [check.name for check in verify(twins.killed.dsn, NAMES) if not check.ok] == []


@roles_exist
def test_killed_before_the_first_revision_it_leaves_nothing(
    twins: Twins, connect: Connect, start: Start
) -> None:
    observer, blocker = connect(twins.killed), connect(twins.killed)
    blocker.autocommit = False
    blocker.execute("CREATE SCHEMA ticketdb")
    process = start("apply", "--lock-timeout", "60", TICKETDB_DSN=twins.killed.dsn)
    is_waiting(observer)
    process.kill()
    process.wait()
    blocker.rollback()
    assert catalog(twins.killed) == twins.clean_catalog
    twins.assert_nothing_is_left_of(CHAIN[0])
    twins.go_on(CHAIN[0])


@roles_exist
def test_a_killed_process_whose_backend_still_waits_blocks_and_is_named(
    empty_database: Database, connect: Connect, start: Start
) -> None:
    """A backend notices that its client is gone when it has something to send."""
    revision = CHAIN[1]
    apply(empty_database.dsn, NAMES, to=CHAIN[0].revision)
    observer, blocker = connect(empty_database), connect(empty_database)
    blocker.autocommit = False
    blocker.execute(obstacle(revision).encode())
    process = start("apply", "--lock-timeout", "60", TICKETDB_DSN=empty_database.dsn)
    orphan = is_waiting(observer)
    process.kill()
    process.wait()
    with pytest.raises(TicketdbError) as caught:
        apply(empty_database.dsn, NAMES, lock_timeout=0.1, wait=0.3)
    assert (caught.value.code, caught.value.exit_status) == ("E_LOCK_TIMEOUT", 4)
    assert f"blocked by pid {orphan}, " in caught.value.message
    blocker.rollback()
    assert apply(empty_database.dsn, NAMES).revision == HEAD


@pytest.fixture(scope="module")
def crashing(cluster: Cluster) -> Iterator[Cluster]:
    """A server to be brought down. What was committed before that must outlive it."""
    with private_cluster(cluster.binaries, settings={"synchronous_commit": "on"}) as own:
        yield own


def kill_backend(database: Database, hindrance: str, tree: Tree) -> None:
    """Apply, and kill its backend by SIGKILL while it waits for a transaction that did this.

    The server ends every session, starts anew and recovers.
    """
    with (
        ThreadPoolExecutor(1) as pool,
        closing(psycopg.connect(database.dsn, autocommit=True)) as observer,
        closing(psycopg.connect(database.dsn)) as blocker,
    ):
        blocker.execute(hindrance.encode())
        killed = pool.submit(apply, database.dsn, NAMES, lock_timeout=60, tree=tree)
        os.kill(is_waiting(observer), signal.SIGKILL)
        error = killed.exception()
        # The client may know before the postmaster does, who lets people in until then.
        with suppress(psycopg.OperationalError):
            while True:
                observer.execute("SELECT")
    assert isinstance(error, TicketdbError)
    assert (error.code, error.exit_status) == ("E_CONNECTION_LOST", 3)
    await_server(database.cluster)


@brings_it_down
def test_the_next_apply_goes_on_where_the_backend_was_killed(crashing: Cluster) -> None:
    """For each revision in turn."""
    twins = Twins(*(new_database(crashing, name) for name in ("killed", "clean")))
    for revision in CHAIN:
        kill_backend(twins.killed, obstacle(revision), shipped_tree())
        twins.assert_nothing_is_left_of(revision)
        twins.go_on(revision)
    assert [check.name for check in verify(twins.killed.dsn, NAMES) if not check.ok] == []


@brings_it_down
def test_an_index_that_a_crash_left_half_made_is_made_anew(
    crashing: Cluster, tree_copy: Tree
) -> None:
    """A revision outside a transaction: no transaction takes back what it has begun."""
    database = new_database(crashing, "index")
    apply(database.dsn, NAMES)
    add_indexes(
        tree_copy, "CREATE INDEX CONCURRENTLY shows_venue_idx ON {{ schema }}.shows (venue)"
    )
    unfinished = "INSERT INTO public.shows (name, starts_at, currency) VALUES ('x', now(), 'EUR')"
    kill_backend(database, unfinished, tree_copy)
    index = (
        "SELECT i.indisvalid FROM pg_index AS i"
        " WHERE i.indexrelid = to_regclass('public.shows_venue_idx')"
    )
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        assert connection.execute(index).fetchall() == [(False,)]
        assert State.read(connection, NAMES).revision == HEAD
        result = apply(database.dsn, NAMES, tree=tree_copy)
        assert connection.execute(index).fetchall() == [(True,)]
        state = State.read(connection, NAMES)
    assert state.revision == result.revision == state.ledger[-1]["revision"] != HEAD


def new_database(cluster: Cluster, name: str) -> Database:
    cluster.create_database(name)
    return Database(cluster, name)


def await_server(cluster: Cluster) -> None:
    """Until it lets people in again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            psycopg.connect(cluster.dsn()).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the server does not come back"
            time.sleep(PAUSE_SECONDS)
        else:
            return


def lock_seats(database: Database, connect: Connect) -> psycopg.Connection:
    """A session that keeps the table of seats to itself, in a database that is at revision 2."""
    apply(database.dsn, NAMES, to=CHAIN[1].revision)
    blocker = connect(database)
    blocker.autocommit = False
    blocker.execute("LOCK TABLE public.show_seats IN ACCESS EXCLUSIVE MODE")
    return blocker


@roles_exist
def test_the_program_names_who_blocks_it_and_goes_on_when_they_are_gone(
    empty_database: Database, connect: Connect, start: Start
) -> None:
    blocker = lock_seats(empty_database, connect)
    process = start("apply", "--lock-timeout", "0.1", TICKETDB_DSN=empty_database.dsn)
    printed = next_line(process)
    blocker.rollback()
    output, errors = process.communicate()
    assert re.fullmatch(
        rf"{CHAIN[2].revision} .*: blocked by pid {blocker.info.backend_pid}, LOCK TABLE"
        r" public.show_seats .*; trying again in 0\.1 s\n",
        printed,
    )
    assert (errors, process.returncode) == ("", 0)
    assert f"the database is at {HEAD}" in output


@roles_exist
def test_the_program_gives_up_with_exit_status_4_the_pid_and_the_query(
    empty_database: Database, connect: Connect, ticketdb: Program
) -> None:
    blocker = lock_seats(empty_database, connect)
    options = ("--lock-timeout", "0.05", "--wait", "0.2", "--dsn", empty_database.dsn)
    given_up = ticketdb("apply", *options)
    assert given_up.returncode == 4
    assert re.fullmatch(
        rf"error \[E_LOCK_TIMEOUT\]: .*pid {blocker.info.backend_pid},"
        r" LOCK TABLE public.show_seats.*\n",
        given_up.stderr,
    )
    blocker.rollback()
    assert ticketdb("apply", *options).returncode == 0


class Sale:
    """Buyers who hold seats and give them back, for as long as the block lasts.

    Some of them want the same ones. A call that raises an error ends the block with it.
    """

    BUYERS = 4

    def __init__(self, connect: Connect) -> None:
        self.sessions = [connect() for _ in range(self.BUYERS)]
        self.answers: Counter[str | None] = Counter()
        self.is_over = threading.Event()
        (self.show,) = self.sessions[0].execute(
            "INSERT INTO public.shows (name, starts_at, currency, status)"
            " VALUES ('x', now() + interval '1 day', 'EUR', 'on_sale') RETURNING id"
        ).fetchone() or (None,)
        seats = self.sessions[0].execute(
            "INSERT INTO public.show_seats (show_id, section, row_label, seat_number,"
            " price_in_cents) SELECT %s, 'a', 'a', n::text, 100 FROM generate_series(1, 6) AS n"
            " RETURNING id",
            [self.show],
        )
        self.seats = [seat for (seat,) in seats.fetchall()]

    def __enter__(self) -> "Sale":
        self.pool = ThreadPoolExecutor(self.BUYERS)
        self.buyers = [self.pool.submit(self.buy, number) for number in range(self.BUYERS)]
        self.await_served(self.BUYERS)
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.pool.shutdown()
        for buyer in self.buyers:
            buyer.result()

    def buy(self, number: int) -> None:
        connection, seats = self.sessions[number], self.seats[2 * (number % 3) :][:2]
        session = f"buyer-{number}"
        while not self.is_over.is_set():
            token, code = connection.execute(
                "SELECT reservation_token, error_code FROM reserve_seats(%s, %s, %s)",
                [self.show, seats, session],
            ).fetchone() or (None, "no answer")
            self.answers[code] += 1
            if token:
                connection.execute("SELECT * FROM release_reservation(%s, %s)", [token, session])

    def await_served(self, more: int) -> None:
        """Until they have got so many answers more."""
        deadline, enough = time.monotonic() + PATIENCE_SECONDS, self.answers.total() + more
        while self.answers.total() < enough:
            assert time.monotonic() < deadline, "the buyers are not served"
            time.sleep(PAUSE_SECONDS)


def assert_no_call_failed(sale: Sale) -> None:
    assert sale.answers.keys() <= {None, "SEATS_UNAVAILABLE"}
    assert sale.answers[None] > 0


SEATS = f"-- alter: shows/show_seats.sql sha256={'0' * 64}\nALTER TABLE {{{{ schema }}}}.show_seats"
NEW_COLUMN = (f"{SEATS} ADD COLUMN note text;\n", f"{SEATS} DROP COLUMN note;\n")


def test_buyers_are_served_between_the_attempts_of_a_migration(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    """It steps aside: those who came after it do not wait for what it waits for itself."""
    add_revision(tree_copy, *NEW_COLUMN)
    holder = connect()
    holder.autocommit = False
    holder.execute("SELECT FROM public.show_seats")
    waits: list[Step] = []

    def on_step(step: Step) -> None:
        if step.kind == "wait":
            waits.append(step)
            sale.await_served(20)  # while the migration pauses: apply goes on when this returns
            if len(waits) == 3:
                holder.rollback()

    with Sale(connect) as sale:
        result = apply(database.dsn, NAMES, tree=tree_copy, lock_timeout=0.1, progress=on_step)
        sale.await_served(20)
    assert_no_call_failed(sale)
    assert [step.description for step in result.applied] == ["by hand"]
    assert len(waits) >= 3
    assert all(f"pid {holder.info.backend_pid}," in step.detail for step in waits[:3])


def test_a_migration_that_did_not_step_aside_would_keep_every_buyer_waiting(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    """The control: what the lock timeout is for."""
    add_revision(tree_copy, *NEW_COLUMN)
    observer, holder = connect(), connect()
    holder.autocommit = False
    holder.execute("SELECT FROM public.show_seats")
    with Sale(connect) as sale, ThreadPoolExecutor(1) as pool:
        patient = pool.submit(apply, database.dsn, NAMES, tree=tree_copy, lock_timeout=60)
        # In the queue for the table, behind its readers.
        queue = (
            "FROM pg_stat_activity WHERE datname = current_database()"
            " AND (wait_event_type, wait_event) = ('Lock', 'relation')"
        )
        await_true(observer, f"SELECT count(*) = 1 + {Sale.BUYERS} {queue}")
        holder.rollback()
        assert patient.result().applied
        sale.await_served(20)
    assert_no_call_failed(sale)


def test_hot_tables_and_functions_change_in_the_middle_of_a_sale(
    database: Database, tree_copy: Tree, connect: Connect
) -> None:
    """There and back again, what people do most: no call fails."""
    sources = {s.path: s for r in read_chain(tree_copy) for s in parse_sections(r.up)}
    replaced = "".join(
        sources[file].frozen()
        for file in (
            "holds/reserve_seats.sql",
            "holds/release_reservation.sql",
            "monitoring/active_reservations.sql",
        )
    )
    check = "CONSTRAINT show_seats_section_check"
    for up, down in (
        NEW_COLUMN,
        (f"{SEATS} ADD {check} CHECK (section <> '') NOT VALID;\n", f"{SEATS} DROP {check};\n"),
        (f"{SEATS} VALIDATE {check};\n", "-- privileges\n"),
        (replaced, replaced),
    ):
        add_revision(tree_copy, up, down)
    with Sale(connect) as sale:
        there = apply(database.dsn, NAMES, tree=tree_copy, lock_timeout=0.2)
        sale.await_served(20)
        back = revert(
            database.dsn, NAMES, HEAD, tree=tree_copy, lock_timeout=0.2, allow_data_loss=True
        )
        sale.await_served(20)
    assert_no_call_failed(sale)
    assert len(there.applied) == len(back) == 4
    assert [check.name for check in verify(database.dsn, NAMES) if not check.ok] == []
