"""A clock that a test sets.

now() cannot be moved in PostgreSQL. `set_up_clock` therefore puts another now() into a database of
the test's own: the definition of every view and function there is read back from the catalog and
made anew with that one call exchanged. What runs is the shipped text. The clock stands still until
it is set again.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import psycopg
from psycopg import sql

from tests.support.databases import Database, throw_away_database
from tests.support.names import NAMES, OURS, quoted
from tests.support.queries import Connection, enter
from ticketdb.private_server import Cluster

# Of the database in which set_up_clock() was called.
CLOCK = "ticketdb_test.now"


@contextmanager
def clocked_database(cluster: Cluster, template: str) -> Iterator[Database]:
    """A database at head whose views read a clock that a test sets."""
    with contextmanager(throw_away_database)(cluster, template) as database:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            set_up_clock(enter(connection))
        yield database


def set_up_clock(connection: Connection) -> None:
    """Exchange now() in all views and functions of ticketdb in this database."""
    schema = sql.Identifier(NAMES.schema)
    connection.execute(
        sql.SQL(
            "CREATE FUNCTION {}.now() RETURNS timestamptz LANGUAGE sql STABLE AS"
            " $$ SELECT current_setting({})::timestamptz $$"
        ).format(schema, sql.Literal(CLOCK))
    )
    for definition in definitions(connection):
        changed = re.sub(r"(?<![\w.])now\(\)", f"{quoted(NAMES.schema)}.now()", definition)
        # How long a call takes is real. Any other way to ask for the time would return the real
        # one.
        asking = changed.replace("clock_timestamp() < (statement_timestamp() + ", "")
        assert not re.search(
            r"current_(date|time)|localtime|(transaction|statement)_timestamp", asking, re.I
        ), definition
        if changed != definition:
            connection.execute(changed.encode())
    assert not [text for text in definitions(connection) if re.search(r"(?<![\w.])now\(\)", text)]


def definitions(connection: Connection) -> Sequence[str]:
    """Statements that make each function and view of ticketdb anew, as the catalog has them."""
    rows = connection.execute(
        """
        SELECT pg_get_functiondef(oid) AS definition
        FROM pg_proc
        WHERE pronamespace = ANY(%(ours)s::regnamespace[])
            AND oid <> COALESCE(to_regproc(%(now)s), 0)
        UNION ALL
        SELECT
            format(
                'CREATE OR REPLACE VIEW %%s.%%I AS %%s',
                relnamespace::regnamespace, relname, pg_get_viewdef(oid)
            )
        FROM pg_class
        WHERE relnamespace = ANY(%(ours)s::regnamespace[]) AND relkind = 'v'
        """,
        {
            "ours": OURS,
            "now": f"{quoted(NAMES.schema)}.now",
        },
    ).fetchall()
    return [row.definition for row in rows]


def set_clock(connection: Connection, now: datetime) -> None:
    """Let it be this moment for the views, until the session ends or the transaction is undone."""
    assert now.tzinfo is not None
    connection.execute("SELECT set_config(%s, %s, false)", [CLOCK, now.isoformat()])
