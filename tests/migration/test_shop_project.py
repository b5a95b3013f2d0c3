"""The example of a shop with tests, as its CI runs it: the wheel, a clean environment, no checkout.

What is run are the steps of the workflow file that is shown. pytest runs as the user who runs this:
as root, too.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.program import clean_environment
from tests.support.wheel import ROOT, build_wheel, make_environment
from ticketdb.private_server import Cluster

EXAMPLE = ROOT / "examples" / "shop-tests"
PAGE = ROOT / "docs" / "how-to" / "test-your-shop.md"
PLAIN_SERVER = "ticket_server = factories.postgresql_proc(load=[ticketdb.testing.load])"
NOBODY = 65534
# Root's Python may be out of others' reach: what may search all folders still finds it.
AS_NOBODY = (
    f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups"
    " --inh-caps=+dac_override --ambient-caps=+dac_override "
)


@dataclass(frozen=True)
class Project:
    folder: Path
    environment: dict[str, str]
    install: str
    test: str

    def run(self, step: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-ec", step],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def project(cluster: Cluster) -> Iterator[Project]:
    """A copy of the example, in which the first step of its workflow has been run."""
    steps = re.findall(
        r"^ +- run: (.+)$", (EXAMPLE / ".github/workflows/tests.yml").read_text(), re.M
    )
    install, test = steps
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)  # those who are not root read it, too
        build_wheel(folder)
        programs = make_environment(folder / "venv")
        environment = {
            variable: value
            for variable, value in clean_environment().items()
            if not variable.startswith("PYTEST_") and variable != "PYTHONPATH"
        }
        environment |= {
            "PATH": f"{programs}{os.pathsep}{environment['PATH']}",
            "PIP_FIND_LINKS": str(folder),
            "PIP_NO_INDEX": "1",
            "TICKETDB_PG_BINDIR": str(cluster.binaries.bindir),
        }
        shutil.copytree(
            EXAMPLE, folder / "shop", ignore=shutil.ignore_patterns("__pycache__", ".*_cache")
        )
        made = Project(folder / "shop", environment, install, test)
        installed = made.run(install)
        assert installed.returncode == 0, installed.stderr
        yield made


def test_the_steps_of_the_workflow_pass_and_a_broken_migration_fails_them(project: Project) -> None:
    passed = project.run(project.test)
    assert passed.returncode == 0, passed.stdout
    assert "2 workers [4 items]" in passed.stdout
    assert "4 passed" in passed.stdout

    (revision,) = project.folder.parent.glob(
        "venv/lib/*/*/ticketdb/migrations/versions/0002*.up.sql"
    )
    revision.write_text(revision.read_text() + "\nSELECT no_such_function();\n")
    failed = project.run(project.test)
    assert failed.returncode == 1
    assert "4 errors" in failed.stdout
    assert "function no_such_function() does not exist" in failed.stdout


def test_a_server_of_pytest_postgresql_becomes_one_of_ticketdb(
    project: Project, cluster: Cluster
) -> None:
    conftest = project.folder / "conftest.py"
    conftest.write_text(
        re.sub("^ticket_server = .*$", PLAIN_SERVER, conftest.read_text(), flags=re.MULTILINE)
    )
    step = (
        f"{project.test} --basetemp=.tmp --postgresql-exec={cluster.binaries.bindir}/pg_ctl"
        " --postgresql-unixsocketdir=/tmp"
    )
    if os.geteuid() == 0:
        refused = project.run(step)
        assert "cannot be run as root" in refused.stdout
        shutil.rmtree(project.folder / ".tmp")
        for path in (project.folder, *project.folder.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        step = AS_NOBODY + step
    passed = project.run(step)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "4 passed" in passed.stdout


def test_the_page_shows_what_is_run() -> None:
    run = {PLAIN_SERVER} | {
        line.strip()
        for pattern in ("*.py", ".github/workflows/*")
        for file in EXAMPLE.glob(pattern)
        for line in file.read_text().splitlines()
    }
    blocks = re.findall(r"^ *```(?:python|yaml)\n(.*?)^ *```$", PAGE.read_text(), re.S | re.M)
    shown = {line.strip() for block in blocks for line in block.splitlines()}
    assert "- run: python -m pytest -n 2" in shown
    assert shown - run == set()
