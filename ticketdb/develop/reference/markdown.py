"""Markdown, as far as the reference needs it."""

import re
from collections.abc import Iterable, Sequence

NOTHING = "–"


def prose(text: str | None) -> str:
    """Text in which nothing but code between backticks is markup. It may stand in a cell."""
    parts = " ".join((text or "").split()).split("`")
    parts[::2] = (re.sub(r"([\\*<\[\]])", r"\\\1", part) for part in parts[::2])
    return "`".join(parts).replace("|", r"\|")


def code(text: str | None) -> str:
    """Code, which may stand in a cell: only a bar would end that."""
    return f"`{' '.join(text.split())}`".replace("|", r"\|") if text else ""


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, without the columns in which no row has anything."""
    cells = [list(row) for row in rows]
    kept = [n for n, _ in enumerate(headings) if any(row[n] for row in cells)]
    lines = [[headings[n] for n in kept], ["---"] * len(kept)]
    lines += [[row[n] or NOTHING for n in kept] for row in cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def page(title: str, introduction: str, *parts: str) -> str:
    """A page of parts, with a line that keeps people from editing it."""
    note = "<!-- Written by `make generate`. Do not edit: edit what it describes. -->"
    return "\n".join([f"# {title}\n", f"{note}\n", f"{introduction}\n", *parts]).rstrip() + "\n"


def section(title: str, *parts: str, level: int = 2) -> str:
    """A heading, and below it those parts that are not empty."""
    return "\n".join([f"{'#' * level} {title}\n", *(part for part in parts if part)])
