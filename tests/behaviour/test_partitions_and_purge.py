"""The logs are cut by month: partitions come in time, rows find theirs, and what is old goes."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import psycopg
import pytest

from tests.behaviour.conftest import (
    LOGS,
    NAMES,
    ORDER_LOG,
    RESERVATION_LOG,
    Connection,
    Hall,
    Row,
    acting_as,
    enter,
    lines,
    make_hall,
    value,
)
from tests.behaviour.plans import explained
from tests.behaviour.test_audit_log import assert_append_only, fill, partitions
from tests.conftest import Connect, Database

pytestmark = pytest.mark.this_month

MINIMAL = {
    RESERVATION_LOG: ("event_type, show_id", "'created', gen_random_uuid()"),
    ORDER_LOG: ("new_status, show_id", "'pending', gen_random_uuid()"),
    "api_request_log": ("endpoint, method, status_code, duration_ms", "'/', 'GET', 200, 1"),
}


def month(connection: Connection, offset: int) -> str:
    """The month this far from now (UTC), as partitions are named for it."""
    name: str = value(
        connection,
        "SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC')"
        " + make_interval(months => %s), 'YYYY_MM')",
        offset,
    )
    return name


def first_instant(name: str) -> str:
    return f"{name.replace('_', '-')}-01 00:00:00+00"


def drop_month(connection: Connection, log: str, offset: int) -> str:
    """Take a partition away, as if maintenance had not run for a while."""
    partition = f"{log}_p{month(connection, offset)}"
    connection.execute(f"DROP TABLE {partition}")
    return partition


def log_at(connection: Connection, log: str, time: str) -> int:
    """Write a row of this time, of a transaction long ago, and return its number."""
    columns, values = MINIMAL[log]
    number: int = value(
        connection,
        f"INSERT INTO {log} ({columns}, created_at, xact_id) VALUES ({values}, %s, '3')"
        " RETURNING id",
        time,
    )
    return number


def home_of(connection: Connection, log: str, number: int) -> str:
    """The partition in which the row is."""
    home: str = value(
        connection, f"SELECT tableoid::regclass::text FROM {log} WHERE id = %s", number
    )
    return home


def maintain(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT created_partition FROM maintain_partitions()").fetchall()
    return [row.created_partition for row in rows]


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


def warnings_of(connection: Connection) -> list[str | None]:
    """What the server warns of from now on."""
    heard: list[str | None] = []
    connection.add_notice_handler(
        lambda notice: (
            heard.append(notice.message_primary) if notice.severity == "WARNING" else None
        )
    )
    return heard


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


# purge_history


def purge(connection: Connection) -> dict[str, int]:
    # As if everything had been rolled up: what is not is kept.
    connection.execute(
        "UPDATE metric_watermarks SET watermark = pg_snapshot_xmin(pg_current_snapshot())"
    )
    return dict(connection.execute("SELECT object, rows_removed FROM purge_history()").fetchall())


def months_that_have_a_partition(connection: Connection, log: str) -> set[str]:
    names = set(partitions(connection, log)) - {f"{log}_default"}
    return {name.removeprefix(f"{log}_p") for name in names}


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Niue"])
@pytest.mark.parametrize("style", ["ISO, MDY", "SQL, DMY", "German", "Postgres, MDY"])
def test_whole_months_past_retention_are_dropped_and_nothing_else(
    connection: Connection, zone: str, style: str
) -> None:
    connection.execute(f"SET LOCAL timezone = '{zone}'")
    connection.execute(f"SET LOCAL datestyle = '{style}'")
    for log in LOGS:
        for offset in range(-6, 0):
            log_at(connection, log, first_instant(month(connection, offset)))
    maintain(connection)
    written = {month(connection, offset) for offset in range(-6, 0)}
    # By Python's calendar: months that were over when the month began in which retention ends.
    now = float(value(connection, "SELECT extract(EPOCH FROM now())"))
    retained_from = datetime.fromtimestamp(now, UTC) - timedelta(days=90)
    past = {name for name in written if name < f"{retained_from:%Y_%m}"}
    assert 2 <= len(past) <= 4  # 31 August and 30 November are 90 days after a second and a first
    removed = purge(connection)
    ahead = {month(connection, offset) for offset in range(4)}
    assert removed == {f"{log}_p{name}": 1 for log in LOGS for name in past}
    for log in LOGS:
        assert months_that_have_a_partition(connection, log) == (written - past) | ahead
        assert {
            row.month
            for row in connection.execute(
                f"SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY_MM') AS month FROM {log}"
            ).fetchall()
        } == written - past


def test_retention_is_a_setting(connection: Connection) -> None:
    log_at(connection, RESERVATION_LOG, first_instant(month(connection, -12)))
    maintain(connection)
    connection.execute("UPDATE ticketing_settings SET audit_retention_days = 400")
    assert purge(connection) == {}
    connection.execute("UPDATE ticketing_settings SET audit_retention_days = 90")
    assert purge(connection) == {f"{RESERVATION_LOG}_p{month(connection, -12)}": 1}


def test_a_month_is_kept_until_its_last_event_is_past_retention(connection: Connection) -> None:
    name = month(connection, -12)
    log_at(connection, RESERVATION_LOG, first_instant(name))
    maintain(connection)
    days = value(
        connection,
        "SELECT extract(DAY FROM now() - %s::timestamptz)::integer",
        first_instant(month(connection, -11)),
    )
    retention = "UPDATE ticketing_settings SET audit_retention_days = %s"
    connection.execute(retention, [days + 1])
    assert purge(connection) == {}
    connection.execute(retention, [days])
    assert purge(connection) == {f"{RESERVATION_LOG}_p{name}": 1}


def test_the_default_partition_is_never_purged(connection: Connection) -> None:
    log_at(connection, RESERVATION_LOG, first_instant(month(connection, -12)))
    assert purge(connection) == {}
    assert len(lines(connection, RESERVATION_LOG)) == 1


def test_old_runs_of_the_cleanup_are_purged_and_running_ones_kept(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)"
        " SELECT 'external', now() - days * interval '24 hours',"
        " CASE WHEN days <> 30 THEN now() - days * interval '24 hours' END,"
        " CASE WHEN days <> 30 THEN 'succeeded' ELSE 'running' END"
        " FROM unnest(ARRAY[1, 13, 15, 16, 30]) AS days"
    )
    assert purge(connection) == {"reservation_cleanup_runs": 2}
    ages = value(
        connection,
        "SELECT array_agg(round(extract(EPOCH FROM now() - started_at) / 86400)::integer"
        " ORDER BY id) FROM reservation_cleanup_runs",
    )
    assert ages == [1, 13, 30]


def test_the_last_run_that_did_something_is_kept_whatever_its_age(connection: Connection) -> None:
    """Or it would look as if the cleanup had never run."""
    connection.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)"
        " SELECT 'external', now() - days * interval '24 hours',"
        " now() - days * interval '24 hours',"
        " CASE WHEN days < 40 THEN 'skipped' ELSE 'succeeded' END"
        " FROM unnest(ARRAY[60, 50, 30, 1]) AS days"
    )
    assert purge(connection) == {"reservation_cleanup_runs": 1}
    health = connection.execute("SELECT * FROM cleanup_job_health").fetchall()[0]
    assert health.has_run == 1
    assert health.last_run_age_seconds == pytest.approx(50 * 86400)


def test_a_log_that_somebody_reads_keeps_its_month_and_the_others_lose_theirs(
    database: Database, connect: Connect
) -> None:
    """And sellers go on: who purges does not wait in front of them."""
    owner, seller = enter(connect()), connect()
    hall = make_hall(seller)
    for log in LOGS:
        log_at(owner, log, first_instant(month(owner, -6)))
    maintain(owner)
    months = {log: f"{log}_p{month(owner, -6)}" for log in LOGS}
    owner.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)"
        " SELECT 'external', at, at, 'succeeded' FROM unnest("
        " ARRAY[now() - interval '60 days', now()]) AS at"
    )
    heard = warnings_of(owner)
    with psycopg.connect(database.dsn) as reader:
        enter(reader).execute(f"SELECT count(*) FROM {RESERVATION_LOG}")
        owner.execute("SET statement_timeout = '5s'")
        seller.execute("SET lock_timeout = '2s'")
        removed = purge(owner)
        assert removed == {
            "reservation_cleanup_runs": 1,
            months[ORDER_LOG]: 1,
            months["api_request_log"]: 1,
        }
        assert [message for message in heard if months[RESERVATION_LOG] in (message or "")]
        assert hall.reserve(0).success
        backlog = dict(owner.execute("SELECT * FROM maintenance_backlog()").fetchall())
        assert {task for task, seconds in backlog.items() if seconds > 0} == {
            f"purge of {RESERVATION_LOG}"
        }
    assert purge(owner) == {months[RESERVATION_LOG]: 1}


# maintenance_backlog


def backlog(connection: Connection) -> dict[str, float]:
    rows = connection.execute("SELECT task, behind_seconds FROM maintenance_backlog()").fetchall()
    # Two for each log, of which there are these and another, and one for all personal data.
    assert len({row.task for row in rows}) == len(rows) == 2 * (len(LOGS) + 1) + 1
    return {task: seconds for task, seconds in rows if seconds != 0}


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


def test_a_month_past_retention_has_been_due_since_its_last_event_was(
    connection: Connection,
) -> None:
    log_at(connection, ORDER_LOG, first_instant(month(connection, -12)))
    maintain(connection)
    due = value(
        connection,
        "SELECT extract(EPOCH FROM now() - %s::timestamptz - interval '2160 hours')::float8",
        first_instant(month(connection, -11)),
    )
    assert backlog(connection) == {f"purge of {ORDER_LOG}": pytest.approx(due)}
    purge(connection)
    assert backlog(connection) == {}


def test_those_who_monitor_see_that_nothing_is_behind(connection: Connection) -> None:
    with acting_as(connection, NAMES.dashboard_role):
        asked = "SELECT value FROM alerts WHERE alert_name = 'maintenance_behind'"
        assert value(connection, asked) == 0


# personal data

PERSONAL = {
    "user_id": "user 1",
    "email": "ann@example.com",
    "user_agent": "Mozilla",
    "ip_address": ip_address("192.0.2.1"),
}


def personal(hall: Hall, hold: Row) -> dict[str, Any]:
    row = hall.reservation(hold)
    return {column: getattr(row, column) for column in PERSONAL}


def hold_by_a_person(hall: Hall, seat: int) -> Row:
    arguments = {f"p_{column}": given for column, given in PERSONAL.items()}
    return hall.hold(seat, session=f"person {seat}", **arguments)


def test_personal_columns_of_holds_are_emptied_when_they_are_past_their_retention(
    connection: Connection,
) -> None:
    hall = make_hall(connection)
    old, young, live = (hold_by_a_person(hall, n) for n in range(3))
    connection.execute("UPDATE ticketing_settings SET personal_data_retention_days = 30")
    for hold, days in ((old, 31), (young, 29)):
        hall.let_run_out(hold)
        hall.clean_up()
        connection.execute(
            "UPDATE seat_reservations SET ended_at = now() - make_interval(hours => 24 * %s)"
            " WHERE id = %s",
            [days, hold.reservation_id],
        )
    before = hall.reservation(old)
    by_hand = value(connection, "SELECT count(*) FROM change_log")
    assert backlog(connection) == {"personal data": pytest.approx(86400)}
    assert purge(connection) == {"seat_reservations": 1}
    assert personal(hall, old) == dict.fromkeys(PERSONAL)
    assert personal(hall, young) == personal(hall, live) == PERSONAL
    after = hall.reservation(old)
    assert after._replace(**PERSONAL) == before  # nothing else has changed
    assert backlog(connection) == {}
    # Nor is it written anew each day.
    assert purge(connection) == {}
    assert hall.events(old) == ["created", "expired"]
    assert value(connection, "SELECT count(*) FROM change_log") == by_hand


def test_a_providers_words_are_emptied_when_they_are_past_their_retention(
    connection: Connection,
) -> None:
    hall = make_hall(connection)
    orders = []
    for seat, days in ((0, 401), (1, 399)):
        order = hall.order(hall.hold(seat, session=f"session {seat}"), session=f"session {seat}")
        hall.fail(order, event=f"evt_{seat}")
        connection.execute(
            "UPDATE ticket_orders SET created_at = now() - make_interval(hours => 24 * %s)"
            " WHERE id = %s",
            [days, order.order_id],
        )
        orders.append(order)
    before = [hall.row("ticket_orders", order.order_id) for order in orders]
    assert before[0].error_message is not None
    assert purge(connection) == {"ticket_orders": 1}
    after = [hall.row("ticket_orders", order.order_id) for order in orders]
    assert after == [before[0]._replace(error_message=None), before[1]]
    assert purge(connection) == {}


def test_personal_data_is_purged_in_portions_from_an_index(connection: Connection) -> None:
    """The oldest first; the cost is that of the portion, however many holds there are."""
    hall = make_hall(connection, seats=1)
    connection.execute("SET LOCAL session_replication_role = replica")
    connection.execute(
        "INSERT INTO seat_reservations (show_id, session_id, email, status, expires_at,"
        " created_at, ended_at)"
        " SELECT %s, 'session ' || n, CASE WHEN n > 19000 THEN 'ann@example.com' END, 'expired',"
        " at, at, at FROM generate_series(1, 20000) AS n"
        " CROSS JOIN LATERAL (SELECT now() - interval '500 days' - n * interval '1 s' AS at) AS t",
        [hall.show_id],
    )
    connection.execute("SELECT purge_personal_data(1)")  # what a session reads of the catalog
    with explained(connection) as plans:
        (done,) = connection.execute("SELECT * FROM purge_personal_data(100)").fetchall()
    assert done == ("seat_reservations", 100)
    (plan,) = [p for p in plans if p.query.startswith("UPDATE") and "seat_res" in p.query]
    assert plan.buffers < 100 * 40  # every index of a row that is written
    assert all(node["Node Type"] != "Seq Scan" for node in plan.nodes)
    left = connection.execute(
        "SELECT count(*), max(substring(session_id FROM 9)::integer) FROM seat_reservations"
        " WHERE email IS NOT NULL"
    ).fetchall()
    assert left == [(899, 19899)]


def test_what_somebody_has_locked_keeps_no_others_personal_data(
    database: Database, connect: Connect
) -> None:
    owner = enter(connect())
    hall = make_hall(owner)
    holds = [hold_by_a_person(hall, n) for n in range(3)]
    hall.let_run_out(*holds)
    hall.clean_up()
    owner.execute("UPDATE seat_reservations SET ended_at = now() - interval '500 days'")
    with psycopg.connect(database.dsn) as somebody:
        enter(somebody).execute(
            "SELECT FROM seat_reservations WHERE id = %s FOR UPDATE", [holds[1].reservation_id]
        )
        owner.execute("SET statement_timeout = '5s'")
        assert purge(owner) == {"seat_reservations": 2}
    assert purge(owner) == {"seat_reservations": 1}


def test_tickets_and_money_are_never_purged(connection: Connection) -> None:
    hall = make_hall(connection)
    hall.sell(0)
    connection.execute(
        "UPDATE tickets SET created_at = '2001-01-01';"
        "UPDATE ticket_orders SET created_at = '2001-01-01', paid_at = '2001-01-01';"
        "UPDATE seat_reservations SET created_at = '2001-01-01', ended_at = '2001-01-01'"
    )
    assert purge(connection) == {}
    assert value(connection, "SELECT count(*) FROM tickets") == 1
