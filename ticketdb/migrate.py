"""Applying the chain: alembic for the order of revisions, PostgreSQL for everything else.

Each revision is one transaction: its SQL, its line in the ledger and alembic's version number
commit together or not at all. A connection of its own holds the migration lock, because alembic
must be handed a connection on which nothing has happened yet.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from psycopg import sql

from ticketdb import SUPPORTED_MAJORS, __version__
from ticketdb.config import Variables
from ticketdb.database import (
    VERSION_TABLE,
    Connection,
    State,
    connect,
    explained,
    own_sql,
    query,
)
from ticketdb.errors import TicketdbError, problem
from ticketdb.render import render
from ticketdb.resources import Tree, shipped_tree
from ticketdb.revision import (
    Revision,
    alembic_config,
    parse_sections,
    read_chain,
    read_manifest,
    sha256_hex,
)

if TYPE_CHECKING:  # half a second: imported where it is needed
    import sqlalchemy

LOCK_POLL_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

# Comments, quoted things of every kind, and the semicolons that are left between them.
TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|\"(?:\"\"|[^\"])*\""
    r"|\$(?P<tag>[^\W\d]\w*)?\$.*?\$(?(tag)(?P=tag))\$|;",
    re.DOTALL,
)

Direction = Literal["up", "down"]
StepKind = Literal["start", "done", "wait"]
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
    """`grants`: what a DBA still has to run when roles are not ours to manage."""

    revision: str | None
    applied: tuple[Step, ...]
    jobs: tuple[Job, ...]
    grants: tuple[str, ...]


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
    control: Connection = field(init=False)  # holds the migration lock
    connection: "sqlalchemy.Connection" = field(init=False)  # alembic's
    todo: list[Revision] = field(init=False)
    done: list[Step] = field(default_factory=list)
    rehearsing: bool = False

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Take the migration lock, or raise E_LOCK_TIMEOUT, and find out what there is to do."""
        import sqlalchemy

        chain = read_chain(self.tree)
        target, deadline = position_of(chain, self.to), time.monotonic() + self.wait
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=lambda: connect(self.dsn),
            poolclass=sqlalchemy.NullPool,
            use_native_hstore=False,
        )
        with connect(self.dsn, autocommit=True) as self.control, explained("migration"):
            while not (lock := query(self.control, "lock.sql", self.variables)[0]).taken:
                if time.monotonic() >= deadline:
                    holder = lock.holder or "another session"
                    raise problem("E_LOCK_TIMEOUT", f"{holder} holds the migration lock")
                time.sleep(LOCK_POLL_SECONDS)
            state = self.state()
            check_server(state, writing=True)
            check_history(state, chain, self.variables)
            here = position_of(chain, state.revision)
            self.todo = chain[here:target] if self.direction == "up" else chain[target:here][::-1]
            try:
                with engine.connect() as self.connection:
                    yield
            finally:
                if not self.control.closed and self.state().revision is None:
                    query(self.control, "leave_nothing.sql", self.variables)

    def state(self) -> State:
        return State.read(self.control, self.variables)

    def walk(self) -> None:
        """Walk, again and again where locks are in the way, with pauses of `wait` seconds in all.

        What was reached stays reached: each attempt begins with the revision that failed.
        """
        pause, wait = FIRST_PAUSE_SECONDS, self.wait
        while True:
            try:
                return self._attempt()
            except TicketdbError as error:
                failure = error
                self.connection.rollback()
            if failure.code != "E_LOCK_TIMEOUT":
                raise failure
            (blocker,) = query(self.control, "blocker.sql", self.variables)
            if pause > wait:
                raise problem(failure.code, f"{failure.message} ({blocker.description})", remedy="")
            self._tell("wait", pause, blocker.description)
            time.sleep(pause)
            wait -= pause
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def rehearse(self) -> set[Path]:
        """Walk in one transaction and roll it back. Returns the columns that would be gone."""
        self.rehearsing = True
        try:
            before = self._columns()  # and with that, the transaction has begun
            self._attempt()
            return before - self._columns()
        finally:
            self.rehearsing = False
            self.connection.rollback()

    def _attempt(self) -> None:
        from alembic import command

        config = alembic_config(self.tree)
        config.attributes["run"] = self
        remaining = self.todo[len(self.done) :]
        with explained(VERSION_TABLE):
            if remaining and self.direction == "down":
                command.downgrade(config, self.to)
            elif remaining:
                text = "".join(revision.up for revision in remaining)
                tables = re.findall(r"^-- object: tables/(\w+)\.sql", text, re.MULTILINE)
                bootstrap = own_sql("bootstrap.sql", self.variables, tables=json.dumps(tables))
                self._execute(self.settings + bootstrap, "bootstrap.sql")
                if not self.rehearsing:
                    self.connection.commit()
                command.upgrade(config, self.to)

    def migrate(self, expected: str) -> None:
        """Run a revision and its line in the ledger, in the transaction that alembic has opened."""
        revision = self.todo[len(self.done)]
        assert revision.revision == expected
        self._tell("start")
        started = time.monotonic()
        file = f"{revision.name}.{self.direction}.sql"
        self._execute(self.settings, file)
        for label, statements in revision_parts(revision, self.variables, self.direction):
            self._execute(statements, f"{file}, {label}")
        self.done.append(self._tell("done", time.monotonic() - started))

    def _tell(self, kind: StepKind, seconds: float = 0.0, detail: str = "") -> Step:
        """Tell what happens with the revision that comes next."""
        revision, position, total = self.todo[len(self.done)], len(self.done) + 1, len(self.todo)
        name = (revision.revision, revision.description)
        step = Step(kind, *name, position, total, seconds, detail)
        if not self.rehearsing or self.direction == "up":
            self.progress(step)
        return step

    def _execute(self, statements: str, where: str) -> "sqlalchemy.CursorResult[Any]":
        """Send SQL as it is: no bind parameters, no per cent signs, several statements at once."""
        verbatim = {"no_parameters": True}
        with explained(where, statements):
            return self.connection.exec_driver_sql(statements, execution_options=verbatim)

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
    revision: Revision, variables: Variables, direction: Direction
) -> list[tuple[str, str]]:
    """The rendered SQL of a revision, piece by piece, with its line in the ledger."""
    source = revision.up if direction == "up" else revision.down
    text = render(source, variables, f"{revision.name}.{direction}.sql")
    parts = [(section.path or section.kind, section.text) for section in parse_sections(text)]
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
    return [*parts, ("ledger", entry)] if direction == "up" else [("ledger", entry), *parts]


def check_server(state: State, *, writing: bool) -> None:
    """Refuse servers that cannot do what comes next: E_SERVER_VERSION, E_STANDBY."""
    if state.major not in SUPPORTED_MAJORS:
        supported = f"{SUPPORTED_MAJORS[0]} to {SUPPORTED_MAJORS[-1]}"
        raise problem("E_SERVER_VERSION", f"PostgreSQL {state.major} is none of {supported}")
    if writing and state.in_recovery:
        raise problem("E_STANDBY", f"database {state.database!r} is on a standby: read-only")


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


def _settings(variables: Variables, lock_timeout: float, statement_timeout: float = 0.0) -> str:
    times = {"lock_timeout": f"{lock_timeout}s", "statement_timeout": f"{statement_timeout}s"}
    return own_sql("settings.sql", variables, **times)


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
    tree: Tree | None = None,
) -> ApplyResult:
    """Bring a database to revision `to`. Times are in seconds; a statement timeout of 0 is none.

    `wait` is how long to go on trying for the migration lock, and for the locks of each revision.
    `dry_run` runs everything in one transaction and rolls it back. Raises TicketdbError.
    """
    tree = tree or shipped_tree()
    settings = _settings(variables, lock_timeout, statement_timeout)
    run = Run(dsn, variables, tree, "up", to, settings, progress, wait)
    jobs: list[Job] = []
    with run.prepared():
        if dry_run:
            run.rehearse()
        else:
            run.walk()
        state = run.state()
        if run.todo and not dry_run and state.revision != run.todo[-1].revision:
            raise RuntimeError("alembic returned, but has not committed what it ran")
        if state.has_jobs and not dry_run:
            # The database reconciles its jobs with the pg_cron that it has, or has not.
            jobs = [Job(*row) for row in query(run.control, "schedule_jobs.sql", variables)]
    grants = [] if variables.manage_roles else role_statements(variables, tree)
    return ApplyResult(state.revision, tuple(run.done), tuple(jobs), tuple(grants))


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

    What would be lost is found by trying: a rehearsal that is rolled back. Raises E_DATA_LOSS,
    with tables and rows, unless nothing would be or `allow_data_loss` is given.
    """
    settings = _settings(variables, lock_timeout)
    run = Run(dsn, variables, tree or shipped_tree(), "down", to, settings, progress, wait)
    with run.prepared():
        if not allow_data_loss:
            if losses := _losses(run.control, run.rehearse()):
                would_lose = f"reverting to {to} would lose {', '.join(losses)}"
                raise problem("E_DATA_LOSS", f"{would_lose}; nothing was changed")
            run.done.clear()
        run.walk()
    return run.done


def _losses(control: Connection, gone: set[Path]) -> list[str]:
    """Of what would be gone, the tables and the columns of other tables that are not empty."""
    losses = []
    for schema, table, *column in sorted(gone):
        if column and (schema, table) in gone:
            continue
        what = sql.Identifier(*column) if column else sql.SQL("*")
        count = sql.SQL("SELECT count({}) FROM {}").format(what, sql.Identifier(schema, table))
        (rows,) = control.execute(count).fetchone() or (0,)
        if rows:
            losses.append(f"{'.'.join((schema, table, *column))} ({rows:,} rows)")
    return losses


def split_statements(text: str) -> list[str]:
    """Cut SQL at the semicolons that end a statement. Comments between statements are left out."""
    statements, start = [], 0
    for token in TOKEN.finditer(text):
        if token[0].startswith(("--", "/*")) and not text[start : token.start()].strip():
            start = token.end()
        elif token[0] == ";":
            statements.append(text[start : token.end()].strip())
            start = token.end()
    return statements


def plan(
    dsn: str, variables: Variables, *, to: str = "head", tree: Tree | None = None
) -> list[tuple[Revision, list[str]]]:
    """The revisions that `apply` would run, each with its statements. Reads only."""
    chain = read_chain(tree or shipped_tree())
    with connect(dsn, autocommit=True) as connection:
        state = State.read(connection, variables)
    check_server(state, writing=False)
    check_history(state, chain, variables)
    planned = []
    for revision in chain[position_of(chain, state.revision) : position_of(chain, to)]:
        text = "".join(part for _, part in revision_parts(revision, variables, "up"))
        planned.append((revision, split_statements(text)))
    return planned


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
    variables: Variables, *, start: str = "base", to: str = "head", tree: Tree | None = None
) -> str:
    """One file for psql that does what `apply` does between two revisions, ledger included."""
    chain = read_chain(tree or shipped_tree())
    names = ["base", *(revision.revision for revision in chain)]
    parts = [own_sql("script_start.sql", variables)]
    for position in range(position_of(chain, start), position_of(chain, to)):
        revision, before = chain[position], names[position]
        parts += [
            f"\n\\echo {revision.revision}: {revision.description}\nBEGIN;\n",
            _settings(variables, lock_timeout=2.0),
            own_sql("script_guard.sql", variables, before=before),
            own_sql("bootstrap.sql", variables, tables="[]") if before == "base" else "",
            *(text for _, text in revision_parts(revision, variables, "up")),
            own_sql("script_stamp.sql", variables, revision=revision.revision),
        ]
    return "".join([*parts, own_sql("script_end.sql", variables)])
