"""A database to try things in: what SQL makes in the catalog, and what hangs on what.

The names in it are placeholders. So a name that is not the template's is seen, two sets of objects
have room side by side, roles included, and what is found is told in the language of the templates.
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
from ticketdb.cluster import Cluster
from ticketdb.config import NAMES, ROLES, Variables, parse_variables
from ticketdb.database import Connection, connect
from ticketdb.render import render

# They need quotes in SQL, so that it matters whether there are any.
PLACEHOLDER = re.compile(r'"?Zz[0-9a-f]{8}_(\w+?)_zz"?')

SHOWN = 160  # characters of a value
HERE = Path(__file__).parent

# Which file an object is from: the query was its text, or a statement of it.
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
    """A database of a private server, or rather: what is in it under names of its own."""

    dsn: str
    variables: Variables

    def catalog(self) -> Catalog:
        """What it is made of, in the language of the templates."""
        with connect(self.dsn) as connection:
            found = look(connection, self.variables)
        assert found is not None
        return found


@dataclass(frozen=True)
class Dependant:
    """What hangs on the object of the file `needed`. `what` is PostgreSQL's description of it.

    What holds data cannot be dropped and made again. By its row type only: altering does not mind.
    `trigger_columns`: if it is a trigger, those that it names; their types cannot be altered.
    """

    needed: str
    path: str
    what: str
    holds_data: bool
    by_row_type: bool
    trigger_columns: list[str]


@dataclass(frozen=True)
class Observed:
    """What hangs on what in a database, whose files made anything in it, and what by which name.

    Roles and jobs are not in a database. `files`: of relations and routines, by their names.
    """

    dependants: Mapping[str, list[Dependant]]
    makers: Collection[str]
    files: Mapping[str, str]


NOTHING_OBSERVED = Observed({}, (), {})


@contextmanager
def scratch(cluster: Cluster) -> Iterator[tuple[Scratch, Scratch]]:
    """An empty database with room for two sets of objects, for the length of a `with` block."""
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
    """What the catalog would be if these templates were run now. None if they cannot be run.

    With `rows`, those of tables are in it, too.
    """
    try:
        with connection.transaction(force_rollback=True):
            # A name without its schema is an error, as it is in a revision.
            connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
            for text in texts:
                connection.execute(render(text, variables).encode())
            found = read_catalog(connection, variables)
            if rows:
                found.update(read_rows(connection, variables))
    except psycopg.Error:
        return None
    return {(k, told_as_template(i)): told_as_template(d) for (k, i), d in found.items()}


def read_rows(connection: Connection, variables: Variables) -> Catalog:
    schemas = [variables.schema, variables.monitoring_schema]
    found = {}
    for (table,) in connection.execute(TABLES, [schemas]).fetchall():
        content = f"SELECT string_agg(t::text, E'\\n' ORDER BY t::text) FROM {table} AS t"
        (rows,) = connection.execute(content.encode()).fetchone() or (None,)
        if rows is not None:
            found["rows", table] = rows
    return found


def runs(connection: Connection, variables: Variables, texts: Iterable[str]) -> bool:
    """Run templates, all or none of them. Returns whether they could be run."""
    try:
        with connection.transaction():
            for text in texts:
                connection.execute(render(text, variables).encode())
    except psycopg.Error:
        return False
    return True


def record(database: Scratch) -> None:
    """Have an empty database note what each query makes, for `observe`."""
    with connect(database.dsn) as connection:
        connection.execute((HERE / "recorder.sql").read_bytes())


def observe(database: Scratch, templates: Mapping[str, Iterable[str]]) -> Observed:
    """Find out what hangs on what in a database that was made by these, by file."""
    paths, texts = [], []
    for path, parts in templates.items():
        for part in parts:
            if text := render(part, database.variables).strip():
                paths.append(path)
                texts.append(text)
    dependants = defaultdict(list)
    with connect(database.dsn) as connection:
        connection.execute(OWNED, [paths, texts])
        cursor = connection.cursor(row_factory=class_row(Dependant))
        for dependant in cursor.execute((HERE / "dependants.sql").read_bytes()):
            told = replace(
                dependant,
                what=told_as_template(dependant.what),
                trigger_columns=[told_as_template(name) for name in dependant.trigger_columns],
            )
            dependants[dependant.needed].append(told)
        makers = {path for (path,) in connection.execute("SELECT path FROM pg_temp.owned")}
        named = connection.execute(OWNED_NAMES).fetchall()
    return Observed(dependants, makers, {told_as_template(name): path for name, path in named})


def told_as_template(text: str) -> str:
    return PLACEHOLDER.sub(r"{{ \1 }}", text)


def told(difference: Difference, wanted_by: str, found_by: str) -> str:
    """A difference in one line, with both values and who has them."""
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
