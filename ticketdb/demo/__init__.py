"""The demo: a private PostgreSQL, every migration, some hundred buyers, and a reckoning.

When every call has been answered, what the database reports is compared with what the buyers were
told, number by number and in one snapshot.
"""

import asyncio
import re
from collections import Counter
from contextlib import AsyncExitStack, suppress
from itertools import groupby
from json import dumps
from operator import itemgetter
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ticketdb import migrate
from ticketdb.cluster import private_cluster
from ticketdb.config import Variables
from ticketdb.database import explained
from ticketdb.demo.buyers import Buyer, Connection, Sale, Show
from ticketdb.errors import ExitStatus

DATABASE = "ticketdb"
SPARE_CONNECTIONS = 50  # beside the buyers: clock, cleanup, pg_cron, and a curious visitor's psql
CLEANUP_EVERY = 0.5  # seconds
FINAL_CLEANUPS = 20
BUYER = "ticketdb demo: buyer"
BUYERS_LEFT = (
    "SELECT FROM pg_stat_activity"
    f" WHERE datname = current_database() AND application_name = '{BUYER}'"
)
OVERDUE = "SELECT FROM seat_reservations WHERE is_active AND expires_at <= now() LIMIT 1"

Rows = list[dict[str, Any]]
Dashboards = dict[str, Rows]


def run(*, buyers: int = 200, seconds: float = 12.0, seed: int = 1, json: bool = False) -> int:
    """Sell seats for some seconds on a private PostgreSQL. Exit status 1 when any number differs.

    With `json` the result goes to standard output, and what people read to standard error.
    """
    console = Console(stderr=json, highlight=False)
    settings = {"max_connections": str(buyers + SPARE_CONNECTIONS)}
    with private_cluster(cron_database=DATABASE, settings=settings, durable=True) as cluster:
        cluster.create_database(DATABASE)
        cron = "with" if cluster.binaries.has_pg_cron else "without"
        console.print(f"PostgreSQL {cluster.binaries.version} {cron} pg_cron: {cluster.directory}")
        install(cluster.dsn(DATABASE), console)
        sale = sell(cluster.dsn(DATABASE), buyers, seconds, seed, console)
        with explained("demo"):
            dashboards, comparison = asyncio.run(sale)
    agree = all(row["agree"] for row in comparison)
    if json:
        result = {"agree": agree, "dashboards": dashboards, "comparison": comparison}
        print(dumps(result, default=str, indent=2))
    else:
        print_result(dashboards, comparison, console)
    return ExitStatus.OK if agree else ExitStatus.CHECK_FAILED


def progress_bar(console: Console) -> Progress:
    """A bar with words after it on a terminal, nothing elsewhere."""
    columns = (BarColumn(20), TextColumn("{task.description}"))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def install(dsn: str, console: Console) -> None:
    """Apply every migration, in sight of the user."""
    with progress_bar(console) as bar:
        task = bar.add_task("")

        def tell(step: migrate.Step) -> None:
            done = step.position - (step.kind != "done")
            bar.update(task, total=step.total, completed=done, description=step.description)
            if step.kind == "done":
                console.print(f"{step.revision} {step.description}: {step.seconds:.2f} s")

        for job in migrate.apply(dsn, Variables(), progress=tell).jobs:
            console.print(f"job {job.job_name} ({job.schedule}): {job.action}")


async def sell(
    dsn: str, buyers: int, seconds: float, seed: int, console: Console
) -> tuple[Dashboards, Rows]:
    """Put shows on sale in a database at head, let people buy, and reckon up."""
    # Whatever ends the sale early is raised by it: no need to print what else fails on the way out.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
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
        people = [
            Buyer(n, seed, sale, await enter("ticketdb_app", BUYER)) for n in range(1, buyers + 1)
        ]
        console.print(f"{buyers} buyers for {seconds:g} seconds")
        sale.ends_at = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(
            *(buyer.run() for buyer in people),
            clean_up(dba, sale),
            watch(people, sale, seconds, console),
        )
        await clean_up(dba, sale)
        return await reckon(people, dba, clock)


def sql_file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


async def clean_up(dba: Connection, sale: Sale) -> None:
    """Run the cleanup beside the sale; after it, until no hold is left that is over.

    One that achieves nothing is given up: then holds are left, and numbers differ.
    """
    runs_left = FINAL_CLEANUPS
    while sale.seconds_left > 0 or (runs_left and (await dba.execute(OVERDUE)).rowcount):
        runs_left -= sale.seconds_left <= 0
        with suppress(psycopg.errors.RaiseException):  # a run that failed is on record
            await dba.execute("CALL run_reservation_cleanup('demo')")
        await asyncio.sleep(min(CLEANUP_EVERY, max(0.1, sale.seconds_left)))


async def watch(people: list[Buyer], sale: Sale, seconds: float, console: Console) -> None:
    """Say how it goes: in one line that moves on a terminal, in five elsewhere."""
    every = 0.25 if console.is_terminal else seconds / 5
    before = 0
    with progress_bar(console) as bar:
        task = bar.add_task("", total=seconds)
        while sale.seconds_left > 0:
            await asyncio.sleep(min(every, sale.seconds_left))
            holds = sum(len(buyer.holds) for buyer in people)
            conflicts = sum(b.account["hold calls refused", "SEATS_UNAVAILABLE"] for b in people)
            sold = sum(len(order.tickets) for buyer in people for order in buyer.orders)
            speed, before = (holds - before) / every, holds
            line = f"{speed:5.0f} holds/s {holds:6,} held {conflicts:6,} conflicts {sold:6,} sold"
            bar.update(task, completed=seconds - sale.seconds_left, description=line)
            if not console.is_terminal:
                console.print(line)


async def reckon(
    people: list[Buyer], dba: Connection, clock: Connection
) -> tuple[Dashboards, Rows]:
    """Read the dashboards and compare every number. Sends the buyers home on the way."""
    total: Counter[tuple[str, str]] = Counter()
    for buyer in people:
        total.update(buyer.account)
    orders = [order for buyer in people for order in buyer.orders]
    told = {
        "account": [(*key, value) for key, value in total.items()],
        "holds": [
            vars(hold) | {"show": hold.show.name} for buyer in people for hold in buyer.holds
        ],
        "orders": [
            {"seats": order.hold.seats, "currency": order.hold.show.currency}
            | (vars(order) | {"hold": None, "show": order.hold.show.name})
            for order in orders
        ],
    }
    dashboards: Dashboards = {}
    parts = re.split(r"^-- as (\w+): (.+)\n", sql_file("dashboards.sql"), flags=re.MULTILINE)
    await dba.set_autocommit(False)
    await dba.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
    await dba.execute(
        "SELECT set_config('timezone', business_time_zone, true) FROM ticketing_settings"
    )
    for role, title, query in zip(*[iter(parts[1:])] * 3, strict=True):
        await dba.execute(f"SET LOCAL ROLE {role}")
        dashboards[title] = await (await dba.execute(query)).fetchall()
    # A server process tells of its deadlocks when it ends, if not before.
    for buyer in people:
        await buyer.connection.close()
    while (await clock.execute(BUYERS_LEFT)).rowcount:
        await asyncio.sleep(0.05)
    await dba.execute("SET LOCAL ROLE dashboard_reader")
    both = {"told": dumps(told, default=str), "dashboards": dumps(dashboards, default=str)}
    return dashboards, await (await dba.execute(sql_file("reckoning.sql"), both)).fetchall()


def print_result(dashboards: Dashboards, comparison: Rows, console: Console) -> None:
    titles = list(dashboards)
    # Two of single figures, side by side where there is room.
    panels = [
        [{"": k.replace("_", " "), " ": v} for k, v in dashboards[title][0].items()]
        for title in titles[:2]
    ]
    console.print("", Columns(map(table, titles, panels)), "", sep="\n")
    for title in titles[2:]:
        console.print(table(title, dashboards[title]), "", sep="\n")
    lines: Rows = []
    for metric, rows in groupby(comparison, key=itemgetter("metric")):
        lines.append({"": Text(metric, "bold"), "buyers say": "", "database says": "", " ": ""})
        for row in rows:
            figures = {"buyers say": row["buyers_say"], "database says": row["database_says"]}
            mark = Text("OK", "green") if row["agree"] else Text("DIFFERENT", "bold red")
            lines.append({"": "  " + row["of_what"]} | figures | {" ": mark})
    console.print(table("Number by number", lines), "", sep="\n")
    differing = [row for row in comparison if not row["agree"]]
    for row in differing:
        console.print(
            f"{row['metric']}, {row['of_what']}: the buyers say {shown(row['buyers_say'])},"
            f" the database says {shown(row['database_says'])}",
            style="bold red",
            markup=False,
        )
    if not differing:
        console.print(f"[green]All {len(comparison)} numbers agree.[/] No seat was sold twice.")


def table(title: str, rows: Rows) -> Table:
    """Rows as the database gave them, figures to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    made.show_edge = made.pad_edge = False
    names = list(rows[0]) if rows else []
    made.show_header = any(name.strip() for name in names)
    for name in names:
        is_figure = any(isinstance(row[name], int | float) for row in rows)
        made.add_column(name.replace("_", " "), justify="right" if is_figure else "left")
    for row in rows:
        made.add_row(*map(shown, row.values()))
    return made


def shown(value: Any) -> str | Text:
    if isinstance(value, float):
        return f"{value:,.2f}".removesuffix(".00")
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, Text) else escape(str("–" if value is None else value))
