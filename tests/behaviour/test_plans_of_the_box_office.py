"""A call of the box office costs as much as it has to do, in a hall of any size."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.support.counter import Counter
from tests.support.databases import Connect, Database
from tests.support.hall import make_hall
from tests.support.names import OURS
from tests.support.plans import STATISTICS, Plan, explained, rows_looked_at
from tests.support.queries import Connection, enter
from tests.support.sabotage import Edit

SEATS = 2400
# Rows that pass through all plans of a call, for each seat or ticket that it is about.
MOST_ROWS_EACH = 100
# And for the call itself.
MOST_ROWS = 200


@pytest.fixture(params=STATISTICS)
def counter(request: pytest.FixtureRequest, database: Database, connect: Connect) -> Counter:
    """A counter that has sold half of a hall, of which the planner knows this much."""
    connection = connect(database)
    tables = enter(connection).execute(
        "SELECT relname FROM pg_class WHERE relnamespace = ANY(%s::regnamespace[])"
        " AND relkind = 'r'",
        [OURS],
    )
    for table in tables.fetchall():
        connection.execute(f"ALTER TABLE {table.relname} SET (autovacuum_enabled = off)".encode())
    if request.param == "of the empty tables":
        connection.execute("VACUUM (ANALYZE)")
    counter = Counter(make_hall(connection, seats=SEATS))
    # Seats are there long before they are sold, so autovacuum has seen them.
    connection.execute("VACUUM (ANALYZE) show_seats")
    for n in range(SEATS // 2, SEATS, 10):
        counter.sell(*range(n, n + 10))
    if request.param == "up to date":
        connection.execute("VACUUM (ANALYZE)")
    return counter


def passed(plans: list[Plan]) -> int:
    """Rows that went through what reads tables, indexes and arrays, and through joins."""
    return sum(rows_looked_at(node) for plan in plans for node in plan.nodes)


def cost(connection: Connection, call: Callable[[], object]) -> int:
    with explained(connection) as plans:
        call()
        connection.execute("SELECT")  # the plan of a statement comes with the end of its portal
    return passed(plans)


def deeds(counter: Counter) -> dict[str, Callable[[int, int], object]]:
    """What is done to seats from `first` on: free ones below the middle, sold ones above it."""
    rows = counter.hall.connection.execute("SELECT id, show_seat_id FROM tickets").fetchall()
    by_seat = {row.show_seat_id: row.id for row in rows}
    tickets = [by_seat.get(seat) for seat in counter.hall.seats]

    def numbers(first: int, count: int) -> range:
        return range(first, first + count)

    return {
        "block": lambda first, count: counter.block(*numbers(first, count)),
        "unblock": lambda first, count: counter.unblock(*numbers(first, count)),
        "issue": lambda first, count: counter.sell(*numbers(first, count)),
        "move": lambda first, count: counter.move(
            [t for t in tickets[1200 + first : 1200 + first + count] if t],
            *numbers(1200 + first + 1, count - 1),
            1200 + first,
        ),
    }


def test_a_call_looks_at_what_it_is_about_and_not_at_the_hall(counter: Counter) -> None:
    connection = counter.hall.connection
    costs = {}
    for name, deed in deeds(counter).items():
        deed(0, 2)  # the first call of a session makes plans
        few, many = (
            cost(connection, partial(deed, 10, 2)),
            cost(connection, partial(deed, 100, 400)),
        )
        costs[name] = (few, many)
    assert {
        name: both
        for name, both in costs.items()
        if both[0] > MOST_ROWS + 2 * MOST_ROWS_EACH or both[1] > MOST_ROWS + 400 * MOST_ROWS_EACH
    } == {}


def test_a_join_of_each_with_each_would_be_seen(database: Database, connect: Connect) -> None:
    """The control."""
    connection = enter(connect(database))
    Edit("move_tickets", "enable_nestloop TO 'off'", "enable_hashjoin TO 'off'")(connection)
    counter = Counter(make_hall(connection, seats=SEATS))
    for n in range(SEATS // 2, SEATS, 10):
        counter.sell(*range(n, n + 10))
    move = deeds(counter)["move"]
    assert cost(connection, lambda: move(100, 400)) > MOST_ROWS + 400 * MOST_ROWS_EACH
