"""A hall whose seats are for sale, and what tests of the SQL functions do with it.

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
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import namedtuple_row

from tests.conftest import NAMES as NAMES
from tests.conftest import OURS, SCHEMAS, Connect, Database
from ticketdb.private_server import Cluster

RESERVATION_LOG = "seat_reservation_audit_log"
ORDER_LOG = "ticket_order_audit_log"
LOGS = (RESERVATION_LOG, ORDER_LOG, "api_request_log")
LOG_OF = {
    "reserve_seats": RESERVATION_LOG,
    "extend_reservation": RESERVATION_LOG,
    "release_reservation": RESERVATION_LOG,
    "create_ticket_order": ORDER_LOG,
    "confirm_payment": ORDER_LOG,
    "fail_payment": ORDER_LOG,
    "refund_order": ORDER_LOG,
}
NIL = UUID(int=0)

Connection = psycopg.Connection[Any]
Row = Any  # a named tuple whose fields are the columns


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "breaks_invariants: the test breaks an invariant of the tables on purpose"
    )
    config.addinivalue_line(
        "markers", "this_month: the test wants partitions that were made in the month that it is"
    )


MONTH_OF_THE_RUN = f"{datetime.now(UTC):%Y-%m}"


@pytest.fixture(autouse=True)
def month_has_not_turned(request: pytest.FixtureRequest) -> None:
    """Databases are made when the run begins, and nobody maintains their partitions at midnight."""
    if request.node.get_closest_marker("this_month") is None:
        return
    when_the_test_ends = datetime.now(UTC) + timedelta(seconds=20)
    if f"{when_the_test_ends:%Y-%m}" != MONTH_OF_THE_RUN:
        pytest.skip(f"the databases of this run were made in {MONTH_OF_THE_RUN}")


def enter(connection: Connection) -> Connection:
    """Make the names of ticketdb visible and rows named tuples. Effective until disconnection."""
    connection.row_factory = namedtuple_row
    connection.execute(
        sql.SQL("SET search_path = {}").format(sql.SQL(", ").join(map(sql.Identifier, SCHEMAS)))
    )
    return connection


def value(connection: Connection, query: str, *parameters: Any) -> Any:
    """The one value of a query."""
    (row,) = connection.execute(query, parameters).fetchall()
    return row[0]


def broken_invariants(connection: Connection) -> list[Row]:
    return connection.execute(
        "SELECT invariant, violations FROM count_violations() WHERE violations <> 0"
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


def sabotage(connection: Connection, table: str, event: str) -> None:
    """Make each INSERT or UPDATE of this table fail, as nothing in the contract foresees."""
    connection.execute(
        "CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM 1 / 0; RETURN NEW; END'"
    )
    connection.execute(
        f"CREATE TRIGGER sabotage AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION sabotage()"
    )


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


def lines(connection: Connection, log: str, after: int = 0) -> list[Row]:
    """The rows of a log, in order, past this id."""
    return connection.execute(
        sql.SQL("SELECT * FROM {} WHERE id > %s ORDER BY id").format(sql.Identifier(log)), [after]
    ).fetchall()


@dataclass(frozen=True)
class Refusal:
    """What a refused call answered, and the line it left in the log."""

    answer: Row
    line: Row


@dataclass(frozen=True)
class Hall:
    """A show and its seats. Seat n costs 1000 + 100 n cents; tests call seats by number."""

    connection: Connection
    show_id: UUID
    seats: tuple[UUID, ...]

    def call(self, function: str, **arguments: Any) -> Row:
        return call(self.connection, function, **arguments)

    def ids(self, *numbers: int) -> list[UUID]:
        return [self.seats[number] for number in numbers]

    def reserve(self, *numbers: int, session: str = "anna", **more: Any) -> Row:
        return self.call(
            "reserve_seats",
            p_show_id=self.show_id,
            p_seat_ids=self.ids(*numbers),
            p_session_id=session,
            **more,
        )

    def hold(self, *numbers: int, session: str = "anna", **more: Any) -> Row:
        """Reserve, and insist."""
        answer = self.reserve(*numbers, session=session, **more)
        assert answer.success, answer
        return answer

    def extend(self, hold: Row, session: str = "anna") -> Row:
        return self.call(
            "extend_reservation",
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
        )

    def release(self, hold: Row, seats: Sequence[UUID] | None = None, session: str = "anna") -> Row:
        return self.call(
            "release_reservation",
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
            p_seat_ids=seats,
        )

    def order(self, hold: Row, session: str = "anna", **more: Any) -> Row:
        return self.call(
            "create_ticket_order",
            p_reservation_token=hold.reservation_token,
            p_session_id=session,
            **more,
        )

    def pay(self, order: Row, event: str = "evt_paid", amount: int | None = None) -> Row:
        return self.call(
            "confirm_payment",
            p_show_id=self.show_id,
            p_order_id=order.order_id,
            p_provider="stripe",
            p_event_id=event,
            p_amount_in_cents=order.total_amount_in_cents if amount is None else amount,
        )

    def fail(self, order: Row, event: str = "evt_failed", message: str | None = "declined") -> Row:
        return self.call(
            "fail_payment",
            p_show_id=self.show_id,
            p_order_id=order.order_id,
            p_provider="stripe",
            p_event_id=event,
            p_error_message=message,
        )

    def refund(self, order: Row) -> Row:
        return self.call("refund_order", p_show_id=self.show_id, p_order_id=order.order_id)

    def sell(self, *numbers: int, session: str = "anna") -> Row:
        """Hold, order and pay. Returns the order as create_ticket_order answered."""
        order = self.order(self.hold(*numbers, session=session), session)
        answer = self.pay(order, event=f"evt_{order.order_id}")
        assert answer.status == "paid", answer
        return order

    def let_run_out(self, *holds: Row) -> None:
        """Move the end of holds into the past, as a DBA may: they are over, and not cleaned up."""
        self.connection.execute(
            "UPDATE seat_reservations SET expires_at = now() - interval '1 second'"
            " WHERE id = ANY(%s)",
            [[hold.reservation_id for hold in holds]],
        )

    def clean_up(self) -> Row:
        return self.call("cleanup_expired_seat_reservations")

    def statuses(self, *numbers: int) -> list[str]:
        """Status of these seats, or of all of them."""
        found = self.connection.execute(
            "SELECT id, status FROM show_seats WHERE show_id = %s", [self.show_id]
        ).fetchall()
        by_id = {row.id: row.status for row in found}
        return [by_id[seat] for seat in (self.ids(*numbers) if numbers else self.seats)]

    def row(self, table: str, key: UUID) -> Row:
        return self.connection.execute(
            sql.SQL("SELECT * FROM {} WHERE id = %s").format(sql.Identifier(table)), [key]
        ).fetchone()

    def reservation(self, hold: Row) -> Row:
        return self.row("seat_reservations", hold.reservation_id)

    def log(self, log: str = RESERVATION_LOG) -> list[Row]:
        """The lines of a log about this show."""
        return [line for line in lines(self.connection, log) if line.show_id == self.show_id]

    def events(self, hold: Row | None = None) -> list[str]:
        """What the log says has happened, in order: in this hall, or to one hold."""
        return [
            line.event_type
            for line in self.log()
            if hold is None or line.reservation_id == hold.reservation_id
        ]

    def refuse(
        self,
        code: str,
        function: str,
        *,
        stores_event: bool = False,
        stores_refund: bool = False,
        **arguments: Any,
    ) -> Refusal:
        """Call, and insist that it is refused with this code.

        It must leave exactly one line in the log of its kind, which says what the answer says, and
        not a trace in any other table; with `stores_event` exactly one row in payment_events too,
        with `stores_refund` one in refunds.
        """
        log = LOG_OF[function]
        before = tables(self.connection)
        last = max((line.id for line in lines(self.connection, log)), default=0)
        answer = self.call(function, **arguments)
        assert (answer.success, answer.error_code) == (False, code), answer
        (line,) = lines(self.connection, log, after=last)
        after = tables(self.connection)

        assert (line.error_code, line.error_message) == (code, answer.error_message)
        assert answer.error_message
        assert line.metadata["function"] == function
        if log == RESERVATION_LOG:
            assert (line.event_type, line.hold_seconds) == ("failed", None)
        else:
            assert line.new_status is None
        expected = {log: 1}
        if stores_event:
            expected["payment_events"] = 1
        if stores_refund:
            expected["refunds"] = 1
        added = {
            name: len(rows) - len(before[name])
            for name, rows in after.items()
            if rows != before[name]
        }
        assert added == expected
        for name in added:
            assert set(before[name]) < set(after[name])
        return Refusal(answer, line)


def make_hall(connection: Connection, seats: int = 10, status: str = "on_sale") -> Hall:
    """Put a new show with this many seats on sale, through any connection."""
    enter(connection)
    show_id = value(
        connection,
        "INSERT INTO shows (name, starts_at, currency, status)"
        " VALUES ('Hamlet', now() + interval '30 days', 'EUR', %s) RETURNING id",
        status,
    )
    connection.execute(
        "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
        " SELECT %s, 'stalls', 'A', n::text, 1000 + 100 * n"
        " FROM generate_series(0, %s - 1) AS n",
        [show_id, seats],
    )
    made = connection.execute(
        "SELECT id FROM show_seats WHERE show_id = %s ORDER BY price_in_cents", [show_id]
    ).fetchall()
    return Hall(connection, show_id, tuple(row.id for row in made))


@pytest.fixture(scope="session")
def shared_database(cluster: Cluster, template_database: str) -> Database:
    """A database at head for all tests of a worker that leave nothing in it. Goes with the run."""
    database = Database(cluster, f"shared_{uuid.uuid4().hex}")
    cluster.create_database(database.name, template_database)
    return database


@pytest.fixture
def connection(shared_database: Database, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A superuser in an empty database at head, inside a transaction that is rolled back."""
    with closing(psycopg.connect(shared_database.dsn, row_factory=namedtuple_row)) as connection:
        enter(connection)
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
