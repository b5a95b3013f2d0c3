"""The chain is cut anew from sql/: all stays where it is, and what is new finds its place."""

import pytest

from ticketdb.develop import recut
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import chain_state, parse_sections, read_chain
from ticketdb.paths import Tree

NEW = "foundation/answer.sql"
NEIGHBOUR = "foundation/is_time_zone.sql"


@pytest.fixture
def tree(tree_copy: Tree, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A copy of the shipped tree, for which the program takes it."""
    monkeypatch.setattr(recut, "shipped_tree", lambda: tree_copy)
    recut.recut()  # the chain of a worktree may be behind its sql/
    return tree_copy


def home_of(tree: Tree, path: str) -> list[str]:
    return [
        revision.name
        for revision in read_chain(tree)
        for section in parse_sections(revision.up)
        if section.path == path
    ]


def add(tree: Tree, after: str) -> None:
    (tree.sql / NEW).write_text("CREATE FUNCTION {{ schema }}.answer() AS 'SELECT 42';\n")
    order = tree.sql / "order.toml"
    entry, text = f'    "{after}",\n', order.read_text()
    assert entry in text
    order.write_text(text.replace(entry, f'{entry}    "{NEW}",\n'))


def test_what_is_as_sql_says_already_is_left_alone(tree: Tree) -> None:
    before = {file: file.read_bytes() for file in tree.versions.iterdir()}
    assert recut.recut() == []
    assert {file: file.read_bytes() for file in tree.versions.iterdir()} == before


def test_a_new_object_joins_the_revision_of_the_one_before_it(tree: Tree) -> None:
    (home,) = home_of(tree, NEIGHBOUR)
    add(tree, after=NEIGHBOUR)
    assert recut.recut() == [f"{home}.up.sql", f"{home}.down.sql"]
    assert home_of(tree, NEW) == [home]
    paths = [section.path for section in parse_sections(read_chain(tree)[0].up)]
    if NEIGHBOUR in paths:
        assert paths.index(NEW) == paths.index(NEIGHBOUR) + 1
    down = next(r.down for r in read_chain(tree) if r.name == home)
    drops = {section.path: section.text.strip() for section in parse_sections(down)}
    assert drops[NEW] == "DROP ROUTINE {{ schema }}.answer;"
    assert recut.recut() == []


def test_an_edited_object_is_edited_where_it_is(tree: Tree) -> None:
    (home,) = home_of(tree, NEIGHBOUR)
    source = tree.sql / NEIGHBOUR
    source.write_text("-- Edited.\n" + source.read_text())
    assert recut.recut() == [f"{home}.up.sql"]
    assert chain_state(read_chain(tree))[NEIGHBOUR][-1].text.startswith("-- Edited.\n")


def test_what_is_gone_leaves_and_an_empty_revision_is_refused(tree: Tree) -> None:
    add(tree, after=NEIGHBOUR)
    recut.recut()
    order = tree.sql / "order.toml"
    order.write_text(order.read_text().replace(f'    "{NEW}",\n', ""))
    (tree.sql / NEW).unlink()
    recut.recut()
    assert home_of(tree, NEW) == []
    smallest = min(read_chain(tree), key=lambda r: len(parse_sections(r.down)))
    text = order.read_text()
    for path in {section.path for section in parse_sections(smallest.up)} - {""}:
        text = text.replace(f'    "{path}",\n', "")
        (tree.sql / path).unlink()
    order.write_text(text)
    with pytest.raises(TicketdbError, match=f"revision {smallest.revision} has no objects left"):
        recut.recut()
