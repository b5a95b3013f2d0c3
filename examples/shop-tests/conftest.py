from collections.abc import Iterator

import pytest
from psycopg import Connection
from pytest_postgresql import factories

import ticketdb.testing
from ticketdb.testing import OnSale

ticket_server = ticketdb.testing.server()
tickets = factories.postgresql("ticket_server")


@pytest.fixture
def show(tickets: Connection) -> OnSale:
    """Four seats at 45.00 EUR."""
    return ticketdb.testing.put_on_sale(tickets, seats=4, price_in_cents=4500, currency="EUR")


@pytest.fixture
def shop(tickets: Connection) -> Iterator[Connection]:
    """A session with the rights of the shop, beside `tickets`, which is the owner's."""
    with Connection.connect(tickets.info.dsn, autocommit=True) as connection:
        connection.execute("SET ROLE ticketdb_app")
        yield connection


@pytest.fixture
def box_office(tickets: Connection) -> Iterator[Connection]:
    """A session with the rights of the staff."""
    with Connection.connect(tickets.info.dsn, autocommit=True) as connection:
        connection.execute("SET ROLE ticketdb_box_office")
        yield connection
