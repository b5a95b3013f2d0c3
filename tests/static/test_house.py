"""What rooms of the package may import, what a command loads, and how long files of tests are."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from ticketdb.paths import PACKAGE

# Each room may import those before it.
ROOMS = (
    "paths",
    "errors",
    "config",
    "templates",
    "database",
    "private_server",
    "catalog",
    "migrate",
    "verify",
    "watch",
    "demo",
    "develop",
    "cli",
    "testing",  # for the tests of shops, and of ours: nothing that is run imports it
)
TESTS = PACKAGE.parent / "tests"
LONGEST = 600  # lines of a file of tests: a longer one is about more than one topic
DRIVER, ALEMBIC = ("psycopg",), ("alembic", "sqlalchemy")


def modules() -> dict[str, Path]:
    return {
        ".".join(("ticketdb", *file.relative_to(PACKAGE).with_suffix("").parts)): file
        for file in PACKAGE.rglob("*.py")
    }


def imports_of(text: str) -> Iterator[str]:
    """Modules of ours that a text imports, anywhere in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ticketdb."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ticketdb":
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            known = [name for name in inner if name in modules()]
            yield from known or [str(node.module)]


def room(module: str) -> str:
    return module.split(".")[1]


def upward(module: str, text: str) -> list[str]:
    """Imports of a module that lead to a room above its own."""
    own = ROOMS.index(room(module))
    return [
        other
        for other in imports_of(text)
        if other != "ticketdb" and ROOMS.index(room(other)) > own
    ]


def test_every_module_is_in_a_room() -> None:
    assert {room(name) for name in modules()} == {*ROOMS, "__init__"}


def test_no_room_imports_one_above_it() -> None:
    found = {
        name: above
        for name, file in modules().items()
        if room(name) != "__init__" and (above := upward(name, file.read_text("utf-8")))
    }
    assert found == {}


def test_an_import_from_above_is_found() -> None:
    assert upward("ticketdb.catalog", "def f():\n    from ticketdb.migrate import run\n") == [
        "ticketdb.migrate.run"
    ]


def test_no_module_imports_one_that_imports_it() -> None:
    graph = {
        name: {other for other in imports_of(file.read_text("utf-8")) if other != "ticketdb"}
        for name, file in modules().items()
    }
    assert all(graph[name] for name in ("ticketdb.cli", "ticketdb.migrate.run"))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def loaded_by(*arguments: str) -> set[str]:
    """The packages that are loaded when the program ends."""
    program = (
        "import sys\nfrom ticketdb.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("arguments", "needed", "not_needed"),
    [
        pytest.param(["--version"], (), DRIVER + ALEMBIC, id="version"),
        pytest.param(["--help"], (), DRIVER + ALEMBIC, id="help"),
        pytest.param(["apply", "--help"], (), DRIVER + ALEMBIC, id="help of a command"),
        # Nobody listens there, which each finds out only when it has all that it needs.
        pytest.param(["check", "--dsn", "port=1 host=/nowhere"], DRIVER, ALEMBIC, id="check"),
        pytest.param(["status", "--dsn", "port=1 host=/nowhere"], DRIVER, ALEMBIC, id="status"),
        pytest.param(
            ["apply", "--dsn", "port=1 host=/nowhere"], ("psycopg", "sqlalchemy"), (), id="apply"
        ),
    ],
)
def test_a_command_loads_no_more_than_it_needs(
    arguments: list[str], needed: tuple[str, ...], not_needed: tuple[str, ...]
) -> None:
    loaded = loaded_by(*arguments)
    assert loaded >= {"ticketdb", *needed}
    assert loaded.isdisjoint(not_needed)


def too_long(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*.py") if file.read_text().count("\n") > LONGEST]


def test_no_file_of_tests_is_too_long() -> None:
    assert too_long(TESTS) == []


def test_a_file_of_tests_that_is_too_long_is_found(tmp_path: Path) -> None:
    for name, lines in (("test_short.py", LONGEST), ("test_long.py", LONGEST + 1)):
        (tmp_path / name).write_text("pass\n" * lines)
    assert too_long(tmp_path) == ["test_long.py"]


def imports_of_tests(folder: Path) -> list[str]:
    """Files that import from a file of tests. What tests share is in tests/support."""
    imports = re.compile(r"^(from|import) [\w.]*\btest_\w+|^from tests[\w.]* import test_", re.M)
    return [file.name for file in folder.rglob("*.py") if imports.search(file.read_text())]


def test_no_test_imports_another() -> None:
    assert imports_of_tests(TESTS) == []


@pytest.mark.parametrize(
    "line", ["from tests.static.test_help import OPTION", "from tests.static import test_help"]
)
def test_an_import_of_a_test_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(f"import os\n{line}\n")
    assert imports_of_tests(tmp_path) == ["test_x.py"]
