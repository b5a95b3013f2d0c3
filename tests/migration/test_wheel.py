"""The wheel carries everything: installed elsewhere, it works without the checkout."""

import subprocess
from pathlib import Path

import pytest

from tests.support.databases import Database
from tests.support.program import clean_environment
from tests.support.wheel import ROOT, build_wheel, make_environment


@pytest.mark.usefixtures("template_database")
def test_the_wheel_installs_the_database_from_an_empty_environment(
    empty_database: Database, tmp_path: Path
) -> None:
    bindir = empty_database.cluster.binaries.bindir
    environment = clean_environment(TICKETDB_DSN=empty_database.dsn, TICKETDB_PG_BINDIR=str(bindir))
    environment.pop("PYTHONPATH", None)

    def run(*command: str | Path) -> str:
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    wheel = build_wheel(tmp_path)
    programs = make_environment(tmp_path / "venv")
    python, program = programs / "python", programs / "ticketdb"
    run(python, "-m", "pip", "--quiet", "install", "--no-deps", "--no-index", wheel)
    where = run(python, "-c", "import ticketdb.paths as r; print(r.__file__, r.shipped_tree())")
    assert str(ROOT) not in where
    page = run(program, "runbook", "docs/runbooks/double-booking.md")
    assert page == (ROOT / "docs" / "runbooks" / "double-booking.md").read_text(encoding="utf-8")
    assert "revisions applied" in run(program, "apply")
    assert "all checks passed" in run(program, "verify")
    assert "numbers agree" in run(program, "demo", "--buyers", "2", "--seconds", "1")
