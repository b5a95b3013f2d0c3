"""From an edit of sql/ to a revision that leads up, down and up again, tried on a server."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.conftest import Connect, Database
from tests.migration.conftest import Program
from tests.migration.workshop import FUNCTION, TABLE, VIEW, Workshop, gaps, sections, written
from ticketdb import cli
from ticketdb.catalog import Difference
from ticketdb.cluster import Cluster
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate import apply, revert
from ticketdb.resources import PACKAGE, Tree
from ticketdb.revision import Revision, read_chain
from ticketdb_develop import revise
from ticketdb_develop.revise import check, freeze
from ticketdb_develop.scratch import told

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


@pytest.fixture
def workshop(tmp_path: Path, cluster: Cluster) -> Workshop:
    return Workshop(tmp_path, cluster)


def proven(workshop: Workshop) -> Revision:
    """What was frozen, if it leads up to what sql/ makes, down, and up again."""
    revision = written(workshop.freeze())
    assert wrong(workshop) == []
    return revision


def wrong(workshop: Workshop) -> list[str]:
    assert workshop.cluster is not None
    return check(workshop.tree, workshop.cluster)


def put_to_work(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the program work in the workshop."""
    monkeypatch.setattr(revise, "shipped_tree", lambda: workshop.tree)
    monkeypatch.setattr(revise, "private_cluster", lambda: nullcontext(workshop.cluster))


# What has changed, and what has not.


def test_a_changed_body_is_replaced_both_ways(workshop: Workshop) -> None:
    workshop.settle()
    workshop.edit("functions/answer.sql", "42", "43")
    revision = proven(workshop)
    assert sections(revision.up) == ["object: functions/answer.sql", "privileges"]
    assert sections(revision.down) == ["object: functions/answer.sql", "privileges"]
    assert "SELECT 43" in revision.up
    assert FUNCTION in revision.down


def test_a_comment_of_sql_makes_no_revision(workshop: Workshop) -> None:
    workshop.settle()
    workshop.write("functions/answer.sql", f"-- Better explained.\n{FUNCTION}")
    workshop.write("tables/places.sql", TABLE.replace("integer", "int  -- A number.\n"))
    frozen = workshop.freeze()
    assert (frozen.revision, frozen.changes) == (None, [])
    assert frozen.text_only == ["functions/answer.sql", "tables/places.sql"]
    assert wrong(workshop) == []


def test_what_differs_in_its_text_only_stays_out_of_a_revision_of_others(
    workshop: Workshop,
) -> None:
    workshop.settle()
    workshop.write("tables/places.sql", f"-- Better explained.\n{TABLE}")
    workshop.edit("functions/answer.sql", "42", "43")
    assert sections(proven(workshop).up) == ["object: functions/answer.sql", "privileges"]


def test_a_comment_within_a_body_is_a_change(workshop: Workshop) -> None:
    workshop.settle()
    workshop.edit("functions/answer.sql", "SELECT", "-- Why.\n    SELECT")
    assert "-- Why." in proven(workshop).up


def test_a_name_that_would_be_the_same_by_default_is_a_change(workshop: Workshop) -> None:
    workshop.edit("views/answers.sql", "{{ schema }}.answer()", "'public'::text")
    workshop.settle()
    workshop.edit("views/answers.sql", "'public'", "{{ schema | literal }}")
    assert sections(proven(workshop).up) == ["object: views/answers.sql", "privileges"]


def test_what_changes_only_without_managed_roles_is_a_change(workshop: Workshop) -> None:
    grant = f"GRANT SELECT ON {ANSWERS} TO {{{{ monitor_role }}}};\n"
    workshop.write("views/answers.sql", VIEW + grant)
    workshop.settle()
    workshop.write("views/answers.sql", f"{VIEW}{{% if manage_roles %}}\n{grant}{{% endif %}}\n")
    assert sections(proven(workshop).up) == ["object: views/answers.sql", "privileges"]


def test_the_first_rows_of_a_table_are_part_of_it(workshop: Workshop) -> None:
    workshop.edit("tables/places.sql", ");\n", ");\nINSERT INTO {{ schema }}.places VALUES (1);\n")
    workshop.settle()
    workshop.edit("tables/places.sql", "VALUES (1)", "VALUES (2)")
    frozen = workshop.freeze()
    assert frozen.changes == ["alter tables/places.sql"]
    (difference,) = frozen.differences
    assert re.fullmatch(
        r"rows \{\{ schema \}\}\.places, line 1: sql/ has '\(2\)', the chain '\(1\)'", difference
    )


def test_a_job_is_run_again_when_it_says_something_else(workshop: Workshop) -> None:
    workshop.write("jobs/ask.sql", "SELECT {{ schema }}.answer();\n", "replaceable", "SELECT 1;")
    workshop.settle()
    workshop.write("jobs/ask.sql", "SELECT {{ schema }}.answer(), 2;\n")
    revision = proven(workshop)
    assert sections(revision.up) == ["object: jobs/ask.sql", "privileges"]
    assert "answer();" in revision.down


def test_the_shipped_chain_is_what_sql_says(tree_copy: Tree, cluster: Cluster) -> None:
    """Nobody has edited sql/ without freezing it."""
    assert freeze("a change", None, tree_copy, cluster).changes == []


# What cannot be replaced is dropped first and made again, with what hangs on it.


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("RETURNS integer", "RETURNS bigint"),
        ("answer()", "answer(p_of integer DEFAULT 1)"),
        ("RETURNS integer", "RETURNS TABLE (answer integer)"),
    ],
)
def test_a_changed_signature_takes_its_views_along(
    before: str, after: str, workshop: Workshop
) -> None:
    workshop.write(
        "views/more.sql",
        f"CREATE VIEW {{{{ monitoring_schema }}}}.more AS SELECT answer FROM {ANSWERS};\n",
        "replaceable",
    )
    workshop.settle()
    workshop.edit("functions/answer.sql", before, after)
    revision = proven(workshop)  # with no answer() left that is not in sql/
    files = ["functions/answer.sql", "views/answers.sql", "views/more.sql"]
    there_and_back = [
        *(f"drop: {file}" for file in reversed(files)),
        *(f"object: {file}" for file in files),
        "privileges",
    ]
    assert sections(revision.up) == there_and_back
    assert sections(revision.down) == there_and_back


def test_arguments_change_and_no_routine_stays_behind(workshop: Workshop) -> None:
    edits = [
        ("p_one integer", "p_first integer"),
        ("p_one integer", "p_one bigint"),
        (", p_two text", ""),
        ("p_one integer, p_two text", "p_two text, p_one integer"),
        ("p_two text", "p_two text DEFAULT 'x'"),
        ("VOLATILE", "STABLE SECURITY DEFINER"),
    ]
    for number, _ in enumerate(edits):
        text = f"""\
CREATE OR REPLACE FUNCTION {{{{ schema }}}}.f{number}(p_one integer, p_two text)
RETURNS integer LANGUAGE sql VOLATILE AS $body$
    SELECT 1
$body$;
COMMENT ON FUNCTION {{{{ schema }}}}.f{number} IS 'One.';
"""
        workshop.write(f"functions/f{number}.sql", text, "replaceable")
    workshop.settle()
    for number, (before, after) in enumerate(edits):
        workshop.edit(f"functions/f{number}.sql", before, after)
    up = sections(proven(workshop).up)  # which has compared all routines that there are
    dropped = {section for section in up if section.startswith("drop")}
    # A default can be added; it cannot be taken away again. The last was no change of arguments.
    assert dropped == {f"drop: functions/f{number}.sql" for number in range(4)}


def test_columns_of_a_view_change(workshop: Workshop) -> None:
    edits = [
        ("1 AS one, ", ""),
        ("1 AS one", "1 AS first"),
        ("1 AS one", "1::bigint AS one"),
        ("1 AS one, 2 AS two", "2 AS two, 1 AS one"),
    ]
    for number, _ in enumerate(edits):
        view = f"CREATE OR REPLACE VIEW {ANSWERS}_{number} AS SELECT 1 AS one, 2 AS two;\n"
        workshop.write(f"views/answers_{number}.sql", view, "replaceable")
    workshop.settle()
    for number, (before, after) in enumerate(edits):
        workshop.edit(f"views/answers_{number}.sql", before, after)
    frozen = workshop.freeze()
    assert frozen.changes == [f"recreate views/answers_{number}.sql" for number in range(4)]
    assert wrong(workshop) == []


def test_a_column_that_is_added_to_a_view_has_to_be_dropped_on_the_way_back(
    workshop: Workshop,
) -> None:
    workshop.settle()
    workshop.edit("views/answers.sql", "AS answer", "AS answer, 1 AS one")
    revision = proven(workshop)
    assert sections(revision.up) == ["object: views/answers.sql", "privileges"]
    assert sections(revision.down) == [
        "drop: views/answers.sql",
        "object: views/answers.sql",
        "privileges",
    ]


def test_a_view_of_all_columns_gets_what_the_view_below_it_gets(workshop: Workshop) -> None:
    text = f"CREATE VIEW {{{{ monitoring_schema }}}}.all_of_it AS SELECT * FROM {ANSWERS};\n"
    workshop.write("views/all_of_it.sql", text, "replaceable")
    workshop.settle()
    workshop.edit("views/answers.sql", "AS answer", "AS answer, 1 AS one")
    frozen = workshop.freeze()
    assert "recreate views/all_of_it.sql" in frozen.changes
    assert wrong(workshop) == []


def test_a_grant_and_a_comment_that_are_taken_out_do_not_stay(
    workshop: Workshop, empty_database: Database
) -> None:
    more = [
        "GRANT EXECUTE ON FUNCTION {{ schema }}.answer() TO {{ monitor_role }};\n",
        "COMMENT ON FUNCTION {{ schema }}.answer() IS 'The answer.';\n",
        f"GRANT SELECT ON TABLE {ANSWERS} TO {{{{ app_role }}}};\n",
        f"COMMENT ON VIEW {ANSWERS} IS 'The answer.';\n",
        f"COMMENT ON COLUMN {ANSWERS}.answer IS 'The answer.';\n",
    ]
    for number in (0, 2):
        more[number] = f"{{% if manage_roles %}}\n{more[number]}{{% endif %}}\n"
    workshop.write("functions/answer.sql", "".join([FUNCTION, *more[:2]]))
    workshop.write("views/answers.sql", "".join([VIEW, *more[2:]]))
    workshop.settle()
    workshop.write("functions/answer.sql", FUNCTION)
    workshop.write("views/answers.sql", VIEW)
    revision = proven(workshop)
    # Nothing was dropped for it.
    assert sections(revision.up) == [
        "alter: functions/answer.sql",
        "object: functions/answer.sql",
        "alter: views/answers.sql",
        "object: views/answers.sql",
        "privileges",
    ]
    assert all(text in revision.down for text in more)
    # Nor does it need roles that are not there.
    apply(empty_database.dsn, Variables(manage_roles=False, monitor_role="no"), tree=workshop.tree)


def test_a_schema_that_changes_leaves_what_is_in_it_alone(workshop: Workshop) -> None:
    workshop.settle()
    workshop.edit("schemas/monitoring.sql", "Read-only", "Never written")
    workshop.edit("views/answers.sql", "answer() AS", "answer() + 0 AS")
    revision = written(workshop.freeze())
    (gap,) = gaps(revision.up)
    assert "hangs" not in gap
    assert "object: views/answers.sql" in sections(revision.up)
    assert "drop: views/answers.sql" not in sections(revision.up)


def test_what_is_made_again_is_not_for_everybody(
    workshop: Workshop, empty_database: Database, connect: Connect
) -> None:
    workshop.settle()
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS bigint")
    proven(workshop)
    session = connect(empty_database)
    acl = "SELECT proacl::text FROM pg_proc WHERE proname = 'answer'"
    apply(empty_database.dsn, Variables(), tree=workshop.tree)
    assert session.execute(acl).fetchall() == [("{postgres=X/postgres}",)]
    revert(empty_database.dsn, Variables(), "0001", tree=workshop.tree)
    assert session.execute(acl).fetchall() == [("{postgres=X/postgres}",)]


def test_a_trigger_in_a_file_of_its_own_goes_with_its_function(workshop: Workshop) -> None:
    workshop.write("functions/look.sql", TRIGGER_FUNCTION, "replaceable")
    workshop.write("triggers/places_look.sql", TRIGGER, "data", DROP_TRIGGER)
    workshop.settle()
    workshop.remove("functions/look.sql")
    workshop.remove("triggers/places_look.sql")
    drop = "DROP ROUTINE {{ schema }}.look;"
    workshop.write("functions/glance.sql", TRIGGER_FUNCTION, "replaceable", drop)
    workshop.write("triggers/places_look.sql", TRIGGER, "data", DROP_TRIGGER)
    assert sections(proven(workshop).up) == [
        "drop: triggers/places_look.sql",
        "drop: functions/look.sql",
        "object: functions/glance.sql",
        "object: triggers/places_look.sql",
        "privileges",
    ]


def test_a_trigger_that_may_be_made_again_is(workshop: Workshop) -> None:
    workshop.write("functions/look.sql", TRIGGER_FUNCTION, "replaceable")
    workshop.write("triggers/places_look.sql", TRIGGER, "replaceable", DROP_TRIGGER)
    workshop.settle()
    workshop.edit("triggers/places_look.sql", "BEFORE INSERT", "AFTER INSERT OR UPDATE")
    made_again = [
        "drop: triggers/places_look.sql",
        "object: triggers/places_look.sql",
        "privileges",
    ]
    assert sections(proven(workshop).up) == made_again


def test_several_changes_at_once(workshop: Workshop) -> None:
    workshop.write("views/old.sql", VIEW.replace("answers", "old"), "replaceable")
    workshop.write("functions/look.sql", TRIGGER_FUNCTION, "replaceable")
    workshop.settle()
    workshop.remove("views/old.sql")
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS bigint")
    workshop.edit("functions/look.sql", "RETURN NEW", "RETURN OLD")
    workshop.write("views/new.sql", VIEW.replace("answers", "new"), "replaceable")
    frozen = workshop.freeze()
    assert frozen.changes == [
        "recreate functions/answer.sql",
        "recreate views/answers.sql",
        "replace functions/look.sql",
        "create views/new.sql",
        "drop views/old.sql",
    ]
    assert wrong(workshop) == []


def test_the_way_back_makes_things_in_an_order_that_works(workshop: Workshop) -> None:
    # Of a body that is a string PostgreSQL knows no dependency, and refuses it nevertheless.
    ask = FUNCTION.replace("answer", "ask").replace("42", "{{ schema }}.answer()")
    workshop.write("functions/ask.sql", ask, "replaceable")
    workshop.remove("views/answers.sql")
    workshop.settle()
    workshop.remove("functions/ask.sql")
    workshop.edit("functions/answer.sql", "answer()", "answer(p_of text)")
    assert sections(proven(workshop).down) == [
        "drop: functions/answer.sql",
        "object: functions/answer.sql",
        "object: functions/ask.sql",
        "privileges",
    ]


def test_earlier_revisions_are_left_alone(workshop: Workshop) -> None:
    workshop.settle()
    files = sorted(workshop.tree.versions.glob("0001*"))
    before = [file.read_bytes() for file in files]
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS bigint")
    proven(workshop)
    assert len(before) == 3
    assert [file.read_bytes() for file in files] == before


# What left the manifest, and what is called something else now.


def test_an_object_that_left_the_manifest_is_dropped(workshop: Workshop) -> None:
    workshop.settle()
    workshop.remove("views/answers.sql")
    revision = proven(workshop)
    assert sections(revision.up) == ["drop: views/answers.sql", "privileges"]
    assert sections(revision.down) == ["object: views/answers.sql", "privileges"]


def test_a_function_that_is_renamed_goes_when_its_view_has_left_it(workshop: Workshop) -> None:
    workshop.settle()
    workshop.remove("functions/answer.sql")
    workshop.remove("views/answers.sql")
    workshop.write("functions/reply.sql", FUNCTION.replace("answer", "reply"), "replaceable")
    workshop.write("views/answers.sql", VIEW.replace(".answer()", ".reply()"), "replaceable")
    revision = proven(workshop)
    assert sections(revision.up) == [
        "object: functions/reply.sql",
        "object: views/answers.sql",
        "drop: functions/answer.sql",
        "privileges",
    ]
    assert sections(revision.down) == [
        "object: functions/answer.sql",
        "object: views/answers.sql",
        "drop: functions/reply.sql",
        "privileges",
    ]


def test_an_object_that_moved_to_another_file_is_not_lost(workshop: Workshop) -> None:
    workshop.settle()
    workshop.remove("functions/answer.sql")
    workshop.remove("views/answers.sql")
    drop = "DROP ROUTINE {{ schema }}.answer;"
    workshop.write("functions/the_answer.sql", FUNCTION, "replaceable", drop)
    workshop.write("views/answers.sql", VIEW, "replaceable")
    assert sections(proven(workshop).up) == [
        "drop: views/answers.sql",
        "drop: functions/answer.sql",
        "object: functions/the_answer.sql",
        "object: views/answers.sql",
        "privileges",
    ]


def test_a_renamed_table_keeps_its_rows(
    workshop: Workshop, empty_database: Database, connect: Connect
) -> None:
    workshop.settle()
    apply(empty_database.dsn, Variables(), tree=workshop.tree)
    session = connect(empty_database)
    session.execute("INSERT INTO public.places VALUES (7)")
    workshop.remove("tables/places.sql")
    workshop.write("tables/spots.sql", TABLE.replace("places", "spots"), "data")
    workshop.write("tables/others.sql", "CREATE TABLE {{ schema }}.others (of text);\n", "data")
    frozen = workshop.freeze()
    assert frozen.changes == [
        "rename tables/places.sql to tables/spots.sql",
        "create tables/others.sql",
    ]
    revision = written(frozen)
    (gap,) = gaps(revision.up)
    assert gap.startswith("ALTER … RENAME")
    assert gaps(revision.down)
    rename = "ALTER TABLE {{{{ schema }}}}.{0} RENAME TO {1}; "
    rename += "ALTER INDEX {{{{ schema }}}}.{0}_pkey RENAME TO {1}_pkey;"
    workshop.fill(revision, ".up.sql", rename.format("places", "spots"))
    workshop.fill(revision, ".down.sql", rename.format("spots", "places"))
    assert wrong(workshop) == []
    apply(empty_database.dsn, Variables(), tree=workshop.tree)
    assert session.execute("SELECT id FROM public.spots").fetchall() == [(7,)]
    # Dropped later, it comes back under the name that it had.
    workshop.remove("tables/spots.sql")
    gone = proven(workshop)
    assert sections(gone.up) == ["drop: tables/spots.sql", "privileges"]
    assert sections(gone.down) == [
        "object: tables/places.sql",
        "alter: tables/spots.sql",
        "privileges",
    ]


# What holds data is altered by hand, and not believed before it was tried.


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


def test_a_wrong_alter_is_told_with_both_values(workshop: Workshop) -> None:
    revision = alter_places(workshop)
    workshop.fill(revision, ".up.sql", f"ALTER TABLE {PLACES} ADD COLUMN name varchar(9);")
    workshop.fill(revision, ".down.sql", f"ALTER TABLE {PLACES} DROP COLUMN name;")
    (difference,) = wrong(workshop)
    assert re.fullmatch(
        r"column \{\{ schema \}\}\.places\.name: "
        r"sql/ has '2 text .*', the chain '2 character varying\(9\) .*'",
        difference,
    )


def test_a_way_back_that_leads_elsewhere_is_told(workshop: Workshop) -> None:
    revision = alter_places(workshop)
    workshop.fill(revision, ".up.sql", f"ALTER TABLE {PLACES} ADD COLUMN name text;")
    back = f"ALTER TABLE {PLACES} DROP COLUMN name, DROP CONSTRAINT places_pkey;"
    workshop.fill(revision, ".down.sql", back)
    told = wrong(workshop)
    assert any(line.startswith("constraint {{ schema }}.places.places_pkey: ") for line in told)
    assert all("before 0002 has" in line or "going up once has" in line for line in told)
    assert {"before 0002 has" in line for line in told} == {True, False}


def test_a_changed_view_is_out_of_the_way_of_the_alter(workshop: Workshop) -> None:
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


def test_a_table_that_goes_is_not_in_the_way_of_what_it_needs(workshop: Workshop) -> None:
    workshop.write("tables/shelves.sql", SHELVES, "data")
    workshop.settle()
    workshop.remove("tables/shelves.sql")
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS bigint")
    frozen = written(workshop.freeze())
    assert gaps(frozen.up) == []
    assert wrong(workshop) == []


def test_what_is_altered_anyway_gets_back_what_was_taken_away_in_its_place(
    workshop: Workshop,
) -> None:
    workshop.write("tables/shelves.sql", SHELVES, "data")
    workshop.settle()
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS bigint")
    workshop.edit("tables/shelves.sql", "height integer", "height bigint")
    away, alter = gaps(written(workshop.freeze()).up)
    assert away.startswith("take away")
    assert alter.startswith("ALTERs that turn the previous tables/shelves.sql into today's")


@pytest.mark.parametrize(
    "shelves", [SHELVES, f"CREATE TABLE {{{{ schema }}}}.shelves (kept {ANSWERS});\n"]
)
def test_a_function_that_data_needs_is_replaced_although_that_cannot_be_tried(
    shelves: str, workshop: Workshop
) -> None:
    workshop.edit("tables/places.sql", ");", ", name text);")
    workshop.edit("functions/answer.sql", "42", f"count(name)::integer FROM {PLACES}")
    workshop.write("tables/shelves.sql", shelves, "data")
    workshop.settle()
    workshop.edit("tables/places.sql", "name", "title")
    workshop.edit("functions/answer.sql", "name", "title")
    revision = written(workshop.freeze())
    for suffix, old, new in ((".up.sql", "name", "title"), (".down.sql", "title", "name")):
        workshop.fill(revision, suffix, f"ALTER TABLE {PLACES} RENAME COLUMN {old} TO {new};")
    assert wrong(workshop) == []


def test_a_constraint_that_calls_a_function_is_named(workshop: Workshop) -> None:
    workshop.write("tables/shelves.sql", SHELVES, "data")
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
        assert away.startswith("take away")
        assert back.startswith("make again")
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
    workshop.write(
        "tables/shelves.sql", f"CREATE TABLE {{{{ schema }}}}.shelves ({definition});\n", "data"
    )
    workshop.settle()
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS smallint")
    away, _ = gaps(written(workshop.freeze()).up)
    assert named in away


def test_a_row_trigger_of_a_table_s_own_file_is_named(workshop: Workshop) -> None:
    workshop.write("functions/look.sql", TRIGGER_FUNCTION, "replaceable")
    table = "CREATE TABLE {{ schema }}.shelves (height integer);\n"
    trigger = TRIGGER.replace("places", "shelves")
    workshop.write("tables/shelves.sql", table + trigger, "data")
    workshop.settle()
    workshop.remove("functions/look.sql")
    drop = "DROP ROUTINE {{ schema }}.look;"
    workshop.write("functions/glance.sql", TRIGGER_FUNCTION, "replaceable", drop)
    workshop.manifest["tables/shelves.sql"] = workshop.manifest.pop("tables/shelves.sql")
    workshop.list()
    away, _ = gaps(written(workshop.freeze()).up)
    assert "trigger shelves_look on table {{ schema }}.shelves" in away


def test_a_trigger_of_a_partitioned_table_is_named_with_that_of_its_partition(
    workshop: Workshop,
) -> None:
    workshop.write("functions/look.sql", TRIGGER_FUNCTION, "replaceable")
    table = "CREATE TABLE {{ schema }}.visits (day integer) PARTITION BY LIST (day);\n"
    workshop.write("tables/visits.sql", table + TRIGGER.replace("places", "visits"), "data")
    partition = "CREATE TABLE {{ schema }}.monday PARTITION OF {{ schema }}.visits DEFAULT;\n"
    own = TRIGGER.replace("places", "monday").replace("BEFORE", "AFTER")
    workshop.write("jobs/partitions.sql", partition + own, "replaceable", "-- Goes with its table.")
    workshop.settle()
    before = workshop.manifest.copy()
    workshop.remove("functions/look.sql")
    drop = "DROP ROUTINE {{ schema }}.look;"
    workshop.write("functions/glance.sql", TRIGGER_FUNCTION, "replaceable", drop)
    for later in ("tables/visits.sql", "jobs/partitions.sql"):
        workshop.manifest[later] = workshop.manifest.pop(later)
        assert workshop.manifest[later] == before[later]
    workshop.list()
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
    workshop.write("functions/all_answers.sql", text, "replaceable")
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
    workshop.write("functions/all_places.sql", text, "replaceable")
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
        "roles/roles.sql",
        "{{ monitor_role | literal }}, false, '4s'",
        "{{ monitor_role | literal }}, false, '5s'",
    )
    revision = written(workshop.freeze())
    setting = "ALTER ROLE {{{{ monitor_role }}}} SET statement_timeout = '{}';"
    for suffix, text, seconds in (
        (".up.sql", revision.up, "5s"),
        (".down.sql", revision.down, "4s"),
    ):
        (gap,) = gaps(text)
        assert gap.startswith("what is left undone so: role {{ monitor_role }}: ")
        workshop.fill(revision, suffix, setting.format(seconds))
    assert wrong(workshop) == []
    assert workshop.freeze().changes == []


def test_a_function_may_need_the_column_that_people_add(workshop: Workshop) -> None:
    workshop.write(
        "functions/count.sql",
        FUNCTION.replace("answer", "count").replace("42", f"count(id)::integer FROM {PLACES}"),
        "replaceable",
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
    workshop.write("views/all_places.sql", view, "replaceable")
    workshop.settle()
    workshop.edit("tables/places.sql", "id integer", "id bigint")
    (gap,) = gaps(written(workshop.freeze()).up)
    assert gap.endswith("(mind what hangs on it: views/all_places.sql)")


def test_tables_are_dropped_before_those_that_they_refer_to(workshop: Workshop) -> None:
    workshop.write(
        "tables/visits.sql",
        f"CREATE TABLE {{{{ schema }}}}.visits (place integer REFERENCES {PLACES});\n",
        "data",
    )
    workshop.settle()
    workshop.remove("tables/places.sql")
    workshop.write("tables/spots.sql", TABLE.replace("places", "spots"), "data")
    workshop.manifest["tables/visits.sql"] = workshop.manifest.pop("tables/visits.sql")
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
    workshop.write("tables/shelves.sql", SHELVES, "data")
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
    # Nor does it stand in the way of comparing the table later.
    workshop.edit("tables/places.sql", "CREATE INDEX", "-- Serves names.\nCREATE INDEX")
    assert workshop.freeze().text_only == ["tables/places.sql"]


def test_a_difference_is_told_where_it_is() -> None:
    body = Difference("body", "f()", "one\n two\nthree", "one\n  2\nthree")
    assert told(body, "a", "b") == "body f(), line 2: a has 'two', b '2'"
    missing = Difference("comment", "routine f()", None, "x  y")
    assert told(missing, "a", "b") == "comment routine f(): a has nothing, b 'x y'"
    long = Difference("index", "i", "x" * 200 + " tail", "x" * 200 + " end")
    assert told(long, "a", "b") == f"index i: a has '…{'x' * 39} tail', b '…{'x' * 39} end'"
    endless = Difference("index", "i", "x" * 400, None)
    assert told(endless, "a", "b") == f"index i: a has '{'x' * 159}…', b nothing"


# The command.


def test_the_command_says_when_nothing_has_changed(
    workshop: Workshop, ticketdb: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_to_work(workshop, monkeypatch)
    workshop.settle()
    workshop.write("functions/answer.sql", f"-- Better explained.\n{FUNCTION}")
    done = ticketdb("revision")
    assert done.returncode == 0
    assert done.stdout == (
        "nothing has changed since the last revision\n"
        "changed in their text only: functions/answer.sql\n"
        "0001_what_there_is leads up, down and up again\n"
        "the chain makes what sql/ makes\n"
    )


def test_the_command_proves_what_it_wrote(
    workshop: Workshop, ticketdb: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_to_work(workshop, monkeypatch)
    workshop.settle()
    workshop.edit("functions/answer.sql", "42", "43")
    asked = ticketdb("revision")
    assert asked.returncode == 2
    assert "error [E_REVISION]: say what has changed" in asked.stderr
    done = ticketdb("revision", "-m", "a better answer")
    assert done.returncode == 0
    assert (
        "0002_a_better_answer.{py,up.sql,down.sql}\n  replace functions/answer.sql\n" in done.stdout
    )
    assert done.stdout.endswith(
        "0002_a_better_answer leads up, down and up again\nthe chain makes what sql/ makes\n"
    )


def test_the_command_refuses_to_finish_while_the_triangle_is_open(
    workshop: Workshop, ticketdb: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_to_work(workshop, monkeypatch)
    workshop.settle()
    workshop.edit("tables/places.sql", ");", ", name text);")
    done = ticketdb("revision", "-m", "seat maps")
    assert done.returncode == 1
    assert "0002_seat_maps.{py,up.sql,down.sql}\n  alter tables/places.sql\n" in done.stdout
    assert "write the ALTERs into the .up.sql and the .down.sql, then run it again\n" in done.stdout
    assert "  column {{ schema }}.places.name: sql/ has '2 text" in done.stdout
    unfilled = ticketdb("revision")
    assert unfilled.returncode == 1
    assert "error [E_UNFILLED]" in unfilled.stderr

    revision = read_files(workshop)
    workshop.fill(revision, ".up.sql", f"ALTER TABLE {PLACES} ADD COLUMN title text;")
    workshop.fill(
        revision,
        ".down.sql",
        f"ALTER TABLE {PLACES} DROP COLUMN IF EXISTS title, DROP COLUMN IF EXISTS name;",
    )
    wrong = ticketdb("revision", "-m", "seat maps")
    assert wrong.returncode == 1
    assert "nothing has changed since the last revision\n" in wrong.stdout
    assert "  column {{ schema }}.places.name: sql/ has '2 text" in wrong.stdout
    assert "  column {{ schema }}.places.title: sql/ has nothing, the chain '2 text" in wrong.stdout
    assert re.fullmatch(
        r"error \[E_TRIANGLE\]: 0002_seat_maps is not finished: 2 differences, listed above - .*\n",
        wrong.stderr,
    )
    up = revision.python_file.with_suffix(".up.sql")
    up.write_text(up.read_text().replace("title", "name"))
    assert ticketdb("revision").returncode == 0


def read_files(workshop: Workshop) -> Revision:
    """The newest revision, finished or not."""
    file = sorted(workshop.tree.versions.glob("*.py"))[-1]
    return Revision(file.name[:4], file, "", "")


def test_sql_that_the_server_refuses_is_told_with_its_place(
    workshop: Workshop, ticketdb: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_to_work(workshop, monkeypatch)
    workshop.settle()
    workshop.edit("functions/answer.sql", "SELECT 42", "SELECT 42 FROM nowhere")
    done = ticketdb("revision", "-m", "nowhere")
    assert done.returncode == 2
    assert "error [E_REVISION]: sql/functions/answer.sql" in done.stderr
    assert len(read_chain(workshop.tree)) == 1
    workshop.edit("functions/answer.sql", "nowhere", "{{ nowhere }}")
    done = ticketdb("revision", "-m", "nowhere")
    assert "error [E_TEMPLATE]: functions/answer.sql: 'nowhere' is undefined" in done.stderr
    workshop.edit("functions/answer.sql", "{{ nowhere }}", "nowhere")
    workshop.edit("functions/answer.sql", " FROM nowhere", "")
    workshop.edit("tables/places.sql", ");", ", name text);")
    ticketdb("revision", "-m", "names")
    for suffix in (".up.sql", ".down.sql"):
        workshop.fill(read_files(workshop), suffix, f"ALTER TABLE {PLACES} ADD COLUMN nothing;")
    done = ticketdb("revision")
    assert "0002_names is not finished: its files are there to be mended\n" in done.stdout
    assert re.match(r"error \[E_\w+\]: 0002_names\.up\.sql, tables/places\.sql", done.stderr)
    assert done.returncode == 5


def test_files_that_were_not_asked_for_are_left_for_later(
    workshop: Workshop, ticketdb: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_to_work(workshop, monkeypatch)
    workshop.settle()
    workshop.edit("functions/answer.sql", "42", "43")
    workshop.edit("views/answers.sql", "AS answer", "AS reply")
    done = ticketdb("revision", "-m", "a better answer", "functions/answer.sql")
    assert done.returncode == 0
    assert done.stdout.endswith(
        "0002_a_better_answer leads up, down and up again\n"
        "not compared with sql/, where more has changed: views/answers.sql\n"
    )
    assert proven(workshop).revision == "0003"


def test_an_installation_without_sources_says_so(
    ticketdb: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Tree(PACKAGE / "sql", PACKAGE / "migrations")
    monkeypatch.setattr(revise, "shipped_tree", lambda: installed)
    done = ticketdb("revision", "-m", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error \[E_NO_CHECKOUT\]: .* is an installation.* - .*\n", done.stderr)
    monkeypatch.setattr(cli, "find_spec", lambda _: None)
    done = ticketdb("revision", "-m", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error \[E_NO_CHECKOUT\]: this installation .* - .*\n", done.stderr)
