"""How an edit of ``sql/`` becomes a frozen revision, and the proof that it is one.

What has changed is not read in the texts but asked of PostgreSQL: a private server makes what the
chain makes, and beside it what ``sql/`` makes. What can be replaced, what has to be dropped first
and made again, and in which order, is found by trying, in transactions that are rolled back.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from ticketdb.catalog import Catalog, Difference, differences
from ticketdb.cluster import Cluster, private_cluster
from ticketdb.database import Connection, connect
from ticketdb.errors import ExitStatus, TicketdbError, problem
from ticketdb.migrate import apply, revert, split_statements
from ticketdb.render import render
from ticketdb.resources import PACKAGE, Tree, shipped_tree
from ticketdb.revision import (
    UNFILLED,
    Revision,
    Section,
    SourceObject,
    alembic_config,
    chain_state,
    parse_sections,
    read_chain,
    read_manifest,
)
from ticketdb_develop import build_from_sources
from ticketdb_develop.scratch import (
    NOTHING_OBSERVED,
    Dependant,
    Observed,
    Scratch,
    look,
    observe,
    record,
    runs,
    scratch,
    told,
)

Verb = Literal["create", "drop", "replace", "alter", "rename"]
UNDOING: Mapping[Verb, Verb] = {
    "create": "drop",
    "drop": "create",
    "replace": "replace",
    "alter": "alter",
    "rename": "rename",
}

PRIVILEGES = Section("privileges", "", "", "SELECT {{ schema }}.revoke_default_privileges();")
# Statements whose whole effect is in the catalog.
DEFINITION = re.compile(r"(?i)(create|comment|grant|revoke|alter|drop)\b")
# The type of a column, in its definition.
TYPE = re.compile(r"\d+ (.+?)(?: NOT NULL)? default ")
COMMENT_ON = {"routine": "ROUTINE", "relation": "VIEW", "column": "COLUMN"}
CONCURRENTLY = re.compile(r"(?i)\bconcurrently\b")
# It becomes a comment of SQL, a docstring of Python, and part of a template.
MESSAGE = re.compile(r"(?=.*\w)[^\x00-\x1f\x7f\\{}\"]+")


@dataclass(frozen=True)
class Replacing:
    """What comes of running one body of an object over another. None: not all, or not known.

    `leaves`: what is not as it should be then. `first`: statements to run before, so that it works.
    """

    works: bool | None = True
    leaves: str = ""
    first: str = ""


@dataclass(frozen=True)
class Trial:
    """What an edit of an object comes to. `differences`: what it changes in the catalog.

    `retyped`: the columns of which it changes the type.
    """

    differences: tuple[str, ...] = ()
    retyped: frozenset[str] = frozenset()
    up: Replacing = Replacing()
    down: Replacing = Replacing()


@dataclass(frozen=True)
class Edits:
    """What is to become of objects, by their files.

    `state` is what the chain leaves behind; `origins` the files that renamed objects had.
    """

    chain: list[Revision]
    state: dict[str, list[Section]]
    sources: dict[str, SourceObject]
    verbs: dict[str, Verb] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)

    def undone(self) -> "Edits":
        """The way back."""
        return replace(
            self,
            verbs={self.origins.get(p, p): UNDOING[verb] for p, verb in self.verbs.items()},
            origins={origin: path for path, origin in self.origins.items()},
            trials={path: replace(trial, up=trial.down) for path, trial in self.trials.items()},
        )


@dataclass(frozen=True)
class Side:
    """One end of a revision: what makes each object there, how it is dropped, what hangs on it.

    `past`: when what was frozen came about. A table may refer to another that was renamed since.
    """

    name: str
    makes: dict[str, list[Section]]
    drops: dict[str, str]
    order: list[str]
    observed: Observed
    past: Mapping[Section, int] = field(default_factory=dict)

    def dependants(self, path: str) -> list[Dependant]:
        return self.observed.dependants.get(path, [])

    def holders(self, path: str) -> list[Dependant]:
        """What holds data and hangs on this object, which cannot be dropped therefore."""
        return [d for d in self.dependants(path) if d.holds_data]

    def followers(self, path: str) -> list[Dependant]:
        """What can be dropped and made again, and has to be when this object is."""
        return [d for d in self.dependants(path) if not d.holds_data]

    def dropping(self, paths: Collection[str]) -> list[Section]:
        """Drop these: what hangs on others before them, otherwise the last made first."""
        pending = [path for path in reversed(self.order) if path in paths]
        sections = []
        while pending:
            hanging = {p: {d.path for d in self.dependants(p)} for p in pending}
            path = next((p for p in pending if not hanging[p] & {*pending}), pending[0])
            pending.remove(path)
            sections.append(Section("drop", path, "", self.drops[path]))
        return sections


@dataclass(frozen=True)
class Frozen:
    """What `freeze` found, and the revision that it wrote if anything has changed.

    `text_only`: files that make the same object as before. `differences`: what the statements that
    people write have to bring about. `left`: files that have changed, but were not asked for.
    """

    revision: Revision | None
    changes: list[str]
    text_only: list[str]
    differences: list[str]
    left: list[str]


Steps = list[tuple[str, Section]]  # each with the file whose object it makes
# Given what is dropped before, and the steps that follow: an order of these.
Arrange = Callable[[list[Section], Steps], Steps]


def run(message: str, objects: Collection[str] | None = None) -> ExitStatus:
    """The command: freeze, prove, and tell. Raises E_TRIANGLE, and what these raise."""
    tree = shipped_tree()
    if PACKAGE in tree.sql.parents:
        raise problem("E_NO_CHECKOUT", f"{tree.sql} is an installation, not a source tree")
    with private_cluster() as cluster:
        frozen = freeze(message, objects, tree, cluster)
        if frozen.revision is None:
            print("nothing has changed since the last revision")
        else:
            print(f"wrote {frozen.revision.python_file.with_suffix('')}.{{py,up.sql,down.sql}}")
        for change in frozen.changes:
            print(f"  {change}")
        if frozen.text_only:
            print(f"changed in their text only: {', '.join(frozen.text_only)}")
        if frozen.revision and UNFILLED in frozen.revision.up + frozen.revision.down:
            print("write the ALTERs into the .up.sql and the .down.sql, then run it again")
            for difference in frozen.differences:
                print(f"  {difference}")
            return ExitStatus.CHECK_FAILED
        newest = read_chain(tree)[-1]
        try:
            wrong = check(tree, cluster, with_sources=not frozen.left)
        except TicketdbError:
            print(f"{newest.name} is not finished: its files are there to be mended")
            raise
    if not (wrong or frozen.left):
        sign(tree)
    for difference in wrong:
        print(f"  {difference}")
    if wrong:
        where = f"{newest.name} is not finished"
        raise problem("E_TRIANGLE", f"{where}: {len(wrong)} differences, listed above")
    print(f"{newest.name} leads up, down and up again")
    if frozen.left:
        print(f"not compared with sql/, where more has changed: {', '.join(frozen.left)}")
    else:
        print("the chain makes what sql/ makes")
    return ExitStatus.OK


def freeze(
    message: str,
    objects: Collection[str] | None = None,
    tree: Tree | None = None,
    cluster: Cluster | None = None,
) -> Frozen:
    """Freeze what differs between ``sql/`` and the chain into a new revision.

    With `objects` only those are looked at. Without `cluster` nothing is tried, and every change of
    a text counts: enough to cut a chain from new objects. Raises E_MANIFEST, E_CHAIN, E_UNFILLED,
    or E_REVISION for objects or a message that will not do.
    """
    tree = tree or shipped_tree()
    edits = compare_texts(tree)
    if unknown := set(objects or ()) - edits.sources.keys() - edits.state.keys():
        raise problem("E_REVISION", f"{min(unknown)} is neither in the manifest nor the chain")
    asked = set(objects or edits.verbs)
    left = [path for path in edits.verbs if not {path, edits.origins.get(path)} & asked]
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
    """What differs between the texts that the chain knows and those of ``sql/``."""
    chain = read_chain(tree)
    sources = {source.file: source for source in read_manifest(tree)}
    edits = Edits(chain, chain_state(chain), sources)
    gone = [path for path in edits.state if path not in sources]
    # What people write ALTERs for at this moment: the check will tell whether they are right.
    is_open = {section.path for section in unsigned(chain[-1].up)} if chain else set()
    for path, source in sources.items():
        if path not in edits.state:
            edits.verbs[path] = "create"
            if source.kind == "data" and (origin := nearest(source, gone, edits.state)):
                edits.verbs[path], edits.origins[path] = "rename", origin
                gone.remove(origin)
        elif not (says(edits.state[path][-1], source) or path in is_open):
            edits.verbs[path] = "alter" if source.kind == "data" else "replace"
    edits.verbs.update(dict.fromkeys(gone, "drop"))
    return edits


def says(section: Section, source: SourceObject) -> bool:
    """Whether a section of the chain leads to this file of ``sql/``, as far as its text can tell.

    What makes the object is compared as it stands there: somebody may have edited it since.
    """
    if section.kind == "object":
        return section.text.rstrip() == source.text.rstrip()
    return section.sha256 == source.sha256


def unsigned(text: str) -> list[Section]:
    """The ALTERs of a revision that is not finished: nobody knows yet which text they lead to."""
    return [s for s in parse_sections(text) if s.kind == "alter" and not s.sha256]


def sign(tree: Tree) -> None:
    """Have the ALTERs of the newest revision say to which files of ``sql/`` they lead.

    Once that is proven, and not before: while they are being written, those files may change again.
    """
    newest = read_chain(tree)[-1]
    sources = {source.file: source for source in read_manifest(tree)}
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
    """Of the files that are gone, the one that this new one most likely was.

    To take a renamed table for a new one would lose its rows: it may be any of the same folder.
    """
    folder = PurePosixPath(source.file).parent
    return max(
        (path for path in gone if PurePosixPath(path).parent == folder),
        key=lambda path: difflib.SequenceMatcher(None, state[path][0].text, source.text).ratio(),
        default=None,
    )


def sides(
    edits: Edits, was: Observed = NOTHING_OBSERVED, will_be: Observed = NOTHING_OBSERVED
) -> tuple[Side, Side]:
    """Both ends of the revision to be: the database of the chain, and that of ``sql/``."""
    drops = drops_of(edits)
    today = {path: source.drop for path, source in edits.sources.items()}
    leaving = {path for path, verb in edits.verbs.items() if verb == "drop"}
    leaving |= set(edits.origins.values())
    makes = {path: made for path, made in edits.state.items() if path not in leaving}
    for path, source in edits.sources.items():
        if path in edits.verbs:
            makes[path] = [Section("object", path, source.sha256, source.text)]
    # What is gone was needed by what has changed, perhaps.
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
    """For what the chain leaves behind, the statements that drop it: how it was undone last."""
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
    """The changes, the way up and the way down, of what really changes.

    Takes out of `edits` what only changes a text. `is_whole`: the way up leads to all of ``sql/``.
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
            # Those that say SELECT * of something else, say: their texts stay, they do not.
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
    """Make an object as the chain has it and as ``sql/`` has it, where ``sql/`` makes it.

    Returns None when that is the same.
    """
    today, holds_data = [source.text], source.kind == "data"
    # Whatever is created here is rolled back, and nobody is kept waiting for it.
    previous = [CONCURRENTLY.sub("", section.text) for section in edits.state[source.file]]

    def made(*texts: list[str]) -> Catalog | None:
        run = [text for several in texts for text in several]
        return look(connection, database.variables, run, rows=holds_data)

    def replacing(first: list[str], then: list[str], wanted: Catalog) -> Replacing:
        found = made(basis, first, then)
        left = differences(wanted, found) if found is not None else []
        if (stripping := strip(left)) and made(basis, first, [stripping], then) == wanted:
            return Replacing(first=stripping)
        # Beside a routine with other arguments the first one stays.
        if found is None or any((d.kind, d.change) == ("routine", "extra") for d in left):
            return Replacing(works=False)
        leaves = "; ".join(told(d, "the file", "the database") for d in left)
        return Replacing(works=None if left else True, leaves=leaves)

    basis: list[str] = []
    before = made(previous)
    if before is None:  # it needs something that is gone, perhaps
        gone = [path for path, verb in edits.verbs.items() if verb == "drop"]
        basis = [section.text for path in gone for section in edits.state[path]]
        before = made(basis, previous)
    after = made(basis, today)
    if before is None or after is None:
        return Trial(up=Replacing(None), down=Replacing(None))
    different = differences(after, before)
    lines = tuple(told(d, "sql/", "the chain") for d in different)
    if not lines and not does_more(database, "".join(previous), source):
        return None
    if holds_data:
        return Trial(lines, frozenset(d.identity for d in different if changes_type(d)))
    up, down = replacing(previous, today, after), replacing(today, previous, before)
    return Trial(lines, up=up, down=down)


def changes_type(difference: Difference) -> bool:
    """Whether a column is there before and after, with another type."""
    both = [TYPE.match(text or "") for text in (difference.wanted, difference.found)]
    types = {found and found[1] for found in both}
    return difference.kind == "column" and difference.change == "changed" and len(types) > 1


def strip(left: Iterable[Difference]) -> str:
    """The statements that take away the comments and privileges among what is left."""
    statements = []
    for difference in left:
        of, _, name = difference.identity.partition(" ")
        if difference.kind == "comment" and of in COMMENT_ON:
            statements.append(f"COMMENT ON {COMMENT_ON[of]} {name} IS NULL;")
        elif difference.kind in ("grant", "role grant"):
            name, _, grantee = difference.identity.rpartition(" to ")
            on = f"{'ROUTINE' if name.endswith(')') else 'TABLE'} {name}"
            revoke = f"REVOKE ALL ON {on} FROM {grantee};"
            # Roles that are the DBA's to manage need not be there.
            is_ours = difference.kind == "role grant"
            statements.append(
                f"{{% if manage_roles %}}\n{revoke}\n{{% endif %}}" if is_ours else revoke
            )
    return "\n".join(statements)


def does_more(database: Scratch, previous: str, source: SourceObject) -> bool:
    """Whether texts that make the same differ in what a catalog does not tell."""
    managed = database.variables
    now, before = (split_statements(render(t, managed)) for t in (source.text, previous))
    if now == before:
        unmanaged = replace(managed, manage_roles=False)
        now, before = (split_statements(render(t, unmanaged)) for t in (source.text, previous))
        return now != before
    # What a table says beside its definition are its first rows, which were compared.
    deeds = [[s for s in of if not DEFINITION.match(s)] for of in (now, before)]
    return source.kind == "replaceable" and deeds[0] != deeds[1]


def fill_in(path: str, sha256: str, what: str, origin: str = "") -> Section:
    """A section that waits for statements which people write."""
    return Section("alter", path, sha256, f"{UNFILLED}{what}; then remove this line", origin)


def is_unfilled(sections: Iterable[Section]) -> bool:
    return any(section.text.startswith(UNFILLED) for section in sections)


def route(
    here: Side, there: Side, edits: Edits, arrange: Arrange = lambda _, steps: steps
) -> tuple[list[str], list[Section]]:
    """What changes between two sides, and the sections that lead from one to the other."""
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
        what = f"take away what would keep an object below from being dropped: {', '.join(parts)}"
        before.append(fill_in(path, here.makes[path][-1].sha256, what))
        if path not in altered(edits):  # where there is a place for it already
            what = f"make again what was taken away: {', '.join(parts)}"
            after.append(fill_in(path, there.makes[path][-1].sha256, what))
            changes.append(f"alter {path}")
    drops = here.dropping(first)
    made = [section for _, section in arrange(drops, steps)]
    # What is gone goes last, when nothing that was replaced needs it any more.
    last = here.dropping([path for path in gone if path not in first])
    changes += [f"drop {section.path}" for section in here.dropping(gone)]
    return changes, [*before, *drops, *made, *after, *last]


def changing(path: str, here: Side, there: Side, edits: Edits, first: set[str]) -> list[Section]:
    """The sections that make an object what it is over there, while it stays where it is."""
    verb, sha256 = edits.verbs[path], there.makes[path][-1].sha256
    if verb == "alter":
        what = f"ALTERs that turn {here.name} {path} into {there.name}"
        minding = {d.path for d in here.followers(path) if not d.by_row_type} - first
        what += f" (mind what hangs on it: {', '.join(sorted(minding))})" if minding else ""
        return [fill_in(path, sha256, what)]
    if verb == "rename":
        origin = edits.origins[path]
        what = f"ALTER … RENAME and what else turns {here.name} {origin} into {there.name} {path}"
        return [fill_in(path, sha256, f"{what}, or DROP and CREATE", origin)]
    made, up = there.makes[path], edits.trials.get(path, Trial()).up
    if up.first:
        return [Section("alter", path, here.makes[path][-1].sha256, up.first), *made]
    if up.leaves:
        return [*made, fill_in(path, sha256, f"what is left undone so: {up.leaves}")]
    return made


def altered(edits: Edits) -> set[str]:
    """The files, as they were before, of objects that people alter."""
    alters = [path for path, verb in edits.verbs.items() if verb in ("alter", "rename")]
    return {edits.origins.get(path, path) for path in alters}


def dropped_first(here: Side, there: Side, edits: Edits) -> set[str]:
    """What has to make room for what follows. Most of it is made again."""
    created = {there.drops[path] for path, verb in edits.verbs.items() if verb == "create"}
    on_altered = {d.path for p in altered(edits) for d in here.followers(p) if not d.by_row_type}
    first = set()
    for path, verb in edits.verbs.items():
        works = edits.trials.get(path, Trial()).up.works
        # What changes or goes anyway is not to be in the way of an ALTER.
        should = (path in on_altered or works is None) and path in here.observed.makers
        # The same object under another file's name: its drop would hit what was made.
        must = works is False if verb == "replace" else here.drops.get(path) in created
        if verb in ("replace", "drop") and (must or (should and not here.holders(path))):
            first.add(path)
        # PostgreSQL alters no type of a column that a trigger names.
        retyped = edits.trials.get(path, Trial()).retyped
        first |= {d.path for d in here.followers(path) if retyped & {*d.trigger_columns}}
    gone = {path for path, verb in edits.verbs.items() if verb == "drop"}
    while more := hanging(here, first, gone) - first:
        first |= more
    return first


def hanging(side: Side, paths: Iterable[str], gone: Collection[str]) -> set[str]:
    """What cannot stay when these objects go, and may go."""
    dependants = (d for path in paths for d in side.dependants(path))
    return {d.path for d in dependants if not d.holds_data or d.path in gone}


def arranging(connection: Connection, database: Scratch) -> Arrange:
    """Finds the order in which objects can be made, by making them."""

    def arrange(dropped: list[Section], steps: Steps) -> Steps:
        ordered: Steps = []
        pending = steps
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            if not runs(connection, database.variables, [section.text for section in dropped]):
                return steps  # people have to write something before
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
    """Of what should be the same as `wanted` after these sections and is not: the files."""
    with connect(database.dsn) as connection:
        texts = [section.text for section in (*sections, PRIVILEGES)]
        found = look(connection, database.variables, texts)
    if found is None:  # the check will say why
        return set()
    identities = [difference.identity for difference in differences(wanted, found)]
    # An object's parts bear its name: schema.view, schema.view.column, schema.function(integer).
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
        what = "say what has changed in one line" if not message else f"{message!r} is no heading"
        raise problem("E_REVISION", f"{what}: -m TEXT, without quotes, braces and backslashes")
    if any(section.kind == "object" for section in down):
        # What a downgrade creates anew would come with PostgreSQL's default privileges, too.
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

    The chain must make what ``sql/`` makes, and its last step lead back, and up again to the same.
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
            wrong = [told(d, "sql/", "the chain") for d in differences(built.catalog(), there)]
    way_back = f"{newest.revision} down", f"the database before {newest.revision}"
    wrong += [told(d, way_back[1], way_back[0]) for d in differences(before, back)]
    wrong += [told(d, "going up once", "up, down and up") for d in differences(there, again)]
    return wrong
