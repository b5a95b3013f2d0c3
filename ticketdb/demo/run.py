"""The demo: a private PostgreSQL, every migration, some hundred buyers, and a check.

When every call has been answered, what the database reports is compared with what the buyers have
counted, number by number and in one snapshot; and again when all events have been rolled up.
"""

import asyncio
import signal
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from itertools import groupby
from json import dumps
from operator import itemgetter
from pathlib import Path

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from ticketdb import database
from ticketdb.config import Variables
from ticketdb.demo.buyers import Buyer
from ticketdb.demo.clerks import Clerk
from ticketdb.demo.closing import account_of, close
from ticketdb.demo.people import Connection, Person, Sale, Show
from ticketdb.errors import ExitStatus
from ticketdb.migrate import commands
from ticketdb.migrate.run import Step
from ticketdb.private_server import private_cluster
from ticketdb.watch import dashboards
from ticketdb.watch.dashboards import Rows, Views, shown, table

DATABASE = "ticketdb"
CLERKS = 3
SPARE_CONNECTIONS = 50  # beside the buyers: clerks, clock, cleanup, pg_cron, and a psql of the user
CLEANUP_EVERY = 0.5  # seconds
FINAL_CLEANUPS = 20
CALLER = "ticketdb demo: buyer or clerk"
CALLERS_LEFT = (
    "SELECT FROM pg_stat_activity"
    f" WHERE datname = current_database() AND application_name = '{CALLER}'"
)
SHOWS = "SELECT id, name, currency FROM shows ORDER BY starts_at DESC"
DOOMED = "Matinee"  # the show that is cancelled
SEAT_MAP = "SELECT * FROM get_seat_map(%s)"
CLEAN_UP = "CALL run_reservation_cleanup('demo')"
OVERDUE = "SELECT FROM seat_reservations WHERE is_active AND expires_at <= now() LIMIT 1"

# roll_up_metrics() returns no row while pg_cron's job runs.
ROLL_UP = "SELECT COALESCE(sum(events_folded), 0) AS folded FROM roll_up_metrics()"


@dataclass(frozen=True)
class Look:
    """What the database showed at one moment, and the comparison with the buyers' account."""

    views: Views
    comparison: Rows


@dataclass(frozen=True)
class Reckoning:
    """Two looks: one when some events were rolled up and some were not, one when all were.

    `account`: that of all buyers, as JSON.
    """

    account: str
    first: Look
    rolled_up_before: int
    rolled_up_after: int
    last: Look

    @property
    def differing(self) -> Rows:
        comparisons = (*self.first.comparison, *self.last.comparison)
        return [row for row in comparisons if not row["agree"]]


def run(*, buyers: int = 200, seconds: float = 12.0, seed: int = 1, json: bool = False) -> int:
    """Sell seats for some seconds on a private PostgreSQL. Exit status 1 when any number differs.

    With `json` the result goes to standard output, and the rest to standard error.
    """
    console = Console(stderr=json, highlight=False)
    settings = {"max_connections": str(buyers + SPARE_CONNECTIONS)}
    with private_cluster(cron_database=DATABASE, settings=settings, durable=True) as cluster:
        cluster.create_database(DATABASE)
        cron = "with" if cluster.binaries.has_pg_cron else "without"
        console.print(f"PostgreSQL {cluster.binaries.version} {cron} pg_cron: {cluster.directory}")
        install(cluster.dsn(DATABASE), console)
        sale = sell(cluster.dsn(DATABASE), buyers, seconds, seed, console)
        with database.explained("demo"):
            try:
                reckoning = asyncio.run(sale)
            except asyncio.CancelledError:
                raise SystemExit(128 + signal.SIGTERM) from None
    agree = not reckoning.differing
    if json:
        result = {
            "agree": agree,
            **dashboards.as_data(reckoning.first.views),
            "comparison": reckoning.first.comparison,
            "comparison_after_rollup": reckoning.last.comparison,
        }
        print(dumps(result, default=str, indent=2))
    else:
        print_result(reckoning, console)
    return ExitStatus.OK if agree else ExitStatus.CHECK_FAILED


def progress_bar(console: Console) -> Progress:
    """A bar with a text on a terminal, nothing elsewhere."""
    columns = (BarColumn(20), TextColumn("{task.description}"))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def install(dsn: str, console: Console) -> None:
    """Apply every migration, and print the progress."""
    with progress_bar(console) as bar:
        task = bar.add_task("")

        def show(step: Step) -> None:
            done = step.position - (step.kind != "done")
            bar.update(task, total=step.total, completed=done, description=step.description)
            if step.kind == "done":
                console.print(f"{step.revision} {step.description}: {step.seconds:.2f} s")

        for job in commands.apply(dsn, Variables(), progress=show).jobs:
            console.print(f"job {job.job_name} ({job.schedule}): {job.action}")


async def sell(dsn: str, buyers: int, seconds: float, seed: int, console: Console) -> Reckoning:
    """Put shows on sale in a database at head, let buyers buy, and compare the numbers."""
    # An error that ends the sale is raised: do not print those that follow from it.
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    loop.set_exception_handler(lambda *_: None)
    assert this is not None
    # As Ctrl-C does. An exception raised in a signal handler could come at any point, and leave a
    # connection locked that still has to be closed.
    loop.add_signal_handler(signal.SIGTERM, this.cancel)
    async with AsyncExitStack() as stack:

        async def enter(role: str = "none", name: str = "ticketdb demo") -> Connection:
            connection = await psycopg.AsyncConnection.connect(
                dsn,
                autocommit=True,
                row_factory=dict_row,
                application_name=name,
                options=f"-c role={role}",
            )
            return await stack.enter_async_context(connection)

        clock, dba = await enter(), await enter()
        await dba.execute(sql_file("shows.sql"))
        shows: list[Show] = []
        for row in await (await dba.execute(SHOWS)).fetchall():
            show = Show(**row, is_doomed=row["name"] == DOOMED)
            show.draw(await (await dba.execute(SEAT_MAP, [show.id])).fetchall())
            shows.append(show)
            sections = ", ".join(show.sections)
            console.print(f"{show.name}: {len(show.prices):,} seats in {sections}; {show.currency}")
        (moment,) = await (await dba.execute("SELECT clock_timestamp() AS now")).fetchall()
        sale = Sale(list(shows), clock, opened_at=moment["now"])
        crowd = [
            Buyer(n, seed, sale, await enter("ticketdb_app", CALLER)) for n in range(1, buyers + 1)
        ]
        for n in range(1, CLERKS + 1):
            sale.clerks.append(Clerk(n, seed, sale, await enter("ticketdb_box_office", CALLER)))
        console.print(f"{buyers} buyers and {CLERKS} clerks for {seconds:g} seconds")
        sale.ends_at = loop.time() + seconds
        house = asyncio.create_task(keep_house(dba, sale))
        everybody: list[Person] = [*crowd, *sale.clerks]
        await asyncio.gather(
            *(person.run() for person in everybody),
            house,
            sale.clerks[-1].hold_back(shows[0]),
            cancel_a_show(sale, seconds),
            watch(crowd, sale, seconds, console),
        )
        await clean_up(dba)
        await close(sale, shows, crowd)
        with database.connect(dsn, autocommit=True) as dashboard:
            account = account_of(everybody, sale)
            first = look(dashboard, account)
            # A server process reports its deadlocks to the statistics when it ends, if not before.
            for person in everybody:
                await person.connection.close()
            while (await clock.execute(CALLERS_LEFT)).rowcount:
                await asyncio.sleep(0.05)
            rest = await roll_up(dba)
            return Reckoning(account, first, house.result(), rest, look(dashboard, account))


def sql_file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


async def keep_house(dba: Connection, sale: Sale) -> int:
    """Run the cleanup and the rollup beside the sale. Returns how many events were rolled up."""
    rolled_up = 0
    while sale.seconds_left > 0:
        with suppress(psycopg.errors.RaiseException):  # failed runs are in reservation_cleanup_runs
            await dba.execute(CLEAN_UP)
        rolled_up += await roll_up(dba)
        await asyncio.sleep(min(CLEANUP_EVERY, max(0, sale.seconds_left)))
    return rolled_up


async def cancel_a_show(sale: Sale, seconds: float) -> None:
    """Cancel it after half of the sale, beside those who are buying."""
    await asyncio.sleep(max(0, sale.seconds_left - seconds / 2))
    await sale.clerks[0].cancel_show(next(show for show in sale.shows if show.is_doomed))


async def clean_up(dba: Connection) -> None:
    """Run the cleanup until no overdue hold is left.

    After FINAL_CLEANUPS runs it gives up: overdue holds are left, and the numbers differ.
    """
    for _ in range(FINAL_CLEANUPS):
        if not (await dba.execute(OVERDUE)).rowcount:
            break
        with suppress(psycopg.errors.RaiseException):
            await dba.execute(CLEAN_UP)
        await asyncio.sleep(0.1)


async def roll_up(dba: Connection) -> int:
    """Roll up all events. Returns their number."""
    row = await (await dba.execute(ROLL_UP)).fetchone()
    assert row is not None
    return int(row["folded"])


async def watch(crowd: list[Buyer], sale: Sale, seconds: float, console: Console) -> None:
    """Print the progress: one line that is updated on a terminal, five lines elsewhere."""
    every = 0.25 if console.is_terminal else seconds / 5
    before = 0
    with progress_bar(console) as bar:
        task = bar.add_task("", total=seconds)
        while sale.seconds_left > 0:
            await asyncio.sleep(min(every, sale.seconds_left))
            holds = sum(len(buyer.holds) for buyer in crowd)
            conflicts = sum(b.account["hold calls refused", "SEATS_UNAVAILABLE"] for b in crowd)
            sold = sum(len(order.tickets) for buyer in crowd for order in buyer.orders)
            speed, before = (holds - before) / every, holds
            line = f"{speed:5.0f} holds/s {holds:6,} held {conflicts:6,} conflicts {sold:6,} sold"
            bar.update(task, completed=seconds - sale.seconds_left, description=line)
            if not console.is_terminal:
                console.print(line)


def look(connection: database.Connection, account: str) -> Look:
    """Read the dashboards as a monitoring role does, and compare every number."""
    connection.execute("SELECT ticketdb.check_invariants()")  # the view shows its last result
    with dashboards.one_snapshot(connection):
        # The comparison names tables without their schema, as a session of a user would.
        connection.execute("SET LOCAL search_path = public")
        connection.execute("SET LOCAL ROLE dashboard_reader")
        views = dashboards.read(connection, Variables())
        cursor = connection.cursor(row_factory=dict_row)
        comparison = cursor.execute(sql_file("reckoning.sql"), {"account": account}).fetchall()
        return Look(views, comparison)


def print_result(reckoning: Reckoning, console: Console) -> None:
    lines: Rows = []
    for metric, rows in groupby(reckoning.first.comparison, key=itemgetter("metric")):
        lines.append(
            {"": Text(metric, "bold"), "buyers count": "", "database reports": "", " ": ""}
        )
        for row in rows:
            figures = {
                "buyers count": row["buyers_count"],
                "database reports": row["database_reports"],
            }
            mark = Text("OK", "green") if row["agree"] else Text("DIFFERENT", "bold red")
            lines.append({"": "  " + row["of_what"]} | figures | {" ": mark})
    console.print("", Text("Number by number", "bold"), table("", lines), "", sep="\n")
    console.print(dashboards.drawn(reckoning.first.views), "", sep="\n")
    for row in reckoning.differing:
        console.print(
            f"{row['metric']}, {row['of_what']}: the buyers count {shown(row['buyers_count'])},"
            f" the database reports {shown(row['database_reports'])}",
            style="bold red",
            markup=False,
        )
    if not reckoning.differing:
        console.print(
            f"[green]All {len(reckoning.first.comparison)} numbers agree.[/]"
            " No seat was sold twice.\n"
            f"{reckoning.rolled_up_before:,} events had been rolled up, and"
            f" {reckoning.rolled_up_after:,} had not.\n"
            "The numbers were the same once all of them were."
        )
