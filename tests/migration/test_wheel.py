"""The wheel carries everything: installed elsewhere, it works without the checkout."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.migration.conftest import clean_environment

ROOT = Path(__file__).parents[2]


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

    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("ticketdb-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    run(*pip, "--python", tmp_path / "venv", "install", "--no-deps", "--no-index", wheel)
    # The dependencies come from here, ticketdb itself does not: an editable install is a .pth file,
    # and those of a folder that is itself on the path by a .pth file are not read.
    (site_packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    python = tmp_path / "venv" / "bin" / "python"
    where = run(python, "-c", "import ticketdb.resources as r; print(r.__file__, r.shipped_tree())")
    assert str(ROOT) not in where
    program = tmp_path / "venv" / "bin" / "ticketdb"
    assert "revisions applied" in run(program, "apply")
    assert "all checks passed" in run(program, "verify")
    assert "numbers agree" in run(program, "demo", "--buyers", "2", "--seconds", "1")
