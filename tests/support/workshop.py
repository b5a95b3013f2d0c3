"""A tree of a few small objects, to edit and to freeze."""

import re
import shutil
from pathlib import Path

from ticketdb.develop.revise import Frozen, check, freeze, sign
from ticketdb.migrate.chain import DROP, Revision
from ticketdb.paths import Tree, shipped_tree
from ticketdb.private_server import Cluster

TABLE = "CREATE TABLE {{ schema }}.places (id integer PRIMARY KEY);\n"
FUNCTION = """\
CREATE OR REPLACE FUNCTION {{ schema }}.answer() RETURNS integer LANGUAGE sql AS $body$
    SELECT 42
$body$;
"""
VIEW = """\
CREATE OR REPLACE VIEW {{ monitoring_schema }}.answers AS SELECT {{ schema }}.answer() AS answer;
"""
ANSWERS = "{{ monitoring_schema }}.answers"
PLACES = "{{ schema }}.places"
# A table that a function cannot leave.
SHELVES = """\
CREATE TABLE {{ schema }}.shelves (
    height integer,
    CONSTRAINT shelves_height_check CHECK (height < {{ schema }}.answer())
);
"""
TRIGGER_FUNCTION = """\
CREATE OR REPLACE FUNCTION {{ schema }}.look() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RETURN NEW;
END;
$body$;
COMMENT ON FUNCTION {{ schema }}.look() IS 'Looks.';
"""
TRIGGER = """\
CREATE TRIGGER places_look
BEFORE INSERT ON {{ schema }}.places FOR EACH ROW EXECUTE FUNCTION {{ schema }}.look();
"""
# What every chain of ticketdb begins with; the rest is the test's.
FOUNDATION = (
    "foundation/monitoring.sql",
    "foundation/roles.sql",
    "foundation/is_own_work.sql",
    "foundation/revoke_default_privileges.sql",
    "foundation/ticketdb_migrations.sql",
)


class Workshop:
    """A tree of SQL in which to edit, and a server to try things on."""

    def __init__(self, folder: Path, cluster: Cluster | None = None) -> None:
        self.cluster = cluster
        shipped = shipped_tree()
        self.tree = Tree(folder / "sql", folder / "migrations")
        self.tree.versions.mkdir(parents=True)
        for name in ("env.py", "script.py.mako"):
            shutil.copy(shipped.migrations / name, self.tree.migrations)
        self.order: list[str] = []
        for name in FOUNDATION:
            beside = (shipped.sql / name).with_suffix(DROP)
            drop = beside.read_text() if beside.exists() else ""
            self.write(name, (shipped.sql / name).read_text(), drop)
        self.write("tables/places.sql", TABLE)
        self.write("functions/answer.sql", FUNCTION)
        self.write("views/answers.sql", VIEW)

    def write(self, name: str, text: str, drop: str = "") -> None:
        """Write a file of sql/, and what undoes it where that cannot be derived.

        A new one is the last in the order.
        """
        file = self.tree.sql / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if drop:
            file.with_suffix(DROP).write_text(drop)
        if name not in self.order:
            self.order.append(name)
            self.list()

    def edit(self, name: str, before: str, after: str) -> None:
        text = (self.tree.sql / name).read_text()
        assert before in text
        self.write(name, text.replace(before, after))

    def remove(self, name: str) -> None:
        (self.tree.sql / name).unlink()
        self.order.remove(name)
        self.list()

    def move_to_the_end(self, name: str) -> None:
        self.order.remove(name)
        self.order.append(name)
        self.list()

    def list(self) -> None:
        listed = "".join(f'    "{name}",\n' for name in self.order)
        (self.tree.sql / "order.toml").write_text(f"order = [\n{listed}]\n")

    def freeze(self, message: str = "a change", *objects: str) -> Frozen:
        return freeze(message, objects, self.tree, self.cluster)

    def settle(self) -> None:
        """Have a chain that leads to the tree as it is, without trying anything."""
        freeze("what there is", tree=self.tree)

    def fill(self, revision: Revision, suffix: str, *statements: str) -> None:
        """Write statements where a file of a revision waits for some, in order."""
        file = revision.python_file.with_suffix(suffix)
        text, pieces = file.read_text(), iter(statements)
        filled, times = re.subn(r"^-- FILL IN: .*$", lambda _: next(pieces), text, flags=re.M)
        assert times == len(statements), text
        file.write_text(filled)


def written(frozen: Frozen) -> Revision:
    """The revision that must have been written."""
    assert frozen.revision is not None
    return frozen.revision


def sections(text: str) -> list[str]:
    """The sections of a revision, without their hashes."""
    return re.findall(r"^-- ((?:object|alter|drop): \S+|privileges)", text, re.MULTILINE)


def gaps(text: str) -> list[str]:
    """What people are asked to write."""
    return re.findall(r"^-- FILL IN: (.*); then remove this line$", text, re.MULTILINE)


def proven(workshop: Workshop) -> Revision:
    """What was frozen, if it leads up to what sql/ makes, down, and up again."""
    revision = written(workshop.freeze())
    assert wrong(workshop) == []
    return revision


def wrong(workshop: Workshop) -> list[str]:
    """What the command finds wrong with the newest revision; it signs one that is right."""
    assert workshop.cluster is not None
    found = check(workshop.tree, workshop.cluster)
    if not found:
        sign(workshop.tree)
    return found
