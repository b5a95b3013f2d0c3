"""The table of ratios, on a terminal and as JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.harness import Options, Ratio


@dataclass(frozen=True)
class Row:
    """One comparison. `ours` and `theirs` are medians in `unit`; `bar` bounds the median ratio.

    Without a bar it is only recorded. `at_most`: the ratio should not exceed the bar.
    """

    key: str
    what: str
    against: str
    unit: str
    ours: float
    theirs: float
    ratio: Ratio
    bar: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def reached(self) -> bool | None:
        if self.bar is None:
            return None
        return self.ratio.median <= self.bar if self.at_most else self.ratio.median >= self.bar


@dataclass(frozen=True)
class Fact:
    """One number. With `limit`, it should not exceed it; without one it is only recorded."""

    key: str
    what: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def reached(self) -> bool | None:
        return None if self.limit is None else self.value <= self.limit


Result = Row | Fact


def print_report(console: Console, results: list[Result]) -> None:
    table = Table(title="Medians of slices, and of ratios of slices measured in turn")
    table.add_column("")
    table.add_column("what")
    table.add_column("against")
    for heading in ("ours", "theirs", "ratio", "min–max", "to reach"):
        table.add_column(heading, justify="right")
    table.add_column("reached")
    for result in results:
        if isinstance(result, Row):
            table.add_row(
                result.key,
                result.what,
                f"{result.against} ({result.note})" if result.note else result.against,
                amount(result.ours, result.unit),
                amount(result.theirs, result.unit),
                share(result.ratio.median),
                f"{share(min(result.ratio.values))}–{share(max(result.ratio.values))}",
                "" if result.bar is None else f"{'≤' if result.at_most else '≥'} {result.bar:.2f}",
                verdict(result.reached),
            )
        else:
            limit = "" if result.limit is None else f"≤ {amount(result.limit, result.unit)}"
            value = amount(result.value, result.unit)
            table.add_row(
                result.key, result.what, "", value, "", "", "", limit, verdict(result.reached)
            )
    console.print(table)


def amount(value: float, unit: str) -> str:
    digits = 1 if abs(value) < 100 and value % 1 else 0
    return f"{value:,.{digits}f} {unit}".rstrip()


def share(ratio: float) -> str:
    """Two decimals; of a small ratio as many as show two digits."""
    decimals = 1 - math.floor(math.log10(ratio)) if 0 < ratio < 0.1 else 2
    return f"{ratio:.{decimals}f}"


def verdict(reached: bool | None) -> str:
    return "" if reached is None else "[green]yes[/]" if reached else "[red]no[/]"


def write_json(
    path: Path, results: list[Result], options: Options, server: Mapping[str, object]
) -> None:
    """Write everything measured, each pair's ratio included."""
    document = {
        "server": dict(server),
        "options": asdict(options),
        "results": [
            asdict(result)
            | {"reached": result.reached}
            | ({"median": result.ratio.median} if isinstance(result, Row) else {})
            for result in results
        ],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
