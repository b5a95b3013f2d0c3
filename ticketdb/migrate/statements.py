"""The SQL of a revision, as `apply` sends it and `script` writes it."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from ticketdb import __version__
from ticketdb.config import Variables
from ticketdb.database import own_sql, settings_sql
from ticketdb.migrate.chain import (
    COMMENT,
    MADE,
    MARKER,
    Direction,
    Revision,
    parse_sections,
    read_sources,
    sha256_hex,
)
from ticketdb.paths import Tree
from ticketdb.templates import render

# Comments, quoted texts of every kind, words, and the semicolons outside of them.
TOKEN = re.compile(
    rf"{COMMENT}|[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|\"(?:\"\"|[^\"])*\""
    r"|\$(?P<tag>[^\W\d]\w*)?\$.*?\$(?(tag)(?P=tag))\$|BEGIN\s+ATOMIC\b|[^\W\d][\w$]*|;",
    re.DOTALL | re.IGNORECASE,
)
OUTSIDE = "-- outside a transaction"  # as a line of a revision's heading


def revision_parts(
    revision: Revision,
    variables: Variables,
    direction: Direction,
    chain: Sequence[Revision] = (),
) -> list[tuple[str, str]]:
    """The rendered SQL of a revision as (label, SQL), with the statement that writes the ledger.

    With the `chain`, also the SQL that saves users' views that depend on replaced objects, and the
    SQL that restores them.
    """
    text = render(getattr(revision, direction), variables, f"{revision.name}.{direction}.sql")
    sections = parse_sections(text)
    parts = [(section.path or section.kind, section.text) for section in sections]
    entry = own_sql(
        "migrate/sql/ledger.sql",
        variables,
        is_up=direction == "up",
        revision=revision.revision,
        source_sha256=revision.source_sha256,
        rendered_sha256=sha256_hex(text),
        package_version=__version__,
        variables_json=json.dumps(asdict(variables), ensure_ascii=False),
    )
    parts = [*parts, ("ledger", entry)] if direction == "up" else [("ledger", entry), *parts]
    made = {section.path for section in sections if section.kind == "object"}
    replacing = "".join(
        section.text
        for section in sections
        if section.kind == "alter" or (section.kind == "drop" and section.path in made)
    )
    if chain and replacing:
        markers = re.compile(r"^-- (?:object|alter): [^/\n]+/(\w+)\.sql", re.MULTILINE)
        known = markers.findall("".join(r.up for r in chain))
        texts = {"replacing": replacing, "own": json.dumps(known)}
        save, restore = (
            own_sql("migrate/sql/dependents.sql", variables, saving=saving, **texts)
            for saving in (True, False)
        )
        parts = [("dependents.sql", save), *parts, ("dependents.sql", restore)]
    return parts


def runs_outside(source: str) -> bool:
    """Whether the heading of a revision demands that it runs outside a transaction."""
    return OUTSIDE in MARKER.split(source, maxsplit=1)[0].splitlines()


def outside_queries(
    revision: Revision, variables: Variables, direction: Direction
) -> Iterator[tuple[str, str]]:
    """For each statement of a revision that runs outside a transaction: its label, and a query that
    returns the statements to send in its place.
    """
    for label, text in revision_parts(revision, variables, direction):
        for statement in split_statements(text) if label != "ledger" else ():
            yield label, own_sql("migrate/sql/outside.sql", variables, statement=statement)


def bootstrap(revisions: list[Revision], variables: Variables) -> str:
    """The SQL that prepares for these revisions. It fails if one of their tables exists."""
    text = "".join(revision.up for revision in revisions)
    tables = [render(m["name"], variables) for m in MADE.finditer(text) if m["kind"] == "TABLE"]
    return own_sql("migrate/sql/bootstrap.sql", variables, tables=json.dumps(tables))


def run_settings(lock_timeout: float, statement_timeout: float = 0.0) -> str:
    """The SQL of the settings of every revision. They are the session's, since some revisions run
    outside a transaction.
    """
    pinned = settings_sql(
        patient=True, lock_timeout=lock_timeout, statement_timeout=statement_timeout
    )
    return pinned + own_sql("migrate/sql/started.sql", Variables())


def split_statements(text: str) -> list[str]:
    """Split SQL into statements. Comments between statements are left out."""
    statements, start, depth = [], 0, 0
    for token in TOKEN.finditer(text):
        word = token[0].upper()
        if word.startswith(("--", "/*")) and not text[start : token.start()].strip():
            start = token.end()
        elif word.startswith("BEGIN ") or (depth and word == "CASE"):
            depth += 1  # the body of a function, where a semicolon ends nothing
        elif depth and word == "END":
            depth -= 1
        elif word == ";" and not depth:
            statements.append(text[start : token.end()].strip())
            start = token.end()
    return statements


def shipped_sql(variables: Variables, tree: Tree) -> str:
    """All of ``sql/``, rendered: the database as it should be."""
    sources = read_sources(tree)
    return "".join(render(source.text, variables, source.file) for source in sources)


def role_statements(variables: Variables, tree: Tree) -> list[str]:
    """The statements that `apply` leaves to the DBA because of manage_roles = false."""
    done = set(split_statements(shipped_sql(variables, tree)))
    wanted = split_statements(shipped_sql(replace(variables, manage_roles=True), tree))
    return [statement for statement in wanted if statement not in done]
