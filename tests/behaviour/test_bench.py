"""The benchmark runs, on sizes that say nothing about speed, and notices what must not happen."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bench.cleanup
from bench.__main__ import MEASURES, app
from bench.harness import BASE, HERE, Bench, Options, running
from bench.holds import FLOOR, HOT, OURS, SPREAD, last_event, outcome, slice_of
from bench.profile import DATABASE, NAME, cost_of
from bench.report import Fact, Row
from ticketdb.cluster import Cluster

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


def test_spread_buyers_are_never_in_each_others_way(tiny: Bench) -> None:
    measured = slice_of(tiny, BASE, SPREAD, OURS, 2)(1)
    assert measured.outcome.won == measured.load.answers > 0
    assert measured.outcome.refused == 0


def test_slice_that_runs_out_of_seats_is_refused(tiny: Bench) -> None:
    small = replace(tiny, options=replace(TINY, seats=20))
    with pytest.raises(RuntimeError, match="use --seconds"):
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
    with pytest.raises(RuntimeError, match="left holds"):
        list(bench.cleanup.cleanup(tiny))


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
