"""Alerts, and what makes each of them fire."""

from dataclasses import dataclass

from tests.support.happenings import (
    CONFLICT,
    CONSTRAINT,
    INVALID,
    AllHoldsEnd,
    AllIsGivenBack,
    Events,
    Happening,
    Holds,
    Orders,
    Refunds,
    Run,
    write,
)
from tests.support.queries import Connection, Row, one

Story = tuple[Happening, ...]

WELL = Run()  # a minute ago


@dataclass(frozen=True)
class Case:
    """What a rule is tried with. The stories are complete, the runs of the cleanup included."""

    before: Story | None  # one event, one second less than `exactly`; None: there is no less
    exactly: Story  # the value is the threshold
    beyond: Story
    over: Story | None  # what happens after `beyond` and ends it; None: only time does
    # Alerts that fire together with this one, because what it is about is by definition what they
    # are about, too.
    implied: frozenset[str] = frozenset()
    implied_before: frozenset[str] = frozenset()
    minutes_ago: float = 3  # when `beyond` happened: it leaves the window so much earlier
    events: int | None = None  # how many those were, where the rule asks for a minimum
    shown_by: str = ""  # the query of another view for the same number


def mix(event_type: str, count: int, of: int, minutes_ago: float = 3) -> Story:
    """So many of a kind to so many holds created, and a cleanup that runs."""
    return (Events("created", of, minutes_ago), Events(event_type, count, minutes_ago), WELL)


def refusals(count: int, of: int) -> Story:
    """Attempts of which some are refused, half of these without a word. Conflicts do not matter."""
    return (
        Events("created", of - count),
        Events("failed", count // 2, message=INVALID),
        Events("failed", count - count // 2),
        Events("failed", 500, message=CONFLICT),
        WELL,
    )


def lengths(*seconds: float) -> Story:
    """Holds that ended after so many seconds. Released ones are not asked."""
    return (
        Events("created", 10),
        *(
            Events("expired" if n % 2 else "completed", hold_seconds=length)
            for n, length in enumerate(seconds)
        ),
        Events("released", 5, hold_seconds=1e6),
        WELL,
    )


# Sales of yesterday keep the rates of the whole day low, while one of the last minutes is high.
EARLIER_HOLDS = Events("created", 200, minutes_ago=300)
EARLIER_ORDERS = Orders("paid", 300, minutes_ago=300)
SALES = Events("created", 40)

CASES = {
    "constraint_violation": Case(
        before=None,
        exactly=(SALES, WELL),
        beyond=(SALES, Events("failed", message=CONSTRAINT), WELL),
        over=None,
        # Five minutes are part of a day.
        implied=frozenset({"double_booking_attempts"}),
        shown_by="SELECT attempts FROM double_booking_attempts WHERE time_window = '5m'",
    ),
    "double_booking_attempts": Case(
        before=None,
        exactly=(SALES, WELL),
        beyond=(SALES, Events("failed", minutes_ago=30, message=CONSTRAINT), WELL),
        over=None,
        minutes_ago=30,
        shown_by="SELECT attempts FROM double_booking_attempts WHERE time_window = '24h'",
    ),
    "high_expiration_rate": Case(
        before=(EARLIER_HOLDS, *mix("expired", 13, of=20)),
        exactly=(EARLIER_HOLDS, *mix("expired", 14, of=20)),
        beyond=(EARLIER_HOLDS, *mix("expired", 15, of=20)),
        over=(Events("created", 20),),
        events=20,
        shown_by="SELECT expiration_rate_pct FROM reservation_expiration_rate"
        " WHERE time_window = '1h'",
    ),
    "high_expiration_rate_24h": Case(
        before=mix("expired", 15, of=20, minutes_ago=90),
        exactly=mix("expired", 16, of=20, minutes_ago=90),
        beyond=mix("expired", 17, of=20, minutes_ago=90),
        over=(Events("created", 20),),
        minutes_ago=90,
        events=20,
        shown_by="SELECT expiration_rate_pct FROM quality_dashboard",
    ),
    "low_success_rate": Case(
        before=refusals(9, of=100),
        exactly=refusals(10, of=100),
        beyond=refusals(11, of=100),
        over=(Events("created", 20),),
        events=100,
        shown_by="SELECT success_rate_pct FROM reservation_success_rate WHERE time_window = '1h'",
    ),
    "long_hold_time": Case(
        before=lengths(800, 998),
        exactly=lengths(800, 1000),
        beyond=lengths(800, 1002),
        over=(Events("completed", hold_seconds=60),),
        events=2,
        shown_by="SELECT avg_hold_seconds FROM reservation_hold_time",
    ),
    "payment_processing_down": Case(
        before=(EARLIER_ORDERS, Orders("pending", 16), Orders("failed", 3), SALES, WELL),
        exactly=(EARLIER_ORDERS, Orders("pending", 16), Orders("failed", 4), SALES, WELL),
        beyond=(EARLIER_ORDERS, Orders("pending", 16), Orders("failed", 5), SALES, WELL),
        over=(Orders("paid", 10),),
        events=21,
        shown_by="SELECT failure_rate_pct FROM payment_failures WHERE time_window = '15m'",
    ),
    "payment_failure_rate_24h": Case(
        before=(Orders("paid", 95, 20), Orders("failed", 4, 20), WELL),
        exactly=(Orders("paid", 95, 20), Orders("failed", 5, 20), WELL),
        beyond=(Orders("paid", 95, 20), Orders("failed", 6, 20), WELL),
        over=(Orders("paid", 30),),
        minutes_ago=20,
        events=101,
        shown_by="SELECT payment_failure_rate_pct FROM quality_dashboard",
    ),
    "extension_rate": Case(
        before=mix("extended", 9, of=20),
        exactly=mix("extended", 10, of=20),
        beyond=mix("extended", 11, of=20),
        over=(Events("created", 20),),
        events=20,
        shown_by="SELECT 100.0::float8 * total_extended / total_created"
        " FROM get_reservation_statistics()",
    ),
    "cleanup_job_failed": Case(
        before=(Run(seconds_ago=899),),
        exactly=(Run(seconds_ago=900),),
        beyond=(Run(seconds_ago=960),),
        over=(WELL,),
        # Who has not run for fifteen minutes has not run for ten.
        implied=frozenset({"cleanup_job_silent"}),
        implied_before=frozenset({"cleanup_job_silent"}),
        shown_by="SELECT last_cleanup_age_seconds FROM realtime_dashboard",
    ),
    "cleanup_job_silent": Case(
        before=(Run(seconds_ago=599),),
        exactly=(Run(seconds_ago=600),),
        beyond=(Run(seconds_ago=660),),
        over=(WELL,),
        shown_by="SELECT last_run_age_seconds FROM cleanup_job_health",
    ),
    "cleanup_runs_failed": Case(
        before=None,
        exactly=(WELL,),
        beyond=(Run(seconds_ago=1800, status="failed"), WELL),
        over=None,
        minutes_ago=30,
        shown_by="SELECT failed_runs_24h FROM cleanup_job_health",
    ),
    "cleanup_job_slow": Case(
        before=(Run(seconds_ago=300, took_seconds=29), WELL),
        exactly=(Run(seconds_ago=300, took_seconds=30), WELL),
        # Runs that wait behind it, and are short, do not hide it.
        beyond=(
            Run(seconds_ago=300, took_seconds=31),
            *(Run(seconds_ago=n) for n in range(60, 45, -1)),
        ),
        over=None,
        minutes_ago=269 / 60,
        shown_by="SELECT longest_run_seconds FROM cleanup_job_health",
    ),
    "many_active_reservations": Case(
        before=(Holds(999), WELL),
        exactly=(Holds(1000), WELL),
        beyond=(Holds(1001), WELL),
        # They all run out, which is another alert's matter: the sales of the day make up for it.
        over=(AllHoldsEnd(), Events("created", 500)),
        shown_by="SELECT active_reservations FROM realtime_dashboard",
    ),
    "overdue_holds": Case(
        # Runs that succeed and leave them there are no comfort.
        before=(Holds(1, minutes_left=-299 / 60), WELL),
        exactly=(Holds(1, minutes_left=-5), WELL),
        beyond=(Holds(1, minutes_left=-301 / 60), WELL),
        over=(AllHoldsEnd(), Events("created", 500)),
        shown_by="SELECT oldest_overdue_seconds FROM cleanup_job_health",
    ),
    "no_payments": Case(
        before=(Orders("paid", 1, minutes_ago=50), Orders("pending", 2, minutes_ago=29), WELL),
        exactly=(Orders("paid", 1, minutes_ago=50), Orders("pending", 2, minutes_ago=30), WELL),
        beyond=(Orders("paid", 1, minutes_ago=50), Orders("pending", 2, minutes_ago=31), WELL),
        over=(Orders("paid", minutes_ago=1),),
        minutes_ago=31,
        events=2,
        shown_by="SELECT extract(EPOCH FROM date_trunc('minute', now())"
        " - date_trunc('minute', max(order_created_at)))::float8 FROM ticket_order_audit_log",
    ),
    "refunds_overdue": Case(
        before=(Refunds(hours_ago=24 - 1 / 3600), Refunds(), WELL),
        exactly=(Refunds(hours_ago=24), Refunds(), WELL),
        beyond=(Refunds(hours_ago=24 + 1 / 3600), Refunds(), WELL),
        over=(AllIsGivenBack(),),
        shown_by="SELECT max(oldest_age_seconds) FROM refunds_due",
    ),
}
# What is not written into tables is tried further down, each in its own way.
OF_THE_SERVER = {"lock_waits", "long_transaction", "rollup_late", "maintenance_behind"}

RATES = [name for name, case in CASES.items() if case.events is not None]
# Those that look back on a window of time. The others are about the present moment.
WINDOWED = [
    *RATES,
    "constraint_violation",
    "double_booking_attempts",
    "cleanup_runs_failed",
    "cleanup_job_slow",
]


def alert(connection: Connection, name: str) -> Row:
    return one(connection, "SELECT * FROM alerts WHERE alert_name = %s", name)


def firing(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT alert_name, firing FROM alerts").fetchall()
    assert {row.firing for row in rows} <= {0, 1}
    return {row.alert_name for row in rows if row.firing == 1}


def change(connection: Connection, name: str, setting: str, new: object) -> None:
    done = connection.execute(
        f"UPDATE alert_rules SET {setting} = %s WHERE alert_name = %s", [new, name]
    )
    assert done.rowcount == 1


def played(connection: Connection, name: str) -> Case:
    """The case of this rule, after everything in it that makes it fire."""
    write(connection, *CASES[name].beyond)
    return CASES[name]
