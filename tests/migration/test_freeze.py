"""What a revision consists of, decided by texts alone: for cutting a chain from new objects."""

import re
from pathlib import Path

import pytest

from tests.support.workshop import FUNCTION, TABLE, VIEW, Workshop, gaps, sections, written
from ticketdb.develop.revise import freeze
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import read_chain


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    workshop = Workshop(tmp_path)
    workshop.freeze("the beginning")
    return workshop


def test_nothing_changed_writes_nothing(workshop: Workshop) -> None:
    files = sorted(workshop.tree.versions.rglob("*"))
    assert workshop.freeze().revision is None
    assert sorted(workshop.tree.versions.rglob("*")) == files


def test_the_beginning_creates_in_order_and_drops_in_reverse(workshop: Workshop) -> None:
    (first,) = read_chain(workshop.tree)
    created = sections(first.up)
    assert created == [f"object: {name}" for name in workshop.order] + ["privileges"]
    dropped = sections(first.down)
    assert dropped == [f"drop: {name}" for name in reversed(workshop.order)]
    assert "DROP TABLE {{ schema }}.places;" in first.down
    assert "DROP VIEW {{ monitoring_schema }}.answers;" in first.down


def test_a_changed_function_is_frozen_with_its_previous_body(workshop: Workshop) -> None:
    changed = FUNCTION.replace("42", "43")
    workshop.write("functions/answer.sql", changed)
    frozen = workshop.freeze("a better answer")
    assert frozen.changes == ["replace functions/answer.sql"]
    revision = written(frozen)
    assert revision.name == "0002_a_better_answer"
    assert changed in revision.up
    assert FUNCTION in revision.down
    assert sections(revision.up) == ["object: functions/answer.sql", "privileges"]
    assert workshop.freeze().revision is None


def test_a_frozen_revision_does_not_follow_the_live_file(workshop: Workshop) -> None:
    (first,) = read_chain(workshop.tree)
    before = first.up
    workshop.write("functions/answer.sql", FUNCTION.replace("42", "44"))
    assert read_chain(workshop.tree)[0].up == before


def test_only_the_objects_that_were_named_are_frozen(workshop: Workshop) -> None:
    workshop.write("functions/answer.sql", FUNCTION + "-- new\n")
    workshop.write("views/answers.sql", VIEW + "-- new\n")
    one = workshop.freeze("one", "views/answers.sql")
    assert one.changes == ["replace views/answers.sql"]
    assert one.left == ["functions/answer.sql"]
    assert workshop.freeze("rest").changes == ["replace functions/answer.sql"]


def test_a_changed_table_waits_for_its_alter(workshop: Workshop) -> None:
    workshop.write("tables/places.sql", TABLE.replace(");", ", name text);"))
    frozen = workshop.freeze()
    assert frozen.changes == ["alter tables/places.sql"]
    with pytest.raises(TicketdbError, match=r"0002_a_change\.up\.sql still has a line"):
        workshop.freeze()
    for suffix, change in ((".up.sql", "ADD COLUMN name text"), (".down.sql", "DROP COLUMN name")):
        alter = f"ALTER TABLE {{{{ schema }}}}.places {change};"
        workshop.fill(written(frozen), suffix, alter)
    assert workshop.freeze().revision is None
    # Dropped later, the table comes back as it was: created, then altered.
    workshop.remove("tables/places.sql")
    gone = written(workshop.freeze("gone"))
    assert sections(gone.down) == [
        "object: tables/places.sql",
        "alter: tables/places.sql",
        "privileges",
    ]


def test_an_object_that_left_the_order_is_dropped(workshop: Workshop) -> None:
    workshop.remove("views/answers.sql")
    frozen = workshop.freeze("no more answers")
    assert frozen.changes == ["drop views/answers.sql"]
    assert "DROP VIEW {{ monitoring_schema }}.answers;" in written(frozen).up
    assert VIEW in written(frozen).down
    assert workshop.freeze().revision is None


@pytest.mark.parametrize(
    ("edit", "code", "message"),
    [
        (
            lambda w: (w.tree.sql / "views" / "x.sql").write_text("\n"),
            "E_SOURCES",
            "x.sql is listed twice, listed and missing, or there",
        ),
        (lambda w: (w.tree.sql / "views/answers.sql").unlink(), "E_SOURCES", "listed and missing"),
        (lambda w: w.write("views/answers.sql", "SELECT 1"), "E_SOURCES", "end with a line feed"),
        (
            lambda w: w.write("views/answers.sql", "-- drop: tables/places.sql\n"),
            "E_SOURCES",
            "no marker line",
        ),
        (lambda w: w.write("jobs/x.sql", "\n"), "E_SOURCES", r"has no CREATE.*x\.drop\.sql"),
        (
            lambda w: (w.tree.sql / "order.toml").write_text("order = [1]"),
            "E_SOURCES",
            "valid string",
        ),
        (
            lambda w: w.order.append(w.order[0]) or w.list(),
            "E_SOURCES",
            "is listed twice",
        ),
        (
            lambda w: (w.tree.sql / "order.toml").write_text("[["),
            "E_SOURCES",
            "order.toml: ",
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
    edit: "object", code: str, message: str, workshop: Workshop
) -> None:
    assert callable(edit)
    edit(workshop)
    with pytest.raises(TicketdbError, match=message) as caught:
        workshop.freeze()
    assert caught.value.code == code


def test_an_object_that_nobody_knows_is_refused(workshop: Workshop) -> None:
    with pytest.raises(TicketdbError, match=r"views/nothing\.sql is neither"):
        freeze("x", ["views/nothing.sql"], workshop.tree)


def test_a_renamed_table_is_dropped_under_its_new_name(workshop: Workshop) -> None:
    text = TABLE.replace("schema }}.places", "monitoring_schema }}.rules")
    workshop.write("tables/rules.sql", text)
    workshop.freeze("rules")
    workshop.remove("tables/rules.sql")
    workshop.write("tables/laws.sql", text.replace("rules", "laws"))
    # Either name asks for it.
    renamed = workshop.freeze("laws", "tables/rules.sql")
    assert renamed.changes == ["rename tables/rules.sql to tables/laws.sql"]
    marker = r"^-- alter: tables/laws\.sql from=tables/rules\.sql$"  # signed when it is proven
    assert re.search(marker, written(renamed).up, re.MULTILINE)
    for suffix in (".up.sql", ".down.sql"):
        workshop.fill(written(renamed), suffix, "SELECT 1;")
    workshop.remove("tables/laws.sql")
    dropped = workshop.freeze("anarchy")
    assert "\nDROP TABLE {{ monitoring_schema }}.laws;\n" in written(dropped).up


def test_a_drop_that_the_chain_does_not_know_is_asked_for(workshop: Workshop) -> None:
    (first,) = read_chain(workshop.tree)
    file = first.python_file.with_suffix(".down.sql")
    drop = "-- drop: views/answers.sql\nDROP VIEW {{ monitoring_schema }}.answers;\n"
    assert drop in file.read_text()
    file.write_text(file.read_text().replace(drop, ""))
    workshop.remove("views/answers.sql")
    gap = "the statement that drops views/answers.sql"
    assert gaps(written(workshop.freeze()).up) == [gap]


@pytest.mark.parametrize(
    "message", ["", "!?", "two\nlines", "{{ schema }}", "{# x", 'say "hi"', "back\\slash"]
)
def test_a_message_that_would_break_out_of_its_comment_is_refused(
    message: str, workshop: Workshop
) -> None:
    workshop.write("functions/answer.sql", FUNCTION.replace("42", "43"))
    files = sorted(workshop.tree.versions.rglob("*"))
    with pytest.raises(TicketdbError, match="-m TEXT") as caught:
        workshop.freeze(message)
    assert caught.value.code == "E_REVISION"
    assert sorted(workshop.tree.versions.rglob("*")) == files


def test_a_message_may_have_what_people_write(workshop: Workshop) -> None:
    workshop.write("functions/answer.sql", FUNCTION.replace("42", "43"))
    revision = written(workshop.freeze("Séat maps: 50 % isn't (all) of it; `now`"))
    assert revision.up.startswith("-- 0002: Séat maps: 50 % isn't (all) of it; `now`.\n")
