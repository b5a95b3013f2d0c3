"""The golden files: a corner of the triangle that is bent is found, and what mends it is said."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ticketdb import SUPPORTED_MAJORS
from ticketdb.resources import PACKAGE

ROOT = PACKAGE.parent
MAJOR = str(SUPPORTED_MAJORS[0])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the golden files are about, to be bent."""
    for name in ("ticketdb", "ticketdb_develop", "sql", "migrations", "tests/golden"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def check(copy: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ticketdb_develop.golden", "--check", "--majors", MAJOR]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_the_triangle_closes(copy: Path) -> None:
    done = check(copy)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"PostgreSQL {MAJOR}: sql/, the chain and the golden files agree\n"


@pytest.mark.parametrize(
    ("bent", "before", "after", "told"),
    [
        (
            "sql/views/health.sql",
            "'never checked: run check_invariants()'",
            "'never'",
            'sql/ against the chain, default names: rule monitoring.health."_RETURN":',
        ),
        (
            "ticketdb/catalog.jsonl",
            "security f f",
            "security t f",
            "catalog.jsonl against the chain, other names: relation ",
        ),
        (
            "tests/golden/schema.sql",
            "COMMENT ON TABLE public.shows IS '",
            "COMMENT ON TABLE public.shows IS 'x",
            "schema.sql against the chain, default names: comment relation public.shows:",
        ),
    ],
    ids=["sql", "fingerprint", "dump"],
)
def test_a_bent_corner_is_found_and_what_mends_it_is_said(
    copy: Path, bent: str, before: str, after: str, told: str
) -> None:
    edit(copy / bent, before, after)
    done = check(copy)
    assert done.returncode == 1
    assert told in done.stdout
    assert "run `make golden`" in done.stderr
