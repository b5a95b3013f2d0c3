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

from tests.support.by_hand import OF_SHOWS, OUTSIDE, add_revision
from tests.support.databases import Connect, Database, fingerprint, throw_away_database
from tests.support.plan_cases import CASES, SURROUNDINGS, Case
from tests.support.program import Program
from ticketdb.config import Variables
from ticketdb.develop.generate import AWKWARD_NAMES
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


def append(tree: Tree, name: str, sql: str, *, outside: bool = False) -> str:
    """Write a revision by hand. Returns its name."""
    heading = OUTSIDE if outside else ""
    down = "-- privileges\n"  # nobody goes back
    revision = add_revision(tree, f"{OF_SHOWS}{sql}\n", down, heading=heading, name=name)
    return f"{revision}_{name.replace(' ', '_')}"


def locks_of(statement: Statement) -> list[str]:
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
def test_a_statement_is_listed_with_what_it_does(one: Case, everything: Everything) -> None:
    statements = everything.of(one.name.replace(",", ""))
    assert locks_of(statements[-1]) == list(one.expected)
    assert {statement.in_transaction for statement in statements} == {not one.outside}


@at_once
def test_what_apply_does_around_a_revision_is_measured_too(everything: Everything) -> None:
    """A view that depends on the column is dropped and made again."""
    name = "a_column_that_a_view_of_the_user's_is_built_on"
    around = [s for s in everything.plan.statements if s.revision.endswith(name)]
    sections = ["dependents.sql", "shows/shows.sql", "ledger", "dependents.sql"]
    assert [statement.section for statement in around] == sections
    assert "ACCESS EXCLUSIVE on till.places: drops" in locks_of(around[0])


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
def test_there_is_a_warning_where_others_must_wait_for_a_large_table(
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
def test_a_relation_is_listed_with_its_size_in_the_target(
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
    assert "ACCESS EXCLUSIVE on public.payment_events: drops" in locks_of(of(result, "a_change")[0])
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
    """As in apply: the revision's heading has to declare it."""
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
    assert locks_of(statement) == ["SHARE UPDATE EXCLUSIVE on public.shows"]  # to see, and no scan


def test_a_history_that_was_tampered_with_is_not_planned_upon(
    database: Database, tree_copy: Tree
) -> None:
    up = read_chain(tree_copy)[2].python_file.with_suffix(".up.sql")
    up.write_text(up.read_text() + "\n-- harmless\n")
    with pytest.raises(TicketdbError, match="is not the file that was applied") as caught:
        measured(database, tree_copy)
    assert caught.value.code == "E_CHECKSUM"


def test_what_cannot_be_copied_is_reported_and_the_rest_measured(
    database: Database, connect: Connect, tree_copy: Tree
) -> None:
    connect().execute(
        "CREATE EXTENSION hstore SCHEMA public;"
        " UPDATE pg_extension SET extname = 'of_another_machine' WHERE extname = 'hstore'"
    )
    append(tree_copy, "a change", "ALTER TABLE {{ schema }}.shows ADD COLUMN a integer;")
    result = measured(database, tree_copy)
    assert 'extension "of_another_machine" is not available' in result.not_copied
    assert locks_of(of(result, "a_change")[0]) == ["ACCESS EXCLUSIVE on public.shows"]


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
    locks = locks_of(of(measured(database, tree_copy), "a_question")[0])
    assert "EXCLUSIVE on public.shows: scans" in locks


@pytest.mark.parametrize(
    "names",
    [pytest.param(Variables(), id="default names"), pytest.param(AWKWARD_NAMES, id="others")],
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
def test_the_command_prints_it_for_people_and_for_machines(
    empty_database: Database, ticketdb: Program
) -> None:
    bindir = str(empty_database.cluster.binaries.bindir)
    where = {"TICKETDB_DSN": empty_database.dsn, BINDIR_VARIABLE: bindir}
    commands.apply(empty_database.dsn, Variables(), to="0002")
    text = ticketdb("plan", "--to", "0003", **where)
    assert text.returncode == 1
    heading, *lines, _, _, end = text.stdout.split("\n")
    assert heading.startswith(f"-- {CHAIN[2].name}: ")
    assert heading.endswith(" statements, in one transaction")
    for beginning in (
        'CREATE TABLE "public".seat_reservations ( ',
        "    SHARE ROW EXCLUSIVE on public.show_seats (",
    ):
        assert any(line.startswith(beginning) for line in lines)
    version = empty_database.cluster.binaries.version
    assert f"statements are pending, measured on PostgreSQL {version}\n" in text.stdout
    assert end == ""

    data = json.loads(ticketdb("plan", "--json", "--to", "0003", **where).stdout)
    assert data["measured_on"] == version
    locks = [lock for statement in data["statements"] for lock in statement["locks"]]
    assert {(lock["relation"], lock["mode"], lock["blocks"]) for lock in locks} >= {
        ("public.show_seats", "SHARE ROW EXCLUSIVE", "writers")
    }
    assert len(data["statements"]) == int(heading.split()[2])


def test_with_pg_cron_the_jobs_are_scheduled_in_the_copy_alone(
    cron_database: Database, template_database: str, connect: Connect
) -> None:
    assert template_database  # its roles are there
    dba = connect(cron_database)
    dba.execute("CREATE EXTENSION pg_cron")
    schedules = next(n for n, r in enumerate(CHAIN) if ".schedule_jobs();" in r.up)
    commands.apply(cron_database.dsn, Variables(), to=CHAIN[schedules - 1].revision)
    before = dba.execute("SELECT * FROM cron.job").fetchall()
    result = measured(cron_database)
    scheduling = next(s for s in result.statements if ".schedule_jobs();" in s.text)
    assert "ROW EXCLUSIVE on cron.job: scans" in locks_of(scheduling)
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
    def announced(*arguments, **more):
        with original(*arguments, **more) as cluster:
            print(cluster.directory, flush=True)
            yield cluster
    module.private_cluster = announced
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
