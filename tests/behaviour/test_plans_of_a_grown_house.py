"""Nothing costs more because a house is old: every view and every public function, after a year.

They are listed by the catalog, so that a new one has to be tried here. Counted, not timed: buffers,
and rows that pass through the plans. A reader whose cost grows with the history fails.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support.counter import Counter
from tests.support.databases import Database, throw_away_database
from tests.support.grown import Size, make_grown_template
from tests.support.hall import Hall, make_hall
from tests.support.happenings import Holds, Refunds, Run, write
from tests.support.money import cancel, dispute, return_money, ticket_ids
from tests.support.names import NAMES, OURS
from tests.support.plans import explained, rows_looked_at
from tests.support.privileges import FOR_ANYBODY
from tests.support.queries import Connection, enter, rolled_back, value, views
from ticketdb.private_server import Cluster

LIVE_HOLDS = 50

# What a view may take: the rows of a day's minutes for each of its windows, and each live hold.
MOST_BUFFERS = 300
MOST_ROWS = 6_000
# Those that put others together, and those that go through the minutes or runs of a day in several
# steps, each of which counts.
RUNS_OF_A_DAY = (MOST_BUFFERS, 20_000)
MORE = {
    "alerts": (900, 80_000),
    "health": (1000, 100_000),
    "realtime_dashboard": (450, 30_000),
    "quality_dashboard": (MOST_BUFFERS, 10_000),
    "system_health": RUNS_OF_A_DAY,
    "cleanup_job_health": RUNS_OF_A_DAY,
    "cleanup_job_state": RUNS_OF_A_DAY,
    "cleanup_run_totals": RUNS_OF_A_DAY,
    "hourly_metrics": (MOST_BUFFERS, 15_000),
    "extension_trends": (MOST_BUFFERS, 15_000),
    "extension_metrics": (MOST_BUFFERS, 15_000),
}
# What depends on how much there is, and why.
READS_EVERYTHING = {
    "check_invariants",  # so that no view has to
    "erase_customer",  # a person may be anywhere in the logs
    # As much as there is to do: all of a show, and all payments of a time.
    "cancel_show",
    "cancel_show_portion",
    "reconcile_payments",
}

DAY = "now() - interval '24 hours'"
# Arguments that lead to a row, at the end of an index.
LAST_SHOW = "(SELECT id FROM shows ORDER BY id DESC LIMIT 1)"
LAST_HOLD = "(SELECT {} FROM seat_reservations ORDER BY id DESC LIMIT 1)"
LAST_ORDER = "(SELECT {} FROM ticket_orders ORDER BY id DESC LIMIT 1)"
OF_LAST_ORDER = f"{LAST_ORDER.format('show_id')}, {LAST_ORDER.format('id')}"
# How each function of ours that somebody else than ourselves may call is called by those who do, or
# that a job or a DBA calls. Those that sell are tried as a sale, below.
READERS = {
    "active_reservation_totals": "",
    "api_durations": DAY,
    "api_metrics": DAY,
    "cleanup_job_problem": "",
    "cleanup_job_state": "",
    "cleanup_run_totals": DAY,
    "connections_by_state": "",
    "due_refunds": "",
    "duration_bucket_growth": "",
    "endpoint_limit": "",
    "error_metrics": f"{DAY}, 10",
    "extension_metrics": "7",
    "find_orders": f"NULL, {LAST_ORDER.format('payment_intent_id')}",
    "get_order": OF_LAST_ORDER,
    "get_reservation": ", ".join(
        LAST_HOLD.format(column) for column in ("reservation_token", "session_id")
    ),
    "get_seat_map": LAST_SHOW,
    # The lines of this log are in no order of time, so that each earlier moment reads all of it.
    "get_seat_map_at": f"{LAST_SHOW}, now()",
    "get_session_reservations": LAST_HOLD.format("session_id"),
    "get_tickets": OF_LAST_ORDER,
    "get_refunds": OF_LAST_ORDER,
    "get_reservation_statistics": "",
    "is_restored_log": "'seat_reservation_audit_log'",
    "lock_wait_totals": "",
    "log_partitions": "",
    "maintenance_backlog": "",
    "open_transactions": "",
    "order_metrics": DAY,
    "overdue_hold_totals": "",
    "partial_refunds": DAY,
    "reservation_cleanup_job_runs": "",
    "reservation_metrics": DAY,
    "rollup_state": "",
    "window_start": "interval '1 hour'",
}
WORKERS = {
    "cleanup_expired_seat_reservations": "",
    "log_api_request": "'/seats', 'GET', 200, 12",
    "maintain_partitions": "",
    "purge_history": "",
    "roll_up_metrics": "",
}
SELLERS = {
    "block_seats",
    "check_in_ticket",
    "confirm_payment",
    "create_ticket_order",
    "extend_reservation",
    "fail_payment",
    "issue_tickets",
    "move_tickets",
    "refund_order",
    "release_reservation",
    "reserve_seats",
    "reserve_best_seats",
    "add_seats",
    "price_seats",
    "move_reservation",
    "unblock_seats",
    "cancel_tickets",
    "record_refund",
    "record_dispute",
}
MOST_BUFFERS_OF_A_SALE = 600
# Beyond what there is to do, each looks whether there is anything: into every month of the logs.
MOST_BUFFERS_OF_A_WORKER = 1_500


@dataclass(frozen=True)
class Cost:
    """What a statement took, with all that was run within it."""

    buffers: int
    rows: int


def cost(connection: Connection, statement: str) -> Cost:
    connection.execute(statement.encode())  # the first call of a session makes plans
    with explained(connection) as plans:
        connection.execute(statement.encode())
    return Cost(
        buffers=plans[-1].buffers,
        rows=sum(rows_looked_at(node) for plan in plans for node in plan.nodes),
    )


@pytest.fixture(scope="module")
def grown(cluster: Cluster, template_database: str) -> Iterator[Database]:
    template = make_grown_template(cluster, template_database)
    with contextmanager(throw_away_database)(cluster, template) as database:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            write(enter(connection), Holds(LIVE_HOLDS), Refunds(3), Run())
        yield database


@pytest.fixture
def house(grown: Database) -> Iterator[Connection]:
    """The owner of the grown house, in a transaction that is rolled back."""
    with rolled_back(grown.dsn) as connection:
        yield connection


def too_costly(
    connection: Connection, questions: dict[str, str], most: Callable[[str], tuple[int, int]]
) -> dict[str, Cost]:
    found = {name: cost(connection, statement) for name, statement in questions.items()}
    return {
        name: one
        for name, one in found.items()
        if one.buffers > most(name)[0] or one.rows > most(name)[1]
    }


def most_of_a_view(name: str) -> tuple[int, int]:
    return MORE.get(name, (MOST_BUFFERS, MOST_ROWS))


def test_the_house_is_old(house: Connection) -> None:
    for table, at_least in (
        ("seat_reservations", Size.wanted().reservations),
        ("seat_reservation_audit_log", 2 * Size.wanted().reservations),
        ("ticket_orders", Size.wanted().reservations // 2),
        ("payment_events", Size.wanted().reservations // 2),
        ("refunds", Size.wanted().reservations // 2),
        ("shows", 365),
        ("reservation_cleanup_runs", 14 * 24 * 60),
    ):
        assert value(house, f"SELECT count(*) FROM {table}") >= at_least


def test_no_view_costs_more_because_the_house_is_old(house: Connection) -> None:
    """Nor does the view of the guide, which stands with the tables."""
    names = [*views(house), "reservation_cleanup_job_status"]
    questions = {name: f"SELECT * FROM {name}" for name in names}
    assert too_costly(house, questions, most_of_a_view) == {}


def test_no_function_that_reads_costs_more_because_the_house_is_old(house: Connection) -> None:
    questions = {name: f"SELECT * FROM {name}({arguments})" for name, arguments in READERS.items()}
    assert too_costly(house, questions, most_of_a_view) == {}


def test_no_job_costs_more_because_the_house_is_old(grown: Database) -> None:
    """Where there is next to nothing to do."""
    with closing(
        psycopg.connect(grown.dsn, autocommit=True, row_factory=namedtuple_row)
    ) as connection:
        enter(connection)
        questions = {
            name: f"SELECT * FROM {name}({arguments})" for name, arguments in WORKERS.items()
        } | {"run_reservation_cleanup": "CALL run_reservation_cleanup()"}
        assert too_costly(connection, questions, lambda _: (MOST_BUFFERS_OF_A_WORKER, 50_000)) == {}


def test_no_sale_costs_more_because_the_house_is_old(house: Connection) -> None:
    hall = make_hall(house, seats=60)
    sell(hall, 0)
    with explained(house) as plans:
        sell(hall, 30)
    called = {name for name in SELLERS if any(f'"{name}"' in plan.query for plan in plans)}
    assert called == SELLERS
    calls = [plan for plan in plans if any(f'"{name}"' in plan.query for name in SELLERS)]
    assert [
        (plan.buffers, plan.query) for plan in calls if plan.buffers > MOST_BUFFERS_OF_A_SALE
    ] == []
    assert sum(rows_looked_at(node) for plan in plans for node in plan.nodes) < 5_000


def sell(hall: Hall, first: int) -> None:
    """Every function that sells, once."""
    hall.refund(hall.sell(first, first + 1, session=f"buys {first}"))
    hold = hall.hold(first + 2, session=f"changes plans {first}")
    hall.extend(hold, session=f"changes plans {first}")
    order = hall.order(hold, f"changes plans {first}")
    hall.fail(order, event=f"evt_fails_{first}")
    assert hall.add(hold, first + 3, session=f"changes plans {first}").success
    assert hall.price(hold, {first + 3: 1}, session=f"changes plans {first}").success
    assert hall.move(hold, f"logs in {first}", session=f"changes plans {first}").success
    assert hall.release(hold, session=f"logs in {first}").success
    best = hall.reserve_best(2, session=f"changes plans {first}")
    assert hall.release(best, session=f"changes plans {first}").success
    Counter(hall).serve(first + 10)
    order = hall.sell(first + 14, first + 15, session=f"is refunded {first}")
    cancelled = cancel(hall, ticket_ids(hall, order)[:1])
    assert return_money(hall, cancelled.refund_ids[0], f"re_{first}").success
    rest = order.total_amount_in_cents - cancelled.amount_in_cents
    assert dispute(hall, order, rest, f"dp_{first}").success
    hall.connection.execute("SELECT")  # the plan of a statement comes with the end of its portal


def public_functions(connection: Connection) -> set[str]:
    """What a role of ours may call, and what a job calls."""
    rows = connection.execute(
        """
        SELECT DISTINCT proname AS name
        FROM pg_proc
        WHERE pronamespace = ANY(%s::regnamespace[])
            AND prorettype <> 'trigger'::regtype
            AND (
                EXISTS (
                    SELECT FROM unnest(ARRAY[%s, %s, %s]) AS roles (name)
                    WHERE has_function_privilege(roles.name, pg_proc.oid, 'EXECUTE')
                )
                OR proname IN (SELECT routine FROM scheduled_jobs())
            )
        """,
        [
            OURS,
            NAMES.app_role,
            NAMES.box_office_role,
            NAMES.monitor_role,
        ],
    ).fetchall()
    return {row.name for row in rows}


def test_every_public_function_is_tried(house: Connection) -> None:
    tried = {*READERS, *WORKERS, *SELLERS, "run_reservation_cleanup"}
    assert public_functions(house) - tried - READS_EVERYTHING == FOR_ANYBODY
    assert tried <= public_functions(house) | {"cleanup_expired_seat_reservations"}


# Controls


@pytest.mark.parametrize(
    "reader",
    [
        "SELECT count(*)::bigint AS figures FROM seat_reservations WHERE email = 'x'",
        "SELECT max(ended_at) AS time FROM seat_reservations",
        "SELECT count(*)::bigint AS figures FROM reservation_cleanup_runs WHERE status = 'failed'",
        "SELECT count(*)::bigint AS figures FROM tickets WHERE status = 'cancelled'",
    ],
)
def test_a_view_that_reads_the_history_is_found_out(house: Connection, reader: str) -> None:
    house.execute(f'CREATE VIEW "{NAMES.monitoring_schema}".careless AS {reader}'.encode())
    assert "careless" in views(house)
    questions = {"careless": "SELECT * FROM careless"}
    assert too_costly(house, questions, most_of_a_view).keys() == {"careless"}


def test_a_function_that_reads_the_history_is_found_out(house: Connection) -> None:
    house.execute(
        "CREATE FUNCTION careless() RETURNS bigint LANGUAGE plpgsql STABLE AS"
        " 'BEGIN RETURN (SELECT count(*) FROM reservation_cleanup_runs); END'"
    )
    questions = {"careless": "SELECT careless()"}
    assert too_costly(house, questions, most_of_a_view).keys() == {"careless"}
