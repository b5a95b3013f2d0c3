"""The rollup of the logs is exact, whatever runs beside it, whatever stops it, wherever it goes.

What the views say is compared with the raw logs, by `metrics.py` or by counting. What may be rolled
up is a matter of the whole server, so tests in which it matters how much wait until no transaction
elsewhere holds it up.
"""

import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.behaviour.conftest import (
    LOGS,
    ORDER_LOG,
    RESERVATION_LOG,
    Connection,
    call,
    enter,
    make_hall,
    value,
)
from tests.behaviour.metrics import (
    METRICS,
    DisagreementError,
    assert_equal,
    of_the_logs,
    of_the_views,
    statistics,
)
from tests.behaviour.monitoring import lines_not_rolled_up, roll_up_all
from tests.behaviour.racing import PATIENCE_SECONDS, await_true
from tests.behaviour.test_partitions_and_purge import maintain, month
from tests.behaviour.test_state_machine import Edit
from tests.conftest import NAMES, Connect, Database, throw_away_database
from ticketdb import migrate
from ticketdb.cluster import Cluster, private_cluster

SHOWS = (UUID(int=1), UUID(int=2))
QUESTIONS = METRICS | {"get_reservation_statistics": statistics(SHOWS, (1, 24, 8760))}


@pytest.fixture
def owner(connect: Connect) -> Connection:
    return enter(connect())


def log_holds(connection: Connection, count: int = 1, at: str = "now()") -> None:
    """Write so many creations of holds, in one statement."""
    connection.execute(
        f"INSERT INTO {RESERVATION_LOG} (event_type, show_id, reservation_id, created_at)"
        f" SELECT 'created', %s, gen_random_uuid(), {at} FROM generate_series(1, %s)",
        [SHOWS[0], count],
    )


def created(connection: Connection) -> int:
    """How many creations of holds are counted, of the last year and the future."""
    return int(call(connection, "get_reservation_statistics", p_hours=8760).total_created)


def await_final(connection: Connection) -> None:
    """Wait until no transaction that is older than the last line holds up the rollup."""
    newest = " UNION ALL ".join(
        f"SELECT max(xact_id::text::bigint) FROM {log} WHERE id >"
        f" (SELECT restored_id FROM metric_watermarks WHERE log = '{log}')"
        for log in LOGS
    )
    await_true(
        connection,
        f"SELECT max(max) < pg_snapshot_xmin(pg_current_snapshot())::text::bigint FROM ({newest})"
        " AS newest",
    )


def roll_up(connection: Connection, max_events: int = 500_000) -> dict[str, tuple[int, bool]]:
    """Run it once. Of each log that was rolled up: how many lines, and whether there are more."""
    rows = connection.execute("SELECT * FROM roll_up_metrics(%s)", [max_events]).fetchall()
    return {row.log: (row.events_folded, row.is_behind) for row in rows}


def purge_history(connection: Connection) -> dict[str, int]:
    """Run it. What was removed, and how many rows of it."""
    return dict(connection.execute("SELECT object, rows_removed FROM purge_history()").fetchall())


def assert_exact(connection: Connection) -> None:
    """The views say what the logs say, in one snapshot."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SET LOCAL jit = off")
        assert_equal(of_the_logs(connection, QUESTIONS), of_the_views(connection, QUESTIONS))


def nothing_done() -> dict[str, tuple[int, bool]]:
    return dict.fromkeys(LOGS, (0, False))


# --- beside others ---------------------------------------------------------------------------

WRITERS = 8

# Transactions of one to five lines in each of the logs, some with a savepoint taken back to, some
# that dawdle, one in five rolled back. Whoever has written something must see it, once.
WRITE = """
DECLARE
    v_lines integer;
BEGIN
    WHILE NOT EXISTS (SELECT FROM stop) LOOP
        v_lines := 1 + floor(random() * 5);
        FOR n IN 1..v_lines LOOP
            BEGIN
                INSERT INTO seat_reservation_audit_log (event_type, show_id, reservation_id,
                    error_message, created_at)
                SELECT (ARRAY['created', 'created', 'failed', 'extended'])[1 + (n + m) % 4],
                    ({shows}::uuid[])[1 + m % 2], gen_random_uuid(), 'error ' || n,
                    now() - random() * interval '30 minutes'
                FROM generate_series(1, 1 + floor(random() * 4)::integer) AS m;
                INSERT INTO api_request_log (endpoint, method, status_code, duration_ms)
                VALUES ('/seats', 'GET', 200, random() * 100);
                INSERT INTO ticket_order_audit_log (show_id, order_id, new_status, amount_in_cents,
                    currency, seat_count, order_created_at)
                VALUES ({show}, gen_random_uuid(), 'pending', 1000, 'EUR', 1, now());
                IF random() < 0.1 THEN
                    RAISE EXCEPTION 'on second thoughts' USING ERRCODE = 'TK001';
                END IF;
            EXCEPTION WHEN SQLSTATE 'TK001' THEN NULL;
            END;
            PERFORM pg_sleep(CASE WHEN random() < 0.05 THEN 0.3 ELSE 0.08 END * random());
        END LOOP;
        IF {looks} AND (SELECT of_views <> of_logs FROM comparison) THEN
            RAISE EXCEPTION 'a writer does not see its own lines once';
        END IF;
        IF random() < 0.2 THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
    END LOOP;
END
"""

ROLL_UP = """
BEGIN
    WHILE NOT EXISTS (SELECT FROM stop) LOOP
        PERFORM roll_up_metrics({max_events});
        IF random() < 0.1 THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
"""

# One statement is one snapshot. What the views say, and what is in the logs.
COMPARISON = """
    CREATE VIEW comparison AS
    SELECT
        ARRAY[
            (SELECT total_created FROM get_reservation_statistics(NULL, 1)),
            (SELECT sum(total_created)
                FROM unnest({shows}::uuid[]) AS show, get_reservation_statistics(show, 24)),
            (SELECT succeeded FROM reservation_success_rate WHERE time_window = '1h'),
            (SELECT sum(requests) FROM api_endpoint_health),
            (SELECT total_orders FROM payment_failures WHERE time_window = '15m')
        ] AS of_views,
        ARRAY[created, created, created, requests, orders]::numeric[] AS of_logs,
        is_tailed
    FROM
        (
            SELECT count(*) FILTER (WHERE event_type = 'created') AS created,
                bool_or(xact_id >= watermark) AND bool_or(xact_id < watermark) AS is_tailed
            FROM seat_reservation_audit_log, metric_watermarks
            WHERE log = 'seat_reservation_audit_log'
        ) AS holds,
        (SELECT count(*) AS requests FROM api_request_log) AS requests,
        (SELECT count(*) AS orders FROM ticket_order_audit_log) AS orders
"""

# So many comparisons, each of a snapshot of its own. How many of them there were, in how many the
# two sides differed, and in how many both rollups and logs were read.
COMPARE = """
    CREATE FUNCTION compare(p_times integer, OUT comparisons integer, OUT differences integer,
        OUT tailed integer)
    LANGUAGE plpgsql
    AS $$
    DECLARE
        v_both record;
    BEGIN
        comparisons := 0;
        differences := 0;
        tailed := 0;
        FOR n IN 1..p_times LOOP
            SELECT * INTO v_both FROM comparison;
            comparisons := comparisons + 1;
            differences := differences + (v_both.of_views <> v_both.of_logs)::integer;
            tailed := tailed + COALESCE(v_both.is_tailed, false)::integer;
        END LOOP;
    END
    $$
"""


@contextmanager
def storm(
    owner: Connection, database: Database, rollups: Sequence[int], looks: str = "random() < 0.1"
) -> Iterator[None]:
    """Writers at work, and so many rollups, each with its bound, for as long as the block runs.

    A writer compares before it commits, in its own transaction, where it `looks`.
    """
    shows = "ARRAY['{}', '{}']".format(*SHOWS)
    make_hall(owner)  # a currency of which there is always a row
    owner.execute("CREATE TABLE stop ()")
    owner.execute(COMPARISON.format(shows=shows).encode())
    owner.execute(COMPARE.encode())
    loops = [WRITE.format(shows=shows, show=f"'{SHOWS[0]}'", looks=looks)] * WRITERS
    loops += [ROLL_UP.format(max_events=max_events) for max_events in rollups]
    with ExitStack() as stack, ThreadPoolExecutor(len(loops)) as pool:
        sessions = [
            enter(stack.enter_context(psycopg.connect(database.dsn, autocommit=True)))
            for _ in loops
        ]
        running = [
            pool.submit(session.execute, f"DO $${loop}$$".encode())
            for session, loop in zip(sessions, loops, strict=True)
        ]
        try:
            await_true(owner, f"SELECT count(*) > 100 FROM {RESERVATION_LOG}")
            yield
        finally:
            owner.execute("INSERT INTO stop DEFAULT VALUES")
            for loop in running:
                loop.result()  # raises what a writer or a rollup has raised


def test_in_no_snapshot_do_the_views_differ_from_the_log(
    owner: Connection, database: Database, connect: Connect
) -> None:
    patient = enter(connect())
    patient.execute("SET default_transaction_isolation = 'repeatable read'")
    with storm(owner, database, rollups=(500_000, 50)):
        tailed = 0
        for _ in range(20):
            (seen,) = owner.execute("SELECT * FROM compare(100)").fetchall()
            assert (seen.comparisons, seen.differences) == (100, 0)
            tailed += seen.tailed
            # And in several statements, where a transaction has one snapshot.
            for _ in range(10):
                with patient.transaction():
                    of_views = value(patient, "SELECT of_views FROM comparison")
                    assert of_views == value(patient, "SELECT of_logs FROM comparison")
        assert tailed > 1000  # had both in the rollups and in the log
        assert_exact(owner)
    roll_up_all(owner)
    assert_exact(owner)


def test_rolling_up_what_is_not_final_would_be_noticed(
    owner: Connection, database: Database
) -> None:
    """The negative control of the comparison: whoever commits late is missed."""
    Edit("roll_up_metrics", "pg_snapshot_xmin", "pg_snapshot_xmax")(owner)
    with storm(owner, database, rollups=(500_000,), looks="false"):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while owner.execute("SELECT * FROM compare(20)").fetchall()[0].differences == 0:
            assert time.monotonic() < deadline, "nobody has noticed"


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


def test_a_run_takes_no_more_than_it_is_told_and_the_next_goes_on(owner: Connection) -> None:
    for _ in range(30):
        log_holds(owner)
    await_final(owner)
    runs = []
    while lines_not_rolled_up(owner):
        runs.append(roll_up(owner, 7)[RESERVATION_LOG])
        assert created(owner) == 30
    assert runs == [(7, True)] * 4 + [(2, False)]
    assert roll_up(owner, 7) == nothing_done()


def test_a_transaction_is_not_taken_in_parts(owner: Connection) -> None:
    for count in (3, 4, 50, 3):
        log_holds(owner, count)
    await_final(owner)
    # The second does not fit beside the first; the third is too much all by itself.
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


@contextmanager
def held_up(
    owner: Connection, connect: Connect, function: str, by: str
) -> Iterator[tuple[Connection, Future[Any]]]:
    """A session in the middle of a function, waiting for a lock that the statement `by` takes.

    The lock is let go when the block is left.
    """
    session, blocker = enter(connect()), enter(connect())
    with ThreadPoolExecutor() as pool, blocker.transaction(force_rollback=True):
        blocker.execute(by.encode())
        running = pool.submit(session.execute, f"SELECT {function}".encode())
        await_true(
            owner,
            "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s",
            [session.info.backend_pid],
        )
        yield session, running


def test_a_rollup_that_is_killed_has_done_nothing(owner: Connection, connect: Connect) -> None:
    log_holds(owner, 5, at="'2026-01-01 00:00+00'")
    roll_up_all(owner)
    log_holds(owner, 2, at="'2026-01-01 00:00+00'")
    owner.execute("SELECT log_api_request('/', 'GET', 200, 1)")
    await_final(owner)
    marks = owner.execute("SELECT log, watermark FROM metric_watermarks").fetchall()
    # It comes to the minute that somebody else has locked.
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
    """Whoever writes, and has not committed, holds no lock that it needs."""
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


# --- elsewhere ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def elsewhere(cluster: Cluster) -> Iterator[Cluster]:
    """Another server, with the roles of ticketdb. It knows prepared transactions."""
    settings = {"max_prepared_transactions": "5"}
    with private_cluster(cluster.binaries, settings=settings) as other:
        other.create_database("roles")
        migrate.apply(other.dsn("roles"), NAMES)
        yield other


@pytest.fixture
def there(elsewhere: Cluster) -> Iterator[Database]:
    """An empty database of that server."""
    yield from throw_away_database(elsewhere, None)


# One worker has the other server, not each of them one.
on_another_server = pytest.mark.xdist_group("elsewhere")


@on_another_server
def test_a_prepared_transaction_is_counted_once_it_commits(
    elsewhere: Cluster, there: Database, connect: Connect
) -> None:
    migrate.apply(there.cluster.dsn(there.name), NAMES)
    owner = enter(connect(there))
    with closing(enter(psycopg.connect(there.dsn))) as first:
        log_holds(first, 3)
        first.execute("PREPARE TRANSACTION 'three'")
    with closing(enter(psycopg.connect(there.dsn))) as second:
        log_holds(second, 100)
        second.execute("PREPARE TRANSACTION 'hundred'")
    log_holds(owner, 2)
    roll_up(owner)
    assert created(owner) == 2
    elsewhere.restart()
    owner = enter(connect(there))
    roll_up(owner)
    assert created(owner) == 2
    owner.execute("COMMIT PREPARED 'three'")
    assert created(owner) == 5
    roll_up(owner)
    owner.execute("ROLLBACK PREPARED 'hundred'")
    roll_up_all(owner)
    assert created(owner) == 5
    assert_exact(owner)


def next_transaction(connection: Connection) -> int:
    return int(value(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"))


def pass_by(connection: Connection, transaction: int) -> None:
    """Use up transaction numbers of the server, until beyond this one."""
    connection.execute(
        f"""
        DO $$
        BEGIN
            WHILE pg_current_xact_id()::text::bigint <= {transaction} LOOP
                COMMIT;
            END LOOP;
        END
        $$
        """.encode()
    )


def copy(source: Database, target: Database, tmp_path: Path) -> None:
    """Dump a database and restore it into an empty one, with the programs of the server."""
    dump = tmp_path / f"{target.name}.dump"
    for program, database, *arguments in (
        ("pg_dump", source, "--format=custom", f"--file={dump}"),
        ("pg_restore", target, "--single-transaction", "--exit-on-error", dump),
    ):
        done = subprocess.run(
            [
                database.cluster.binaries.bindir / program,
                f"--dbname={database.cluster.dsn(database.name)}",
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def fill(connection: Connection, database: Database) -> None:
    """Something of everything: some rolled up, some not, some committed late, some not at all."""
    hall = make_hall(connection)
    hall.sell(0)
    hall.fail(hall.order(hall.hold(1, session="ben"), "ben"))
    hall.extend(hall.hold(2, session="cleo"), session="cleo")
    assert not hall.reserve(0, session="dora").success
    hall.call(
        "log_api_request", p_endpoint="/", p_method="GET", p_status_code=200, p_duration_ms=7.0
    )
    log_holds(connection, 5, at="now() - interval '40 days'")
    with closing(enter(psycopg.connect(database.dsn))) as late:
        log_holds(late, 7)
        log_holds(connection, 2)
        roll_up(connection)  # up to the late one
        hall.refund(hall.sell(3, session="emil"))
        late.commit()
    await_final(connection)
    # A part of what is left, so that rows in the rollups and others have come in turns.
    roll_up(connection, 4)
    hall.sell(4, session="fay")
    assert lines_not_rolled_up(connection) > 0


def rollup_of(connection: Connection) -> tuple[str, str]:
    """What the view health says of it."""
    (row,) = connection.execute(
        "SELECT status, message FROM health WHERE check_name = 'rollup'"
    ).fetchall()
    return row.status, row.message


def assert_goes_on(connection: Connection, database: Database) -> None:
    """Whatever happens next is counted, once, beside late transactions and rollups."""
    assert_exact(connection)
    hall = make_hall(connection)
    hall.sell(0)
    assert_exact(connection)
    with closing(enter(psycopg.connect(database.dsn))) as late:
        log_holds(late, 3)
        log_holds(connection, 2)
        assert_exact(connection)
        roll_up(connection)
        assert_exact(connection)
        assert_equal(of_the_logs(late, QUESTIONS), of_the_views(late, QUESTIONS))
        with late.transaction():
            log_holds(late)
            assert_equal(of_the_logs(late, QUESTIONS), of_the_views(late, QUESTIONS))
        late.commit()
    assert_exact(connection)
    roll_up_all(connection)
    assert_exact(connection)
    hall.sell(1, session="ben")
    assert_exact(connection)


# How far the transaction counter of the new server is from that of the old, and whether the number
# of the server tells them apart: some hosts keep it to themselves.
COUNTERS = ["lower", "lower, server unknown", "higher", "higher, server unknown"]


@on_another_server
@pytest.mark.parametrize("counter", COUNTERS)
def test_a_restored_database_counts_on(
    owner: Connection,
    database: Database,
    there: Database,
    connect: Connect,
    tmp_path: Path,
    counter: str,
) -> None:
    restored = enter(connect(there))
    is_lower, is_known = counter.startswith("lower"), "unknown" not in counter
    if is_lower:
        pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    if not is_lower:
        pass_by(restored, next_transaction(owner) + 10_000)
    copy(database, there, tmp_path)
    mark = "SELECT min(watermark::text::bigint) FROM metric_watermarks"
    assert (value(restored, mark) > next_transaction(restored) + 1000) is is_lower
    if not is_known:
        restored.execute("UPDATE metric_watermarks SET system_identifier = NULL")

    # What has come with the dump is counted, and what is new may not be: health says so.
    assert_exact(restored)
    assert_restored_is_told(restored, is_lower or is_known)
    before = created(restored)
    log_holds(restored, 7)
    make_hall(restored).sell(0)
    assert created(restored) == (before if is_lower else before + 8)
    purge_history(restored)
    assert_restored_is_told(restored, is_lower or is_known)

    roll_up(restored)
    assert rollup_of(restored)[0] == "OK"
    assert created(restored) == before + 8
    assert_goes_on(restored, there)


@on_another_server
def test_a_restored_database_that_passes_the_old_counter_before_its_first_rollup_counts_on(
    owner: Connection, database: Database, there: Database, connect: Connect, tmp_path: Path
) -> None:
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    copy(database, there, tmp_path)
    restored.execute("UPDATE metric_watermarks SET system_identifier = NULL")
    before = created(restored)
    log_holds(restored, 7)
    pass_by(restored, next_transaction(owner))
    log_holds(restored, 5)
    assert_restored_is_told(restored, is_told=True)
    roll_up(restored)
    assert created(restored) == before + 12
    assert_goes_on(restored, there)


def assert_restored_is_told(connection: Connection, is_told: bool) -> None:
    status, message = rollup_of(connection)
    assert (status, "restored" in message) == (("CRITICAL", True) if is_told else ("OK", False))


@on_another_server
def test_a_database_restored_twice_counts_on(
    owner: Connection,
    database: Database,
    there: Database,
    connect: Connect,
    cluster: Cluster,
    tmp_path: Path,
) -> None:
    """There, with a lower counter, and back again, with a part that is not rolled up each time."""
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    copy(database, there, tmp_path)
    roll_up(restored)
    fill(restored, there)
    for back in throw_away_database(cluster, None):
        copy(there, back, tmp_path)
        home = enter(connect(back))
        assert_exact(home)
        log_holds(home, 7)
        assert_restored_is_told(home, is_told=True)
        roll_up(home)
        assert rollup_of(home)[0] == "OK"
        assert_goes_on(home, back)


@on_another_server
def test_a_dump_taken_while_everybody_is_at_work_counts_on(
    owner: Connection, database: Database, there: Database, connect: Connect, tmp_path: Path
) -> None:
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    with storm(owner, database, rollups=(500_000, 50)):
        roll_up(owner)
        copy(database, there, tmp_path)
    log_holds(restored, 7)
    roll_up(restored)
    assert_goes_on(restored, there)


@on_another_server
def test_a_restored_log_is_adopted_when_nobody_writes_and_gives_up_until_then(
    owner: Connection, database: Database, there: Database, connect: Connect, tmp_path: Path
) -> None:
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    copy(database, there, tmp_path)
    with closing(enter(psycopg.connect(there.dsn))) as writer:
        log_holds(writer, 7)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            roll_up(restored)
        assert_restored_is_told(restored, is_told=True)
        writer.commit()
    roll_up(restored)
    assert_goes_on(restored, there)


def test_a_copy_within_the_server_counts_on_as_if_nothing_had_happened(
    owner: Connection, database: Database, cluster: Cluster
) -> None:
    fill(owner, database)
    owner.close()
    for copied in throw_away_database(cluster, database.name):
        with closing(enter(psycopg.connect(copied.dsn, autocommit=True))) as connection:
            assert rollup_of(connection)[0] == "OK"
            assert_goes_on(connection, copied)


@on_another_server
@pytest.mark.parametrize(
    "sabotage",
    [
        Edit(
            "is_restored_log",
            "IF v_mark.watermark > pg_snapshot_xmax(pg_current_snapshot()) THEN",
            "IF false THEN RETURN false; ELSE RETURN false;",
        ),
        Edit("adopt_restored_log", "restored_id = v_last_id", "restored_id = 0"),
        Edit("adopt_restored_log", "'0'::xid8", "v_mark.watermark"),
        Edit("adopt_restored_log", "v_mark.last_folded_id\n    );", "0\n    );"),
    ],
    ids=[
        "a watermark in the future is not noticed",
        "restored lines are told by their transactions",
        "lines written before the first rollup are left out",
        "lines in the rollups are rolled up again",
    ],
)
def test_a_sabotaged_adoption_is_found_out(
    owner: Connection,
    database: Database,
    there: Database,
    connect: Connect,
    tmp_path: Path,
    sabotage: Edit,
) -> None:
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    roll_up_all(owner)
    log_holds(owner)
    copy(database, there, tmp_path)
    restored.execute("UPDATE metric_watermarks SET system_identifier = NULL")
    sabotage(restored)
    log_holds(restored, 7)
    roll_up(restored)
    # What came with the dump bears numbers that this server has not come to yet, and will.
    pass_by(restored, next_transaction(owner))
    with pytest.raises(DisagreementError):
        assert_goes_on(restored, there)


# --- purging -----------------------------------------------------------------------------------

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
        # As if it had come to this one only.
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


def test_what_happened_to_a_show_is_told_for_as_long_as_its_events_are_kept(
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
    "reservation_minutes": ("minute", "8761 hours", "8761 hours"),
    # For as long as there may be events, which are kept by the month.
    "reservation_show_minutes": ("minute", "100 days", "131 days"),
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
    # Of the words of errors those go that are used no more.
    assert owner.execute("SELECT error_message FROM error_messages").fetchall() == (
        [(str(kept),)] if kept > now - timedelta(days=2) else []
    )
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
        assert purge_history(owner)["reservation_minutes"] == 1


def test_an_error_that_comes_again_while_its_words_are_purged_has_its_words(
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
        roll_up(owner)  # finds the words there, and leaves them alone
        purging = pool.submit(purge_history, other)
        # It takes them away, or waits for the rollup, whichever comes first.
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
    owner: Connection, database: Database, connect: Connect
) -> None:
    """As when somebody brings old events in: the month waits until they are rolled up."""
    log_line(owner, RESERVATION_LOG, moment(owner, -6))
    maintain(owner)
    roll_up_all(owner)
    other = enter(connect())
    with closing(enter(psycopg.connect(database.dsn))) as late, ThreadPoolExecutor() as pool:
        log_line(late, RESERVATION_LOG, moment(owner, -6))
        purging = pool.submit(purge_history, other)
        await_true(
            owner,
            "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s",
            [other.info.backend_pid],
        )
        late.commit()
        purging.result()
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
