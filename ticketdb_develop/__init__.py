"""Tools of those who develop ticketdb: freezing revisions, and the files that hold them to account.

They need a checkout and a private PostgreSQL; nothing that runs against a database of users is
here.
"""

from collections.abc import Callable

from psycopg import sql

from ticketdb.config import Variables
from ticketdb.database import Connection, connect, explained, own_sql
from ticketdb.render import render
from ticketdb.resources import Tree
from ticketdb.revision import SourceObject, read_manifest

Visit = Callable[[Connection, SourceObject], None]


def build_from_sources(
    dsn: str, variables: Variables, tree: Tree, visit: Visit = lambda *_: None
) -> None:
    """Make the database that ``sql/`` describes, without any revision, in an empty one.

    `visit` is called before each object is made, in the transaction that will make it. Raises
    E_REVISION, or what the error of the database means, for an object that cannot be made.
    """
    revoke = sql.SQL("SELECT {}.revoke_default_privileges()")
    with connect(dsn) as connection:
        connection.execute(own_sql("bootstrap.sql", variables, tables="[]").encode())
        # As in a revision: a name without its schema is an error.
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        for source in read_manifest(tree):
            text = render(source.text, variables, source.file)
            visit(connection, source)
            with explained(f"sql/{source.file}", text, "E_REVISION"):
                connection.execute(text.encode())
        connection.execute(revoke.format(sql.Identifier(variables.schema)))
