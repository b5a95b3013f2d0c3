"""Applying the chain: alembic for the order of revisions, PostgreSQL for everything else.

Each revision is one transaction: its SQL, its line in the ledger and alembic's version number
commit together or not at all. One whose heading says that it runs outside a transaction is sent
statement by statement, and each of them can be run again. Connections of their own hold the
migration lock, which lasts as long as a transaction, and look at what happens, because alembic must
be handed a connection on which nothing has happened yet.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import psycopg

from ticketdb import SUPPORTED, SUPPORTED_MAJORS, __version__
from ticketdb.catalog import differences, read_catalog, roots, shipped_catalog, strangers
from ticketdb.config import JOBS, Variables
from ticketdb.database import (
    VERSION_TABLE,
    Connection,
    State,
    connect,
    explained,
    own_sql,
    query,
    refuse_pooler,
    settings_sql,
)
from ticketdb.errors import TicketdbError, problem
from ticketdb.render import render
from ticketdb.resources import Tree, shipped_tree
from ticketdb.revision import (
    COMMENT,
    MARKER,
    Revision,
    alembic_config,
    chain_state,
    parse_sections,
    read_chain,
    read_manifest,
    sha256_hex,
)

if TYPE_CHECKING:  # half a second: imported where it is needed
    import sqlalchemy

LOCK_POLL_SECONDS = 0.1
WATCH_SECONDS = 0.02  # less than any sensible lock time-out
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

# Comments, quoted things of every kind, words, and the semicolons that are left between them.
TOKEN = re.compile(
    rf"{COMMENT}|[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|\"(?:\"\"|[^\"])*\""
    r"|\$(?P<tag>[^\W\d]\w*)?\$.*?\$(?(tag)(?P=tag))\$|BEGIN\s+ATOMIC\b|[^\W\d][\w$]*|;",
    re.DOTALL | re.IGNORECASE,
)

LOCKED = "E_LOCK_TIMEOUT"
OUTSIDE = "-- outside a transaction"  # a line of a heading
# What takes no rows away.
HARMLESS = re.compile(
    r"^COMMENT\b|\bINDEX\s+CONCURRENTLY\b|\.revoke_default_privileges\(\)", re.IGNORECASE
)
NOT_TRIED = "runs outside a transaction, which cannot be rolled back"

Direction = Literal["up", "down"]
StepKind = Literal["start", "done", "wait", "skip"]
Path = tuple[str, ...]  # of a table or a column: schema, table, column


@dataclass(frozen=True)
class Step:
    """What a progress callback is told. `seconds`: how long it took, or how long it will wait."""

    kind: StepKind
    revision: str
    description: str
    position: int
    total: int
    seconds: float = 0.0
    detail: str = ""


Progress = Callable[[Step], None]


@dataclass(frozen=True)
class Job:
    job_name: str
    schedule: str
    command: str
    action: str


@dataclass(frozen=True)
class ApplyResult:
    """`grants`: what a DBA still has to run when roles are not ours to manage.

    `not_run`: what a dry run had to leave out, and why. `warnings`: who else may create objects in
    the schemas, and what is there that could catch a call.
    """

    revision: str | None
    applied: tuple[Step, ...]
    jobs: tuple[Job, ...]
    grants: tuple[str, ...]
    not_run: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass
class Run:
    """A walk along the chain: what env.py and the revisions find on the other side of alembic."""

    dsn: str
    variables: Variables
    tree: Tree
    direction: Direction
    to: str
    settings: str
    progress: Progress
    wait: float
    beside: bool = False  # another installation
    adopting: bool = False
    lock: Connection = field(init=False)  # holds the migration lock
    control: Connection = field(init=False)
    connection: "sqlalchemy.Connection" = field(init=False)  # alembic's
    chain: list[Revision] = field(init=False)
    todo: list[Revision] = field(init=False)
    done: list[Step] = field(default_factory=list)
    rehearsing: bool = False
    begun: bool = False  # to change something
    blocker: str = ""

    @contextmanager
    def prepared(self, *, dry: bool = False) -> Iterator[None]:
        """Take the migration lock, or raise E_LOCK_TIMEOUT, and find out what there is to do.

        `dry`: nothing is to be written, not even the table that the lock is on.
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
                    self.lock.execute(own_sql("leave_nothing.sql", self.variables).encode())
                    self.lock.commit()

    def _take_lock(self, revisions: list[Revision], *, dry: bool) -> bool:
        """Lock the table of the version, until `self.lock` ends its transaction.

        Before the first revision there is none: it is made, unless nothing is to be written or
        there is nothing to undo. Returns whether this has been done. Raises E_LOCK_TIMEOUT.
        """
        made_room, deadline = False, time.monotonic() + self.wait
        while True:
            holder = "another session"
            try:
                query(self.lock, "lock.sql", self.variables)
                return made_room
            except psycopg.errors.LockNotAvailable:
                self.lock.rollback()
                found = query(self.lock, "lock_holder.sql", self.variables)
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
                    # Another first migration may have made it at this very moment.
                    if error.code != LOCKED and not self._has_version_table():
                        raise
            if time.monotonic() >= deadline:
                raise problem(LOCKED, f"{holder} holds the migration lock")
            time.sleep(LOCK_POLL_SECONDS)

    def _has_version_table(self) -> bool:
        there = self.lock.execute(
            "SELECT pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', %s::text, %s::text))"
            " IS NOT NULL AS there",
            [self.variables.schema, VERSION_TABLE],
        ).fetchone()
        self.lock.rollback()
        return bool(there and there[0])

    def state(self) -> State:
        return State.read(self.control, self.variables)

    def walk(self) -> set[Path]:
        """Walk, again and again where locks are in the way, with pauses of `wait` seconds in all.

        What was reached stays reached: each attempt begins with the revision that failed. A
        rehearsal begins anew, and returns the columns that would be gone.
        """
        pause, wait = FIRST_PAUSE_SECONDS, self.wait
        (pid,) = self._execute("SELECT pg_backend_pid()::text", "").one()
        self.connection.rollback()
        while True:
            self.blocker, over = "what was in the way is gone", threading.Event()
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
                what = failure.message.rpartition(" - ")[0]  # the remedy is told once, at the end
                raise problem(failure.code, f"{what} ({self.blocker})")
            self._tell("wait", pause, self.blocker)
            time.sleep(pause)
            wait -= pause
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _watch(self, pid: str, over: threading.Event) -> None:
        """Note who is in the way: after a time-out nobody can tell any more."""
        # What others have sent may be in no encoding at all.
        with suppress(psycopg.Error, UnicodeError):
            while not over.wait(WATCH_SECONDS):
                for row in query(self.control, "blocker.sql", self.variables, pid=pid):
                    if row.for_long and row.description != self.blocker:
                        self._tell("wait", detail=row.description)
                    self.blocker = row.description

    def rehearse(self) -> set[Path]:
        """Walk in one transaction, and roll it back."""
        self.rehearsing = True
        try:
            return self.walk()
        finally:
            self.rehearsing = False
            self.connection.rollback()

    @contextmanager
    def telling_where_it_stopped(self) -> Iterator[None]:
        """Within the block, an error in the midst of the way says how far that has led."""
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
            stopped = f"the database is at {reached}: run `ticketdb {on}` again to go on, or "
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
            before = self._columns()  # and with that, the transaction has begun
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
        """Run a revision and its line in the ledger, in the transaction that alembic has opened."""
        revision = self.todo[len(self.done)]
        assert revision.revision == expected
        self._tell("start")
        started, self.begun = time.monotonic(), not self.rehearsing
        file = f"{revision.name}.{self.direction}.sql"
        self._refuse_what_cannot_be_encoded(revision, file)
        if not runs_outside(getattr(revision, self.direction)):
            self._execute(self.settings, file)
            parts = revision_parts(revision, self.variables, self.direction, self.chain)
            for label, statements in parts:
                self._execute(statements, f"{file}, {label}")
        elif self.rehearsing:
            self._tell("skip", detail=NOT_TRIED)
        else:
            self._run_outside(revision, file)
        self.lock.execute("SELECT")  # nobody else has the lock as long as its session answers
        self.done.append(self._tell("done", time.monotonic() - started))

    def _run_outside(self, revision: Revision, file: str) -> None:
        """Run a revision statement by statement; then, in a transaction, its line in the ledger."""
        from alembic import op

        with op.get_context().autocommit_block():
            self._execute(self.settings, file)
            for label, asked in outside_queries(revision, self.variables, self.direction):
                where = f"{file}, {label}, outside a transaction"
                try:
                    for (statement,) in self._execute(asked, where).all():
                        self._execute(statement, where)
                except TicketdbError as error:
                    # Until somebody tries again, an index that is not valid costs every write.
                    with suppress(psycopg.Error):
                        for (statement,) in self.control.execute(asked.encode()).fetchall():
                            if statement.startswith("DROP INDEX") and error.code != LOCKED:
                                self.control.execute(statement)
                    raise
        parts = dict(revision_parts(revision, self.variables, self.direction))
        self._execute(parts["ledger"], file)

    def _tell(self, kind: StepKind, seconds: float = 0.0, detail: str = "") -> Step:
        """Tell what happens with the revision that comes next."""
        revision, position, total = self.todo[len(self.done)], len(self.done) + 1, len(self.todo)
        name = (revision.revision, revision.description)
        step = Step(kind, *name, position, total, seconds, detail)
        if not self.rehearsing or self.direction == "up" or kind in ("wait", "skip"):
            self.progress(step)
        return step

    def _execute(self, statements: str, where: str) -> "sqlalchemy.CursorResult[Any]":
        """Send SQL as it is: no bind parameters, no per cent signs, several statements at once."""
        verbatim = {"no_parameters": True}
        with explained(where, statements):
            return self.connection.exec_driver_sql(statements, execution_options=verbatim)

    def _refuse_what_cannot_be_encoded(self, revision: Revision, file: str) -> None:
        """Raise E_ENCODING for a character that the database has no place for, with its line.

        PostgreSQL transcodes a text before it reads it, and so cannot tell where it is.
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
                    query(self.control, "encodable.sql", self.variables, digits=digits)
                except psycopg.errors.UntranslatableCharacter:
                    what = f"{file}, line {number}: {character!r} cannot be written in {encoding}"
                    raise problem("E_ENCODING", f"{what}, the encoding of the database") from None

    def _columns(self) -> set[Path]:
        rows = self._execute(own_sql("columns.sql", self.variables), "columns.sql")
        return {tuple(path) for (path,) in rows}


def current_run() -> Run:
    """The walk that alembic is in the middle of."""
    from alembic import context

    run = context.config.attributes["run"]
    assert isinstance(run, Run)
    return run


# What a revision calls in its upgrade() and its downgrade().
def run_up(revision: str) -> None:
    current_run().migrate(revision)


def run_down(revision: str) -> None:
    current_run().migrate(revision)


def revision_parts(
    revision: Revision,
    variables: Variables,
    direction: Direction,
    chain: Sequence[Revision] = (),
) -> list[tuple[str, str]]:
    """The rendered SQL of a revision, piece by piece, with its line in the ledger.

    With the `chain`, also what saves views of users from what is replaced, and puts them back.
    """
    text = render(getattr(revision, direction), variables, f"{revision.name}.{direction}.sql")
    sections = parse_sections(text)
    parts = [(section.path or section.kind, section.text) for section in sections]
    entry = own_sql(
        "ledger.sql",
        variables,
        is_up=direction == "up",
        revision=revision.revision,
        source_sha256=revision.source_sha256,
        rendered_sha256=sha256_hex(text),
        package_version=__version__,
        variables_json=json.dumps(asdict(variables), ensure_ascii=False),
    )
    parts = [*parts, ("ledger", entry)] if direction == "up" else [("ledger", entry), *parts]
    made = {section.path for section in sections if section.kind == "object"}
    replacing = "".join(
        section.text
        for section in sections
        if section.kind == "alter" or (section.kind == "drop" and section.path in made)
    )
    if chain and replacing:
        markers = re.compile(r"^-- (?:object|alter): [^/\n]+/(\w+)\.sql", re.MULTILINE)
        known = markers.findall("".join(r.up for r in chain))
        texts = {"replacing": replacing, "own": json.dumps(known)}
        before, after = (
            ("dependents.sql", own_sql("dependents.sql", variables, saving=saving, **texts))
            for saving in (True, False)
        )
        parts = [before, *parts, after]
    return parts


def runs_outside(source: str) -> bool:
    """Whether a revision is, as its heading says, not to be run in a transaction."""
    return OUTSIDE in MARKER.split(source, maxsplit=1)[0].splitlines()


def outside_queries(
    revision: Revision, variables: Variables, direction: Direction
) -> Iterator[tuple[str, str]]:
    """For each statement of a revision that runs outside a transaction, from where it is, and what
    to ask for the statements to be sent in its place.
    """
    for label, text in revision_parts(revision, variables, direction):
        for statement in split_statements(text) if label != "ledger" else ():
            yield label, own_sql("outside.sql", variables, statement=statement)


def bootstrap(revisions: list[Revision], variables: Variables) -> str:
    """What must be there before any of these revisions; and what must not be: their tables."""
    text = "".join(revision.up for revision in revisions)
    tables = re.findall(r"^-- object: tables/(\w+)\.sql", text, re.MULTILINE)
    return own_sql("bootstrap.sql", variables, tables=json.dumps(tables))


def check_server(state: State, *, writing: bool) -> None:
    """Refuse what cannot do what comes next: E_SERVER_VERSION, E_STANDBY, E_ROLE."""
    if state.major not in SUPPORTED_MAJORS:
        raise problem("E_SERVER_VERSION", f"PostgreSQL {state.major} is none of {SUPPORTED}")
    if writing and state.in_recovery:
        raise problem("E_STANDBY", f"database {state.database!r} is on a standby: read-only")
    if writing and state.owner not in (None, state.role):
        what = f"ticketdb belongs to role {state.owner!r} in database {state.database!r}"
        raise problem("E_ROLE", f"{what}, and this is {state.role!r}")


def check_direction(chain: list[Revision], here: int, target: int, direction: Direction) -> None:
    """Refuse to go up to what lies below, or down to what lies above. Raises E_BEYOND."""
    names = ["base", *(revision.revision for revision in chain)]
    if direction == "up" and target < here:
        raise problem(
            "E_BEYOND",
            f"the database is at {names[here]}, beyond {names[target]}",
            f"to go back: `ticketdb revert --to {names[target]}`",
        )
    if direction == "down" and target > here:
        raise problem(
            "E_BEYOND",
            f"the database is at {names[here]}, which comes before {names[target]}",
            f"to go on: `ticketdb apply --to {names[target]}`",
        )


def check_room(
    connection: Connection, state: State, variables: Variables, *, beside: bool = False
) -> None:
    """Refuse a second installation, unless it is to be `beside` the first one. Raises E_BESIDE.

    Then, too, its jobs need names of their own: of two jobs of one name pg_cron keeps the last.
    """
    for schema in state.others if state.revision is None else ():
        there = f"ticketdb is in schema {schema!r} of database {state.database!r}"
        if not beside:
            raise problem("E_BESIDE", f"{there}, and not in schema {variables.schema!r}")
        used = jobs_of(connection, schema)
        taken = [name for name in JOBS if used.get(name) == getattr(variables, name)]
        if taken:
            raise problem(
                "E_BESIDE",
                f"{there}, with the same {', '.join(taken)}",
                "set other names for them under [variables] in ticketdb.toml",
            )


def jobs_of(connection: Connection, schema: str) -> dict[str, str]:
    """What the jobs of an installation are called, where this role may know it."""
    there = replace(Variables(), schema=schema)
    tables = {"has_version": False, "has_ledger": True}
    with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        (history,) = query(connection, "history.sql", there, **tables)
        return {k: v for entry in history.ledger for k, v in entry["variables"].items()}
    return {}


def check_history(state: State, chain: list[Revision], variables: Variables) -> None:
    """Refuse to build on a past that is not the one of this package.

    Raises E_UNKNOWN_REVISION, E_LEDGER, E_VARIABLES or E_CHECKSUM.
    """
    reached = chain[: position_of(chain, state.revision)]
    entries = {row["revision"]: row for row in state.ledger}
    if odd := sorted(entries.keys() ^ {revision.revision for revision in reached}):
        found = f"revision {odd[0]} is {'in' if odd[0] in entries else 'not in'} the ledger"
        raise problem("E_LEDGER", f"{VERSION_TABLE} says {state.revision or 'base'}, but {found}")
    now = asdict(variables)
    for revision in reached:
        entry = entries[revision.revision]
        for name, value in entry["variables"].items():
            if now.get(name, value) != value:
                built = f"the database was built with {name} = {value!r}"
                raise problem("E_VARIABLES", f"{built}, the configuration says {now[name]!r}")
        if entry["source_sha256"] != revision.source_sha256:
            checksums = f"{entry['source_sha256'][:12]}…, now {revision.source_sha256[:12]}…"
            what = f"{revision.name}.up.sql is not the file that was applied"
            raise problem("E_CHECKSUM", f"{what} (SHA-256 {checksums})")


def position_of(chain: list[Revision], revision: str | None) -> int:
    """How many revisions lead to this one. None and "base" are none, "head" is all."""
    names = ["base", *(r.revision for r in chain)]
    wanted = names[-1] if revision == "head" else revision or "base"
    if wanted not in names:
        known = f"this is ticketdb {__version__} with {', '.join(names)}"
        raise problem("E_UNKNOWN_REVISION", f"there is no revision {wanted!r}; {known}")
    return names.index(wanted)


def run_settings(lock_timeout: float, statement_timeout: float = 0.0) -> str:
    """What every revision runs under. The settings are the session's, for those that run outside a
    transaction.
    """
    pinned = settings_sql(
        patient=True, lock_timeout=lock_timeout, statement_timeout=statement_timeout
    )
    return pinned + own_sql("started.sql", Variables())


def apply(
    dsn: str,
    variables: Variables,
    *,
    to: str = "head",
    dry_run: bool = False,
    progress: Progress = lambda _: None,
    lock_timeout: float = 2.0,
    statement_timeout: float = 0.0,
    wait: float = 60.0,
    beside: bool = False,
    tree: Tree | None = None,
) -> ApplyResult:
    """Bring a database to revision `to`. Times are in seconds; a statement timeout of 0 is none.

    `wait` is how long to go on trying for the migration lock, and then for other locks.
    `dry_run` runs everything in one transaction and rolls it back. `beside` allows for another
    installation in the same database. Raises TicketdbError.
    """
    tree = tree or shipped_tree()
    settings = run_settings(lock_timeout, statement_timeout)
    run = Run(dsn, variables, tree, "up", to, settings, progress, wait, beside)
    with run.prepared(dry=dry_run):
        state = run.state()
        check_room(run.control, state, variables, beside=beside)
        had_jobs = state.has_jobs
        if dry_run:
            run.rehearse()
        else:
            with run.telling_where_it_stopped():
                run.walk()
        state = run.state()
        if run.todo and not dry_run and state.revision != run.todo[-1].revision:
            raise RuntimeError("alembic returned, but has not committed what it ran")
        jobs = () if dry_run else _reconcile_jobs(run.control, variables, state)
        if not had_jobs:
            # By the revision that made them, a moment ago.
            jobs = tuple(
                replace(job, action="scheduled") if job.action == "unchanged" else job
                for job in jobs
            )
        there = strangers(run.control, variables)
    left = [
        f"{r.name}, which {NOT_TRIED}" if runs_outside(r.up) else f"{r.name}, which comes after it"
        for r in run.todo[len(run.done) :]
    ]
    grants = [] if variables.manage_roles else role_statements(variables, tree)
    return ApplyResult(
        state.revision,
        tuple(run.done),
        jobs,
        tuple(grants),
        tuple(left),
        there.traps + there.creators,
    )


def _reconcile_jobs(control: Connection, variables: Variables, state: State) -> tuple[Job, ...]:
    """The database reconciles its jobs with the pg_cron that it has, or has not."""
    rows = query(control, "schedule_jobs.sql", variables) if state.has_jobs else []
    return tuple(Job(*row) for row in rows)


def adopt(dsn: str, variables: Variables, *, wait: float = 60.0) -> ApplyResult:
    """Write the history of a database that has all that this package ships, but no history.

    Raises E_ADOPTED where there is one, and E_NOT_OURS, leaving nothing, where anything differs.
    """
    settings, tree = run_settings(lock_timeout=2.0), shipped_tree()
    run = Run(dsn, variables, tree, "up", "head", settings, lambda _: None, wait, adopting=True)
    with run.prepared():
        control, head, state = run.control, run.chain[-1].revision, run.state()
        if state.revision:
            raise problem("E_ADOPTED", f"nothing to adopt: the ledger reaches {state.revision}")
        ledger = chain_state(run.chain)["tables/ticketdb_migrations.sql"]
        text = render("".join(section.text for section in ledger), variables)
        with control.transaction(), explained("adopt"):
            query(control, "bootstrap.sql", variables, tables="[]", ledger=text)
            wanted = shipped_catalog(control, variables, state.major)
            if odd := differences(wanted, read_catalog(control, variables, roots(wanted))):
                told = "; ".join(str(difference) for difference in odd[:3])
                raise problem("E_NOT_OURS", f"{len(odd)} differences, beginning with: {told}")
            for revision in run.chain:
                control.execute(revision_parts(revision, variables, "up")[-1][1].encode())
            query(control, "script_stamp.sql", variables, revision=head)
        return ApplyResult(head, (), _reconcile_jobs(control, variables, state), (), ())


def revert(
    dsn: str,
    variables: Variables,
    to: str,
    *,
    allow_data_loss: bool = False,
    progress: Progress = lambda _: None,
    lock_timeout: float = 2.0,
    wait: float = 60.0,
    tree: Tree | None = None,
) -> list[Step]:
    """Undo the revisions after `to`; after "base" nothing of ticketdb is left.

    What would be lost is found by trying: a rehearsal that is rolled back, and that also tells
    whether all of it works. Raises E_DATA_LOSS, with tables and rows, unless nothing would be or
    `allow_data_loss` is given.
    """
    settings = run_settings(lock_timeout)
    run = Run(dsn, variables, tree or shipped_tree(), "down", to, settings, progress, wait)
    with run.prepared():
        gone = json.dumps(sorted(run.rehearse()))
        if not allow_data_loss:
            losses = [row.loss for row in query(run.control, "losses.sql", variables, gone=gone)]
            losses += [
                f"what {r.name} takes away, which {NOT_TRIED}"
                for r in run.todo
                if runs_outside(r.down)
                and not all(HARMLESS.search(each) for each in split_statements(r.down))
            ]
            if losses:
                would_lose = f"reverting to {to} would lose {', '.join(losses)}"
                raise problem("E_DATA_LOSS", f"{would_lose}; nothing was changed")
        run.done.clear()
        with run.telling_where_it_stopped():
            run.walk()
    return run.done


def split_statements(text: str) -> list[str]:
    """Cut SQL at the semicolons that end a statement. Comments between statements are left out."""
    statements, start, depth = [], 0, 0
    for token in TOKEN.finditer(text):
        word = token[0].upper()
        if word.startswith(("--", "/*")) and not text[start : token.start()].strip():
            start = token.end()
        elif word.startswith("BEGIN ") or (depth and word == "CASE"):
            depth += 1  # the body of a function, where a semicolon ends nothing
        elif depth and word == "END":
            depth -= 1
        elif word == ";" and not depth:
            statements.append(text[start : token.end()].strip())
            start = token.end()
    return statements


def shipped_sql(variables: Variables, tree: Tree) -> str:
    """All of ``sql/``, rendered: the database as it should be."""
    sources = read_manifest(tree)
    return "".join(render(source.text, variables, source.file) for source in sources)


def role_statements(variables: Variables, tree: Tree) -> list[str]:
    """What `apply` leaves out because of manage_roles = false: for the DBA to run."""
    done = set(split_statements(shipped_sql(variables, tree)))
    wanted = split_statements(shipped_sql(replace(variables, manage_roles=True), tree))
    return [statement for statement in wanted if statement not in done]


def script(
    variables: Variables,
    *,
    start: str = "base",
    to: str = "head",
    role: str = "",
    major: int | None = None,
    beside: bool = False,
    tree: Tree | None = None,
) -> str:
    """One file for psql that does what `apply` does between two revisions, ledger included.

    It is for this `role`, otherwise for whoever owns what is there; and for this `major` version of
    PostgreSQL, otherwise for all that are supported. `beside`: for a database that may have another
    installation. Raises E_BEYOND where `to` comes before `start`.
    """
    chain = read_chain(tree or shipped_tree())
    first, last = position_of(chain, start), position_of(chain, to)
    names = ["base", *(r.revision for r in chain)]
    if last < first:
        raise problem(
            "E_BEYOND",
            f"a script leads up, and {names[last]} comes before {names[first]}",
            f"to go back: `ticketdb revert --to {names[last]}`",
        )
    settings, lock = run_settings(2.0), own_sql("lock.sql", variables)
    made_for: dict[str, str | bool] = {
        "package_version": __version__,
        "start": names[first],
        "target": names[last],
        "role": role or False,
        "majors": json.dumps([major] if major else [*SUPPORTED_MAJORS]),
        "history": json.dumps({r.revision: r.source_sha256 for r in chain[:first]}),
        "variables_json": json.dumps(asdict(variables), ensure_ascii=False),
        "beside": beside,
    }
    parts = [own_sql("script_start.sql", variables, **made_for), settings]
    parts.append(own_sql("script_guard.sql", variables, **made_for))
    for position, revision in enumerate(chain[first:last], first):
        parts.append(f"\n\\echo {revision.revision}: {revision.description}\n{settings}")
        steps = [text for _, text in revision_parts(revision, variables, "up", chain)]
        if runs_outside(revision.up):
            parts += [
                f"{asked}\\gexec\n" for _, asked in outside_queries(revision, variables, "up")
            ]
            steps = [dict(revision_parts(revision, variables, "up"))["ledger"]]
        opening = [bootstrap(chain[:last], variables)] if revision is chain[0] else []
        opening.append(own_sql("script_begin.sql", variables, lock=lock, before=names[position]))
        stamp = own_sql("script_stamp.sql", variables, revision=revision.revision)
        parts += ["BEGIN;\n", *opening, *steps, stamp, "COMMIT;\n"]
    ending = settings_sql(patient=True, resetting=True)
    return "".join([*parts, own_sql("script_end.sql", variables), ending, "\\o\n"])
