"""The cost of the ingredients of a hold: ours without one ingredient, against ours, in turn.

Measured is the CPU time of the server process of one connection, which other load on the machine
distorts least. The cost of an ingredient is 1 minus its ratio. Linux only.
"""

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.harness import BASE, HERE, Bench, Connection, Ratio, alternate
from bench.holds import FLOOR, OURS
from bench.records import as_psycopg
from bench.report import Result, Row

WARM = 100  # calls until the plans have been made and kept
NAME = "profile_without_"
DATABASE = "bench_without"


def cpu_microseconds(connection: Connection) -> float:
    """The CPU time of the connection's server process so far."""
    schedstat = Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text(encoding="ascii")
    return int(schedstat.split()[0]) / 1000


def cost_of(bench: Bench, template: str, call: str) -> Callable[[int], float]:
    """Microseconds of CPU a call."""

    calls = bench.options.profiled_calls

    def run(_pair: int) -> float:
        with bench.copy(template) as database, bench.connect(database) as connection:
            connection.prepare_threshold = 0
            spent = 0.0
            for number in range(WARM + calls):
                if number == WARM:
                    spent = cpu_microseconds(connection)
                statement, values = as_psycopg(call, number, bench.options)
                connection.execute(statement, values)
            return (cpu_microseconds(connection) - spent) / calls

    return run


def profile(bench: Bench) -> Iterator[Result]:
    """CPU of a hold without one ingredient."""
    pairs = bench.options.pairs
    ours, floor = alternate(pairs, cost_of(bench, BASE, OURS), cost_of(bench, BASE, FLOOR))
    yield compare("hold 2 seats", "the floor", ours, floor)
    for script in sorted(HERE.glob(f"{NAME}*.sql")):
        bench.prepare(DATABASE, BASE, script.name)
        without, ours = alternate(pairs, cost_of(bench, DATABASE, OURS), cost_of(bench, BASE, OURS))
        ingredient = script.stem.removeprefix(NAME).replace("_", " ")
        yield compare(f"without {ingredient}", "ours", without, ours)


def compare(what: str, against: str, one: tuple[float, ...], other: tuple[float, ...]) -> Row:
    return Row(
        "CPU",
        what,
        against,
        "µs",
        statistics.median(one),
        statistics.median(other),
        Ratio.of(one, other),
    )
