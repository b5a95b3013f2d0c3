"""Talking to a database: connecting, asking where it stands, and explaining what it says."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ticketdb.config import Variables
from ticketdb.errors import ExitStatus, TicketdbError
from ticketdb.render import render
from ticketdb.resources import package_sql

VERSION_TABLE = "ticketdb_alembic_version"
LEDGER_TABLE = "ticketdb_migrations"
LOCK_CONFLICTS = ("55P03", "40P01")  # lock_not_available, deadlock_detected

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class LedgerRow:
    revision: str
    source_sha256: str
    rendered_sha256: str
    variables: dict[str, Any]


@dataclass(frozen=True)
class State:
    """Where a database stands. `may_create`: objects in the schema, or the schema if need be."""

    database: str
    role: str
    major: int
    in_recovery: bool
    schema_exists: bool
    may_create: bool
    has_jobs: bool
    revision: str | None
    ledger: tuple[LedgerRow, ...]


def quote(*names: str) -> str:
    return sql.Identifier(*names).as_string(None)


def quote_literal(value: str) -> str:
    return sql.Literal(value).as_string(None)


def one_line(text: str) -> str:
    return " ".join(text.split())


def connect(dsn: str, *, autocommit: bool = False) -> Connection:
    """Open a connection. Raises E_CONNECT (exit 3), or E_CONFIG for something that is no DSN."""
    try:
        return psycopg.connect(
            dsn,
            autocommit=autocommit,
            prepare_threshold=None,  # survives pgbouncer
            client_encoding="UTF8",
            fallback_application_name="ticketdb",
        )
    except psycopg.ProgrammingError:
        # Not a word of it in the message: it may hold a password.
        raise TicketdbError(
            "E_CONFIG",
            ExitStatus.USAGE,
            "the DSN is no libpq connection string: write postgresql://user@host:5432/database"
            " or 'host=… dbname=… user=…'",
        ) from None
    except psycopg.OperationalError as error:
        message = one_line(str(error))
        hint = "check --dsn, TICKETDB_DSN or PGHOST and PGPORT, and that the server is running"
        if "password" in message:
            hint = "set PGPASSWORD or an entry in ~/.pgpass, or correct the one you gave"
        elif re.search(r'database ".*" does not exist', message):
            hint = "create it with CREATE DATABASE, or name another in --dsn or PGDATABASE"
        elif re.search(r'role ".*" does not exist|pg_hba|authentication failed', message):
            hint = "name the role in --dsn or PGUSER, and let pg_hba.conf admit it"
        raise TicketdbError(
            "E_CONNECT", ExitStatus.UNREACHABLE, f"cannot connect: {message} - {hint}"
        ) from None


def explain(error: psycopg.Error, where: str, text: str = "") -> TicketdbError:
    """Turn the database's error into one that says what to do. `text`: the SQL that was sent."""
    code, status, hint = "E_MIGRATION_FAILED", ExitStatus.ROLLED_BACK, "it was rolled back"
    state = error.sqlstate or ""
    message = one_line(error.diag.message_primary or str(error))
    if error.diag.message_detail:
        message += f" ({one_line(error.diag.message_detail)})"
    if text and error.diag.statement_position:
        line = text.count("\n", 0, int(error.diag.statement_position) - 1) + 1
        where += f", line {line}"
    if state in ("42P07", "42P06", "42710", "42723"):
        code = "E_OBJECT_EXISTS"
        hint = "move it away, or set another schema under [variables] in ticketdb.toml"
        hint = error.diag.message_hint or hint  # ours, where we raised it
    elif state == "42501":
        code = "E_PRIVILEGE"
        hint = "connect as the owner of the database or as a role that may do this"
        if "role" in message:
            hint = "apply as a role with CREATEROLE, or set manage_roles = false in ticketdb.toml"
    elif state == "57014":
        code, hint = "E_STATEMENT_TIMEOUT", "it was rolled back; allow more --statement-timeout"
    elif state == "2BP01":
        code, hint = "E_DEPENDENTS", "drop what depends on it first, and make it again afterwards"
    elif state in LOCK_CONFLICTS:
        code, status, hint = "E_LOCK_TIMEOUT", ExitStatus.LOCKED, "try again, or allow more --wait"
    elif isinstance(error, psycopg.OperationalError) and state[:2] in ("", "08", "57"):
        code, status = "E_CONNECTION_LOST", ExitStatus.UNREACHABLE
        hint = "what was not committed is rolled back; run the command again"
    else:
        message += f" [SQLSTATE {state}]"
    return TicketdbError(code, status, f"{where}: {message} - {hint}")


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Within the block, errors of the database become errors for people."""
    try:
        yield
    except psycopg.Error as error:
        raise explain(error, where) from error


def read_state(connection: Connection, variables: Variables) -> State:
    """Ask a database where it stands, without changing anything."""
    with explained("reading the state of the database"):
        cursor = connection.cursor(row_factory=dict_row)
        facts = cursor.execute(render(package_sql("state.sql"), variables).encode()).fetchone()
        assert facts is not None
        revision = None
        ledger: tuple[LedgerRow, ...] = ()
        if facts.pop("has_version"):
            version_table = sql.Identifier(variables.schema, VERSION_TABLE)
            row = connection.execute(
                sql.SQL("SELECT version_num FROM {}").format(version_table)
            ).fetchone()
            revision = row[0] if row else None
        if facts.pop("has_ledger"):
            rows = connection.execute(
                sql.SQL(
                    "SELECT revision, source_sha256, rendered_sha256, variables"
                    " FROM {} ORDER BY revision"
                ).format(sql.Identifier(variables.schema, LEDGER_TABLE))
            )
            ledger = tuple(LedgerRow(*row) for row in rows)
    return State(**facts, revision=revision, ledger=ledger)
