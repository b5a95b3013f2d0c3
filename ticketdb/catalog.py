"""The catalog fingerprint: what a database is made of, and how two of them differ.

The package ships the fingerprint of the database that it builds, for each major version of
PostgreSQL, in ``catalog.jsonl``: lines of [majors, kind, identity, definition]. It was taken from
databases in which every name is a placeholder, so that it can be told under any names.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Literal

from psycopg import sql

from ticketdb.config import NAMES, Variables, parse_variables
from ticketdb.database import Connection, pin, query
from ticketdb.resources import PACKAGE

SHIPPED = PACKAGE / "catalog.jsonl"

# Quoted, an identifier of a template; as a literal; and bare, as PostgreSQL prints it.
PLACEHOLDER = re.compile(r"([\"']?)zz_(\w+?)_zz\1")
PLACEHOLDERS = parse_variables(
    {"variables": {name: f"zz_{name}_zz" for name in NAMES if name != "manage_roles"}}, __name__
)
# Of a routine the name alone; within quotes there may be parentheses, too.
UP_TO_ARGUMENTS = re.compile(r'^((?:"(?:[^"]|"")*"|[^"(])*)\(.*', re.DOTALL)

Key = tuple[str, str]  # kind, identity
Catalog = dict[Key, str]  # definitions
AS_IT_WAS = "<as it was>"  # a role that was there before ticketdb: nobody's business here
AND = " AND ALSO "  # between definitions, where the partitions of months differ


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it should be: None where there is nothing."""

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
            return f"{what} is not ours: {_excerpt(self.found)}"
        wanted, found = self.wanted, self.found
        if self.kind == "body":
            lines = zip_longest(wanted.splitlines(), found.splitlines(), fillvalue="")
            differing = ((n, *pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
            line, wanted, found = next(differing, (1, wanted, found))
            what += f" differs in line {line}"
        pairs = enumerate(zip_longest(wanted, found))
        same = next(position for position, (one, other) in pairs if one != other)
        return f"{what}: {_excerpt(found, same)} instead of {_excerpt(wanted, same)}"


def _excerpt(text: str, same: int = 0) -> str:
    """A line for people. Of the first `same` characters, which tell nothing, only the last few."""
    start = max(0, same - 40)
    line = ("…" if start else "") + " ".join(text[start:].split())
    return f"'{line}'" if len(line) <= 160 else f"'{line[:159]}…'"


@dataclass(frozen=True)
class Strangers:
    """What those did who are neither ticketdb's owner nor superusers, or may do, in its schemas.

    `creators` may create objects there. `traps` are objects that could catch calls meant for
    PostgreSQL's own, of whoever has these schemas on the search path; ticketdb has not.
    """

    creators: tuple[str, ...]
    traps: tuple[str, ...]


def strangers(connection: Connection, variables: Variables) -> Strangers:
    """Who else may create in our schemas, and what is there that could catch a call."""
    rows = query(connection, "strangers.sql", variables)
    return Strangers(
        creators=tuple(row.detail for row in rows if not row.is_trap),
        traps=tuple(row.detail for row in rows if row.is_trap),
    )


def read_catalog(
    connection: Connection, variables: Variables, known: Collection[str] | None = None
) -> Catalog:
    """What is in a database. With `known` roots, strangers in a shared schema are left out.

    The settings of the transaction are pinned for it: they are in what PostgreSQL prints.
    """
    pin(connection)
    rows = query(connection, "catalog.sql", variables)
    return _collect(
        (row.kind, row.identity, row.definition)
        for row in rows
        if known is None or row.root is None or row.root in known
    )


def shipped_catalog(connection: Connection, variables: Variables, major: int) -> Catalog:
    """What this package builds on a server of this major version, under these names."""
    values = asdict(variables)
    (bare,) = query(connection, "quoted.sql", variables)

    def named(match: re.Match[str]) -> str:
        quote, name = match.groups()
        if quote == '"':
            return sql.Identifier(values[name]).as_string()
        return sql.Literal(values[name]).as_string() if quote else str(getattr(bare, name))

    rows = []
    for line in SHIPPED.read_text(encoding="utf-8").splitlines():
        majors, kind, *texts = json.loads(line)
        if major in majors and (variables.manage_roles or not kind.startswith("role")):
            rows.append((kind, *(PLACEHOLDER.sub(named, text) for text in texts)))
    return _collect(rows)


def roots(catalog: Catalog) -> set[str]:
    """What a catalog's rows belong to: the opposite of strangers."""
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
