"""A database for experiments: what SQL changes in the catalog, and what depends on what.

Its names are placeholders, so that two sets of objects, roles included, have room side by side, a
name that does not come from a variable is noticed, and results can be written as templates.
"""

import re
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from ticketdb.catalog import Catalog, Difference, read_catalog
from ticketdb.config import NAMES, ROLES, Variables, parse_variables
from ticketdb.database import Connection, connect
from ticketdb.private_server import Cluster
from ticketdb.templates import render

# These names need quotes in SQL, so that missing quotes are noticed.
PLACEHOLDER = re.compile(r'"?Zz[0-9a-f]{8}_(\w+?)_zz"?')

SHOWN = 160  # characters of a value
HERE = Path(__file__).parent

# The file that an object is from: the recorded query is its text, or a statement of it.
OWNED = """
    CREATE TEMPORARY TABLE owned AS
    SELECT DISTINCT ON (m.class_id, m.object_id) m.class_id, m.object_id, f.path
    FROM recorder.made AS m
    INNER JOIN unnest(%s::text[], %s::text[]) AS f (path, text)
        ON strpos(f.text, m.query) > 0 OR strpos(m.query, f.text) > 0
    ORDER BY m.class_id, m.object_id, m.number DESC
"""

OWNED_NAMES = """
    SELECT format('%I.%I', n.nspname, COALESCE(c.relname, p.proname)) AS name, o.path
    FROM pg_temp.owned AS o
    LEFT JOIN pg_class AS c ON o.class_id = 'pg_class'::regclass AND c.oid = o.object_id
    LEFT JOIN pg_proc AS p ON o.class_id = 'pg_proc'::regclass AND p.oid = o.object_id
    INNER JOIN pg_namespace AS n ON n.oid = COALESCE(c.relnamespace, p.pronamespace)
"""

TABLES = """
    SELECT format('%%I.%%I', n.nspname, c.relname)
    FROM pg_class AS c
    INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY(%s) AND c.relkind = 'r'
"""


@dataclass(frozen=True)
class Scratch:
    """The objects with these names in a database of a private server."""

    dsn: str
    variables: Variables

    def catalog(self) -> Catalog:
        """Its catalog, written as templates."""
        with connect(self.dsn) as connection:
            found = look(connection, self.variables)
        assert found is not None
        return found


@dataclass(frozen=True)
class Dependent:
    """An object that depends on one of the file `needed`. `what`: PostgreSQL's description of it.

    `holds_data`: it cannot be dropped and created again. `by_row_type`: it depends on the row type
    only, and does not prevent an ALTER. `trigger_columns`: the columns that a trigger names, whose
    types cannot be altered.
    """

    needed: str
    path: str
    what: str
    holds_data: bool
    by_row_type: bool
    trigger_columns: list[str]


@dataclass(frozen=True)
class Observed:
    """The dependencies in a database.

    `makers`: the files whose objects are in it, which those of roles and jobs are not. `files`: the
    files of relations and routines, by their names.
    """

    dependents: Mapping[str, list[Dependent]]
    makers: Collection[str]
    files: Mapping[str, str]


NOTHING_OBSERVED = Observed({}, (), {})


@contextmanager
def scratch(cluster: Cluster) -> Iterator[tuple[Scratch, Scratch]]:
    """Two sets of names in one empty database, for the length of a `with` block."""
    database = f"scratch_{uuid.uuid4().hex}"
    cluster.create_database(database)
    dsn, names = cluster.dsn(database), (placeholders(), placeholders())
    try:
        yield Scratch(dsn, names[0]), Scratch(dsn, names[1])
    finally:
        with connect(cluster.dsn(), autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(database)))
            for role in (getattr(variables, role) for variables in names for role in ROLES):
                drop = sql.SQL("DROP ROLE IF EXISTS {}")
                connection.execute(drop.format(sql.Identifier(role)))


def placeholders() -> Variables:
    tag = uuid.uuid4().hex[:8]
    names = {name: f"Zz{tag}_{name}_zz" for name in NAMES if name != "manage_roles"}
    return parse_variables({"variables": names}, "placeholders")


def look(
    connection: Connection, variables: Variables, texts: Iterable[str] = (), *, rows: bool = False
) -> Catalog | None:
    """The catalog after running these templates, which are rolled back. None if one of them fails.

    With `rows`, it includes the rows of tables.
    """
    try:
        with connection.transaction(force_rollback=True):
            # As in a revision, a name without its schema is an error.
            connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            for text in texts:
                connection.execute(render(text, variables).encode())
            found = read_catalog(connection, variables)
            if rows:
                found.update(read_rows(connection, variables))
    except psycopg.Error:
        return None
    return {(k, as_template(i)): as_template(d) for (k, i), d in found.items()}


def read_rows(connection: Connection, variables: Variables) -> Catalog:
    schemas = [variables.schema, variables.monitoring_schema, variables.internal_schema]
    found = {}
    for (table,) in connection.execute(TABLES, [schemas]).fetchall():
        content = f"SELECT string_agg(t::text, E'\\n' ORDER BY t::text) FROM {table} AS t"
        (rows,) = connection.execute(content.encode()).fetchone() or (None,)
        if rows is not None:
            found["rows", table] = rows
    return found


def runs(connection: Connection, variables: Variables, texts: Iterable[str]) -> bool:
    """Run templates, all or none of them. Returns whether they were run."""
    try:
        with connection.transaction():
            for text in texts:
                connection.execute(render(text, variables).encode())
    except psycopg.Error:
        return False
    return True


def record(database: Scratch) -> None:
    """Have an empty database record what each query creates, for `observe`."""
    with connect(database.dsn) as connection:
        connection.execute((HERE / "recorder.sql").read_bytes())


def observe(database: Scratch, templates: Mapping[str, Iterable[str]]) -> Observed:
    """Read the dependencies of a database that was made from these templates, by file."""
    paths, texts = [], []
    for path, parts in templates.items():
        for part in parts:
            if text := render(part, database.variables).strip():
                paths.append(path)
                texts.append(text)
    dependents = defaultdict(list)
    with connect(database.dsn) as connection:
        connection.execute(OWNED, [paths, texts])
        cursor = connection.cursor(row_factory=class_row(Dependent))
        for dependent in cursor.execute((HERE / "own_dependents.sql").read_bytes()):
            templated = replace(
                dependent,
                what=as_template(dependent.what),
                trigger_columns=[as_template(name) for name in dependent.trigger_columns],
            )
            dependents[dependent.needed].append(templated)
        makers = {path for (path,) in connection.execute("SELECT path FROM pg_temp.owned")}
        named = connection.execute(OWNED_NAMES).fetchall()
    return Observed(dependents, makers, {as_template(name): path for name, path in named})


def as_template(text: str) -> str:
    return PLACEHOLDER.sub(r"{{ \1 }}", text)


def described(difference: Difference, wanted_by: str, found_by: str) -> str:
    """A difference in one line, with both values and where they come from."""
    what = f"{difference.kind} {difference.identity}"
    wanted, found = difference.wanted, difference.found
    if wanted is None or found is None:
        return f"{what}: {wanted_by} has {short(wanted)}, {found_by} {short(found)}"
    if difference.kind in ("body", "rows"):
        lines = zip_longest(wanted.splitlines(), found.splitlines(), fillvalue="")
        differing = ((number, *pair) for number, pair in enumerate(lines, 1) if pair[0] != pair[1])
        number, wanted, found = next(differing)
        what += f", line {number}"
    pairs = enumerate(zip(wanted, found, strict=False))
    same = next((n for n, (one, other) in pairs if one != other), 0)
    skipped = max(same - 40, 0) if max(len(wanted), len(found)) > SHOWN else 0
    return f"{what}: {wanted_by} has {short(wanted, skipped)}, {found_by} {short(found, skipped)}"


def short(text: str | None, skipped: int = 0) -> str:
    if text is None:
        return "nothing"
    line = ("…" if skipped else "") + " ".join(text[skipped:].split())
    return repr(line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…")
