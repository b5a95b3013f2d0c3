"""The view health: every check, in every status that it can have, and what brings it there."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support.databases import CRON_DATABASE, Connect, Database, skip_without
from tests.support.hall import Hall
from tests.support.happenings import CONSTRAINT, Events, Run, write
from tests.support.logs import (
    LOGS,
    ORDER_LOG,
    RESERVATION_LOG,
    drop_month,
    first_instant,
    log_at,
    month,
)
from tests.support.names import NAMES
from tests.support.queries import Connection, Row, acting_as, enter, one, value
from tests.support.rollups import roll_up_all
from tests.support.waiting import await_true
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster, private_cluster

CHECKS = ["alerts", "cleanup", "connections", "invariants", "locks", "partitions", "refunds"]
CHECKS += ["rollup", "transactions"]
SEVERITY = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}

# The order of the day: sales, and a cleanup that runs.
SALES = Events("created", 40)


def checks(connection: Connection) -> dict[str, Row]:
    """What health says, by check. Whatever is wrong, all checks are there."""
    rows = connection.execute("SELECT * FROM health ORDER BY check_name").fetchall()
    assert [row.check_name for row in rows] == CHECKS
    for row in rows:
        assert row.severity == SEVERITY[row.status]
        assert row.message
        # As a label it must have few values: numbers have a column of their own.
        assert not re.search(r"\d", row.message.replace("24h", "")), row.message
        assert row.unit in ("", "s", "%")
    return {row.check_name: row for row in rows}


def status(connection: Connection, check: str) -> str:
    found: str = checks(connection)[check].status
    return found


def statuses(connection: Connection) -> dict[str, str]:
    """Those checks that are not OK."""
    found = checks(connection).values()
    return {row.check_name: row.status for row in found if row.status != "OK"}


@pytest.fixture
def well(connection: Connection) -> Connection:
    """A house in which everything is in order, and which has been there for more than a month."""
    for log in LOGS:
        connection.execute(
            "SELECT create_log_partition(%s,"
            " (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month')::date)",
            [log],
        )
    connection.execute("UPDATE metric_watermarks SET rolled_up_at = now(), advanced_at = now()")
    connection.execute("SELECT check_invariants()")
    write(connection, SALES, Run())
    return connection


def test_all_is_well(well: Connection) -> None:
    found = checks(well)
    assert {row.status for row in found.values()} == {"OK"}
    assert found["alerts"].message == "no alert fires"
    assert found["cleanup"].message == "the last run, by external, succeeded"
    assert (found["cleanup"].value, found["cleanup"].unit) == (60, "s")


def test_a_new_house_says_what_it_is_waiting_for(connection: Connection) -> None:
    connection.execute("UPDATE metric_watermarks SET rolled_up_at = now(), advanced_at = now()")
    connection.execute("UPDATE last_invariant_check SET checked_at = now()")
    assert statuses(connection) == {"alerts": "CRITICAL", "cleanup": "CRITICAL"}
    assert checks(connection)["cleanup"].message == "the cleanup has never run: schedule it"


@pytest.mark.parametrize("role", [NAMES.monitor_role, NAMES.dashboard_role, NAMES.datadog_role])
def test_those_who_monitor_see_the_same(well: Connection, role: str) -> None:
    write(well, Events("failed", message=CONSTRAINT))
    before = checks(well)
    with acting_as(well, role):
        assert checks(well) == before


# alerts


def test_a_warning_makes_alerts_a_warning(well: Connection) -> None:
    write(well, Events("failed", minutes_ago=30, message=CONSTRAINT))
    assert statuses(well) == {"alerts": "WARNING"}
    message = checks(well)["alerts"].message
    assert message.startswith("double_booking_attempts fires: A constraint of the database")
    assert checks(well)["alerts"].value == 1


def test_a_critical_alert_makes_alerts_critical_and_hides_the_warnings(well: Connection) -> None:
    write(well, Events("failed", message=CONSTRAINT))
    assert statuses(well) == {"alerts": "CRITICAL"}
    message = checks(well)["alerts"].message
    assert "constraint_violation fires" in message
    assert "double_booking_attempts" not in message


def test_what_is_for_the_daily_review_wakes_nobody(well: Connection) -> None:
    write(well, Events("extended", 30))
    assert statuses(well) == {}
    assert checks(well)["alerts"].message.startswith("extension_rate fires")


def test_two_alerts_of_the_same_severity_are_both_named(well: Connection) -> None:
    write(
        well,
        Events("failed", minutes_ago=30, message=CONSTRAINT),
        Events("completed", hold_seconds=10_000),
    )
    message = checks(well)["alerts"].message
    assert "double_booking_attempts fires" in message
    assert "long_hold_time fires" in message


# cleanup


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (Run(seconds_ago=600), "OK"),
        (Run(seconds_ago=601), "WARNING"),
        (Run(seconds_ago=900), "WARNING"),
        (Run(seconds_ago=901), "CRITICAL"),
        (Run(seconds_ago=100_000), "CRITICAL"),
        (Run(took_seconds=30), "OK"),
        (Run(took_seconds=31), "WARNING"),
        (Run(status="failed"), "CRITICAL"),
    ],
    ids=str,
)
def test_the_cleanup_is_judged_by_its_last_run(
    connection: Connection, run: Run, expected: str
) -> None:
    write(connection, run)
    found = checks(connection)["cleanup"]
    assert found.status == expected
    if run.status == "failed":
        assert "by external, failed" in found.message
    elif expected != "OK":
        assert found.value in (run.seconds_ago, run.took_seconds)


def test_a_failed_run_of_today_is_a_warning_when_another_has_succeeded(well: Connection) -> None:
    write(well, Run(seconds_ago=3600, status="failed"), Run(seconds_ago=5))
    assert statuses(well) == {"alerts": "WARNING", "cleanup": "WARNING"}
    assert checks(well)["cleanup"].message == "runs have failed in the last day"


def test_a_scheduler_that_is_gone_is_named(well: Connection) -> None:
    well.execute("TRUNCATE reservation_cleanup_runs")
    write(well, Run(seconds_ago=700, scheduler="ticketdb"))
    assert "ticketdb no longer runs the cleanup" in checks(well)["cleanup"].message


def test_the_thresholds_of_the_cleanup_are_those_of_its_rules(well: Connection) -> None:
    write(well, Run(seconds_ago=50))
    assert status(well, "cleanup") == "OK"
    well.execute("UPDATE alert_rules SET threshold = 49 WHERE alert_name = 'cleanup_job_silent'")
    assert status(well, "cleanup") == "WARNING"
    well.execute("UPDATE alert_rules SET threshold = 49 WHERE alert_name = 'cleanup_job_failed'")
    assert status(well, "cleanup") == "CRITICAL"


def test_holds_that_stay_over_are_critical_although_the_runs_succeed(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute(
        "UPDATE seat_reservations SET expires_at = now() - interval '301 s' WHERE id = %s",
        [hold.reservation_id],
    )
    write(hall.connection, Run())
    found = checks(hall.connection)["cleanup"]
    assert (found.status, found.value) == ("CRITICAL", 301)
    assert found.message == "overdue holds are not being ended"


def test_a_message_stays_the_same_while_its_number_grows(well: Connection) -> None:
    """An age in a label makes a new series each time: 617 in 46 minutes, once."""
    well.execute("TRUNCATE reservation_cleanup_runs")
    seen = set()
    for minutes in range(20, 60, 3):
        with well.transaction(force_rollback=True):
            write(well, Run(seconds_ago=60 * minutes))
            well.execute(
                "UPDATE metric_watermarks SET rolled_up_at = now() - make_interval(mins => %s)",
                [minutes],
            )
            found = checks(well)
            assert found["cleanup"].value == 60 * minutes
            assert found["rollup"].value == 60 * minutes
            seen.add(tuple(row.message for row in found.values()))
    assert len(seen) == 1


def test_the_error_of_a_run_is_shown_without_what_differs_from_run_to_run(
    well: Connection,
) -> None:
    seen = set()
    for process, hold in ((4711, uuid4()), (12, uuid4())):
        with well.transaction(force_rollback=True):
            write(well, Run(seconds_ago=5, status="failed"))
            well.execute(
                "UPDATE reservation_cleanup_runs SET error_message = %s WHERE status = 'failed'",
                [f"process {process} has hold {hold} locked{' indeed' * 100}\nCONTEXT: a line"],
            )
            seen.add(checks(well)["cleanup"].message)
    (message,) = seen
    assert "the last run failed: process # has hold # locked indeed" in message
    assert "CONTEXT" not in message
    assert len(message) < 300


def test_a_run_that_failed_without_a_word_is_given_no_reason(well: Connection) -> None:
    write(well, Run(seconds_ago=5, status="failed"))
    said = value(well, "SELECT return_message FROM reservation_cleanup_job_status LIMIT 1")
    assert said is None
    assert checks(well)["cleanup"].message == "the last run, by external, failed"


# rollup


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        ("5 minutes", "OK"),
        ("5 minutes 1 microsecond", "WARNING"),
        ("15 minutes", "WARNING"),
        ("15 minutes 1 microsecond", "CRITICAL"),
    ],
)
@pytest.mark.parametrize("log", LOGS)
def test_a_late_rollup_is_reported_with_the_name_of_its_log(
    well: Connection, log: str, late: str, expected: str
) -> None:
    well.execute(
        f"UPDATE metric_watermarks SET rolled_up_at = now() - interval '{late}' WHERE log = %s",
        [log],
    )
    alert = {"alerts": "WARNING", "rollup": expected}
    assert statuses(well) == ({} if expected == "OK" else alert)
    if expected != "OK":
        message = checks(well)["rollup"].message
        assert message == f"{log} is not being rolled up: run roll_up_metrics()"


@pytest.mark.parametrize(
    "restored",
    [
        "watermark = (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1000000)::text::xid8",
        "system_identifier = 1",
    ],
    ids=["from the future", "from another server"],
)
def test_a_watermark_of_another_server_is_critical(well: Connection, restored: str) -> None:
    well.execute(f"UPDATE metric_watermarks SET {restored} WHERE log = '{ORDER_LOG}'")
    assert statuses(well) == {"alerts": "WARNING", "rollup": "CRITICAL"}
    message = checks(well)["rollup"].message
    assert message.startswith(f"{ORDER_LOG} was restored from another server")


def test_a_rollup_makes_good_for_both(database: Database, connect: Connect) -> None:
    connection = enter(connect(database))
    connection.execute(
        "UPDATE metric_watermarks SET rolled_up_at = now() - interval '1 hour';"
        f"UPDATE metric_watermarks SET system_identifier = 1 WHERE log = '{RESERVATION_LOG}'"
    )
    assert status(connection, "rollup") == "CRITICAL"
    roll_up_all(connection)
    assert status(connection, "rollup") == "OK"


# partitions


@pytest.mark.parametrize("log", LOGS)
def test_rows_that_have_strayed_into_the_default_partition_are_a_warning(
    well: Connection, log: str
) -> None:
    log_at(well, log, first_instant(month(well, -2)))
    assert statuses(well) == {"partitions": "WARNING"}
    message = checks(well)["partitions"].message
    assert message == f"{log} has rows in its default partition: run maintain_partitions()"
    well.execute("SELECT maintain_partitions()")
    assert statuses(well) == {}


def test_rows_that_maintenance_leaves_where_they_are_are_not_left_to_it(well: Connection) -> None:
    """A clock was wrong, and its row stays in the default partition until its month comes."""
    log_at(well, RESERVATION_LOG, "2199-01-01 00:00+00")
    well.execute("SELECT maintain_partitions()")
    assert "run maintain_partitions()" not in checks(well)["partitions"].message


@pytest.mark.this_month
@pytest.mark.parametrize("log", LOGS)
def test_months_that_run_out_are_a_warning_a_month_before(well: Connection, log: str) -> None:
    for offset in (3, 2):
        drop_month(well, log, offset)
    # What is left ends with the next month: 28 days from now, or 61.
    ends_soon = value(
        well,
        "SELECT date_trunc('month', now(), 'UTC') + interval '2 months'"
        " <= now() + interval '31 days'",
    )
    # That they have been due for long is found whenever the last one ends.
    assert statuses(well) == {"alerts": "WARNING", "partitions": "WARNING"}
    assert f"behind: partitions of {log}" in checks(well)["partitions"].message
    well.execute("UPDATE alert_rules SET enabled = false WHERE alert_name = 'maintenance_behind'")
    assert statuses(well) == ({"partitions": "WARNING"} if ends_soon else {})
    drop_month(well, log, 1)
    assert statuses(well) == {"partitions": "WARNING"}
    found = checks(well)["partitions"]
    assert found.message == f"{log} runs out of partitions: run maintain_partitions()"
    assert 0 < found.value <= 31 * 86400


def test_the_present_month_missing_is_critical(well: Connection) -> None:
    log_at(well, RESERVATION_LOG, first_instant(month(well, -1)))
    well.execute("SELECT maintain_partitions()")
    assert statuses(well) == {}
    for offset in (3, 2, 1, 0):
        drop_month(well, RESERVATION_LOG, offset)
    assert status(well, "partitions") == "CRITICAL"


@pytest.mark.this_month
def test_no_month_at_all_is_critical(well: Connection) -> None:
    for offset in (3, 2, 1, 0):
        drop_month(well, ORDER_LOG, offset)
    assert status(well, "partitions") == "CRITICAL"


def test_months_that_have_run_out_are_critical_although_rows_have_strayed(
    well: Connection,
) -> None:
    """They do at once: whatever is written then goes into the default partition."""
    log_at(well, ORDER_LOG, first_instant(month(well, -1)))
    well.execute("SELECT maintain_partitions()")
    for offset in (3, 2, 1, 0):
        drop_month(well, ORDER_LOG, offset)
    log_at(well, ORDER_LOG, value(well, "SELECT now()::text"))
    assert status(well, "partitions") == "CRITICAL"


# invariants


@pytest.mark.parametrize(
    ("age", "expected"), [("1 hour", "OK"), ("1 hour 1 microsecond", "WARNING")]
)
def test_a_check_of_the_invariants_that_is_old_is_a_warning(
    well: Connection, age: str, expected: str
) -> None:
    well.execute(f"UPDATE last_invariant_check SET checked_at = now() - interval '{age}'")
    assert statuses(well) == ({} if expected == "OK" else {"invariants": expected})


@pytest.mark.breaks_invariants
def test_a_broken_invariant_is_critical_from_the_next_check_until_it_is_mended(
    hall: Hall, well: Connection
) -> None:
    hall.hold(0)
    well.execute("ALTER TABLE show_seats DISABLE TRIGGER USER")
    well.execute(
        "UPDATE show_seats SET status = 'available', reserved_by = NULL, reserved_until = NULL"
        " WHERE id = %s",
        hall.ids(0),
    )
    assert statuses(well) == {}
    broken = well.execute("SELECT * FROM check_invariants()").fetchall()
    assert broken == [("free_seats_are_not_claimed", 1), ("holds_have_their_seats", 1)]
    assert statuses(well) == {"invariants": "CRITICAL"}
    assert checks(well)["invariants"].message == (
        "free_seats_are_not_claimed is broken; holds_have_their_seats is broken"
    )
    assert checks(well)["invariants"].value == 1

    well.execute(
        "UPDATE show_seats SET status = 'reserved', reserved_by = hold.id,"
        " reserved_until = hold.expires_at FROM seat_reservations AS hold WHERE show_seats.id = %s",
        hall.ids(0),
    )
    assert well.execute("SELECT * FROM check_invariants()").fetchall() == []
    assert statuses(well) == {}


def test_every_invariant_has_been_checked_when_the_database_is_installed(
    connection: Connection,
) -> None:
    rows = "SELECT invariant, violations, description FROM {} ORDER BY invariant"
    shown = connection.execute(rows.format("invariant_violations")).fetchall()
    assert shown == connection.execute(rows.format("current_violations()")).fetchall()
    assert {row.violations for row in shown} == {0}


@pytest.mark.breaks_invariants
def test_the_view_says_what_was_found_last_and_how_long_ago_that_was(
    hall: Hall, well: Connection
) -> None:
    broken = "SELECT invariant, violations FROM {} WHERE violations > 0"
    age = "SELECT DISTINCT checked_age_seconds FROM invariant_violations"
    well.execute("UPDATE last_invariant_check SET checked_at = now() - interval '9 minutes'")
    well.execute("ALTER TABLE show_seats DISABLE TRIGGER USER")
    well.execute("UPDATE show_seats SET status = 'sold' WHERE id = %s", hall.ids(0))
    assert well.execute(broken.format("current_violations()")).fetchall() == [
        ("sold_seats_have_a_ticket", 1)
    ]
    assert well.execute(broken.format("invariant_violations")).fetchall() == []
    assert value(well, age) == 540

    well.execute("SELECT check_invariants()")
    assert well.execute(broken.format("invariant_violations")).fetchall() == [
        ("sold_seats_have_a_ticket", 1)
    ]
    assert value(well, age) == 0


def test_invariants_that_nobody_has_checked_are_unknown(well: Connection) -> None:
    well.execute("DELETE FROM last_invariant_check")
    assert statuses(well) == {"invariants": "UNKNOWN"}
    name = value(well, "SELECT quote_ident(%s)", NAMES.internal_schema)
    assert checks(well)["invariants"].message == f"never checked: run {name}.check_invariants()"


def test_an_invariant_of_an_older_release_is_forgotten_with_the_next_check(
    well: Connection,
) -> None:
    well.execute(
        "INSERT INTO last_invariant_check (invariant, violations, description, checked_at)"
        " VALUES ('of_yesteryear', 7, 'x', now() - interval '1 day')"
    )
    assert statuses(well) == {"invariants": "CRITICAL"}
    well.execute("SELECT check_invariants()")
    assert statuses(well) == {}


# What one cannot have on a server that is shared with other tests: connections, and pg_cron's end.

MOST_CONNECTIONS = 20
LAUNCHER = "FROM pg_stat_activity WHERE starts_with(application_name, 'pg_cron')"


@pytest.fixture(scope="module")
def small_server(cluster: Cluster) -> Iterator[Database]:
    """A server of one's own that lets twenty in, with pg_cron where that is installed."""
    with private_cluster(
        cluster.binaries,
        cron_database=CRON_DATABASE,
        settings={"max_connections": str(MOST_CONNECTIONS)},
    ) as server:
        server.create_database(CRON_DATABASE)
        database = Database(server, CRON_DATABASE)
        commands.apply(database.dsn, NAMES)
        if server.binaries.has_pg_cron:
            with psycopg.connect(database.dsn, autocommit=True) as connection:
                # Its jobs would come and go as connections, too.
                connection.execute("UPDATE cron.job SET active = false")
                # It began before there was a database, and tries again every second.
                await_true(connection, f"SELECT count(*) > 0 {LAUNCHER}")
        yield database


@pytest.fixture
def watcher(small_server: Database) -> Iterator[Connection]:
    with closing(
        psycopg.connect(small_server.dsn, autocommit=True, row_factory=namedtuple_row)
    ) as connection:
        yield enter(connection)


def test_connections_become_critical_when_the_shop_gets_none(
    small_server: Database, watcher: Connection
) -> None:
    """The last few are kept for superusers: for everybody else the server is full before."""
    seen: list[str] = []
    with ExitStack() as stack:
        while set(seen) <= set(SEVERITY):
            found = checks(watcher)["connections"]
            seen.append(found.status)
            used = value(watcher, "SELECT sum(connections) FROM connection_pool")
            assert (found.value, found.unit) == (100 * float(used) / (MOST_CONNECTIONS - 3), "%")
            try:
                stack.enter_context(
                    closing(psycopg.connect(small_server.dsn_as(NAMES.dashboard_role)))
                )
            except psycopg.OperationalError as error:
                seen.append("refused" if "remaining connection slots" in str(error) else str(error))
    assert sorted(set(seen), key=seen.index) == ["OK", "WARNING", "CRITICAL", "refused"]


def test_connections_are_critical_when_nobody_gets_one(
    small_server: Database, watcher: Connection
) -> None:
    assert status(watcher, "connections") == "OK"
    with ExitStack() as stack:
        while value(watcher, "SELECT sum(connections) FROM connection_pool") < MOST_CONNECTIONS:
            stack.enter_context(closing(psycopg.connect(small_server.dsn)))
        assert status(watcher, "connections") == "CRITICAL"
    # One that is closed is gone a moment later.
    await_true(watcher, "SELECT status = 'OK' FROM health WHERE check_name = 'connections'")


def test_the_pool_shows_each_state_and_adds_up(small_server: Database, watcher: Connection) -> None:
    rows = "SELECT state, connections, max_connections, used_pct FROM connection_pool"
    with ExitStack() as stack:
        opened = [
            stack.enter_context(closing(psycopg.connect(small_server.dsn_as(NAMES.datadog_role))))
            for _ in range(4)
        ]
        opened[0].execute("SELECT 1")
        opened[1].execute("SELECT 1")
        with pytest.raises(psycopg.errors.DivisionByZero):
            opened[2].execute("SELECT 1 / 0")
        found = {row.state: row for row in watcher.execute(rows).fetchall()}
    assert set(found) == {
        "active",
        "idle",
        "idle in transaction",
        "idle in transaction (aborted)",
        "other",
        "not visible",
    }
    assert found["active"].connections == 1  # ourselves
    assert found["idle in transaction"].connections == 2
    assert found["idle in transaction (aborted)"].connections == 1
    assert found["idle"].connections >= 1
    assert found["not visible"].connections == 0
    for row in found.values():
        assert row.max_connections == MOST_CONNECTIONS
        assert row.used_pct == 100 * row.connections / MOST_CONNECTIONS


@pytest.fixture
def pg_cron(small_server: Database) -> None:
    skip_without(small_server.cluster.binaries, "pg_cron")


@pytest.mark.usefixtures("pg_cron")
def test_a_schedule_of_pg_cron_is_distinguished_from_one_that_is_switched_off(
    watcher: Connection,
) -> None:
    state = "SELECT scheduler, is_scheduled, scheduler_alive FROM cleanup_job_health"
    assert one(watcher, state)[1:] == (0, 0)
    watcher.execute("UPDATE cron.job SET active = true")
    assert one(watcher, state) == ("pg_cron", 1, 1)


@pytest.mark.usefixtures("pg_cron")
def test_a_run_of_pg_cron_that_has_yet_to_come_is_not_said_to_have_succeeded(
    watcher: Connection,
) -> None:
    watcher.execute("UPDATE cron.job SET active = true, schedule = '0 0 29 2 *'")
    watcher.execute("TRUNCATE cron.job_run_details")
    found = checks(watcher)["cleanup"]
    assert found.status == "CRITICAL"
    assert "succeeded" not in found.message


@pytest.mark.usefixtures("pg_cron")
def test_a_schedule_of_pg_cron_is_critical_when_its_process_is_gone(watcher: Connection) -> None:
    """The last test here: it does not come back before the server is restarted."""
    watcher.execute("UPDATE cron.job SET active = true")
    watcher.execute(f"SELECT pg_terminate_backend(pid) {LAUNCHER}")
    await_true(watcher, f"SELECT count(*) = 0 {LAUNCHER}")
    state = "SELECT scheduler, is_scheduled, scheduler_alive FROM cleanup_job_health"
    assert one(watcher, state) == ("pg_cron", 1, 0)
    found = checks(watcher)["cleanup"]
    assert found.status == "CRITICAL"
    assert "the process of pg_cron has ended: restart the server" in found.message
