"""The catalog fingerprint: the definitions of all objects, and how two databases differ.

The package ships the fingerprint of the database that it builds, for each major version of
PostgreSQL, in ``catalog.jsonl``: lines of [majors, kind, identity, definition]. It was taken from
databases in which every name is a placeholder, so that it can be printed with any names. The bodies
of functions are not in it: they are read where people write them, in ``sql/``.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from difflib import unified_diff
from itertools import zip_longest
from typing import Literal

from psycopg import sql

from ticketdb.config import NAMES, SCHEMAS, Variables, parse_variables
from ticketdb.database import Connection, pin, query
from ticketdb.paths import PACKAGE, Tree
from ticketdb.templates import render

SHIPPED = PACKAGE / "catalog.jsonl"

# A placeholder as a quoted identifier, as a literal, and bare, as PostgreSQL may print it.
PLACEHOLDER = re.compile(r"([\"']?)zz_(\w+?)_zz\1")
PLACEHOLDERS = parse_variables(
    {"variables": {name: f"zz_{name}_zz" for name in NAMES if name != "manage_roles"}}, __name__
)
# The name of a routine without its arguments; a quoted name may contain parentheses.
UP_TO_ARGUMENTS = re.compile(r'^((?:"(?:[^"]|"")*"|[^"(])*)\(.*', re.DOTALL)
# From a name to the text between the dollar quotes. In between, semicolons are in comments,
# literals and names only: a body in the standard's form ends its statement before any such quote.
ROUTINE = re.compile(
    r"""^CREATE\ (?:OR\ REPLACE\ )?(?:FUNCTION|PROCEDURE)
    \ (?P<schema>"(?:[^"]|"")*")\.(?P<name>\w+)\(
    (?:--[^\n]*\n|'[^']*'|"[^"]*"|[^;'"$-]|-(?!-))*
    (?P<quote>\$\w*\$)(?P<body>.*?)(?P=quote)""",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
DIFF_LINES = 16  # of a body, that are shown

Key = tuple[str, str]  # kind, identity
Catalog = dict[Key, str]  # definitions
AS_IT_WAS = "<as it was>"  # a role that existed before ticketdb, which is not compared
AND = " AND ALSO "  # between definitions, where the partitions of months differ


@dataclass(frozen=True)
class Difference:
    """An object that is not as it should be. `wanted` or `found` is None where there is none."""

    kind: str
    identity: str
    wanted: str | None
    found: str | None

    @property
    def change(self) -> Literal["missing", "extra", "changed"]:
        return "missing" if self.found is None else "extra" if self.wanted is None else "changed"

    def __str__(self) -> str:
        what = f"{self.kind} {self.identity}"
        if self.found is None:
            return f"{what} is missing; shipped: {_excerpt(self.wanted or '')}"
        if self.wanted is None:
            return f"{what} is not shipped: {_excerpt(self.found)}"
        wanted, found = self.wanted, self.found
        if self.kind == "body":
            lines = enumerate(zip_longest(wanted.split("\n"), found.split("\n")), 1)
            line, (one, other) = next((n, pair) for n, pair in lines if pair[0] != pair[1])
            what += f" differs in line {line}"
            wanted, found = one or "", other or ""  # what has ended, and an empty line
        pairs = enumerate(zip_longest(wanted, found))
        same = next((position for position, (one, other) in pairs if one != other), 0)
        return f"{what}: {_excerpt(found, same)} instead of {_excerpt(wanted, same)}"

    def in_full(self) -> str:
        """The line of `str`; below it, of two bodies, the lines in which they differ."""
        if self.kind != "body" or self.wanted is None or self.found is None:
            return str(self)
        pair = self.wanted.split("\n"), self.found.split("\n")
        names = ("what ticketdb ships", "this database")
        lines = list(unified_diff(*pair, *names, n=1, lineterm=""))
        more = len(lines) - DIFF_LINES
        rest = [f"… {more} lines more"] if more > 0 else []
        return "\n".join([str(self), *lines[:DIFF_LINES], *rest])


def _excerpt(text: str, same: int = 0) -> str:
    """At most 160 characters in one line, beginning shortly before the first that differs."""
    start = max(0, same - 40)
    line = ("…" if start else "") + " ".join(text[start:].split())
    return f"'{line}'" if len(line) <= 160 else f"'{line[:159]}…'"


@dataclass(frozen=True)
class Strangers:
    """What roles other than ticketdb's owner and superusers can do, or have done, in its schemas.

    `creators`: roles that may create objects there. `traps`: objects that could catch a call meant
    for one of PostgreSQL's own, from sessions with these schemas on their search path. ticketdb
    itself has them on none.
    """

    creators: tuple[str, ...]
    traps: tuple[str, ...]


def strangers(connection: Connection, variables: Variables) -> Strangers:
    """Find out which other roles may create objects in the schemas, and which traps exist."""
    rows = query(connection, "strangers.sql", variables)
    return Strangers(
        creators=tuple(row.detail for row in rows if not row.is_trap),
        traps=tuple(row.detail for row in rows if row.is_trap),
    )


def read_catalog(
    connection: Connection, variables: Variables, known: Collection[str] | None = None
) -> Catalog:
    """The fingerprint of a database. With `known` roots, it leaves out strangers.

    Pins the settings of the transaction, since what PostgreSQL prints depends on them.
    """
    pin(connection)
    rows = query(connection, "catalog.sql", variables)
    return _collect(
        (row.kind, row.identity, row.definition)
        for row in rows
        if known is None or row.root is None or row.root in known
    )


def shipped_catalog(
    connection: Connection, variables: Variables, major: int, tree: Tree
) -> Catalog:
    """The fingerprint that this package ships for a major version, with these names filled in."""
    values = asdict(variables)
    (bare,) = query(connection, "quoted.sql", variables)

    def named(match: re.Match[str]) -> str:
        quote, name = match.groups()
        if quote == '"':
            return sql.Identifier(values[name]).as_string()
        if quote:  # as PostgreSQL prints a literal, whatever is in it: never E'…'
            return "'" + str(values[name]).replace("'", "''") + "'"
        return str(getattr(bare, name))

    rows = []
    for line in SHIPPED.read_text(encoding="utf-8").splitlines():
        majors, kind, *texts = json.loads(line)
        if major in majors and (variables.manage_roles or not kind.startswith("role")):
            rows.append((kind, *(PLACEHOLDER.sub(named, text) for text in texts)))
    bodies = source_bodies(connection, variables, tree)
    for kind, identity, _ in tuple(rows):
        if kind == "routine" and (name := UP_TO_ARGUMENTS.sub(r"\1", identity)) in bodies:
            rows.append(("body", identity, bodies[name]))
    return _collect(rows)


def source_bodies(connection: Connection, variables: Variables, tree: Tree) -> dict[str, str]:
    """The bodies in ``sql/`` that PostgreSQL stores as they are written, by the routine's name.

    Those in the standard's form, RETURN or BEGIN ATOMIC, are stored parsed, as views are.
    """
    (bare,) = query(connection, "quoted.sql", variables)
    schemas = {
        sql.Identifier(getattr(variables, schema)).as_string(): getattr(bare, schema)
        for schema in SCHEMAS
    }
    texts = (file.read_bytes().decode() for file in sorted(tree.sql.rglob("*.sql")))
    return {
        f"{schemas[routine['schema']]}.{routine['name']}": routine["body"]
        for text in texts
        if "$" in text and re.search("^CREATE .*(FUNCTION|PROCEDURE)", text, re.MULTILINE)
        for routine in ROUTINE.finditer(render(text, variables))
    }


def roots(catalog: Catalog) -> set[str]:
    """The relations, routines, types and statistics of a catalog: with all that belongs to them."""
    tops = ("relation", "routine", "type", "statistics")
    return {UP_TO_ARGUMENTS.sub(r"\1", identity) for kind, identity in catalog if kind in tops}


def differences(wanted: Catalog, found: Catalog) -> list[Difference]:
    """How `found` differs from `wanted`, in the order of kinds and identities."""
    return [
        Difference(*key, wanted.get(key), found.get(key))
        for key in sorted(wanted.keys() | found.keys())
        if wanted.get(key) != found.get(key) and AS_IT_WAS not in (wanted.get(key), found.get(key))
    ]


def _collect(rows: Iterable[tuple[str, str, str]]) -> Catalog:
    found: defaultdict[Key, list[str]] = defaultdict(list)
    for kind, identity, definition in rows:
        found[kind, identity].append(definition)
    return {key: AND.join(definitions) for key, definitions in found.items()}
