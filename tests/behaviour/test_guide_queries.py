"""Every query of the monitoring guide, read from the guide itself and run as it stands there.

As dashboard_reader where it names columns, as the owner where it says SELECT * of a table. Those
that ask pg_cron run in its database. Those that cannot work are named here, with their error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support.databases import Database, throw_away_database
from tests.support.guide import BLOCKS, GUIDE, Block, read_guide
from tests.support.hall import Hall, make_hall
from tests.support.happenings import CONFLICT, CONSTRAINT, INVALID
from tests.support.names import NAMES
from tests.support.queries import Connection, Row
from ticketdb.migrate import commands
from ticketdb.private_server import SUPERUSER, Cluster

# The guide says `public`, by saying nothing, and has names of roles and of a job.
pytestmark = pytest.mark.default_names


# cron.job has no start_time. Our views read the history of the runs instead.
WRONG = {"real-time-dashboard-query", "2-cleanup-job-failed"}


def counts_by_hour(rows: list[Row]) -> bool:
    """Summed, because the clock may strike while the history is made."""
    assert all(row.hour.minute == row.hour.second == 0 for row in rows)
    totals = [sum(column) for column in list(zip(*rows, strict=True))[1:5]]
    return totals == [5, 1, 1, 3]


# What each must answer to the history below: rows, or a question about them.
EXPECTED: dict[str, list[tuple[object, ...]] | Callable[[list[Row]], bool]] = {
    # All events are the denominator, one of the things that our view mends.
    "1-reservation-success-rate": [(5, 1, 2, Decimal("41.67"))],
    "2-double-booking-attempts": [(1,)],
    "3-reservation-expiration-rate": lambda rows: (
        [row[:3] for row in rows] == [(5, 1, 1)] and float(rows[0].expiration_rate_pct) == 20
    ),
    "4-average-reservation-hold-time": lambda rows: 0 < rows[0].avg_minutes < 1,
    "5-cleanup-job-health": lambda rows: [row.status for row in rows] == ["succeeded"],
    "6-active-reservations-count": [(2, 1, 3)],
    "7-payment-intent-failures": [(2, 1, Decimal("50.00"))],
    "hourly-metrics-for-trending": counts_by_hour,
    "top-errors": lambda rows: (
        {(row.error_message, row.occurrences) for row in rows}
        == {(CONFLICT, 1), (CONSTRAINT, 1), (INVALID, 1)}
    ),
    "1-database-constraint-violation": [(True,)],
    "3-payment-processing-down": [(True,)],
    "1-high-expiration-rate": [(False,)],
    "2-low-success-rate": [(True,)],
    "1-extension-rate-trends": lambda rows: [row[1:] for row in rows] == [(1, 1)],
    "issue-high-reservation-failure-rate": lambda rows: (
        set(rows) == {(CONFLICT, 1), (CONSTRAINT, 1), (INVALID, 1)}
    ),
    "issue-high-reservation-failure-rate-2": lambda rows: len(rows) >= 1,  # ourselves
    "issue-cleanup-job-not-running": lambda rows: [row.active for row in rows] == [True],
    "issue-cleanup-job-not-running-2": lambda rows: [row.status for row in rows] == ["succeeded"],
    "issue-cleanup-job-not-running-3": [(0, 0, [])],
    "issue-double-booking-constraint-violations": lambda rows: (
        [(row.event_type, row.error_code) for row in rows]
        == [("failed", "DOUBLE_BOOKING_PREVENTED")]
    ),
    "issue-double-booking-constraint-violations-2": lambda rows: (
        [row.status for row in rows] == ["sold"]
    ),
    "issue-payment-intent-creation-failing": lambda rows: sum(row.requests for row in rows) == 2,
}


def make_history(hall: Hall) -> None:
    """Something of everything that the guide asks about."""
    hall.sell(0, session="buys")
    hall.extend(hall.hold(1, session="needs time"), session="needs time")
    assert hall.reserve(1, session="too late").error_message == CONFLICT
    assert hall.reserve(session="wants nothing").error_message == INVALID
    hall.let_run_out(hall.hold(2, session="leaves"))
    hall.connection.execute("CALL run_reservation_cleanup()")
    refused = hall.hold(3, 4, session="card is refused")
    hall.fail(hall.order(refused, session="card is refused"))
    # In the window of metric 6 of those that are over soon, and not over yet.
    hall.connection.execute(
        "UPDATE seat_reservations SET expires_at = now() + interval '100 seconds' WHERE id = %s",
        [refused.reservation_id],
    )
    hall.release(hall.hold(5, session="changes plans"), session="changes plans")
    # Somebody meddles with a seat that is sold, and the index saves the day.
    hall.connection.execute("UPDATE show_seats SET status = 'available' WHERE id = %s", hall.ids(0))
    assert hall.reserve(0, session="is lucky").error_message == CONSTRAINT
    hall.connection.execute("UPDATE show_seats SET status = 'sold' WHERE id = %s", hall.ids(0))


@pytest.fixture(scope="module")
def history(cluster: Cluster, template_database: str) -> Iterator[Database]:
    with contextmanager(throw_away_database)(cluster, template_database) as database:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            make_history(make_hall(connection))
        yield database


@contextmanager
def reading(database: Database, block: Block) -> Iterator[Connection]:
    with psycopg.connect(
        database.dsn_as(block.role), autocommit=True, row_factory=namedtuple_row
    ) as connection:
        yield connection


def answer(database: Database, block: Block) -> list[Row]:
    with reading(database, block) as connection:
        return connection.execute(block.query.encode()).fetchall()


def check(block: Block, rows: list[Row]) -> None:
    expected = EXPECTED[block.id]
    if callable(expected):
        assert expected(rows), rows
    else:
        assert rows == expected


def blocks(*, asks_pg_cron: bool) -> list[object]:
    found: list[object] = [
        pytest.param(block, id=block.id)
        for block in BLOCKS
        if block.asks_pg_cron is asks_pg_cron and block.id not in WRONG
    ]
    return found or [
        pytest.param(None, id="missing", marks=pytest.mark.skip(reason=f"there is no {GUIDE}"))
    ]


@pytest.mark.parametrize("block", blocks(asks_pg_cron=False))
def test_the_query_runs_verbatim_and_returns_what_happened(history: Database, block: Block) -> None:
    check(block, answer(history, block))


@pytest.mark.parametrize("block", blocks(asks_pg_cron=True))
def test_the_query_about_pg_cron_runs_verbatim(cron_database: Database, block: Block) -> None:
    commands.apply(cron_database.dsn, NAMES)
    check(block, answer(cron_database, block))


@pytest.mark.skipif(not BLOCKS, reason=f"there is no {GUIDE}")
@pytest.mark.parametrize("name", sorted(WRONG))
def test_the_query_that_the_contract_calls_wrong_is_wrong(
    cron_database: Database, name: str
) -> None:
    commands.apply(cron_database.dsn, NAMES)
    (block,) = (block for block in BLOCKS if block.id == name)
    with (
        psycopg.connect(cron_database.dsn) as connection,
        pytest.raises(psycopg.errors.UndefinedColumn, match='column "start_time" does not exist'),
    ):
        connection.execute(block.query.encode())


@pytest.mark.skipif(not BLOCKS, reason=f"there is no {GUIDE}")
def test_no_query_of_the_guide_is_left_out() -> None:
    assert len(BLOCKS) == GUIDE.read_text().count("```sql")
    ids = [block.id for block in BLOCKS]
    assert sorted(ids) == sorted([*EXPECTED, *WRONG])


@pytest.mark.skipif(not BLOCKS, reason=f"there is no {GUIDE}")
def test_the_queries_left_to_the_owner_are_refused_to_the_dashboards(history: Database) -> None:
    """The control: they ask for columns that say who somebody is, or they change something."""
    refused = []
    for block in BLOCKS:
        if block.role == SUPERUSER and not block.asks_pg_cron:
            with psycopg.connect(history.dsn_as(NAMES.dashboard_role)) as connection:
                try:
                    connection.execute(block.query.encode())
                except psycopg.errors.InsufficientPrivilege:
                    refused.append(block.id)
    assert refused == [
        "issue-cleanup-job-not-running-3",
        "issue-double-booking-constraint-violations",
    ]


def test_the_guide_is_read_past_fences_of_other_languages() -> None:
    first = "# A\n```yaml\n# no heading\n```\n```sql\nSELECT 1;\n```\n"
    text = first + "1. b\n   ```sql\n   SELECT 2;\n   ```\n"
    assert read_guide(text) == [Block("a", "SELECT 1;\n"), Block("a-2", "   SELECT 2;\n")]
