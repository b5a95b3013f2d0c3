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
from typing import Literal

import psycopg
import sqlalchemy
from alembic import command, context
from alembic.config import Config
from psycopg import sql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ticketdb import __version__
from ticketdb.config import Variables
from ticketdb.database import (
    LEDGER_TABLE,
    LOCK_CONFLICTS,
    VERSION_TABLE,
    Connection,
    State,
    connect,
    explain,
    explained,
    quote,
    quote_literal,
    read_state,
)
from ticketdb.errors import ExitStatus, TicketdbError
from ticketdb.render import render
from ticketdb.resources import Tree, package_sql, shipped_tree
from ticketdb.revision import (
    Revision,
    alembic_config,
    parse_sections,
    read_chain,
    read_manifest,
    require_filled_in,
    sha256_hex,
)

SUPPORTED_MAJORS = range(15, 19)
LOCK_POLL_SECONDS = 0.1
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0

# What every revision runs under, whatever the settings of the role and the database are.
# An empty search path makes each unqualified name an error instead of a guess.
SETTINGS = """\
SET LOCAL client_min_messages = warning;
SET LOCAL standard_conforming_strings = on;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL timezone = 'UTC';
SET LOCAL lock_timeout = {lock_timeout};
SET LOCAL statement_timeout = {statement_timeout};
"""

# Comments, quoted things of every kind, and the semicolons that are left between them.
TOKEN = re.compile(
    r"--[^\n]*|/\*.*?\*/|[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|\"(?:\"\"|[^\"])*\""
    r"|\$(?P<tag>[^\W\d]\w*)?\$.*?\$(?(tag)(?P=tag))\$|;",
    re.DOTALL,
)

Direction = Literal["up", "down"]
StepKind = Literal["start", "done", "wait"]
Column = tuple[str, str, str]  # schema, table, column


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
class Applied:
    revision: str
    description: str
    seconds: float


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
    applied: tuple[Applied, ...]
    jobs: tuple[Job, ...]
    grants: tuple[str, ...]
    dry_run: bool


@dataclass(frozen=True)
class Planned:
    revision: str
    description: str
    statements: tuple[str, ...]


class StatementError(Exception):
    """A statement of a revision failed. Holds the database's error and where the SQL is from."""

    def __init__(self, where: str, text: str, error: psycopg.Error) -> None:
        super().__init__(where)
        self.where = where
        self.text = text
        self.error = error

    @classmethod
    def of(cls, error: Exception, where: str = VERSION_TABLE, text: str = "") -> "StatementError":
        """An error of SQLAlchemy's, or one of ours as it is."""
        if isinstance(error, StatementError):
            return error
        assert isinstance(error, DBAPIError)
        assert isinstance(error.orig, psycopg.Error)
        return cls(where, text, error.orig)

    def explained(self, remark: str = "") -> TicketdbError:
        return explain(self.error, f"{self.where} ({remark})" if remark else self.where, self.text)


@dataclass
class Run:
    """A walk along the chain: what env.py and the revisions find on the other side of alembic."""

    connection: sqlalchemy.Connection
    variables: Variables
    todo: dict[str, Revision]
    settings: str
    progress: Progress
    rehearsing: bool = False
    done: list[Applied] = field(default_factory=list)

    def execute(self, statements: str, where: str) -> None:
        """Send SQL as it is: no bind parameters, no per cent signs, several statements at once."""
        try:
            self.connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
        except DBAPIError as error:
            raise StatementError.of(error, where, statements) from error

    def tell(
        self, kind: StepKind, revision: Revision, seconds: float = 0.0, detail: str = ""
    ) -> None:
        place = ([*self.todo].index(revision.revision) + 1, len(self.todo))
        name = (revision.revision, revision.description)
        self.progress(Step(kind, *name, *place, seconds, detail))

    def migrate(self, revision: Revision, direction: Direction) -> None:
        """Run a revision and its line in the ledger, in the transaction that alembic has opened."""
        self.tell("start", revision)
        started = time.monotonic()
        file = f"{revision.name}.{direction}.sql"
        self.execute(self.settings, file)
        for label, statements in revision_parts(revision, self.variables, direction):
            self.execute(statements, f"{file}, {label}")
        seconds = time.monotonic() - started
        self.done.append(Applied(revision.revision, revision.description, seconds))
        self.tell("done", revision, seconds)


def current_run() -> Run:
    """The walk that alembic is in the middle of."""
    run = context.config.attributes["run"]
    assert isinstance(run, Run)
    return run


def run_up(revision: str) -> None:
    """Called by a revision's upgrade()."""
    current_run().migrate(current_run().todo[revision], "up")


def run_down(revision: str) -> None:
    """Called by a revision's downgrade()."""
    current_run().migrate(current_run().todo[revision], "down")


def revision_parts(
    revision: Revision, variables: Variables, direction: Direction
) -> list[tuple[str, str]]:
    """The rendered SQL of a revision, piece by piece, with its line in the ledger."""
    source = revision.up if direction == "up" else revision.down
    text = render(source.decode(), variables, f"{revision.name}.{direction}.sql")
    parts = [(section.label, section.text) for section in parse_sections(text)]
    table = sql.Identifier(variables.schema, LEDGER_TABLE)
    if direction == "down":
        entry = sql.SQL("DELETE FROM {} WHERE revision = {};\n").format(table, revision.revision)
        return [("ledger", entry.as_string(None)), *parts]
    entry = sql.SQL(
        "INSERT INTO {} (revision, source_sha256, rendered_sha256, duration_seconds,"
        " package_version, variables)\nVALUES ({}, {}, {},"
        " extract(epoch FROM clock_timestamp() - transaction_timestamp()), {}, {}::jsonb);\n"
    ).format(
        table,
        revision.revision,
        revision.source_sha256,
        sha256_hex(text.encode()),
        __version__,
        json.dumps(asdict(variables), ensure_ascii=False),
    )
    return [*parts, ("ledger", entry.as_string(None))]


def refused(code: str, message: str, status: ExitStatus = ExitStatus.CHECK_FAILED) -> TicketdbError:
    return TicketdbError(code, status, message)


def check_server(state: State, *, writing: bool) -> None:
    """Refuse servers that cannot do what comes next: E_SERVER_VERSION, E_STANDBY."""
    if state.major not in SUPPORTED_MAJORS:
        raise refused(
            "E_SERVER_VERSION",
            f"the server is PostgreSQL {state.major}, ticketdb {__version__} supports"
            f" {SUPPORTED_MAJORS[0]} to {SUPPORTED_MAJORS[-1]} - use another server or release",
            ExitStatus.USAGE,
        )
    if writing and state.in_recovery:
        raise refused(
            "E_STANDBY",
            f"database {state.database!r} is on a standby, which cannot be changed - connect to"
            " its primary (target_session_attrs=read-write finds it)",
            ExitStatus.UNREACHABLE,
        )


def check_history(state: State, chain: list[Revision], variables: Variables) -> None:
    """Refuse to build on a past that is not the one of this package.

    Raises E_UNKNOWN_REVISION, E_LEDGER, E_VARIABLES or E_CHECKSUM.
    """
    known = [revision.revision for revision in chain]
    if state.revision is not None and state.revision not in known:
        raise refused(
            "E_UNKNOWN_REVISION",
            f"the database is at revision {state.revision}, the last that ticketdb {__version__}"
            f" has is {known[-1] if known else 'none'} - install a newer release",
            ExitStatus.USAGE,
        )
    expected = known[: known.index(state.revision) + 1] if state.revision else []
    rows = {row.revision: row for row in state.ledger}
    if odd := sorted(rows.keys() ^ set(expected)):
        raise refused(
            "E_LEDGER",
            f"{VERSION_TABLE} says {state.revision or 'base'}, but revision {odd[0]} is"
            f"{'' if odd[0] in rows else ' not'} in {LEDGER_TABLE} - one of them was changed by"
            " hand: restore it from a backup",
        )
    now = asdict(variables)
    for revision in chain[: len(expected)]:
        row = rows[revision.revision]
        for name, value in row.variables.items():
            if now.get(name, value) != value:
                raise refused(
                    "E_VARIABLES",
                    f"the database was built with {name} = {value!r}, the configuration says"
                    f" {now[name]!r} - names are fixed at apply time: put it back in ticketdb.toml",
                    ExitStatus.USAGE,
                )
        if row.source_sha256 != revision.source_sha256:
            raise refused(
                "E_CHECKSUM",
                f"{revision.name}.up.sql is not the file that was applied (its SHA-256 was"
                f" {row.source_sha256[:12]}…, is {revision.source_sha256[:12]}…) - was it edited?"
                " Reinstall the release that was applied",
            )


def _check_room(control: Connection, state: State, todo: list[Revision], schema: str) -> None:
    """Before anything is made: may we, and is nothing of these names there yet?"""
    if not state.may_create:
        where = (
            f"SCHEMA {quote(schema)}"
            if state.schema_exists
            else f"DATABASE {quote(state.database)}"
        )
        raise refused(
            "E_PRIVILEGE",
            f"role {state.role!r} may not create anything in schema {schema!r} of database"
            f" {state.database!r} - let its owner run: GRANT CREATE ON {where}"
            f" TO {quote(state.role)}",
            ExitStatus.ROLLED_BACK,
        )
    made = {
        section.path.removeprefix("tables/").removesuffix(".sql")
        for revision in todo
        for section in parse_sections(revision.up.decode())
        if section.path.startswith("tables/") and section.kind == "object"
    }
    strangers = control.execute(
        "SELECT c.relname FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = ANY(%s) ORDER BY c.relname",
        (schema, sorted(made)),
    ).fetchall()
    if strangers:
        names = ", ".join(quote(schema, name) for (name,) in strangers)
        raise refused(
            "E_OBJECT_EXISTS",
            f"database {state.database!r} already has {names}, not made by ticketdb; nothing was"
            " changed - move it away, or set another schema under [variables] in ticketdb.toml",
            ExitStatus.ROLLED_BACK,
        )


@contextmanager
def migration_lock(control: Connection, variables: Variables, wait: float) -> Iterator[None]:
    """Hold the migration lock of the schema, or raise E_LOCK_TIMEOUT after `wait` seconds.

    It polls: CREATE INDEX CONCURRENTLY waits for every snapshot, also for that of a session which
    waits for an advisory lock.
    """
    key = {"name": lock_name(variables)}
    deadline = time.monotonic() + wait
    attempt = "SELECT pg_try_advisory_lock(hashtextextended(%(name)s, 0))"
    while control.execute(attempt, key).fetchone() != (True,):
        if time.monotonic() >= deadline:
            query = render(
                package_sql("lock_holder.sql"), variables, lock_name=lock_name(variables)
            )
            holder = control.execute(query.encode()).fetchone()
            who = "pid {} ({}, {}, since {})".format(*holder) if holder else "another session"
            raise refused(
                "E_LOCK_TIMEOUT",
                f"{who} holds the migration lock; gave up after {wait:g} s - wait for it to end,"
                " allow more with --wait, or end it with pg_terminate_backend",
                ExitStatus.LOCKED,
            )
        time.sleep(LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        if not control.closed:
            control.execute("SELECT pg_advisory_unlock(hashtextextended(%(name)s, 0))", key)


def lock_name(variables: Variables) -> str:
    return f"ticketdb migration of {variables.schema}"


def settings_sql(lock_timeout: float, statement_timeout: float) -> str:
    """Seconds in, milliseconds out."""
    return SETTINGS.format(
        lock_timeout=round(lock_timeout * 1000), statement_timeout=round(statement_timeout * 1000)
    )


def position_of(chain: list[Revision], revision: str | None) -> int:
    """How many revisions lead to this one. None and "base" are none, "head" is all."""
    names = ["base", *(r.revision for r in chain)]
    wanted = names[-1] if revision == "head" else revision or "base"
    if wanted not in names:
        raise refused(
            "E_UNKNOWN_REVISION",
            f"there is no revision {wanted!r} - there are {', '.join(names)}",
            ExitStatus.USAGE,
        )
    return names.index(wanted)


@contextmanager
def _run(
    dsn: str,
    variables: Variables,
    todo: list[Revision],
    settings: str,
    progress: Progress,
    tree: Tree,
) -> Iterator[tuple[Run, Config]]:
    """A connection for alembic, on which nothing has happened yet, and its configuration."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(dsn),
        poolclass=NullPool,
        use_native_hstore=False,
    )
    config = alembic_config(tree)
    with engine.connect() as connection:
        run = Run(connection, variables, {r.revision: r for r in todo}, settings, progress)
        config.attributes["run"] = run
        yield run, config


def _walk(
    run: Run, config: Config, direction: Direction, to: str, control: Connection, wait: float
) -> None:
    """Let alembic walk the chain, again and again where locks are in the way.

    What was reached stays reached: each attempt begins with the revision that failed, and has
    `wait` seconds for it.
    """
    walk = command.upgrade if direction == "up" else command.downgrade
    deadline, backoff, reached = time.monotonic() + wait, FIRST_BACKOFF_SECONDS, 0
    while True:
        try:
            if direction == "up":
                with run.connection.begin():
                    bootstrap = render(package_sql("bootstrap.sql"), run.variables)
                    run.execute(run.settings + bootstrap, "bootstrap.sql")
            return walk(config, to)
        except (StatementError, DBAPIError) as error:
            failure = StatementError.of(error)
            run.connection.rollback()
        if failure.error.sqlstate not in LOCK_CONFLICTS:
            raise failure.explained()
        if len(run.done) > reached:
            reached = len(run.done)
            deadline, backoff = time.monotonic() + wait, FIRST_BACKOFF_SECONDS
        blocker = _blocker(control, run.variables)
        if time.monotonic() + backoff > deadline:
            raise failure.explained(blocker)
        run.tell("wait", [*run.todo.values()][reached], backoff, blocker)
        time.sleep(backoff)
        backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)


def _blocker(control: Connection, variables: Variables) -> str:
    row = control.execute(render(package_sql("blocker.sql"), variables).encode()).fetchone()
    return "in the way: pid {}, {}".format(*row) if row else "what was in the way is gone"


def _rehearse(
    run: Run, config: Config, direction: Direction, to: str
) -> tuple[set[Column], set[Column]]:
    """Walk the chain in one transaction and roll it back. Returns the columns before and after."""
    run.rehearsing = True
    with run.connection.begin() as transaction:
        try:
            if direction == "up":
                run.execute(render(package_sql("bootstrap.sql"), run.variables), "bootstrap.sql")
            before = _columns(run)
            (command.upgrade if direction == "up" else command.downgrade)(config, to)
            return before, _columns(run)
        except (StatementError, DBAPIError) as error:
            raise StatementError.of(error).explained() from error
        finally:
            transaction.rollback()


def _columns(run: Run) -> set[Column]:
    query = render(package_sql("columns.sql"), run.variables)
    options = {"no_parameters": True}
    return {
        (str(schema), str(table), str(column))
        for schema, table, column in run.connection.exec_driver_sql(
            query, execution_options=options
        )
    }


def _no_progress(_step: Step) -> None:
    """For callers who do not want to know."""


def apply(
    dsn: str,
    variables: Variables,
    *,
    to: str = "head",
    dry_run: bool = False,
    progress: Progress = _no_progress,
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
    chain = read_chain(tree)
    require_filled_in(chain)
    settings = settings_sql(lock_timeout, statement_timeout)
    with connect(dsn, autocommit=True) as control:
        check_server(read_state(control, variables), writing=True)
        with explained("apply"), migration_lock(control, variables, wait):
            state = read_state(control, variables)
            check_history(state, chain, variables)
            todo = chain[position_of(chain, state.revision) : position_of(chain, to)]
            done: list[Applied] = []
            if todo:
                _check_room(control, state, todo, variables.schema)
                with _run(dsn, variables, todo, settings, progress, tree) as (run, config):
                    done = run.done
                    if dry_run:
                        _rehearse(run, config, "up", todo[-1].revision)
                        return ApplyResult(state.revision, tuple(done), (), (), dry_run)
                    try:
                        _walk(run, config, "up", todo[-1].revision, control, wait)
                    except TicketdbError:
                        if state.revision is None and not done:
                            _leave_nothing(control, variables, keep_schema=state.schema_exists)
                        raise
                state = read_state(control, variables)
                if state.revision != todo[-1].revision:
                    raise RuntimeError("alembic returned, but has not committed what it ran")
            jobs = _schedule_jobs(control, variables) if state.has_jobs and not dry_run else ()
    grants = () if variables.manage_roles else tuple(role_statements(variables, tree))
    return ApplyResult(state.revision, tuple(done), jobs, grants, dry_run)


def _leave_nothing(control: Connection, variables: Variables, *, keep_schema: bool) -> None:
    query = render(package_sql("leave_nothing.sql"), variables, keep_schema=keep_schema)
    control.execute(query.encode())


def _schedule_jobs(control: Connection, variables: Variables) -> tuple[Job, ...]:
    """Let the database reconcile its jobs with the pg_cron that it has, or has not."""
    rows = control.execute(
        sql.SQL("SELECT job_name, schedule, command, action FROM {}()").format(
            sql.Identifier(variables.schema, "schedule_jobs")
        )
    )
    return tuple(Job(*row) for row in rows)


def revert(
    dsn: str,
    variables: Variables,
    to: str,
    *,
    allow_data_loss: bool = False,
    progress: Progress = _no_progress,
    lock_timeout: float = 2.0,
    wait: float = 60.0,
    tree: Tree | None = None,
) -> list[Applied]:
    """Undo the revisions after `to`; after "base" nothing of ticketdb is left.

    What would be lost is found by trying: a rehearsal that is rolled back. Raises E_DATA_LOSS,
    with tables and rows, unless nothing would be or `allow_data_loss` is given.
    """
    tree = tree or shipped_tree()
    chain = read_chain(tree)
    with connect(dsn, autocommit=True) as control:
        check_server(read_state(control, variables), writing=True)
        with explained("revert"), migration_lock(control, variables, wait):
            state = read_state(control, variables)
            check_history(state, chain, variables)
            todo = chain[position_of(chain, to) : position_of(chain, state.revision)][::-1]
            if not todo:
                return []
            settings = settings_sql(lock_timeout, 0)
            if not allow_data_loss:
                with _run(dsn, variables, todo, settings, _no_progress, tree) as (run, config):
                    before, after = _rehearse(run, config, "down", to)
                if losses := _losses(control, before, after):
                    raise refused(
                        "E_DATA_LOSS",
                        f"reverting to {to} would lose {', '.join(losses)}; nothing was changed -"
                        " take a backup, then add --allow-data-loss",
                    )
            with _run(dsn, variables, todo, settings, progress, tree) as (run, config):
                _walk(run, config, "down", to, control, wait)
            if to == "base":
                _leave_nothing(control, variables, keep_schema=False)
            return run.done


def _losses(control: Connection, before: set[Column], after: set[Column]) -> list[str]:
    """The tables and columns that go away, and how many rows have something in them, if any."""
    remaining = {column[:2] for column in after}
    gone = {column if column[:2] in remaining else column[:2] for column in before - after}
    losses = []
    for schema, table, *column in sorted(gone):
        what = sql.Identifier(*column) if column else sql.SQL("*")
        row = control.execute(
            sql.SQL("SELECT count({}) FROM {}").format(what, sql.Identifier(schema, table))
        ).fetchone()
        if row and row[0]:
            losses.append(f"{quote(schema, table, *column)} ({row[0]:,} rows)")
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
) -> list[Planned]:
    """What `apply` would run, statement by statement. Reads only."""
    tree = tree or shipped_tree()
    chain = read_chain(tree)
    require_filled_in(chain)
    with connect(dsn, autocommit=True) as connection:
        state = read_state(connection, variables)
    check_server(state, writing=False)
    check_history(state, chain, variables)
    return [
        Planned(
            revision.revision,
            revision.description,
            tuple(
                split_statements("".join(t for _, t in revision_parts(revision, variables, "up")))
            ),
        )
        for revision in chain[position_of(chain, state.revision) : position_of(chain, to)]
    ]


def role_statements(variables: Variables, tree: Tree) -> list[str]:
    """What `apply` leaves out because of manage_roles = false: for the DBA to run."""
    managed = replace(variables, manage_roles=True)
    ours = replace(variables, manage_roles=False)
    return [
        statement
        for source in read_manifest(tree)
        for text in [source.source.decode()]
        for done in [split_statements(render(text, ours, source.path))]
        for statement in split_statements(render(text, managed, source.path))
        if statement not in done
    ]


def script(
    variables: Variables,
    *,
    start: str = "base",
    to: str = "head",
    lock_timeout: float = 2.0,
    tree: Tree | None = None,
) -> str:
    """One file for psql that does what `apply` does between two revisions, ledger included."""
    tree = tree or shipped_tree()
    chain = read_chain(tree)
    require_filled_in(chain)
    first, last = position_of(chain, start), position_of(chain, to)
    version_table = sql.Identifier(variables.schema, VERSION_TABLE)
    lines = [
        f"-- ticketdb {__version__}: from revision {start} to {to}. Run it with psql:",
        "--     psql -X -v ON_ERROR_STOP=1 -f THIS_FILE DATABASE",
        "\\set ON_ERROR_STOP on",
        "\\o /dev/null",
        "SET client_encoding = 'UTF8';",
    ]
    for revision in chain[first:last]:
        before = chain[first - 1].revision if first else "base"
        guard = package_sql("script_guard.sql")
        stamp = sql.SQL(
            "INSERT INTO {} (version_num) VALUES ({});"
            if before == "base"
            else "UPDATE {} SET version_num = {};"
        )
        lines += [
            f"\n\\echo {revision.revision}: {revision.description}",
            "BEGIN;",
            settings_sql(lock_timeout, 0).rstrip(),
            render(guard, variables, before=before, lock_name=lock_name(variables)).rstrip(),
            *([render(package_sql("bootstrap.sql"), variables)] if before == "base" else []),
            *(text for _, text in revision_parts(revision, variables, "up")),
            stamp.format(version_table, revision.revision).as_string(None),
            "COMMIT;",
        ]
        first += 1
    jobs = sql.Identifier(variables.schema, "schedule_jobs").as_string(None)
    lines += [
        f"\nSELECT to_regprocedure({quote_literal(jobs + '()')}) IS NOT NULL AS has_jobs \\gset",
        "\\o\n\\if :has_jobs",
        f"SELECT * FROM {jobs}();",
        "\\endif",
    ]
    return "\n".join(lines) + "\n"
