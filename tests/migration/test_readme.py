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


def test_the_session_of_the_readme_is_what_a_server_answers(copy: Path) -> None:
    assert check(copy).returncode == 0

    readme = copy / "README.md"
    readme.write_text(readme.read_text().replace(" t       | paid ", " f       | paid "))
    edited = check(copy)
    assert edited.returncode == 1
    assert "run `make readme`" in edited.stderr
