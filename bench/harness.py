"""A durable private server, identical databases for every slice, pgbench, and slices in turn.

A slice is some seconds of one load on a database of its own, copied from a prepared one: each
slice starts from the same pages, the same statistics, the same counters. Loads are compared by
running their slices in turn (A B A B …); a ratio is the median over the pairs.
"""

import math
import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from ticketdb.config import Variables
from ticketdb.errors import ExitStatus, TicketdbError
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster, ServerBinaries, private_cluster

HERE = Path(__file__).parent
EMPTY = "bench_empty"
BASE = "bench_base"

# Durability as PostgreSQL ships it: fsync, synchronous_commit and full_page_writes stay on.
# Checkpoints and autovacuum would run in some slices and not in others: they run in none, for all
# sides alike.
SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "60min",
    "autovacuum": "off",
}

# A call that deadlocks or cannot be serialized is made again, as an application would.
MAX_TRIES = 100

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Options:
    """Sizes of a run. `pairs`: slices of each side; `seconds`: length of one.

    `events`: of holds, in the day that P5 reads.
    """

    pairs: int = 5
    seconds: int = 4
    seats: int = 200_000
    shows: int = 10
    over_holds: int = 100_000
    row_by_row_holds: int = 20_000
    spread_clients: int = 8
    hot_clients: int = 64
    buying_clients: int = 4
    profiled_calls: int = 2_000
    events: int = 10_000_000


QUICK = Options(
    pairs=1,
    seconds=1,
    seats=60_000,
    over_holds=5_000,
    row_by_row_holds=1_000,
    profiled_calls=200,
    events=100_000,
)


@dataclass(frozen=True)
class Load:
    """The result of a run of pgbench. `latencies`: (Unix time of the end, milliseconds) a call."""

    answers: int
    per_second: float
    retries: int = 0
    failures: int = 0
    latencies: tuple[tuple[float, float], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Bench:
    """The running server, and the sizes of this run."""

    cluster: Cluster
    options: Options

    def connect(self, database: str = "postgres") -> Connection:
        return psycopg.connect(self.cluster.dsn(database), autocommit=True)

    def prepare(self, name: str, template: str, *scripts: str) -> None:
        """Create database `name` from `template` and run files of SQL in it: a template for slices.

        The scripts read the sizes of the run from the settings bench.*.
        """
        self.drop(name)
        self.cluster.create_database(name, template)
        with self.connect(name) as connection:
            for size in ("seats", "shows", "over_holds"):
                value = str(getattr(self.options, size))
                connection.execute("SELECT set_config(%s, %s, false)", (f"bench.{size}", value))
            for script in scripts:
                connection.execute(read(script).encode())
            connection.execute("VACUUM (FREEZE, ANALYZE)")

    @contextmanager
    def copy(self, template: str) -> Iterator[str]:
        """A copy of a prepared database, on disk and in memory, warmed up after a checkpoint."""
        name = f"{template}_slice"
        self.drop(name)
        with self.connect() as connection:
            # Copying files ends with a checkpoint.
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        try:
            with self.connect(name) as connection:
                connection.execute(read("warm_up.sql").encode())
            yield name
        finally:
            self.drop(name)

    def drop(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    @contextmanager
    def pgbench(
        self,
        database: str,
        scripts: Sequence[str],
        *,
        clients: int,
        seconds: int,
        seed: int,
        settings: Mapping[str, str] | None = None,
    ) -> Iterator["Buyers"]:
        """Start clients that run the scripts, joined into one, repeatedly, in prepared mode."""
        with tempfile.TemporaryDirectory(prefix="ticketdb-bench-") as folder:
            script = Path(folder, "script.sql")
            script.write_text("\n".join(read(name) for name in scripts), encoding="utf-8")
            options = " ".join(f"-c {name}={value}" for name, value in (settings or {}).items())
            process = subprocess.Popen(
                [
                    pgbench_program(self.cluster.binaries),
                    "--no-vacuum",
                    "--protocol=prepared",
                    f"--client={clients}",
                    f"--jobs={min(clients, 2)}",
                    f"--time={seconds}",
                    f"--random-seed={seed}",
                    f"--max-tries={MAX_TRIES}",
                    "--log",
                    f"--log-prefix={folder}/latency",
                    "--define=n=-1",
                    f"--define=clients={clients}",
                    f"--define=seats={self.options.seats}",
                    f"--define=shows={self.options.shows}",
                    f"--file={script}",
                    self.cluster.dsn(
                        database, application_name="ticketdb bench", options=options or None
                    ),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                yield Buyers(self, process, Path(folder))
            finally:
                process.kill()
                process.communicate()

    def run(
        self,
        database: str,
        scripts: Sequence[str],
        *,
        clients: int,
        seed: int,
        settings: Mapping[str, str] | None = None,
    ) -> Load:
        """Run the scripts for the length of a slice."""
        with self.pgbench(
            database,
            scripts,
            clients=clients,
            seconds=self.options.seconds,
            seed=seed,
            settings=settings,
        ) as buyers:
            return buyers.finish()


@dataclass(frozen=True)
class Buyers:
    """A running pgbench."""

    bench: Bench
    process: subprocess.Popen[str]
    folder: Path

    def finish(self, *, stopped: bool = False) -> Load:
        """Wait for the end. Raises RuntimeError if a call failed, in spite of retries."""
        output, errors = self.process.communicate()
        if not stopped and (self.process.returncode != 0 or "aborted" in errors):
            raise RuntimeError(f"pgbench failed: {errors.strip()[-2000:]}")
        # If its connections are terminated, it exits with 2 and still prints its report.
        logs = [path.read_text() for path in sorted(self.folder.glob("latency*"))]
        return parse_pgbench(output, logs)

    def stop(self) -> Load:
        """End it now, by ending its connections: after a signal it would write no logs."""
        with self.bench.connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(activity.pid) FROM pg_stat_activity AS activity"
                " WHERE activity.application_name = 'ticketdb bench'"
            )
        return self.finish(stopped=True)


def pgbench_program(binaries: ServerBinaries) -> Path:
    """Beside the server's programs, or on the path. Raises TicketdbError E_NO_PGBENCH."""
    beside = binaries.bindir / "pgbench"
    found = beside if beside.exists() else shutil.which("pgbench")
    if found is None:
        raise TicketdbError(
            "E_NO_PGBENCH",
            ExitStatus.UNREACHABLE,
            f"no pgbench in {binaries.bindir} nor on the path - install the contrib package of your"
            " PostgreSQL",
        )
    return Path(found)


def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def parse_pgbench(output: str, logs: Sequence[str] = ()) -> Load:
    """The numbers of a pgbench report and of its logs. Raises ValueError if one is missing.

    A line of a log: client, number, microseconds or "failed", script, seconds, microseconds, …
    """

    def number(pattern: str, default: str | None = None) -> str:
        match = re.search(pattern, output, re.MULTILINE)
        found = match[1] if match else default
        if found is None:
            raise ValueError(f"pgbench printed nothing like {pattern!r}: {output}")
        return found

    latencies = []
    for line in "".join(logs).splitlines():
        _client, _number, microseconds, _script, seconds, fraction, *_rest = line.split(" ")
        if microseconds.isdigit():
            latencies.append((int(seconds) + int(fraction) / 1e6, int(microseconds) / 1e3))
    return Load(
        answers=int(number(r"^number of transactions actually processed: (\d+)")),
        per_second=float(number(r"^tps = ([\d.]+) \(without")),
        retries=int(number(r"^total number of retries: (\d+)", "0")),
        failures=int(number(r"^number of failed transactions: (\d+)", "0")),
        latencies=tuple(latencies),
    )


@dataclass(frozen=True)
class Ratio:
    """One number against another, once for each pair of slices."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> "Ratio":
        return cls(tuple(one / other for one, other in zip(ours, theirs, strict=True)))

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def alternate(pairs: int, *sides: Callable[[int], T]) -> list[tuple[T, ...]]:
    """Run A B … A B …, `pairs` times. Each side gets the number of the pair, for its seed.

    Returns the results, a tuple for each side.
    """
    rounds = [tuple(side(pair) for side in sides) for pair in range(1, pairs + 1)]
    return list(zip(*rounds, strict=True))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


@contextmanager
def running(binaries: ServerBinaries, options: Options) -> Iterator[Bench]:
    """A durable server with the base database: migrations applied, shows on sale, the floor."""
    with private_cluster(binaries, durable=True, settings=SETTINGS) as cluster:
        bench = Bench(cluster, options)
        cluster.create_database(EMPTY)
        commands.apply(cluster.dsn(EMPTY), Variables())
        bench.prepare(BASE, EMPTY, "data.sql", "floor.sql")
        yield bench
