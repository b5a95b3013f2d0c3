"""The checks before anything is changed: the server, the ledger, the direction.

Each function raises a TicketdbError where its check fails.
"""

from contextlib import suppress
from dataclasses import asdict, replace

import psycopg

from ticketdb import SUPPORTED, SUPPORTED_MAJORS, __version__
from ticketdb.config import JOBS, Variables
from ticketdb.database import VERSION_TABLE, Connection, State, query
from ticketdb.errors import problem
from ticketdb.migrate.chain import Direction, Revision


def check_server(state: State, *, writing: bool) -> None:
    """Refuse an unsupported server, a standby or another role than the owner.

    Raises E_SERVER_VERSION, E_STANDBY or E_ROLE; the last two only for `writing`.
    """
    if state.major not in SUPPORTED_MAJORS:
        what = f"PostgreSQL {state.major} is not supported, only {SUPPORTED}"
        raise problem("E_SERVER_VERSION", what)
    if writing and state.in_recovery:
        raise problem("E_STANDBY", f"database {state.database!r} is on a standby: read-only")
    if writing and state.owner not in (None, state.role):
        what = f"ticketdb belongs to role {state.owner!r} in database {state.database!r}"
        raise problem("E_ROLE", f"{what}, and this is {state.role!r}")


def check_direction(chain: list[Revision], here: int, target: int, direction: Direction) -> None:
    """Refuse to apply up to an earlier revision, or to revert to a later one. Raises E_BEYOND."""
    names = ["base", *(revision.revision for revision in chain)]
    if direction == "up" and target < here:
        raise problem(
            "E_BEYOND",
            f"the database is at {names[here]}, beyond {names[target]}",
            f"to go back: `ticketdb revert --to {names[target]}`",
        )
    if direction == "down" and target > here:
        raise problem(
            "E_BEYOND",
            f"the database is at {names[here]}, which comes before {names[target]}",
            f"to go on: `ticketdb apply --to {names[target]}`",
        )


def check_room(
    connection: Connection, state: State, variables: Variables, *, beside: bool = False
) -> None:
    """Refuse a second installation in the same database, unless `beside`. Raises E_BESIDE.

    With `beside` its jobs still need other names: of two jobs with one name pg_cron keeps the last.
    """
    for schema in state.others if state.revision is None else ():
        there = f"database {state.database!r} has ticketdb, with internal_schema = {schema!r}"
        if not beside:
            raise problem("E_BESIDE", f"{there}, and not {variables.internal_schema!r}")
        used = jobs_of(connection, schema)
        taken = [name for name in JOBS if used.get(name) == getattr(variables, name)]
        if taken:
            raise problem(
                "E_BESIDE",
                f"{there}, with the same {', '.join(taken)}",
                "set other names for them under [variables] in ticketdb.toml",
            )


def jobs_of(connection: Connection, schema: str) -> dict[str, str]:
    """The variables of an installation, job names among them, as far as this role may read them."""
    there = replace(Variables(), internal_schema=schema)
    tables = {"has_version": False, "has_ledger": True}
    with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
        (history,) = query(connection, "history.sql", there, **tables)
        return {k: v for entry in history.ledger for k, v in entry["variables"].items()}
    return {}


def check_history(state: State, chain: list[Revision], variables: Variables) -> None:
    """Refuse a database whose history is not the beginning of this package's chain.

    Raises E_UNKNOWN_REVISION, E_LEDGER, E_VARIABLES or E_CHECKSUM.
    """
    reached = chain[: position_of(chain, state.revision)]
    entries = {row["revision"]: row for row in state.ledger}
    if odd := sorted(entries.keys() ^ {revision.revision for revision in reached}):
        found = f"revision {odd[0]} is {'in' if odd[0] in entries else 'not in'} the ledger"
        raise problem("E_LEDGER", f"{VERSION_TABLE} is at {state.revision or 'base'}, but {found}")
    now = asdict(variables)
    for revision in reached:
        entry = entries[revision.revision]
        for name, value in entry["variables"].items():
            if now.get(name, value) != value:
                built = f"the database was built with {name} = {value!r}"
                raise problem("E_VARIABLES", f"{built}, the configuration has {now[name]!r}")
        if entry["source_sha256"] != revision.source_sha256:
            checksums = f"{entry['source_sha256'][:12]}…, now {revision.source_sha256[:12]}…"
            what = f"{revision.name}.up.sql is not the file that was applied"
            raise problem("E_CHECKSUM", f"{what} (SHA-256 {checksums})")


def position_of(chain: list[Revision], revision: str | None) -> int:
    """The number of revisions up to and including this one: 0 for None and "base", all for "head".

    Raises E_UNKNOWN_REVISION.
    """
    names = ["base", *(r.revision for r in chain)]
    wanted = names[-1] if revision == "head" else revision or "base"
    if wanted not in names:
        known = f"this is ticketdb {__version__} with {', '.join(names)}"
        raise problem("E_UNKNOWN_REVISION", f"there is no revision {wanted!r}; {known}")
    return names.index(wanted)
