"""Connections to a database, its state, and its errors."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg.rows import namedtuple_row

from ticketdb.config import Variables
from ticketdb.errors import TicketdbError, code_of, problem
from ticketdb.paths import PACKAGE
from ticketdb.templates import render

VERSION_TABLE = "ticketdb_alembic_version"
# C functions of the server, whose names are in each error: RAISE of PL/pgSQL, and those that find a
# row of the catalog changed by another session.
OUR_RAISE = "exec_stmt_raise"
CONCURRENTLY_UPDATED = ("simple_heap_update", "simple_heap_delete")

Connection = psycopg.Connection[Any]
Row = Any  # a named tuple whose fields are the columns


@dataclass(frozen=True)
class State:
    """The state of a database.

    `owner`: the role that owns ticketdb's objects. `ledger`: its rows as dictionaries, oldest
    first. `others`: the internal schemas of other installations in the same database.
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
        """Read the state of a database. Changes nothing."""
        with explained("reading the state of the database"):
            (facts,) = query(connection, "state.sql", variables)
            found = facts._asdict()
            tables = {name: found.pop(name) for name in ("has_version", "has_ledger")}
            (history,) = query(connection, "history.sql", variables, **tables)
        return cls(**found, revision=history.revision, ledger=history.ledger)

    def reached(self, variables: Variables) -> str:
        """The revision, "base", or why ticketdb was not found: the configuration may be wrong."""
        if self.revision or (self.has_schema and not self.others):
            return self.revision or "base"
        if not self.others:
            return f"ticketdb is not here: there is no schema {variables.schema!r}"
        elsewhere = ", ".join(map(repr, self.others))
        found = f"its internal_schema is {elsewhere}, to be set in ticketdb.toml"
        return f"ticketdb has nothing in schema {variables.internal_schema!r}; {found}"


def own_sql(name: str, variables: Variables, **more: str | bool) -> str:
    """The text of a query that is a file of this package, rendered."""
    return render((PACKAGE / name).read_text(encoding="utf-8"), variables, name, **more)


def query(connection: Connection, name: str, variables: Variables, **more: str | bool) -> list[Row]:
    """Run a query that is a file of this package. Returns its rows."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    cursor.execute(own_sql(name, variables, **more).encode())
    return cursor.fetchall() if cursor.description else []


def settings_sql(*, lock_timeout: float = 0.0, statement_timeout: float = 0.0, **more: bool) -> str:
    """The SQL that pins the settings of a session.

    Times are in seconds, 0 is no limit, and they need `patient`. With `is_local` it pins those of
    the transaction; with `resetting` it restores them.
    """
    times = {"lock_timeout": f"{lock_timeout}s", "statement_timeout": f"{statement_timeout}s"}
    return own_sql("settings.sql", Variables(), **times, **more)


def pin(connection: Connection, **more: bool) -> None:
    """Pin the settings of this transaction only: a pooler's session serves other clients, too."""
    connection.execute(settings_sql(is_local=True, **more).encode())


def connect(dsn: str, *, autocommit: bool = False, patient: bool = False) -> Connection:
    """Open a connection whose results do not depend on settings of the role or of the database.

    `patient`: without time limits, either. Behind a pooler nothing is set, since the session serves
    other clients, too: `pin` each transaction there. Raises E_CONNECT (exit status 3), or E_CONFIG
    for a string that is not a DSN.
    """
    limits = {"patient": True} if patient else {}
    settings = settings_sql(**limits).encode()  # rendered first: idle_session_timeout may be short
    try:
        connection: Connection = psycopg.connect(
            dsn,
            autocommit=True,
            prepare_threshold=None,  # survives pgbouncer
            client_encoding="UTF8",
            fallback_application_name="ticketdb",
        )
    except psycopg.ProgrammingError:
        # The message does not quote it: it may contain a password.
        raise problem("E_CONFIG", "the DSN is not a libpq connection string") from None
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
    """Whether a pooler may be in between: it invents the process id. For autocommit connections."""
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    return row != (connection.info.backend_pid,)


def _pass_on(diagnosis: psycopg.errors.Diagnostic) -> None:
    """Print the warnings that ticketdb's own SQL raises, such as that a role is kept."""
    if diagnosis.severity_nonlocalized == "WARNING" and "at RAISE" in (diagnosis.context or ""):
        print(f"warning: {_one_line(diagnosis.message_primary or '')}", file=sys.stderr)


def refuse_pooler(connection: Connection, dsn: str) -> None:
    """Raise E_POOLER where the transactions of one session may run in different server processes.

    Settings and locks of the session would stay in one of them, for the next client that gets it.
    To be called outside a transaction.
    """

    def process(session: Connection) -> list[Row]:
        return session.execute("SELECT pg_backend_pid()").fetchall()

    ours = process(connection)
    connection.rollback()
    if ours == [(connection.info.backend_pid,)]:
        return  # connected to the server itself
    what = (
        f"{connection.info.dbname!r} is behind a pooler that changes the session's server process"
    )
    with connect(dsn) as other:
        # A transaction keeps its process, so either the other session gets the one that we had, or
        # we get another one: in a busy pool of two, each attempt finds out by chance.
        for _ in range(16):
            if process(other) == ours or process(connection) != ours:
                raise problem("E_POOLER", what)
            other.rollback()
            connection.rollback()


@contextmanager
def explained(where: str, text: str = "", otherwise: str = "E_MIGRATION_FAILED") -> Iterator[None]:
    """Within the block, turn errors of the database into a TicketdbError.

    `text`: the SQL that was sent, for the number of the line. `otherwise`: the code of an error
    whose SQLSTATE is in no entry of errors.toml.
    """
    try:
        yield
    except TicketdbError:
        raise
    except Exception as error:
        if isinstance(error.__context__, TicketdbError):
            raise error.__context__ from None  # SQLAlchemy failed while it handled this one
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
    # The function of the server that raised it; the text is in the language of lc_messages.
    origin = diagnosis.source_function or ""
    if diagnosis.schema_name == "pg_catalog" or origin in CONCURRENTLY_UPDATED:
        # Roles belong to the whole server, where sessions of other databases change them, too:
        # worth another attempt, like a deadlock.
        state = "40P01"
    code = code_of(state, otherwise)
    if code == otherwise:
        message += f" [SQLSTATE {state}]"
    is_ours = origin == OUR_RAISE  # errors.toml has better advice than PostgreSQL's own hints
    hint = diagnosis.message_hint if is_ours else None
    return problem(code, f"{where}: {message}", hint, origin)


def _one_line(text: str) -> str:
    return " ".join(text.split())
