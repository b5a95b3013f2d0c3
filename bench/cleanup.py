"""P4: ending many overdue holds, while buyers continue to buy.

The bar is against a loop that ends and commits one hold at a time: like ours, it makes no buyer
wait for long. Beside it, without a bar, the same loop with a commit every 500 holds, which is
faster than either and slows the buyers down.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.harness import BASE, Bench, Buyers, Connection, Ratio, alternate, percentile
from bench.report import Fact, Result, Row

DATABASE = "bench_over"
COMMIT_EVERY = 500


@dataclass(frozen=True)
class Slice:
    """`seconds`: from start to end; `ended`: holds; `p99`: of the buyers' calls meanwhile, ms."""

    seconds: float
    ended: int
    p99: float


def ended_holds(connection: Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM public.seat_reservations AS hold WHERE hold.status = 'expired'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def last_line(connection: Connection) -> int:
    """The highest id in the log of holds."""
    row = connection.execute(
        "SELECT COALESCE(max(event.id), 0) FROM public.seat_reservation_audit_log AS event"
    ).fetchone()
    assert row is not None
    return int(row[0])


def until_they_buy(connection: Connection, buyers: Buyers) -> None:
    """Wait until all clients have connected and planned: the log has some hundred new rows."""
    enough = last_line(connection) + 100 * buyers.bench.options.buying_clients
    while last_line(connection) < enough:
        if buyers.process.poll() is not None:
            raise RuntimeError(f"pgbench has ended: {buyers.finish()}")
        time.sleep(0.01)


def slice_of(bench: Bench, work: Callable[[Connection], object]) -> Callable[[int], Slice]:
    """A slice in which `work` is done while buyers continue; only its own time is measured."""
    options = bench.options

    def run(pair: int) -> Slice:
        with (
            bench.copy(DATABASE) as database,
            bench.connect(database) as connection,
            bench.pgbench(
                database,
                ("choose_spread.sql", "call_ours.sql"),
                clients=options.buying_clients,
                seconds=3600,
                seed=pair,
            ) as buyers,
        ):
            until_they_buy(connection, buyers)
            start = time.time()
            work(connection)
            end = time.time()
            load = buyers.stop()
            meanwhile = [ms for at, ms in load.latencies if start <= at - ms / 1e3 and at <= end]
            return Slice(end - start, ended_holds(connection), percentile(meanwhile, 0.99))

    return run


def cleanup(bench: Bench) -> Iterator[Result]:
    """Ours against a loop over holds, and buyers beside ours against buyers alone."""
    options = bench.options
    bench.prepare(DATABASE, BASE, "over_holds.sql", "cleanup_row_by_row.sql")

    def row_by_row(commit_every: int) -> Callable[[Connection], object]:
        return lambda connection: connection.execute(
            "CALL row_by_row.cleanup(%s, %s)", (options.row_by_row_holds, commit_every)
        )

    ours, batched, one_by_one, quiet = alternate(
        options.pairs,
        slice_of(
            bench, lambda connection: connection.execute("CALL public.run_reservation_cleanup()")
        ),
        slice_of(bench, row_by_row(COMMIT_EVERY)),
        slice_of(bench, row_by_row(1)),
        slice_of(bench, lambda _connection: time.sleep(options.seconds)),
    )
    if any(measured.ended != options.over_holds for measured in ours):
        raise RuntimeError(f"cleanup left overdue holds: {ours}")

    def rates(slices: tuple[Slice, ...]) -> list[float]:
        return [measured.ended / measured.seconds for measured in slices]

    for slices, every, bar in (
        (one_by_one, "hold", 5.0),
        (batched, f"{COMMIT_EVERY} holds", None),
    ):
        yield Row(
            "P4",
            f"end {options.over_holds:,} overdue holds",
            f"row by row, commit every {every}",
            "/s",
            statistics.median(rates(ours)),
            statistics.median(rates(slices)),
            Ratio.of(rates(ours), rates(slices)),
            bar,
        )
    for what, slices, limit in (
        ("p99 of buyers, during cleanup", ours, 2.0),
        ("p99 of buyers, during row by row (commit each)", one_by_one, None),
        ("p99 of buyers, during row by row (batches)", batched, None),
    ):
        p99 = [measured.p99 for measured in slices]
        alone = [measured.p99 for measured in quiet]
        yield Row(
            "P4",
            what,
            "without",
            "ms",
            statistics.median(p99),
            statistics.median(alone),
            Ratio.of(p99, alone),
            limit,
            at_most=True,
        )
    yield Fact(
        "P4", "the whole run, longest", max(measured.seconds for measured in ours), "s", 30.0
    )
