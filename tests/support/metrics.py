"""What the views of the metrics must say, asked of the raw logs.

The plain queries of the monitoring guide, with the differences that are meant: windows begin at
whole minutes, rates are of attempts, hours and days are those of the house. Nothing here reads a
rollup, and nothing calls a function of ours, so that the two sides have nothing in common but the
logs. Ask both within one transaction: now() stands still in it.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.support.queries import Connection

# Of each question, the rows: the columns that identify a row, and the others by name.
Answers = dict[str, dict[tuple[Any, ...], dict[str, Any]]]

LABELS = frozenset(
    {"time_window", "time", "endpoint", "currency", "error_message", "alert_name", "show", "hours"}
)


class DisagreementError(AssertionError):
    """A view does not say what the logs say."""


@dataclass(frozen=True)
class Metric:
    """A question that a view answers, and that the raw log answers, too."""

    view: str
    log: str


# Events of each window. A message that is missing is a system error like any other, a line that
# names no function an attempt to reserve; what is beyond
# three years, NaN included, is no length of a hold.
COUNTED = """
    WITH windows (time_window, length) AS (
        VALUES ('5m', interval '5 minutes'), ('15m', '15 minutes'), ('1h', '1 hour'),
            ('24h', '24 hours')
    ),
    counted AS (
        SELECT time_window,
            count(*) FILTER (WHERE event_type = 'created') AS created,
            count(*) FILTER (WHERE event_type = 'completed') AS completed,
            count(*) FILTER (WHERE event_type = 'expired') AS expired,
            count(*) FILTER (WHERE event_type = 'extended') AS extended,
            count(*) FILTER (WHERE event_type = 'failed') AS failed,
            count(*) FILTER (WHERE event_type = 'failed' AND is_attempt) AS failed_attempts,
            count(*) FILTER (
                WHERE event_type = 'failed' AND is_attempt AND is_conflict
            ) AS race_conditions,
            count(*) FILTER (
                WHERE event_type = 'failed' AND is_attempt AND is_conflict IS NOT TRUE
            ) AS system_errors,
            count(*) FILTER (
                WHERE event_type = 'failed' AND error_message LIKE '%constraint%'
            ) AS constraint_violations,
            count(*) FILTER (
                WHERE event_type IN ('completed', 'expired') AND abs(hold_seconds) <= 1e8
            ) AS holds_ended,
            avg(hold_seconds) FILTER (
                WHERE event_type IN ('completed', 'expired') AND abs(hold_seconds) <= 1e8
            ) AS avg_hold_seconds
        FROM windows
        LEFT JOIN seat_reservation_audit_log
            ON created_at >= date_trunc('minute', now() - length)
        CROSS JOIN LATERAL (
            SELECT
                COALESCE(metadata ->> 'function', 'reserve_seats')
                    IN ('reserve_seats', 'reserve_best_seats') AS is_attempt,
                error_message LIKE '%taken by another%'
                    OR error_code IN ('SEATS_UNAVAILABLE', 'BUSY') AS is_conflict
        ) AS call
        GROUP BY time_window
    ),
    orders AS (
        SELECT DISTINCT ON (order_id)
            order_created_at, new_status AS status, amount_in_cents, currency
        FROM ticket_order_audit_log
        WHERE new_status IS NOT NULL
        ORDER BY order_id, id DESC
    ),
    payments AS (
        SELECT time_window,
            count(status) AS total_orders,
            count(*) FILTER (WHERE status = 'failed') AS failed_orders
        FROM windows
        LEFT JOIN orders ON order_created_at >= date_trunc('minute', now() - length)
        GROUP BY time_window
    ),
    house AS (
        SELECT business_time_zone AS zone, (now() AT TIME ZONE business_time_zone)::date AS today
        FROM ticketing_settings
    ),
    tickets AS (
        SELECT currency, seat_count
        FROM ticket_order_audit_log, house
        WHERE new_status = 'paid' AND (created_at AT TIME ZONE zone)::date = today
    ),
    paid AS (
        SELECT currency, amount_in_cents
        FROM orders, house
        WHERE status = 'paid' AND (order_created_at AT TIME ZONE zone)::date = today
    ),
    requests AS (
        SELECT endpoint, status_code, duration_ms
        FROM api_request_log
        WHERE created_at >= date_trunc('minute', now() - interval '1 hour')
    )
"""

SUCCESS_RATE = "100.0::float8 * created / NULLIF(created + system_errors, 0)"
EXPIRATION_RATE = "100.0::float8 * expired / NULLIF(created, 0)"
FAILURE_RATE = "100.0::float8 * failed_orders / NULLIF(total_orders, 0)"

# The alerts that go by the logs, as the guide puts them: name, window, value, how many events it
# says something about (NULL: nothing to divide by), and what makes it fire.
ALERTS = [
    ("constraint_violation", "5m", "constraint_violations", "> 0"),
    ("double_booking_attempts", "24h", "constraint_violations", "> 0"),
    ("payment_processing_down", "15m", FAILURE_RATE, "> 20"),
    ("payment_failure_rate_24h", "24h", FAILURE_RATE, "> 5"),
    ("high_expiration_rate", "1h", EXPIRATION_RATE, "> 70"),
    ("high_expiration_rate_24h", "24h", EXPIRATION_RATE, "> 80"),
    ("low_success_rate", "1h", SUCCESS_RATE, "< 90"),
    ("long_hold_time", "24h", "avg_hold_seconds", "> 900"),
    ("extension_rate", "24h", "100.0::float8 * extended / NULLIF(created, 0)", "> 50"),
]


def _percentile(percent: int) -> str:
    """The smallest duration that so many of a hundred requests did not exceed."""
    rank = f"(count(*) * {percent} + 99) / 100"  # of integers: exact, where a fraction is not
    return (
        f"(array_agg(duration_ms ORDER BY duration_ms))[{rank}]::float8 AS p{percent}_milliseconds"
    )


METRICS = {
    "reservation_success_rate": Metric(
        "SELECT * FROM reservation_success_rate",
        f"""{COUNTED}
        SELECT time_window, created + failed_attempts AS total_attempts, created AS succeeded,
            race_conditions, system_errors, {SUCCESS_RATE} AS success_rate_pct,
            100.0::float8 * created / NULLIF(created + failed_attempts, 0) AS raw_success_rate_pct
        FROM counted WHERE time_window IN ('1h', '24h')""",
    ),
    "double_booking_attempts": Metric(
        "SELECT * FROM double_booking_attempts",
        f"""{COUNTED}
        SELECT time_window, constraint_violations AS attempts
        FROM counted WHERE time_window IN ('5m', '24h')""",
    ),
    "reservation_expiration_rate": Metric(
        "SELECT * FROM reservation_expiration_rate",
        f"""{COUNTED}
        SELECT time_window, created AS total_created, completed AS total_completed,
            expired AS total_expired, {EXPIRATION_RATE} AS expiration_rate_pct
        FROM counted WHERE time_window IN ('1h', '24h')""",
    ),
    "reservation_hold_time": Metric(
        "SELECT * FROM reservation_hold_time",
        f"""{COUNTED}
        SELECT time_window, holds_ended, avg_hold_seconds / 60 AS avg_hold_minutes, avg_hold_seconds
        FROM counted WHERE time_window = '24h'""",
    ),
    "payment_failures": Metric(
        "SELECT * FROM payment_failures",
        f"""{COUNTED}
        SELECT time_window, total_orders, failed_orders, {FAILURE_RATE} AS failure_rate_pct
        FROM payments WHERE time_window IN ('15m', '24h')""",
    ),
    "realtime_dashboard": Metric(
        "SELECT reservations_last_hour, tickets_sold_today, revenue_today_cents"
        " FROM realtime_dashboard",
        f"""{COUNTED}
        SELECT created AS reservations_last_hour,
            (SELECT COALESCE(sum(seat_count), 0)::bigint FROM tickets) AS tickets_sold_today,
            (SELECT CASE WHEN count(DISTINCT currency) FILTER (WHERE amount_in_cents > 0) <= 1
                    THEN COALESCE(sum(amount_in_cents), 0)::bigint END
                FROM paid) AS revenue_today_cents
        FROM counted WHERE time_window = '1h'""",
    ),
    "revenue_today": Metric(
        "SELECT * FROM revenue_today",
        f"""{COUNTED}
        SELECT currency,
            (SELECT COALESCE(sum(amount_in_cents), 0)::bigint
                FROM paid WHERE paid.currency = known.currency) AS revenue_cents,
            (SELECT count(*) FROM paid WHERE paid.currency = known.currency) AS orders_paid,
            (SELECT COALESCE(sum(seat_count), 0)::bigint
                FROM tickets WHERE tickets.currency = known.currency) AS tickets_sold,
            (SELECT COALESCE(sum(amount_in_cents), 0)
                FROM paid WHERE paid.currency = known.currency)::float8
                / CASE currency WHEN 'JPY' THEN 1 ELSE 100 END AS revenue
        FROM (
            SELECT currency FROM shows UNION SELECT currency FROM paid
            UNION SELECT currency FROM tickets
            UNION SELECT 'none' WHERE NOT EXISTS (SELECT FROM shows)
        ) AS known""",
    ),
    "hourly_metrics": Metric(
        "SELECT * FROM hourly_metrics",
        """
        SELECT hour AS time,
            count(*) FILTER (WHERE event_type = 'created') AS reservations_created,
            count(*) FILTER (WHERE event_type = 'completed') AS reservations_completed,
            count(*) FILTER (WHERE event_type = 'expired') AS reservations_expired,
            count(*) FILTER (WHERE event_type = 'failed') AS reservations_failed,
            100.0::float8 * count(*) FILTER (WHERE event_type = 'completed')
                / NULLIF(count(*) FILTER (WHERE event_type = 'created'), 0) AS completion_rate_pct
        FROM ticketing_settings
        CROSS JOIN generate_series(0, 23) AS n
        CROSS JOIN LATERAL (
            SELECT date_trunc('hour', now(), business_time_zone) - n * interval '1 hour' AS hour
        ) AS hours
        LEFT JOIN seat_reservation_audit_log
            ON created_at >= hour AND created_at < hour + interval '1 hour'
        GROUP BY hour""",
    ),
    "top_errors": Metric(
        "SELECT * FROM top_errors",
        # The guide leaves open which of equals are among the ten: the later ones, and after that
        # the order of their digests.
        """
        WITH top AS (
            SELECT COALESCE(error_message, '(no message)') AS error_message,
                count(*) AS occurrences,
                GREATEST(extract(EPOCH FROM now() - max(created_at)), 0)::float8
                    AS last_seen_age_seconds
            FROM seat_reservation_audit_log
            WHERE event_type = 'failed'
                AND created_at >= date_trunc('minute', now() - interval '24 hours')
            GROUP BY 1
            ORDER BY count(*) DESC, max(created_at) DESC,
                sha256(convert_to(COALESCE(error_message, '(no message)'), 'UTF8'))
            LIMIT 10
        )
        SELECT * FROM top
        UNION ALL SELECT '(none)', 0, 0 WHERE NOT EXISTS (SELECT FROM top)""",
    ),
    "extension_trends": Metric(
        "SELECT * FROM extension_trends",
        f"""{COUNTED}
        SELECT (today - n)::timestamp AT TIME ZONE zone AS time,
            count(event_type) AS extensions,
            count(DISTINCT reservation_id) AS unique_reservations
        FROM house
        CROSS JOIN generate_series(0, 6) AS n
        LEFT JOIN seat_reservation_audit_log
            ON event_type = 'extended' AND (created_at AT TIME ZONE zone)::date = today - n
        GROUP BY 1""",
    ),
    "quality_dashboard": Metric(
        "SELECT * FROM quality_dashboard",
        f"""{COUNTED}
        SELECT {SUCCESS_RATE} AS success_rate_pct,
            100.0::float8 * created / NULLIF(created + failed_attempts, 0) AS raw_success_rate_pct,
            constraint_violations AS double_booking_attempts,
            {EXPIRATION_RATE} AS expiration_rate_pct,
            holds_ended, avg_hold_seconds, {FAILURE_RATE} AS payment_failure_rate_pct
        FROM counted INNER JOIN payments USING (time_window) WHERE time_window = '24h'""",
    ),
    "api_endpoint_health": Metric(
        "SELECT * FROM api_endpoint_health",
        f"""{COUNTED}
        SELECT endpoint, count(*) AS requests,
            count(*) FILTER (WHERE status_code >= 500) AS errors,
            100.0::float8 * count(*) FILTER (WHERE status_code >= 500) / count(*)
                AS error_rate_pct,
            avg(duration_ms) AS avg_milliseconds,
            {_percentile(50)}, {_percentile(95)}, {_percentile(99)}
        FROM requests GROUP BY endpoint
        UNION ALL SELECT '(none)', 0, 0, NULL, NULL, NULL, NULL, NULL
        WHERE NOT EXISTS (SELECT FROM requests)""",
    ),
    "system_health": Metric(
        "SELECT requests_last_hour, error_rate_pct, avg_milliseconds FROM system_health",
        f"""{COUNTED}
        SELECT count(*) AS requests_last_hour,
            100.0::float8 * count(*) FILTER (WHERE status_code >= 500) / NULLIF(count(*), 0)
                AS error_rate_pct,
            avg(duration_ms) AS avg_milliseconds
        FROM requests""",
    ),
    "alerts": Metric(
        "SELECT alert_name, firing, value FROM alerts WHERE alert_name IN ({})".format(
            ", ".join(f"'{name}'" for name, *_ in ALERTS)
        ),
        f"{COUNTED} "
        + " UNION ALL ".join(
            f"SELECT '{name}' AS alert_name, COALESCE({value} {fires}, false)::integer AS firing,"
            f" ({value})::float8 AS value"
            f" FROM counted INNER JOIN payments USING (time_window) WHERE time_window = '{window}'"
            for name, window, value, fires in ALERTS
        ),
    ),
}


def statistics(shows: Sequence[UUID], hours: Sequence[int]) -> Metric:
    """What get_reservation_statistics() must say, of each show and of all."""
    ids = ", ".join(f"('{show}'::uuid)" for show in shows)
    asked = (
        f"FROM (VALUES (NULL::uuid), {ids}) AS shows (show)"
        f" CROSS JOIN unnest(ARRAY{list(hours)}) AS hours"
    )
    return Metric(
        f"SELECT show, hours, answer.* {asked}"
        " CROSS JOIN LATERAL get_reservation_statistics(show, hours) AS answer",
        f"""
        SELECT show, hours,
            count(*) FILTER (WHERE event_type = 'created') AS total_created,
            count(*) FILTER (WHERE event_type = 'completed') AS total_completed,
            count(*) FILTER (WHERE event_type = 'expired') AS total_expired,
            count(*) FILTER (WHERE event_type = 'released') AS total_released,
            count(*) FILTER (WHERE event_type = 'extended') AS total_extended,
            count(*) FILTER (WHERE event_type = 'failed') AS total_failed,
            avg(hold_seconds) FILTER (
                WHERE event_type IN ('completed', 'expired', 'released')
                    AND abs(hold_seconds) <= 1e8
            ) AS avg_hold_seconds,
            COALESCE(
                count(*) FILTER (WHERE event_type = 'expired')::float8
                / NULLIF(count(*) FILTER (WHERE event_type = 'created'), 0), 0
            ) AS expiration_rate
        {asked}
        LEFT JOIN seat_reservation_audit_log AS event
            ON (show IS NULL OR event.show_id = show)
            AND created_at >= date_trunc('minute', now() - hours * interval '1 hour')
        GROUP BY show, hours""",
    )


def ask(connection: Connection, queries: Mapping[str, str]) -> Answers:
    """All answers, in one round trip."""
    with connection.pipeline():
        cursors = {name: connection.execute(query.encode()) for name, query in queries.items()}
    answers: Answers = {}
    for name, cursor in cursors.items():
        rows = [row._asdict() for row in cursor.fetchall()]
        answers[name] = {
            tuple(value for column, value in row.items() if column in LABELS): {
                column: value for column, value in row.items() if column not in LABELS
            }
            for row in rows
        }
        if len(answers[name]) < len(rows):
            raise DisagreementError(f"{name} has two rows with the same labels: {rows}")
    return answers


def of_the_views(connection: Connection, metrics: Mapping[str, Metric] = METRICS) -> Answers:
    return ask(connection, {name: metric.view for name, metric in metrics.items()})


def of_the_logs(connection: Connection, metrics: Mapping[str, Metric] = METRICS) -> Answers:
    return ask(connection, {name: metric.log for name, metric in metrics.items()})


def _agree(column: str, mine: Any, its: Any) -> bool:
    if not isinstance(mine, float) or not isinstance(its, float):
        return bool(mine == its) and type(mine) is type(its)
    if re.fullmatch(r"p\d\d_milliseconds", column):
        return math.isclose(mine, its, rel_tol=0.02, abs_tol=0.001)
    # Lengths of time are added up in whole microseconds.
    return math.isclose(
        mine, its, rel_tol=1e-9, abs_tol=0.001 if column.endswith("_milliseconds") else 1e-6
    )


def differences(of_logs: Answers, of_views: Answers) -> Iterator[tuple[str, str]]:
    """Each view that does not say what the log says, and what it says instead."""
    for name, rows in of_logs.items():
        found = of_views[name]
        for labels in sorted(rows.keys() ^ found.keys(), key=str):
            yield name, f"row {labels} is {'missing' if labels in rows else 'of its own making'}"
        for labels in rows.keys() & found.keys():
            mine, its = rows[labels], found[labels]
            assert mine.keys() == its.keys(), name
            for column in mine:
                if not _agree(column, mine[column], its[column]):
                    values = f"{mine[column]!r} in the log, {its[column]!r} in the view"
                    yield name, f"row {labels}, {column}: {values}"


def assert_equal(of_logs: Answers, of_views: Answers, when: str = "") -> None:
    wrong = [f"{name}, {what}" for name, what in differences(of_logs, of_views)]
    if wrong:
        raise DisagreementError("\n".join([when, *sorted(wrong)]))
