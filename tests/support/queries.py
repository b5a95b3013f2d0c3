"""What tests ask a database, and how."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from tests.support.names import NAMES, OURS, SCHEMAS, quoted

Connection = psycopg.Connection[Any]
Row = Any  # a named tuple whose fields are the columns


def token_of(show: str) -> str:
    """The SQL of a token for a hold that is made by hand, from the SQL of its show's id."""
    return f"encode(uuid_send({show}) || uuid_send(gen_random_uuid()), 'hex')"


def enter(connection: Connection) -> Connection:
    """Make the names of ticketdb visible and rows named tuples. Effective until disconnection."""
    connection.row_factory = namedtuple_row
    connection.execute(
        sql.SQL("SET search_path = {}").format(sql.SQL(", ").join(map(sql.Identifier, SCHEMAS)))
    )
    return connection


@contextmanager
def rolled_back(dsn: str) -> Iterator[Connection]:
    """A session in a transaction that has been rolled back when the block ends.

    If it were only closed, the server would do that a moment later, beside the next test.
    """
    with closing(enter(psycopg.connect(dsn))) as connection:
        try:
            yield connection
        finally:
            if not connection.closed:
                connection.rollback()


def value(connection: Connection, query: str, *parameters: Any) -> Any:
    """The one value of a query."""
    (row,) = connection.execute(query, parameters).fetchall()
    return row[0]


def broken_invariants(connection: Connection) -> list[Row]:
    return connection.execute(
        "SELECT invariant, violations FROM current_violations() WHERE violations <> 0"
    ).fetchall()


@contextmanager
def refused_by(connection: Connection, constraint: str) -> Iterator[None]:
    """Expect the statement in the block to fail at this constraint or unique index."""
    with pytest.raises(psycopg.errors.IntegrityError) as caught, connection.transaction():
        yield
    assert caught.value.diag.constraint_name == constraint


@contextmanager
def acting_as(connection: Connection, role: str) -> Iterator[None]:
    """Run the block with the privileges of a role, in a savepoint that takes errors back."""
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        yield
        connection.execute("RESET ROLE")


def call(connection: Connection, function: str, **arguments: Any) -> Row:
    """Call a function with named arguments; it must answer with exactly one row."""
    statement = sql.SQL("SELECT * FROM {}({})").format(
        sql.Identifier(function),
        sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name))
            for name in arguments
        ),
    )
    (answer,) = connection.execute(statement, arguments).fetchall()
    return answer


def tables(connection: Connection) -> dict[str, list[str]]:
    """All rows of all tables as text: for showing that nothing has changed."""
    names = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = ANY(%s::regnamespace[])"
        " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname",
        [OURS],
    ).fetchall()
    everything = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, t::text FROM {} AS t").format(
            sql.Literal(row.relname), sql.Identifier(row.relname)
        )
        for row in names
    )
    contents: dict[str, list[str]] = {row.relname: [] for row in names}
    for name, row in connection.execute(everything).fetchall():
        contents[name].append(row)
    return {name: sorted(rows) for name, rows in contents.items()}


def views(connection: Connection) -> list[str]:
    """The names of all views in the schema of monitoring, without it."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = to_regnamespace(%s)"
        " ORDER BY relname",
        [quoted(NAMES.monitoring_schema)],
    ).fetchall()
    return [row.relname for row in rows]


def one(connection: Connection, query: str, *parameters: Any) -> Row:
    """The one row of a query."""
    (row,) = connection.execute(query, parameters).fetchall()
    return row


def in_window(connection: Connection, view: str, window: str) -> Row:
    """The row of a view for this window of time."""
    return one(connection, f"SELECT * FROM {view} WHERE time_window = %s", window)


def warnings_of(connection: Connection) -> list[str | None]:
    """What the server warns of from now on."""
    heard: list[str | None] = []
    connection.add_notice_handler(
        lambda notice: (
            heard.append(notice.message_primary) if notice.severity == "WARNING" else None
        )
    )
    return heard
