"""Recorded without a bar: buffers a call, and the size of the audit log."""

import statistics
from collections.abc import Iterator
from typing import Any

from bench.cleanup import DATABASE as OVER
from bench.harness import BASE, Bench, Options, read
from bench.report import Fact, Result

CALLS = 200
EXPLAIN = b"EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT json)"


def as_psycopg(call: str, number: int, options: Options) -> tuple[bytes, dict[str, str]]:
    """pgbench's script for the `number`-th pair of seats, as a query of psycopg."""
    first = number * 2 + 1
    show = number * 2 // (options.seats // options.shows) + 1
    values = {"show": show, "a": first, "b": first + 1, "k": number}
    statement = read(call)
    for name in values:
        statement = statement.replace(f"lpad(:{name},", f"lpad(%({name})s,")
    # Without its comment, in which psycopg might find a parameter.
    return statement[statement.index("\n") :].encode(), {n: str(v) for n, v in values.items()}


def buffers(bench: Bench, call: str) -> float:
    """Median of the shared buffers that a call touches, over warm calls of one session."""
    touched: list[int] = []
    with bench.copy(BASE) as database, bench.connect(database) as connection:
        for number in range(CALLS):
            statement, values = as_psycopg(call, number, bench.options)
            row = connection.execute(EXPLAIN + statement, values).fetchone()
            assert row is not None
            plan: dict[str, Any] = row[0][0]["Plan"]
            touched.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    return statistics.median(touched[CALLS // 2 :])


def records(bench: Bench) -> Iterator[Result]:
    """Buffers a call, size of the audit log."""
    yield Fact("", "buffers a hold of 2 seats, ours", buffers(bench, "call_ours.sql"), "pages")
    yield Fact(
        "", "buffers a hold of 2 seats, the floor", buffers(bench, "call_floor.sql"), "pages"
    )
    bench.prepare(OVER, BASE, "over_holds.sql", "cleanup_row_by_row.sql")
    with bench.connect(OVER) as connection:
        row = connection.execute(read("audit_size.sql").encode()).fetchone()
        assert row is not None
        yield Fact(
            "", "a million audit events, indexes included", float(row[0]) * 1e6 / 2**20, "MiB"
        )
