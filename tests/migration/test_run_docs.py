"""The pages of docs/ show what the programs print."""

import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "run-docs"
PAGE = """\
Two sessions of a shell and a server.

<!-- run: echo hidden >file -->
```console
$ cat file
$ echo one \\
  two
```

```psql
shop=> SELECT 1 + 1
       AS sum \\gset
shop=> \\echo the sum is :sum
```

<!-- as: postgres -->
```psql
shop=# SELECT current_user AS role;
```

```sh
$ not run
```
"""
ANSWERED = """\
Two sessions of a shell and a server.

<!-- run: echo hidden >file -->
```console
$ cat file
hidden
$ echo one \\
  two
one two
```

```psql
shop=> SELECT 1 + 1
       AS sum \\gset
shop=> \\echo the sum is :sum
the sum is 2
```

<!-- as: postgres -->
```psql
shop=# SELECT current_user AS role;
   role
----------
 postgres
(1 row)

```

```sh
$ not run
```
"""


def run_docs(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script, which has no suffix, as a module."""
    loader = SourceFileLoader("run_docs", str(SCRIPT))
    module = ModuleType(loader.name)
    module.__file__ = str(SCRIPT)
    loader.exec_module(module)
    return module


def test_output_is_written_below_each_command(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    done = run_docs(page)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert page.read_text() == ANSWERED
    assert run_docs(page).returncode == 0  # what is output now is replaced, not taken for input
    assert page.read_text() == ANSWERED


def test_old_output_is_found_and_left_alone(tmp_path: Path) -> None:
    current, old = tmp_path / "current.md", tmp_path / "old.md"
    current.write_text(ANSWERED)
    old.write_text(ANSWERED.replace("one two\n", "one three\n"))
    done = run_docs("--check", current, old)
    assert done.returncode == 1
    assert "\n-one three\n+one two\n" in done.stdout
    assert done.stderr == f"error: output is out of date in {old}: run `make doc-outputs`\n"
    assert "one three\n" in old.read_text()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("0001 schemas: 0.18 s", "0001 schemas: 12.03 s", True),
        ("'rollup_late'=3.42s;300", "'rollup_late'=0.61s;300", True),
        ("until 2026-11-30 17:08:24.99+00 |", "until 2027-01-02 03:04:05+00   |", True),
        ("01a22d01-89a8-7d4d-8747-f9fa246c03aa", "01a22d01-89a8-7d4d-8747-f9fa246c03ab", True),
        ("9E7C44EAE010476A8B5DAC67F5321999", "C4A41BA6C6FE4252B7F16B510901B397", True),
        ("14 revisions applied", "15 revisions applied", False),
        ("FAILED triggers", "ok triggers", False),
    ],
)
def test_only_what_varies_may_differ(script: ModuleType, one: str, other: str, same: bool) -> None:
    assert (script.masked(one) == script.masked(other)) is same
