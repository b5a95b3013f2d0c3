"""What a server writes into a catalog by itself is no difference; what a DBA declares is one."""

from collections.abc import Callable

import psycopg
import pytest

from tests.support.by_hand import add_revision
from tests.support.databases import Connect, Database, fingerprint
from tests.support.restoring import copy
from ticketdb.catalog import differences
from ticketdb.config import Variables
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.paths import Tree, shipped_tree
from ticketdb.verify import verify

NAMES = Variables()
HEAD = read_chain(shipped_tree())[-1].revision


def perturb(session: psycopg.Connection, statements: str) -> None:
    """Run these as a server would. A server that keeps no notes cannot even read them."""
    session.execute("CREATE TEMPORARY TABLE fresh (a integer)")
    notes = session.execute(
        "SELECT COALESCE(attoptions, '{}')::text FROM pg_attribute"
        " WHERE attrelid = 'pg_temp.fresh'::regclass AND attname = 'a'"
    ).fetchall()
    session.execute("DROP TABLE pg_temp.fresh")
    written = "'{}'::text[]" if notes == [("{}",)] else "'{pg_attver=7}'::text[]"
    for statement in statements.split(";"):
        session.execute(statement.replace("{NOTES}", written).encode())


def found(database: Database) -> list[str]:
    return [detail for check in verify(database.dsn, NAMES) for detail in check.details]


OURS = "relnamespace = ANY('{public,monitoring,ticketdb}'::regnamespace[])"

# What servers do: who or what does it, and how it comes about here.
BY_THEMSELVES = {
    "a minor release that keeps notes among a column's options": (
        "UPDATE pg_attribute SET attoptions = {NOTES} WHERE attnum > 0 AND attrelid IN"
        f" (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p', 'v') AND {OURS})"
    ),
    "such notes beside an option that was declared and taken back": (
        "ALTER TABLE shows ALTER COLUMN venue SET (n_distinct = -0.5);"
        " UPDATE pg_attribute SET attoptions = attoptions || {NOTES}"
        " WHERE attname = 'venue' AND attrelid = 'shows'::regclass;"
        " ALTER TABLE shows ALTER COLUMN venue RESET (n_distinct)"
    ),
    "VACUUM and ANALYZE": "VACUUM; ANALYZE",
    "a table that is written anew": "VACUUM FULL shows; REINDEX TABLE shows",
    "statistics of relations": (
        f"UPDATE pg_class SET reltuples = 5e6, relpages = 77, relallvisible = 7 WHERE {OURS}"
    ),
    "a locale or an ICU of another version": "UPDATE pg_collation SET collversion = '0.0'",
    "privileges that are written out": (
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO CURRENT_USER;"
        " GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO CURRENT_USER;"
        " GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO CURRENT_USER;"
        " GRANT USAGE ON SCHEMA monitoring TO CURRENT_USER"
    ),
    "no privileges written out": (
        "UPDATE pg_class SET relacl = NULL"
        f" WHERE relacl = acldefault('r', relowner) AND relkind <> 'S' AND {OURS}"
    ),
    "settings of a routine that were stored under quote_all_identifiers": (
        """UPDATE pg_proc SET proconfig = ARRAY['search_path="pg_catalog", "pg_temp"']"""
        " WHERE proconfig = ARRAY['search_path=pg_catalog, pg_temp']"
    ),
    "options in another order": (
        "UPDATE pg_class SET reloptions = ARRAY(SELECT o FROM unnest(reloptions)"
        f" WITH ORDINALITY AS u (o, n) ORDER BY n DESC) WHERE reloptions IS NOT NULL AND {OURS}"
    ),
    "settings of a routine in another order": (
        "UPDATE pg_proc SET proconfig = ARRAY(SELECT o FROM unnest(proconfig)"
        " WITH ORDINALITY AS u (o, n) ORDER BY n DESC) WHERE cardinality(proconfig) > 1"
    ),
    "columns that are gone, and their grants": (
        "ALTER TABLE shows ADD COLUMN gone text;"
        " GRANT SELECT (gone), UPDATE (gone) ON shows TO ticketdb_monitor;"
        " ALTER TABLE shows DROP COLUMN gone"
    ),
    "a column number that is not its position": (
        "ALTER TABLE tickets ADD COLUMN gone text; ALTER TABLE tickets DROP COLUMN gone"
    ),
}


@pytest.mark.parametrize("statements", BY_THEMSELVES.values(), ids=BY_THEMSELVES.keys())
def test_what_servers_write_by_themselves_is_no_difference(
    statements: str, database: Database, connect: Connect
) -> None:
    session = connect()
    session.execute("SET allow_system_table_mods = on")
    session.execute("SET search_path = public")
    perturb(session, statements)
    assert found(database) == []


def test_the_perturbations_change_the_bytes_of_the_catalog(connect: Connect) -> None:
    """The control: they do change something."""
    session = connect()
    session.execute("SET allow_system_table_mods = on")
    session.execute("SET search_path = public")
    look = (
        "SELECT md5(string_agg(c::text, '' ORDER BY c.oid)) FROM pg_class AS c UNION ALL"
        " SELECT md5(string_agg(a::text, '' ORDER BY a.attrelid, a.attnum)) FROM pg_attribute AS a"
        " UNION ALL SELECT md5(string_agg(p::text, '' ORDER BY p.oid)) FROM pg_proc AS p"
        " UNION ALL SELECT md5(string_agg(l::text, '' ORDER BY l.oid)) FROM pg_collation AS l"
        " UNION ALL SELECT md5(string_agg(n::text, '' ORDER BY n.oid)) FROM pg_namespace AS n"
    )
    perturb(session, "SELECT 1")  # whose temporary schema stays
    silent = []
    for name, statements in BY_THEMSELVES.items():
        before = session.execute(look.encode()).fetchall()
        perturb(session, statements)
        if session.execute(look.encode()).fetchall() == before:
            silent.append(name)
    # Of these two there is none in ticketdb today.
    assert set(silent) <= {
        "settings of a routine in another order",
        "options in another order",
        "no privileges written out",
    }


# What a DBA declares, of the same columns of the catalog.
DECLARED = [
    ("ALTER TABLE shows ALTER venue SET (n_distinct = -0.5)", "public.shows.venue"),
    ("ALTER TABLE shows SET (toast.autovacuum_enabled = off)", "toast options"),
    ("ALTER TABLE shows SET (autovacuum_enabled = off)", "autovacuum_enabled=off"),
    ("ALTER TABLE shows ALTER venue SET COMPRESSION pglz", "public.shows.venue"),
    ("ALTER FUNCTION ticketdb.uuid_v7() SET search_path = public", "search_path=public"),
    (
        "ALTER FUNCTION ticketdb.uuid_v7() SET search_path = pg_temp, pg_catalog",
        "pg_temp, pg_catalog",
    ),
    ("ALTER FUNCTION ticketdb.uuid_v7() SET search_path = 'Public'", 'search_path="Public"'),
    ("GRANT SELECT (name) ON shows TO hound_of_nobody", "public.shows.name"),
    ("GRANT SELECT (ctid) ON shows TO hound_of_nobody", "public.shows.ctid"),
    ("REVOKE SELECT ON shows FROM CURRENT_USER", "public.shows to <owner>"),
    ("CLUSTER shows USING shows_pkey", "(clustered)"),
]


@pytest.mark.parametrize(("statement", "reported"), DECLARED, ids=[d[0] for d in DECLARED])
def test_what_a_dba_declares_is_one(
    statement: str, reported: str, database: Database, connect: Connect
) -> None:
    session = connect()
    role = f"hound_{database.name}"
    session.execute(f"CREATE ROLE {role}".encode())
    session.execute("SET search_path = public")
    session.execute(statement.replace("hound_of_nobody", role).encode())
    try:
        assert [line for line in found(database) if reported in line], found(database)
    finally:
        session.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def as_text(original: Database, target: Database) -> None:
    copy(original, target, False)


def as_archive(original: Database, target: Database) -> None:
    copy(original, target, True)


def quoted(original: Database, target: Database) -> None:
    """With all names quoted, loaded by sessions that quote all names."""
    with psycopg.connect(target.dsn, autocommit=True) as session:
        session.execute(f'ALTER DATABASE "{target.name}" SET quote_all_identifiers = on'.encode())
    copy(original, target, False, "--quote-all-identifiers")


@pytest.mark.parametrize("way", [as_text, as_archive, quoted])
def test_a_restored_dump_is_the_same(
    way: Callable[[Database, Database], None], database: Database, empty_database: Database
) -> None:
    way(database, empty_database)
    # Logs of another server are adopted by the next rollup: that is about rows, not the catalog.
    assert [line for line in found(empty_database) if "was restored from another" not in line] == []


@pytest.mark.usefixtures("template_database")
def test_another_default_compression_is_no_difference(
    empty_database: Database, connect: Connect
) -> None:
    name = empty_database.name
    connect(empty_database).execute(
        f'ALTER DATABASE "{name}" SET default_toast_compression = lz4'.encode()
    )
    apply(empty_database.dsn, NAMES)
    assert found(empty_database) == []


@pytest.mark.usefixtures("template_database")
def test_another_place_for_tables_and_another_time_zone_are_no_difference(
    empty_database: Database, connect: Connect
) -> None:
    name, session = empty_database.name, connect(empty_database)
    for setting in ("default_statistics_target = 1", "TimeZone = 'Asia/Kathmandu'"):
        session.execute(f'ALTER DATABASE "{name}" SET {setting}'.encode())
    apply(empty_database.dsn, NAMES)
    session.execute(f"ALTER DATABASE \"{name}\" SET TimeZone = 'America/St_Johns'".encode())
    assert found(empty_database) == []


def test_a_revision_that_adds_a_column_with_a_grant_closes_its_triangle(
    database: Database, tree_copy: Tree
) -> None:
    """The column that it takes away again keeps that grant in the catalog, for ever."""
    marker = f"-- alter: shows/shows.sql sha256={'0' * 64}\nALTER TABLE {{{{ schema }}}}.shows"
    grant = "GRANT SELECT (note) ON {{ schema }}.shows TO {{ monitor_role }}"
    add_revision(
        tree_copy, f"{marker} ADD COLUMN note text;\n{grant};\n", f"{marker} DROP COLUMN note;\n"
    )
    with psycopg.connect(database.dsn) as session:
        before = fingerprint(session, NAMES)
    apply(database.dsn, NAMES, tree=tree_copy)
    with psycopg.connect(database.dsn) as session:
        there = fingerprint(session, NAMES)
    granted = [identity for kind, identity in there if kind == "role grant" and "note" in identity]
    assert granted == ["public.shows.note to ticketdb_monitor"]
    revert(database.dsn, NAMES, HEAD, tree=tree_copy)
    with psycopg.connect(database.dsn) as session:
        assert differences(before, fingerprint(session, NAMES)) == []
    apply(database.dsn, NAMES, tree=tree_copy)
    with psycopg.connect(database.dsn) as session:
        assert differences(there, fingerprint(session, NAMES)) == []
