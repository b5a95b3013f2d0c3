"""Tools of those who develop ticketdb: freezing revisions, and the files that hold them to account.

They need a checkout and a private PostgreSQL; nothing that runs against a database of users is
here.
"""

from collections.abc import Callable

from psycopg import sql

from ticketdb.config import Variables
from ticketdb.database import Connection, connect, explained, own_sql
from ticketdb.migrate.chain import SourceObject, read_sources
from ticketdb.paths import Tree
from ticketdb.templates import render

Visit = Callable[[Connection, SourceObject], None]


def build_from_sources(
    dsn: str, variables: Variables, tree: Tree, visit: Visit = lambda *_: None
) -> None:
    """Create the objects of ``sql/``, without any revision, in an empty database.

    `visit` is called before each object is created, in the same transaction. Raises E_REVISION, or
    the error that stands for the SQLSTATE, for an object that cannot be created.
    """
    revoke = sql.SQL("SELECT {}.revoke_default_privileges()")
    with connect(dsn) as connection:
        connection.execute(own_sql("migrate/sql/bootstrap.sql", variables, tables="[]").encode())
        # As in a revision, a name without its schema is an error.
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        for source in read_sources(tree):
            text = render(source.text, variables, source.file)
            visit(connection, source)
            with explained(f"sql/{source.file}", text, "E_REVISION"):
                connection.execute(text.encode())
        connection.execute(revoke.format(sql.Identifier(variables.internal_schema)))
