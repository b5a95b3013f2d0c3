"""Proof that a database is what this package ships. Reads only, needs no second server.

What must be there is not listed anywhere by hand: every object of ``sql/`` carries its COMMENT ON
beside it, so the comments of ``sql/`` name them all.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ticketdb.config import Variables
from ticketdb.database import Connection, State, connect, explained, query
from ticketdb.errors import TicketdbError
from ticketdb.migrate import check_history, check_server, shipped_sql
from ticketdb.render import render
from ticketdb.resources import Tree, shipped_tree
from ticketdb.revision import Revision, read_chain, sha256_hex

HISTORY_CHECKS = ["revision", "checksums"]
CATALOG_CHECKS = ["objects", "comments", "privileges", "definer functions", "triggers"]
CATALOG_CHECKS += ["constraints and indexes", "jobs", "rollups", "invariants"]


@dataclass(frozen=True)
class Check:
    """The answer to one question about a database. `details` say what is wrong."""

    name: str
    ok: bool
    details: tuple[str, ...] = ()
    note: str = ""


def verify(dsn: str, variables: Variables, tree: Tree | None = None) -> list[Check]:
    """Ask every question. Raises TicketdbError only when it cannot ask."""
    with connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return examine(connection, variables, tree or shipped_tree())


def examine(connection: Connection, variables: Variables, tree: Tree) -> list[Check]:
    """Ask every question, in the transaction of this connection."""
    chain = read_chain(tree)
    with explained("verify"):
        # Unqualified names mean the catalog's, whatever there is in other schemas.
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        state = State.read(connection, variables)
        check_server(state, writing=False)
        names, notes = HISTORY_CHECKS, {"revision": state.revision or "base"}
        wrong = list(_history(state, chain, variables))
        if state.revision is not None:
            names = HISTORY_CHECKS + CATALOG_CHECKS
            notes["jobs"] = "pg_cron" if state.has_pg_cron else "run by an external scheduler"
            wrong += query(
                connection,
                "verify.sql",
                variables,
                shipped=shipped_sql(variables, tree),
                has_pg_cron=state.has_pg_cron and state.has_jobs,
                sees_pg_cron=state.sees_pg_cron,
                has_invariants=state.has_invariants,
                has_rollups=state.has_rollups,
            )
    details = {name: tuple(detail for check, detail in wrong if check == name) for name in names}
    return [Check(name, not details[name], details[name], notes.get(name, "")) for name in names]


def _history(
    state: State, chain: list[Revision], variables: Variables
) -> Iterator[tuple[str, str]]:
    """What is wrong with the revisions, as (check, detail)."""
    here, head = state.revision or "base", chain[-1].revision
    if here != head:
        yield "revision", f"the database is at {here}, the package at {head}"
    try:
        check_history(state, chain, variables)
    except TicketdbError as error:
        yield "checksums", error.message
        return
    for row, revision in zip(state.ledger, chain, strict=False):
        if row["rendered_sha256"] != sha256_hex(render(revision.up, variables)):
            yield "checksums", f"{revision.revision}: it was rendered to something else then"
