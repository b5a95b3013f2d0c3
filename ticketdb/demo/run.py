"""The demo: a private PostgreSQL, every migration, some hundred buyers, and a check.

When every call has been answered, what the database reports is compared with what the buyers have
counted, number by number and in one snapshot; and again when all events have been rolled up.
"""

import asyncio
import signal
from collections import Counter
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
from ticketdb.demo.buyers import Buyer, Connection, Sale, Show
from ticketdb.errors import ExitStatus
from ticketdb.migrate import commands
from ticketdb.migrate.run import Step
from ticketdb.private_server import private_cluster
from ticketdb.watch import dashboards
from ticketdb.watch.dashboards import Rows, Views, shown, table

DATABASE = "ticketdb"
SPARE_CONNECTIONS = 50  # beside the buyers: clock, cleanup, pg_cron, and a psql of the user
CLEANUP_EVERY = 0.5  # seconds
FINAL_CLEANUPS = 20
BUYER = "ticketdb demo: buyer"
BUYERS_LEFT = (
    "SELECT FROM pg_stat_activity"
    f" WHERE datname = current_database() AND application_name = '{BUYER}'"
)
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
        shows: dict[str, Show] = {}
        for plan in await (await dba.execute(sql_file("seat_plans.sql"))).fetchall():
            show = Show(plan["id"], plan["name"], plan["currency"], sections={}, prices={})
            show = shows.setdefault(plan["name"], show)
            show.sections[plan["section"]] = plan["ids"]
            show.prices.update(zip(plan["ids"], plan["prices"], strict=True))
        for show in shows.values():
            sections = ", ".join(show.sections)
            console.print(f"{show.name}: {len(show.prices):,} seats in {sections}; {show.currency}")
        sale = Sale(list(shows.values()), clock)
        crowd = [
            Buyer(n, seed, sale, await enter("ticketdb_app", BUYER)) for n in range(1, buyers + 1)
        ]
        console.print(f"{buyers} buyers for {seconds:g} seconds")
        sale.ends_at = loop.time() + seconds
        house = asyncio.create_task(keep_house(dba, sale))
        await asyncio.gather(
            *(buyer.run() for buyer in crowd),
            house,
            watch(crowd, sale, seconds, console),
        )
        await clean_up(dba)
        with database.connect(dsn, autocommit=True) as dashboard:
            account = account_of(crowd)
            first = look(dashboard, account)
            # A server process reports its deadlocks to the statistics when it ends, if not before.
            for buyer in crowd:
                await buyer.connection.close()
            while (await clock.execute(BUYERS_LEFT)).rowcount:
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


def account_of(crowd: list[Buyer]) -> str:
    """What all buyers together have counted, held and ordered, as JSON."""
    total: Counter[tuple[str, str]] = Counter()
    for buyer in crowd:
        total.update(buyer.account)
    orders = [order for buyer in crowd for order in buyer.orders]
    account = {
        "account": [(*key, value) for key, value in total.items()],
        "holds": [vars(hold) | {"show": hold.show.name} for buyer in crowd for hold in buyer.holds],
        "orders": [
            {"seats": order.hold.seats, "currency": order.hold.show.currency}
            | (vars(order) | {"hold": None, "show": order.hold.show.name})
            for order in orders
        ],
    }
    return dumps(account, default=str)


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
