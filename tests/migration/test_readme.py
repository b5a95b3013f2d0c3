"""The README shows what the program printed."""

import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

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


def loaded(script: Path) -> ModuleType:
    """The script, which has no suffix, as a module."""
    loader = SourceFileLoader("readme_session", str(script))
    module = ModuleType(loader.name)
    module.__file__ = str(script)
    loader.exec_module(module)
    return module


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
def test_a_readme_that_shows_something_else_is_reported(
    copy: Path,
    shown: str,
    edited: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a server and the demo answer is what the README shows: the test before has seen it."""
    script = loaded(copy / "scripts" / SCRIPT.name)
    readme = copy / "README.md"
    text = readme.read_text()
    answers = {name: text[slice(*place)] for name, place in script.places_of(text).items()}
    monkeypatch.setattr(script, "run", lambda _block: answers["psql"])
    monkeypatch.setattr(script, "demonstrate", lambda *_options: answers["demo"])
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, "--check"])
    assert script.main() == 0
    assert shown in readme.read_text()
    readme.write_text(readme.read_text().replace(shown, edited))
    assert script.main() == 1
    assert "run `make generate`" in capsys.readouterr().err
    # Without --check it is mended, and what is current is left alone.
    monkeypatch.setattr(sys, "argv", [SCRIPT.name])
    assert script.main() == 0
    assert readme.read_text() == text
    later = re.sub(r"\b[0-9A-F]{32}\b", "0" * 32, answers["psql"])
    assert later != answers["psql"]
    monkeypatch.setattr(script, "run", lambda _block: later)
    assert script.main() == 0
    assert readme.read_text() == text
