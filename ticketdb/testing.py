"""Fixtures for the test suites of shops, on pytest-postgresql. They need the extra `testing`.

A conftest.py with these lines gives each test that asks for `tickets` a connection to a database
of its own, with every migration applied and nothing in it:

    from pytest_postgresql import factories
    import ticketdb.testing

    ticket_server = ticketdb.testing.server()
    tickets = factories.postgresql("ticket_server")

`load` alone brings ticketdb into a server that pytest-postgresql runs or finds:
`factories.postgresql_proc(load=[ticketdb.testing.load])`.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import tuple_row
from pytest_postgresql.executors import NoopExecutor
from pytest_postgresql.janitor import DatabaseJanitor

from ticketdb.config import Variables, load_variables
from ticketdb.migrate import commands
from ticketdb.private_server import private_cluster
from ticketdb.verify import verify

CONFIG_VARIABLE = "TICKETDB_CONFIG"

Loader = Callable[..., object] | str | Path


@dataclass(frozen=True)
class OnSale:
    """A show whose seats can be held. `seat_ids` are in the order of the seats' numbers."""

    show_id: UUID
    seat_ids: tuple[UUID, ...]


def configured() -> Variables:
    """The names of objects as the commands find them: $TICKETDB_CONFIG, or ./ticketdb.toml."""
    path = os.environ.get(CONFIG_VARIABLE)
    return load_variables(Path(path) if path else None)


def load(
    *,
    host: str,
    port: str | int,
    user: str,
    dbname: str,
    password: str | None = None,
    variables: Variables | None = None,
    **_: object,
) -> None:
    """Apply every migration to a database, and verify it: for `load=` of pytest-postgresql.

    That calls it once for the template from which each test's database is copied. `variables`
    replace the configuration file. Raises TicketdbError where something cannot be applied,
    AssertionError where the result is not what ticketdb ships.
    """
    dsn = make_conninfo(host=host, port=port, user=user, dbname=dbname, password=password)
    variables = variables or configured()
    commands.apply(dsn, variables)
    wrong = [f"{check.name}: {each}" for check in verify(dsn, variables) for each in check.details]
    if wrong:
        raise AssertionError(f"{dbname} is not what ticketdb ships: {'; '.join(wrong)}")


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end pytest. With a private server it would be raised as SystemExit, which fails
    one test only."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    is_ours = in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if is_ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def server(
    *,
    dbname: str = "tests",
    load: Sequence[Loader] = (load,),
    settings: Mapping[str, str] | None = None,
) -> Callable[[], Iterator[NoopExecutor]]:
    """A fixture in place of `factories.postgresql_proc` that root can use, too.

    It runs the private server of ticketdb's own tests: under an unprivileged user where pytest runs
    as root, on a Unix socket, with nothing left behind. `load` is pytest-postgresql's, `settings`
    are of the server. Each worker of pytest-xdist has its own. Raises E_NO_SERVER,
    E_NO_SERVER_USER or E_SERVER_START.
    """

    @pytest.fixture(scope="session")
    def ticketdb_server() -> Iterator[NoopExecutor]:
        with sigterm_as_ctrl_c(), private_cluster(settings=settings) as cluster:
            executor = NoopExecutor(
                host=str(cluster.directory),
                port=cluster.port,
                user=cluster.superuser,
                options="",
                dbname=dbname,
            )
            template = DatabaseJanitor(
                host=executor.host,
                port=executor.port,
                user=executor.user,
                dbname=executor.template_dbname,
                as_template=True,
            )
            template.init()
            for element in load:
                template.load(element)
            yield executor

    return ticketdb_server


def put_on_sale(
    connection: psycopg.Connection[Any],
    *,
    seats: int = 4,
    price_in_cents: int = 4500,
    currency: str = "EUR",
    name: str = "Hamlet",
    variables: Variables | None = None,
) -> OnSale:
    """Make a show that begins in a month, with this many seats in one row, and put it on sale.

    Other sessions see it at once, unless the connection is in a transaction: then the caller
    commits. Raises psycopg.Error, as where the currency is unknown.
    """
    tables = sql.Identifier((variables or configured()).schema)
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            sql.SQL(
                "INSERT INTO {}.shows (name, starts_at, currency, status)"
                " VALUES (%s, now() + interval '30 days', %s, 'on_sale') RETURNING id"
            ).format(tables),
            [name, currency],
        )
        ((show_id,),) = cursor.fetchall()
        cursor.execute(
            sql.SQL(
                "INSERT INTO {}.show_seats"
                " (show_id, section, row_label, seat_number, price_in_cents)"
                " SELECT %s, 'Stalls', 'A', number::text, %s"
                " FROM generate_series(1, %s) AS number RETURNING seat_number::integer, id"
            ).format(tables),
            [show_id, price_in_cents, seats],
        )
        return OnSale(show_id, tuple(seat_id for _, seat_id in sorted(cursor.fetchall())))


def make_overdue(
    connection: psycopg.Connection[Any],
    reservation_token: str,
    *,
    variables: Variables | None = None,
) -> None:
    """Move the end of a reservation into the past, as if its time had passed meanwhile.

    Whatever finds it overdue may end it: another customer's call, or the cleanup. Commits as
    `put_on_sale` does. Raises LookupError where no active reservation has this token.
    """
    tables = sql.Identifier((variables or configured()).schema)
    with connection.transaction():
        moved = connection.execute(
            sql.SQL(
                "UPDATE {}.seat_reservations SET expires_at = now() - interval '1 second'"
                " WHERE reservation_token = %s AND is_active"
            ).format(tables),
            [reservation_token],
        )
        if moved.rowcount == 0:
            raise LookupError(f"no active reservation has the token {reservation_token!r}")
