"""P6: what the rollup costs the buyers.

P1's load with roll_up_metrics() called beside it, and without. It is scheduled once a minute, and a
slice is shorter than that: here it is called every few seconds, so that its fixed cost counts many
times over. Its cost per event counts once: the events of the last seconds of a slice are left over,
and the first call finds about as many from before.
"""

import contextlib
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.harness import BASE, Bench, Ratio, alternate
from bench.holds import OURS, SPREAD
from bench.report import Fact, Result, Row

CALLS = 3  # of the rollup, in a slice


@dataclass(frozen=True)
class Slice:
    """`per_second`: holds; `calls`: seconds of each call of the rollup; `folded`: its events."""

    per_second: float
    calls: tuple[float, ...]
    folded: int


def slice_of(bench: Bench, *, is_rolled_up: bool) -> Callable[[int], Slice]:
    """Buyers, for as long as CALLS calls with a pause between them take."""
    pause = bench.options.seconds

    def run(pair: int) -> Slice:
        calls: list[float] = []
        folded = 0
        with (
            bench.copy(BASE) as database,
            bench.connect(database) as connection,
            bench.pgbench(
                database,
                (SPREAD, OURS),
                clients=bench.options.spread_clients,
                seconds=CALLS * pause,
                seed=pair,
            ) as buyers,
        ):
            while buyers.process.poll() is None:
                if is_rolled_up:
                    start = time.perf_counter()
                    row = connection.execute(
                        "SELECT sum(logs.events_folded) FROM public.roll_up_metrics() AS logs"
                    ).fetchone()
                    calls.append(time.perf_counter() - start)
                    folded += int(row[0]) if row else 0
                with contextlib.suppress(subprocess.TimeoutExpired):
                    buyers.process.wait(pause)
            load = buyers.finish()
        if load.answers > bench.options.seats // 2:
            raise RuntimeError("all seats were requested within a slice: use a lower --seconds")
        return Slice(load.per_second, tuple(calls), folded)

    return run


def rollup(bench: Bench) -> Iterator[Result]:
    """Buyers with the rollup against buyers without."""
    options = bench.options
    ours, without = alternate(
        options.pairs, slice_of(bench, is_rolled_up=True), slice_of(bench, is_rolled_up=False)
    )
    if not all(measured.folded for measured in ours):
        raise RuntimeError(f"there was nothing to roll up: {ours}")
    rates, others = ([measured.per_second for measured in side] for side in (ours, without))
    yield Row(
        "P6",
        f"hold 2 seats, spread, {options.spread_clients} clients, rolled up every"
        f" {options.seconds} s",
        "the same, not rolled up",
        "/s",
        statistics.median(rates),
        statistics.median(others),
        Ratio.of(rates, others),
        0.95,
    )
    calls = [seconds for measured in ours for seconds in measured.calls]
    yield Fact("P6", "a call of roll_up_metrics() meanwhile", 1000 * statistics.median(calls), "ms")
    folded = [measured.folded / len(measured.calls) for measured in ours]
    yield Fact("P6", "events that it finds", statistics.median(folded), "")
