"""Talking to a database: connecting, asking where it stands, and explaining what it says."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg.rows import namedtuple_row

from ticketdb.config import Variables
from ticketdb.errors import TicketdbError, code_of, problem
from ticketdb.render import render
from ticketdb.resources import PACKAGE

VERSION_TABLE = "ticketdb_alembic_version"
# Functions of the server, which name themselves in an error: RAISE of PL/pgSQL, and those that find
# a row of the catalog changed by somebody else.
OUR_RAISE = "exec_stmt_raise"
CONCURRENTLY_UPDATED = ("simple_heap_update", "simple_heap_delete")

Connection = psycopg.Connection[Any]
Row = Any  # a named tuple whose fields are the columns


@dataclass(frozen=True)
class State:
    """Where a database stands.

    `owner`: of what ticketdb has made there. `ledger`: its rows, oldest first, by the names of the
    columns. `others`: schemas of the same database with an installation that is not this one.
    """

    database: str
    major: int
    in_recovery: bool
    role: str
    owner: str | None
    has_jobs: bool
    has_invariants: bool
    has_rollups: bool
    has_pg_cron: bool
    sees_pg_cron: bool
    has_schema: bool
    others: list[str]
    revision: str | None
    ledger: list[dict[str, Any]]

    @classmethod
    def read(cls, connection: Connection, variables: Variables) -> Self:
        """Ask a database where it stands, without changing anything."""
        with explained("reading the state of the database"):
            (facts,) = query(connection, "state.sql", variables)
            found = facts._asdict()
            tables = {name: found.pop(name) for name in ("has_version", "has_ledger")}
            (history,) = query(connection, "history.sql", variables, **tables)
        return cls(**found, revision=history.revision, ledger=history.ledger)

    def reached(self, variables: Variables) -> str:
        """The revision, "base", or why there is none: the configuration may be what is wrong."""
        if self.revision or (self.has_schema and not self.others):
            return self.revision or "base"
        where = f"in schema {variables.schema!r}"
        if not self.has_schema:
            where = f"here: there is no schema {variables.schema!r}"
        elsewhere = ", ".join(map(repr, self.others))
        found = f"; it is in schema {elsewhere}, to be named in ticketdb.toml" if elsewhere else ""
        return f"ticketdb is not {where}{found}"


def own_sql(name: str, variables: Variables, **more: str | bool) -> str:
    """A query of ticketdb's own, filled in."""
    return render((PACKAGE / name).read_text(encoding="utf-8"), variables, name, **more)


def query(connection: Connection, name: str, variables: Variables, **more: str | bool) -> list[Row]:
    """The rows of a query of ticketdb's own."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    cursor.execute(own_sql(name, variables, **more).encode())
    return cursor.fetchall() if cursor.description else []


def settings_sql(*, lock_timeout: float = 0.0, statement_timeout: float = 0.0, **more: bool) -> str:
    """What pins the settings of a session. Times are in seconds, and need `patient`; 0 is none.

    With `is_local`, of its transaction; with `resetting`, what puts them back.
    """
    times = {"lock_timeout": f"{lock_timeout}s", "statement_timeout": f"{statement_timeout}s"}
    return own_sql("settings.sql", Variables(), **times, **more)


def pin(connection: Connection, **more: bool) -> None:
    """Pin the settings of this transaction, for a pooler's sessions belong to others, too."""
    connection.execute(settings_sql(is_local=True, **more).encode())


def connect(dsn: str, *, autocommit: bool = False, patient: bool = False) -> Connection:
    """Open a connection whose answers no setting of the role or of the database can bend.

    `patient`: nor are there limits to what it does. Behind a pooler nothing is set: that session is
    not ours, so `pin` each transaction. Raises E_CONNECT (exit 3), or E_CONFIG for something that
    is no DSN.
    """
    limits = {"patient": True} if patient else {}
    settings = settings_sql(**limits).encode()  # ready, for idle_session_timeout begins at once
    try:
        connection: Connection = psycopg.connect(
            dsn,
            autocommit=True,
            prepare_threshold=None,  # survives pgbouncer
            client_encoding="UTF8",
            fallback_application_name="ticketdb",
        )
    except psycopg.ProgrammingError:
        # Not a word of it in the message: it may hold a password.
        raise problem("E_CONFIG", "the DSN is no libpq connection string") from None
    except psycopg.OperationalError as error:
        about_password = error.pgconn and (
            error.pgconn.needs_password or error.pgconn.used_password
        )
        raise problem(
            "E_CONNECT",
            f"cannot connect: {_one_line(str(error))}",
            origin="password" if about_password else "",
        ) from None
    with explained("connecting"):
        if not is_pooled(connection):
            connection.execute(settings)
        connection.autocommit = autocommit
    connection.add_notice_handler(_pass_on)
    return connection


def is_pooled(connection: Connection) -> bool:
    """Whether a pooler may be in between: it makes up the number of the process. For autocommit."""
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    return row != (connection.info.backend_pid,)


def _pass_on(diagnosis: psycopg.errors.Diagnostic) -> None:
    """Print what a statement of ours warns of, such as a role that is kept."""
    if diagnosis.severity_nonlocalized == "WARNING" and "at RAISE" in (diagnosis.context or ""):
        print(f"warning: {_one_line(diagnosis.message_primary or '')}", file=sys.stderr)


def refuse_pooler(connection: Connection, dsn: str) -> None:
    """Raise E_POOLER where the transactions of a session go to one server process or another.

    What a session sets or locks would stay behind in one of them, for whoever gets that next. Call
    it outside a transaction.
    """

    def process(session: Connection) -> list[Row]:
        return session.execute("SELECT pg_backend_pid()").fetchall()

    ours = process(connection)
    connection.rollback()
    if ours == [(connection.info.backend_pid,)]:
        return  # the server itself has let us in
    what = f"{connection.info.dbname!r} is behind a pooler that changes the session's process"
    with connect(dsn) as other:
        # A transaction keeps its process to itself, so ours goes to it, or another comes to us: in
        # a busy pool of two by chance each time.
        for _ in range(16):
            if process(other) == ours or process(connection) != ours:
                raise problem("E_POOLER", what)
            other.rollback()
            connection.rollback()


@contextmanager
def explained(where: str, text: str = "", otherwise: str = "E_MIGRATION_FAILED") -> Iterator[None]:
    """Within the block, errors of the database become errors for people.

    `text` is the SQL that was sent; `otherwise` the code of an error without a code of its own.
    """
    try:
        yield
    except TicketdbError:
        raise
    except Exception as error:
        if isinstance(error.__context__, TicketdbError):
            raise error.__context__ from None  # it was told already; SQLAlchemy has tripped over it
        cause = getattr(error, "orig", error)  # SQLAlchemy wraps what psycopg raises
        if not isinstance(cause, psycopg.Error):
            raise
        raise _explain(cause, where, text, otherwise) from error


def _explain(error: psycopg.Error, where: str, text: str, otherwise: str) -> TicketdbError:
    state, diagnosis = error.sqlstate or "", error.diag
    message = _one_line(diagnosis.message_primary or str(error))
    if diagnosis.message_detail:
        message += f" ({_one_line(diagnosis.message_detail)})"
    if text and diagnosis.statement_position:
        line = text.count("\n", 0, int(diagnosis.statement_position) - 1) + 1
        where += f", line {line}"
    # Which function of the server has raised it: its words are in the language of lc_messages.
    origin = diagnosis.source_function or ""
    if diagnosis.schema_name == "pg_catalog" or origin in CONCURRENTLY_UPDATED:
        # Roles belong to the whole server: its databases collide there, as in a deadlock.
        state = "40P01"
    code = code_of(state, otherwise)
    if code == otherwise:
        message += f" [SQLSTATE {state}]"
    is_ours = origin == OUR_RAISE  # PostgreSQL's own hints know less than we do
    hint = diagnosis.message_hint if is_ours else None
    return problem(code, f"{where}: {message}", hint, origin)


def _one_line(text: str) -> str:
    return " ".join(text.split())
