"""The cleanup ends overdue holds: in bulk, beside buyers, and beside locks."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.support.cleaning import (
    SEATED,
    careless_steps,
    clean_up,
    hold_each,
    make_backlog,
    runs,
)
from tests.support.databases import Connect, Database
from tests.support.hall import Hall
from tests.support.plans import STATISTICS, explained
from tests.support.queries import Connection, Row, broken_invariants, enter
from tests.support.racing import AsyncConnection, Call, deadlocks, racers


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
