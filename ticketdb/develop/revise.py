"""Turns an edit of ``sql/`` into a frozen revision, and checks that it is correct.

Catalogs are compared, not texts: a private server runs the chain, and beside it ``sql/``. Which
objects can be replaced, which have to be dropped first and created again, and in which order, is
found by trying, in transactions that are rolled back.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from ticketdb.catalog import Catalog, Difference, differences
from ticketdb.database import Connection, connect
from ticketdb.develop.build import build_from_sources
from ticketdb.develop.scratch import (
    NOTHING_OBSERVED,
    Dependent,
    Observed,
    Scratch,
    described,
    look,
    observe,
    record,
    runs,
    scratch,
)
from ticketdb.errors import ExitStatus, TicketdbError, problem
from ticketdb.migrate.chain import (
    MADE,
    UNFILLED,
    Revision,
    Section,
    SourceObject,
    alembic_config,
    chain_state,
    parse_sections,
    read_chain,
    read_sources,
)
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.statements import split_statements
from ticketdb.paths import PACKAGE, Tree, shipped_tree
from ticketdb.private_server import Cluster, private_cluster
from ticketdb.templates import render

Verb = Literal["create", "drop", "replace", "alter", "rename"]
UNDOING: Mapping[Verb, Verb] = {
    "create": "drop",
    "drop": "create",
    "replace": "replace",
    "alter": "alter",
    "rename": "rename",
}

PRIVILEGES = Section(
    "privileges", "", "", "SELECT {{ internal_schema }}.revoke_default_privileges();"
)
# Statements whose whole effect is in the catalog.
DEFINITION = re.compile(r"(?i)(create|comment|grant|revoke|alter|drop)\b")
# The type of a column, in its definition.
TYPE = re.compile(r"\d+ (.+?)(?: NOT NULL)? default ")
COMMENT_ON = {"routine": "ROUTINE", "relation": "VIEW", "column": "COLUMN"}
CONCURRENTLY = re.compile(r"(?i)\bconcurrently\b")
# The message becomes a comment of SQL, a docstring of Python, and part of a template.
MESSAGE = re.compile(r"(?=.*\w)[^\x00-\x1f\x7f\\{}\"]+")


@dataclass(frozen=True)
class Replacing:
    """The result of running one body of an object over another.

    `works`: whether that is enough; None: only in part, or not known. `leaves`: the differences
    that remain. `first`: statements to run before, so that none remains.
    """

    works: bool | None = True
    leaves: str = ""
    first: str = ""


@dataclass(frozen=True)
class Trial:
    """The effect of an edit of one object.

    `differences`: what it changes in the catalog. `retyped`: the columns whose type it changes.
    """

    differences: tuple[str, ...] = ()
    retyped: frozenset[str] = frozenset()
    up: Replacing = Replacing()
    down: Replacing = Replacing()


@dataclass(frozen=True)
class Edits:
    """What a revision has to do with each object, by its file.

    `state`: the objects of the chain. `origins`: the previous files of renamed objects.
    """

    chain: list[Revision]
    state: dict[str, list[Section]]
    sources: dict[str, SourceObject]
    verbs: dict[str, Verb] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)

    def undone(self) -> "Edits":
        """The edits of the downgrade."""
        return replace(
            self,
            verbs={self.origins.get(p, p): UNDOING[verb] for p, verb in self.verbs.items()},
            origins={origin: path for path, origin in self.origins.items()},
            trials={path: replace(trial, up=trial.down) for path, trial in self.trials.items()},
        )


@dataclass(frozen=True)
class Side:
    """The database before or after a revision: how each object is created and dropped there.

    `past`: the position of each section in the chain. A downgrade creates objects in that order,
    since a table may refer to another that was renamed later.
    """

    name: str
    makes: dict[str, list[Section]]
    drops: dict[str, str]
    order: list[str]
    observed: Observed
    past: Mapping[Section, int] = field(default_factory=dict)

    def dependents(self, path: str) -> list[Dependent]:
        return self.observed.dependents.get(path, [])

    def holders(self, path: str) -> list[Dependent]:
        """The dependents that hold data, which prevent this object from being dropped."""
        return [d for d in self.dependents(path) if d.holds_data]

    def followers(self, path: str) -> list[Dependent]:
        """The dependents that have to be dropped and created again with this object."""
        return [d for d in self.dependents(path) if not d.holds_data]

    def dropping(self, paths: Collection[str]) -> list[Section]:
        """The sections that drop these: dependents first, otherwise the last created first."""
        pending = [path for path in reversed(self.order) if path in paths]
        sections = []
        while pending:
            needing = {p: {d.path for d in self.dependents(p)} for p in pending}
            path = next((p for p in pending if not needing[p] & {*pending}), pending[0])
            pending.remove(path)
            sections.append(Section("drop", path, "", self.drops[path]))
        return sections


@dataclass(frozen=True)
class Frozen:
    """What `freeze` found, and the revision that it wrote, if anything has changed.

    `text_only`: files that create the same object as before. `differences`: what the ALTER
    statements, which the author has to write, must change. `left`: other files that have changed.
    """

    revision: Revision | None
    changes: list[str]
    text_only: list[str]
    differences: list[str]
    left: list[str]


Steps = list[tuple[str, Section]]  # each with the file whose object it makes
# Takes the sections that drop, and the steps that follow; returns the steps in a working order.
Arrange = Callable[[list[Section], Steps], Steps]


def run(message: str, objects: Collection[str] | None = None) -> ExitStatus:
    """The command `revision`: freeze, check, report. Raises E_TRIANGLE and what `freeze` raises."""
    tree = shipped_tree()
    if PACKAGE in tree.sql.parents:
        raise problem("E_NO_CHECKOUT", f"{tree.sql} is an installation, not a source tree")
    with private_cluster() as cluster:
        frozen = freeze(message, objects, tree, cluster)
        if frozen.revision is None:
            print("nothing new to freeze; checking the newest revision")
        else:
            print(f"wrote {frozen.revision.python_file.with_suffix('')}.{{py,up.sql,down.sql}}")
        for change in frozen.changes:
            print(f"  {change}")
        if frozen.text_only:
            print(f"changed in their text only: {', '.join(frozen.text_only)}")
        if frozen.revision and UNFILLED in frozen.revision.up + frozen.revision.down:
            print(
                "write the ALTER statements into the .up.sql and the .down.sql, then run it again"
            )
            for difference in frozen.differences:
                print(f"  {difference}")
            return ExitStatus.CHECK_FAILED
        newest = read_chain(tree)[-1]
        try:
            wrong = check(tree, cluster, with_sources=not frozen.left)
        except TicketdbError:
            print(f"{newest.name} is not finished: correct its files, then run it again")
            raise
    if not (wrong or frozen.left):
        sign(tree)
    for difference in wrong:
        print(f"  {difference}")
    if wrong:
        where = f"{newest.name} is not finished"
        raise problem("E_TRIANGLE", f"{where}: {len(wrong)} differences, listed above")
    print(f"{newest.name} was applied, reverted and applied again")
    if frozen.left:
        print(f"not compared with sql/, since other files have changed: {', '.join(frozen.left)}")
    else:
        print("the chain and sql/ produce the same database")
    return ExitStatus.OK


def freeze(
    message: str,
    objects: Collection[str] | None = None,
    tree: Tree | None = None,
    cluster: Cluster | None = None,
) -> Frozen:
    """Freeze what differs between ``sql/`` and the chain into a new revision.

    With `objects`, only these files are considered. Without `cluster` nothing is tried, and every
    change of a text counts, which is enough for a chain of new objects. Raises E_SOURCES, E_CHAIN,
    E_UNFILLED, or E_REVISION for unknown objects or an unusable message.
    """
    tree = tree or shipped_tree()
    edits = compare_texts(tree)
    if unknown := set(objects or ()) - edits.sources.keys() - edits.state.keys():
        raise problem("E_REVISION", f"{min(unknown)} is neither in order.toml nor in the chain")
    chosen = set(objects or edits.verbs)
    left = [path for path in edits.verbs if not {path, edits.origins.get(path)} & chosen]
    for path in left:
        del edits.verbs[path]
        edits.origins.pop(path, None)
    text_only: list[str] = []
    if cluster is None or not edits.verbs:
        old, new = sides(edits)
        changes, up = route(old, new, edits)
        _, down = route(new, old, edits.undone())
    else:
        changed = {path for path, verb in edits.verbs.items() if verb in ("alter", "replace")}
        changes, up, down = compare_catalogs(tree, cluster, edits, is_whole=not left)
        text_only = sorted(changed - edits.verbs.keys())
    revision = write(tree, message, edits, up, down) if changes else None
    wanted = [
        line
        for path, trial in edits.trials.items()
        for line in (trial.differences if edits.verbs[path] == "alter" else ())
    ]
    return Frozen(revision, changes, text_only, wanted, left)


def compare_texts(tree: Tree) -> Edits:
    """The differences between the texts of the chain and those of ``sql/``."""
    chain = read_chain(tree)
    sources = {source.file: source for source in read_sources(tree)}
    edits = Edits(chain, chain_state(chain), sources)
    gone = [path for path in edits.state if path not in sources]
    # Objects whose ALTERs are being written: `check` finds out whether those are right.
    is_open = {section.path for section in unsigned(chain[-1].up)} if chain else set()
    for path, source in sources.items():
        if path not in edits.state:
            edits.verbs[path] = "create"
            if source.kind == "data" and (origin := nearest(source, gone, edits.state)):
                edits.verbs[path], edits.origins[path] = "rename", origin
                gone.remove(origin)
        elif not (matches(edits.state[path][-1], source) or path in is_open):
            edits.verbs[path] = "alter" if source.kind == "data" else "replace"
    edits.verbs.update(dict.fromkeys(gone, "drop"))
    return edits


def matches(section: Section, source: SourceObject) -> bool:
    """Whether a section of the chain corresponds to this file of ``sql/``, judging by the text.

    The text of a created object is compared itself, not its checksum: the revision may have been
    edited since.
    """
    if section.kind == "object":
        return section.text.rstrip() == source.text.rstrip()
    return section.sha256 == source.sha256


def unsigned(text: str) -> list[Section]:
    """The ALTERs of a revision that is not finished: without the checksum of a file of sql/."""
    return [s for s in parse_sections(text) if s.kind == "alter" and not s.sha256]


def sign(tree: Tree) -> None:
    """Add to the ALTERs of the newest revision the checksums of their files in ``sql/``.

    To be called when `check` has passed: while ALTERs are being written, files may still change.
    """
    newest = read_chain(tree)[-1]
    sources = {source.file: source for source in read_sources(tree)}
    text = newest.up
    for section in unsigned(text):
        if source := sources.get(section.path):
            marker = section.frozen().partition("\n")[0]
            signed = replace(section, sha256=source.sha256).frozen().partition("\n")[0]
            text = re.sub(f"^{re.escape(marker)}$", signed, text, flags=re.MULTILINE)
    if text != newest.up:
        newest.python_file.with_suffix(".up.sql").write_text(text, encoding="utf-8")


def nearest(
    source: SourceObject, gone: Iterable[str], state: Mapping[str, list[Section]]
) -> str | None:
    """Of the removed files, the one that this new one most likely was.

    A guess is better than none: to take a renamed table for a new one would lose its rows. It may
    have moved to another room.
    """

    def kind(text: str) -> str | None:
        made = MADE.search(text)
        return made["kind"] if made else None

    return max(
        (path for path in gone if kind(state[path][0].text) == kind(source.text)),
        key=lambda path: difflib.SequenceMatcher(None, state[path][0].text, source.text).ratio(),
        default=None,
    )


def sides(
    edits: Edits, was: Observed = NOTHING_OBSERVED, will_be: Observed = NOTHING_OBSERVED
) -> tuple[Side, Side]:
    """The database before the new revision, from the chain, and after it, from ``sql/``."""
    drops = drops_of(edits)
    today = {path: source.drop for path, source in edits.sources.items()}
    leaving = {path for path, verb in edits.verbs.items() if verb == "drop"}
    leaving |= set(edits.origins.values())
    makes = {path: made for path, made in edits.state.items() if path not in leaving}
    for path, source in edits.sources.items():
        if path in edits.verbs:
            makes[path] = [Section("object", path, source.sha256, source.text)]
    # A changed object may have needed one that is gone.
    gone = [path for path in edits.state if path not in edits.sources]
    order = [*gone, *(path for path in edits.sources if path in edits.state)]
    new_order = [path for path in (*edits.sources, *gone) if path in makes]
    went_up = (section for past in edits.chain for section in parse_sections(past.up))
    past = {section: number for number, section in enumerate(went_up)}
    return (
        Side("the previous", edits.state, drops, order, was, past),
        Side("today's", makes, drops | today, new_order, will_be),
    )


def drops_of(edits: Edits) -> dict[str, str]:
    """For each object of the chain, the statement that drops it, from its last downgrade."""
    drops: dict[str, str] = {}
    for revision in edits.chain:
        for section in parse_sections(revision.down):
            if section.kind == "drop":
                drops[section.path] = section.text.strip()
        for section in parse_sections(revision.up):
            if section.origin in drops:
                before, after = PurePosixPath(section.origin).stem, PurePosixPath(section.path).stem
                drops[section.path] = drops[section.origin].replace(before, after)
    unknown = f"{UNFILLED}the statement that drops {{}}; then remove this line"
    return {path: drops.get(path) or unknown.format(path) for path in edits.state}


def compare_catalogs(
    tree: Tree, cluster: Cluster, edits: Edits, *, is_whole: bool
) -> tuple[list[str], list[Section], list[Section]]:
    """The changes, and the sections of upgrade and downgrade, of objects that really change.

    Removes from `edits` those whose text alone changes. `is_whole`: the upgrade must produce all of
    ``sql/``.
    """

    def try_edit(connection: Connection, source: SourceObject) -> None:
        if edits.verbs.get(source.file) in ("alter", "replace"):
            trial = tried(connection, built, source, edits)
            if trial is not None:
                edits.trials[source.file] = trial
            else:
                del edits.verbs[source.file]

    with scratch(cluster) as (replayed, built):
        record(replayed)
        apply(replayed.dsn, replayed.variables, tree=tree)
        build_from_sources(built.dsn, built.variables, tree, try_edit)
        made = {path: [s.text for s in sections] for path, sections in edits.state.items()}
        was = observe(replayed, made)
        is_now = observe(built, {path: [s.text] for path, s in edits.sources.items()})
        while True:
            old, new = sides(edits, was, is_now)
            changes, up = route(old, new, edits)
            if not is_whole or is_unfilled(up):
                break
            missed = files_missed(replayed, up, built.catalog(), {**was.files, **is_now.files})
            # Such as views with SELECT *: their texts stay the same, but their columns do not.
            more = [path for path in missed - edits.verbs.keys() if is_replaceable(edits, path)]
            if not more:
                break
            edits.verbs.update(dict.fromkeys(more, "replace"))
            again = Trial(up=Replacing(works=False), down=Replacing(works=False))
            edits.trials.update(dict.fromkeys(more, again))
        with connect(built.dsn) as connection:
            arrange = arranging(connection, built)
            _, down = route(new, old, edits.undone(), arrange)
    return changes, up, down


def is_replaceable(edits: Edits, path: str) -> bool:
    source = edits.sources.get(path)
    return source is not None and source.kind == "replaceable" and path in edits.state


def tried(
    connection: Connection, database: Scratch, source: SourceObject, edits: Edits
) -> Trial | None:
    """Create an object as in the chain and as in ``sql/``, at its place in the order of ``sql/``.

    Returns None if both are the same.
    """
    today, holds_data = [source.text], source.kind == "data"
    # CONCURRENTLY is not possible in a transaction, nor needed in one that is rolled back.
    previous = [CONCURRENTLY.sub("", section.text) for section in edits.state[source.file]]

    def made(*texts: list[str]) -> Catalog | None:
        run = [text for several in texts for text in several]
        return look(connection, database.variables, run, rows=holds_data)

    def replacing(first: list[str], then: list[str], wanted: Catalog) -> Replacing:
        found = made(basis, first, then)
        left = differences(wanted, found) if found is not None else []
        if (stripping := strip(left)) and made(basis, first, [stripping], then) == wanted:
            return Replacing(first=stripping)
        # A routine with other arguments does not replace the first one.
        if found is None or any((d.kind, d.change) == ("routine", "extra") for d in left):
            return Replacing(works=False)
        leaves = "; ".join(described(d, "the file", "the database") for d in left)
        return Replacing(works=None if left else True, leaves=leaves)

    basis: list[str] = []
    before = made(previous)
    if before is None:  # it may need an object that is gone
        gone = [path for path, verb in edits.verbs.items() if verb == "drop"]
        basis = [section.text for path in gone for section in edits.state[path]]
        before = made(basis, previous)
    after = made(basis, today)
    if before is None or after is None:
        return Trial(up=Replacing(None), down=Replacing(None))
    different = differences(after, before)
    lines = tuple(described(d, "sql/", "the chain") for d in different)
    if not lines and not does_more(database, "".join(previous), source):
        return None
    if holds_data:
        return Trial(lines, frozenset(d.identity for d in different if changes_type(d)))
    up, down = replacing(previous, today, after), replacing(today, previous, before)
    return Trial(lines, up=up, down=down)


def changes_type(difference: Difference) -> bool:
    """Whether the difference is another type of an existing column."""
    both = [TYPE.match(text or "") for text in (difference.wanted, difference.found)]
    types = {found and found[1] for found in both}
    return difference.kind == "column" and difference.change == "changed" and len(types) > 1


def strip(left: Iterable[Difference]) -> str:
    """The statements that remove the comments and privileges among these differences."""
    statements = []
    for difference in left:
        of, _, name = difference.identity.partition(" ")
        if difference.kind == "comment" and of in COMMENT_ON:
            statements.append(f"COMMENT ON {COMMENT_ON[of]} {name} IS NULL;")
        elif difference.kind in ("grant", "role grant"):
            name, _, grantee = difference.identity.rpartition(" to ")
            on = f"{'ROUTINE' if name.endswith(')') else 'TABLE'} {name}"
            revoke = f"REVOKE ALL ON {on} FROM {grantee};"
            # Roles that the DBA manages may not exist.
            is_ours = difference.kind == "role grant"
            statements.append(
                f"{{% if manage_roles %}}\n{revoke}\n{{% endif %}}" if is_ours else revoke
            )
    return "\n".join(statements)


def does_more(database: Scratch, previous: str, source: SourceObject) -> bool:
    """Whether texts that create the same objects differ in effects that are not in a catalog."""
    managed = database.variables
    now, before = (split_statements(render(t, managed)) for t in (source.text, previous))
    if now == before:
        unmanaged = replace(managed, manage_roles=False)
        now, before = (split_statements(render(t, unmanaged)) for t in (source.text, previous))
        return now != before
    # Other statements of a table's file insert its first rows, which have been compared.
    deeds = [[s for s in of if not DEFINITION.match(s)] for of in (now, before)]
    return source.kind == "replaceable" and deeds[0] != deeds[1]


def fill_in(path: str, sha256: str, what: str, origin: str = "") -> Section:
    """A section whose statements the author has to write."""
    return Section("alter", path, sha256, f"{UNFILLED}{what}; then remove this line", origin)


def is_unfilled(sections: Iterable[Section]) -> bool:
    return any(section.text.startswith(UNFILLED) for section in sections)


def route(
    here: Side, there: Side, edits: Edits, arrange: Arrange = lambda _, steps: steps
) -> tuple[list[str], list[Section]]:
    """The changes between two sides, and the sections that turn one into the other."""
    first = dropped_first(here, there, edits)
    gone = [path for path, verb in edits.verbs.items() if verb == "drop"]
    changes: list[str] = []
    steps: Steps = []
    for path in there.order:
        if path in first:
            steps += ((path, section) for section in there.makes[path])
            changes.append(f"recreate {path}")
        elif path in edits.verbs:
            steps += ((path, section) for section in changing(path, here, there, edits, first))
            origin = edits.origins.get(path)
            changes.append(f"{edits.verbs[path]} {f'{origin} to ' if origin else ''}{path}")
    back = [
        step for step in steps if edits.verbs.get(step[0]) == "create" and step[1] in there.past
    ]
    steps = [
        *sorted(back, key=lambda step: there.past[step[1]]),
        *(step for step in steps if step not in back),
    ]
    in_the_way: dict[str, list[str]] = {}
    for path in here.order:
        for holder in here.holders(path) if path in first else ():
            if holder.path not in first:
                in_the_way.setdefault(holder.path, []).append(f"{holder.what} (needs {path})")

    before, after = [], []
    for path, parts in in_the_way.items():
        what = f"remove what prevents an object below from being dropped: {', '.join(parts)}"
        before.append(fill_in(path, here.makes[path][-1].sha256, what))
        if path not in altered(edits):  # those have a section for it already
            what = f"create again what was removed: {', '.join(parts)}"
            after.append(fill_in(path, there.makes[path][-1].sha256, what))
            changes.append(f"alter {path}")
    drops = here.dropping(first)
    made = [section for _, section in arrange(drops, steps)]
    # Removed objects are dropped last, when no replaced object needs them any more.
    last = here.dropping([path for path in gone if path not in first])
    changes += [f"drop {section.path}" for section in here.dropping(gone)]
    return changes, [*before, *drops, *made, *after, *last]


def changing(path: str, here: Side, there: Side, edits: Edits, first: set[str]) -> list[Section]:
    """The sections that change an object without dropping it."""
    verb, sha256 = edits.verbs[path], there.makes[path][-1].sha256
    if verb == "alter":
        what = f"ALTERs that turn {here.name} {path} into {there.name}"
        affected = {d.path for d in here.followers(path) if not d.by_row_type} - first
        what += f" (these depend on it: {', '.join(sorted(affected))})" if affected else ""
        return [fill_in(path, sha256, what)]
    if verb == "rename":
        origin = edits.origins[path]
        what = f"ALTER … RENAME and what else turns {here.name} {origin} into {there.name} {path}"
        return [fill_in(path, sha256, f"{what}, or DROP and CREATE", origin)]
    made, up = there.makes[path], edits.trials.get(path, Trial()).up
    if up.first:
        return [Section("alter", path, here.makes[path][-1].sha256, up.first), *made]
    if up.leaves:
        return [*made, fill_in(path, sha256, f"the differences that remain: {up.leaves}")]
    return made


def altered(edits: Edits) -> set[str]:
    """The previous files of objects that the author alters."""
    alters = [path for path, verb in edits.verbs.items() if verb in ("alter", "rename")]
    return {edits.origins.get(path, path) for path in alters}


def dropped_first(here: Side, there: Side, edits: Edits) -> set[str]:
    """The objects to drop first. Most of them are created again."""
    created = {there.drops[path] for path, verb in edits.verbs.items() if verb == "create"}
    on_altered = {d.path for p in altered(edits) for d in here.followers(p) if not d.by_row_type}
    first = set()
    for path, verb in edits.verbs.items():
        works = edits.trials.get(path, Trial()).up.works
        # An object that is replaced or dropped anyway should not prevent an ALTER.
        should = (path in on_altered or works is None) and path in here.observed.makers
        # The same object in another file: dropping it last would drop the new one.
        must = works is False if verb == "replace" else here.drops.get(path) in created
        if verb in ("replace", "drop") and (must or (should and not here.holders(path))):
            first.add(path)
        # PostgreSQL refuses to alter the type of a column that a trigger names.
        retyped = edits.trials.get(path, Trial()).retyped
        first |= {d.path for d in here.followers(path) if retyped & {*d.trigger_columns}}
    gone = {path for path, verb in edits.verbs.items() if verb == "drop"}
    while more := must_follow(here, first, gone) - first:
        first |= more
    return first


def must_follow(side: Side, paths: Iterable[str], gone: Collection[str]) -> set[str]:
    """The dependents that have to be dropped with these objects, and can be."""
    dependents = (d for path in paths for d in side.dependents(path))
    return {d.path for d in dependents if not d.holds_data or d.path in gone}


def arranging(connection: Connection, database: Scratch) -> Arrange:
    """Finds an order in which the steps work, by trying."""

    def arrange(dropped: list[Section], steps: Steps) -> Steps:
        ordered: Steps = []
        pending = steps
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            if not runs(connection, database.variables, [section.text for section in dropped]):
                return steps  # the author has to write statements before
            while True:
                waiting: Steps = []
                for path, section in pending:
                    waits = path in (file for file, _ in waiting)
                    if waits or not runs(connection, database.variables, [section.text]):
                        waiting.append((path, section))
                    else:
                        ordered.append((path, section))
                if len(waiting) in (0, len(pending)):
                    return ordered + waiting
                pending = waiting

    return arrange


def files_missed(
    database: Scratch, sections: Iterable[Section], wanted: Catalog, files: Mapping[str, str]
) -> set[str]:
    """The files of objects that differ from `wanted` after these sections."""
    with connect(database.dsn) as connection:
        texts = [section.text for section in (*sections, PRIVILEGES)]
        found = look(connection, database.variables, texts)
    if found is None:  # `check` will report why
        return set()
    identities = [difference.identity for difference in differences(wanted, found)]
    # Parts have the name of their object in theirs: schema.view.column, schema.function(integer).
    return {
        file
        for name, file in files.items()
        if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", identity) for identity in identities)
    }


def write(
    tree: Tree, message: str, edits: Edits, up: list[Section], down: list[Section]
) -> Revision:
    """Write the three files of a revision. Raises E_REVISION without a message for its heading."""
    from alembic.script import ScriptDirectory

    if not MESSAGE.fullmatch(message):
        what = f"{message!r} cannot be a heading"
        if not message:
            what = "a message is missing for what has changed since the newest revision"
        raise problem(
            "E_REVISION", f"{what}: use -m TEXT, one line without quotes, braces, backslashes"
        )
    if any(section.kind == "object" for section in down):
        # Objects that a downgrade creates would get PostgreSQL's default privileges, too.
        down = [*down, PRIVILEGES]
    up = [replace(section, sha256="") if is_unfilled([section]) else section for section in up]
    number = f"{len(edits.chain) + 1:04d}"
    script = ScriptDirectory.from_config(alembic_config(tree)).generate_revision(number, message)
    assert script is not None
    heading = f"-- {number}: {message}.\n-- A template, frozen by `ticketdb revision`.\n"
    texts = []
    for suffix, sections in ((".up.sql", [*up, PRIVILEGES]), (".down.sql", down)):
        texts.append("\n".join([heading, *(section.frozen() for section in sections)]))
        Path(script.path).with_suffix(suffix).write_text(texts[-1], encoding="utf-8")
    return Revision(number, Path(script.path), *texts)


def check(tree: Tree, cluster: Cluster, *, with_sources: bool = True) -> list[str]:
    """What is wrong with the newest revision, a line each. Raises what apply and revert raise.

    The chain must produce the same database as ``sql/``, and the newest revision must be reversible
    and repeatable.
    """
    *earlier, newest = read_chain(tree)
    previous = earlier[-1].revision if earlier else "base"
    with scratch(cluster) as (replayed, built):
        dsn, variables = replayed.dsn, replayed.variables
        apply(dsn, variables, to=previous, tree=tree)
        before = replayed.catalog()
        apply(dsn, variables, tree=tree)
        there = replayed.catalog()
        revert(dsn, variables, previous, allow_data_loss=True, tree=tree)
        back = replayed.catalog()
        apply(dsn, variables, tree=tree)
        again = replayed.catalog()
        wrong = []
        if with_sources:
            build_from_sources(dsn, built.variables, tree)
            wrong = [described(d, "sql/", "the chain") for d in differences(built.catalog(), there)]
    expected, reverted = f"the database before {newest.revision}", f"reverting {newest.revision}"
    wrong += [described(d, expected, reverted) for d in differences(before, back)]
    wrong += [described(d, "applying once", "applying again") for d in differences(there, again)]
    return wrong
