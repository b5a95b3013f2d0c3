"""Runs of the cleanup: beside another, what they record, and when they fail."""

import psycopg
import pytest
from psycopg import sql

from tests.support.cleaning import (
    hold_each,
    job_health,
    job_status,
    run_cleanup,
    runs,
    stuck_run,
)
from tests.support.databases import Connect, Database
from tests.support.hall import Hall
from tests.support.names import NAMES, OURS
from tests.support.plans import explained
from tests.support.queries import Connection, enter
from tests.support.waiting import await_true


def test_a_run_beside_another_returns_at_once_and_is_recorded_as_skipped(
    house: Hall, connect: Connect
) -> None:
    hold_each(house, 3)
    notices: list[str | None] = []
    owner = house.connection
    owner.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    with stuck_run(house, connect):
        owner.execute("SET statement_timeout = '10s'")
        result = run_cleanup(owner)
        assert notices == ["Another cleanup is running."]
        stuck, skipped = runs(owner)
        assert (stuck.scheduler, stuck.status) == ("stuck", "running")
        assert (skipped.scheduler, skipped.status) == ("external", "skipped")
        assert skipped.error_message == "Another run is at work."
        # What it returns is about itself, and not about the other.
        assert result == (skipped.id, "skipped", 0, 0, 0)
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
    result = run_cleanup(owner, "external", 2)
    (run,) = runs(owner)
    assert result == (run.id, "succeeded", 5, 5, 0)
    assert result == (
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
