"""What is purged was rolled up before, and the numbers outlive the events."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.logs import LOGS, ORDER_LOG, RESERVATION_LOG, maintain, month
from tests.support.metrics import assert_equal, of_the_logs, of_the_views, statistics
from tests.support.queries import Connection, call, enter, value
from tests.support.rollups import (
    SHOWS,
    assert_exact,
    await_final,
    held_up,
    lines_not_rolled_up,
    log_holds,
    purge_history,
    roll_up,
    roll_up_all,
)
from tests.support.storm import storm
from tests.support.waiting import await_true

# A line of each log.
LINES = {
    RESERVATION_LOG: ("event_type, show_id, hold_seconds", f"'completed', '{SHOWS[0]}', 60"),
    ORDER_LOG: (
        "new_status, show_id, order_id, amount_in_cents, currency, seat_count",
        f"'paid', '{SHOWS[0]}', gen_random_uuid(), 1000, 'EUR', 1",
    ),
    "api_request_log": ("endpoint, method, status_code, duration_ms", "'/', 'GET', 200, 5"),
}


def log_line(connection: Connection, log: str, at: datetime) -> None:
    columns, values = LINES[log]
    connection.execute(f"INSERT INTO {log} ({columns}, created_at) VALUES ({values}, %s)", [at])


def moment(connection: Connection, offset: int, day: int = 10) -> datetime:
    """In the middle of a month so far from now."""
    year, number = map(int, month(connection, offset).split("_"))
    return datetime(year, number, day, 12, tzinfo=UTC)


@pytest.mark.parametrize("log", LOGS)
def test_what_is_not_rolled_up_is_not_purged(owner: Connection, log: str) -> None:
    log_line(owner, log, moment(owner, -6))
    maintain(owner)
    partition = f"{log}_p{month(owner, -6)}"
    assert partition not in purge_history(owner)
    assert lines_not_rolled_up(owner) == 1
    roll_up_all(owner)
    assert purge_history(owner)[partition] == 1


def test_what_is_not_rolled_up_yet_of_one_log_keeps_no_other(owner: Connection) -> None:
    for log in LOGS:
        log_line(owner, log, moment(owner, -6))
    maintain(owner)
    await_final(owner)
    with owner.transaction(force_rollback=True):
        # As if it had reached this one only.
        owner.execute(
            "UPDATE metric_watermarks SET watermark = pg_snapshot_xmin(pg_current_snapshot())"
            " WHERE log = %s",
            [ORDER_LOG],
        )
        partitions = {f"{log}_p{month(owner, -6)}" for log in LOGS}
        assert partitions & purge_history(owner).keys() == {f"{ORDER_LOG}_p{month(owner, -6)}"}


def test_numbers_over_a_year_outlive_the_events(owner: Connection) -> None:
    for offset in range(-11, 1):
        for event_type in ("created", "created", "completed", "expired", "released", "extended"):
            owner.execute(
                f"INSERT INTO {RESERVATION_LOG} (event_type, show_id, hold_seconds, created_at)"
                " VALUES (%s, %s, 60, LEAST(%s, now()))",
                [event_type, SHOWS[0], moment(owner, offset)],
            )
    maintain(owner)
    before = call(owner, "get_reservation_statistics", p_hours=8760)
    assert before.total_created == 24
    roll_up_all(owner)
    assert call(owner, "get_reservation_statistics", p_hours=8760) == before
    purge_history(owner)
    assert value(owner, f"SELECT count(*) FROM {RESERVATION_LOG}") < 6 * 6
    assert call(owner, "get_reservation_statistics", p_hours=8760) == before
    # And what is within retention is what the log says.
    weeks = statistics(SHOWS, (8 * 7 * 24,))
    question = {"get_reservation_statistics": weeks}
    assert_equal(of_the_logs(owner, question), of_the_views(owner, question))


def test_events_of_a_show_are_counted_for_as_long_as_they_are_kept(
    owner: Connection,
) -> None:
    """Events are kept by the month: some are when they are past retention."""
    days = 90
    while (kept_since := datetime.now(UTC) - timedelta(days=days)).day < 3:
        days += 1
    owner.execute("UPDATE ticketing_settings SET audit_retention_days = %s", [days])
    log_line(owner, RESERVATION_LOG, kept_since - timedelta(days=1))
    maintain(owner)
    roll_up_all(owner)
    purge_history(owner)
    question = {"get_reservation_statistics": statistics(SHOWS, (8760,))}
    of_logs = of_the_logs(owner, question)
    assert of_logs["get_reservation_statistics"][SHOWS[0], 8760]["total_completed"] == 1
    assert_equal(of_logs, of_the_views(owner, question))


# How long the rows of each rollup are kept, where audit_retention_days is 100: at least, at most.
KEPT = {
    "reservation_minutes_all": ("minute", "8761 hours", "8761 hours"),
    # For as long as there may be events, which are kept by the month.
    "reservation_minutes_by_show": ("minute", "100 days", "131 days"),
    "order_minutes": ("minute", "100 days", "131 days"),
    "error_minutes": ("minute", "2 days", "2 days"),
    "api_request_minutes": ("minute", "2 days", "2 days"),
    "api_duration_minutes": ("minute", "2 days", "2 days"),
    "extension_quarters": ("quarter", "10 days", "10 days"),
    "extended_reservations": ("quarter", "10 days", "10 days"),
}


@pytest.mark.parametrize("rollup", KEPT)
def test_a_rollup_goes_when_it_is_past_its_retention(owner: Connection, rollup: str) -> None:
    owner.execute("UPDATE ticketing_settings SET audit_retention_days = 100")
    column, at_least, at_most = KEPT[rollup]
    # A quarter of an hour, or a minute, is as old as it was at its beginning.
    now = datetime.now(UTC)
    kept = now - interval(at_least) + timedelta(minutes=20)
    gone = now - interval(at_most) - timedelta(minutes=20)
    for at in (kept, gone):
        for log in LOGS:
            log_line(owner, log, at)
        for event_type in ("extended", "failed"):
            owner.execute(
                f"INSERT INTO {RESERVATION_LOG}"
                " (event_type, show_id, reservation_id, error_message, created_at)"
                " VALUES (%s, %s, gen_random_uuid(), %s, %s)",
                [event_type, SHOWS[0], str(at), at],
            )
    roll_up_all(owner)
    times = f"SELECT {column} AS at FROM {rollup} ORDER BY 1"
    assert len(owner.execute(times).fetchall()) == 2
    assert purge_history(owner)[rollup] == 1
    (left,) = owner.execute(times).fetchall()
    assert abs(left.at - kept) < timedelta(minutes=16)
    assert rollup not in purge_history(owner)


def interval(text: str) -> timedelta:
    count, unit = text.split()
    return timedelta(**{unit: int(count)})


def test_a_line_that_comes_after_its_minute_was_purged_is_counted_and_purged_again(
    owner: Connection,
) -> None:
    for _ in range(2):
        log_holds(owner, at="now() - interval '20000 hours'")
        roll_up_all(owner)
        assert purge_history(owner)["reservation_minutes_all"] == 1


def test_an_error_that_comes_again_while_it_is_purged_is_counted(
    owner: Connection, connect: Connect
) -> None:
    def fail(at: str) -> None:
        owner.execute(
            f"INSERT INTO {RESERVATION_LOG} (event_type, show_id, error_message, created_at)"
            f" VALUES ('failed', %s, 'seldom', {at})",
            [SHOWS[0]],
        )

    fail("now() - interval '3 days'")
    roll_up_all(owner)
    fail("now()")
    await_final(owner)
    other, watcher = enter(connect()), connect()
    with ThreadPoolExecutor() as pool, owner.transaction():
        roll_up(owner)
        purging = pool.submit(purge_history, other)
        # It deletes the old one, or waits for the rollup, whichever comes first.
        await_true(
            watcher,
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE pid = %s"
            " AND query LIKE '%%purge_history%%' AND (state = 'idle' OR wait_event_type = 'Lock')",
            [other.info.backend_pid],
        )
    purging.result()
    (row,) = owner.execute("SELECT error_message, occurrences FROM top_errors").fetchall()
    assert row == ("seldom", 1)


def test_lines_that_come_into_a_month_while_it_is_purged_are_not_lost(
    owner: Connection, database: Database
) -> None:
    """As when somebody brings old events in: the month waits until they are rolled up."""
    log_line(owner, RESERVATION_LOG, moment(owner, -6))
    maintain(owner)
    roll_up_all(owner)
    with closing(enter(psycopg.connect(database.dsn))) as late:
        log_line(late, RESERVATION_LOG, moment(owner, -6))
        # It does not wait in front of those who write.
        assert not {name for name in purge_history(owner) if name.startswith(RESERVATION_LOG)}
        late.commit()
    # Nor does it take what is not rolled up.
    assert not {name for name in purge_history(owner) if name.startswith(RESERVATION_LOG)}
    roll_up_all(owner)
    answer = call(owner, "get_reservation_statistics", p_hours=8760)
    assert answer.total_completed == 2


def test_nobody_who_sells_waits_while_rollups_are_purged(
    owner: Connection, connect: Connect
) -> None:
    """Dropping a month locks its log until the end of the purge, so that comes last."""
    log_line(owner, RESERVATION_LOG, moment(owner, -6))
    maintain(owner)
    log_holds(owner, at="now() - interval '20000 hours'")
    roll_up_all(owner)
    # What the purge waits for here takes its time elsewhere: there may be many rows.
    with held_up(
        owner,
        connect,
        "purge_history()",
        by="SELECT FROM reservation_minutes WHERE minute < now() - interval '2 years' FOR UPDATE",
    ):
        owner.execute("SET lock_timeout = '100ms'")
        log_holds(owner)


def test_purging_beside_a_rollup_leaves_the_views_as_they_were(
    owner: Connection, database: Database
) -> None:
    with storm(owner, database, rollups=(500_000, 50)):
        for _ in range(20):
            purge_history(owner)
            seen = owner.execute("SELECT * FROM compare(5)").fetchall()[0]
            assert (seen.comparisons, seen.differences) == (5, 0)
    roll_up_all(owner)
    purge_history(owner)
    assert_exact(owner)
