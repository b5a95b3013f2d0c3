"""Runs revisions: alembic decides on their order, PostgreSQL does everything else.

Each revision is one transaction: its SQL, its line in the ledger and alembic's version number
commit together or not at all. A revision that runs outside a transaction, as its heading demands,
is sent statement by statement, and each of its statements can be repeated. The migration lock,
which lasts as long as a transaction, and the observation of other sessions have connections of
their own: alembic needs a connection on which no transaction has begun.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from ticketdb.config import Variables
from ticketdb.database import (
    VERSION_TABLE,
    Connection,
    State,
    connect,
    explained,
    own_sql,
    query,
    refuse_pooler,
)
from ticketdb.errors import TicketdbError, problem
from ticketdb.migrate.chain import MARKER, Direction, Revision, alembic_config, read_chain
from ticketdb.migrate.history import (
    check_direction,
    check_history,
    check_room,
    check_server,
    position_of,
)
from ticketdb.migrate.statements import (
    bootstrap,
    outside_queries,
    revision_parts,
    runs_outside,
)
from ticketdb.paths import Tree

if TYPE_CHECKING:  # takes half a second, so it is imported where it is needed
    import sqlalchemy

LOCK_POLL_SECONDS = 0.1
WATCH_SECONDS = 0.02  # less than any sensible lock time-out
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
LOCKED = "E_LOCK_TIMEOUT"
NOT_TRIED = "runs outside a transaction, which cannot be rolled back"
StepKind = Literal["start", "done", "wait", "skip"]
Path = tuple[str, ...]  # (schema, table) or (schema, table, column)


@dataclass(frozen=True)
class Step:
    """An event for the progress callback. `seconds`: how long the step took, or will wait."""

    kind: StepKind
    revision: str
    description: str
    position: int
    total: int
    seconds: float = 0.0
    detail: str = ""


Progress = Callable[[Step], None]


@dataclass
class Run:
    """A run along the chain. Through alembic, env.py and the revisions get hold of it."""

    dsn: str
    variables: Variables
    tree: Tree
    direction: Direction
    to: str
    settings: str
    progress: Progress
    wait: float
    beside: bool = False  # allow another installation in the database
    adopting: bool = False
    lock: Connection = field(init=False)  # holds the migration lock
    control: Connection = field(init=False)  # autocommit: reads the state, observes the others
    connection: "sqlalchemy.Connection" = field(init=False)  # alembic's
    chain: list[Revision] = field(init=False)
    todo: list[Revision] = field(init=False)
    done: list[Step] = field(default_factory=list)
    rehearsing: bool = False
    begun: bool = False  # a revision has begun to change the database
    blocker: str = ""

    @contextmanager
    def prepared(self, *, dry: bool = False) -> Iterator[None]:
        """Take the migration lock, or raise E_LOCK_TIMEOUT, and determine the revisions to run.

        `dry`: write nothing, not even the table that is locked.
        """
        import sqlalchemy

        self.chain = chain = read_chain(self.tree)
        target = position_of(chain, self.to)
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=lambda: connect(self.dsn, patient=True),
            poolclass=sqlalchemy.NullPool,
            use_native_hstore=False,
        )
        with (
            explained("migration"),
            connect(self.dsn, autocommit=True, patient=True) as self.control,
            connect(self.dsn, patient=True) as self.lock,
        ):
            refuse_pooler(self.control, self.dsn)
            for session in (self.control, self.lock):
                session.execute(self.settings.encode())
            self.lock.commit()
            check_server(self.state(), writing=True)
            made_room = self._take_lock([] if self.adopting else chain[:target], dry=dry)
            state = self.state()
            check_server(state, writing=True)
            check_history(state, chain, self.variables)
            here = position_of(chain, state.revision)
            check_direction(chain, here, target, self.direction)
            self.todo = chain[here:target] if self.direction == "up" else chain[target:here][::-1]
            try:
                with engine.connect() as self.connection:
                    yield
            finally:
                is_connected = not (self.control.closed or self.lock.closed)
                begun = self.begun or made_room
                if begun and is_connected and self.state().revision is None:
                    query(self.lock, "migrate/sql/leave_nothing.sql", self.variables)
                    self.lock.commit()

    def _take_lock(self, revisions: list[Revision], *, dry: bool) -> bool:
        """Lock the version table, until `self.lock` ends its transaction. Raises E_LOCK_TIMEOUT.

        Before the first revision the table does not exist. It is created then, unless `dry` or
        reverting. Returns whether it was created.
        """
        made_room, deadline = False, time.monotonic() + self.wait
        while True:
            holder = "another session"
            try:
                query(self.lock, "migrate/sql/lock.sql", self.variables)
                return made_room
            except psycopg.errors.LockNotAvailable:
                self.lock.rollback()
                found = query(self.lock, "migrate/sql/lock_holder.sql", self.variables)
                holder = found[0].holder if found else holder
                self.lock.rollback()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                self.lock.rollback()
                if dry or self.direction == "down":
                    return made_room
                state = self.state()
                check_history(state, self.chain, self.variables)
                check_room(self.control, state, self.variables, beside=self.beside)
                try:
                    with explained("bootstrap.sql"):
                        self.lock.execute(bootstrap(revisions, self.variables).encode())
                        self.lock.commit()
                        made_room = True
                        continue
                except TicketdbError as error:
                    self.lock.rollback()
                    # Another first migration may have created it at the same moment.
                    if error.code != LOCKED and not self._has_version_table():
                        raise
            if time.monotonic() >= deadline:
                raise problem(LOCKED, f"{holder} holds the migration lock")
            time.sleep(LOCK_POLL_SECONDS)

    def _has_version_table(self) -> bool:
        there = self.lock.execute(
            "SELECT pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s::text, %s::text))"
            " IS NOT NULL AS there",
            [self.variables.internal_schema, VERSION_TABLE],
        ).fetchone()
        self.lock.rollback()
        return bool(there and there[0])

    def state(self) -> State:
        return State.read(self.control, self.variables)

    def walk(self) -> set[Path]:
        """Run the revisions. Where another session's lock prevents that, pause and try again.

        The pauses add up to at most `wait` seconds. Revisions that are done stay done: the next
        attempt begins with the one that failed. A rehearsal begins anew, and returns the tables and
        columns that would be gone.
        """
        pause, wait = FIRST_PAUSE_SECONDS, self.wait
        (pid,) = self._execute("SELECT pg_backend_pid()::text", "").one()
        self.connection.rollback()
        while True:
            self.blocker, over = "the blocking session has ended", threading.Event()
            watcher = threading.Thread(target=self._watch, args=(pid, over))
            watcher.start()
            try:
                return self._attempt()
            except TicketdbError as error:
                failure = error
                self.connection.rollback()
            finally:
                over.set()
                watcher.join()
            if failure.code != LOCKED:
                raise failure
            if pause > wait:
                # Without the remedy, which comes once, at the end.
                what = failure.message.rpartition(" - ")[0]
                raise problem(failure.code, f"{what} ({self.blocker})")
            self._report("wait", pause, self.blocker)
            time.sleep(pause)
            wait -= pause
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _watch(self, pid: str, over: threading.Event) -> None:
        """Note which session blocks this one: after a time-out PostgreSQL no longer knows."""
        # The query of another session may be invalid in this encoding.
        with suppress(psycopg.Error, UnicodeError):
            while not over.wait(WATCH_SECONDS):
                for row in query(self.control, "migrate/sql/blocker.sql", self.variables, pid=pid):
                    if row.for_long and row.description != self.blocker:
                        self._report("wait", detail=row.description)
                    self.blocker = row.description

    def rehearse(self) -> set[Path]:
        """Run the revisions in one transaction, and roll it back. Returns what `walk` returns."""
        self.rehearsing = True
        try:
            return self.walk()
        finally:
            self.rehearsing = False
            self.connection.rollback()

    @contextmanager
    def reporting_where_it_stopped(self) -> Iterator[None]:
        """Within the block, add the revision that was reached to the message of an error."""
        try:
            yield
        except TicketdbError as error:
            if not self.done:
                raise
            names = ["base", *(revision.revision for revision in self.chain)]
            reached = self.done[-1].revision
            if self.direction == "down":
                reached = names[names.index(reached) - 1]
            on, back = ("apply", "revert") if self.direction == "up" else ("revert", "apply")
            stopped = f"the database is at {reached}: run `ticketdb {on}` again to continue, or "
            stopped += f"`ticketdb {back}` to go back"
            raise TicketdbError(
                error.code, error.exit_status, f"{error.message}; {stopped}"
            ) from error

    def _attempt(self) -> set[Path]:
        from alembic import command

        config, before = alembic_config(self.tree), set()
        config.attributes["run"] = self
        if self.rehearsing:
            self.done.clear()
            before = self._columns()  # this begins the transaction
        remaining = self.todo[len(self.done) :]
        if self.rehearsing and self.direction == "up":
            remaining = list(takewhile(lambda revision: not runs_outside(revision.up), remaining))
        with explained(VERSION_TABLE):
            if remaining and self.direction == "down":
                command.downgrade(config, self.to)
            elif remaining:
                self._execute(self.settings + bootstrap(remaining, self.variables), "bootstrap.sql")
                if not self.rehearsing:
                    self.connection.commit()
                command.upgrade(config, remaining[-1].revision)
        return before - self._columns() if self.rehearsing else before

    def migrate(self, expected: str) -> None:
        """Run a revision and write its row of the ledger, in the transaction of alembic."""
        revision = self.todo[len(self.done)]
        assert revision.revision == expected
        self._report("start")
        started, self.begun = time.monotonic(), not self.rehearsing
        file = f"{revision.name}.{self.direction}.sql"
        self._refuse_what_cannot_be_encoded(revision, file)
        if not runs_outside(getattr(revision, self.direction)):
            self._execute(self.settings, file)
            parts = revision_parts(revision, self.variables, self.direction, self.chain)
            for label, statements in parts:
                self._execute(statements, f"{file}, {label}")
        elif self.rehearsing:
            self._report("skip", detail=NOT_TRIED)
        else:
            self._run_outside(revision, file)
        self.lock.execute("SELECT")  # fails if the session that holds the migration lock is gone
        self.done.append(self._report("done", time.monotonic() - started))

    def _run_outside(self, revision: Revision, file: str) -> None:
        """Run a revision statement by statement, then write its row of the ledger."""
        from alembic import op

        with op.get_context().autocommit_block():
            self._execute(self.settings, file)
            for label, question in outside_queries(revision, self.variables, self.direction):
                where = f"{file}, {label}, outside a transaction"
                try:
                    for (statement,) in self._execute(question, where).all():
                        self._execute(statement, where)
                except TicketdbError as error:
                    # Until the next attempt, an invalid index would slow down every write.
                    with suppress(psycopg.Error):
                        for (statement,) in self.control.execute(question.encode()).fetchall():
                            if statement.startswith("DROP INDEX") and error.code != LOCKED:
                                self.control.execute(statement)
                    raise
        parts = dict(revision_parts(revision, self.variables, self.direction))
        self._execute(parts["ledger"], file)

    def _report(self, kind: StepKind, seconds: float = 0.0, detail: str = "") -> Step:
        """Call the progress callback about the next revision."""
        revision, position, total = self.todo[len(self.done)], len(self.done) + 1, len(self.todo)
        name = (revision.revision, revision.description)
        step = Step(kind, *name, position, total, seconds, detail)
        if not self.rehearsing or self.direction == "up" or kind in ("wait", "skip"):
            self.progress(step)
        return step

    def _execute(self, statements: str, where: str) -> "sqlalchemy.CursorResult[Any]":
        """Send SQL verbatim: several statements at once, without bind parameters."""
        verbatim = {"no_parameters": True}
        with explained(where, statements):
            return self.connection.exec_driver_sql(statements, execution_options=verbatim)

    def _refuse_what_cannot_be_encoded(self, revision: Revision, file: str) -> None:
        """Raise E_ENCODING, with the line, for a character that the database cannot store.

        PostgreSQL converts a text before it parses it, and so cannot report the position.
        """
        text = getattr(revision, self.direction)
        if text.isascii():
            return
        encoding = self.control.info.parameter_status("server_encoding")
        above = text.count("\n", 0, next(MARKER.finditer(text)).start())
        for number, line in enumerate(text.splitlines()[above:], above + 1):
            for character in filter(lambda each: not each.isascii(), line):
                digits = character.encode().hex()
                try:
                    query(self.control, "migrate/sql/encodable.sql", self.variables, digits=digits)
                except psycopg.errors.UntranslatableCharacter:
                    what = f"{file}, line {number}: {character!r} cannot be written in {encoding}"
                    raise problem("E_ENCODING", f"{what}, the encoding of the database") from None

    def _columns(self) -> set[Path]:
        rows = self._execute(own_sql("migrate/sql/columns.sql", self.variables), "columns.sql")
        return {tuple(path) for (path,) in rows}


def current_run() -> Run:
    """The run that has called alembic."""
    from alembic import context

    run = context.config.attributes["run"]
    assert isinstance(run, Run)
    return run


def run_up(revision: str) -> None:
    """Called by the upgrade() of a revision."""
    current_run().migrate(revision)


def run_down(revision: str) -> None:
    """Called by the downgrade() of a revision."""
    current_run().migrate(revision)
