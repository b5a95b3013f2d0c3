"""The plugin for Nagios and compatible systems: one line on standard output, exit status 0 to 3.

The format is that of the Monitoring Plugins Development Guidelines: a state, a text, and after a
bar the performance data, each ``'label'=value[UOM];[warn];[crit];[min];[max]``.
"""

import os
import signal
import sys
from collections.abc import Callable
from enum import IntEnum

from ticketdb.config import Variables
from ticketdb.database import Row, connect, explained, query
from ticketdb.watch import dashboards
from ticketdb.watch.dashboards import figure, printable


class State(IntEnum):
    """The state of a service, by its exit status."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


WORST_LAST = [State[status] for status in dashboards.WORST_LAST]

# The lower of the plugin's limit and the role's, in milliseconds; 0 means no limit.
LIMIT = """
    SELECT set_config('statement_timeout', least(nullif(setting::bigint, 0), %s)::text, true)
    FROM pg_catalog.pg_settings
    WHERE name = 'statement_timeout'
"""


def run(command: Callable[[], int]) -> int:
    """Run the command. An error is printed as UNKNOWN, on standard output, as Nagios expects it."""
    try:
        return command()
    except Exception as error:
        # An error of usage has a method for a message that names the option.
        message = getattr(error, "format_message", error.__str__)()
        return report(State.UNKNOWN, message or type(error).__name__)


def check(dsn: str, variables: Variables, alert_name: str, seconds: float) -> int:
    """Print the state of the database, or of one alert. Returns the exit status.

    After `seconds` without a result the state is UNKNOWN. Raises TicketdbError.
    """

    def give_up(_signal: int, _frame: object) -> None:
        report(State.UNKNOWN, f"no answer within {seconds:g} s")
        os._exit(State.UNKNOWN)  # without closing the connection: the server does not answer

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with connect(dsn) as connection, explained("check", "", "E_MONITORING"):
            # The server must stop, too: the next check, a minute later, would add one more query.
            connection.execute(LIMIT, [round(seconds * 1000)])
            rows = query(connection, "watch/check.sql", variables, whole=not alert_name)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if alert_name:
        known = ", ".join(row.name for row in rows)
        rows = [row for row in rows if row.name == alert_name]
        if not rows:
            return report(State.UNKNOWN, f"no alert is named {alert_name}; the alerts are {known}")
    alerts = [row for row in rows if row.kind == "alert"]
    # The health check of the alerts would only repeat them.
    complaints = sorted(
        (row for row in rows if row.state != "OK" and (row.kind, row.name) != ("check", "alerts")),
        key=lambda row: -WORST_LAST.index(State[row.state]),
    )
    fine = f"{len(rows) - len(alerts)} checks passed, no critical or warning alert fires"
    text = "; ".join(map(_complaint, complaints)) or (_reading(rows[0]) if alert_name else fine)
    worst = max((State[row.state] for row in rows), key=WORST_LAST.index)
    return report(worst, text, [_performance(alert) for alert in alerts if alert.value is not None])


def _complaint(row: Row) -> str:
    if row.kind == "alert":
        return f"{_reading(row)}: {row.text.rstrip('.')}"
    number = "" if row.value is None else f" ({figure(row.value)}{row.unit})"
    return f"{row.name}: {row.text}{number}"


def _reading(alert: Row) -> str:
    if alert.value is None:
        # An alert that fires without a value is about an event that has never happened.
        value = "has no data" if alert.state == "OK" else "is never"
    else:
        value = f"is {figure(alert.value)}{alert.unit}"
    return f"{alert.name} {value} (fires {alert.comparison} {figure(alert.threshold)})"


def _performance(alert: Row) -> str:
    """The alert's value, with its threshold in the field of its severity.

    A threshold is the range of good values: 20 means from 0 to 20, and 90: means from 90 up.
    """
    limit = _number(alert.threshold) + (":" if alert.comparison == "<" else "")
    limits = {"warning": f"{limit};", "critical": f";{limit}"}.get(alert.severity, ";")
    return f"'{alert.name}'={_number(alert.value)}{alert.unit};{limits};;"


def _number(value: float) -> str:
    """A number without an exponent, as performance data requires it."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def report(state: State, text: str, performance: list[str] | None = None) -> int:
    """Print the line. Returns the exit status."""
    # A bar would begin the performance data, and further lines have another meaning.
    line = f"TICKETDB {state.name} - {printable(' '.join(text.split())).replace('|', '/')}"
    if performance:
        line += "|" + " ".join(performance)
    encoding = sys.stdout.encoding or "ascii"
    print(line.encode(encoding, "replace").decode(encoding), flush=True)
    return state
