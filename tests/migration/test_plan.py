"""What plan measures of every statement: its locks, and what it rewrites, scans and drops."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Connect, Database, throw_away_database
from tests.migration.conftest import OTHER_NAMES, Program, fingerprint
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate import commands
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.plan import Plan, Statement, plan
from ticketdb.paths import Tree, shipped_tree
from ticketdb.private_server import BINDIR_VARIABLE, Cluster

CHAIN = read_chain(shipped_tree())
HEAD = CHAIN[-1].revision
# One worker measures all cases at once.
at_once = pytest.mark.xdist_group("plan")
# Roles belong to all databases of a server: a test that makes them would race with others.
roles_exist = pytest.mark.usefixtures("template_database")

PYTHON_FILE = """\
from ticketdb.migrate.run import run_down, run_up

revision, down_revision = "{number:04d}", "{before:04d}"
branch_labels = depends_on = None


def upgrade() -> None:
    run_up(revision)


def downgrade() -> None:
    run_down(revision)
"""

# Things of the database's user, which revisions may meet.
SURROUNDINGS = """
    CREATE SCHEMA till;
    CREATE TABLE till.sales (id integer PRIMARY KEY, cents integer, note text, at timestamptz);
    CREATE TABLE till.refunds (id integer PRIMARY KEY, sale integer);
    CREATE TABLE till.unchecked (cents integer);
    ALTER TABLE till.unchecked ADD CONSTRAINT positive CHECK (cents > 0) NOT VALID;
    CREATE TABLE till.proven (cents integer, CONSTRAINT known CHECK (cents IS NOT NULL));
    CREATE TABLE till.pay_days (on_day date NOT NULL, cents integer) PARTITION BY LIST (on_day);
    CREATE TABLE till.pay_days_1 PARTITION OF till.pay_days FOR VALUES IN ('2026-01-01');
    CREATE TABLE till.pay_days_2 PARTITION OF till.pay_days FOR VALUES IN ('2026-02-01');
    CREATE INDEX pay_days_cents_idx ON till.pay_days (cents);
    CREATE TABLE till."Odd, ""na""me" (id integer);
    CREATE TABLE till.spare (id integer);
    CREATE TABLE till.leaving (at integer) PARTITION BY LIST (at);
    CREATE TABLE till.leaving_1 PARTITION OF till.leaving FOR VALUES IN (1);
    CREATE TABLE till.indexed (id integer);
    CREATE INDEX indexed_id_idx ON till.indexed (id);
    CREATE VIEW till.places AS SELECT venue FROM public.shows;
    CREATE VIEW till.shop_window AS SELECT id, name FROM public.shows;
    CREATE MATERIALIZED VIEW till.totals AS SELECT count(*) AS shows FROM public.shows;
    CREATE TABLE till.big AS SELECT generate_series(1, 1000000) AS id;
    CREATE TABLE till.heap (id integer) PARTITION BY HASH (id);
    CREATE TABLE till.heap_0 PARTITION OF till.heap FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE till.heap_1 PARTITION OF till.heap FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO till.sales (id, cents, note) SELECT id, 1, 'x' FROM generate_series(1, 1200) AS id;
    ANALYZE till.big, till.sales;
    -- Each of them is small; only together they are not.
    UPDATE pg_class SET reltuples = 600000 WHERE relname IN ('heap_0', 'heap_1');
"""


@dataclass(frozen=True)
class Case:
    """A revision and what is expected of its last statement but the ledger's."""

    name: str
    sql: str
    expected: tuple[str, ...]
    outside: bool = False


def case(name: str, sql: str, *expected: str, outside: bool = False) -> Case:
    return Case(name, sql, expected, outside)


# Each line of what is expected ends with what is done to the relation besides locking it.
CASES = [
    case(
        "another type rewrites",
        "ALTER TABLE till.sales ALTER COLUMN cents TYPE bigint;",
        "ACCESS EXCLUSIVE on till.sales: rewrites",
    ),
    case(
        "a wider varchar does not",
        "ALTER TABLE till.sales ADD COLUMN v varchar(3);"
        " ALTER TABLE till.sales ALTER COLUMN v TYPE varchar(5);",
        "ACCESS EXCLUSIVE on till.sales, held",
    ),
    case(
        "a constant default does not rewrite",
        "ALTER TABLE till.sales ADD COLUMN a integer NOT NULL DEFAULT 3;",
        "ACCESS EXCLUSIVE on till.sales",
    ),
    case(
        "a volatile default rewrites",
        "ALTER TABLE till.sales ADD COLUMN b timestamptz DEFAULT clock_timestamp();",
        "ACCESS EXCLUSIVE on till.sales: rewrites",
    ),
    case(
        "a check scans",
        "ALTER TABLE till.sales ADD CONSTRAINT c CHECK (id > 0);",
        "ACCESS EXCLUSIVE on till.sales: scans",
    ),
    case(
        "a check that is not valid does not scan",
        "ALTER TABLE till.sales ADD CONSTRAINT d CHECK (id > 1) NOT VALID;",
        "ACCESS EXCLUSIVE on till.sales",
    ),
    case(
        "validating scans under a weaker lock",
        "ALTER TABLE till.unchecked VALIDATE CONSTRAINT positive;",
        "SHARE UPDATE EXCLUSIVE on till.unchecked: scans",
    ),
    case(
        "validating what is valid does not scan",
        "ALTER TABLE till.proven VALIDATE CONSTRAINT known;",
        "SHARE UPDATE EXCLUSIVE on till.proven",
    ),
    case(
        "not null scans",
        "ALTER TABLE till.sales ALTER COLUMN at SET NOT NULL;",
        "ACCESS EXCLUSIVE on till.sales: scans",
    ),
    case(
        "not null that is proven does not",
        "ALTER TABLE till.proven ALTER COLUMN cents SET NOT NULL;",
        "ACCESS EXCLUSIVE on till.proven",
    ),
    case(
        "an index scans while writers wait",
        "CREATE INDEX sales_note_idx ON till.sales (note);",
        "SHARE on till.sales: scans",
    ),
    case(
        "a foreign key locks both tables",
        "ALTER TABLE till.refunds ADD CONSTRAINT e FOREIGN KEY (sale) REFERENCES till.sales (id);",
        "SHARE ROW EXCLUSIVE on till.refunds: scans",
        "SHARE ROW EXCLUSIVE on till.sales",
    ),
    case(
        "a foreign key that is not valid does not scan",
        "ALTER TABLE till.refunds ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES till.sales (id)"
        " NOT VALID;",
        "SHARE ROW EXCLUSIVE on till.refunds",
        "SHARE ROW EXCLUSIVE on till.sales",
    ),
    case(
        "a trigger",
        "CREATE TRIGGER g BEFORE UPDATE ON till.sales"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();",
        "SHARE ROW EXCLUSIVE on till.sales",
    ),
    case(
        "a function locks no relation",
        "CREATE OR REPLACE FUNCTION {{ internal_schema }}.uuid_v7() RETURNS uuid LANGUAGE sql"
        " AS $$ SELECT gen_random_uuid() $$;",
    ),
    case(
        "a view reads its tables",
        "CREATE VIEW {{ monitoring_schema }}.h AS SELECT id FROM {{ schema }}.shows;",
        "ACCESS SHARE on public.shows",
    ),
    case(
        "an update writes, and reads all",
        "UPDATE till.refunds SET sale = 1;",
        "ROW EXCLUSIVE on till.refunds: scans",
    ),
    case(
        "emptying rewrites",
        "TRUNCATE till.refunds;",
        "ACCESS EXCLUSIVE on till.refunds: rewrites",
    ),
    case(
        "partitions are told with their table",
        "ALTER TABLE till.pay_days ADD CONSTRAINT i CHECK (cents > 0);",
        "ACCESS EXCLUSIVE on till.pay_days and 2 of its partitions: scans",
    ),
    case(
        "a partition alone is told alone",
        "ALTER TABLE till.pay_days_1 ADD CONSTRAINT j CHECK (cents > 1);",
        "ACCESS EXCLUSIVE on till.pay_days_1: scans",
    ),
    case(
        "an index that is locked harder than its table",
        "REINDEX INDEX till.indexed_id_idx;",
        "ACCESS EXCLUSIVE on till.indexed_id_idx: rewrites",
        "SHARE on till.indexed: scans",
    ),
    case(
        "a quoted name",
        'ALTER TABLE till."Odd, ""na""me" ADD COLUMN a integer;',
        'ACCESS EXCLUSIVE on till."Odd, ""na""me"',
    ),
    case(
        "dropping a view of the user's",
        "DROP VIEW till.shop_window;",
        "ACCESS EXCLUSIVE on till.shop_window: drops",
    ),
    case(
        "a column that a view of the user's is built on",
        "ALTER TABLE {{ schema }}.shows ALTER COLUMN venue TYPE varchar(400);",
        "ACCESS EXCLUSIVE on public.shows: rewrites",
    ),
    case(
        "what was dropped is not told again",
        "DROP TABLE till.spare; ALTER TABLE {{ schema }}.shows ADD COLUMN k integer;",
        "ACCESS EXCLUSIVE on public.shows",
    ),
    case(
        "what the revision makes nobody else can lock",
        "CREATE TABLE till.fresh (id integer); CREATE INDEX fresh_idx ON till.fresh (id);",
    ),
    case(
        "a relation is held until the revision ends",
        "ALTER TABLE till.sales ADD COLUMN l integer;"
        " ALTER TABLE till.refunds ADD COLUMN l integer;"
        " CREATE INDEX sales_l_idx ON till.sales (l);",
        "ACCESS EXCLUSIVE on till.sales, held: scans",
    ),
    case(
        "a definition that changes under a lock that is held",
        "ALTER TABLE till.sales ADD COLUMN m integer; COMMENT ON COLUMN till.sales.m IS 'x';",
        "ACCESS EXCLUSIVE on till.sales, held",
    ),
    case(
        "a relation that is held and left alone is not told",
        "ALTER TABLE till.sales ADD COLUMN n integer; SELECT count(*) FROM till.sales WHERE false;",
    ),
    case(
        "a block that runs statements",
        "DO $$ BEGIN EXECUTE 'ALTER TABLE till.sales ALTER COLUMN cents TYPE numeric'; END $$;",
        "ACCESS EXCLUSIVE on till.sales: rewrites",
    ),
    case(
        "statements that share a transaction",
        "CREATE TEMPORARY TABLE o ON COMMIT DROP AS SELECT 1 AS id; SET LOCAL search_path = till;"
        " INSERT INTO proven (cents) SELECT id FROM o",  # nor does the last one need a semicolon
        "ROW EXCLUSIVE on till.proven",
    ),
    case(
        "an index built concurrently",
        "CREATE INDEX CONCURRENTLY sales_cents_idx ON till.sales (cents);",
        "SHARE UPDATE EXCLUSIVE on till.sales: scans",
        outside=True,
    ),
    case(
        "an index dropped concurrently",
        "DROP INDEX CONCURRENTLY till.sales_cents_idx;",
        "SHARE UPDATE EXCLUSIVE on till.sales",
        outside=True,
    ),
    case(
        "a table whose indexes are built anew concurrently",
        "REINDEX TABLE CONCURRENTLY till.indexed;",
        "SHARE UPDATE EXCLUSIVE on till.indexed: scans",
        outside=True,
    ),
    case(
        "a partition detached concurrently",
        "ALTER TABLE till.leaving DETACH PARTITION till.leaving_1 CONCURRENTLY;",
        "ACCESS EXCLUSIVE on till.leaving_1",
        "SHARE UPDATE EXCLUSIVE on till.leaving",
        outside=True,
    ),
    case(
        "a vacuum, which waits for nobody who writes",
        "VACUUM till.sales;",
        "SHARE UPDATE EXCLUSIVE on till.sales",
        outside=True,
    ),
    case(
        "a full vacuum",
        "VACUUM FULL till.sales;",
        "ACCESS EXCLUSIVE on till.sales: rewrites",
        outside=True,
    ),
    case(
        "a statement that could do with a transaction",
        "ALTER TABLE till.sales ADD COLUMN p integer;",
        "ACCESS EXCLUSIVE on till.sales",
        outside=True,
    ),
    case(
        "each statement outside a transaction begins with no lock",
        "ALTER TABLE till.sales ADD COLUMN q integer; ALTER TABLE till.sales ADD COLUMN r integer;",
        "ACCESS EXCLUSIVE on till.sales",
        outside=True,
    ),
    case(
        "a large table",
        "ALTER TABLE till.big ADD COLUMN a integer;",
        "ACCESS EXCLUSIVE on till.big",
    ),
    case(
        "a large table rewritten",
        "ALTER TABLE till.big ALTER COLUMN id TYPE bigint;",
        "ACCESS EXCLUSIVE on till.big: rewrites",
    ),
    case(
        "a large table by another name",
        "ALTER TABLE till.big RENAME TO huge; CREATE INDEX huge_idx ON till.huge (id);",
        "ACCESS EXCLUSIVE on till.big, held: scans",
    ),
    case(
        "a large table after it was renamed",
        "CREATE INDEX huge_again_idx ON till.huge (id);",
        "SHARE on till.huge: scans",
    ),
    case(
        "a large table locked lightly",
        "CREATE INDEX CONCURRENTLY huge_once_more_idx ON till.huge (id);",
        "SHARE UPDATE EXCLUSIVE on till.huge: scans",
        outside=True,
    ),
    case(
        "a table that is large with its partitions",
        "ALTER TABLE till.heap ADD CONSTRAINT s CHECK (id > 0);",
        "ACCESS EXCLUSIVE on till.heap and 2 of its partitions: scans",
    ),
    case(
        "a partition that is not",
        "ALTER TABLE till.heap_0 ADD CONSTRAINT t CHECK (id > 0);",
        "ACCESS EXCLUSIVE on till.heap_0: scans",
    ),
]


def append(tree: Tree, name: str, sql: str, *, outside: bool = False) -> str:
    """Write a revision by hand. Returns its name."""
    number = len(read_chain(tree)) + 1
    stem = tree.versions / f"{number:04d}_{name.replace(' ', '_')}"
    heading = "-- outside a transaction\n" if outside else ""
    section = f"-- alter: shows/shows.sql sha256={'0' * 64}\n{sql}\n"
    stem.with_suffix(".py").write_text(PYTHON_FILE.format(number=number, before=number - 1))
    stem.with_suffix(".up.sql").write_text(f"-- {number:04d}: {name}.\n{heading}\n{section}")
    stem.with_suffix(".down.sql").write_text("-- privileges\n")  # nobody goes back
    return stem.name


def told(statement: Statement) -> list[str]:
    """What is measured of a statement, without sizes."""
    lines = []
    for lock in statement.locks:
        effects = [effect for effect in ("drops", "rewrites", "scans") if lock[effect]]
        partitions = f" and {lock['partitions']} of its partitions" if lock["partitions"] else ""
        held = ", held" if lock["is_held"] else ""
        effect = f": {effects[0]}" if effects else ""
        lines.append(f"{lock['mode']} on {lock['relation']}{partitions}{held}{effect}")
    return lines


def measured(database: Database, tree: Tree | None = None, to: str = "head") -> Plan:
    return plan(database.dsn, Variables(), to, True, tree)


def of(result: Plan, name: str) -> list[Statement]:
    """The statements of a revision, without what ticketdb adds to it."""
    added = ("dependents.sql", "ledger")
    statements = [s for s in result.statements if s.revision.partition("_")[2] == name]
    assert {"ledger"} <= {s.section for s in statements}
    return [s for s in statements if s.section not in added]


@dataclass(frozen=True)
class Everything:
    """The cases, measured at once: each time costs a server."""

    plan: Plan

    def of(self, name: str) -> list[Statement]:
        return of(self.plan, name.replace(" ", "_"))

    def warnings(self, name: str) -> list[str]:
        found = [warning.partition(": ") for warning in self.plan.warnings]
        return [text for who, _, text in found if who.endswith(name.replace(" ", "_"))]


@pytest.fixture(scope="module")
def everything(
    cluster: Cluster, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Everything]:
    folder = tmp_path_factory.mktemp("tree")
    tree = Tree(folder / "sql", folder / "migrations")
    shutil.copytree(shipped_tree().migrations, tree.migrations)
    for one in CASES:
        append(tree, one.name.replace(",", ""), one.sql, outside=one.outside)
    with contextmanager(throw_away_database)(cluster, template_database) as database:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            connection.execute(SURROUNDINGS)
        yield Everything(measured(database, tree))


@at_once
@pytest.mark.parametrize("one", CASES, ids=[one.name for one in CASES])
def test_a_statement_is_told_with_what_it_does(one: Case, everything: Everything) -> None:
    statements = everything.of(one.name.replace(",", ""))
    assert told(statements[-1]) == list(one.expected)
    assert {statement.in_transaction for statement in statements} == {not one.outside}


@at_once
def test_what_apply_does_around_a_revision_is_measured_too(everything: Everything) -> None:
    """The view in its way is dropped and made again."""
    name = "a_column_that_a_view_of_the_user's_is_built_on"
    around = [s for s in everything.plan.statements if s.revision.endswith(name)]
    sections = ["dependents.sql", "shows/shows.sql", "ledger", "dependents.sql"]
    assert [statement.section for statement in around] == sections
    assert "ACCESS EXCLUSIVE on till.places: drops" in told(around[0])


BIG = "of till.big (1,000,000 rows, 35 MB) wait until it commits"
SCANS, REWRITES = ", and meanwhile it scans all of it", ", and meanwhile it rewrites all of it"


@at_once
@pytest.mark.parametrize(
    ("name", "warnings"),
    [
        ("a large table", [f"readers and writers {BIG}"]),
        ("a large table rewritten", [f"readers and writers {BIG}{REWRITES}"]),
        (
            "a large table by another name",
            [f"readers and writers {BIG}", f"readers and writers {BIG}{SCANS}"],
        ),
        ("a large table after it was renamed", [f"writers {BIG.replace('big', 'huge')}{SCANS}"]),
        ("a large table locked lightly", []),
        (
            "a table that is large with its partitions",
            [f"readers and writers of till.heap (1,200,000 rows) wait until it commits{SCANS}"],
        ),
        ("a partition that is not", []),
        ("another type rewrites", []),
    ],
)
def test_who_must_wait_for_a_large_table_is_warned_of(
    name: str, warnings: list[str], everything: Everything
) -> None:
    assert everything.warnings(name) == warnings


def test_a_table_of_many_bytes_is_large_however_few_its_rows(
    database: Database, connect: Connect, tree_copy: Tree
) -> None:
    connect().execute(
        "CREATE TABLE public.scans AS SELECT 1 AS id, repeat('x', 1000) AS page"
        " FROM generate_series(1, 100000); ANALYZE public.scans"
    )
    append(tree_copy, "pages", "ALTER TABLE public.scans ALTER COLUMN id TYPE bigint;")
    (warning,) = measured(database, tree_copy).warnings
    assert "of public.scans (100,000 rows, 112 MB) wait" in warning


@at_once
def test_what_is_told_of_a_relation_ends_with_its_size_in_the_target(
    everything: Everything,
) -> None:
    (statement,) = everything.of("another type rewrites")
    (lock,) = statement.locks
    assert lock["rows"] == 1200
    pretty = f"{lock['bytes'] // 1024} kB"
    assert lock["text"] == f"ACCESS EXCLUSIVE on till.sales (rewrites it; 1,200 rows, {pretty})"
    (fresh,) = everything.of("a view reads its tables")
    assert fresh.locks[0]["rows"] is None  # nobody has counted them
    assert everything.plan.not_copied == []


def test_the_target_is_only_read(
    database: Database, connect: Connect, tree_copy: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a role that may do nothing else, in a session that would not, and nothing is changed."""
    append(tree_copy, "a change", "DROP TABLE {{ schema }}.payment_events; CREATE ROLE nobody_yet;")
    dba = connect()
    dba.execute("DROP ROLE IF EXISTS auditor; CREATE ROLE auditor LOGIN IN ROLE pg_read_all_data")
    before = fingerprint(dba, Variables())
    try:
        monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
        result = plan(database.dsn_as("auditor"), Variables(), "head", True, tree_copy)
    finally:
        dba.execute("DROP ROLE auditor")
    assert "ACCESS EXCLUSIVE on public.payment_events: drops" in told(of(result, "a_change")[0])
    assert fingerprint(dba, Variables()) == before
    assert dba.execute("SELECT FROM pg_roles WHERE rolname = 'nobody_yet'").fetchall() == []


def test_a_schema_that_may_not_be_read_is_no_plan(
    database: Database, connect: Connect, tree_copy: Tree
) -> None:
    append(tree_copy, "a change", "SELECT 1;")
    dba = connect()
    dba.execute(
        "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN;"
        " GRANT USAGE ON SCHEMA public, ticketdb TO guest;"
        " GRANT SELECT ON ticketdb.ticketdb_migrations, ticketdb.ticketdb_alembic_version TO guest"
    )
    try:
        with pytest.raises(
            TicketdbError, match=r"permission denied for table .*--no-measure"
        ) as no:
            plan(database.dsn_as("guest"), Variables(), "head", True, tree_copy)
        assert (no.value.code, no.value.exit_status) == ("E_COPY", 3)
        planned = plan(database.dsn_as("guest"), Variables(), "head", False, tree_copy)
        assert [statement.text for statement in of(planned, "a_change")] == ["SELECT 1;"]
    finally:
        dba.execute("DROP OWNED BY guest; DROP ROLE guest")


def test_a_statement_that_fails_is_named_with_its_revision(
    database: Database, tree_copy: Tree
) -> None:
    append(tree_copy, "good", "ALTER TABLE {{ schema }}.shows ADD COLUMN a integer;")
    name = append(tree_copy, "bad", "SELECT 1;\nALTER TABLE {{ schema }}.shows\n ADD a text;")
    with pytest.raises(TicketdbError) as caught:
        measured(database, tree_copy)
    assert (caught.value.code, caught.value.exit_status) == ("E_MIGRATION_FAILED", 5)
    where = f'{name}.up.sql, shows/shows.sql: ALTER TABLE "public".shows ADD a text;'
    assert f'{where}: column "a" of relation "shows" already exists' in caught.value.message
    assert caught.value.message.endswith("the database itself was not touched")


def test_what_fails_when_a_revision_commits_fails_here_too(
    database: Database, connect: Connect, tree_copy: Tree
) -> None:
    connect().execute(
        "CREATE TABLE public.a (id integer PRIMARY KEY);"
        " CREATE TABLE public.b (id integer REFERENCES public.a DEFERRABLE INITIALLY DEFERRED)"
    )
    name = append(tree_copy, "late", "INSERT INTO public.b VALUES (1);")
    with pytest.raises(TicketdbError, match=f"{name}.up.sql, at its end: .*foreign key") as caught:
        measured(database, tree_copy)
    assert caught.value.code == "E_MIGRATION_FAILED"


def test_what_needs_no_transaction_fails_in_one(database: Database, tree_copy: Tree) -> None:
    """As in apply: the revision's heading has to say so."""
    append(tree_copy, "inside", "CREATE INDEX CONCURRENTLY a ON {{ schema }}.shows (name);")
    with pytest.raises(TicketdbError, match="cannot run inside a transaction block") as caught:
        measured(database, tree_copy)
    assert caught.value.code == "E_MIGRATION_FAILED"


def test_a_statement_that_fails_outside_a_transaction_is_named(
    database: Database, tree_copy: Tree
) -> None:
    sql = "CREATE INDEX CONCURRENTLY a ON {{ schema }}.shows ((1 / (length(nothing))));"
    name = append(tree_copy, "alone", sql, outside=True)
    with pytest.raises(TicketdbError, match=f'{name}.up.sql, .*column "nothing"') as caught:
        measured(database, tree_copy)
    assert caught.value.code == "E_MIGRATION_FAILED"


def test_an_index_that_was_built_before_an_interruption_is_not_built_again(
    database: Database, connect: Connect, tree_copy: Tree
) -> None:
    connect().execute("CREATE INDEX shows_venue_idx ON public.shows (venue)")
    sql = "CREATE INDEX CONCURRENTLY shows_venue_idx ON {{ schema }}.shows (venue);"
    append(tree_copy, "again", sql, outside=True)
    (statement,) = of(measured(database, tree_copy), "again")
    assert told(statement) == ["SHARE UPDATE EXCLUSIVE on public.shows"]  # to see, and no scan


def test_a_history_that_was_tampered_with_is_not_planned_upon(
    database: Database, tree_copy: Tree
) -> None:
    up = read_chain(tree_copy)[2].python_file.with_suffix(".up.sql")
    up.write_text(up.read_text() + "\n-- harmless\n")
    with pytest.raises(TicketdbError, match="is not the file that was applied") as caught:
        measured(database, tree_copy)
    assert caught.value.code == "E_CHECKSUM"


def test_what_cannot_be_copied_is_told_and_the_rest_measured(
    database: Database, connect: Connect, tree_copy: Tree
) -> None:
    connect().execute(
        "CREATE EXTENSION hstore SCHEMA public;"
        " UPDATE pg_extension SET extname = 'of_another_machine' WHERE extname = 'hstore'"
    )
    append(tree_copy, "a change", "ALTER TABLE {{ schema }}.shows ADD COLUMN a integer;")
    result = measured(database, tree_copy)
    assert 'extension "of_another_machine" is not available' in result.not_copied
    assert told(of(result, "a_change")[0]) == ["ACCESS EXCLUSIVE on public.shows"]


def test_a_revision_finds_the_settings_of_the_target(
    database: Database, connect: Connect, tree_copy: Tree
) -> None:
    connect().execute("UPDATE public.ticketing_settings SET hold_minutes = 7")
    ask = """
        DO $$
        BEGIN
            IF (SELECT hold_minutes FROM {{ schema }}.ticketing_settings) = 7
                AND EXISTS (SELECT FROM {{ monitoring_schema }}.alert_rules)
                AND EXISTS (
                    SELECT FROM {{ internal_schema }}.ticketdb_migrations WHERE revision = '0001'
                )
                AND EXISTS (SELECT FROM {{ internal_schema }}.metric_watermarks)
                AND NOT EXISTS (SELECT FROM {{ schema }}.shows)
            THEN
                LOCK TABLE {{ schema }}.shows IN EXCLUSIVE MODE;
            END IF;
        END $$;
    """
    connect().execute(
        "INSERT INTO public.shows (name, starts_at, currency) VALUES ('x', now(), 'EUR')"
    )
    append(tree_copy, "a question", ask)
    locks = told(of(measured(database, tree_copy), "a_question")[0])
    assert "EXCLUSIVE on public.shows: scans" in locks


@pytest.mark.parametrize(
    "names", [pytest.param(Variables(), id="default names"), pytest.param(OTHER_NAMES, id="others")]
)
def test_the_first_installation_is_measured_too(names: Variables, empty_database: Database) -> None:
    result = plan(empty_database.dsn, names, "head", True)
    assert {statement.revision for statement in result.statements} == {r.name for r in CHAIN}
    assert [s for s in result.statements if s.revision == CHAIN[0].name and s.locks] == []
    (schema,) = connect_and_quote(empty_database, names.schema)
    shows = f"SHARE ROW EXCLUSIVE on {schema}.shows (not there yet)"
    assert shows in [lock["text"] for s in result.statements for lock in s.locks]
    assert (result.warnings, result.not_copied) == ([], [])


def connect_and_quote(database: Database, name: str) -> tuple[str]:
    """The name as PostgreSQL prints it."""
    with psycopg.connect(database.dsn) as connection:
        row: tuple[str] | None = connection.execute("SELECT quote_ident(%s)", [name]).fetchone()
    assert row
    return row


def test_at_head_nothing_is_pending_and_no_server_needed(
    database: Database, ticketdb: Program
) -> None:
    done = ticketdb("plan", TICKETDB_DSN=database.dsn, **{BINDIR_VARIABLE: "/nowhere"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing is pending\n", "")


def test_without_a_server_of_that_version_it_says_what_to_install(
    empty_database: Database, ticketdb: Program
) -> None:
    nowhere = {"TICKETDB_DSN": empty_database.dsn, BINDIR_VARIABLE: "/nowhere"}
    done = ticketdb("plan", **nowhere)
    major = empty_database.cluster.binaries.major
    assert done.returncode == 3
    assert f"error [E_NO_SERVER]: no server programs of PostgreSQL {major} found" in done.stderr
    assert "install the server and the client of that version" in done.stderr

    printed = ticketdb("plan", "--no-measure", "--to", "0001", **nowhere)
    assert printed.returncode == 1
    assert "DO $body$\nDECLARE\n    v_role record;" in printed.stdout  # as it will be sent
    assert printed.stdout.endswith("statements are pending, not measured\n")


@roles_exist
def test_the_command_tells_it_to_people_and_to_machines(
    empty_database: Database, ticketdb: Program
) -> None:
    bindir = str(empty_database.cluster.binaries.bindir)
    where = {"TICKETDB_DSN": empty_database.dsn, BINDIR_VARIABLE: bindir}
    commands.apply(empty_database.dsn, Variables(), to="0002")
    text = ticketdb("plan", "--to", "0003", **where)
    assert text.returncode == 1
    heading, first, *rest, _, _, end = text.stdout.split("\n")
    assert heading.startswith(f"-- {CHAIN[2].name}: ")
    assert heading.endswith(" statements, in one transaction")
    assert first.startswith('CREATE TABLE "public".seat_reservations ( ')
    assert rest[0].startswith("    SHARE ROW EXCLUSIVE on public.shows (")
    version = empty_database.cluster.binaries.version
    assert f"statements are pending, measured on PostgreSQL {version}\n" in text.stdout
    assert end == ""

    data = json.loads(ticketdb("plan", "--json", "--to", "0003", **where).stdout)
    assert data["measured_on"] == version
    (lock,) = data["statements"][0]["locks"]
    assert (lock["relation"], lock["mode"]) == ("public.shows", "SHARE ROW EXCLUSIVE")
    assert lock["blocks"] == "writers"
    assert len(data["statements"]) == int(heading.split()[2])


def test_with_pg_cron_the_jobs_are_scheduled_in_the_copy_alone(
    cron_database: Database, template_database: str, connect: Connect
) -> None:
    assert template_database  # its roles are there
    dba = connect(cron_database)
    dba.execute("CREATE EXTENSION pg_cron")
    commands.apply(cron_database.dsn, Variables(), to=CHAIN[-2].revision)
    before = dba.execute("SELECT * FROM cron.job").fetchall()
    result = measured(cron_database)
    scheduling = next(s for s in result.statements if ".schedule_jobs();" in s.text)
    assert "ROW EXCLUSIVE on cron.job: scans" in told(scheduling)
    assert dba.execute("SELECT * FROM cron.job").fetchall() == before
    assert result.not_copied == []


INTERRUPTED = textwrap.dedent("""
    import sys
    from contextlib import contextmanager
    from pathlib import Path
    import ticketdb.migrate.plan as module
    from ticketdb.config import Variables
    from ticketdb.paths import Tree
    original = module.private_cluster
    @contextmanager
    def told(*arguments, **more):
        with original(*arguments, **more) as cluster:
            print(cluster.directory, flush=True)
            yield cluster
    module.private_cluster = told
    tree = Tree(Path(sys.argv[2]) / "sql", Path(sys.argv[2]) / "migrations")
    module.plan(sys.argv[1], Variables(), "head", True, tree)
""")


@pytest.mark.parametrize("outside", [False, True], ids=["in a transaction", "outside of any"])
def test_ctrl_c_leaves_nothing_behind(
    outside: bool, database: Database, tree_copy: Tree, tmp_path: Path
) -> None:
    """Neither while a statement runs, nor while one is made to wait in a thread."""
    slow = "SELECT pg_sleep(600)" if outside else "SELECT pg_sleep(500)"
    sql = (
        f"CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql IMMUTABLE AS '{slow}; SELECT 1';"
    )
    build = "INSERT INTO public.shows (name, starts_at, currency) VALUES ('x', now(), 'EUR');"
    append(tree_copy, "slow function", sql + build)
    concurrently = "CONCURRENTLY" if outside else ""
    index = f"CREATE INDEX {concurrently} slow_idx ON public.shows ((public.f()));"
    append(tree_copy, "slow", index, outside=outside)
    arguments = [sys.executable, "-c", INTERRUPTED, database.dsn, str(tmp_path)]
    environment = {**os.environ, BINDIR_VARIABLE: str(database.cluster.binaries.bindir)}
    with subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        directory = Path(process.stdout.readline().strip())
        copy = Cluster(directory, 5432, "postgres", database.cluster.binaries)
        with psycopg.connect(copy.dsn(), autocommit=True) as observer:
            while not observer.execute(
                "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            ).fetchall():
                assert process.poll() is None
        assert directory.is_dir()
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate()[1]
    assert not directory.exists()
