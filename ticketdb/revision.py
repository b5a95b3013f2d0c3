"""The chain of frozen revisions, and the objects of ``sql/`` that it leads to.

A revision is three files: ``NNNN_slug.py`` for alembic, and the templates ``.up.sql`` and
``.down.sql``. The templates consist of sections, each under a marker line that names the file of
``sql/`` it was copied from and the SHA-256 of that file's bytes. What the chain knows of an object
is therefore in the chain itself: its previous body is the last section that bears its name.
"""

import hashlib
import re
import tomllib
from argparse import Namespace
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, TypeAdapter

from ticketdb.errors import problem
from ticketdb.resources import Tree

if TYPE_CHECKING:  # slow to import: where it is needed
    from alembic.config import Config

MARKER = re.compile(
    r"^-- (?:(?P<kind>object|alter|drop): (?P<path>\S+)(?: from=(?P<origin>\S+))?"
    r"(?: sha256=(?P<sha256>[0-9a-f]{64}))?|privileges)$\n?",
    re.MULTILINE,
)
UNFILLED = "-- FILL IN: "
# Of SQL; one in /* */ may hold others, some levels deep.
BLOCK_COMMENT = r"/\*(?:(?!/\*|\*/).)*\*/"
for _ in range(4):
    BLOCK_COMMENT = rf"/\*(?:{BLOCK_COMMENT}|(?!/\*|\*/).)*\*/"
COMMENT = rf"--[^\n]*|{BLOCK_COMMENT}"
DEFAULT_DROPS = {
    "tables": "DROP TABLE {{{{ schema }}}}.{stem};",
    "functions": "DROP ROUTINE {{{{ schema }}}}.{stem};",
    "views": "DROP VIEW {{{{ monitoring_schema }}}}.{stem};",
}


@dataclass(frozen=True)
class Section:
    """A piece of a revision: one object, or (without a path) the closing look at privileges.

    `origin`: the file that an object which was renamed had before.
    """

    kind: str
    path: str
    sha256: str
    text: str
    origin: str = ""

    def frozen(self) -> str:
        """The section as it stands in a revision."""
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


class SourceObject(BaseModel, extra="forbid"):
    """An object of the database as it is today: an entry of the manifest, and its text."""

    file: str
    kind: Literal["data", "replaceable"]
    drop: str = ""
    text: str = ""

    @property
    def sha256(self) -> str:
        return sha256_hex(self.text)


def sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def default_drop(file: str) -> str:
    """The statement that drops an object, where its folder says it. Otherwise nothing."""
    path = PurePosixPath(file)
    return DEFAULT_DROPS.get(path.parts[0], "").format(stem=path.stem)


def alembic_config(tree: Tree) -> "Config":
    """alembic's configuration, without a file: everything that ticketdb leaves to it."""
    from alembic.config import Config

    config = Config(cmd_opts=Namespace(quiet=True, x=None))
    config.set_main_option("script_location", str(tree.migrations).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    return config


def parse_sections(text: str) -> list[Section]:
    """Cut a revision, rendered or not, at its marker lines. The heading belongs to no section."""
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
    """Raise E_CHAIN where SQL stands above the first marker line: it would belong to no section."""
    example = "'-- alter: tables/shows.sql' or '-- privileges'"
    first = MARKER.search(text)
    heading = text[: first.start()] if first else text
    blanked = re.sub(COMMENT, lambda m: "\n" * m[0].count("\n"), heading, flags=re.DOTALL)
    if stray := re.search(r"\S.*", blanked):
        line = blanked.count("\n", 0, stray.start()) + 1
        what = f"{file}, line {line}: {stray[0][:60]!r} stands above the first marker line"
        raise problem("E_CHAIN", what, f"put it below one, such as {example}")
    if first is None:
        what = f"{file} has no marker line, and so nothing to run"
        raise problem("E_CHAIN", what, f"begin each of its parts with one, such as {example}")


def read_chain(tree: Tree) -> list[Revision]:
    """The revisions, oldest first.

    Raises E_CHAIN when a file is missing, or has something that belongs to no section; E_UNFILLED
    when one is not finished.
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


def read_manifest(tree: Tree) -> list[SourceObject]:
    """The objects of the database as it is today, in order. Raises E_MANIFEST."""
    try:
        listed = tomllib.loads((tree.sql / "manifest.toml").read_text(encoding="utf-8"))
        sources = TypeAdapter(list[SourceObject]).validate_python(listed.get("object", []))
        for source in sources:
            source.text = (tree.sql / source.file).read_bytes().decode()
            if MARKER.search(source.text) or not source.text.endswith("\n"):
                raise ValueError(f"{source.file} must end with a line feed and hold no marker line")
            source.drop = source.drop.strip() or default_drop(source.file)
            if not source.drop:
                raise ValueError(f'{source.file}: say how to drop it: drop = "DROP …"')
        files = [source.file for source in sources]
        present = [str(file.relative_to(tree.sql)) for file in tree.sql.rglob("*.sql")]
        if odd := Counter(files) - Counter(present) or Counter(present) - Counter(files):
            raise ValueError(f"{min(odd)} is listed twice, or exists but is not listed")
    except (OSError, ValueError) as error:
        message = " ".join(str(error).split())
        raise problem("E_MANIFEST", f"{tree.sql / 'manifest.toml'}: {message}") from None
    return sources


def chain_state(chain: Collection[Revision]) -> dict[str, list[Section]]:
    """For each object that the chain leaves behind, the sections that make it, oldest first."""
    state: dict[str, list[Section]] = {}
    for revision in chain:
        for section in parse_sections(revision.up):
            if section.kind == "object":
                # Last in the order of the chain, too: what replaces an object may need later ones.
                state.pop(section.path, None)
                state[section.path] = [section]
            elif section.kind == "alter":
                if section.origin:
                    state[section.path] = state.pop(section.origin)
                state[section.path].append(section)
            elif section.kind == "drop":
                del state[section.path]
    return state
