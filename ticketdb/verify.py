"""Proof that a database is what this package ships. Reads only, needs no second server.

What must be there is not listed anywhere by hand: every object of ``sql/`` carries its COMMENT ON
beside it, so the comments of ``sql/`` name them all.
"""

import re
from dataclasses import dataclass

from psycopg import sql

from ticketdb.config import ROLES, Variables
from ticketdb.database import Connection, State, connect, explained, read_state
from ticketdb.errors import TicketdbError
from ticketdb.migrate import check_history, check_server, split_statements
from ticketdb.render import render
from ticketdb.resources import Tree, package_sql, shipped_tree
from ticketdb.revision import Revision, read_chain, read_manifest, require_filled_in, sha256_hex

NAME = r'(?:"(?:""|[^"])*"|[a-z_]\w*)'
COMMENT = re.compile(
    rf"COMMENT ON (?P<kind>[A-Z]+)\s+(?P<name>{NAME}(?:\.{NAME})*(?:\([^)]*\))?)"
    rf"(?:\s+ON (?P<parent>{NAME}(?:\.{NAME})*))?\s+IS(?:\s+--[^\n]*)*\s+(?P<text>'.*');",
    re.DOTALL,
)
ALWAYS = re.compile(rf"ENABLE ALWAYS TRIGGER ({NAME})")
CATALOG_CHECKS = (
    "objects",
    "comments",
    "privileges",
    "definer functions",
    "triggers",
    "constraints and indexes",
)


@dataclass(frozen=True)
class Check:
    """The answer to one question about a database. `details` say what is wrong."""

    name: str
    ok: bool
    details: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Comment:
    """A comment that ``sql/`` puts on an object. `parent`: of a column, constraint or trigger."""

    kind: str
    parent: str | None
    name: str
    text: str


def verify(dsn: str, variables: Variables, tree: Tree | None = None) -> list[Check]:
    """Ask every question. Raises TicketdbError only when it cannot ask."""
    with connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return examine(connection, variables, tree or shipped_tree())


def examine(connection: Connection, variables: Variables, tree: Tree) -> list[Check]:
    """Ask every question, in the transaction of this connection."""
    chain = read_chain(tree)
    require_filled_in(chain)
    with explained("verify"):
        # Unqualified names mean the catalog's, whatever there is in other schemas.
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        state = read_state(connection, variables)
        check_server(state, writing=False)
        checks = [_head(state, chain), _checksums(state, chain, variables)]
        if state.revision is None:
            return checks
        checks += _catalog(connection, variables, tree)
        return [*checks, _jobs(connection, state, variables), _invariants(connection, variables)]


def fingerprint(connection: Connection, variables: Variables) -> list[tuple[str, str, str]]:
    """The rows (kind, identity, definition) of catalog.sql: equal for databases that are equal."""
    with connection.transaction(), explained("fingerprint"):
        connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        has_pg_cron = connection.execute("SELECT to_regclass('cron.job') IS NOT NULL").fetchone()
        query = render(package_sql("catalog.sql"), variables, has_pg_cron=has_pg_cron == (True,))
        return [(row[0], row[1], row[2]) for row in connection.execute(query.encode())]


def _head(state: State, chain: list[Revision]) -> Check:
    here, head = state.revision or "base", chain[-1].revision if chain else "base"
    details = () if here == head else (f"the database is at {here}, the package at {head}",)
    return Check("revision", here == head, details, note=here)


def _checksums(state: State, chain: list[Revision], variables: Variables) -> Check:
    try:
        check_history(state, chain, variables)
    except TicketdbError as error:
        return Check("checksums", False, (error.message,))
    revisions = {revision.revision: revision for revision in chain}
    details = tuple(
        f"{row.revision}: what was sent is not what the package renders today"
        for row in state.ledger
        for source in [revisions[row.revision].up.decode()]
        if sha256_hex(render(source, variables).encode()) != row.rendered_sha256
    )
    return Check("checksums", not details, details)


def shipped_sql(variables: Variables, tree: Tree) -> list[str]:
    """The statements of ``sql/``, rendered: the database as it should be."""
    return [
        statement
        for source in read_manifest(tree)
        for statement in split_statements(render(source.source.decode(), variables, source.path))
    ]


def parse_comment(statement: str) -> Comment | None:
    """Read a COMMENT ON statement; None for any other."""
    match = COMMENT.fullmatch(statement)
    if match is None:
        return None
    kind, parent, name = match["kind"], match["parent"], match["name"]
    if kind == "COLUMN":
        parent, name = re.fullmatch(rf"(.*)\.({NAME})", name, re.DOTALL).groups()  # type: ignore[union-attr]
    if kind in ("COLUMN", "CONSTRAINT", "TRIGGER"):
        name = _unquoted(name)
    # Literals that only a line break stands between are one literal.
    parts = re.findall(r"'((?:''|[^'])*)'", match["text"])
    return Comment(kind, parent, name, "".join(parts).replace("''", "'"))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _catalog(connection: Connection, variables: Variables, tree: Tree) -> list[Check]:
    statements = shipped_sql(variables, tree)
    comments = [comment for s in statements if (comment := parse_comment(s))]
    rows = connection.execute(
        render(package_sql("verify.sql"), variables).encode(),
        {
            "kinds": [comment.kind for comment in comments],
            "parents": [comment.parent for comment in comments],
            "names": [comment.name for comment in comments],
            "comments": [comment.text for comment in comments],
            "roles": [getattr(variables, name) for name in ROLES if variables.manage_roles],
            "always": [_unquoted(name) for s in statements for name in ALWAYS.findall(s)],
        },
    ).fetchall()
    found: dict[str, list[str]] = {name: [] for name in CATALOG_CHECKS}
    for name, detail in rows:
        found[name].append(detail)
    return [
        Check(name, not details, tuple(details), f"{len(comments)}" if name == "objects" else "")
        for name, details in found.items()
    ]


def _jobs(connection: Connection, state: State, variables: Variables) -> Check:
    """Whether pg_cron, if it is here, has each job: once, and as it should be."""
    facts = connection.execute(
        "SELECT to_regclass('cron.job') IS NOT NULL,"
        " has_schema_privilege(to_regnamespace('cron'), 'USAGE')"
    ).fetchone()
    has_pg_cron, may_look = facts or (False, False)
    if not has_pg_cron or not state.has_jobs:
        return Check(
            "jobs", True, note="no pg_cron in this database: an external scheduler runs them"
        )
    if not may_look:
        return Check("jobs", False, (f"role {state.role} may not look into schema cron",))
    rows = connection.execute(
        sql.SQL(
            "SELECT wanted.job_name, count(job.jobid), coalesce(bool_and(job.active"
            " AND (job.schedule, job.command) = (wanted.schedule, wanted.command)), false)"
            " FROM {}() AS wanted LEFT JOIN cron.job AS job"
            " ON job.jobname = wanted.job_name AND job.database = current_database()"
            " GROUP BY wanted.job_name ORDER BY wanted.job_name"
        ).format(sql.Identifier(variables.schema, "scheduled_jobs"))
    )
    details = tuple(
        f"{name} is scheduled {count} times"
        if count != 1
        else f"{name} was changed or switched off"
        for name, count, as_shipped in rows
        if count != 1 or not as_shipped
    )
    return Check("jobs", not details, details, note="pg_cron")


def _invariants(connection: Connection, variables: Variables) -> Check:
    view = sql.Identifier(variables.monitoring_schema, "invariant_violations")
    exists = connection.execute("SELECT to_regclass(%s)", (view.as_string(None),)).fetchone()
    if exists == (None,):
        return Check("invariants", False, ("view invariant_violations is missing",))
    rows = connection.execute(
        sql.SQL("SELECT invariant, violations FROM {} WHERE violations <> 0").format(view)
    )
    details = tuple(f"{invariant}: {violations} violations" for invariant, violations in rows)
    return Check("invariants", not details, details)
