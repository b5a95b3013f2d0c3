"""From an edit of sql/ to a frozen revision, on a tree of three small objects."""

import re
import shutil
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Connect, Database
from tests.migration.conftest import Program
from ticketdb import revision
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate import apply, revert
from ticketdb.resources import Tree, shipped_tree
from ticketdb.revision import Frozen, freeze, read_chain

TABLE = "CREATE TABLE {{ schema }}.places (id integer PRIMARY KEY);\n"
FUNCTION = """\
CREATE OR REPLACE FUNCTION {{ schema }}.answer() RETURNS integer LANGUAGE sql AS $body$
    SELECT 42
$body$;
"""
VIEW = "CREATE VIEW {{ monitoring_schema }}.answers AS SELECT {{ schema }}.answer() AS answer;\n"
# What every chain of ticketdb begins with; the rest is the test's.
FOUNDATION = (
    "schemas/monitoring.sql",
    "functions/is_own_work.sql",
    "functions/revoke_default_privileges.sql",
    "tables/ticketdb_migrations.sql",
)


class Workshop:
    """A tree of SQL and its manifest, in which to edit."""

    def __init__(self, folder: Path) -> None:
        shipped = shipped_tree()
        self.tree = Tree(folder / "sql", folder / "migrations")
        self.tree.versions.mkdir(parents=True)
        for name in ("env.py", "script.py.mako"):
            shutil.copy(shipped.migrations / name, self.tree.migrations)
        self.manifest: dict[str, str] = {}
        for name in FOUNDATION:
            kind = "replaceable" if name.startswith("functions") else "data"
            drop = 'drop = "DROP SCHEMA {{ monitoring_schema }};"' if "schemas" in name else ""
            self.write(name, (shipped.sql / name).read_text(), kind, drop)
        self.write("tables/places.sql", TABLE, "data")
        self.write("functions/answer.sql", FUNCTION, "replaceable")
        self.write("views/answers.sql", VIEW, "replaceable")
        assert freeze("the beginning", tree=self.tree)

    def write(self, name: str, text: str, kind: str = "", drop: str = "") -> None:
        file = self.tree.sql / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if kind:
            self.manifest[name] = f'[[object]]\nfile = "{name}"\nkind = "{kind}"\n{drop}\n'
            self.list()

    def remove(self, name: str) -> None:
        (self.tree.sql / name).unlink()
        del self.manifest[name]
        self.list()

    def list(self) -> None:
        (self.tree.sql / "manifest.toml").write_text("".join(self.manifest.values()))

    def freeze(self, message: str = "a change", *objects: str) -> Frozen:
        frozen = freeze(message, objects or None, self.tree)
        assert frozen is not None
        return frozen


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def up(frozen: Frozen) -> str:
    return frozen.revision.up


def down(frozen: Frozen) -> str:
    return frozen.revision.down


def sections(text: str) -> list[str]:
    return re.findall(r"^-- ((?:object|alter|drop): \S+|privileges)", text, re.MULTILINE)


def test_nothing_changed_writes_nothing(workshop: Workshop) -> None:
    files = sorted(workshop.tree.versions.rglob("*"))
    assert freeze("nothing", tree=workshop.tree) is None
    assert sorted(workshop.tree.versions.rglob("*")) == files


def test_the_beginning_creates_in_order_and_drops_in_reverse(workshop: Workshop) -> None:
    (first,) = read_chain(workshop.tree)
    created = sections(first.up)
    assert created == [f"object: {name}" for name in workshop.manifest] + ["privileges"]
    dropped = sections(first.down)
    assert dropped == [f"drop: {name}" for name in reversed(workshop.manifest)]
    assert "DROP TABLE {{ schema }}.places;" in first.down
    assert "DROP VIEW {{ monitoring_schema }}.answers;" in first.down


def test_a_changed_function_is_frozen_with_its_previous_body(workshop: Workshop) -> None:
    changed = FUNCTION.replace("42", "43")
    workshop.write("functions/answer.sql", changed)
    frozen = workshop.freeze("a better answer")
    assert frozen.changes == ("replace functions/answer.sql",)
    assert frozen.revision.name == "0002_a_better_answer"
    assert changed in up(frozen)
    assert FUNCTION in down(frozen)
    assert sections(up(frozen)) == ["object: functions/answer.sql", "privileges"]
    assert freeze("again", tree=workshop.tree) is None


def test_a_frozen_revision_does_not_follow_the_live_file(workshop: Workshop) -> None:
    (first,) = read_chain(workshop.tree)
    before = first.up
    workshop.write("functions/answer.sql", FUNCTION.replace("42", "44"))
    assert read_chain(workshop.tree)[0].up == before


def test_only_the_objects_that_were_named_are_frozen(workshop: Workshop) -> None:
    workshop.write("functions/answer.sql", FUNCTION + "-- new\n")
    workshop.write("views/answers.sql", VIEW + "-- new\n")
    assert workshop.freeze("one", "views/answers.sql").changes == ("replace views/answers.sql",)
    assert workshop.freeze("rest").changes == ("replace functions/answer.sql",)


def test_a_changed_table_waits_for_its_alter(workshop: Workshop) -> None:
    workshop.write("tables/places.sql", TABLE.replace(");", ", name text);"))
    frozen = workshop.freeze()
    assert frozen.changes == ("alter tables/places.sql",)
    with pytest.raises(TicketdbError, match=r"0002_a_change\.up\.sql still has a line"):
        freeze("more", tree=workshop.tree)
    for suffix, statement in (
        (".up.sql", "ADD COLUMN name text"),
        (".down.sql", "DROP COLUMN name"),
    ):
        file = frozen.revision.python_file.with_suffix(suffix)
        alter = f"ALTER TABLE {{{{ schema }}}}.places {statement};"
        file.write_text(re.sub(r"^-- FILL IN: .*$", alter, file.read_text(), flags=re.MULTILINE))
    assert freeze("more", tree=workshop.tree) is None
    # Dropped later, the table comes back as it was: created, then altered.
    workshop.remove("tables/places.sql")
    gone = workshop.freeze("gone")
    assert sections(down(gone)) == [
        "object: tables/places.sql",
        "alter: tables/places.sql",
        "privileges",
    ]


def test_an_object_that_left_the_manifest_is_dropped(workshop: Workshop) -> None:
    workshop.remove("views/answers.sql")
    frozen = workshop.freeze("no more answers")
    assert frozen.changes == ("drop views/answers.sql",)
    assert "DROP VIEW {{ monitoring_schema }}.answers;" in up(frozen)
    assert VIEW in down(frozen)
    assert freeze("again", tree=workshop.tree) is None


def test_a_renamed_file_is_refused_because_it_would_drop_what_it_has_made(
    workshop: Workshop,
) -> None:
    workshop.remove("functions/answer.sql")
    drop = 'drop = "DROP ROUTINE {{ schema }}.answer;"'
    workshop.write("functions/the_answer.sql", FUNCTION, "replaceable", drop)
    with pytest.raises(TicketdbError, match=r"functions/answer\.sql was renamed") as caught:
        workshop.freeze()
    assert caught.value.code == "E_REVISION"


@pytest.mark.usefixtures("template_database")
def test_what_was_frozen_goes_up_and_down(
    workshop: Workshop, empty_database: Database, connect: Connect
) -> None:
    workshop.write("functions/answer.sql", FUNCTION.replace("42", "43"))
    workshop.freeze("replaced")
    workshop.remove("views/answers.sql")
    workshop.freeze("dropped")

    def answers() -> list[tuple[int]]:
        return session.execute("SELECT public.answer()").fetchall()

    session = connect(empty_database)
    apply(empty_database.dsn, Variables(), tree=workshop.tree)
    assert answers() == [(43,)]
    with pytest.raises(psycopg.errors.UndefinedTable):
        session.execute("SELECT * FROM monitoring.answers")
    revert(empty_database.dsn, Variables(), "0001", tree=workshop.tree)
    assert answers() == [(42,)]
    assert session.execute("SELECT * FROM monitoring.answers").fetchall() == [(42,)]


@pytest.mark.parametrize(
    ("edit", "code", "told"),
    [
        (
            lambda w: (w.tree.sql / "views" / "x.sql").write_text("\n"),
            "E_MANIFEST",
            "x.sql is listed twice, or exists but",
        ),
        (lambda w: (w.tree.sql / "views/answers.sql").unlink(), "E_MANIFEST", "No such file"),
        (lambda w: w.write("views/answers.sql", "SELECT 1"), "E_MANIFEST", "end with a line feed"),
        (
            lambda w: w.write("views/answers.sql", "-- drop: tables/places.sql\n"),
            "E_MANIFEST",
            "no marker line",
        ),
        (lambda w: w.write("jobs/x.sql", "\n", "data"), "E_MANIFEST", "say how to drop it"),
        (lambda w: w.write("views/y.sql", "\n", "table"), "E_MANIFEST", "kind Input should be"),
        (
            lambda w: w.write("views/y.sql", "\n", "data", "order = 1"),
            "E_MANIFEST",
            "order Extra inputs",
        ),
        (
            lambda w: (w.tree.sql / "manifest.toml").write_text("".join(w.manifest.values()) * 2),
            "E_MANIFEST",
            "is listed twice",
        ),
        (
            lambda w: (w.tree.sql / "manifest.toml").write_text("[["),
            "E_MANIFEST",
            "manifest.toml: ",
        ),
        (
            lambda w: (w.tree.versions / "0001_the_beginning.down.sql").unlink(),
            "E_CHAIN",
            r"beginning\.py: expected 0001_",
        ),
        (
            lambda w: (w.tree.versions / "0003_x.py").touch(),
            "E_CHAIN",
            r"0003_x\.py: expected 0002_",
        ),
    ],
)
def test_a_tree_that_is_not_in_order_is_refused(
    edit: "object", code: str, told: str, workshop: Workshop
) -> None:
    assert callable(edit)
    edit(workshop)
    with pytest.raises(TicketdbError, match=told) as caught:
        workshop.freeze()
    assert caught.value.code == code


def test_an_object_that_nobody_knows_is_refused(workshop: Workshop) -> None:
    with pytest.raises(TicketdbError, match=r"views/nothing\.sql is neither"):
        freeze("x", ["views/nothing.sql"], workshop.tree)


def test_the_command_says_what_it_wrote(
    workshop: Workshop, ticketdb: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revision, "shipped_tree", lambda: workshop.tree)
    same = ticketdb("revision", "-m", "nothing")
    assert (same.returncode, same.stdout) == (0, "nothing has changed since the last revision\n")
    workshop.write("tables/places.sql", TABLE + "-- new\n")
    done = ticketdb("revision", "-m", "seat maps")
    assert done.returncode == 1
    assert "0002_seat_maps.{py,up.sql,down.sql}\n  alter tables/places.sql\n" in done.stdout
    assert "write the ALTERs into the .up.sql and the .down.sql" in done.stdout


def test_the_shipped_chain_is_what_sql_says() -> None:
    """Nobody has edited sql/ without freezing it."""
    tree = shipped_tree()
    state = revision.chain_state(read_chain(tree))
    recorded = {path: made[-1].sha256 for path, made in state.items()}
    assert recorded == {source.file: source.sha256 for source in revision.read_manifest(tree)}
