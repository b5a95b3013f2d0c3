"""What is generated is current: any change is found, with its file and the remedy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import Connect, Database
from ticketdb import SUPPORTED_MAJORS
from ticketdb.cli import app
from ticketdb.develop.generate import outdated, pages_of, write_pages
from ticketdb.develop.reference import FOLDER
from ticketdb.paths import PACKAGE

ROOT = PACKAGE.parent
MAJOR = str(SUPPORTED_MAJORS[0])

# The database has the names that the reference uses.
pytestmark = pytest.mark.default_names


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of all that is compared, to be changed."""
    for name in ("ticketdb", "sql", "migrations", "docs/reference", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def check(copy: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, copy / "scripts" / "generate", "--check", "--majors", MAJOR],
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def bend_sources(copy: Path) -> None:
    """What is in ``sql/``, in files that may lie anywhere there."""
    (view,) = (copy / "sql").rglob("health.sql")
    edit(view, "'never checked: run ", "'run ")
    (body,) = (copy / "sql").rglob("is_time_zone.sql")
    edit(body, "BEGIN\n", "BEGIN\n    -- Quite another one.\n")


def bend_outputs(copy: Path) -> None:
    edit(copy / "ticketdb" / "catalog.jsonl", "security f f", "security t f")
    edit(copy / "docs" / "reference" / "tables.md", "\n## shows\n", "\n## performances\n")
    edit(copy / "docs" / "reference" / "commands.md", "--dry-run", "--dry")


def test_what_is_generated_is_current(copy: Path) -> None:
    done = check(copy)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    agreed = "sql/, the chain, the fingerprint and the reference agree"
    assert done.stdout == f"PostgreSQL {MAJOR}: {agreed}\n"


def test_a_source_that_is_not_frozen_is_found(copy: Path) -> None:
    bend_sources(copy)
    done = check(copy)
    assert done.returncode == 1
    for message in (
        'sql/ against the chain, default names: rule monitoring.health."_RETURN":',
        "sql/ against the chain, default names: body ",
        ".is_time_zone(text) differs in line 3: '-- Quite another one.' instead of ",
        # Whose bodies are those of sql/.
        "catalog.jsonl against the chain, other names: body ",
    ):
        assert message in done.stdout
    assert "run `make generate`" in done.stderr


def test_an_output_that_was_edited_by_hand_is_found(copy: Path) -> None:
    bend_outputs(copy)
    done = check(copy)
    assert done.returncode == 1
    for message in (
        "catalog.jsonl against the chain, other names: relation ",
        "docs/reference/tables.md is out of date: now there is ## shows\n",
        "docs/reference/commands.md is out of date: now there is | `--dry-run` |",
    ):
        assert message in done.stdout
    assert "run `make generate`" in done.stderr


def test_a_comment_that_has_changed_makes_its_page_outdated(
    database: Database, connect: Connect, tmp_path: Path
) -> None:
    assert outdated(FOLDER, pages_of(database.dsn, app)) == []
    connect().execute("COMMENT ON COLUMN shows.venue IS 'Where *it* is: here | there'")
    pages = pages_of(database.dsn, app)
    (line,) = outdated(FOLDER, pages)
    assert line.startswith("docs/reference/tables.md is out of date: now there is | `venue` |")
    assert line.endswith(r"Where \*it\* is: here \| there |")
    write_pages(tmp_path, pages)
    assert outdated(tmp_path, pages) == []


def test_a_page_too_many_and_one_too_few_are_found_and_mended(tmp_path: Path) -> None:
    write_pages(tmp_path, {"old.md": "", "same.md": ""})
    assert outdated(tmp_path, {"new.md": "", "same.md": ""}) == [
        "docs/reference/new.md is missing",
        "docs/reference/old.md describes nothing",
    ]
    write_pages(tmp_path, {"new.md": "", "same.md": ""})
    assert outdated(tmp_path, {"new.md": "", "same.md": ""}) == []
