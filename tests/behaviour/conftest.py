"""Databases and halls for the tests of the SQL functions.

`hall` lives in a transaction that is rolled back: a test costs milliseconds, may change settings,
make triggers or drop partitions, and finds the database empty. now() stands still in it, so times
can be compared for equality; to end a hold, move its `expires_at` with `hall.let_run_out(hold)`.
Because every call is made inside that one transaction, each test also shows that a refused call
leaves the caller's transaction usable. Tests that need several sessions take the fixture `database`
and `make_hall(connect())`, which commits.

After each test with `hall` or `connection` no invariant of the database may be broken, unless the
test is marked `breaks_invariants`.
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.pq import TransactionStatus

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.queries import Connection, broken_invariants, enter, rolled_back
from ticketdb.private_server import Cluster

MONTH_OF_THE_RUN = f"{datetime.now(UTC):%Y-%m}"


@pytest.fixture(autouse=True)
def month_has_not_turned(request: pytest.FixtureRequest) -> None:
    """Databases are made when the run begins, and nobody maintains their partitions at midnight."""
    if request.node.get_closest_marker("this_month") is None:
        return
    when_the_test_ends = datetime.now(UTC) + timedelta(seconds=20)
    if f"{when_the_test_ends:%Y-%m}" != MONTH_OF_THE_RUN:
        pytest.skip(f"the databases of this run were made in {MONTH_OF_THE_RUN}")


@pytest.fixture(scope="session")
def shared_database(cluster: Cluster, template_database: str) -> Database:
    """A database at head for all tests of a worker that leave nothing in it. Goes with the run."""
    database = Database(cluster, f"shared_{uuid.uuid4().hex}")
    cluster.create_database(database.name, template_database)
    return database


@pytest.fixture
def connection(shared_database: Database, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A superuser in an empty database at head, inside a transaction that is rolled back."""
    with rolled_back(shared_database.dsn) as connection:
        yield connection
        usable = connection.info.transaction_status == TransactionStatus.INTRANS
        if usable and request.node.get_closest_marker("breaks_invariants") is None:
            connection.execute("RESET ROLE")
            assert broken_invariants(connection) == []


@pytest.fixture
def hall(connection: Connection) -> Hall:
    """Ten seats on sale."""
    return make_hall(connection)


@pytest.fixture
def owner(connect: Connect) -> Connection:
    return enter(connect())


@pytest.fixture
def house(owner: Connection) -> Hall:
    """Forty seats on sale, in a database that other sessions can enter."""
    return make_hall(owner, seats=40)
