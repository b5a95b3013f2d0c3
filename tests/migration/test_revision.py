"""From an edit of sql/ to a revision that was applied, reverted and applied again on a server."""

import importlib.util
import re
from contextlib import nullcontext

import pytest

from tests.support.databases import Connect, Database
from tests.support.program import Program
from tests.support.workshop import (
    ANSWERS,
    FUNCTION,
    PLACES,
    TABLE,
    VIEW,
    Workshop,
    gaps,
    proven,
    sections,
    written,
    wrong,
)
from ticketdb.config import Variables
from ticketdb.develop import revise
from ticketdb.develop.revise import freeze
from ticketdb.migrate.chain import Revision, read_chain
from ticketdb.migrate.commands import apply
from ticketdb.paths import PACKAGE, Tree
from ticketdb.private_server import Cluster


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
    workshop.write("jobs/ask.sql", "SELECT {{ schema }}.answer();\n", "SELECT 1;")
    workshop.settle()
    workshop.write("jobs/ask.sql", "SELECT {{ schema }}.answer(), 2;\n")
    revision = proven(workshop)
    assert sections(revision.up) == ["object: jobs/ask.sql", "privileges"]
    assert "answer();" in revision.down


def test_the_shipped_chain_is_what_sql_says(tree_copy: Tree, cluster: Cluster) -> None:
    """Nobody has edited sql/ without freezing it."""
    assert freeze("a change", None, tree_copy, cluster).changes == []


# What left the order, and what is called something else now.


def test_an_object_that_left_the_order_is_dropped(workshop: Workshop) -> None:
    workshop.settle()
    workshop.remove("views/answers.sql")
    revision = proven(workshop)
    assert sections(revision.up) == ["drop: views/answers.sql", "privileges"]
    assert sections(revision.down) == ["object: views/answers.sql", "privileges"]


def test_a_function_that_is_renamed_goes_when_its_view_has_left_it(workshop: Workshop) -> None:
    workshop.settle()
    workshop.remove("functions/answer.sql")
    workshop.remove("views/answers.sql")
    workshop.write("functions/reply.sql", FUNCTION.replace("answer", "reply"))
    workshop.write("views/answers.sql", VIEW.replace(".answer()", ".reply()"))
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
    workshop.write("functions/the_answer.sql", FUNCTION)
    workshop.write("views/answers.sql", VIEW)
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
    workshop.write("tables/spots.sql", TABLE.replace("places", "spots"))
    workshop.write("tables/others.sql", "CREATE TABLE {{ schema }}.others (of text);\n")
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
        "nothing new to freeze; checking the newest revision\n"
        "changed in their text only: functions/answer.sql\n"
        "0001_what_there_is was applied, reverted and applied again\n"
        "the chain and sql/ produce the same database\n"
    )


def test_the_command_proves_what_it_wrote(
    workshop: Workshop, ticketdb: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_to_work(workshop, monkeypatch)
    workshop.settle()
    workshop.edit("functions/answer.sql", "42", "43")
    asked = ticketdb("revision")
    assert asked.returncode == 2
    assert "error [E_REVISION]: a message is missing for what has changed" in asked.stderr
    done = ticketdb("revision", "-m", "a better answer")
    assert done.returncode == 0
    assert (
        "0002_a_better_answer.{py,up.sql,down.sql}\n  replace functions/answer.sql\n" in done.stdout
    )
    assert done.stdout.endswith(
        "0002_a_better_answer was applied, reverted and applied again\n"
        "the chain and sql/ produce the same database\n"
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
    assert "write the ALTER statements into the .up.sql and the .down.sql" in done.stdout
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
    assert "nothing new to freeze; checking the newest revision\n" in wrong.stdout
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


def test_sql_that_the_server_refuses_is_reported_with_its_place(
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
    assert "0002_names is not finished: correct its files, then run it again\n" in done.stdout
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
        "0002_a_better_answer was applied, reverted and applied again\n"
        "not compared with sql/, since other files have changed: views/answers.sql\n"
    )
    assert proven(workshop).revision == "0003"


def test_an_installation_without_sources_is_an_error_that_names_the_reason(
    ticketdb: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Tree(PACKAGE / "sql", PACKAGE / "migrations")
    monkeypatch.setattr(revise, "shipped_tree", lambda: installed)
    done = ticketdb("revision", "-m", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error \[E_NO_CHECKOUT\]: .* is an installation.* - .*\n", done.stderr)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    done = ticketdb("revision", "-m", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"error \[E_NO_CHECKOUT\]: this installation .* - .*\n", done.stderr)
