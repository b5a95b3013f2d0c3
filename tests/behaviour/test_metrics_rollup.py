"""The rollup of the logs is exact, whatever commits late and whatever stops it.

What the views say is compared with the raw logs, by `metrics.py` or by counting.
"""

from contextlib import closing

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import make_hall
from tests.support.logs import ORDER_LOG, RESERVATION_LOG, maintain
from tests.support.metrics import assert_equal, of_the_logs, of_the_views
from tests.support.plans import explained, rows_looked_at
from tests.support.queries import Connection, enter, value
from tests.support.rollups import (
    QUESTIONS,
    SHOWS,
    assert_exact,
    await_final,
    created,
    held_up,
    lines_not_rolled_up,
    log_holds,
    nothing_done,
    roll_up,
    roll_up_all,
)

# --- who commits late, what is taken back ------------------------------------------------------


def test_a_transaction_that_commits_late_is_counted_once(
    owner: Connection, database: Database
) -> None:
    with closing(enter(psycopg.connect(database.dsn))) as late:
        log_holds(late, 3)
        log_holds(owner, 2)
        assert roll_up(owner)[RESERVATION_LOG] == (0, False)  # the first holds up the second
        assert created(owner) == 2
        assert created(late) == 5
        late.commit()
    assert created(owner) == 5
    roll_up_all(owner)
    assert created(owner) == 5
    assert_exact(owner)


def test_a_transaction_that_rolls_back_late_is_never_counted(
    owner: Connection, database: Database
) -> None:
    with closing(enter(psycopg.connect(database.dsn))) as late:
        log_holds(late, 3)
        log_holds(owner, 2)
        roll_up(owner)
        late.rollback()
    roll_up_all(owner)
    assert created(owner) == 2
    assert_exact(owner)


def test_what_was_taken_back_to_a_savepoint_is_never_counted(
    owner: Connection, connect: Connect
) -> None:
    writer = enter(connect())
    with writer.transaction():
        log_holds(writer)
        with writer.transaction():
            log_holds(writer, 10)
        with writer.transaction(force_rollback=True):
            log_holds(writer, 100)
            assert created(writer) == 111
        # Savepoints have numbers of their own, which those of others pass by.
        log_holds(owner, 1000)
        roll_up(owner)
        assert created(owner) == 1000
        assert created(writer) == 1011
    assert created(owner) == 1011
    roll_up_all(owner)
    assert created(owner) == 1011
    assert_exact(owner)


def test_who_wrote_something_sees_it_once_before_and_after_a_rollup_of_theirs(
    owner: Connection,
) -> None:
    log_holds(owner, 5)
    with owner.transaction():
        log_holds(owner, 2)
        assert created(owner) == 7
        roll_up(owner)
        assert created(owner) == 7
        log_holds(owner)
        assert created(owner) == 8
        assert_equal(of_the_logs(owner, QUESTIONS), of_the_views(owner, QUESTIONS))
    assert created(owner) == 8
    roll_up_all(owner)
    assert created(owner) == 8


def test_a_rollup_that_rolls_back_has_done_nothing(owner: Connection) -> None:
    log_holds(owner, 5)
    await_final(owner)
    with owner.transaction(force_rollback=True):
        assert roll_up(owner)[RESERVATION_LOG] == (5, False)
        assert created(owner) == 5
    assert created(owner) == 5
    assert lines_not_rolled_up(owner) == 5
    assert roll_up(owner)[RESERVATION_LOG] == (5, False)
    assert created(owner) == 5


def test_a_rollup_by_an_old_snapshot_adds_nothing_that_another_has_added(
    owner: Connection, connect: Connect
) -> None:
    log_holds(owner, 2)
    await_final(owner)
    old = enter(connect())
    old.execute("SET default_transaction_isolation = 'repeatable read'")
    with old.transaction(force_rollback=True):
        assert created(old) == 2
        log_holds(owner, 3)
        roll_up_all(owner)
        assert created(old) == 2
        with pytest.raises(psycopg.errors.SerializationFailure):
            roll_up(old)
    log_holds(owner)
    await_final(owner)
    with old.transaction():
        assert created(old) == 6
        log_holds(owner, 10)
        assert roll_up(old)[RESERVATION_LOG] == (1, False)
        assert created(old) == 6
    roll_up_all(owner)
    assert created(owner) == 16
    assert_exact(owner)


def test_lines_that_move_to_the_month_that_is_theirs_are_not_counted_again(
    owner: Connection,
) -> None:
    """Those of a month that had no partition are in another until maintain_partitions() runs."""
    log_holds(owner, 2, at="now() - interval '40 days'")
    roll_up_all(owner)
    log_holds(owner, 3, at="now() - interval '40 days'")
    assert maintain(owner) != []
    assert created(owner) == 5
    roll_up_all(owner)
    assert created(owner) == 5
    assert_exact(owner)


# --- bounded work ------------------------------------------------------------------------------


def test_a_run_takes_no_more_than_its_bound_and_the_next_goes_on(owner: Connection) -> None:
    for _ in range(30):
        log_holds(owner)
    await_final(owner)
    runs = []
    while lines_not_rolled_up(owner):
        runs.append(roll_up(owner, 7)[RESERVATION_LOG])
        assert created(owner) == 30
    assert runs == [(7, True)] * 4 + [(2, False)]
    assert roll_up(owner, 7) == nothing_done()


def rows_of_the_log_read_by_a_run(owner: Connection) -> list[int]:
    """By each query of a run that may take 100 rows of a backlog of 5,000."""
    for _ in range(100):
        log_holds(owner, 50)
    await_final(owner)
    with explained(owner) as plans:
        assert roll_up(owner, 100)[RESERVATION_LOG] == (100, True)
    scans = [
        [node for node in plan.nodes if RESERVATION_LOG in node.get("Relation Name", "")]
        for plan in plans
    ]
    return [sum(rows_looked_at(node) for node in nodes) for nodes in scans if nodes]


@pytest.mark.parametrize("statistics", ["none", "up to date"])
def test_a_run_reads_no_more_of_a_backlog_than_it_may_take(
    owner: Connection, statistics: str
) -> None:
    if statistics != "none":
        log_holds(owner, 5_000)
        owner.execute(f"ANALYZE {RESERVATION_LOG}")
        roll_up_all(owner)
    # To find where the range ends, the next transaction is counted, too.
    assert max(rows_of_the_log_read_by_a_run(owner)) <= 100 + 50 + 1


def test_a_run_that_reads_the_whole_backlog_is_noticed(owner: Connection) -> None:
    owner.execute(
        "ALTER FUNCTION next_range(text, xid8, xid8, bigint, integer) SET enable_bitmapscan = on"
    )
    owner.execute(
        "ALTER FUNCTION next_range(text, xid8, xid8, bigint, integer) SET enable_indexscan = off"
    )
    assert max(rows_of_the_log_read_by_a_run(owner)) >= 5_000


def test_a_transaction_is_not_taken_in_parts(owner: Connection) -> None:
    for count in (3, 4, 50, 3):
        log_holds(owner, count)
    await_final(owner)
    # The second does not fit beside the first; the third is too much alone.
    assert [roll_up(owner, 5)[RESERVATION_LOG] for _ in range(4)] == [
        (3, True),
        (4, True),
        (50, True),
        (3, False),
    ]
    assert created(owner) == 60


def test_a_run_that_took_the_last_transaction_whole_is_not_behind(owner: Connection) -> None:
    log_holds(owner, 50)
    await_final(owner)
    assert roll_up(owner, 5)[RESERVATION_LOG] == (50, False)


@pytest.mark.parametrize("exactly", [0, 1, -1])
def test_a_run_is_behind_if_there_is_a_line_too_many(owner: Connection, exactly: int) -> None:
    for _ in range(6):
        log_holds(owner)
    await_final(owner)
    assert roll_up(owner, 6 + exactly)[RESERVATION_LOG] == (min(6, 6 + exactly), exactly < 0)


def test_each_log_has_a_bound_of_its_own(owner: Connection) -> None:
    for _ in range(3):
        log_holds(owner)
        owner.execute("SELECT log_api_request('/', 'GET', 200, 1)")
    owner.execute(f"INSERT INTO {ORDER_LOG} (new_status, show_id) VALUES ('paid', %s)", [SHOWS[0]])
    await_final(owner)
    assert roll_up(owner, 2) == {
        RESERVATION_LOG: (2, True),
        ORDER_LOG: (1, False),
        "api_request_log": (2, True),
    }


@pytest.mark.parametrize("max_events", [0, -1, None])
def test_a_bound_that_makes_no_sense_is_an_error(owner: Connection, max_events: int | None) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="p_max_events"):
        owner.execute("SELECT roll_up_metrics(%s)", [max_events])


def test_after_a_long_pause_it_catches_up_and_the_views_are_right_throughout(
    owner: Connection,
) -> None:
    owner.execute("SET jit = off")
    for n in range(40):
        log_holds(owner, 25, at=f"now() - {n} * interval '1 hour'")
    await_final(owner)
    runs = 0
    while roll_up(owner, 100)[RESERVATION_LOG][1]:
        assert_exact(owner)
        runs += 1
    assert runs == 9
    assert lines_not_rolled_up(owner) == 0
    assert_exact(owner)


# --- two at once, and what stops one -----------------------------------------------------------


def test_a_run_beside_another_leaves_it_alone(owner: Connection, connect: Connect) -> None:
    log_holds(owner, 5)
    await_final(owner)
    other = enter(connect())
    other.execute("SET statement_timeout = '10s'")
    with owner.transaction():
        assert roll_up(owner)[RESERVATION_LOG] == (5, False)
        assert roll_up(other) == {}
        assert created(other) == created(owner) == 5
    assert created(other) == 5
    assert roll_up(other) == nothing_done()
    assert created(other) == 5


def test_a_run_takes_up_what_another_has_given_up(owner: Connection, connect: Connect) -> None:
    log_holds(owner, 5)
    await_final(owner)
    other = enter(connect())
    with owner.transaction(force_rollback=True):
        roll_up(owner)
        assert roll_up(other) == {}
    assert roll_up(other)[RESERVATION_LOG] == (5, False)
    assert created(other) == 5


def test_a_run_does_the_other_logs_while_somebody_does_one(
    owner: Connection, connect: Connect
) -> None:
    other = enter(connect())
    with owner.transaction():
        owner.execute("SELECT FROM metric_watermarks WHERE log = %s FOR UPDATE", [ORDER_LOG])
        assert roll_up(other).keys() == {RESERVATION_LOG, "api_request_log"}


def test_a_rollup_that_is_killed_has_done_nothing(owner: Connection, connect: Connect) -> None:
    minute = value(owner, "SELECT date_trunc('minute', now() - interval '3 days')::text")
    log_holds(owner, 5, at=f"'{minute}'")
    roll_up_all(owner)
    log_holds(owner, 2, at=f"'{minute}'")
    owner.execute("SELECT log_api_request('/', 'GET', 200, 1)")
    await_final(owner)
    marks = owner.execute("SELECT log, watermark FROM metric_watermarks").fetchall()
    # It reaches the minute that another session has locked.
    with held_up(
        owner, connect, "roll_up_metrics()", by="SELECT FROM reservation_minutes FOR UPDATE"
    ) as (session, running):
        assert created(owner) == 7
        assert value(owner, "SELECT pg_terminate_backend(%s, 10000)", session.info.backend_pid)
        assert isinstance(running.exception(), psycopg.errors.AdminShutdown)
        assert created(owner) == 7
    assert owner.execute("SELECT log, watermark FROM metric_watermarks").fetchall() == marks
    assert lines_not_rolled_up(owner) == 3
    roll_up_all(owner)
    assert created(owner) == 7
    assert_exact(owner)


def test_a_rollup_waits_for_nobody_who_sells(owner: Connection, database: Database) -> None:
    """A session that writes, and has not committed, holds no lock that it needs."""
    hall = make_hall(owner)
    hall.sell(0)
    owner.execute("SET statement_timeout = '10s'")
    with closing(enter(psycopg.connect(database.dsn))) as seller:
        log_holds(seller)
        seller.execute("UPDATE show_seats SET status = 'blocked' WHERE status = 'available'")
        roll_up(owner)
        seller.execute("SET LOCAL lock_timeout = '1ms'")
        with owner.transaction():
            roll_up(owner)
            log_holds(seller)
        seller.commit()
    roll_up_all(owner)
    assert_exact(owner)
