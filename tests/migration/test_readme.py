"""The README shows what the program printed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "readme-session"


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, folder / "scripts" / "readme-session", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The README and its script, to edit."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / SCRIPT.name).write_text(SCRIPT.read_text())
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text())
    return tmp_path


def test_what_the_readme_shows_is_what_a_server_and_the_demo_answer(copy: Path) -> None:
    done = check(copy)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("shown", "edited"),
    [(" t       | paid ", " f       | paid "), ("overdue holds", "forgotten holds")],
    ids=["session", "demo"],
)
def test_a_readme_that_shows_something_else_is_told(copy: Path, shown: str, edited: str) -> None:
    readme = copy / "README.md"
    assert shown in readme.read_text()
    readme.write_text(readme.read_text().replace(shown, edited))
    done = check(copy)
    assert done.returncode == 1
    assert "run `make readme`" in done.stderr
