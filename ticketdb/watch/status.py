"""The revision, the last runs, the dashboards and the alerts of a database: once, or repeatedly."""

import json
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from ticketdb import __version__
from ticketdb.config import Variables
from ticketdb.database import State, connect, explained
from ticketdb.errors import ExitStatus, TicketdbError
from ticketdb.migrate.chain import read_chain
from ticketdb.paths import shipped_tree
from ticketdb.watch import dashboards
from ticketdb.watch.dashboards import Rows, Views, table

JOB_STATUS = "reservation_cleanup_job_status"
JOB_COLUMNS = ("start_time", "status", "duration_seconds", "scheduler", "return_message")


@dataclass(frozen=True)
class Status:
    """What `ticketdb status` shows. `facts`: short texts by name."""

    read_at: str
    facts: dict[str, Any]
    last_runs: Rows
    views: Views

    def as_data(self) -> dict[str, Any]:
        return {
            "read_at": self.read_at,
            **self.facts,
            "last_runs": self.last_runs,
            **dashboards.as_data(self.views),
            "missing_views": self.missing_views,
        }

    @property
    def missing_views(self) -> list[str]:
        return [view for view in dashboards.VIEWS if view not in self.views]

    def drawn(self) -> Group:
        """The same for a terminal."""
        firing = [alert["alert_name"] for alert in self.views.get("alerts", []) if alert["firing"]]
        unwell = dashboards.unwell(self.views.get("health", []))
        quiet = "none, but see health" if unwell else "none"
        well = "OK" if "health" in self.views else "not known"
        facts = self.facts | {"firing": ", ".join(firing) or quiet, "health": unwell or well}
        parts: list[RenderableType] = [Text(f"{name:<10} {fact}") for name, fact in facts.items()]
        if self.missing_views:
            parts.append(
                Text(f"missing: {', '.join(self.missing_views)} - run `ticketdb apply`", "red")
            )
        if self.last_runs:
            runs = [{column: run[column] for column in JOB_COLUMNS} for run in self.last_runs]
            parts += ["", Text("Last runs of the cleanup", "bold"), table("", runs)]
        return Group(*parts, "", dashboards.drawn(self.views))


def read_status(dsn: str, variables: Variables) -> Status:
    """Read what this role may read, at whatever revision. Raises TicketdbError."""
    with (
        connect(dsn, autocommit=True) as connection,
        explained("status", "", "E_MONITORING"),
        dashboards.one_snapshot(connection),
    ):
        try:
            with connection.transaction():
                revision = State.read(connection, variables).reached(variables)
        except TicketdbError as error:
            # Roles that only monitor may not read the ledger.
            if error.code != "E_PRIVILEGE":
                raise
            revision = "not readable by this role"
        runs = dashboards.rows_of(connection, variables.schema, [JOB_STATUS]).get(JOB_STATUS, [])
        views = dashboards.read(connection, variables)
        info = connection.info
        facts = {
            "database": info.dbname,
            "postgresql": info.server_version // 10000,
            "package": __version__,
            "revision": revision,
            "head": read_chain(shipped_tree())[-1].revision,
            "scheduler": runs[0]["scheduler"] if runs else "none has run yet",
        }
    return Status(datetime.now().astimezone().isoformat(timespec="seconds"), facts, runs, views)


def watch(every: float, read: Callable[[], Status], *, as_json: bool) -> None:
    """Print the status every so many seconds, until Ctrl-C or SIGTERM.

    It is updated in place on a terminal, and appended elsewhere; as JSON, one document a line.
    Errors are printed, but for those of usage, which are raised.
    """
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.default_int_handler)
    console = Console(highlight=False)
    in_place = console.is_terminal and not console.is_dumb_terminal and not as_json
    live = Live(console=console, screen=True, auto_refresh=False) if in_place else None
    latest: RenderableType = ""
    with suppress(KeyboardInterrupt), live or nullcontext():
        while True:
            head = Text(f"every {every:g} s; press Ctrl-C to stop", "dim")
            try:
                status = read()
            except TicketdbError as error:
                if error.exit_status == ExitStatus.USAGE:
                    raise
                complaint = f"{error}; trying again in {every:g} s"
                head = Text(complaint, "bold red")
                if live is None:
                    print(complaint, file=sys.stderr, flush=True)
            else:
                latest = Group(Text(status.read_at), status.drawn())
                if as_json:
                    line = json.dumps(status.as_data(), default=str, ensure_ascii=False)
                    print(line, flush=True)
                elif live is None:
                    console.print(f"-- {status.read_at}", status.drawn(), sep="\n")
            if live is not None:
                live.update(Group(head, latest), refresh=True)
            time.sleep(every)
