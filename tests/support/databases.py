"""Databases of the run's cluster, and how tests get them."""

import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import psycopg
import pytest
from psycopg import sql
from pytest_postgresql.janitor import DatabaseJanitor

from tests.support.names import HAS_OTHER_NAMES, NAMES, quoted
from ticketdb.catalog import Catalog, read_catalog
from ticketdb.config import Variables
from ticketdb.database import Connection
from ticketdb.private_server import (
    SUPERUSER,
    Cluster,
    ServerBinaries,
)

CRON_DATABASE = "ticketdb_cron"
# An advisory lock, whose number means nothing: one worker at a time has pg_cron's database.
CRON_LOCK = 8_421_007
REQUIRE_PG_CRON = "TICKETDB_REQUIRE_PG_CRON"


@dataclass(frozen=True)
class Database:
    """A database of the run's cluster, whose sessions find the tables without naming their schema.

    They find `public` as it is. For another schema the connection brings the search path along, as
    a DBA might set it. Nothing of ticketdb itself may need that: the template is made without.
    """

    cluster: Cluster
    name: str

    @property
    def dsn(self) -> str:
        return self.dsn_as(SUPERUSER)

    def dsn_as(self, user: str) -> str:
        """The same database, entered as another role. The cluster trusts everybody who gets in."""
        options = None
        if HAS_OTHER_NAMES:
            # Blanks separate options, so those within a name are escaped.
            path = f"{quoted(NAMES.schema)},public"
            options = "-c search_path=" + re.sub(r"([\\ ])", r"\\\1", path)
        return self.cluster.dsn(self.name, user, options=options)


class Connect(Protocol):
    """What the fixture `connect` gives: a factory of autocommit connections."""

    def __call__(
        self, database: Database | None = None, *, user: str = SUPERUSER
    ) -> psycopg.Connection: ...


def skip_without(binaries: ServerBinaries, *extensions: str) -> None:
    """Skip this test where the server lacks one of these, or fail it where they are required."""
    lacking = [name for name in extensions if not getattr(binaries, f"has_{name}")]
    if lacking:
        reason = f"the server in {binaries.bindir} has no {' and no '.join(lacking)}"
        if os.environ.get(REQUIRE_PG_CRON) == "1":
            pytest.fail(f"{reason}, and {REQUIRE_PG_CRON} is 1", pytrace=False)
        pytest.skip(reason)


def throw_away_database(cluster: Cluster, template: str | None) -> Iterator[Database]:
    database = Database(cluster, f"test_{uuid.uuid4().hex}")
    with DatabaseJanitor(
        host=str(cluster.directory),
        port=cluster.port,
        user=cluster.superuser,
        dbname=database.name,
        template_dbname=template,
    ):
        yield database


def empty(database: Database) -> None:
    """Take everything out of pg_cron's database.

    It cannot be dropped: pg_cron's launcher holds a session on it, and forcing that session out
    ends the launcher until the server is restarted, which other tests need.
    """
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
            " AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP EXTENSION IF EXISTS pg_cron CASCADE")
        schemas = connection.execute(
            "SELECT nspname FROM pg_namespace"
            " WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        )
        for (schema,) in schemas.fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        connection.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        connection.execute(
            sql.SQL("ALTER DATABASE {} RESET ALL").format(sql.Identifier(database.name))
        )


def fingerprint(connection: Connection, variables: Variables) -> Catalog:
    """The catalog of a database: equal for databases that are equal."""
    connection.execute("SET search_path = pg_catalog, pg_temp")
    return read_catalog(connection, variables)
