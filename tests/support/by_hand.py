"""Revisions that a test writes by hand at the end of a tree's chain."""

from ticketdb.migrate.chain import read_chain
from ticketdb.paths import Tree

OUTSIDE = "-- outside a transaction\n"
OF_SHOWS = f"-- alter: shows/shows.sql sha256={'0' * 64}\n"
PYTHON = """
from ticketdb.migrate.run import run_down, run_up

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    run_up(revision)


def downgrade() -> None:
    run_down(revision)
"""


def add_revision(
    tree: Tree, up: str, down: str, *, heading: str = "", name: str = "by hand"
) -> str:
    """Write a revision of these sections. Returns its id."""
    before = read_chain(tree)[-1].revision
    revision = f"{int(before) + 1:04d}"
    file = tree.versions / f"{revision}_{name.replace(' ', '_')}.py"
    file.write_text(PYTHON.format(revision=revision, before=before))
    for suffix, text in ((".up.sql", up), (".down.sql", down)):
        file.with_suffix(suffix).write_text(f"-- {revision}: {name}.\n{heading}\n{text}")
    return revision


def add_indexes(tree: Tree, *statements: str, down: str = "") -> str:
    """Write a revision that runs outside a transaction, and alters the table of shows."""
    up = OF_SHOWS + "".join(f"{statement};\n" for statement in statements)
    return add_revision(tree, up, OF_SHOWS + down, heading=OUTSIDE)
