"""The SQL of the package is ASCII: databases of every encoding have letters for it."""

from pathlib import Path

import pytest

from ticketdb.paths import PACKAGE, shipped_tree

TREE = shipped_tree()
FILES = sorted(
    file
    for folder in (TREE.sql, TREE.migrations, PACKAGE)
    for pattern in ("*.sql", "*.sh", "order.toml", "catalog.jsonl")
    for file in folder.rglob(pattern)
)


def strangers(file: Path) -> list[str]:
    """The lines that are not ASCII, with their numbers."""
    lines = file.read_bytes().decode().splitlines()
    return [f"{file}:{n}: {line}" for n, line in enumerate(lines, 1) if not line.isascii()]


def test_all_sql_is_ascii() -> None:
    assert len(FILES) > 150
    assert [line for file in FILES for line in strangers(file)] == []


@pytest.mark.parametrize("text", ["SELECT 'µ';\n", "-- …\n", "\ufeffSELECT 1;\n"])
def test_what_is_not_is_found(text: str, tmp_path: Path) -> None:
    file = tmp_path / "revision.up.sql"
    file.write_text(f"SELECT 1;\n{text}", encoding="utf-8")
    assert len(strangers(file)) == 1
