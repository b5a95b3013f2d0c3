"""The benchmark runs, on sizes that say nothing about speed, and notices what must not happen."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

import bench.cleanup
import bench.migrations
import bench.rollup
from bench.__main__ import MEASURES, app
from bench.dashboards import (
    DAY,
    FUNCTION,
    TENTH,
    fill,
    query_of,
    raw_query,
    roll_up,
    views,
    write_events,
)
from bench.harness import BASE, EMPTY, HERE, Bench, Options, running
from bench.holds import FLOOR, HOT, OURS, SPREAD, last_event, outcome, slice_of
from bench.profile import DATABASE, NAME, cost_of
from bench.report import Fact, Row
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate import commands
from ticketdb.paths import shipped_tree
from ticketdb.private_server import Cluster

# The benchmark has a server of its own, with names of its own choice.
pytestmark = [pytest.mark.xdist_group("bench"), pytest.mark.default_names]

TINY = Options(
    pairs=1,
    seconds=1,
    seats=40_000,
    shows=2,
    over_holds=200,
    row_by_row_holds=50,
    spread_clients=2,
    hot_clients=4,
    buying_clients=2,
    profiled_calls=20,
    events=5_000,
)


@pytest.fixture(scope="module")
def tiny(cluster: Cluster) -> Iterator[Bench]:
    """The benchmark's own durable server, of the version that the tests run on."""
    with running(cluster.binaries, TINY) as bench_:
        yield bench_


@pytest.mark.parametrize("name", MEASURES)
def test_measure_runs(tiny: Bench, name: str) -> None:
    results = list(MEASURES[name](tiny))
    assert results
    for result in results:
        if isinstance(result, Row):
            assert len(result.ratio.values) == TINY.pairs
            assert result.ours > 0
            assert result.theirs > 0
        else:
            assert isinstance(result, Fact)


@pytest.mark.parametrize("script", [path.name for path in sorted(HERE.glob(f"{NAME}*.sql"))])
def test_profile_leaves_out_what_it_says_and_seats_are_still_held(tiny: Bench, script: str) -> None:
    tiny.prepare(DATABASE, BASE, script)
    measured = slice_of(tiny, DATABASE, SPREAD, OURS, 1)(1)
    assert measured.load.answers > 0
    assert measured.outcome.refused == 0


def test_profile_counts_the_cpu_of_the_server(tiny: Bench) -> None:
    assert 10 < cost_of(tiny, BASE, OURS)(1) < 1_000_000


def test_spread_buyers_never_want_the_same_seat(tiny: Bench) -> None:
    measured = slice_of(tiny, BASE, SPREAD, OURS, 2)(1)
    assert measured.outcome.won == measured.load.answers > 0
    assert measured.outcome.refused == 0


def test_slice_that_runs_out_of_seats_is_refused(tiny: Bench) -> None:
    small = replace(tiny, options=replace(TINY, seats=20))
    with pytest.raises(RuntimeError, match="use a lower --seconds"):
        slice_of(small, BASE, SPREAD, OURS, 1)(1)


def test_load_that_checks_nothing_sells_twice_and_is_noticed(tiny: Bench) -> None:
    with pytest.raises(RuntimeError, match="two winners"):
        slice_of(tiny, BASE, HOT, FLOOR, 4)(1)


def test_seat_is_won_again_after_it_was_given_back_but_not_before(tiny: Bench) -> None:
    def won_twice(*events: str) -> int:
        with tiny.copy(BASE) as database, tiny.connect(database) as connection:
            since = last_event(connection, "floor")
            for event in events:
                connection.execute(
                    "INSERT INTO floor.seat_reservation_audit_log (event_type, show_id, seat_ids)"
                    " VALUES (%s, gen_random_uuid(), ARRAY[%s::uuid])",
                    (event, "0" * 32),
                )
            return outcome(connection, "floor", since, "0/0").double_winners

    assert won_twice("created", "released", "created") == 0
    assert won_twice("created", "failed", "created") == 1


def test_calls_that_fail_are_not_measured(tiny: Bench) -> None:
    with pytest.raises(RuntimeError, match="does not exist"):
        slice_of(tiny, BASE, SPREAD, "call_advisory_lock.sql", 1)(1)


def test_cleanup_that_leaves_holds_is_noticed(tiny: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.cleanup, "ended_holds", lambda _connection: TINY.over_holds - 1)
    with pytest.raises(RuntimeError, match="left overdue holds"):
        list(bench.cleanup.cleanup(tiny))


STATISTICS = (
    "total_created, total_completed, total_expired, total_released, total_extended, total_failed,"
    " round(avg_hold_seconds), round(expiration_rate * 1e6)"
)
EVENTS_OF_AN_HOUR = (
    "reservations_created, reservations_completed, reservations_expired, reservations_failed"
)


def noticed(
    tiny: Bench, monkeypatch: pytest.MonkeyPatch, *statements: str
) -> bench.migrations.Slice:
    """What P9 says about buyers under whom this is run in place of migrations."""

    def changes(dsn: str, *_: object) -> Iterator[tuple[str, Callable[[], object]]]:
        def run() -> None:
            with psycopg.connect(dsn, autocommit=True) as connection:
                for statement in statements:
                    connection.execute(statement.encode())

        yield "meanwhile", run

    monkeypatch.setattr(bench.migrations, "changes", changes)
    return bench.migrations.slice_of_buyers(tiny, shipped_tree(), 1)


def test_buyers_who_are_kept_waiting_are_noticed(
    tiny: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = "DO 'BEGIN LOCK TABLE public.show_seats; PERFORM pg_sleep(0.6); END'"
    measured = noticed(tiny, monkeypatch, block)
    assert measured.failed == 0
    assert measured.longest["meanwhile"] > bench.migrations.LONGEST_MS


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("DROP ROUTINE public.reserve_seats", id="call that raises an error"),
        pytest.param(
            "ALTER TABLE public.reservation_seats ADD CHECK (price_in_cents < 0) NOT VALID",
            id="error that is returned",
        ),
    ],
)
def test_calls_that_a_migration_makes_fail_are_noticed(
    change: str, tiny: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = "SELECT pg_sleep(0.2)"  # buyers meet what has been done
    assert noticed(tiny, monkeypatch, change, wait).failed > 0


def test_an_installation_that_did_not_come_to_its_end_is_not_measured(tiny: Bench) -> None:
    half = partial(commands.apply, variables=Variables(), to="0002")
    with pytest.raises(RuntimeError, match="not at"):
        bench.migrations.into_new_database(tiny, half, 1)


@pytest.fixture(scope="module")
def half_a_day(tiny: Bench) -> str:
    """A database in which every event is in every window of 24 hours: not one lies at its edge."""
    name = "bench_half_a_day"
    tiny.prepare(name, EMPTY, "day.sql")
    write_events(tiny, {name: TINY.events}, first=0, minutes=12 * 60)
    with tiny.connect(name) as connection:
        roll_up(connection)
    return name


def test_day_has_the_events_that_were_asked_for(tiny: Bench) -> None:
    list(fill(tiny))
    for database, number in ((DAY, TINY.events), (TENTH, TINY.events // 10)):
        with tiny.connect(database) as connection:
            mix = connection.execute(
                "SELECT event_type, count(*) FROM seat_reservation_audit_log GROUP BY event_type"
            ).fetchall()
            (in_order,) = connection.execute(
                "SELECT bool_and(created_at >= before) FROM (SELECT created_at, lag(created_at)"
                " OVER (ORDER BY id) AS before FROM seat_reservation_audit_log) AS event"
            ).fetchone() or (None,)
            (hours,) = connection.execute(
                "SELECT extract(EPOCH FROM max(created_at) - min(created_at)) / 3600"
                " FROM seat_reservation_audit_log"
            ).fetchone() or (None,)
        assert dict(mix) == {
            "created": number * 40 // 100,
            "failed": number * 16 // 100,
            "completed": number * 184 // 1000,
            "expired": number * 132 // 1000,
            "released": number * 84 // 1000,
            "extended": number * 4 // 100,
        }
        assert in_order
        assert hours is not None
        assert 23.8 < hours < 24


@pytest.mark.parametrize(
    ("view", "columns", "raw_columns"),
    [
        (FUNCTION, STATISTICS, STATISTICS),
        (
            "reservation_success_rate WHERE time_window = '24h'",
            "succeeded, race_conditions, system_errors",
            "total_attempts, race_conditions, system_errors",
        ),
        ("double_booking_attempts WHERE time_window = '24h'", "attempts", "count"),
        (
            "reservation_expiration_rate WHERE time_window = '24h'",
            "total_created, total_completed, total_expired",
            "total_created, total_completed, total_expired",
        ),
        ("active_reservations", "*", "*"),
        (
            "payment_failures WHERE time_window = '24h'",
            "total_orders, failed_orders",
            "total_orders, failed_orders",
        ),
        (
            "realtime_dashboard",
            "active_reservations, tickets_sold_today, revenue_today_cents",
            "active_reservations, tickets_sold_today, revenue_today * 100",
        ),
        ("revenue_today", "currency, revenue_cents, orders_paid", "*"),
        (
            "hourly_metrics WHERE reservations_created > 0",
            f"time, {EVENTS_OF_AN_HOUR}",
            f"hour, {EVENTS_OF_AN_HOUR}",
        ),
        # Not the messages: which of several that came equally often is tenth is left to chance.
        ("top_errors", "occurrences", "occurrences"),
        (
            "extension_trends WHERE extensions > 0",
            "extensions, unique_reservations",
            "extensions, unique_reservations",
        ),
    ],
)
def test_view_and_its_query_give_the_same_numbers(
    tiny: Bench, half_a_day: str, view: str, columns: str, raw_columns: str
) -> None:
    name, where, condition = view.partition(" WHERE ")
    title_and_query = raw_query(name)
    assert title_and_query
    ask, raw = query_of(name).decode(), title_and_query[1].decode()
    with tiny.connect(half_a_day) as connection:
        ours = connection.execute(
            f"SELECT {columns} FROM ({ask}) AS ours{where}{condition}".encode()
        ).fetchall()
        theirs = connection.execute(
            f"SELECT {raw_columns} FROM ({raw}) AS theirs".encode()
        ).fetchall()
    assert ours
    assert sorted(ours) == sorted(theirs)


def test_every_query_of_the_log_belongs_to_a_view(tiny: Bench, half_a_day: str) -> None:
    with tiny.connect(half_a_day) as connection:
        measured = views(connection)
    files = {path.stem.removeprefix("raw_") for path in HERE.glob("raw_*.sql")}
    assert files <= set(measured)
    assert FUNCTION in files


def test_day_that_the_disk_has_no_room_for_is_refused_before_anything_is_written(
    tiny: Bench,
) -> None:
    huge = replace(tiny, options=replace(TINY, events=10**15))
    with pytest.raises(TicketdbError, match="fewer with --events") as refused:
        list(fill(huge))
    assert refused.value.code == "E_NO_ROOM"


def test_rollup_that_does_not_add_up_is_noticed(tiny: Bench, half_a_day: str) -> None:
    with tiny.connect(half_a_day) as connection, connection.transaction(force_rollback=True):
        connection.execute(
            "UPDATE ticketdb.reservation_minutes_all SET created = created + 1"
            " WHERE minute = (SELECT max(minute) FROM ticketdb.reservation_minutes_all)"
        )
        with pytest.raises(RuntimeError, match="the rollup has"):
            roll_up(connection)


def test_rollup_without_anything_to_fold_is_noticed(
    tiny: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = bench.rollup.Slice(1.0, (0.1,), 0)
    monkeypatch.setattr(bench.rollup, "slice_of", lambda *_args, **_kwargs: lambda _pair: idle)
    with pytest.raises(RuntimeError, match="nothing to roll up"):
        list(bench.rollup.rollup(tiny))


def test_unknown_measure_is_refused() -> None:
    outcome_ = CliRunner().invoke(app, ["--only", "P1,P99"])
    assert outcome_.exit_code == 2
    assert "P99" in outcome_.output


def test_command_prints_the_table_and_writes_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.__main__.QUICK", TINY)
    path = tmp_path / "results.json"
    done = CliRunner().invoke(app, ["--quick", "--only", "P1", "--json", str(path)])
    assert done.exit_code == 0, done.output
    assert "the floor" in done.output
    written = json.loads(path.read_text())
    assert written["server"]["settings"]["autovacuum"] == "off"
    assert {result["key"] for result in written["results"]} == {"P1", ""}
