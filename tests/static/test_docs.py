"""The documentation: every link resolves, every page has its place, and every page is plain."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from ticketdb.cli import app
from ticketdb.config import MEANINGS, NAMES
from ticketdb.develop.generate import write_pages
from ticketdb.develop.reference.markdown import code, grid, prose
from ticketdb.develop.reference.package import EXIT_STATUSES, commands, error_codes
from ticketdb.errors import CATALOG, ExitStatus
from ticketdb.paths import PACKAGE, runbooks

ROOT = PACKAGE.parent
LINK = re.compile(r"\[[^\]]*\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)")


def build(docs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` does."""
    strict = ["--quiet", "--fail-on-warning", "--keep-going", "--builder", "dummy"]
    return subprocess.run(
        [sys.executable, "-m", "sphinx.cmd.build", *strict, docs, out],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_site_has_no_dead_link_and_no_page_without_a_place(tmp_path: Path) -> None:
    done = build(ROOT / "docs", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_dead_link_a_dead_heading_and_a_stray_page_are_found(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(ROOT / "docs", docs)
    with (docs / "performance.md").open("a") as page:
        page.write("\n[page](nowhere.md) [heading](reference/views.md#nowhere)\n")
    (docs / "stray.md").write_text("# Stray\n")
    done = build(docs, tmp_path / "out")
    assert done.returncode == 1
    for message in (
        "'nowhere.md'",
        "'nowhere'",
        "stray.md: WARNING: document isn't included in any toctree",
    ):
        assert message in done.stderr


def dead_links(page: Path) -> list[str]:
    """Links of a page to files that are not there."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    return [target for target in targets if not (page.parent / unquote(target)).exists()]


def test_links_of_the_pages_beside_the_site_resolve() -> None:
    pages = list(ROOT.glob("*.md"))
    assert {"README.md", "CONTRIBUTING.md"} <= {page.name for page in pages}
    assert {page.name: dead for page in pages if (dead := dead_links(page))} == {}


def test_a_dead_link_of_such_a_page_is_found(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("[here](README.md#top) [away](https://example.com/x) [gone](docs/gone.md#x)")
    assert dead_links(page) == ["docs/gone.md"]


def test_every_variable_exit_status_and_error_code_is_described() -> None:
    assert set(MEANINGS) >= set(NAMES)
    assert set(EXIT_STATUSES) == set(ExitStatus)
    page = error_codes()
    assert all(f"\n| `{name}` |" in page for name in CATALOG)


@pytest.mark.parametrize("name", ["apply", "verify", "runbook"])
def test_every_command_is_described_with_its_example(name: str) -> None:
    assert f"# {name}\n" in commands(app)
    assert f"\n$ ticketdb {name} " in commands(app)


def test_every_runbook_that_the_reference_names_is_shipped() -> None:
    alerts = (ROOT / "docs" / "reference" / "alerts.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\.\./runbooks/([\w-]+)\.md", alerts))
    assert len(named) > 10
    assert named <= runbooks().keys()


def test_text_of_the_database_is_no_markup() -> None:
    assert prose("a * b | c <d> e[1]\n f\\g") == r"a \* b \| c \<d> e\[1\] f\\g"
    assert prose("run `a[b]*` or *not*") == r"run `a[b]*` or \*not\*"
    assert code("a |  b") == r"`a \| b`"


def test_a_column_in_which_nothing_stands_is_left_out_of_a_table() -> None:
    assert grid(["a", "b", "c"], [["1", "", "2"], ["3", "", ""]]) == (
        "| a | c |\n| --- | --- |\n| 1 | 2 |\n| 3 | – |\n"
    )


def test_pages_replace_those_that_were_there(tmp_path: Path) -> None:
    write_pages(tmp_path, {"a.md": "1"})
    write_pages(tmp_path, {"b.md": "2"})
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"b.md": "2"}
