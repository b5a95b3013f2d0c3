"""verify: bodies of functions are compared with the files of ``sql/``, and shown line by line."""

import json
import re
from pathlib import Path

import pytest

from tests.support.databases import Connect, Database
from tests.support.program import Program
from ticketdb.catalog import DIFF_LINES, Difference, source_bodies
from ticketdb.config import Variables
from ticketdb.database import connect as connect_to
from ticketdb.develop.generate import AWKWARD_NAMES
from ticketdb.migrate.commands import apply
from ticketdb.paths import Tree, shipped_tree
from ticketdb.verify import verify

# The databases have the names that ticketdb gives by default.
pytestmark = pytest.mark.default_names

CHANGE = """
    UPDATE pg_proc AS p
    SET prosrc = {}
    FROM pg_namespace AS s
    WHERE s.oid = p.pronamespace AND s.nspname !~ '^(pg_|information_schema)' AND p.prosrc <> ''
    RETURNING p.oid::regprocedure::text
"""


def changed(database: Database) -> dict[str, str]:
    (check,) = (check for check in verify(database.dsn, Variables()) if not check.ok)
    assert check.name == "functions"
    return {difference.identity: str(difference) for difference in check.differences}


@pytest.mark.parametrize(
    "source", ["p.prosrc || ' '", "p.prosrc || E'\\n'", "rtrim(p.prosrc, E'\\n')"]
)
def test_whatever_body_is_changed_in_however_little_is_found(
    source: str, database: Database, connect: Connect
) -> None:
    session = connect()
    session.execute("SET allow_system_table_mods = on; SET search_path = pg_catalog")
    touched = [name for (name,) in session.execute(CHANGE.format(source).encode())]
    assert len(touched) > 80
    assert changed(database).keys() == set(touched)


def test_a_body_in_the_standard_form_is_compared_as_the_server_prints_it(
    database: Database, connect: Connect
) -> None:
    session = connect()
    session.execute("SET search_path = pg_catalog")
    (name,) = session.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE proname = 'duration_bucket_growth'"
    ).fetchall()[0]
    session.execute(
        f"CREATE OR REPLACE FUNCTION {name} RETURNS double precision LANGUAGE sql IMMUTABLE"
        " RETURN 2.0".encode()
    )
    (detail,) = changed(database).values()
    assert "duration_bucket_growth() differs in line 1: 'RETURN" in detail


def test_a_changed_body_is_shown_as_a_diff_below_its_first_line(
    database: Database, connect: Connect, ticketdb: Program
) -> None:
    connect().execute(
        "UPDATE pg_proc SET prosrc = replace(prosrc, 'RETURN true', 'RETURN NOT false')"
        " WHERE proname = 'is_time_zone'"
    )
    printed = ticketdb("verify", "--dsn", database.dsn).stdout
    first, _, diff = printed.partition("FAILED functions\n    ")[2].partition("\n")
    assert re.fullmatch(
        r"body \w+\.is_time_zone\(text\) differs in line 7:"
        r" 'RETURN NOT false;' instead of 'RETURN true;'",
        first,
    )
    assert diff.startswith("""\
    --- what ticketdb ships
    +++ this database
    @@ -6,3 +6,3 @@
         PERFORM timezone(p_name, 'epoch'::timestamptz);
    -    RETURN true;
    +    RETURN NOT false;
     EXCEPTION
ok triggers
""")
    report = json.loads(ticketdb("verify", "--json", "--dsn", database.dsn).stdout)
    (failed,) = (check for check in report["checks"] if not check["ok"])
    assert "\n-    RETURN true;\n+    RETURN NOT false;\n" in failed["details"][0]


def test_a_body_that_is_quite_another_is_shown_in_its_first_lines_only() -> None:
    wanted, found = ("\n".join(f"{word} {n}" for n in range(50)) for word in ("ours", "theirs"))
    first, *lines = Difference("body", "f()", wanted, found).in_full().split("\n")
    assert first.startswith("body f() differs in line 1: ")
    assert len(lines) == DIFF_LINES + 1
    assert lines[-1] == "… 87 lines more"


def test_bodies_are_found_under_whatever_names(own_database: Database, tree_copy: Tree) -> None:
    apply(own_database.dsn, AWKWARD_NAMES)
    with connect_to(own_database.dsn) as session:
        plain = source_bodies(session, Variables(), shipped_tree())
        other = source_bodies(session, AWKWARD_NAMES, shipped_tree())
    assert len(plain) == len(other)
    assert len(set(other.values()) - set(plain.values())) > 50
    assert all(check.ok for check in verify(own_database.dsn, AWKWARD_NAMES))
    # The control: it is these files that are read.
    (file,) = tree_copy.sql.rglob("is_time_zone.sql")
    file.write_text(file.read_text().replace("RETURN true;", "RETURN NOT false;"))
    checks = verify(own_database.dsn, AWKWARD_NAMES, tree_copy)
    (detail,) = (line for check in checks for line in check.details)
    assert "+    RETURN true;" in detail


SOURCES = {
    "a body": ("() RETURNS integer LANGUAGE sql AS $body$ SELECT 1 $body$;", " SELECT 1 "),
    "another tag, and a quote in the body": ("() AS $x$ '; $y$ $body$ $x$;", " '; $y$ $body$ "),
    "semicolons in defaults and comments": (
        "(p text DEFAULT ';') -- so; -- what's $body$ here\nAS $body$b$body$;",
        "b",
    ),
    "the standard's form, before a block": ("() RETURN 1;\nDO $body$ BEGIN END $body$;", None),
}


@pytest.mark.parametrize(("text", "body"), SOURCES.values(), ids=SOURCES)
def test_a_body_is_what_stands_between_its_dollar_quotes(
    text: str, body: str | None, tmp_path: Path, database: Database
) -> None:
    (tmp_path / "f.sql").write_text(f"CREATE OR REPLACE FUNCTION {{{{ schema }}}}.f{text}\n")
    with connect_to(database.dsn) as session:
        found = source_bodies(session, Variables(), Tree(tmp_path, tmp_path))
    assert found == ({} if body is None else {"public.f": body})
