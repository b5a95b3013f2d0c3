"""Compares a database with what this package ships. Changes nothing, needs no second server.

The catalog is compared with the fingerprint that the package ships for the server's major version;
further checks look at the history, the jobs, the rollups and the invariants.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import IsolationLevel

from ticketdb.catalog import (
    Difference,
    differences,
    read_catalog,
    roots,
    shipped_catalog,
    strangers,
)
from ticketdb.config import Variables
from ticketdb.database import Connection, State, connect, explained, pin, query
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import Revision, read_chain, sha256_hex
from ticketdb.migrate.history import check_history, check_server
from ticketdb.paths import Tree, shipped_tree
from ticketdb.templates import render

HISTORY_CHECKS = ["revision", "checksums"]
# The kinds of the fingerprint, by the check that reports them.
CATALOG_CHECKS = {
    "schemas and tables": ("schema", "relation", "sequence", "statistics", "type"),
    "columns": ("column",),
    "constraints": ("constraint",),
    "indexes": ("index",),
    "functions": ("routine", "body"),
    "triggers": ("trigger",),
    "views and policies": ("rule", "policy"),
    "privileges": ("grant", "role grant"),
    "roles": ("role", "role membership", "role setting"),
    "comments": ("comment",),
}
DATA_CHECKS = ["jobs", "rollups", "invariants"]


@dataclass(frozen=True)
class Check:
    """The result of one check. It fails if there are `details`.

    `warnings` are about what may be intended, and do not make it fail.
    """

    name: str
    details: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    note: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.details

    def as_data(self) -> dict[str, Any]:
        """The result as JSON has it, with `ok` and the kind of each change."""
        changes = [{"change": d.change, **asdict(d)} for d in self.differences]
        return {"ok": self.ok, **asdict(self), "differences": changes}


def verify(dsn: str, variables: Variables, tree: Tree | None = None) -> list[Check]:
    """Run every check. Raises TicketdbError only if they cannot be run."""
    with connect(dsn, patient=True) as connection:
        connection.isolation_level, connection.read_only = IsolationLevel.REPEATABLE_READ, True
        return examine(connection, variables, tree or shipped_tree())


def examine(connection: Connection, variables: Variables, tree: Tree) -> list[Check]:
    """Run every check, in the transaction of this connection."""
    chain = read_chain(tree)
    with explained("verify"):
        pin(connection, patient=True)
        state = State.read(connection, variables)
        check_server(state, writing=False)
        wrong = list(_history(state, chain, variables))
        checks = [_check(name, wrong) for name in HISTORY_CHECKS]
        # An older revision differs from what is shipped in everything that was added since.
        if state.revision != chain[-1].revision:
            return checks
        wanted = shipped_catalog(connection, variables, state.major, tree)
        different = differences(wanted, read_catalog(connection, variables, roots(wanted)))
        for name, kinds in CATALOG_CHECKS.items():
            found = tuple(difference for difference in different if difference.kind in kinds)
            details = tuple(difference.in_full() for difference in found)
            checks.append(Check(name, details, found))
        found_there = strangers(connection, variables)
        checks.append(Check("strangers", found_there.traps, warnings=found_there.creators))
        facts = {
            "has_pg_cron": state.has_pg_cron and state.has_jobs,
            "sees_pg_cron": state.sees_pg_cron,
            "has_invariants": state.has_invariants,
            "has_rollups": state.has_rollups,
        }
        notes = {"jobs": "pg_cron" if state.has_pg_cron else "run by an external scheduler"}
        for name in DATA_CHECKS:
            details = _data_check(connection, variables, name, facts)
            checks.append(Check(name, details, note=notes.get(name, "")))
        return checks


def _data_check(
    connection: Connection, variables: Variables, name: str, facts: dict[str, bool]
) -> tuple[str, ...]:
    """The details of a check of the data, or one that it could not be run.

    Why it could not be run is among the differences of the catalog, which are reported before.
    """
    try:
        with connection.transaction():
            chosen = {f"is_{check}": check == name for check in DATA_CHECKS}
            rows = query(connection, "verify.sql", variables, **chosen, **facts)
    except psycopg.errors.InsufficientPrivilege:
        raise
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        return (f"could not be checked: {error.diag.message_primary or error}",)
    return tuple(detail for (detail,) in rows)


def _check(name: str, wrong: list[tuple[str, str]]) -> Check:
    return Check(name, tuple(detail for check, detail in wrong if check == name))


def junit(checks: list[Check]) -> str:
    """The results as JUnit XML, one test case for each check."""
    failures = str(sum(not check.ok for check in checks))
    suite = ET.Element(
        "testsuite", name="ticketdb verify", tests=str(len(checks)), failures=failures
    )
    for check in checks:
        case = ET.SubElement(suite, "testcase", classname="ticketdb.verify", name=check.name)
        if not check.ok:
            message = f"{len(check.details)} found"
            ET.SubElement(case, "failure", message=message).text = "\n".join(check.details)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def _history(
    state: State, chain: list[Revision], variables: Variables
) -> Iterator[tuple[str, str]]:
    """What is wrong with the history of revisions, as (check, detail)."""
    here, head = state.revision or "base", chain[-1].revision
    if here != head:
        reached = state.reached(variables)
        behind = f"the database is at {here}, the package at {head}"
        yield "revision", behind if reached == here else reached
    try:
        check_history(state, chain, variables)
    except TicketdbError as error:
        yield "checksums", error.message
        return
    for row, revision in zip(state.ledger, chain, strict=False):
        if row["rendered_sha256"] != sha256_hex(render(revision.up, variables)):
            yield "checksums", f"{revision.revision}: it now renders to another text"
