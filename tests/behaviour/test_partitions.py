"""The logs have a partition for each month: it is made in time, and rows are moved into it."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import make_hall
from tests.support.logs import (
    LOGS,
    ORDER_LOG,
    RESERVATION_LOG,
    assert_append_only,
    backlog,
    drop_month,
    fill,
    first_instant,
    home_of,
    lines,
    log_at,
    maintain,
    month,
    partitions,
)
from tests.support.names import NAMES
from tests.support.queries import Connection, acting_as, enter, value, warnings_of

pytestmark = pytest.mark.this_month


def test_there_are_partitions_from_this_month_to_three_months_ahead(connection: Connection) -> None:
    for log in LOGS:
        assert partitions(connection, log) == [
            f"{log}_default",
            *(f"{log}_p{month(connection, n)}" for n in range(4)),
        ]


def test_maintenance_with_nothing_to_do_does_nothing(connection: Connection) -> None:
    before = connection.execute("SELECT oid, relname FROM pg_class ORDER BY oid").fetchall()
    assert maintain(connection) == []
    assert before == connection.execute("SELECT oid, relname FROM pg_class ORDER BY oid").fetchall()


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Niue"])
def test_a_month_begins_at_midnight_utc_whatever_the_session_thinks(
    connection: Connection, zone: str
) -> None:
    connection.execute(f"SET LOCAL timezone = '{zone}'")
    connection.execute("SET LOCAL datestyle = 'SQL, DMY'")
    missing = drop_month(connection, RESERVATION_LOG, 2)
    assert maintain(connection) == [missing]
    begin = first_instant(month(connection, 2))
    inside = log_at(connection, RESERVATION_LOG, begin)
    just_before = value(connection, "SELECT (%s::timestamptz - interval '1 us')::text", begin)
    outside = log_at(connection, RESERVATION_LOG, just_before)
    assert home_of(connection, RESERVATION_LOG, inside) == missing
    assert (
        home_of(connection, RESERVATION_LOG, outside)
        == f"{RESERVATION_LOG}_p{month(connection, 1)}"
    )


@pytest.mark.parametrize("log", LOGS)
def test_partitions_that_maintenance_makes_are_protected_like_the_first(
    connection: Connection, log: str
) -> None:
    missing = drop_month(connection, log, 3)
    default = f"{log}_default"
    stray = log_at(connection, log, first_instant(month(connection, -2)))
    assert sorted(maintain(connection)) == sorted([missing, f"{log}_p{month(connection, -2)}"])
    assert home_of(connection, log, stray) != default
    fill(connection)
    connection.execute("SET LOCAL session_replication_role = replica")
    assert_append_only(connection, log)


def test_partitions_that_maintenance_makes_say_what_they_are(connection: Connection) -> None:
    for log in LOGS:
        missing = drop_month(connection, log, 3)
        log_at(connection, log, first_instant(month(connection, -2)))
        maintain(connection)
        for table in (missing, f"{log}_default"):
            comment = value(connection, "SELECT obj_description(%s::regclass, 'pg_class')", table)
            assert log in comment


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("offset", [-27, -1, 2], ids=["long ago", "last month", "next but one"])
def test_rows_in_the_default_partition_move_when_their_month_gets_one(
    connection: Connection, log: str, offset: int
) -> None:
    if offset > 0:
        drop_month(connection, log, offset)
    name = month(connection, offset)
    moment = first_instant(name)
    number = log_at(connection, log, moment)
    assert home_of(connection, log, number) == f"{log}_default"
    before = lines(connection, log)

    assert maintain(connection) == [f"{log}_p{name}"]
    assert home_of(connection, log, number) == f"{log}_p{name}"
    # Number, transaction and all the rest are what they were.
    assert lines(connection, log) == before
    assert value(connection, f"SELECT count(*) FROM {log}_default") == 0


@pytest.mark.parametrize("log", LOGS)
def test_rows_beyond_the_horizon_stay_while_others_move(connection: Connection, log: str) -> None:
    far = log_at(connection, log, first_instant(month(connection, 4)))
    old = log_at(connection, log, first_instant(month(connection, -1)))
    before = lines(connection, log)
    maintain(connection)
    assert home_of(connection, log, far) == f"{log}_default"
    assert home_of(connection, log, old) != f"{log}_default"
    assert lines(connection, log) == before
    assert partitions(connection, log) == [
        f"{log}_default",
        *(f"{log}_p{month(connection, n)}" for n in range(-1, 4)),
    ]


def test_a_row_beyond_the_horizon_alone_is_no_work(connection: Connection) -> None:
    log_at(connection, RESERVATION_LOG, first_instant(month(connection, 4)))
    default = "SELECT %s::regclass::oid"
    before = value(connection, default, f"{RESERVATION_LOG}_default")
    assert maintain(connection) == []
    assert value(connection, default, f"{RESERVATION_LOG}_default") == before


def test_numbers_go_on_where_they_were_after_rows_have_moved(connection: Connection) -> None:
    stray = log_at(connection, RESERVATION_LOG, first_instant(month(connection, -1)))
    maintain(connection)
    assert log_at(connection, RESERVATION_LOG, first_instant(month(connection, 0))) == stray + 1


def test_rows_that_moved_keep_the_transaction_that_wrote_them(connect: Connect) -> None:
    connection = enter(connect())
    log_at(connection, RESERVATION_LOG, first_instant(month(connection, -1)))
    (written,) = lines(connection, RESERVATION_LOG)
    maintain(connection)
    (moved,) = lines(connection, RESERVATION_LOG)
    assert moved == written
    assert moved.xact_id == "3"


def test_a_missing_default_partition_is_made_anew(connection: Connection) -> None:
    connection.execute(f"DROP TABLE {ORDER_LOG}_default")
    assert maintain(connection) == [f"{ORDER_LOG}_default"]
    log_at(connection, ORDER_LOG, first_instant(month(connection, 9)))


def test_an_event_is_not_lost_where_no_month_has_a_partition(connection: Connection) -> None:
    for offset in range(4):
        drop_month(connection, RESERVATION_LOG, offset)
    hall = make_hall(connection)
    hall.hold(0)
    (line,) = hall.log()
    assert home_of(connection, RESERVATION_LOG, line.id) == f"{RESERVATION_LOG}_default"
    maintain(connection)
    assert hall.log() == [line]
    assert home_of(connection, RESERVATION_LOG, line.id) != f"{RESERVATION_LOG}_default"


@pytest.fixture
def maintaining(database: Database) -> Iterator[Connection]:
    """A session that has just made next month's but one partitions, and has not committed."""
    with closing(psycopg.connect(database.dsn)) as session:
        enter(session)
        missing = [drop_month(session, log, 2) for log in LOGS]
        session.commit()
        assert maintain(session) == missing
        yield session
        session.rollback()


def test_maintenance_locks_no_log_against_its_writers(maintaining: Connection) -> None:
    held: list[Any] = maintaining.execute(
        "SELECT relation::regclass::text AS relation, mode FROM pg_locks"
        " WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted"
    ).fetchall()
    # What an INSERT, whose lock is ROW EXCLUSIVE, would have to wait for.
    exclusive = {
        row.relation
        for row in held
        if row.mode
        in ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
    }
    for log in LOGS:
        assert log not in exclusive
        assert not {f"{log}_p{month(maintaining, n)}" for n in (0, 1, 3)} & exclusive
        # The negative control: this is how a lock that is held would show.
        assert f"{log}_p{month(maintaining, 2)}" in exclusive


def test_sales_go_on_while_maintenance_is_at_work(
    maintaining: Connection, connect: Connect
) -> None:
    seller = connect()
    seller.execute("SET lock_timeout = '5s'")
    hall = make_hall(seller)
    order = hall.sell(0)
    hall.refund(order)
    assert hall.reserve(0, session="ben").success
    assert hall.reserve(0, session="cleo").error_code == "SEATS_UNAVAILABLE"
    hall.call(
        "log_api_request", p_endpoint="/", p_method="GET", p_status_code=200, p_duration_ms=1.0
    )
    assert maintaining.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS


def test_maintenance_leaves_only_the_log_that_somebody_reads_for_the_next_time(
    database: Database, connect: Connect
) -> None:
    """Behind a reader it does not wait for more than a moment, nor do the sellers behind it."""
    connection = enter(connect())
    missing = [drop_month(connection, log, 2) for log in LOGS]
    heard = warnings_of(connection)
    with psycopg.connect(database.dsn) as reader:
        enter(reader).execute(f"SELECT count(*) FROM {RESERVATION_LOG}")
        connection.execute("SET statement_timeout = '5s'")
        assert maintain(connection) == missing[1:]
        assert len(heard) == 1
        assert f"partitions of {RESERVATION_LOG} are left for the next time" in (heard[0] or "")
    assert maintain(connection) == missing[:1]


def locks_of_tables_wait(connection: Connection, function: str) -> int:
    """How long the function waits for the lock of a table, in milliseconds, by what it sets."""
    body, settings = connection.execute(
        "SELECT prosrc, proconfig FROM pg_proc WHERE oid = %s::regproc", [function]
    ).fetchall()[0]
    within = re.findall(r"set_config\('lock_timeout', '(\d+)ms', true\)", body)
    outside = [found[1] for s in settings if (found := re.fullmatch(r"lock_timeout=(\d+)ms", s))]
    return int((within or outside)[0])


@pytest.mark.parametrize("function", ["maintain_partitions", "purge_history"])
def test_those_who_lock_a_log_give_up_at_once(connection: Connection, function: str) -> None:
    """Sellers would queue behind them."""
    assert locks_of_tables_wait(connection, function) <= 100


# maintenance_backlog


def test_nothing_is_behind_in_a_new_house(connection: Connection) -> None:
    assert backlog(connection) == {}


@pytest.mark.parametrize("missing", [1, 3])
def test_a_missing_month_has_been_due_since_the_month_three_before_it_came(
    connection: Connection, missing: int
) -> None:
    for offset in range(4 - missing, 4):
        drop_month(connection, ORDER_LOG, offset)
    since = value(
        connection,
        "SELECT extract(EPOCH FROM now() - %s::timestamptz)::float8",
        first_instant(month(connection, 1 - missing)),
    )
    assert backlog(connection) == {f"partitions of {ORDER_LOG}": pytest.approx(since)}
    maintain(connection)
    assert backlog(connection) == {}


def test_those_who_monitor_see_that_nothing_is_behind(connection: Connection) -> None:
    with acting_as(connection, NAMES.dashboard_role):
        asked = "SELECT value FROM alerts WHERE alert_name = 'maintenance_behind'"
        assert value(connection, asked) == 0
