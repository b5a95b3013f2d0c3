"""What holds data is altered by hand, and not believed before it was tried."""

import hashlib
import re
from textwrap import indent

import pytest

from tests.support.workshop import (
    ANSWERS,
    FUNCTION,
    PLACES,
    SHELVES,
    TABLE,
    TRIGGER,
    TRIGGER_FUNCTION,
    Workshop,
    gaps,
    proven,
    sections,
    written,
    wrong,
)
from ticketdb.catalog import Difference
from ticketdb.develop.scratch import described
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import Revision


def alter_places(workshop: Workshop) -> Revision:
    """A revision in which a column is to be added."""
    workshop.settle()
    workshop.edit("tables/places.sql", ");", ", name text);")
    return written(workshop.freeze())


def test_what_people_write_is_proven_when_they_have(workshop: Workshop) -> None:
    revision = alter_places(workshop)
    with pytest.raises(TicketdbError, match=r"0002_a_change\.up\.sql still has a line") as caught:
        workshop.freeze()
    assert caught.value.code == "E_UNFILLED"
    workshop.fill(revision, ".up.sql", f"ALTER TABLE {PLACES} ADD COLUMN name text;")
    workshop.fill(revision, ".down.sql", f"ALTER TABLE {PLACES} DROP COLUMN name;")
    assert workshop.freeze().changes == []
    assert wrong(workshop) == []


def test_a_wrong_alter_is_reported_with_both_values(workshop: Workshop) -> None:
    revision = alter_places(workshop)
    workshop.fill(revision, ".up.sql", f"ALTER TABLE {PLACES} ADD COLUMN name varchar(9);")
    workshop.fill(revision, ".down.sql", f"ALTER TABLE {PLACES} DROP COLUMN name;")
    (difference,) = wrong(workshop)
    assert re.fullmatch(
        r"column \{\{ schema \}\}\.places\.name: "
        r"sql/ has '2 text .*', the chain '2 character varying\(9\) .*'",
        difference,
    )


def test_a_way_back_that_leads_elsewhere_is_reported(workshop: Workshop) -> None:
    revision = alter_places(workshop)
    workshop.fill(revision, ".up.sql", f"ALTER TABLE {PLACES} ADD COLUMN name text;")
    back = f"ALTER TABLE {PLACES} DROP COLUMN name, DROP CONSTRAINT places_pkey;"
    workshop.fill(revision, ".down.sql", back)
    lines = wrong(workshop)
    assert any(line.startswith("constraint {{ schema }}.places.places_pkey: ") for line in lines)
    assert all("before 0002 has" in line or "applying once has" in line for line in lines)
    assert {"before 0002 has" in line for line in lines} == {True, False}


def test_a_changed_view_is_dropped_before_the_alter(workshop: Workshop) -> None:
    workshop.edit("tables/places.sql", ");", ", name text);")
    workshop.write(
        "views/answers.sql", f"CREATE OR REPLACE VIEW {ANSWERS} AS SELECT name FROM {PLACES};\n"
    )
    workshop.settle()
    workshop.edit("tables/places.sql", "name text", "title text")
    workshop.edit("views/answers.sql", "SELECT name", "SELECT title")
    revision = written(workshop.freeze())
    for suffix, old, new in ((".up.sql", "name", "title"), (".down.sql", "title", "name")):
        alter = f"ALTER TABLE {PLACES} DROP COLUMN {old}, ADD COLUMN {new} text;"
        workshop.fill(revision, suffix, alter)
    assert wrong(workshop) == []


def test_a_changed_view_does_not_keep_a_column_from_another_type(workshop: Workshop) -> None:
    view = f"CREATE OR REPLACE VIEW {ANSWERS} AS SELECT id::text FROM {PLACES};\n"
    workshop.write("views/answers.sql", view)
    workshop.settle()
    workshop.edit("tables/places.sql", "id integer", "id bigint")
    workshop.edit("views/answers.sql", "id::text", "id::text || '!' AS id")
    revision = written(workshop.freeze())
    for suffix, type_ in ((".up.sql", "bigint"), (".down.sql", "integer")):
        workshop.fill(revision, suffix, f"ALTER TABLE {PLACES} ALTER COLUMN id TYPE {type_};")
    assert wrong(workshop) == []


def test_a_table_that_is_dropped_does_not_hold_up_a_change_of_what_it_needs(
    workshop: Workshop,
) -> None:
    workshop.write("tables/shelves.sql", SHELVES)
    workshop.settle()
    workshop.remove("tables/shelves.sql")
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS bigint")
    frozen = written(workshop.freeze())
    assert gaps(frozen.up) == []
    assert wrong(workshop) == []


def test_what_is_altered_anyway_gets_back_what_was_taken_away_in_its_place(
    workshop: Workshop,
) -> None:
    workshop.write("tables/shelves.sql", SHELVES)
    workshop.settle()
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS bigint")
    workshop.edit("tables/shelves.sql", "height integer", "height bigint")
    away, alter = gaps(written(workshop.freeze()).up)
    assert away.startswith("remove what")
    assert alter.startswith("ALTERs that turn the previous tables/shelves.sql into today's")


@pytest.mark.parametrize(
    "shelves", [SHELVES, f"CREATE TABLE {{{{ schema }}}}.shelves (kept {ANSWERS});\n"]
)
def test_a_function_that_data_needs_is_replaced_although_that_cannot_be_tried(
    shelves: str, workshop: Workshop
) -> None:
    workshop.edit("tables/places.sql", ");", ", name text);")
    workshop.edit("functions/answer.sql", "42", f"count(name)::integer FROM {PLACES}")
    workshop.write("tables/shelves.sql", shelves)
    workshop.settle()
    workshop.edit("tables/places.sql", "name", "title")
    workshop.edit("functions/answer.sql", "name", "title")
    revision = written(workshop.freeze())
    for suffix, old, new in ((".up.sql", "name", "title"), (".down.sql", "title", "name")):
        workshop.fill(revision, suffix, f"ALTER TABLE {PLACES} RENAME COLUMN {old} TO {new};")
    assert wrong(workshop) == []


def test_a_constraint_that_calls_a_function_is_named(workshop: Workshop) -> None:
    workshop.write("tables/shelves.sql", SHELVES)
    workshop.settle()
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS bigint")
    frozen = workshop.freeze()
    assert frozen.changes == [
        "recreate functions/answer.sql",
        "recreate views/answers.sql",
        "alter tables/shelves.sql",
    ]
    revision = written(frozen)
    constraint = "constraint shelves_height_check on table {{ schema }}.shelves"
    for suffix, text in ((".up.sql", revision.up), (".down.sql", revision.down)):
        away, back = gaps(text)
        assert away.startswith("remove what")
        assert back.startswith("create again")
        assert f"{constraint} (needs functions/answer.sql)" in away
        assert f"{constraint} (needs functions/answer.sql)" in back
        workshop.fill(
            revision,
            suffix,
            "ALTER TABLE {{ schema }}.shelves DROP CONSTRAINT shelves_height_check;",
            "ALTER TABLE {{ schema }}.shelves ADD CONSTRAINT shelves_height_check "
            "CHECK (height < {{ schema }}.answer());",
        )
    assert wrong(workshop) == []
    assert workshop.freeze().changes == []


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        ("height integer DEFAULT {{ schema }}.answer()", "default value for column height"),
        (
            "height integer GENERATED ALWAYS AS ({{ schema }}.answer()) STORED",
            "default value for column height",
        ),
        ("height integer, EXCLUDE (abs({{ schema }}.answer()) WITH =)", "shelves_abs_excl"),
    ],
)
def test_a_default_or_index_that_calls_a_function_is_named(
    definition: str, named: str, workshop: Workshop
) -> None:
    workshop.edit("functions/answer.sql", "LANGUAGE sql", "LANGUAGE sql IMMUTABLE")
    workshop.write("tables/shelves.sql", f"CREATE TABLE {{{{ schema }}}}.shelves ({definition});\n")
    workshop.settle()
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS smallint")
    away, _ = gaps(written(workshop.freeze()).up)
    assert named in away


def test_a_row_trigger_of_a_table_s_own_file_is_named(workshop: Workshop) -> None:
    workshop.write("functions/look.sql", TRIGGER_FUNCTION)
    table = "CREATE TABLE {{ schema }}.shelves (height integer);\n"
    trigger = TRIGGER.replace("places", "shelves")
    workshop.write("tables/shelves.sql", table + trigger)
    workshop.settle()
    workshop.remove("functions/look.sql")
    workshop.write("functions/glance.sql", TRIGGER_FUNCTION)
    workshop.move_to_the_end("tables/shelves.sql")
    away, _ = gaps(written(workshop.freeze()).up)
    assert "trigger shelves_look on table {{ schema }}.shelves" in away


def test_a_trigger_of_a_partitioned_table_is_named_with_that_of_its_partition(
    workshop: Workshop,
) -> None:
    workshop.write("functions/look.sql", TRIGGER_FUNCTION)
    table = "CREATE TABLE {{ schema }}.visits (day integer) PARTITION BY LIST (day);\n"
    workshop.write("tables/visits.sql", table + TRIGGER.replace("places", "visits"))
    partition = "CREATE TABLE {{ schema }}.monday PARTITION OF {{ schema }}.visits DEFAULT;\n"
    own = TRIGGER.replace("places", "monday").replace("BEFORE", "AFTER")
    block = f"DO $body$\nBEGIN\n{indent(partition + own, '    ')}END;\n$body$;\n"
    workshop.write("jobs/partitions.sql", block, "-- Goes with its table.")
    workshop.settle()
    workshop.remove("functions/look.sql")
    workshop.write("functions/glance.sql", TRIGGER_FUNCTION)
    for later in ("tables/visits.sql", "jobs/partitions.sql"):
        workshop.move_to_the_end(later)
    frozen = workshop.freeze()
    assert frozen.changes == [
        "create functions/glance.sql",
        "alter tables/visits.sql",
        "drop functions/look.sql",
    ]
    away, _ = gaps(written(frozen).up)
    assert away.endswith(
        ": trigger monday_look on table {{ schema }}.monday (needs functions/look.sql), "
        "trigger visits_look on table {{ schema }}.visits (needs functions/look.sql)"
    )


def test_a_function_of_a_view_s_rows_goes_with_the_view(workshop: Workshop) -> None:
    text = f"""\
CREATE OR REPLACE FUNCTION {{{{ schema }}}}.all_answers()
RETURNS SETOF {ANSWERS} LANGUAGE sql AS $body$ SELECT * FROM {ANSWERS} $body$;
"""
    workshop.write("functions/all_answers.sql", text)
    workshop.settle()
    workshop.edit("views/answers.sql", "AS answer", "AS reply")
    assert sections(proven(workshop).up) == [
        "drop: functions/all_answers.sql",
        "drop: views/answers.sql",
        "object: views/answers.sql",
        "object: functions/all_answers.sql",
        "privileges",
    ]


def test_a_function_of_a_table_s_rows_stays_when_the_table_is_altered(workshop: Workshop) -> None:
    text = f"""\
CREATE OR REPLACE FUNCTION {{{{ schema }}}}.all_places()
RETURNS SETOF {PLACES} LANGUAGE sql AS $body$ SELECT * FROM {PLACES} $body$;
"""
    workshop.write("functions/all_places.sql", text)
    workshop.settle()
    workshop.edit("tables/places.sql", ");", ", name text);")
    workshop.edit("functions/all_places.sql", " $body$;", " ORDER BY id $body$;")
    revision = written(workshop.freeze())
    assert sections(revision.up) == [
        "alter: tables/places.sql",
        "object: functions/all_places.sql",
        "privileges",
    ]
    assert "hangs" not in gaps(revision.up)[0]
    workshop.fill(revision, ".up.sql", f"ALTER TABLE {PLACES} ADD COLUMN name text;")
    workshop.fill(revision, ".down.sql", f"ALTER TABLE {PLACES} DROP COLUMN name;")
    assert wrong(workshop) == []


def test_what_replacing_leaves_undone_is_asked_for(workshop: Workshop) -> None:
    workshop.settle()
    workshop.edit(
        "foundation/roles.sql",
        "('statement_timeout', '4s')",
        "('statement_timeout', '5s')",
    )
    revision = written(workshop.freeze())
    setting = "".join(
        f"ALTER ROLE {{{{{{{{ {role} }}}}}}}} SET statement_timeout = '{{0}}';"
        for role in ("dashboard_role", "datadog_role")
    )
    for suffix, text, seconds in (
        (".up.sql", revision.up, "5s"),
        (".down.sql", revision.down, "4s"),
    ):
        (gap,) = gaps(text)
        assert gap.startswith("the differences that remain: role {{ dashboard_role }}: ")
        workshop.fill(revision, suffix, setting.format(seconds))
    assert wrong(workshop) == []
    assert workshop.freeze().changes == []


def test_a_function_may_need_the_column_that_people_add(workshop: Workshop) -> None:
    workshop.write(
        "functions/count.sql",
        FUNCTION.replace("answer", "count").replace("42", f"count(id)::integer FROM {PLACES}"),
    )
    workshop.settle()
    workshop.edit("tables/places.sql", ");", ", name text);")
    workshop.edit("functions/count.sql", "(id)", "(name)")
    revision = written(workshop.freeze())
    assert sections(revision.up)[:2] == ["alter: tables/places.sql", "object: functions/count.sql"]
    workshop.fill(revision, ".up.sql", f"ALTER TABLE {PLACES} ADD COLUMN name text;")
    workshop.fill(revision, ".down.sql", f"ALTER TABLE {PLACES} DROP COLUMN name;")
    assert wrong(workshop) == []


def test_views_that_stay_on_an_altered_table_are_named(workshop: Workshop) -> None:
    view = f"CREATE VIEW {{{{ monitoring_schema }}}}.all_places AS SELECT id FROM {PLACES};\n"
    workshop.write("views/all_places.sql", view)
    workshop.settle()
    workshop.edit("tables/places.sql", "id integer", "id bigint")
    (gap,) = gaps(written(workshop.freeze()).up)
    assert gap.endswith("(these depend on it: views/all_places.sql)")


def test_tables_are_dropped_before_those_that_they_refer_to(workshop: Workshop) -> None:
    workshop.write(
        "tables/visits.sql",
        f"CREATE TABLE {{{{ schema }}}}.visits (place integer REFERENCES {PLACES});\n",
    )
    workshop.settle()
    workshop.remove("tables/places.sql")
    workshop.write("tables/spots.sql", TABLE.replace("places", "spots"))
    workshop.move_to_the_end("tables/visits.sql")
    workshop.edit("tables/visits.sql", "places", "spots")
    workshop.list()
    revision = written(workshop.freeze())
    rename = "ALTER TABLE {{{{ schema }}}}.{0} RENAME TO {1}; "
    rename += "ALTER INDEX {{{{ schema }}}}.{0}_pkey RENAME TO {1}_pkey;"
    workshop.fill(revision, ".up.sql", rename.format("places", "spots"), "SELECT 1;")
    workshop.fill(revision, ".down.sql", rename.format("spots", "places"), "SELECT 1;")
    assert wrong(workshop) == []
    workshop.remove("tables/visits.sql")
    workshop.remove("tables/spots.sql")
    assert sections(proven(workshop).up) == [
        "drop: tables/visits.sql",
        "drop: tables/spots.sql",
        "privileges",
    ]


def test_other_arguments_of_a_function_that_a_constraint_calls(workshop: Workshop) -> None:
    workshop.write("tables/shelves.sql", SHELVES)
    workshop.settle()
    workshop.edit("functions/answer.sql", "answer()", "answer(p_of integer DEFAULT 1)")
    away, back = gaps(written(workshop.freeze()).up)
    assert "shelves_height_check" in away
    assert "shelves_height_check" in back


def test_a_revision_outside_a_transaction_passes_through(workshop: Workshop) -> None:
    workshop.edit("tables/places.sql", ");", ", name text);")
    workshop.settle()
    index = f"CREATE INDEX places_name_idx ON {PLACES} (name);\n"
    workshop.write("tables/places.sql", TABLE.replace(");", ", name text);") + index)
    revision = written(workshop.freeze())
    workshop.fill(revision, ".up.sql", index.replace("INDEX", "INDEX CONCURRENTLY"))
    drop = "DROP INDEX CONCURRENTLY {{ schema }}.places_name_idx;"
    workshop.fill(revision, ".down.sql", drop)
    for suffix in (".up.sql", ".down.sql"):
        file = revision.python_file.with_suffix(suffix)
        heading, text = file.read_text().split("\n", 1)
        file.write_text(f"{heading}\n-- outside a transaction\n{text}")
    assert wrong(workshop) == []
    # Nor does it keep the table from being compared later.
    workshop.edit("tables/places.sql", "CREATE INDEX", "-- Serves names.\nCREATE INDEX")
    assert workshop.freeze().text_only == ["tables/places.sql"]


def test_a_difference_is_reported_with_its_place() -> None:
    body = Difference("body", "f()", "one\n two\nthree", "one\n  2\nthree")
    assert described(body, "a", "b") == "body f(), line 2: a has 'two', b '2'"
    missing = Difference("comment", "routine f()", None, "x  y")
    assert described(missing, "a", "b") == "comment routine f(): a has nothing, b 'x y'"
    long = Difference("index", "i", "x" * 200 + " tail", "x" * 200 + " end")
    assert described(long, "a", "b") == f"index i: a has '…{'x' * 39} tail', b '…{'x' * 39} end'"
    endless = Difference("index", "i", "x" * 400, None)
    assert described(endless, "a", "b") == f"index i: a has '{'x' * 159}…', b nothing"


# What a revision leads to is known when it is proven, and not when it is begun.


def signature(revision: Revision) -> str:
    """The hash in the marker of the ALTERs of the table."""
    up = revision.python_file.with_suffix(".up.sql").read_text()
    (sha256,) = re.findall(r"^-- alter: tables/places.sql(?: sha256=(\w+))?$", up, re.MULTILINE)
    return str(sha256)


def test_what_was_taken_out_while_its_revision_was_written_can_be_put_back(
    workshop: Workshop,
) -> None:
    workshop.settle()
    index = "CREATE INDEX places_id_idx ON {{ schema }}.places (id);\n"
    workshop.write("tables/places.sql", TABLE + index)
    begun = written(workshop.freeze())
    assert signature(begun) == ""
    workshop.write("tables/places.sql", TABLE)  # not now
    for suffix in (".up.sql", ".down.sql"):
        workshop.fill(begun, suffix, "SELECT 1;")
    assert workshop.freeze().changes == []
    assert wrong(workshop) == []
    assert signature(begun) == hashlib.sha256(TABLE.encode()).hexdigest()

    workshop.write("tables/places.sql", TABLE + index)  # now
    put_back = written(workshop.freeze("the index"))
    workshop.fill(put_back, ".up.sql", index)
    workshop.fill(put_back, ".down.sql", "DROP INDEX {{ schema }}.places_id_idx;")
    assert wrong(workshop) == []
    assert workshop.freeze().changes == []


def test_a_revision_that_is_not_right_yet_is_mended_and_not_followed_by_another(
    workshop: Workshop,
) -> None:
    revision = alter_places(workshop)
    workshop.fill(revision, ".up.sql", "SELECT 1;")
    workshop.fill(revision, ".down.sql", "SELECT 1;")
    assert len(wrong(workshop)) == 1
    assert workshop.freeze().revision is None
    up = revision.python_file.with_suffix(".up.sql")
    up.write_text(up.read_text().replace("SELECT 1;", f"ALTER TABLE {PLACES} ADD name text;"))
    down = revision.python_file.with_suffix(".down.sql")
    down.write_text(down.read_text().replace("SELECT 1;", f"ALTER TABLE {PLACES} DROP name;"))
    assert wrong(workshop) == []
    assert signature(revision) != ""


def test_a_proven_revision_is_never_written_again(workshop: Workshop) -> None:
    revision = alter_places(workshop)
    workshop.fill(revision, ".up.sql", f"ALTER TABLE {PLACES} ADD COLUMN name text;")
    workshop.fill(revision, ".down.sql", f"ALTER TABLE {PLACES} DROP COLUMN name;")
    assert wrong(workshop) == []
    up = revision.python_file.with_suffix(".up.sql")
    proven_text = up.read_text()
    workshop.edit("tables/places.sql", "CREATE", "-- Better explained.\nCREATE")
    assert workshop.freeze().text_only == ["tables/places.sql"]
    assert wrong(workshop) == []
    assert up.read_text() == proven_text


def test_an_object_that_was_edited_in_its_revision_is_what_stands_there(
    workshop: Workshop,
) -> None:
    """Its hash is that of another text: the text counts."""
    workshop.settle()
    workshop.edit("functions/answer.sql", "42", "43")
    revision = written(workshop.freeze())
    up = revision.python_file.with_suffix(".up.sql")
    up.write_text(up.read_text().replace("SELECT 43", "SELECT 44"))
    assert workshop.freeze("again").changes == ["replace functions/answer.sql"]
