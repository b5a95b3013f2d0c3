"""The contract of the monitoring views, read from the catalog and from what the views return.

The views are listed by the catalog, so that a new one is under contract without being named here.
What the contract says of single views, their columns, is written down once, below.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from psycopg import sql

from tests.support.databases import Connect
from tests.support.hall import NIL, make_hall
from tests.support.logs import ORDER_LOG, RESERVATION_LOG
from tests.support.names import NAMES, quoted
from tests.support.queries import Connection, enter
from tests.support.rollups import roll_up_all

# The columns that users rely on, in their order.
COLUMNS = {
    "reservation_success_rate": (
        "time_window total_attempts succeeded race_conditions system_errors success_rate_pct"
        " raw_success_rate_pct"
    ),
    "double_booking_attempts": "time_window attempts",
    "reservation_expiration_rate": (
        "time_window total_created total_completed total_expired expiration_rate_pct"
    ),
    "reservation_hold_time": "time_window holds_ended avg_hold_minutes avg_hold_seconds",
    "cleanup_job_health": (
        "scheduler last_run_age_seconds last_run_duration_seconds last_run_failed failed_runs_24h"
        " runs_24h overdue_holds oldest_overdue_seconds is_scheduled scheduler_alive has_run"
    ),
    "active_reservations": "active_reservations expiring_soon total_seats_held",
    "payment_failures": "time_window total_orders failed_orders failure_rate_pct",
    "realtime_dashboard": (
        "active_reservations reservations_last_hour tickets_sold_today revenue_today_cents"
        " last_cleanup_age_seconds last_cleanup_failed last_cleanup_duration_seconds"
        " cleanup_has_run"
    ),
    "revenue_today": "currency revenue_cents orders_paid tickets_sold revenue",
    "refunds_due": "reason currency refunds amount oldest_age_seconds",
    "lock_waits": (
        "waiting_sessions longest_wait_seconds open_transactions oldest_transaction_seconds"
        " idle_in_transaction longest_idle_seconds prepared_transactions oldest_prepared_seconds"
    ),
    "hourly_metrics": (
        "time reservations_created reservations_completed reservations_expired"
        " reservations_failed completion_rate_pct"
    ),
    "top_errors": "error_message occurrences last_seen_age_seconds",
    "extension_trends": "time extensions unique_reservations",
    "quality_dashboard": (
        "success_rate_pct raw_success_rate_pct double_booking_attempts expiration_rate_pct"
        " holds_ended avg_hold_seconds payment_failure_rate_pct"
    ),
    "system_health": (
        "last_cleanup_age_seconds last_cleanup_failed last_cleanup_duration_seconds"
        " overdue_holds connections max_connections connections_used_pct requests_last_hour"
        " error_rate_pct avg_milliseconds rollup_age_seconds cleanup_has_run"
    ),
    "connection_pool": "state connections max_connections used_pct",
    "api_endpoint_health": (
        "endpoint requests errors error_rate_pct avg_milliseconds p50_milliseconds"
        " p95_milliseconds p99_milliseconds"
    ),
    "alerts": (
        "alert_name severity firing value threshold time_window_seconds summary action runbook"
    ),
    "health": "check_name status severity message value unit",
    "invariant_violations": "invariant violations description checked_age_seconds",
}

TYPES = {
    "text": "label",
    "bigint": "metric",
    "double precision": "metric",
    "smallint": "flag",
    "timestamp with time zone": "time",
}
# Units that the contract makes an exception for.
UNITS = {
    ("reservation_hold_time", "avg_hold_minutes"),
    ("api_endpoint_health", "avg_milliseconds"),
    ("api_endpoint_health", "p50_milliseconds"),
    ("api_endpoint_health", "p95_milliseconds"),
    ("api_endpoint_health", "p99_milliseconds"),
    ("system_health", "avg_milliseconds"),
    # In the unit that the summary of the rule names.
    ("alerts", "value"),
    ("alerts", "threshold"),
    # In the unit that stands beside it.
    ("health", "value"),
    # In the major unit of the currency.
    ("refunds_due", "amount"),
    ("revenue_today", "revenue"),
}
# What may have never happened, or has no sum.
NEVER = {
    ("alerts", "value"),
    ("health", "value"),
    ("realtime_dashboard", "revenue_today_cents"),
    *(
        (view, f"last_{job}_{what}_seconds")
        for view, job in (
            ("cleanup_job_health", "run"),
            ("realtime_dashboard", "cleanup"),
            ("system_health", "cleanup"),
        )
        for what in ("age", "duration")
    ),
}
# The one small number that is no flag.
STATES = {("health", "severity"): {0, 1, 2, 3}}


@dataclass(frozen=True)
class Breach:
    view: str
    column: str
    rule: str


@dataclass(frozen=True)
class Column:
    view: str
    name: str
    type: str

    @property
    def kind(self) -> str:
        return TYPES.get(self.type, "none")

    @property
    def may_be_null(self) -> bool:
        """A rate, an average or a percentile: where there is nothing to divide by."""
        return (
            re.search(r"_pct$|^avg_|^p\d\d_", self.name) is not None
            or (self.view, self.name) in NEVER
        )


def read_columns(connection: Connection) -> dict[str, list[Column]]:
    """Of every view that is in the monitoring schema."""
    rows = connection.execute(
        """
        SELECT view.relname AS view, attribute.attname AS name,
            format_type(attribute.atttypid, attribute.atttypmod) AS type
        FROM pg_class AS view
        INNER JOIN pg_attribute AS attribute
            ON attribute.attrelid = view.oid AND attribute.attnum > 0 AND NOT attisdropped
        WHERE view.relnamespace = to_regnamespace(%s) AND view.relkind IN ('v', 'm')
        ORDER BY view.relname, attribute.attnum
        """,
        [quoted(NAMES.monitoring_schema)],
    ).fetchall()
    views: dict[str, list[Column]] = {}
    for row in rows:
        views.setdefault(row.view, []).append(Column(row.view, row.name, row.type))
    return views


def breaches_of_form(views: dict[str, list[Column]]) -> set[Breach]:
    """What is wrong with names and types, whatever the data."""
    found = set()
    for column in (column for columns in views.values() for column in columns):
        name, is_exempt = column.name, (column.view, column.name) in UNITS
        is_length = re.search(r"(^|_)(duration|age|elapsed|latency|uptime)(_|$)", name)
        is_rate = re.search(r"(^|_)(rate|ratio|share|percent|percentage)(_|$)", name)
        rules = {
            "has one of the types": column.kind != "none",
            "is called time if it is one": (column.kind == "time") == (name == "time"),
            "does not end in _count": not name.endswith("_count"),
            "gives a length of time in seconds": is_exempt
            or (
                not re.search("_(ms|milliseconds|minutes|hours|days)$", name)
                and not (is_length and not name.endswith("_seconds"))
            ),
            "gives a rate in percent": not (is_rate and not name.endswith("_pct")),
            # A fraction of what?
            "names its unit": is_exempt
            or column.type != "double precision"
            or name.endswith(("_seconds", "_pct")),
        }
        found |= {Breach(column.view, name, rule) for rule, kept in rules.items() if not kept}
    for view, listed in COLUMNS.items():
        there = iter([column.name for column in views.get(view, [])])
        # In this order, be there others in between or not.
        found |= {
            Breach(view, name, "is in its place") for name in listed.split() if name not in there
        }
    return found


def breaches_of_data(connection: Connection, columns: list[Column]) -> Iterator[Breach]:
    """What is wrong with the rows of a view."""
    view = columns[0].view
    rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(view))).fetchall()
    if not rows:
        yield Breach(view, "", "has a row")
    for number, column in enumerate(columns):
        values = [row[number] for row in rows if row[number] is not None]
        if len(values) < len(rows) and not column.may_be_null:
            yield Breach(view, column.name, "is not missing")
        if column.kind == "metric" and not all(map(math.isfinite, values)):
            yield Breach(view, column.name, "is a number")
        states = STATES.get((view, column.name), {0, 1})
        if column.kind == "flag" and not set(values) <= states:
            yield Breach(view, column.name, "is 0 or 1")
    told_apart = [n for n, column in enumerate(columns) if column.kind in ("label", "time")]
    if len({tuple(row[n] for n in told_apart) for row in rows}) < len(rows):
        yield Breach(view, "", "has one row for each set of labels")


def breaches(connection: Connection) -> set[Breach]:
    views = read_columns(connection)
    assert views.keys() >= COLUMNS.keys()
    found = breaches_of_form(views)
    for columns in views.values():
        found |= set(breaches_of_data(connection, columns))
    return found


# --- the data --------------------------------------------------------------------------------


def nothing(_connection: Connection) -> None:
    pass


def ordinary(connection: Connection) -> None:
    """Everything that can happen to a hold and an order, through the functions that sell."""
    hall = make_hall(connection, seats=40)
    hall.sell(0, 1)
    hall.refund(hall.sell(2, session="ben"))
    hall.fail(hall.order(hall.hold(3, session="cleo"), "cleo"))
    hall.release(hall.hold(4, session="dora"), session="dora")
    hall.extend(hall.hold(5, session="emil"), session="emil")
    hall.let_run_out(hall.hold(6, session="fay"), hall.hold(7, session="gus"))
    connection.execute("CALL run_reservation_cleanup()")
    hall.let_run_out(hall.hold(8, session="hal"))
    assert not hall.reserve(0, session="ida").success
    assert not hall.reserve(session="ida").success
    for status, duration in ((200, 12.5), (404, 3.25), (500, 800.0)):
        hall.call(
            "log_api_request",
            p_endpoint="/seats",
            p_method="GET",
            p_status_code=status,
            p_duration_ms=duration,
        )
    connection.execute("SELECT check_invariants()")


WEIRD_ENDPOINTS = [
    "(none)",
    "'; DROP TABLE shows; --",
    '"quoted"\\{label="x"}',
    "line\nbreak\ttab",
    "/straße/座席/🎭",
    " ",
    "/" * 200,
    "{{ schema }} %s %(x)s",
]


def hostile(connection: Connection) -> None:
    """What nobody should write, but the tables take."""
    connection.execute("UPDATE ticketing_settings SET business_time_zone = 'Asia/Kathmandu'")
    connection.execute(
        "INSERT INTO shows (name, starts_at, currency, time_zone, status)"
        " SELECT 'Hamlet', now(), c, z, 'on_sale'"
        " FROM unnest(ARRAY['EUR', 'JPY', 'USD'],"
        " ARRAY['Pacific/Kiritimati', 'America/St_Johns', 'Pacific/Niue']) AS shows (c, z)"
    )
    connection.execute(
        f"""
        INSERT INTO {RESERVATION_LOG}
            (event_type, show_id, reservation_id, error_message, hold_seconds, created_at)
        SELECT event_type, '{NIL}', CASE WHEN n % 3 = 0 THEN gen_random_uuid() END,
            (ARRAY[NULL, '', '(none)', '(no message)', repeat('x', 500), repeat('🎭', 500)])
                [1 + n % 6],
            (ARRAY[NULL, 'NaN', 'Infinity', '-Infinity', -5, 0, 1e300, 1e-300]::float8[])
                [1 + n % 8],
            -- The clock of the server is put back again and again, and once it was far ahead.
            now() + (ARRAY['0', '-1 us', '-1 hour', '-1 day', '-8 days', '-400 days', '1 minute',
                '1 day', '1 year', '100 years', '-20 minutes']::interval[])[1 + n % 11]
        FROM generate_series(0, 1319) AS n,
            unnest(ARRAY['created', 'completed', 'expired', 'released', 'extended', 'failed'])
                AS event_type
        """
    )
    connection.execute(
        f"INSERT INTO {RESERVATION_LOG} (event_type, show_id, error_message)"
        f" SELECT 'failed', '{NIL}', 'error ' || n || ' of ' || md5(n::text)"
        " FROM generate_series(1, 5000) AS n"
    )
    connection.execute(
        f"""
        INSERT INTO {ORDER_LOG} (show_id, order_id, old_status, new_status, amount_in_cents,
            currency, seat_count, order_created_at, created_at)
        SELECT '{NIL}', gen_random_uuid(), old, new, amount, currency, n,
            CASE WHEN n % 2 = 0 THEN now() - n * interval '1 hour' END,
            now() - n * interval '59 minutes'
        FROM generate_series(-9, 30, 3) AS n,
            unnest(ARRAY[NULL, 'pending', 'paid', 'failed', 'no status']) AS old,
            unnest(ARRAY[NULL, 'pending', 'paid', 'failed', 'no status']) AS new,
            unnest(ARRAY[NULL, 0, -7, 1000000000000]) AS amount,
            unnest(ARRAY[NULL, 'EUR', 'JPY', 'USD', 'nonsense']) AS currency
        """
    )
    connection.execute(
        "INSERT INTO api_request_log (endpoint, method, status_code, duration_ms, created_at)"
        " SELECT endpoint, 'GET', status, duration, now() - n * interval '7 minutes'"
        " FROM (SELECT '/endpoint/' || n FROM generate_series(1, 500) AS n"
        " UNION ALL SELECT unnest(%s::text[])) AS endpoints (endpoint),"
        " unnest(ARRAY[100, 500, 599]) AS status,"
        " unnest(ARRAY[0, 5e-324, 1, 1e12]::float8[]) AS duration,"
        " generate_series(-1, 9, 5) AS n",
        [WEIRD_ENDPOINTS],
    )
    connection.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)"
        " VALUES ('external', now() + interval '1 hour', now() + interval '1 hour', 'failed'),"
        " ('x', now() - interval '3 days', NULL, 'running')"
    )
    connection.execute(
        sql.SQL(
            "INSERT INTO {}.alert_rules"
            " (alert_name, severity, threshold, enabled, summary, action, runbook)"
            " VALUES ('no such figure', 'info', 1e300, true, '', '', '')"
        ).format(sql.Identifier(NAMES.monitoring_schema))
    )


def beyond_measure(connection: Connection) -> None:
    """The longest duration, the largest orders, and the first and the last time that there are."""
    connection.execute("UPDATE ticketing_settings SET business_time_zone = 'Pacific/Kiritimati'")
    connection.execute(
        "INSERT INTO api_request_log (endpoint, method, status_code, duration_ms)"
        " VALUES ('/', 'GET', 200, 1.7976931348623157e308)"
    )
    connection.execute(
        f"INSERT INTO {ORDER_LOG} (show_id, order_id, new_status, amount_in_cents, currency,"
        " seat_count, order_created_at)"
        f" SELECT '{NIL}', gen_random_uuid(), 'paid', 100000000000000, 'EUR', 2147483647, now()"
        " FROM generate_series(1, 1000)"
    )
    for at in ("4714-11-24 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00"):
        connection.execute(
            f"INSERT INTO {RESERVATION_LOG} (event_type, show_id, reservation_id, created_at)"
            f" SELECT unnest(ARRAY['created', 'extended', 'failed']), '{NIL}',"
            " gen_random_uuid(), %s",
            [at],
        )
        connection.execute(
            f"INSERT INTO {ORDER_LOG} (show_id, order_id, new_status, currency, seat_count,"
            f" order_created_at, created_at) VALUES ('{NIL}', gen_random_uuid(), 'paid', 'EUR', 1,"
            " %s, %s)",
            [at, at],
        )
        connection.execute(
            "INSERT INTO api_request_log (endpoint, method, status_code, duration_ms, created_at)"
            " VALUES ('/', 'GET', 200, 1, %s)",
            [at],
        )


DATA: dict[str, Callable[[Connection], None]] = {
    "no data": nothing,
    "ordinary data": ordinary,
    "hostile data": hostile,
    "data beyond measure": beyond_measure,
}


@pytest.mark.parametrize("data", DATA)
def test_every_view_keeps_the_contract(connect: Connect, data: str) -> None:
    connection = enter(connect())
    DATA[data](connection)
    for _ in ("in the log", "rolled up"):
        assert breaches(connection) == set()
        assert labels_that_are_missing(connection) == set()
        roll_up_all(connection)


# Rows that are there whatever the data, by the first of their labels.
ALWAYS = {
    "reservation_success_rate": {"1h", "24h"},
    "double_booking_attempts": {"5m", "24h"},
    "reservation_expiration_rate": {"1h", "24h"},
    "reservation_hold_time": {"24h"},
    "payment_failures": {"15m", "24h"},
    "connection_pool": {
        "active",
        "idle",
        "idle in transaction",
        "idle in transaction (aborted)",
        "other",
        "not visible",
    },
    "alerts": {
        "constraint_violation",
        "cleanup_job_failed",
        "payment_processing_down",
        "high_expiration_rate",
        "low_success_rate",
        "double_booking_attempts",
        "high_expiration_rate_24h",
        "long_hold_time",
        "cleanup_job_silent",
        "cleanup_runs_failed",
        "cleanup_job_slow",
        "many_active_reservations",
        "payment_failure_rate_24h",
        "extension_rate",
        "overdue_holds",
        "no_payments",
        "refunds_overdue",
        "lock_waits",
        "long_transaction",
        "rollup_late",
        "maintenance_behind",
    },
    "health": {
        "cleanup",
        "alerts",
        "rollup",
        "partitions",
        "invariants",
        "connections",
        "locks",
        "transactions",
        "refunds",
    },
}
HOW_MANY = {"hourly_metrics": 24, "extension_trends": 7}


def labels_that_are_missing(connection: Connection) -> set[tuple[str, str]]:
    missing = set()
    for view, labels in ALWAYS.items():
        rows = connection.execute(sql.SQL("TABLE {}").format(sql.Identifier(view))).fetchall()
        missing |= {(view, label) for label in labels - {row[0] for row in rows}}
    for view, count in HOW_MANY.items():
        rows = connection.execute(sql.SQL("TABLE {}").format(sql.Identifier(view))).fetchall()
        if len({row.time for row in rows}) != count:
            missing.add((view, f"{count} rows"))
    return missing


def test_the_ten_most_frequent_errors_are_listed(connect: Connect) -> None:
    connection = enter(connect())
    hostile(connection)
    for _ in ("in the log", "rolled up"):
        rows = connection.execute("TABLE top_errors").fetchall()
        assert len(rows) == 10
        assert max(len(row.error_message) for row in rows) == 500
        roll_up_all(connection)


# --- negative controls: a view that breaks each rule -----------------------------------------

# What it selects, and which rule each of its columns, or the view, breaks.
BAD_VIEWS = {
    "an array": ("ARRAY[1] AS figures", "has one of the types", "figures"),
    "an interval": ("interval '1 s' AS wait_seconds", "has one of the types", "wait_seconds"),
    "a numeric": ("1.5::numeric AS used_pct", "has one of the types", "used_pct"),
    "an integer": ("1 AS attempts", "has one of the types", "attempts"),
    "a boolean": ("true AS is_scheduled", "has one of the types", "is_scheduled"),
    "a json": ("'{}'::jsonb AS labels", "has one of the types", "labels"),
    "a time without zone": ("now()::timestamp AS at", "has one of the types", "at"),
    "a bounded text": ("'x'::varchar(5) AS state", "has one of the types", "state"),
    "a real": ("1::real AS used_pct", "has one of the types", "used_pct"),
    "a time of another name": ("now() AS started_at", "is called time if it is one", "started_at"),
    "a time that is none": ("1::bigint AS time", "is called time if it is one", "time"),
    "a count": ("1::bigint AS error_count", "does not end in _count", "error_count"),
    "milliseconds": ("1::bigint AS wait_ms", "gives a length of time in seconds", "wait_ms"),
    "a length of time without its unit": (
        "1::bigint AS run_duration",
        "gives a length of time in seconds",
        "run_duration",
    ),
    "a rate that is no percentage": (
        "1::bigint AS error_rate",
        "gives a rate in percent",
        "error_rate",
    ),
    "a number without a unit": ("0.5::float8 AS load", "names its unit", "load"),
    "a missing label": ("NULL::text AS state", "is not missing", "state"),
    "a missing metric": ("NULL::bigint AS attempts", "is not missing", "attempts"),
    "a missing length": ("NULL::float8 AS wait_seconds", "is not missing", "wait_seconds"),
    "a missing flag": ("NULL::smallint AS is_on", "is not missing", "is_on"),
    "a missing time": ("NULL::timestamptz AS time", "is not missing", "time"),
    "not a number": ("'NaN'::float8 AS used_pct", "is a number", "used_pct"),
    "infinity": ("'-Infinity'::float8 AS wait_seconds", "is a number", "wait_seconds"),
    "a flag of three": ("2::smallint AS is_on", "is 0 or 1", "is_on"),
    "no row": ("1::bigint AS attempts WHERE false", "has a row", ""),
    "the same labels twice": (
        "'x' AS state, n AS attempts FROM generate_series(1::bigint, 2) AS n",
        "has one row for each set of labels",
        "",
    ),
    "two rows without labels": (
        "n AS attempts FROM generate_series(1::bigint, 2) AS n",
        "has one row for each set of labels",
        "",
    ),
}


@pytest.mark.parametrize("kind", BAD_VIEWS)
def test_a_view_that_breaks_a_rule_is_found_out(connection: Connection, kind: str) -> None:
    selected, rule, column = BAD_VIEWS[kind]
    connection.execute(
        sql.SQL("CREATE VIEW {} AS SELECT {}").format(
            sql.Identifier(NAMES.monitoring_schema, "bad"), sql.SQL(selected)
        )
    )
    assert breaches(connection) == {Breach("bad", column, rule)}


def test_a_view_that_may_be_missing_something_is_not_found_out(connection: Connection) -> None:
    connection.execute(
        sql.SQL(
            "CREATE VIEW {} AS SELECT 'x' AS state, now() AS time, 1::smallint AS is_on,"
            " NULL::float8 AS used_pct, NULL::float8 AS avg_wait_seconds, 1::bigint AS attempts"
        ).format(sql.Identifier(NAMES.monitoring_schema, "good"))
    )
    assert breaches(connection) == set()


@pytest.mark.parametrize("view", COLUMNS)
def test_a_column_that_is_renamed_is_missed(connection: Connection, view: str) -> None:
    column = COLUMNS[view].split()[-1]
    connection.execute(
        sql.SQL("ALTER VIEW {} RENAME COLUMN {} TO summary_of_all").format(
            sql.Identifier(NAMES.monitoring_schema, view), sql.Identifier(column)
        )
    )
    found = breaches_of_form(read_columns(connection))
    assert Breach(view, column, "is in its place") in found


def test_columns_that_change_places_are_found_out() -> None:
    view = "double_booking_attempts"

    def breaks(*names: str) -> bool:
        columns = [Column(view, name, "text") for name in names]
        return any(breach.view == view for breach in breaches_of_form({view: columns}))

    assert not breaks("time_window", "attempts")
    assert not breaks("time_window", "new", "attempts", "newer")
    assert breaks("attempts", "time_window")
    assert breaks("time_window")
