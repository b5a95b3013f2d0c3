"""Writes the whole chain anew from ``sql/``, which is allowed until the first release.

    python -m ticketdb.develop.recut

Each object stays in its revision; a new one joins the revision of the object before it in
order.toml; a removed one is left out. Within a revision the order is that of order.toml.
Afterwards the chain has no ALTER, as if the database had always been as it is now.
"""

import sys

from ticketdb.develop.revise import PRIVILEGES
from ticketdb.errors import TicketdbError, problem
from ticketdb.migrate.chain import (
    Revision,
    Section,
    SourceObject,
    chain_state,
    parse_sections,
    read_chain,
    read_sources,
)
from ticketdb.paths import shipped_tree


def memberships(
    chain: list[Revision], sources: list[SourceObject]
) -> dict[str, list[SourceObject]]:
    """For each revision, by its number, the objects that it creates. Raises E_REVISION."""
    homes = {
        section.path: revision.revision
        for revision in chain
        for section in parse_sections(revision.up)
        if section.path in chain_state(chain)
    }
    members: dict[str, list[SourceObject]] = {revision.revision: [] for revision in chain}
    home = chain[0].revision
    for source in sources:
        home = homes.get(source.file, home)
        members[home].append(source)
    for number, objects in members.items():
        if not objects:
            raise problem("E_REVISION", f"revision {number} has no objects left: delete its files")
    return members


def recut() -> list[str]:
    """Write every revision anew. Returns the names of the files that changed.

    Raises E_SOURCES, E_CHAIN, E_REVISION.
    """
    tree = shipped_tree()
    chain = read_chain(tree)
    changed = []
    for revision in chain:
        objects = memberships(chain, read_sources(tree))[revision.revision]
        up = [Section("object", o.file, o.sha256, o.text) for o in objects]
        down = [Section("drop", o.file, "", o.drop) for o in reversed(objects)]
        for text, suffix, sections in (
            (revision.up, ".up.sql", [*up, PRIVILEGES]),
            (revision.down, ".down.sql", down),
        ):
            heading = text[: text.index("\n\n") + 1]
            new = "\n".join([heading, *(section.frozen() for section in sections)])
            if new != text:
                file = revision.python_file.with_suffix(suffix)
                file.write_text(new, encoding="utf-8")
                changed.append(file.name)
    return changed


def main() -> int:
    try:
        changed = recut()
    except TicketdbError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    print("\n".join(f"wrote {name}" for name in changed) or "the chain already matches sql/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
