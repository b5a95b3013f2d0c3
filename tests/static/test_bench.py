"""What the benchmark makes of what it has measured. The server's part is in behaviour/."""

import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from bench.dashboards import against_query
from bench.harness import HERE, Options, Ratio, alternate, parse_pgbench, percentile
from bench.report import Fact, Result, Row, print_report, share, write_json

REPORT = """\
transaction type: script.sql
number of transactions actually processed: 1234
number of failed transactions: 5 (0.405%)
number of transactions retried: 6 (0.486%)
total number of retries: 7
latency average = 6.480 ms
initial connection time = 9.123 ms
tps = 617.250000 (without initial connection time)
"""
LOG = "0 1 2500 0 1700000000 250000 0\n1 1 failed 0 1700000001 0 100\n1 2 1500 0 1700000002 0 0\n"


def row(values: tuple[float, ...], bar: float | None, *, at_most: bool = False) -> Row:
    return Row("P1", "hold", "the floor", "/s", 1.0, 2.0, Ratio(values), bar, at_most)


def test_report_of_pgbench_is_read() -> None:
    load = parse_pgbench(REPORT, [LOG])
    assert (load.answers, load.per_second) == (1234, 617.25)
    assert (load.failures, load.retries) == (5, 7)
    assert load.latencies == ((1700000000.25, 2.5), (1700000002.0, 1.5))


def test_report_without_the_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="tps"):
        parse_pgbench(REPORT.replace("tps", "tpm"))


def test_sides_take_turns() -> None:
    order: list[str] = []

    def side(name: str, pair: int) -> int:
        order.append(f"{name}{pair}")
        return pair

    first, second = alternate(2, lambda pair: side("a", pair), lambda pair: side("b", -pair))
    assert order == ["a1", "b-1", "a2", "b-2"]
    assert (first, second) == ((1, 2), (-1, -2))


def test_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_the_medians() -> None:
    assert Ratio.of([1, 10, 100], [1, 100, 10]).median == 1
    assert Ratio.of([1, 10, 30], [2, 10, 10]).values == (0.5, 1, 3)
    with pytest.raises(ValueError, match="shorter"):
        Ratio.of([1, 2], [1])


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.991, 100), (1, 100)])
def test_percentile(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_bar_is_judged_by_the_median() -> None:
    assert row((0.1, 0.6, 0.7), 0.6).reached is True
    assert row((0.1, 0.59, 0.7), 0.6).reached is False
    assert row((1.9, 2.0, 9.0), 2.0, at_most=True).reached is True
    assert row((1.9, 2.1, 9.0), 2.0, at_most=True).reached is False
    assert row((0.1,), None).reached is None
    assert Fact("P2", "deadlocks", 1, "", 0).reached is False
    assert Fact("P2", "deadlocks", 0, "", 0).reached is True


def test_table_and_json_say_the_same(tmp_path: Path) -> None:
    results: list[Result] = [
        row((0.5, 0.25, 0.75), 0.6),
        Fact("P4", "the whole run", 12.5, "s", 30),
    ]
    with (console := Console(width=200)).capture() as printed:
        print_report(console, results)
    hold, run = (line for line in printed.get().splitlines() if "P1" in line or "P4" in line)
    assert "0.50" in hold
    assert "0.25–0.75" in hold
    assert "≥ 0.60" in hold
    assert "no" in hold.split("│")[-2]
    assert "yes" in run.split("│")[-2]
    path = tmp_path / "results.json"
    write_json(path, results, Options(), {"version": "15.18"})
    written = json.loads(path.read_text())
    assert [result["reached"] for result in written["results"]] == [False, True]
    assert math.isclose(written["results"][0]["median"], 0.5)
    assert written["results"][0]["ratio"]["values"] == [0.5, 0.25, 0.75]


def test_view_is_judged_against_the_query_that_it_stands_for() -> None:
    judged = against_query("reservation_hold_time", (1.0, 1.0, 9.0), (50.0, 51.0, 51.0))
    assert isinstance(judged, Row)
    assert (judged.against, judged.reached) == ("metric 4 of the guide", True)
    assert against_query("reservation_hold_time", (1.0,), (49.0,)).reached is False
    assert against_query("health", (1.0,), (49.0,)).reached is False


def test_view_of_the_present_has_no_bar_and_says_why() -> None:
    judged = against_query("connection_pool", (1.0,), (1.0,))
    assert isinstance(judged, Row)
    assert (judged.reached, judged.note) == (None, "no bar: reads connections")


def test_view_that_nobody_has_written_a_query_for_is_not_passed_over() -> None:
    judged = against_query("brand_new", (1.0, 2.0, 3.0), None)
    assert isinstance(judged, Fact)
    assert judged.value == 2.0
    assert "brand_new" in judged.what


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (12.345, "12.35"),
        (0.5, "0.50"),
        (0.1, "0.10"),
        (0.02, "0.020"),
        (0.001234, "0.0012"),
        (0.0, "0.00"),
    ],
)
def test_small_ratio_shows_two_digits(ratio: float, shown: str) -> None:
    assert share(ratio) == shown


def test_every_sql_file_says_first_what_it_is_for() -> None:
    files = sorted(HERE.glob("*.sql"))
    assert files
    silent = [file.name for file in files if not file.read_text().startswith("-- ")]
    assert silent == []
