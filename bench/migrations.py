"""P7 and P8: how long it takes to create the database. P9: the effect of changes on buyers."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from psycopg import sql

from bench.cleanup import until_they_buy
from bench.harness import BASE, EMPTY, Bench, Connection, Ratio, alternate
from bench.holds import OURS, SPREAD
from bench.report import Fact, Result, Row
from ticketdb.config import JOBS, Variables, parse_variables
from ticketdb.migrate import commands
from ticketdb.migrate.chain import parse_sections, read_chain
from ticketdb.migrate.run import Step
from ticketdb.migrate.script import script
from ticketdb.migrate.statements import OUTSIDE
from ticketdb.paths import Tree, shipped_tree

NEW = "bench_new"
LOCK_TIMEOUT_SECONDS = 0.2
LONGEST_MS = 500.0
ALONE = "while nothing else is done"
# The functions that shops call. Their revisions, and those before, cannot be reverted while buyers
# use them: those are applied and reverted beside the installation that buyers use.
CALLED = {
    *("reserve_seats", "extend_reservation", "release_reservation"),
    *("create_ticket_order", "confirm_payment", "fail_payment", "refund_order"),
}
ASIDE = parse_variables(
    {
        "variables": {
            "schema": "bench_aside",
            "monitoring_schema": "bench_dials",
            "internal_schema": "bench_inner",
        }
        | {"manage_roles": False}
        | {name: f"bench-aside {name}" for name in JOBS}
    },
    __name__,
)


def installs(bench: Bench) -> Iterator[Result]:
    """P7: apply, as a program and as a call, against psql with the script of the same revisions."""
    program = Path(sys.executable).with_name("ticketdb")
    with tempfile.TemporaryDirectory(prefix="ticketdb-bench-") as folder:
        file = Path(folder, "script.sql")
        file.write_text(script(Variables()), encoding="utf-8")
        psql: list[str | Path] = [
            bench.cluster.binaries.bindir / "psql",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        sides: tuple[Callable[[str], object], ...] = (
            lambda dsn: run([program, "apply", "--dsn", dsn]),
            lambda dsn: commands.apply(dsn, Variables()),
            lambda dsn: run([*psql, "-f", file, "-d", dsn]),
        )
        by_program, by_call, by_psql = alternate(
            bench.options.pairs, *(partial(into_new_database, bench, side) for side in sides)
        )
    for what, ours, bar in (
        ("`ticketdb apply`, from empty to head", by_program, 1.5),
        ("the same, without Python's start", by_call, None),
    ):
        yield row("P7", what, "psql -f of `ticketdb script`", ours, by_psql, bar)


def run(command: list[str | Path]) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "TICKETDB_"))}
    subprocess.run(command, check=True, capture_output=True, env=environment)


def into_new_database(bench: Bench, install: Callable[[str], object], _pair: int) -> float:
    """Seconds until an empty database is at head."""
    bench.drop(NEW)
    bench.cluster.create_database(NEW)
    try:
        started = time.perf_counter()
        install(bench.cluster.dsn(NEW))
        took = time.perf_counter() - started
        with bench.connect(NEW) as connection:
            head = read_chain(shipped_tree())[-1].revision
            at = connection.execute("SELECT version_num FROM ticketdb.ticketdb_alembic_version")
            if at.fetchall() != [(head,)]:
                raise RuntimeError(f"the database is not at {head}")
        return took
    finally:
        bench.drop(NEW)


def copies(bench: Bench) -> Iterator[Result]:
    """P8: a database for a test, as the tests make it, against the statement alone."""
    with bench.connect() as connection:
        ours, alone = alternate(
            bench.options.pairs,
            lambda _pair: copied(bench, lambda: bench.cluster.create_database(NEW, EMPTY)),
            lambda _pair: copied(bench, lambda: create_alone(connection)),
        )
    yield row("P8", "a fresh test database", "CREATE DATABASE … TEMPLATE alone", ours, alone, 1.5)


def create_alone(connection: Connection) -> None:
    names = map(sql.Identifier, (NEW, EMPTY))
    connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))


def copied(bench: Bench, create: Callable[[], object]) -> float:
    """Seconds until the database is there."""
    bench.drop(NEW)
    started = time.perf_counter()
    create()
    took = time.perf_counter() - started
    bench.drop(NEW)
    return took


def row(
    key: str,
    what: str,
    against: str,
    ours: tuple[float, ...],
    theirs: tuple[float, ...],
    bar: float | None,
) -> Row:
    """Compare seconds, shown in milliseconds."""
    one, other = (1000 * statistics.median(side) for side in (ours, theirs))
    return Row(key, what, against, "ms", one, other, Ratio.of(ours, theirs), bar, at_most=True)


@dataclass(frozen=True)
class Slice:
    """The effect on buyers. `longest`: the longest call during each change, in ms.

    `retries`: how often a migration gave up its place in the queue for a lock.
    """

    longest: dict[str, float]
    calls: int
    failed: int
    retries: int


def under_load(bench: Bench) -> Iterator[Result]:
    """P9: revisions there and back while P1's buyers hold seats."""
    with tempfile.TemporaryDirectory(prefix="ticketdb-bench-") as folder:
        tree = with_more_revisions(Path(folder))
        (slices,) = alternate(bench.options.pairs, partial(slice_of_buyers, bench, tree))
    for what in slices[0].longest:
        longest = max(measured.longest[what] for measured in slices)
        limit = None if what == ALONE else LONGEST_MS
        yield Fact("P9", f"longest call, {what}", longest, "ms", limit)
    yield Fact("P9", "calls that failed", sum(measured.failed for measured in slices), "", 0)
    yield Fact("P9", "calls", sum(measured.calls for measured in slices), "")
    retries = sum(measured.retries for measured in slices)
    yield Fact("P9", "times that a migration released its place in a queue", retries, "")


def slice_of_buyers(bench: Bench, tree: Tree, pair: int) -> Slice:
    """Buyers from start to end, and meanwhile one change after the other."""
    options = bench.options
    longest: dict[str, float] = {}
    spans: dict[str, tuple[float, float]] = {}
    waits: list[Step] = []
    with (
        bench.copy(BASE) as database,
        bench.connect(database) as connection,
        bench.pgbench(
            database,
            (SPREAD, OURS),
            clients=options.spread_clients,
            seconds=3600,
            seed=pair,
        ) as buyers,
    ):
        until_they_buy(connection, buyers)
        for what, change in changes(bench.cluster.dsn(database), tree, waits, options.seconds):
            started = time.time()
            change()
            spans[what] = (started, time.time())
        there = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ticketdb bench'"
        ).fetchone()
        assert there is not None
        odd = connection.execute(
            "SELECT count(*) FROM public.seat_reservation_audit_log AS event"
            " WHERE event.error_code NOT IN ('SEATS_UNAVAILABLE', 'DUPLICATE_RESERVATION')"
        ).fetchone()
        assert odd is not None
        load = buyers.stop()
    for what, (start, end) in spans.items():
        meanwhile = [ms for at, ms in load.latencies if start <= at and at - ms / 1e3 <= end]
        if not meanwhile:
            raise RuntimeError(f"no call was made {what}")
        longest[what] = max(meanwhile)
    # A client whose call fails for good has ended before the others are stopped.
    failed = options.spread_clients - int(there[0]) + int(odd[0]) + load.failures
    return Slice(longest, load.answers, failed, len(waits))


def changes(
    dsn: str, tree: Tree, waits: list[Step], seconds: float
) -> Iterator[tuple[str, Callable[[], object]]]:
    """The changes that are made while buyers buy, by name."""
    names, chain = Variables(), read_chain(shipped_tree())
    needed = max(
        place
        for place, revision in enumerate(chain)
        if CALLED & {Path(section.path).stem for section in parse_sections(revision.up)}
    )
    first, head = chain[needed + 1].revision, chain[-1].revision

    def on_step(step: Step) -> None:
        if (
            step.kind == "wait" and step.seconds
        ):  # without a pause, it waits without blocking others
            waits.append(step)

    def up(variables: Variables, source: Tree | None = None) -> None:
        commands.apply(
            dsn,
            variables,
            lock_timeout=LOCK_TIMEOUT_SECONDS,
            progress=on_step,
            tree=source,
            beside=variables == ASIDE,
        )

    def down(variables: Variables, to: str, source: Tree | None = None) -> None:
        commands.revert(
            dsn,
            variables,
            to,
            allow_data_loss=True,
            lock_timeout=LOCK_TIMEOUT_SECONDS,
            progress=on_step,
            tree=source,
        )

    yield ALONE, lambda: time.sleep(seconds)
    yield f"while {head} to {first} are reverted", lambda: down(names, chain[needed].revision)
    yield f"while {first} to {head} are applied", lambda: up(names)
    yield "while all revisions are applied beside it", lambda: up(ASIDE)
    yield "while all revisions are reverted beside it", lambda: down(ASIDE, "base")
    yield "while hot tables and functions are changed", lambda: up(names, tree)
    yield "while that is taken back", lambda: down(names, head, tree)


def with_more_revisions(folder: Path) -> Tree:
    """The shipped revisions, and after them typical changes of tables and functions in use."""
    shipped = shipped_tree()
    tree = replace(shipped, migrations=folder / "migrations")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(shipped.migrations, tree.migrations, ignore=ignored)
    today = {s.path: s.frozen() for r in read_chain(shipped) for s in parse_sections(r.up)}
    function, view = (
        today[file] for file in ("holds/reserve_seats.sql", "monitoring/active_reservations.sql")
    )
    seats, holds = (
        f"-- alter: tables/{table}.sql sha256={'0' * 64}\nALTER TABLE {{{{ schema }}}}.{table}"
        for table in ("show_seats", "seat_reservations")
    )
    check = "CONSTRAINT show_seats_section_check"
    table, index = "{{ schema }}.show_seats", "show_seats_section_idx"
    alone = f"{OUTSIDE}\n-- privileges\n"
    for up, down in (
        (f"{seats} ADD COLUMN note text;", f"{seats} DROP COLUMN note;"),
        (
            f"{holds} ADD COLUMN channel text NOT NULL DEFAULT 'web';",
            f"{holds} DROP COLUMN channel;",
        ),
        (f"{seats} ADD {check} CHECK (section <> '') NOT VALID;", f"{seats} DROP {check};"),
        (f"{seats} VALIDATE {check};", "-- privileges"),
        (function, function),
        (view, view),
        (
            f"{alone}CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} (section);",
            f"{alone}DROP INDEX CONCURRENTLY IF EXISTS {{{{ schema }}}}.{index};",
        ),
    ):
        add_revision(tree, up, down)
    return tree


def add_revision(tree: Tree, up: str, down: str) -> None:
    """Write one more revision at the end of the chain."""
    *_, before, last = read_chain(tree)
    revision = f"{int(last.revision) + 1:04d}"
    text = last.python_file.read_text(encoding="utf-8")
    for line, was, becomes in (
        ("down_revision", before.revision, last.revision),
        ("\nrevision", last.revision, revision),
    ):
        if f'{line} = "{was}"' not in text:
            raise RuntimeError(f"{last.python_file} does not look like a revision")
        text = text.replace(f'{line} = "{was}"', f'{line} = "{becomes}"')
    (tree.versions / f"{revision}_more.py").write_text(text, encoding="utf-8")
    for suffix, body in (("up", up), ("down", down)):
        file = tree.versions / f"{revision}_more.{suffix}.sql"
        file.write_text(f"-- {revision}: More.\n{body}\n", encoding="utf-8")
