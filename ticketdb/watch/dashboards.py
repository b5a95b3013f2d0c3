"""The guide's three dashboards, health and alerts: read from the monitoring views, for a terminal.

The views define what each number means; this module only groups and formats them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row
from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ticketdb.config import Variables
from ticketdb.database import Connection

DASHBOARDS = {
    "Real-Time Operations": ("realtime_dashboard", "revenue_today"),
    "Quality Metrics": ("quality_dashboard",),
    "System Health": ("system_health", "connection_pool", "api_endpoint_health"),
}
VIEWS = (*(view for views in DASHBOARDS.values() for view in views), "health", "alerts")
SEVERITIES = ("critical", "warning", "info")
# UNKNOWN must not outrank a known problem.
WORST_LAST = ("OK", "UNKNOWN", "WARNING", "CRITICAL")
SERIOUS = WORST_LAST[2:]

Rows = list[dict[str, Any]]
Views = dict[str, Rows]

EXISTING = """
    SELECT c.relname
    FROM pg_catalog.pg_class AS c
    INNER JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = ANY(%s)
"""


@contextmanager
def one_snapshot(connection: Connection) -> Iterator[None]:
    """A read-only transaction with one snapshot. For autocommit connections."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def read(connection: Connection, variables: Variables) -> Views:
    """The rows of each view by its label, firing alerts first. To be called in `one_snapshot`.

    Views that the database does not have are left out. Raises psycopg.Error.
    """
    views = rows_of(connection, variables.monitoring_schema, VIEWS)
    for rows in views.values():
        rows.sort(key=lambda row: str(next(iter(row.values()))))
    views.get("alerts", []).sort(
        key=lambda alert: (-alert["firing"], SEVERITIES.index(alert["severity"]))
    )
    return views


def rows_of(connection: Connection, schema: str, names: Sequence[str]) -> Views:
    """The rows of those of the views that exist."""
    existing = {name for (name,) in connection.execute(EXISTING, [schema, list(names)])}
    cursor = connection.cursor(row_factory=dict_row)
    views: Views = {}
    for name in (name for name in names if name in existing):
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, name))
        views[name] = cursor.execute(query).fetchall()
    return views


def as_data(views: Views) -> dict[str, Any]:
    """The same for JSON: the rows of each dashboard by title and view, health, and alerts."""
    return {
        "dashboards": {
            title: {name: views[name] for name in names if name in views}
            for title, names in DASHBOARDS.items()
        },
        "health": views.get("health", []),
        "alerts": views.get("alerts", []),
    }


def drawn(views: Views) -> Group:
    """The dashboards, health and the alerts, as far as the database has them."""
    parts: list[RenderableType] = []
    for title, names in DASHBOARDS.items():
        tables = [
            Padding(table(name, _upright(views[name])), (0, 0, 1, 0), expand=False)
            for name in names
            if name in views
        ]
        parts += [Text(title, "bold"), Columns(tables, padding=(0, 4))] if tables else []
    if "health" in views:
        parts += [Text("Health", "bold"), *_health(views["health"])]
    if "alerts" in views:
        parts += [Text("Alerts", "bold"), *_alerts(views["alerts"])]
    return Group(*parts)


def _upright(rows: Rows) -> Rows:
    """Turn a single row of numbers into a column, which is easier to read."""
    if len(rows) != 1 or any(isinstance(value, str) for value in rows[0].values()):
        return rows
    return [{"": heading(name), " ": never(name, value)} for name, value in rows[0].items()]


def never(name: str, value: Any) -> Any:
    """The value, or "never" for a missing age: the event has not happened yet."""
    return "never" if value is None and name.endswith("_age_seconds") else value


def _health(checks: Rows) -> Iterator[RenderableType]:
    lines = [
        {
            "": check["status"],
            "check": check["check_name"],
            "message": check["message"],
            "value": check["value"],
            " ": check["unit"],
        }
        for check in sorted(checks, key=lambda check: -WORST_LAST.index(check["status"]))
    ]
    yield table("", lines, ["bold red" if line[""] in SERIOUS else "" for line in lines])


def unwell(checks: Rows) -> str:
    """The checks that are not OK, by their status, worst first; without the one of the alerts."""
    found: dict[str, list[str]] = {}
    for check in checks:
        if check["status"] != "OK" and check["check_name"] != "alerts":
            found.setdefault(check["status"], []).append(check["check_name"])
    return "; ".join(
        f"{status}: {', '.join(sorted(found[status]))}"
        for status in reversed(WORST_LAST)
        if status in found
    )


def _alerts(alerts: Rows) -> Iterator[RenderableType]:
    lines = [
        {
            "": "FIRING" if alert["firing"] else "quiet",
            "alert": alert["alert_name"],
            "severity": alert["severity"],
            # An alert that fires without a value is about an event that has never happened.
            "value": "never" if alert["firing"] and alert["value"] is None else alert["value"],
            "threshold": alert["threshold"],
            "window_seconds": alert["time_window_seconds"],
        }
        for alert in alerts
    ]
    yield table("", lines, ["bold red" if alert["firing"] else "" for alert in alerts])
    for alert in alerts:
        if alert["firing"]:
            advice = "{severity} {alert_name}: {summary} {action} See {runbook}".format_map(alert)
            yield Text(printable(advice), "red")


def table(title: str, rows: Rows, styles: Sequence[str] = ()) -> Table:
    """A table of rows, numbers aligned to the right. `styles`: the style of each row."""
    made = Table(title=title or None, title_justify="left", title_style="dim", box=SIMPLE_HEAD)
    made.show_edge = made.pad_edge = False
    made.padding = (0, 1, 0, 0)
    cells = [[shown(never(name, value)) for name, value in row.items()] for row in rows]
    names = list(rows[0]) if rows else []
    made.show_header = any(name.strip() for name in names)
    for index, name in enumerate(names):
        if any(isinstance(row[name], int | float) for row in rows):
            # Break the heading rather than make the column wider than its numbers.
            widest = max(*(row[index].cell_len for row in cells), *map(len, heading(name).split()))
            made.add_column(heading(name), justify="right", max_width=widest)
        else:
            made.add_column(heading(name), overflow="fold")
    for row, style in zip(cells, styles or repeat(""), strict=False):
        made.add_row(*row, style=style)
    return made


def shown(value: Any) -> Text:
    """A value of a view as text. Labels come from users: control characters are replaced."""
    if isinstance(value, Text):
        return value
    if isinstance(value, int | float):
        return Text(figure(value))
    return Text("–" if value is None else printable(str(value)))


def figure(value: float) -> str:
    """A number with thousands separators and three significant decimals at most."""
    size = abs(value)
    decimals = 3 if size < 1 else 2 if size < 100 else 1 if size < 1000 else 0
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def heading(name: str) -> str:
    """The name of a column with blanks, its unit abbreviated."""
    words = name.replace("_", " ")
    for unit, short in {" milliseconds": " ms", " seconds": " s", " pct": " %"}.items():
        words = words.removesuffix(unit) + short if words.endswith(unit) else words
    return words


def printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
