"""Sessions that block each other: the view lock_waits, its alerts, and what health says."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support.clock import clocked_database, set_clock
from tests.support.databases import Database
from tests.support.happenings import Run, write
from tests.support.logs import ORDER_LOG
from tests.support.names import NAMES, OURS, quoted
from tests.support.queries import Connection, Row, acting_as, enter, one, value
from tests.support.rollups import roll_up_all
from tests.support.waiting import await_true
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster, private_cluster

INSTANT = timedelta(microseconds=1)
NAME_OF_NOBODY = "ticketdb_test_nobody"


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Cluster]:
    """A server without other tests' transactions, which takes prepared ones."""
    with private_cluster(cluster.binaries, settings={"max_prepared_transactions": "5"}) as own:
        own.create_database("house")
        commands.apply(own.dsn("house"), NAMES)
        yield own


@pytest.fixture(scope="module")
def house(server: Cluster) -> Iterator[Database]:
    """A database whose views read a clock that a test sets."""
    with clocked_database(server, "house") as database:
        yield database


@contextmanager
def session(house: Database, user: str | None = None) -> Iterator[Connection]:
    dsn = house.dsn_as(user) if user else house.dsn
    with closing(psycopg.connect(dsn, autocommit=True, row_factory=namedtuple_row)) as connection:
        yield enter(connection)


@pytest.fixture
def watcher(house: Database) -> Iterator[Connection]:
    with session(house) as connection:
        set_clock(connection, value(connection, "SELECT clock_timestamp()"))
        connection.execute("TRUNCATE reservation_cleanup_runs")
        connection.execute("SELECT check_invariants()")
        roll_up_all(connection)
        yield connection


@contextmanager
def waiting(house: Database, watcher: Connection) -> Iterator[datetime]:
    """A session waits for the row that another has locked. Gives the moment it began to."""
    with session(house) as holder, session(house) as buyer, ThreadPoolExecutor() as pool:
        with holder.transaction():
            holder.execute("SELECT FROM ticketing_settings FOR UPDATE")
            running = pool.submit(buyer.execute, "SELECT FROM ticketing_settings FOR UPDATE")
            since = "SELECT waitstart FROM pg_locks WHERE pid = %s AND NOT granted"
            await_true(
                watcher,
                f"SELECT count(*) = 1 FROM ({since}) AS w WHERE waitstart IS NOT NULL",
                [buyer.info.backend_pid],
            )
            yield value(watcher, since, buyer.info.backend_pid)
        running.result()


def alert(watcher: Connection, name: str, now: datetime) -> tuple[float, int]:
    set_clock(watcher, now)
    found = one(watcher, "SELECT value, firing FROM alerts WHERE alert_name = %s", name)
    return found.value, found.firing


def check(watcher: Connection, name: str) -> Row:
    return one(watcher, "SELECT * FROM health WHERE check_name = %s", name)


def test_nobody_waits_and_nothing_is_open(watcher: Connection) -> None:
    assert one(watcher, "SELECT * FROM lock_waits") == (0, 0, 0, 0, 0, 0, 0, 0)
    for name in ("locks", "transactions"):
        assert check(watcher, name).status == "OK"


def test_a_session_that_waits_for_thirty_seconds_fires_until_it_waits_no_more(
    house: Database, watcher: Connection
) -> None:
    with waiting(house, watcher) as began:
        limit = began + timedelta(seconds=30)
        assert alert(watcher, "lock_waits", limit) == (30, 0)
        assert check(watcher, "locks").status == "OK"
        assert alert(watcher, "lock_waits", limit + INSTANT)[1] == 1
        found = check(watcher, "locks")
        assert (found.status, found.unit) == ("WARNING", "s")
        assert found.value == pytest.approx(30)
        waits = one(watcher, "SELECT * FROM lock_waits")
        assert (waits.waiting_sessions, waits.open_transactions) == (1, 2)
    assert alert(watcher, "lock_waits", limit + INSTANT) == (0, 0)
    assert check(watcher, "locks").status == "OK"


def test_those_who_monitor_see_who_waits_without_seeing_anybodys_statement(
    house: Database, watcher: Connection
) -> None:
    with waiting(house, watcher) as began:
        set_clock(watcher, began + timedelta(hours=1))
        with acting_as(watcher, NAMES.dashboard_role):
            assert one(watcher, "SELECT * FROM lock_waits").waiting_sessions == 1
            text = str(watcher.execute("SELECT * FROM health").fetchall())
        assert "FOR UPDATE" not in text


def test_a_session_of_another_database_is_not_ours_to_report(
    server: Cluster, watcher: Connection
) -> None:
    with closing(psycopg.connect(server.dsn("postgres"))) as elsewhere:
        elsewhere.execute("SELECT 1")
        later = value(watcher, "SELECT clock_timestamp() + interval '1 day'")
        assert alert(watcher, "long_transaction", later) == (0, 0)


def test_a_transaction_that_is_left_open_fires_after_a_quarter_of_an_hour_and_is_named(
    house: Database, watcher: Connection
) -> None:
    with session(house, NAMES.datadog_role) as idler, idler.transaction():
        began = value(idler, "SELECT now()")
        idler.execute("SELECT 'somebody@example.org'")
        limit = began + timedelta(minutes=15)
        assert alert(watcher, "long_transaction", limit) == (900, 0)
        assert alert(watcher, "long_transaction", limit + INSTANT)[1] == 1
        found = check(watcher, "transactions")
        assert found.status == "WARNING"
        assert found.message == (
            "a transaction has been open for too long:"
            f" idle in transaction of role {NAMES.datadog_role}"
        )
        waits = one(watcher, "SELECT * FROM lock_waits")
        assert (waits.idle_in_transaction, waits.prepared_transactions) == (1, 0)
        assert waits.longest_idle_seconds <= waits.oldest_transaction_seconds
        # The message is the same an hour later: the number has a column of its own.
        set_clock(watcher, limit + timedelta(hours=1))
        later = check(watcher, "transactions")
        assert later.message == found.message
        assert later.value == pytest.approx(found.value + 3600)
    assert alert(watcher, "long_transaction", limit + INSTANT) == (0, 0)


def test_a_prepared_transaction_that_nobody_ends_is_a_transaction_that_is_open(
    house: Database, watcher: Connection
) -> None:
    with session(house) as coordinator:
        coordinator.execute("BEGIN")
        coordinator.execute("UPDATE ticketing_settings SET hold_minutes = hold_minutes")
        coordinator.execute("PREPARE TRANSACTION 'forgotten'")
    try:
        prepared = value(watcher, "SELECT prepared FROM pg_prepared_xacts")
        later = prepared + timedelta(minutes=15) + INSTANT
        assert alert(watcher, "long_transaction", later)[1] == 1
        waits = one(watcher, "SELECT * FROM lock_waits")
        assert (waits.prepared_transactions, waits.idle_in_transaction) == (1, 0)
        assert waits.oldest_prepared_seconds == pytest.approx(900)
        assert "prepared of role" in check(watcher, "transactions").message
    finally:
        watcher.execute("ROLLBACK PREPARED 'forgotten'")
    assert alert(watcher, "long_transaction", later) == (0, 0)


@pytest.mark.parametrize("kind", ["idle in transaction", "prepared", "of another database"])
def test_a_transaction_that_holds_back_the_rollup_is_named_by_role_and_kind(
    house: Database, server: Cluster, watcher: Connection, kind: str
) -> None:
    dsn = server.dsn("postgres") if kind == "of another database" else house.dsn
    with ExitStack() as stack:
        holder = stack.enter_context(closing(psycopg.connect(dsn)))
        holder.execute("SELECT pg_current_xact_id()")
        if kind == "prepared":
            holder.execute("PREPARE TRANSACTION 'forgotten'")
            stack.callback(watcher.execute, "ROLLBACK PREPARED 'forgotten'")
        began = value(watcher, "SELECT clock_timestamp()")
        watcher.execute(
            f"INSERT INTO {ORDER_LOG} (show_id, order_id, new_status)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), 'pending')"
        )
        late = began + timedelta(minutes=5, seconds=1)
        # It runs, and gets nowhere.
        set_clock(watcher, late)
        watcher.execute("SELECT roll_up_metrics()")
        watcher.execute("UPDATE metric_watermarks SET rolled_up_at = %s", [late])
        assert alert(watcher, "rollup_late", late)[1] == 1
        found = check(watcher, "rollup")
        assert (found.status, found.unit) == ("WARNING", "s")
        state = "prepared" if kind == "prepared" else "idle in transaction"
        assert found.message == (
            f"{ORDER_LOG} is held back by a transaction, {state} of role postgres: end it"
        )
    roll_up_all(watcher)
    assert alert(watcher, "rollup_late", value(watcher, "SELECT clock_timestamp()"))[1] == 0
    assert check(watcher, "rollup").status == "OK"


def test_a_rollup_that_does_not_run_fires_to_the_second(watcher: Connection) -> None:
    ran = value(watcher, "SELECT min(rolled_up_at) FROM metric_watermarks")
    limit = ran + timedelta(minutes=5)
    assert alert(watcher, "rollup_late", limit) == (300, 0)
    assert alert(watcher, "rollup_late", limit + INSTANT)[1] == 1
    set_clock(watcher, ran + timedelta(minutes=15) + INSTANT)
    assert check(watcher, "rollup").status == "CRITICAL"


def test_maintenance_that_is_behind_fires_and_is_named(watcher: Connection) -> None:
    """What is behind is known by maintenance_backlog(), which has tests of its own."""
    write(watcher, Run())
    with watcher.transaction(force_rollback=True):
        watcher.execute(
            f"CREATE OR REPLACE FUNCTION {OURS[2]}.maintenance_backlog()"
            " RETURNS TABLE (task text, behind_seconds double precision) LANGUAGE sql STABLE"
            " AS $$ VALUES ('purge of x', current_setting('test.behind')::float8),"
            " ('partitions of x', 0) $$"
        )
        now = value(watcher, "SELECT clock_timestamp()")
        for behind, fires in ((172800, 0), (172801, 1)):
            watcher.execute("SELECT set_config('test.behind', %s, true)", [str(behind)])
            assert alert(watcher, "maintenance_behind", now) == (behind, fires)
        found = check(watcher, "partitions")
        assert (found.status, found.message) == ("WARNING", "behind: purge of x")


def test_an_owner_who_may_not_see_other_sessions_says_so(house: Database) -> None:
    with session(house) as connection, connection.transaction(force_rollback=True):
        set_clock(connection, value(connection, "SELECT clock_timestamp()"))
        connection.execute(f"CREATE ROLE {NAME_OF_NOBODY}")
        connection.execute(f"GRANT USAGE ON SCHEMA {quoted(NAMES.schema)} TO {NAME_OF_NOBODY}")
        for function in ("open_transactions", "connections_by_state"):
            connection.execute(f"ALTER FUNCTION {function}() OWNER TO {NAME_OF_NOBODY}")
        with session(house) as another, another.transaction():
            another.execute("SELECT 1")
            found = check(connection, "transactions")
            assert found.message == (
                "transactions of other roles are hidden: grant the owner pg_read_all_stats"
            )
