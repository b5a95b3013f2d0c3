"""What cannot be replaced is dropped first and made again, with what depends on it."""

import pytest

from tests.support.databases import Connect, Database
from tests.support.workshop import (
    ANSWERS,
    FUNCTION,
    PLACES,
    TABLE,
    TRIGGER,
    TRIGGER_FUNCTION,
    VIEW,
    Workshop,
    gaps,
    proven,
    sections,
    written,
    wrong,
)
from ticketdb.config import Variables
from ticketdb.migrate.commands import apply, revert


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
        workshop.write(f"functions/f{number}.sql", text)
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
        workshop.write(f"views/answers_{number}.sql", view)
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
    workshop.write("views/all_of_it.sql", text)
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
    workshop.edit("foundation/monitoring.sql", "Read-only", "Never written")
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
    workshop.write("functions/look.sql", TRIGGER_FUNCTION)
    workshop.write("triggers/places_look.sql", TRIGGER)
    workshop.settle()
    workshop.remove("functions/look.sql")
    workshop.remove("triggers/places_look.sql")
    workshop.write("functions/glance.sql", TRIGGER_FUNCTION)
    workshop.write("triggers/places_look.sql", TRIGGER)
    assert sections(proven(workshop).up) == [
        "drop: triggers/places_look.sql",
        "drop: functions/look.sql",
        "object: functions/glance.sql",
        "object: triggers/places_look.sql",
        "privileges",
    ]


def test_a_trigger_that_may_be_made_again_is(workshop: Workshop) -> None:
    workshop.write("functions/look.sql", TRIGGER_FUNCTION)
    workshop.write("triggers/places_look.sql", TRIGGER)
    workshop.settle()
    workshop.edit("triggers/places_look.sql", "BEFORE INSERT", "AFTER INSERT OR UPDATE")
    made_again = [
        "drop: triggers/places_look.sql",
        "object: triggers/places_look.sql",
        "privileges",
    ]
    assert sections(proven(workshop).up) == made_again


@pytest.mark.parametrize(
    "trigger",
    [
        TRIGGER.replace("BEFORE INSERT", "AFTER UPDATE OF price"),
        TRIGGER.replace("BEFORE INSERT", "BEFORE INSERT OR UPDATE OF price"),
        TRIGGER.replace("FOR EACH ROW", "FOR EACH ROW WHEN (NEW.price > 0)"),
    ],
    ids=["UPDATE OF", "several events", "WHEN"],
)
def test_a_trigger_that_names_a_column_makes_room_while_its_type_is_altered(
    trigger: str, workshop: Workshop
) -> None:
    """As the logs of changes do. PostgreSQL would refuse the ALTER that people write."""
    table = TABLE.replace(");", ", price integer);")
    workshop.write("tables/places.sql", table)
    workshop.write("functions/look.sql", TRIGGER_FUNCTION)
    workshop.write("triggers/places_look.sql", trigger)
    workshop.settle()
    workshop.edit("tables/places.sql", "price integer", "price numeric NOT NULL")
    frozen = workshop.freeze()
    assert frozen.changes == ["alter tables/places.sql", "recreate triggers/places_look.sql"]
    revision = written(frozen)
    for suffix, text, type_, null in (
        (".up.sql", revision.up, "numeric", "SET"),
        (".down.sql", revision.down, "integer", "DROP"),
    ):
        assert sections(text)[:3] == [
            "drop: triggers/places_look.sql",
            "alter: tables/places.sql",
            "object: triggers/places_look.sql",
        ]
        alter = f"ALTER COLUMN price TYPE {type_}, ALTER COLUMN price {null} NOT NULL"
        workshop.fill(revision, suffix, f"ALTER TABLE {PLACES} {alter};")
    assert wrong(workshop) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("price integer", "price integer DEFAULT 1"),
        ("price integer", "price integer NOT NULL"),
        ("id integer", "id bigint"),
        (");", ", note text);"),
    ],
)
def test_a_trigger_that_does_not_block_the_change_stays(
    before: str, after: str, workshop: Workshop
) -> None:
    workshop.write("tables/places.sql", TABLE.replace(");", ", price integer);"))
    workshop.write("functions/look.sql", TRIGGER_FUNCTION)
    trigger = TRIGGER.replace("BEFORE INSERT", "AFTER UPDATE OF price")
    workshop.write("triggers/places_look.sql", trigger)
    workshop.settle()
    workshop.edit("tables/places.sql", before, after)
    assert workshop.freeze().changes == ["alter tables/places.sql"]


def test_several_changes_at_once(workshop: Workshop) -> None:
    workshop.write("views/old.sql", VIEW.replace("answers", "old"))
    workshop.write("functions/look.sql", TRIGGER_FUNCTION)
    workshop.settle()
    workshop.remove("views/old.sql")
    workshop.edit("functions/answer.sql", "RETURNS integer", "RETURNS bigint")
    workshop.edit("functions/look.sql", "RETURN NEW", "RETURN OLD")
    workshop.write("views/new.sql", VIEW.replace("answers", "new"))
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
    workshop.write("functions/ask.sql", ask)
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
