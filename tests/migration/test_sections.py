"""Every byte of a revision belongs to a section, or the revision is refused."""

import pytest

from tests.support.by_hand import OF_SHOWS, add_revision
from tests.support.databases import Connect, Database
from tests.support.program import Program
from tests.support.workshop import Workshop, written
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.plan import plan
from ticketdb.migrate.script import script
from ticketdb.paths import Tree, shipped_tree
from ticketdb.verify import verify

NAMES = Variables()
HEAD = read_chain(shipped_tree())[-1].revision
UPDATE = "UPDATE {{ schema }}.shows SET name = 'renamed';\n"
COLUMN = f"{OF_SHOWS}ALTER TABLE {{{{ schema }}}}.shows ADD COLUMN note text;\n"
BACK = f"{OF_SHOWS}ALTER TABLE {{{{ schema }}}}.shows DROP COLUMN note;\n"


def refusal(tree: Tree) -> str:
    with pytest.raises(TicketdbError) as caught:
        read_chain(tree)
    assert (caught.value.code, caught.value.exit_status) == ("E_CHAIN", 2)
    return caught.value.message


def test_sql_above_the_first_marker_is_refused_by_all_that_read_the_chain(
    database: Database, connect: Connect, tree_copy: Tree
) -> None:
    connect().execute(
        "INSERT INTO public.shows (name, starts_at, currency) VALUES ('x', now(), 'EUR')"
    )
    add_revision(tree_copy, UPDATE + COLUMN, BACK)
    messages = []
    for read in (
        lambda: apply(database.dsn, NAMES, tree=tree_copy),
        lambda: plan(database.dsn, NAMES, "head", False, tree_copy),
        lambda: script(NAMES, tree=tree_copy),
        lambda: verify(database.dsn, NAMES, tree_copy),
        lambda: revert(database.dsn, NAMES, "0001", tree=tree_copy),
    ):
        with pytest.raises(TicketdbError) as caught:
            read()
        messages.append(caught.value.message)
    assert set(messages) == {refusal(tree_copy)}
    assert (
        "_by_hand.up.sql, line 3: \"UPDATE {{ schema }}.shows SET name = 'renamed';\""
        in messages[0]
    )
    assert (
        "stands above the first marker line - put it below one, such as '-- alter:" in messages[0]
    )
    assert connect().execute("SELECT name FROM public.shows").fetchall() == [("x",)]


@pytest.mark.parametrize(
    ("heading", "line"),
    [
        (f"/* why\n   */ {UPDATE}", 4),
        ("SELECT 1;\n", 3),
        ("-- fine\n\n;\n", 5),
        ("/* never ended\n", 3),
        ("\ufeff\n", 3),
        (f"-- alter: shows/shows.sql sha256=tooshort\n{UPDATE}", 4),
        (f"--object: shows/shows.sql\n{UPDATE}", 4),
    ],
    ids=["after a comment", "SELECT", "semicolon", "comment", "BOM", "hash", "near miss"],
)
@pytest.mark.parametrize("direction", ["up", "down"])
def test_whatever_it_is_and_in_either_direction(
    direction: str, heading: str, line: int, tree_copy: Tree
) -> None:
    add_revision(
        tree_copy,
        heading * (direction == "up") + COLUMN,
        heading * (direction == "down") + BACK,
    )
    assert f"_by_hand.{direction}.sql, line {line}: " in refusal(tree_copy)


def test_comments_and_blanks_may_stand_there(tree_copy: Tree) -> None:
    comments = "-- why; and how\n\n/* a /* nested; */ comment;\nof two lines */\n  -- indented\n"
    revision = add_revision(tree_copy, comments + COLUMN, comments + BACK)
    assert read_chain(tree_copy)[-1].revision == revision


@pytest.mark.parametrize("text", ["", "-- nothing to do\n", COLUMN.replace("\n", "\r\n")])
def test_a_revision_without_a_marker_line_is_one_clear_error(text: str, tree_copy: Tree) -> None:
    add_revision(tree_copy, COLUMN, text)
    message = refusal(tree_copy)
    assert "_by_hand.down.sql" in message
    assert "marker line" in message


def test_bytes_that_are_no_text_are_reported_with_their_line(tree_copy: Tree) -> None:
    add_revision(tree_copy, COLUMN, BACK)
    up = read_chain(tree_copy)[-1].python_file.with_suffix(".up.sql")
    up.write_bytes(up.read_bytes() + b"COMMENT ON TABLE x IS '\xb5';\n")
    assert f"{up}, line 5: byte 0xb5 is not UTF-8 - save it as UTF-8" in refusal(tree_copy)


def test_the_command_revision_refuses_it_too(workshop: Workshop) -> None:
    workshop.settle()
    workshop.edit("functions/answer.sql", "42", "43")
    up = written(workshop.freeze()).python_file.with_suffix(".up.sql")
    heading, _, rest = up.read_text().partition("\n\n")
    up.write_text(f"{heading}\n{UPDATE}\n{rest}")
    workshop.edit("functions/answer.sql", "43", "44")
    with pytest.raises(TicketdbError, match="stands above the first marker line"):
        workshop.freeze()


def test_the_shipped_chain_is_whole(ticketdb: Program) -> None:
    assert ticketdb("script", "--to", "0001").returncode == 0
