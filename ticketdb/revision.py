"""The chain of frozen revisions, and how an edit of ``sql/`` becomes one.

A revision is three files: ``NNNN_slug.py`` for alembic, and the templates ``.up.sql`` and
``.down.sql``. The templates consist of sections, each under a marker line that names the file of
``sql/`` it was copied from and the SHA-256 of that file's bytes. What the chain knows of an object
is therefore in the chain itself: a file of ``sql/`` has changed when its hash is not the last one
recorded, and its previous body is the last section that bears its name.
"""

import hashlib
import re
import tomllib
from argparse import Namespace
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from alembic.config import Config
from alembic.script import ScriptDirectory

from ticketdb.errors import ExitStatus, TicketdbError
from ticketdb.resources import Tree, shipped_tree

MARKER = re.compile(
    r"^-- (?:(?P<kind>object|alter|drop): (?P<path>\S+)(?: sha256=(?P<sha256>[0-9a-f]{64}))?"
    r"|(?P<tail>privileges))$\n?",
    re.MULTILINE,
)
Kind = Literal["object", "alter", "drop", "privileges"]
UNFILLED = "-- FILL IN: "
DEFAULT_DROPS = {
    "tables": "DROP TABLE {{{{ schema }}}}.{stem};",
    "functions": "DROP ROUTINE {{{{ schema }}}}.{stem};",
    "views": "DROP VIEW {{{{ monitoring_schema }}}}.{stem};",
}


@dataclass(frozen=True)
class Section:
    """A piece of a revision: one object, or the closing look at privileges."""

    kind: Kind
    path: str
    sha256: str
    text: str

    @property
    def label(self) -> str:
        return self.path or self.kind


@dataclass(frozen=True)
class Revision:
    """A frozen revision on disk."""

    revision: str
    python_file: Path

    @property
    def name(self) -> str:
        return self.python_file.stem

    @property
    def description(self) -> str:
        return self.name.partition("_")[2].replace("_", " ")

    @cached_property
    def up(self) -> bytes:
        return self.python_file.with_suffix(".up.sql").read_bytes()

    @cached_property
    def down(self) -> bytes:
        return self.python_file.with_suffix(".down.sql").read_bytes()

    @property
    def source_sha256(self) -> str:
        return sha256_hex(self.up)


@dataclass(frozen=True)
class SourceObject:
    """A line of the manifest: an object of the database as it is today."""

    path: str
    is_replaceable: bool
    drop: str
    source: bytes

    @property
    def sha256(self) -> str:
        return sha256_hex(self.source)


@dataclass(frozen=True)
class Frozen:
    """What `freeze` did. `to_fill_in`: files that wait for hand-written ALTERs."""

    revision: Revision
    changes: tuple[str, ...]
    to_fill_in: tuple[Path, ...]


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def alembic_config(tree: Tree) -> Config:
    """alembic's configuration, without a file: everything that ticketdb leaves to it."""
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
            kind=cast("Kind", mark["kind"] or mark["tail"]),
            path=mark["path"] or "",
            sha256=mark["sha256"] or "",
            text=text[mark.end() : end],
        )
        for mark, end in zip(marks, ends, strict=True)
    ]


def read_chain(tree: Tree) -> list[Revision]:
    """The revisions, oldest first. Raises E_CHAIN when a file is missing or left over."""
    chain: list[Revision] = []
    for python_file in sorted(tree.versions.glob("[0-9]*.py")):
        chain.append(Revision(python_file.name.partition("_")[0], python_file))
        if chain[-1].revision != f"{len(chain):04d}":
            raise TicketdbError(
                "E_CHAIN",
                ExitStatus.USAGE,
                f"{python_file}: expected revision {len(chain):04d} here: one is missing or double",
            )
    expected = {r.python_file.with_suffix(s).name for r in chain for s in (".up.sql", ".down.sql")}
    found = {path.name for path in tree.versions.glob("*.sql")}
    if odd := sorted(expected ^ found):
        what = "is missing" if odd[0] in expected else "belongs to no revision"
        raise TicketdbError("E_CHAIN", ExitStatus.USAGE, f"{tree.versions / odd[0]} {what}")
    return chain


def require_filled_in(chain: Collection[Revision]) -> None:
    """Raise E_UNFILLED when a revision still waits for hand-written ALTERs."""
    for revision in chain:
        for suffix, data in ((".up.sql", revision.up), (".down.sql", revision.down)):
            if re.search(rb"^" + UNFILLED.encode(), data, re.MULTILINE):
                raise TicketdbError(
                    "E_UNFILLED",
                    ExitStatus.CHECK_FAILED,
                    f"{revision.python_file.with_suffix(suffix)} still has a line "
                    f"'{UNFILLED.strip()}': write the ALTERs there and remove the line",
                )


def manifest_error(message: str) -> TicketdbError:
    return TicketdbError("E_MANIFEST", ExitStatus.USAGE, f"sql/manifest.toml: {message}")


def read_manifest(tree: Tree) -> list[SourceObject]:
    """The objects of the database as it is today, in order. Raises E_MANIFEST."""
    path = tree.sql / "manifest.toml"
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("object", [])
    except OSError as error:
        raise manifest_error(f"cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise manifest_error(f"is not TOML: {error}") from None
    objects = [_read_object(tree, entry) for entry in entries]
    listed = [source.path for source in objects]
    if double := {name for name in listed if listed.count(name) > 1}:
        raise manifest_error(f"{min(double)} is listed twice")
    present = {str(file.relative_to(tree.sql)) for file in tree.sql.rglob("*.sql")}
    if unlisted := present - set(listed):
        raise manifest_error(f"{min(unlisted)} exists but is not listed")
    return objects


def _read_object(tree: Tree, entry: dict[str, str]) -> SourceObject:
    name = entry.get("file")
    if name is None or entry.keys() - {"file", "kind", "drop"}:
        raise manifest_error(f"an [[object]] has file, kind and maybe drop, not {sorted(entry)}")
    if entry.get("kind") not in ("data", "replaceable"):
        raise manifest_error(f"{name}: kind must be 'data' or 'replaceable'")
    try:
        source = (tree.sql / name).read_bytes()
    except OSError as error:
        raise manifest_error(f"{name} cannot be read: {error.strerror}") from None
    if MARKER.search(source.decode()) or not source.endswith(b"\n"):
        raise manifest_error(f"{name} must end with a line feed and hold no marker line")
    path = PurePosixPath(name)
    drop = entry.get("drop") or DEFAULT_DROPS.get(path.parts[0], "").format(stem=path.stem)
    if not drop:
        raise manifest_error(f'{name}: say how to drop it: drop = "DROP …"')
    return SourceObject(name, entry["kind"] == "replaceable", drop.strip() + "\n", source)


def chain_state(chain: Collection[Revision]) -> dict[str, list[Section]]:
    """For each object that the chain leaves behind, the sections that make it, oldest first."""
    state: dict[str, list[Section]] = {}
    for revision in chain:
        for section in parse_sections(revision.up.decode()):
            if section.kind == "object":
                # Last in the order of the chain, too: what replaces an object may need later ones.
                state.pop(section.path, None)
                state[section.path] = [section]
            elif section.kind == "alter":
                state[section.path].append(section)
            elif section.kind == "drop":
                del state[section.path]
    return state


def _drop_statements(chain: Collection[Revision]) -> dict[str, str]:
    """For each object that the chain ever made, the statement that takes it away again."""
    drops: dict[str, str] = {}
    for revision in chain:
        sections = parse_sections(revision.down.decode())
        for position, section in enumerate(sections):
            if section.kind == "drop":
                # Empty after a renaming: the object is what the next section calls it.
                statement = section.text.strip()
                drops[section.path] = (
                    statement + "\n" if statement else drops[sections[position + 1].path]
                )
    return drops


def _marker(kind: str, path: str, sha256: str = "") -> str:
    return f"-- {kind}: {path} sha256={sha256}\n" if sha256 else f"-- {kind}: {path}\n"


def _restored(sections: list[Section]) -> str:
    """What brings an object back that is now dropped or replaced."""
    return "\n".join(
        _marker(s.kind, s.path, s.sha256) + s.text.rstrip("\n") + "\n" for s in sections
    )


def freeze(
    message: str, objects: Collection[str] | None = None, tree: Tree | None = None
) -> Frozen | None:
    """Freeze what differs between ``sql/`` and the chain into a new revision.

    With `objects` only those are looked at. Returns None, and writes nothing, when nothing changed.
    Raises E_MANIFEST, E_CHAIN, E_UNFILLED, or E_REVISION for a message or object that will not do.
    """
    tree = tree or shipped_tree()
    if not re.fullmatch(r'[^"\\\n]*\w[^"\\\n]*', message):
        raise TicketdbError(
            "E_REVISION",
            ExitStatus.USAGE,
            "the message must be one line with a word in it, without double quotes and backslashes",
        )
    chain = read_chain(tree)
    require_filled_in(chain)
    sources = {source.path: source for source in read_manifest(tree)}
    state = chain_state(chain)
    if unknown := set(objects or ()) - sources.keys() - state.keys():
        raise TicketdbError(
            "E_REVISION",
            ExitStatus.USAGE,
            f"{min(unknown)} is neither in the manifest nor the chain",
        )

    def chosen(path: str) -> bool:
        return objects is None or path in objects

    up: list[str] = []
    down: list[str] = []
    changes: list[str] = []
    to_fill_in = False
    drops = _drop_statements(chain)
    gone = [path for path in reversed(state) if path not in sources and chosen(path)]
    # Dropped by the same statement means the same object: its file was renamed.
    former_names = {drops[path]: path for path in gone}

    for path, source in sources.items():
        before = state.get(path)
        if not chosen(path) or (before and before[-1].sha256 == source.sha256):
            continue
        if before and not source.is_replaceable:
            changes.append(f"alter {path}")
            to_fill_in = True
            hint = f"{UNFILLED}ALTERs that turn {{}} {path} into {{}}; then remove this line\n"
            up.append(
                _marker("alter", path, source.sha256) + hint.format("the previous", "today's")
            )
            down.append(
                _marker("alter", path, before[-1].sha256) + hint.format("today's", "the previous")
            )
            continue
        undo = _restored(before) if before else _marker("drop", path) + source.drop
        up.append(_marker("object", path, source.sha256) + source.source.decode())
        if before:
            changes.append(f"replace {path}")
        elif former := former_names.get(source.drop):
            if not source.is_replaceable:
                raise TicketdbError(
                    "E_REVISION",
                    ExitStatus.USAGE,
                    f"{path} is what {former} was: an object that holds data keeps its file's name",
                )
            gone.remove(former)
            changes.append(f"rename {former} to {path}")
            up[-1] = _marker("drop", former) + up[-1]
            undo = _marker("drop", path) + _restored(state[former])
        else:
            changes.append(f"create {path}")
        down.append(undo)

    # Last, when nothing that was replaced needs them any more; dependants before what they need.
    for path in gone:
        changes.append(f"drop {path}")
        up.append(_marker("drop", path) + drops[path])
        down.append(_restored(state[path]))

    if not changes:
        return None
    number = f"{len(chain) + 1:04d}"
    heading = f"-- {number}: {message}.\n-- A template, frozen by `ticketdb revision`.\n"
    tail = "-- privileges\nSELECT {{ schema }}.revoke_default_privileges();\n"
    script = ScriptDirectory.from_config(alembic_config(tree)).generate_revision(number, message)
    if script is None:
        raise RuntimeError("alembic wrote no revision")
    revision = Revision(number, Path(script.path))
    # What a downgrade creates anew would come with PostgreSQL's default privileges, too.
    restores = any("\n-- object: " in "\n" + part for part in down)
    files = {
        ".up.sql": [heading, *up, tail],
        ".down.sql": [heading, *reversed(down), *([tail] if restores else [])],
    }
    for suffix, parts in files.items():
        revision.python_file.with_suffix(suffix).write_text("\n".join(parts), encoding="utf-8")
    return Frozen(
        revision,
        tuple(changes),
        tuple(revision.python_file.with_suffix(s) for s in files) if to_fill_in else (),
    )
