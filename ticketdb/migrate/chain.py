"""The chain of frozen revisions, and the objects of ``sql/`` that it leads to.

A revision is three files: ``NNNN_slug.py`` for alembic, and the templates ``.up.sql`` and
``.down.sql``. The templates consist of sections, each under a marker line that names the file of
``sql/`` it was copied from and the SHA-256 of that file's bytes. The previous body of an object is
therefore in the chain itself: the last section with its name.
"""

import hashlib
import re
import tomllib
from argparse import Namespace
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter

from ticketdb.errors import problem
from ticketdb.paths import Tree

if TYPE_CHECKING:  # slow, so it is imported where it is needed
    from alembic.config import Config

MARKER = re.compile(
    r"^-- (?:(?P<kind>object|alter|drop): (?P<path>\S+)(?: from=(?P<origin>\S+))?"
    r"(?: sha256=(?P<sha256>[0-9a-f]{64}))?|privileges)$\n?",
    re.MULTILINE,
)
Direction = Literal["up", "down"]
UNFILLED = "-- FILL IN: "
DROP = ".drop.sql"  # beside a file of sql/ that has no CREATE
# Comments of SQL: those in /* */ may be nested, here up to five levels deep.
BLOCK_COMMENT = r"/\*(?:(?!/\*|\*/).)*\*/"
for _ in range(4):
    BLOCK_COMMENT = rf"/\*(?:{BLOCK_COMMENT}|(?!/\*|\*/).)*\*/"
COMMENT = rf"--[^\n]*|{BLOCK_COMMENT}"
# A name as templates write it: the variable of its schema, a dot, an identifier.
NAME = r"\{\{ \w+ \}\}(?:\.\w+)?"
MADE = re.compile(
    r"^CREATE (?:OR REPLACE )?(?:"
    rf"(?P<kind>SCHEMA|DOMAIN|TABLE|FUNCTION|PROCEDURE|VIEW) (?P<name>{NAME})"
    rf"|(?:CONSTRAINT )?TRIGGER (?P<trigger>\w+)[^;]*?\bON (?P<table>{NAME}))",
    re.MULTILINE,
)
HOLDS_DATA = ("SCHEMA", "DOMAIN", "TABLE")


@dataclass(frozen=True)
class Section:
    """A part of a revision: one object, or (without a path) the final revoking of privileges.

    `origin`: the previous file of an object that was renamed.
    """

    kind: str
    path: str
    sha256: str
    text: str
    origin: str = ""

    def frozen(self) -> str:
        """The section as it is written into a revision, with its marker line."""
        marker = f"-- {self.kind}" + (f": {self.path}" if self.path else "")
        marker += f" from={self.origin}" if self.origin else ""
        marker += f" sha256={self.sha256}" if self.sha256 else ""
        return f"{marker}\n{self.text.rstrip()}\n"


@dataclass(frozen=True)
class Revision:
    """A frozen revision on disk."""

    revision: str
    python_file: Path
    up: str
    down: str

    @property
    def name(self) -> str:
        return self.python_file.stem

    @property
    def description(self) -> str:
        return self.name.partition("_")[2].replace("_", " ")

    @property
    def source_sha256(self) -> str:
        return sha256_hex(self.up)


@dataclass(frozen=True)
class SourceObject:
    """An object of the database as it should be: a file of ``sql/``.

    `kind`: a replaceable object is created again when it changes, one that holds data is altered by
    hand. `drop`: the statement that drops the object.
    """

    file: str
    text: str
    drop: str

    @property
    def kind(self) -> Literal["data", "replaceable"]:
        first = MADE.search(self.text)
        return "data" if first and first["kind"] in HOLDS_DATA else "replaceable"

    @property
    def sha256(self) -> str:
        return sha256_hex(self.text)


def sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def drop_of(text: str) -> str:
    """The statements that drop the object of a template, or "" for one without a CREATE.

    Indexes go with their table. A routine is named without its arguments: no two share a name.
    """
    made = list(MADE.finditer(text))
    if not made:
        return ""
    if made[0]["trigger"]:
        return "\n".join(
            f"DROP TRIGGER {m['trigger']} ON {m['table']};" for m in made if m["trigger"]
        )
    kind = "ROUTINE" if made[0]["kind"] in ("FUNCTION", "PROCEDURE") else made[0]["kind"]
    return f"DROP {kind} {made[0]['name']};"


def alembic_config(tree: Tree) -> "Config":
    """alembic's configuration, without a file."""
    from alembic.config import Config

    config = Config(cmd_opts=Namespace(quiet=True, x=None))
    config.set_main_option("script_location", str(tree.migrations).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    return config


def parse_sections(text: str) -> list[Section]:
    """Split a revision, rendered or not, at its marker lines. The heading is in no section."""
    marks = list(MARKER.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [
        Section(
            m["kind"] or "privileges",
            m["path"] or "",
            m["sha256"] or "",
            text[m.end() : end],
            m["origin"] or "",
        )
        for m, end in zip(marks, ends, strict=True)
    ]


def refuse_strays(file: Path, text: str) -> None:
    """Raise E_CHAIN for SQL above the first marker line, which would belong to no section."""
    example = "'-- alter: shows/shows.sql' or '-- privileges'"
    first = MARKER.search(text)
    heading = text[: first.start()] if first else text
    blanked = re.sub(COMMENT, lambda m: "\n" * m[0].count("\n"), heading, flags=re.DOTALL)
    if stray := re.search(r"\S.*", blanked):
        line = blanked.count("\n", 0, stray.start()) + 1
        what = f"{file}, line {line}: {stray[0][:60]!r} stands above the first marker line"
        raise problem("E_CHAIN", what, f"put it below one, such as {example}")
    if first is None:
        what = f"{file} has no marker line, so there is nothing to run"
        raise problem("E_CHAIN", what, f"begin each part with one, such as {example}")


def read_chain(tree: Tree) -> list[Revision]:
    """The revisions, oldest first.

    Raises E_CHAIN for a missing file or for SQL outside any section, E_UNFILLED for a revision that
    is not finished.
    """
    chain: list[Revision] = []
    for number, file in enumerate(sorted(tree.versions.glob("[0-9]*.py")), 1):
        up, down = file.with_suffix(".up.sql"), file.with_suffix(".down.sql")
        if not file.name.startswith(f"{number:04d}_") or not (up.exists() and down.exists()):
            raise problem("E_CHAIN", f"{file}: expected {number:04d}_*.py, .up.sql, .down.sql")
        texts = [_decoded(part) for part in (up, down)]
        for part, text in zip((up, down), texts, strict=True):
            refuse_strays(part, text)
            if re.search(f"^{UNFILLED}", text, re.MULTILINE):
                raise problem("E_UNFILLED", f"{part} still has a line '{UNFILLED.strip()}'")
        chain.append(Revision(f"{number:04d}", file, *texts))
    return chain


def _decoded(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        what = f"{file}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8"
        raise problem("E_CHAIN", what, "save it as UTF-8") from None


def read_sources(tree: Tree) -> list[SourceObject]:
    """The objects of the database as it should be, in order. Raises E_SOURCES."""
    file = tree.sql / "order.toml"
    try:
        order = TypeAdapter(list[str]).validate_python(
            tomllib.loads(file.read_text(encoding="utf-8")).get("order", [])
        )
        found = [str(path.relative_to(tree.sql)) for path in tree.sql.rglob("*.sql")]
        present = [path for path in found if not path.endswith(DROP)]
        if odd := Counter(order) - Counter(present) or Counter(present) - Counter(order):
            raise ValueError(
                f"{min(odd)} is listed twice, listed and missing, or there and not listed"
            )
        sources = [_read_source(tree, path) for path in order]
    except (OSError, ValueError) as error:
        message = " ".join(str(error).split())
        raise problem("E_SOURCES", f"{file}: {message}") from None
    return sources


def _read_source(tree: Tree, path: str) -> SourceObject:
    text, beside = (tree.sql / path).read_bytes().decode(), (tree.sql / path).with_suffix(DROP)
    if MARKER.search(text) or not text.endswith("\n"):
        raise ValueError(f"{path} must end with a line feed and hold no marker line")
    drop = beside.read_bytes().decode().strip() if beside.exists() else drop_of(text)
    if not drop:
        raise ValueError(f"{path} has no CREATE: write what undoes it into {beside.name}")
    return SourceObject(path, text, drop)


def chain_state(chain: Collection[Revision]) -> dict[str, list[Section]]:
    """For each object that exists at head, the sections that make it, oldest first."""
    state: dict[str, list[Section]] = {}
    for revision in chain:
        for section in parse_sections(revision.up):
            if section.kind == "object":
                # Last in the order, too: the new body may need objects made after the old one.
                state.pop(section.path, None)
                state[section.path] = [section]
            elif section.kind == "alter":
                if section.origin:
                    state[section.path] = state.pop(section.origin)
                state[section.path].append(section)
            elif section.kind == "drop":
                del state[section.path]
    return state
