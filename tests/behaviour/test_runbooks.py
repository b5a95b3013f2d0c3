"""The runbooks: every statement in them is run, as the role that its block names.

On a database in which everything that they treat has gone wrong, installed by a role that is no
superuser. A query that finds nothing there, or a repair that changes nothing, fails.
"""

import re
import shlex
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row
from typer.testing import CliRunner

from tests.support import guide
from tests.support.databases import Database, throw_away_database
from tests.support.hall import Hall, make_hall
from tests.support.names import NAMES, OURS, quoted
from tests.support.queries import Connection, Row, enter, value
from tests.support.rollups import await_final
from ticketdb.cli import app
from ticketdb.config import Variables
from ticketdb.migrate.commands import apply
from ticketdb.private_server import SUPERUSER, Cluster

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
INDEX = "README.md"
SECTIONS = ["First look", "Likely causes", "What to do", "How to see that it is over"]
SECTIONS += ["What not to do"]
LONGEST_PAGE, LONGEST_LINE = 90, 120

DASHBOARDS, OWNER, DBA, ROOT = "dashboard_reader", "the owner", "a DBA", "a superuser"
MARK = re.compile(r"-- as (?P<role>dashboard_reader|the owner|a DBA|a superuser)(, with pg_cron)?")

# They may find nothing, for these reasons.
QUIET = {
    "interval '10 minutes'": "nobody has idled that long",
    "pg_prepared_xacts": "the server of the tests allows none",
    "cron.job_run_details": "the clock of pg_cron has not struck yet",
}


@dataclass(frozen=True)
class Block:
    """Statements of a page that one role may run."""

    page: str
    section: str
    line: int
    role: str
    with_pg_cron: bool
    statements: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.page.removesuffix('.md')}-{self.line}"

    @property
    def commits(self) -> bool:
        return any(statement.startswith("CALL ") for statement in self.statements)


def read_blocks(page: str, text: str) -> list[Block]:
    """The SQL of a page. Raises ValueError where it does not say who may run it."""
    blocks = []
    section = ""
    for match in re.finditer(
        r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$|^## (?P<section>[^\n]+)$",
        text,
        flags=re.MULTILINE | re.DOTALL,
    ):
        section = match["section"] or section
        if match["language"] != "sql":
            continue
        line = text.count("\n", 0, match.start()) + 1
        first, _, code = match["code"].partition("\n")
        mark = MARK.fullmatch(first.strip())
        if mark is None:
            raise ValueError(f"{page}:{line}: {first!r} does not say who may run it")
        statements = tuple(s.strip() for s in re.split(r";\s*$", code, flags=re.MULTILINE))
        if statements[-1]:
            raise ValueError(f"{page}:{line}: the last statement has no semicolon")
        blocks.append(Block(page, section, line, mark["role"], bool(mark[2]), statements[:-1]))
    return blocks


PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
BLOCKS = [block for page, text in PAGES.items() for block in read_blocks(page, text)]

# The guide's investigation steps, and where they went.
PAGE_OF_ISSUE = {
    "issue-high-reservation-failure-rate": "high-reservation-failure-rate.md",
    "issue-cleanup-job-not-running": "cleanup-job-not-running.md",
    "issue-double-booking-constraint-violations": "double-booking.md",
    "issue-payment-intent-creation-failing": "payment-failures.md",
}
GUIDES_STEPS = [block for block in guide.BLOCKS if block.id.startswith("issue-")]


def renamed(statement: str) -> str:
    """The statement with the names of the tests in place of the defaults."""
    for default, name in zip(asdict(Variables()).values(), asdict(NAMES).values(), strict=True):
        if isinstance(default, str) and default != name:
            literal = sql.Literal(name).as_string()
            statement = statement.replace(f"'{default}'", literal)
            statement = re.sub(
                rf"(?<![\w'-]){re.escape(default)}(?![\w'-])", quoted(name), statement
            )
    return statement


def filled_in(statement: str, values: dict[str, object]) -> bytes:
    """The statement with a value for each variable of psql."""
    statement = re.sub(r":\"(\w+)\"", lambda m: quoted(str(values[m[1]])), statement)
    statement = re.sub(r":'(\w+)'", lambda m: sql.Literal(str(values[m[1]])).as_string(), statement)
    return statement.encode()


# What is on the pages besides SQL.


def complaints(pages: dict[str, str], rules: list[Row], checks: list[str]) -> list[str]:
    """What the index and the links lack: a page for each alert and check, and nothing else."""
    found = []
    rows = {
        match["name"]: match[0]
        for match in re.finditer(r"^\| `(?P<name>\w+)` .*$", pages[INDEX], flags=re.MULTILINE)
    }
    for rule in rules:
        row = rows.get(rule.alert_name, "")
        page = rule.runbook.removeprefix("docs/runbooks/")
        # The numbers as the rule has them, so that the index cannot grow old.
        limit = f"{rule.comparison} {rule.threshold:g}"
        window = f"{rule.time_window_seconds} s" if rule.time_window_seconds else "–"
        if page not in pages or not rule.runbook.startswith("docs/runbooks/"):
            found.append(f"{rule.alert_name}: there is no {rule.runbook}")
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if cells[1:5:3] != [rule.severity, window] or limit not in cells[3:4]:
            found.append(f"{rule.alert_name}: the index does not say {rule}")
        if f"]({page})" not in row:
            found.append(f"{rule.alert_name}: the index does not lead to {page}")
        if f"`{rule.alert_name}`" not in pages.get(page, ""):
            found.append(f"{rule.alert_name}: {page} does not speak of it")
    found += [f"{check}: not in the index" for check in checks if "](" not in rows.get(check, "")]
    known = {rule.alert_name for rule in rules} | set(checks)
    found += [f"{name}: the index knows it, the database does not" for name in rows.keys() - known]
    for page, text in pages.items():
        if page != INDEX and f"]({page})" not in pages[INDEX]:
            found.append(f"{page}: not in the index")
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if target not in pages:
                found.append(f"{page}: leads to {target}, which is not there")
    return found


def commands(text: str) -> list[list[str]]:
    """The arguments of each call of ticketdb on a page, in a console or in a sentence."""
    found = re.findall(r"^\$ ticketdb (.*?)(?:#.*)?$", text, flags=re.MULTILINE)
    for code in re.findall(r"`([^`]+)`", re.sub(r"(?s)```.*?```", "", text)):
        found += re.findall(r"(?:^|\s)ticketdb\s+([a-z].*)$", code)
    return [shlex.split(arguments) for arguments in found]


def can_be_typed(arguments: list[str]) -> bool:
    """Whether there is such a command with such options. It is not run: --help forestalls that."""
    return CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0


@pytest.mark.parametrize("page", [page for page in PAGES if page != INDEX])
def test_a_page_answers_the_five_questions_and_is_short(page: str) -> None:
    text = PAGES[page]
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == SECTIONS
    lines = text.splitlines()
    assert len(lines) <= LONGEST_PAGE
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


@pytest.mark.parametrize("block", GUIDES_STEPS, ids=lambda block: block.id)
def test_what_the_guide_looks_at_is_on_the_page(block: guide.Block) -> None:
    """Its queries, that is: some had to be bounded, or to name their columns, to be of use."""
    page = next(page for issue, page in PAGE_OF_ISSUE.items() if block.id.startswith(issue))
    looked_at = set(re.findall(r"FROM (\w[\w.]*)", block.query))
    assert looked_at
    on_page = "\n".join(s for b in BLOCKS if b.page == page for s in b.statements)
    assert looked_at <= set(re.findall(r"FROM (\w[\w.]*)", on_page))


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_a_page_can_be_typed(page: str) -> None:
    assert [typed for typed in commands(PAGES[page]) if not can_be_typed(typed)] == []


def test_a_command_that_cannot_be_typed_is_noticed() -> None:
    text = "`ticketdb sweep`\n```console\n$ ticketdb cleanup --hourly   # no\n```\n`* ticketdb x y`"
    assert commands(text) == [["cleanup", "--hourly"], ["sweep"], ["x", "y"]]
    assert [typed for typed in commands(text) if can_be_typed(typed)] == []


@pytest.mark.parametrize(
    "code", ["SELECT 1;", "-- as somebody\nSELECT 1;", "-- as the owner\nSELECT 1"]
)
def test_sql_that_does_not_say_who_may_run_it_or_where_it_ends_is_noticed(code: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md:2: "):
        read_blocks("page.md", f"# Page\n```sql\n{code}\n```\n")


def test_a_page_is_read_by_statement_and_section() -> None:
    text = "## A\n```yaml\n## no\n```\n```sql\n-- as the owner, with pg_cron\n"
    text += "SELECT\n1;\nCALL x();\n```\n"
    assert read_blocks("p.md", text) == [
        Block("p.md", "A", 5, OWNER, True, ("SELECT\n1", "CALL x()"))
    ]


# The database in which everything has gone wrong.


@dataclass(frozen=True)
class Trouble:
    """What has happened to a shop, and the values that the variables of psql stand for."""

    database: Database
    owner: str
    dba: str
    values: dict[str, object]

    def user(self, role: str) -> str:
        return {
            DASHBOARDS: NAMES.dashboard_role,
            OWNER: self.owner,
            DBA: self.dba,
            ROOT: SUPERUSER,
        }[role]

    @contextmanager
    def entered(self, role: str, database: Database | None = None) -> Iterator[Connection]:
        dsn = (database or self.database).dsn_as(self.user(role))
        with psycopg.connect(dsn, autocommit=True, row_factory=namedtuple_row) as connection:
            yield connection


def make_trouble(hall: Hall) -> dict[str, object]:
    """Something of everything that the pages treat. Returns the values of psql's variables."""
    owner = hall.connection
    hall.sell(0, session="buys")
    hall.sell(1, session="has no ticket")
    damaged = hall.sell(2, session="paid, and is shown as failed")
    slow = hall.hold(3, session="slow")
    for _ in range(4):
        hall.extend(slow, session="slow")
    assert hall.reserve(3, session="too late").error_code == "SEATS_UNAVAILABLE"
    assert hall.reserve(session="wants nothing").error_code == "INVALID_INPUT"
    refused = hall.order(hall.hold(4, 5, session="card is refused"), session="card is refused")
    hall.fail(refused)
    assert hall.pay(refused, event="evt_wrong", amount=1).error_code == "AMOUNT_MISMATCH"
    late = hall.hold(6, session="late")
    late_order = hall.order(late, session="late")
    hall.let_run_out(late)
    hall.hold(6, session="in time", p_ip_address="192.0.2.1", p_user_agent="bot")
    assert hall.pay(late_order, event="evt_late").status == "refund_due"
    hall.let_run_out(hall.hold(7, session="left behind"))
    hall.clean_up()
    hall.hold(8, session="emptied")
    hall.let_run_out(hall.hold(9, session="overdue"))
    owner.execute("SELECT log_api_request('/checkout', 'POST', 503, 1200)")

    # Somebody writes to the tables, and a buyer notices.
    owner.execute("ALTER TABLE tickets DISABLE TRIGGER tickets_keep_rows")
    free = "status = 'available', reserved_by = NULL, reserved_until = NULL"
    for statement, key in (
        (f"UPDATE show_seats SET {free} WHERE id = %s", hall.seats[0]),
        (f"UPDATE show_seats SET {free} WHERE id = %s", hall.seats[3]),
        ("DELETE FROM tickets WHERE show_seat_id = %s", hall.seats[1]),
        (
            "UPDATE ticket_orders SET status = 'failed', paid_at = NULL WHERE id = %s",
            damaged.order_id,
        ),
        ("UPDATE reservation_seats SET released_at = NULL WHERE show_seat_id = %s", hall.seats[7]),
        ("UPDATE reservation_seats SET released_at = now() WHERE show_seat_id = %s", hall.seats[8]),
    ):
        owner.execute(statement.encode(), [key])
    owner.execute("ALTER TABLE tickets ENABLE ALWAYS TRIGGER tickets_keep_rows")
    assert hall.reserve(0, session="lucky").error_code == "DOUBLE_BOOKING_PREVENTED"
    owner.execute(f"SELECT {OURS[2]}.check_invariants()".encode())

    # The jobs have stopped: one run died, one failed, one is history; and an event has no month.
    owner.execute(
        "INSERT INTO reservation_cleanup_runs"
        " (scheduler, backend_pid, status, started_at, finished_at, error_message) VALUES"
        " ('ticketdb', 0, 'succeeded', now() - interval 'P30D', now() - interval 'P30D', NULL),"
        " ('ticketdb', 0, 'failed', now() - interval 'PT20M', now() - interval 'PT20M', 'ouch'),"
        " ('ticketdb', 0, 'running', now() - interval 'PT19M', NULL, NULL)"
    )
    # Nor were the logs rolled up, and one of them seems to come from another server.
    owner.execute(f"UPDATE {OURS[2]}.metric_watermarks SET rolled_up_at = now() - interval '1 day'")
    owner.execute(
        f"UPDATE {OURS[2]}.metric_watermarks SET watermark = '9000000000000000000'"
        " WHERE log = 'api_request_log'"
    )
    owner.execute(
        "INSERT INTO seat_reservation_audit_log (event_type, show_id, created_at)"
        " VALUES ('failed', %s, '2001-02-03Z')",
        [hall.show_id],
    )
    return {
        "show_id": hall.show_id,
        "refund_due_order_id": late_order.order_id,
        "refund_id": value(
            owner,
            "SELECT id FROM refunds WHERE status = 'due' AND reason = 'amount_mismatch'",
        ),
        "ip_address": "192.0.2.1",
    }


@pytest.fixture(scope="module")
def trouble(cluster: Cluster, template_database: str) -> Iterator[Trouble]:
    del template_database  # the roles are there
    owner, dba = (f"{name} {uuid.uuid4().hex}" for name in ("owner", "dba"))
    with contextmanager(throw_away_database)(cluster, None) as database:
        # All that an owner needs who is no superuser.
        with psycopg.connect(database.dsn, autocommit=True) as superuser:
            for statement in (
                "CREATE ROLE {owner} LOGIN CREATEROLE",
                "CREATE ROLE {dba} LOGIN",
                "GRANT {owner}, pg_monitor, pg_signal_backend TO {dba}",
                "GRANT CREATE ON DATABASE {database} TO {owner}",
                "GRANT CREATE ON SCHEMA public TO {owner}",
            ):
                superuser.execute(
                    sql.SQL(statement).format(
                        owner=sql.Identifier(owner),
                        dba=sql.Identifier(dba),
                        database=sql.Identifier(database.name),
                    )
                )
        apply(database.dsn_as(owner), NAMES)
        with psycopg.connect(database.dsn_as(owner), autocommit=True) as connection:
            values = make_trouble(make_hall(connection))
        yield Trouble(database, owner, dba, values | {"owner_role": owner, "login_role": owner})
    # Only now is nothing theirs any more.
    with psycopg.connect(cluster.dsn(), autocommit=True) as superuser:
        for role in (dba, owner):
            superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture
def copy_of_trouble(trouble: Trouble, cluster: Cluster) -> Iterator[Database]:
    """For statements that commit."""
    yield from throw_away_database(cluster, trouble.database.name)


@pytest.fixture
def idler(trouble: Trouble) -> Iterator[Connection]:
    """A session that has written something, and does no more."""
    with closing(psycopg.connect(trouble.database.dsn_as(trouble.owner))) as connection:
        connection.execute("SELECT pg_current_xact_id()")
        yield connection


def run(connection: Connection, block: Block, values: dict[str, object]) -> None:
    """Run the statements of a block; each must find, or change, at least one row."""
    for statement in block.statements:
        cursor = connection.execute(filled_in(renamed(statement), values))
        quiet = any(words in statement for words in QUIET)
        if cursor.rowcount == 0 and not quiet:
            raise AssertionError(f"{block.id} finds nothing: {statement}")


def run_and_take_back(connection: Connection, block: Block, values: dict[str, object]) -> None:
    with connection.transaction(force_rollback=True):
        run(connection, block, values)


def cases(*, with_pg_cron: bool, commits: bool = False) -> list[object]:
    return [
        pytest.param(block, id=block.id)
        for block in BLOCKS
        if (block.with_pg_cron, block.commits) == (with_pg_cron, commits)
    ]


@pytest.mark.parametrize("block", cases(with_pg_cron=False))
def test_the_statements_run_and_find_what_they_look_for(
    trouble: Trouble, idler: Connection, block: Block
) -> None:
    values = trouble.values | {"pid": idler.info.backend_pid}
    with trouble.entered(block.role) as connection:
        run_and_take_back(connection, block, values)


@pytest.mark.parametrize("block", cases(with_pg_cron=False, commits=True))
def test_the_statements_run_that_commit(
    trouble: Trouble, copy_of_trouble: Database, block: Block
) -> None:
    with trouble.entered(block.role, copy_of_trouble) as connection:
        run(connection, block, trouble.values)


def test_the_statements_about_pg_cron_run(cron_database: Database) -> None:
    apply(cron_database.dsn, NAMES)
    with psycopg.connect(cron_database.dsn, autocommit=True) as connection:
        for block in BLOCKS:
            if block.with_pg_cron:
                run_and_take_back(connection, block, {})


def test_what_is_left_to_the_owner_is_refused_to_the_dashboards(trouble: Trouble) -> None:
    """Or the page would ask for more than it needs."""
    with trouble.entered(DASHBOARDS) as connection:
        for block in BLOCKS:
            if block.role == OWNER and not block.with_pg_cron:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    run_and_take_back(connection, block, trouble.values)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT no_such_column FROM monitoring.alerts", psycopg.errors.UndefinedColumn),
        ("SELECT * FROM no_such_view", psycopg.errors.UndefinedTable),
        ("SELECT email FROM seat_reservations", psycopg.errors.InsufficientPrivilege),
        ("SELECT id FROM ticket_orders WHERE status = 'lost'", AssertionError),
    ],
)
def test_a_statement_that_does_not_work_is_noticed(
    trouble: Trouble, statement: str, error: type[Exception]
) -> None:
    block = Block("page.md", "First look", 1, DASHBOARDS, False, (statement,))
    with trouble.entered(DASHBOARDS) as connection, pytest.raises(error):
        run_and_take_back(connection, block, {})


# What the pages promise.

FIRING = "SELECT alert_name FROM monitoring.alerts WHERE firing = 1 AND alert_name = '{}'"
UNWELL = "SELECT message FROM monitoring.health WHERE check_name = '{}' AND severity >= {}"


@pytest.mark.parametrize(
    ("page", "question"),
    [
        ("cleanup-job-not-running.md", FIRING.format("cleanup_job_failed")),
        ("cleanup-job-not-running.md", FIRING.format("cleanup_job_silent")),
        # Only a warning is left, of the run that failed within 24 hours.
        ("cleanup-job-not-running.md", UNWELL.format("cleanup", 2)),
        ("metrics-rollup.md", UNWELL.format("rollup", 1)),
        ("partitions.md", UNWELL.format("partitions", 1)),
        ("invariants.md", UNWELL.format("invariants", 1)),
        ("invariants.md", "SELECT * FROM ticketdb.current_violations() WHERE violations > 0"),
        ("payment-failures.md", "SELECT id FROM ticket_orders WHERE status = 'refund_due'"),
        ("refunds.md", "SELECT FROM refunds WHERE status = 'due' AND reason = 'amount_mismatch'"),
    ],
)
def test_what_is_to_be_done_puts_it_right(
    trouble: Trouble, copy_of_trouble: Database, page: str, question: str
) -> None:
    asked = renamed(question).encode()
    with closing(psycopg.connect(copy_of_trouble.dsn, autocommit=True)) as connection:
        # Transactions of other tests, in other databases of the server, hold the rollup up.
        await_final(enter(connection))
    with trouble.entered(OWNER, copy_of_trouble) as owner:
        assert owner.execute(asked).fetchall()
        for block in BLOCKS:
            if (block.page, block.section, block.role) == (page, "What to do", OWNER):
                with ExitStack() as stack:
                    if not block.commits:
                        stack.enter_context(owner.transaction())
                    if not block.with_pg_cron:
                        run(owner, block, trouble.values)
        owner.execute(f"SELECT {OURS[2]}.check_invariants()".encode())
        assert owner.execute(asked).fetchall() == []


def test_every_alert_and_check_has_its_page_and_every_page_its_place(trouble: Trouble) -> None:
    with trouble.entered(OWNER) as connection:
        rules = connection.execute(
            renamed("SELECT * FROM monitoring.alert_rules ORDER BY alert_name").encode()
        ).fetchall()
        checks = connection.execute(renamed("SELECT check_name FROM monitoring.health").encode())
        assert len(rules) > 10
        names = [row.check_name for row in checks]
    assert complaints(PAGES, rules, names) == []
    # The control.
    without = {page: text for page, text in PAGES.items() if page != "connections.md"}
    assert any("connections.md" in complaint for complaint in complaints(without, rules, names))
    assert complaints(PAGES, rules, [*names, "moon"]) == ["moon: not in the index"]
    assert complaints(PAGES | {"new.md": "# New"}, rules, names) == ["new.md: not in the index"]
    moved = [rules[0]._replace(runbook="docs/runbooks/gone.md")]
    assert any("there is no docs/runbooks/gone.md" in c for c in complaints(PAGES, moved, names))
    stricter = [rules[0]._replace(threshold=rules[0].threshold + 1), *rules[1:]]
    assert len(complaints(PAGES, stricter, names)) == 1
    assert complaints(PAGES, rules[1:], names) == [
        f"{rules[0].alert_name}: the index knows it, the database does not"
    ]
