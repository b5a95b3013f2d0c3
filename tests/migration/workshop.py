"""A tree of a few small objects, to edit and to freeze."""

import re
import shutil
from pathlib import Path

from ticketdb.cluster import Cluster
from ticketdb.resources import Tree, shipped_tree
from ticketdb.revision import Revision
from ticketdb_develop.revise import Frozen, check, freeze, sign

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
DROP_TRIGGER = "DROP TRIGGER places_look ON {{ schema }}.places;"
# What every chain of ticketdb begins with; the rest is the test's.
FOUNDATION = (
    "schemas/monitoring.sql",
    "roles/roles.sql",
    "functions/is_own_work.sql",
    "functions/revoke_default_privileges.sql",
    "tables/ticketdb_migrations.sql",
)
DROPS = {
    "schemas/monitoring.sql": "DROP SCHEMA {{ monitoring_schema }};",
    "roles/roles.sql": (
        "REVOKE USAGE ON SCHEMA {{ schema }} FROM {{ app_role }}, {{ monitor_role }};"
        "REVOKE USAGE ON SCHEMA {{ monitoring_schema }} FROM {{ monitor_role }};"
        "DROP ROLE {{ dashboard_role }}, {{ datadog_role }}, {{ app_role }}, {{ monitor_role }};"
    ),
}


class Workshop:
    """A tree of SQL and its manifest, in which to edit, and a server to try things on."""

    def __init__(self, folder: Path, cluster: Cluster | None = None) -> None:
        self.cluster = cluster
        shipped = shipped_tree()
        self.tree = Tree(folder / "sql", folder / "migrations")
        self.tree.versions.mkdir(parents=True)
        for name in ("env.py", "script.py.mako"):
            shutil.copy(shipped.migrations / name, self.tree.migrations)
        self.manifest: dict[str, str] = {}
        for name in FOUNDATION:
            kind = "data" if name.startswith(("schemas", "tables")) else "replaceable"
            self.write(name, (shipped.sql / name).read_text(), kind, DROPS.get(name, ""))
        self.write("tables/places.sql", TABLE, "data")
        self.write("functions/answer.sql", FUNCTION, "replaceable")
        self.write("views/answers.sql", VIEW, "replaceable")

    def write(self, name: str, text: str, kind: str = "", drop: str = "") -> None:
        """Write a file of sql/. With a kind it is new in the manifest: its last entry."""
        file = self.tree.sql / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if kind:
            told = f"drop = '''{drop}'''" if drop else ""
            self.manifest[name] = f'[[object]]\nfile = "{name}"\nkind = "{kind}"\n{told}\n'
            self.list()

    def edit(self, name: str, before: str, after: str) -> None:
        text = (self.tree.sql / name).read_text()
        assert before in text
        self.write(name, text.replace(before, after))

    def remove(self, name: str) -> None:
        (self.tree.sql / name).unlink()
        del self.manifest[name]
        self.list()

    def list(self) -> None:
        (self.tree.sql / "manifest.toml").write_text("".join(self.manifest.values()))

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
