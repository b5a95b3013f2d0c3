"""Cleanup of holds that are over: in bulk, beside buyers, beside another, and when it fails."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from tests.behaviour.conftest import (
    NAMES,
    Connection,
    Hall,
    Row,
    broken_invariants,
    enter,
    make_hall,
)
from tests.behaviour.plans import Plan, explained
from tests.behaviour.racing import AsyncConnection, Call, await_true, deadlocks, racers
from tests.conftest import OURS, Connect, Database

# What the planner knows when a backlog has come about: a sale fills empty tables within minutes,
# and nothing but autovacuum tells it.
STATISTICS = ["none", "of the empty tables", "up to date"]

SEATED = {"show_seats", "seat_reservations", "reservation_seats"}


@pytest.fixture
def owner(connect: Connect) -> Connection:
    return enter(connect())


@pytest.fixture
def house(owner: Connection) -> Hall:
    """Forty seats on sale, in a database that other sessions can enter."""
    return make_hall(owner, seats=40)


def hold_each(hall: Hall, count: int) -> list[Row]:
    """Holds of one seat each that are over, the first the longest."""
    holds = [hall.hold(n, session=f"visitor {n}") for n in range(count)]
    for n, hold in enumerate(holds):
        hall.connection.execute(
            "UPDATE seat_reservations SET expires_at = now() - make_interval(secs => %s)"
            " WHERE id = %s",
            [1000 - n, hold.reservation_id],
        )
    return holds


def make_backlog(
    connection: Connection,
    shows: int,
    holds: int,
    spare: int = 0,
    statistics: str = "up to date",
) -> None:
    """Put shows on sale whose seats, but for `spare` of them, are held in pairs and over.

    In sets, because 20,000 calls would take minutes. One statement, so that the audit trigger sees
    the claims; as a replica, which spares the checks of foreign keys but not that trigger.
    """
    tables = sql.SQL(", ").join(sql.Identifier(name) for name in sorted(SEATED))
    if statistics != "up to date":
        # Or autovacuum would bring some in the middle of the test.
        for name in SEATED:
            connection.execute(
                sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(
                    sql.Identifier(name)
                )
            )
    if statistics == "of the empty tables":
        connection.execute(sql.SQL("ANALYZE {}").format(tables))
    connection.execute("SET session_replication_role = replica")
    connection.execute(
        "INSERT INTO shows (name, starts_at, currency, status)"
        " SELECT 'Show ' || n, now() + interval '1 day', 'EUR', 'on_sale'"
        " FROM generate_series(1, %s) AS n",
        [shows],
    )
    connection.execute(
        "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
        " SELECT id, 'stalls', 'A', n::text, 1000 FROM shows, generate_series(0, %s - 1) AS n"
        " WHERE NOT EXISTS (SELECT FROM show_seats WHERE show_id = shows.id)",
        [2 * holds + spare],
    )
    connection.execute(
        """
        WITH pairs AS MATERIALIZED (
            SELECT show_id, uuid_v7() AS id, array_agg(id) AS seat_ids,
                now() - interval '1 second' - random() * interval '1 hour' AS expires_at
            FROM show_seats
            WHERE seat_number::integer < %s AND status = 'available'
            GROUP BY show_id, seat_number::integer / 2
        ), claimed AS MATERIALIZED (
            SELECT pairs.*, seat.id AS seat_id FROM pairs, unnest(pairs.seat_ids) AS seat (id)
        ), holds AS (
            INSERT INTO seat_reservations (id, show_id, session_id, created_at, expires_at)
            SELECT id, show_id, 'backlog ' || id, expires_at - interval '10 minutes', expires_at
            FROM pairs
        ), claims AS (
            INSERT INTO reservation_seats
                (reservation_id, show_seat_id, show_id, price_in_cents, currency)
            SELECT id, seat_id, show_id, 1000, 'EUR' FROM claimed
        )
        UPDATE show_seats
        SET status = 'reserved', reserved_by = claimed.id, reserved_until = claimed.expires_at
        FROM claimed
        WHERE show_seats.id = claimed.seat_id AND show_seats.show_id = claimed.show_id
        """,
        [2 * holds],
    )
    connection.execute("RESET session_replication_role")
    if statistics == "up to date":
        connection.execute(sql.SQL("ANALYZE {}").format(tables))


def careless_steps(plans: list[Plan]) -> list[str]:
    """Steps whose cost grows with the tables, or with the square of the batch."""
    return [
        f"{node['Node Type']} in {plan.query}"
        for plan in plans
        for node in plan.nodes
        if node["Node Type"] == "Nested Loop"
        or (node["Node Type"] == "Seq Scan" and node["Relation Name"] in SEATED)
    ]


def clean_up(connection: Connection, batch: int | None = None) -> Row:
    statement = "SELECT * FROM cleanup_expired_seat_reservations(%s)"
    if batch is None:
        return connection.execute(statement.replace("%s", "").encode()).fetchone()
    return connection.execute(statement.encode(), [batch]).fetchone()


def runs(connection: Connection) -> list[Row]:
    return connection.execute("SELECT * FROM reservation_cleanup_runs ORDER BY id").fetchall()


def run_cleanup(connection: Connection, *arguments: object) -> Row:
    """What a run returns."""
    placeholders = ", ".join(["%s"] * len(arguments))
    (told,) = connection.execute(
        f"CALL run_reservation_cleanup({placeholders})".encode(), arguments
    ).fetchall()
    return told


def job_health(connection: Connection) -> Row:
    (health,) = connection.execute("SELECT * FROM cleanup_job_health").fetchall()
    return health


def job_status(connection: Connection) -> list[Row]:
    return connection.execute("SELECT * FROM reservation_cleanup_job_status").fetchall()


def test_20000_holds_are_ended_once_while_buyers_go_on(
    database: Database, owner: Connection, connect: Connect
) -> None:
    shows, holds, buyers, spare = 20, 1000, 6, 60
    make_backlog(owner, shows, holds, spare)
    assert broken_invariants(owner) == []
    over = {row.id for row in owner.execute("SELECT id FROM seat_reservations").fetchall()}
    assert len(over) == shows * holds
    free = owner.execute(
        "SELECT show_id, id FROM show_seats WHERE status = 'available' ORDER BY id"
    ).fetchall()
    held = owner.execute(
        "SELECT DISTINCT ON (reserved_by) show_id, id FROM show_seats WHERE status = 'reserved'"
    ).fetchall()
    finished = threading.Event()
    bought: list[Row] = []

    async def buy(number: int, session: AsyncConnection) -> None:
        # Now a seat that nobody has, now one under a hold that cleanup is about to reach.
        mine = zip(free[number::buyers], held[number::buyers], strict=False)
        for step, target in enumerate(target for pair in mine for target in pair):
            if finished.is_set() and step > 20:
                return
            arguments = {
                "p_show_id": target.show_id,
                "p_seat_ids": [target.id],
                "p_session_id": f"buyer {number}/{step}",
            }
            cursor = await session.execute(Call("reserve_seats", arguments).statement())
            (answer,) = await cursor.fetchall()
            bought.append(answer)

    def run_cleanup() -> None:
        try:
            connect().execute("CALL run_reservation_cleanup()")
        finally:
            finished.set()

    with racers(database, buyers) as shoppers, ThreadPoolExecutor() as pool:
        running = pool.submit(run_cleanup)
        shoppers.storm(buy)
        running.result()

    assert {answer.error_code for answer in bought} == {None}
    (run,) = runs(owner)
    during = owner.execute(
        "SELECT count(*) FROM seat_reservations WHERE is_active AND created_at BETWEEN %s AND %s",
        [run.started_at, run.finished_at],
    ).fetchall()[0][0]
    assert during > buyers  # they did go on
    assert run.status == "succeeded"

    ended = owner.execute(
        "SELECT reservation_id, count(*), sum(seat_count) AS seats"
        " FROM seat_reservation_audit_log WHERE event_type = 'expired' GROUP BY reservation_id"
    ).fetchall()
    assert {row.reservation_id for row in ended} == over
    assert {(row.count, row.seats) for row in ended} == {(1, 2)}
    # What cleanup did not end, a buyer did.
    assert 0 < run.reservations_expired <= len(over)
    assert run.seats_released == 2 * run.reservations_expired
    states = owner.execute(
        "SELECT status, count(*) FROM show_seats GROUP BY status ORDER BY status"
    ).fetchall()
    total = shows * (2 * holds + spare)
    assert states == [("available", total - len(bought)), ("reserved", len(bought))]
    assert broken_invariants(owner) == []
    assert deadlocks(database, shoppers.pids) == (0, 0)


@pytest.mark.parametrize("statistics", STATISTICS)
def test_a_batch_is_worked_off_by_index_whatever_the_statistics(
    owner: Connection, statistics: str
) -> None:
    make_backlog(owner, shows=5, holds=400, statistics=statistics)
    with explained(owner) as plans:
        done = clean_up(owner, 1000)
    assert done.total_reservations_expired == 1000
    assert set.union(*(plan.relations for plan in plans)) >= SEATED  # they were all looked at
    assert careless_steps(plans) == []


@pytest.mark.parametrize("statistics", STATISTICS)
def test_a_batch_costs_the_same_however_long_the_backlog(
    database: Database, statistics: str
) -> None:
    costs = []
    for holds in (100, 4000):
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            enter(connection)
            make_backlog(connection, shows=1, holds=holds, statistics=statistics)
            with explained(connection) as plans:
                done = clean_up(connection, 100)
            assert done.total_reservations_expired == 100
        whole = max(plans, key=lambda plan: plan.buffers)
        assert "cleanup_expired_seat_reservations" in whole.query
        costs.append(whole.buffers)
    assert costs[1] < 1.5 * costs[0]
    assert costs[1] < 100 * 150  # a page or two of each index and table, for each row written


def test_careless_plans_would_be_seen(owner: Connection) -> None:
    """The control of the tests above."""
    make_backlog(owner, shows=2, holds=50)
    owner.execute(
        "CREATE FUNCTION careless() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM FROM show_seats WHERE reserved_until < now();"
        " PERFORM FROM seat_reservations AS r, LATERAL (SELECT FROM reservation_seats AS c"
        " WHERE c.reservation_id = r.id OFFSET 0) AS c;"
        " RETURN 1; END $$"
    )
    with explained(owner) as plans:
        owner.execute("SELECT careless()")
    seen = {step.split(" in ")[0] for step in careless_steps(plans)}
    assert seen == {"Seq Scan", "Nested Loop"}


@pytest.mark.parametrize("batch", [0, -1, 100_001, None])
def test_a_batch_size_out_of_bounds_is_refused(house: Hall, batch: int | None) -> None:
    hold_each(house, 1)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="p_batch_size"):
        house.connection.execute("SELECT cleanup_expired_seat_reservations(%s)", [batch])
    assert house.statuses(0) == ["reserved"]


@pytest.mark.parametrize("batch", [1, 100_000])
def test_the_bounds_of_a_batch_size_are_allowed(house: Hall, batch: int) -> None:
    hold_each(house, 2)
    assert clean_up(house.connection, batch).total_reservations_expired == min(batch, 2)


def test_a_batch_ends_the_oldest_and_no_more_than_it_may(house: Hall) -> None:
    holds = hold_each(house, 8)
    first = clean_up(house.connection, 5)
    assert first.total_reservations_expired == first.total_seats_released == 5
    assert set(first.reservation_ids) == {hold.reservation_id for hold in holds[:5]}
    second = clean_up(house.connection, 5)
    assert set(second.reservation_ids) == {hold.reservation_id for hold in holds[5:]}
    assert clean_up(house.connection).reservation_ids == []


def test_holds_that_are_not_over_are_left_alone(house: Hall) -> None:
    hold_each(house, 1)
    live = house.hold(5)
    clean_up(house.connection)
    assert house.reservation(live).status == "active"
    assert house.statuses(0, 5) == ["available", "reserved"]


@pytest.mark.parametrize("locked", [1, 5, 7], ids=["one of it", "all of it", "and more"])
def test_a_locked_hold_is_skipped_and_ended_next_time(
    house: Hall, connect: Connect, locked: int
) -> None:
    """Also when somebody has locked the whole of what would be the first batch, and more."""
    holds = [hold.reservation_id for hold in hold_each(house, 12)]
    somebody = connect()
    with somebody.transaction():
        somebody.execute(
            "SELECT FROM seat_reservations WHERE id = ANY(%s) FOR UPDATE", [holds[:locked]]
        )
        house.connection.execute("SET statement_timeout = '10s'")  # it must not wait
        done = clean_up(house.connection, 5)
        assert set(done.reservation_ids) == set(holds[locked : locked + 5])
        assert house.statuses(*range(locked)) == ["reserved"] * locked
    rest = clean_up(house.connection)
    assert set(rest.reservation_ids) == set(holds) - set(done.reservation_ids)
    assert broken_invariants(house.connection) == []


LOCKS = {
    "a seat": "SELECT FROM show_seats WHERE id = ANY(%(seats)s) FOR UPDATE",
    "a seat, shared": "SELECT FROM show_seats WHERE id = ANY(%(seats)s) FOR SHARE",
    "a seat, changed": "UPDATE show_seats SET price_in_cents = 1 WHERE id = ANY(%(seats)s)",
    "a hold": "SELECT FROM seat_reservations WHERE id = ANY(%(holds)s) FOR UPDATE",
    "a claim": "SELECT FROM reservation_seats WHERE reservation_id = ANY(%(holds)s) FOR UPDATE",
}


@pytest.mark.parametrize("statement", LOCKS.values(), ids=LOCKS)
@pytest.mark.parametrize("by", ["the function", "the job"])
def test_what_somebody_has_locked_keeps_only_its_own_hold_from_being_ended(
    house: Hall, connect: Connect, statement: str, by: str
) -> None:
    """And is ended the next time, whichever of its rows it was."""
    holds = [house.hold(2 * n, 2 * n + 1, session=f"visitor {n}") for n in range(10)]
    for hold in holds:
        house.let_run_out(hold)
    locked = [3, 7]
    somebody, cleaner = enter(connect()), enter(connect())
    cleaner.execute("SET statement_timeout = '10s'")
    call = (
        "SELECT cleanup_expired_seat_reservations()"
        if by == "the function"
        else "CALL run_reservation_cleanup()"
    )
    with somebody.transaction():
        somebody.execute(
            statement.encode(),
            {
                "seats": [house.seats[2 * n + 1] for n in locked],
                "holds": [holds[n].reservation_id for n in locked],
            },
        )
        cleaner.execute(call.encode())
        left = [n for n in range(10) if house.reservation(holds[n]).status == "active"]
        assert left == locked
        assert house.statuses(*range(20)) == [
            "reserved" if n // 2 in locked else "available" for n in range(20)
        ]
    cleaner.execute(call.encode())
    assert {house.reservation(hold).status for hold in holds} == {"expired"}
    assert {run.status for run in runs(house.connection)} <= {"succeeded"}
    assert broken_invariants(house.connection) == []


def test_the_cleanup_gives_back_what_it_cannot_end(house: Hall, connect: Connect) -> None:
    """Also while its caller stays in the transaction: others get at the hold and its free seats."""
    hold = house.hold(0, 1, session="over")
    house.let_run_out(hold)
    other = house.hold(2, session="over, too")
    house.let_run_out(other)
    somebody, cleaner, buyer = enter(connect()), enter(connect()), enter(connect())
    with somebody.transaction():
        somebody.execute("SELECT FROM show_seats WHERE id = %s FOR UPDATE", [house.seats[1]])
        with cleaner.transaction():
            done = clean_up(cleaner)
            assert done.reservation_ids == [other.reservation_id]
            for query, key in (
                ("SELECT FROM seat_reservations WHERE id = %s FOR UPDATE NOWAIT", hold[1]),
                ("SELECT FROM show_seats WHERE id = %s FOR UPDATE NOWAIT", house.seats[0]),
            ):
                buyer.execute(query.encode(), [key])
            # The control: this is how a lock that is held shows.
            with pytest.raises(psycopg.errors.LockNotAvailable):
                buyer.execute(
                    "SELECT FROM show_seats WHERE id = %s FOR UPDATE NOWAIT", [house.seats[2]]
                )


def test_what_cannot_be_ended_is_a_warning_of_the_function(house: Hall) -> None:
    holds = hold_each(house, 9)
    owner = house.connection
    owner.execute(
        "CREATE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'disk on fire'; END $$;"
        "CREATE TRIGGER break_it BEFORE UPDATE ON seat_reservations FOR EACH ROW"
        " WHEN (OLD.session_id = 'visitor 4') EXECUTE FUNCTION break_it()"
    )
    warnings: list[str | None] = []
    owner.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
    done = clean_up(owner)
    assert set(done.reservation_ids) == {hold.reservation_id for hold in holds} - {
        holds[4].reservation_id
    }
    assert warnings == ["Some holds could not be ended: disk on fire"]


def test_two_batches_at_once_take_different_holds(house: Hall, connect: Connect) -> None:
    holds = {hold.reservation_id for hold in hold_each(house, 20)}
    other = enter(connect())
    other.execute("SET statement_timeout = '10s'")
    with house.connection.transaction():
        first = clean_up(house.connection, 10)
        second = clean_up(other, 10)
    taken = [*first.reservation_ids, *second.reservation_ids]
    assert len(taken) == 20
    assert set(taken) == holds
    events = house.log()
    assert sorted(e.reservation_id for e in events if e.event_type == "expired") == sorted(holds)


@dataclass(frozen=True)
class StuckRun:
    """A run that waits in the middle of its first portion."""

    pid: int
    connection: Connection


@contextmanager
def stuck_run(hall: Hall, connect: Connect) -> Iterator[StuckRun]:
    """Start a run, and keep it from going on until the block is left.

    It waits where it writes how far it has come: for holds and seats it would not wait.
    """
    somebody, runner = connect(), enter(connect())
    pid = runner.info.backend_pid
    hall.connection.execute(
        "CREATE FUNCTION wait_for_it() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';"
        "CREATE TRIGGER wait_for_it BEFORE UPDATE ON reservation_cleanup_runs FOR EACH ROW"
        " WHEN (OLD.scheduler = 'stuck' AND NEW.status = 'running')"
        " EXECUTE FUNCTION wait_for_it()"
    )
    with ThreadPoolExecutor() as pool:
        with somebody.transaction():
            somebody.execute("SELECT pg_advisory_xact_lock(1)")
            running = pool.submit(runner.execute, "CALL run_reservation_cleanup('stuck')")
            await_true(
                hall.connection,
                "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s",
                [pid],
            )
            yield StuckRun(pid, runner)
        error = running.exception()
        assert error is None or isinstance(error, psycopg.Error)


def test_a_run_beside_another_returns_at_once_and_is_recorded_as_skipped(
    house: Hall, connect: Connect
) -> None:
    hold_each(house, 3)
    notices: list[str | None] = []
    owner = house.connection
    owner.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    with stuck_run(house, connect):
        owner.execute("SET statement_timeout = '10s'")
        told = run_cleanup(owner)
        assert notices == ["Another cleanup is running."]
        stuck, skipped = runs(owner)
        assert (stuck.scheduler, stuck.status) == ("stuck", "running")
        assert (skipped.scheduler, skipped.status) == ("external", "skipped")
        assert skipped.error_message == "Another run is at work."
        # What it returns is about itself, and not about the other.
        assert told == (skipped.id, "skipped", 0, 0, 0)
        assert [run.status for run in job_status(owner)] == ["skipped", "running"]
        shown = job_status(owner)[1]
        assert (shown.end_time, shown.duration_seconds) == (None, None)
        health = job_health(owner)
        assert (health.has_run, health.runs_24h, health.skipped_runs_24h) == (0, 0, 1)
        assert health.last_run_age_seconds is None
    run = runs(owner)[0]
    assert (run.status, run.reservations_expired, run.seats_released) == ("succeeded", 3, 3)
    assert house.statuses(0, 1, 2) == ["available"] * 3
    health = job_health(owner)
    assert (health.has_run, health.runs_24h, health.skipped_runs_24h) == (1, 1, 1)


def test_a_run_returns_what_it_has_done(house: Hall) -> None:
    hold_each(house, 5)
    owner = house.connection
    told = run_cleanup(owner, "external", 2)
    (run,) = runs(owner)
    assert told == (run.id, "succeeded", 5, 5, 0)
    assert told == (
        run.id,
        run.status,
        run.reservations_expired,
        run.seats_released,
        run.orders_cancelled,
    )


@pytest.mark.default_names
@pytest.mark.parametrize("role", ["a stranger", NAMES.dashboard_role, NAMES.app_role])
def test_nobody_but_the_owner_can_keep_the_cleanup_from_running(
    database: Database, house: Hall, role: str
) -> None:
    """Not by the number of an advisory lock, nor by locking what the runs lock."""
    hold_each(house, 2)
    owner = house.connection
    name = sql.Identifier(role)
    if role == "a stranger":
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    try:
        with psycopg.connect(database.dsn, autocommit=True) as other:
            other.execute(sql.SQL("SET ROLE {}").format(name))
            other.execute("SELECT pg_advisory_lock(hashtextextended('ticketdb cleanup public', 0))")
            enter(other)
            for statement in (
                f"SELECT FROM {OURS[2]}.reservation_cleanup_lock FOR KEY SHARE",
                f"LOCK TABLE {OURS[2]}.reservation_cleanup_lock IN ACCESS SHARE MODE",
                "SELECT FROM reservation_cleanup_runs FOR UPDATE",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), other.transaction():
                    other.execute(statement.encode())
            owner.execute("CALL run_reservation_cleanup()")
            assert house.statuses(0, 1) == ["available"] * 2
            other.execute("SELECT pg_advisory_unlock_all()")
    finally:
        if role == "a stranger":
            owner.execute(sql.SQL("DROP ROLE {}").format(name))
    assert [run.status for run in runs(owner)] == ["succeeded"]


def test_the_owner_who_locks_the_row_is_seen_as_another_run(house: Hall, connect: Connect) -> None:
    """The control of the test above: this is the lock."""
    hold_each(house, 1)
    somebody = enter(connect())
    with somebody.transaction():
        somebody.execute("SELECT FROM reservation_cleanup_lock FOR UPDATE")
        house.connection.execute("CALL run_reservation_cleanup()")
    assert house.statuses(0) == ["reserved"]
    assert [run.status for run in runs(house.connection)] == ["skipped"]


def test_the_row_that_runs_lock_cannot_go(owner: Connection) -> None:
    for statement in (
        "DELETE FROM reservation_cleanup_lock",
        "TRUNCATE reservation_cleanup_lock",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation):
            owner.execute(statement.encode())


def test_a_restore_without_data_is_no_run_that_lasts_for_ever(house: Hall) -> None:
    hold_each(house, 1)
    house.connection.execute(
        "ALTER TABLE reservation_cleanup_lock DISABLE TRIGGER ALL;"
        "DELETE FROM reservation_cleanup_lock;"
        "ALTER TABLE reservation_cleanup_lock ENABLE TRIGGER ALL"
    )
    assert run_cleanup(house.connection).status == "succeeded"
    assert house.statuses(0) == ["available"]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_run_does_its_work_whatever_isolation_the_session_has(
    house: Hall, isolation: str
) -> None:
    hold_each(house, 3)
    house.connection.execute(f"SET default_transaction_isolation = '{isolation}'".encode())
    house.connection.execute("CALL run_reservation_cleanup('external', 1)")
    (run,) = runs(house.connection)
    assert (run.status, run.reservations_expired) == ("succeeded", 3)


def test_a_run_within_a_transaction_is_an_error_before_it_does_anything(house: Hall) -> None:
    hold_each(house, 1)
    with (
        pytest.raises(psycopg.errors.InvalidTransactionTermination),
        house.connection.transaction(),
    ):
        house.connection.execute("CALL run_reservation_cleanup()")
    assert runs(house.connection) == []
    assert house.statuses(0) == ["reserved"]


def test_a_run_works_off_everything_in_committed_batches(house: Hall) -> None:
    hold_each(house, 12)
    house.connection.execute("CALL run_reservation_cleanup('external', 5)")
    (run,) = runs(house.connection)
    assert (run.status, run.reservations_expired, run.seats_released) == ("succeeded", 12, 12)
    assert run.started_at < run.finished_at
    batches = house.connection.execute(
        "SELECT count(*) FROM seat_reservation_audit_log WHERE event_type = 'expired'"
        " GROUP BY xact_id ORDER BY xact_id"
    ).fetchall()
    assert [row.count for row in batches] == [5, 5, 2]


def test_a_run_with_nothing_to_do_is_recorded_too(owner: Connection) -> None:
    owner.execute("CALL run_reservation_cleanup('external')")
    (shown,) = job_status(owner)
    assert (shown.status, shown.scheduler) == ("succeeded", "external")
    assert shown.return_message == "0 reservations expired, 0 seats released"
    assert shown.duration_seconds >= 0


@pytest.mark.parametrize("broken", [[6], [1], [0, 7], [0, 3, 6]], ids=str)
def test_a_hold_that_cannot_be_ended_stops_no_other_and_shows_as_a_failed_run(
    house: Hall, broken: list[int]
) -> None:
    """Neither those after it nor those of its own batch."""
    owner = house.connection
    done = 8 - len(broken)
    holds = hold_each(house, 8)
    owner.execute(
        "CREATE FUNCTION break_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'disk on fire'; END $$"
    )
    owner.execute(
        sql.SQL(
            "CREATE TRIGGER break_it BEFORE UPDATE ON seat_reservations FOR EACH ROW"
            " WHEN (OLD.session_id = ANY({})) EXECUTE FUNCTION break_it()"
        ).format(sql.Literal([f"visitor {n}" for n in broken]))
    )
    with pytest.raises(psycopg.errors.RaiseException, match="cleanup failed: disk on fire"):
        owner.execute("CALL run_reservation_cleanup('external', 3)")
    (run,) = runs(owner)
    assert (run.status, run.error_message) == ("failed", "disk on fire")
    assert (run.reservations_expired, run.seats_released) == (done, done)
    (shown,) = job_status(owner)
    assert (shown.status, shown.return_message) == ("failed", "disk on fire")
    assert shown.end_time is not None
    assert house.statuses(*range(8)) == [
        "reserved" if n in broken else "available" for n in range(8)
    ]

    owner.execute("DROP TRIGGER break_it ON seat_reservations")
    owner.execute("CALL run_reservation_cleanup()")
    assert [row.status for row in job_status(owner)] == ["succeeded", "failed"]
    assert {house.reservation(hold).status for hold in holds} == {"expired"}
    assert house.events().count("expired") == 8


def test_a_run_whose_server_process_was_ended_is_marked_failed_by_the_next(
    house: Hall, connect: Connect
) -> None:
    hold_each(house, 3)
    owner = house.connection
    with stuck_run(house, connect) as stuck:
        owner.execute("SELECT pg_terminate_backend(%s, 10000)", [stuck.pid])
    assert [run.status for run in runs(owner)] == ["running"]
    owner.execute("CALL run_reservation_cleanup()")
    gone, next_run = runs(owner)
    assert (gone.status, gone.reservations_expired) == ("failed", 0)
    assert "gone" in gone.error_message
    assert (next_run.status, next_run.reservations_expired) == ("succeeded", 3)
    assert [row.status for row in job_status(owner)] == ["succeeded", "failed"]


def test_a_run_that_was_cancelled_does_not_stay_running(house: Hall, connect: Connect) -> None:
    """A statement timeout does the same, and the session lives on."""
    hold_each(house, 3)
    owner = house.connection
    with stuck_run(house, connect) as stuck:
        owner.execute("SELECT pg_cancel_backend(%s)", [stuck.pid])
        await_true(owner, "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = %s", [stuck.pid])
    owner.execute("CALL run_reservation_cleanup()")
    assert [run.status for run in runs(owner)] == ["failed", "succeeded"]


def test_a_run_whose_server_process_lives_is_not_marked_failed(
    house: Hall, connect: Connect
) -> None:
    """The control: one that has not taken the lock yet, say."""
    connect().execute("INSERT INTO reservation_cleanup_runs (scheduler) VALUES ('elsewhere')")
    house.connection.execute("CALL run_reservation_cleanup()")
    assert [run.status for run in runs(house.connection)] == ["running", "succeeded"]


def test_the_status_view_shows_the_last_ten_runs_newest_first(owner: Connection) -> None:
    for number in range(12):
        owner.execute("CALL run_reservation_cleanup(%s)", [f"run {number}"])
    shown = job_status(owner)
    assert [row.scheduler for row in shown] == [f"run {number}" for number in range(11, 1, -1)]
    assert {row.jobname for row in shown} == {NAMES.cleanup_job}


def test_the_status_view_does_not_read_the_whole_history(owner: Connection) -> None:
    owner.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)"
        " SELECT 'external', now() - make_interval(mins => n), now(), 'succeeded'"
        " FROM generate_series(20000, 1, -1) AS n"
    )
    for statistics in ("", "ANALYZE reservation_cleanup_runs"):
        owner.execute(statistics.encode() or b"SELECT 1")
        with explained(owner) as plans:
            assert len(job_status(owner)) == 10
            owner.execute("CALL run_reservation_cleanup()")
        reads = [plan for plan in plans if "reservation_cleanup_runs" in plan.relations]
        assert reads
        assert [plan.query for plan in reads if plan.buffers > 100] == []
        assert [
            plan.query
            for plan in reads
            for node in plan.nodes
            if (node["Node Type"], node.get("Relation Name"))
            == ("Seq Scan", "reservation_cleanup_runs")
        ] == []
