"""The logs: their lines, and their partitions by month."""

import psycopg
import pytest
from psycopg import sql

from tests.support.queries import Connection, Row, value

RESERVATION_LOG = "seat_reservation_audit_log"
ORDER_LOG = "ticket_order_audit_log"
LOGS = (RESERVATION_LOG, ORDER_LOG, "api_request_log")
LOG_OF = {
    "reserve_seats": RESERVATION_LOG,
    "reserve_best_seats": RESERVATION_LOG,
    "add_seats": RESERVATION_LOG,
    "price_seats": RESERVATION_LOG,
    "move_reservation": RESERVATION_LOG,
    "extend_reservation": RESERVATION_LOG,
    "release_reservation": RESERVATION_LOG,
    "create_ticket_order": ORDER_LOG,
    "confirm_payment": ORDER_LOG,
    "fail_payment": ORDER_LOG,
    "refund_order": ORDER_LOG,
    "block_seats": RESERVATION_LOG,
    "unblock_seats": RESERVATION_LOG,
    "issue_tickets": RESERVATION_LOG,
    "move_tickets": RESERVATION_LOG,
    "check_in_ticket": RESERVATION_LOG,
    "cancel_tickets": ORDER_LOG,
    "record_refund": ORDER_LOG,
    "record_dispute": ORDER_LOG,
    "cancel_show_portion": ORDER_LOG,
    "erase_customer": RESERVATION_LOG,
}


def lines(connection: Connection, log: str, after: int = 0) -> list[Row]:
    """The rows of a log, in order, past this id."""
    return connection.execute(
        sql.SQL("SELECT * FROM {} WHERE id > %s ORDER BY id").format(sql.Identifier(log)), [after]
    ).fetchall()


# Those that are counted, and the one of changes by hand.
ALL_LOGS = (*LOGS, "change_log")


def fill(connection: Connection) -> None:
    """A row in each partition of each log."""
    for log, columns, values in [
        (RESERVATION_LOG, "event_type, show_id", "'created', gen_random_uuid()"),
        (ORDER_LOG, "new_status, show_id", "'pending', gen_random_uuid()"),
        ("api_request_log", "endpoint, method, status_code, duration_ms", "'/', 'GET', 200, 1"),
        ("change_log", "table_name, operation, row_key", "'shows', 'delete', '{}'"),
    ]:
        connection.execute(
            f"INSERT INTO {log} ({columns}, created_at) SELECT {values}, month"
            " FROM generate_series(now(), now() + interval '4 months', interval '1 month')"
            " AS months (month)"
        )


def partitions(connection: Connection, log: str) -> list[str]:
    rows = connection.execute(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = %s::regclass ORDER BY 1",
        [log],
    ).fetchall()
    return [row.name for row in rows]


def assert_append_only(connection: Connection, log: str) -> None:
    """Every way of changing the log, whole or by partition, is refused."""
    for table in [log, *partitions(connection, log)]:
        assert value(connection, f"SELECT count(*) FROM {table}") > 0, table
        for statement in [
            f"UPDATE {table} SET xact_id = xact_id",
            f"UPDATE {table} SET created_at = created_at + interval '1 month'",
            f"DELETE FROM {table}",
            f"DELETE FROM ONLY {table}" if table != log else f"DELETE FROM {table} WHERE true",
            f"MERGE INTO {table} AS t USING (SELECT) AS s ON true WHEN MATCHED THEN DELETE",
            f"TRUNCATE {table}",
            f"TRUNCATE {table} CASCADE",
        ]:
            with (
                pytest.raises(psycopg.errors.RestrictViolation) as caught,
                connection.transaction(),
            ):
                connection.execute(statement)
            assert caught.value.diag.message_hint, statement


MINIMAL = {
    RESERVATION_LOG: ("event_type, show_id", "'created', gen_random_uuid()"),
    ORDER_LOG: ("new_status, show_id", "'pending', gen_random_uuid()"),
    "api_request_log": ("endpoint, method, status_code, duration_ms", "'/', 'GET', 200, 1"),
}


def month(connection: Connection, offset: int) -> str:
    """The month this far from now (UTC), as partitions are named for it."""
    name: str = value(
        connection,
        "SELECT to_char(date_trunc('month', now() AT TIME ZONE 'UTC')"
        " + make_interval(months => %s), 'YYYY_MM')",
        offset,
    )
    return name


def first_instant(name: str) -> str:
    return f"{name.replace('_', '-')}-01 00:00:00+00"


def drop_month(connection: Connection, log: str, offset: int) -> str:
    """Take a partition away, as if maintenance had not run for a while."""
    partition = f"{log}_p{month(connection, offset)}"
    connection.execute(f"DROP TABLE {partition}")
    return partition


def log_at(connection: Connection, log: str, time: str) -> int:
    """Write a row of this time, of a transaction long ago, and return its number."""
    columns, values = MINIMAL[log]
    number: int = value(
        connection,
        f"INSERT INTO {log} ({columns}, created_at, xact_id) VALUES ({values}, %s, '3')"
        " RETURNING id",
        time,
    )
    return number


def home_of(connection: Connection, log: str, number: int) -> str:
    """The partition in which the row is."""
    home: str = value(
        connection, f"SELECT tableoid::regclass::text FROM {log} WHERE id = %s", number
    )
    return home


def maintain(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT created_partition FROM maintain_partitions()").fetchall()
    return [row.created_partition for row in rows]


def purge(connection: Connection) -> dict[str, int]:
    # As if everything had been rolled up: what is not is kept.
    connection.execute(
        "UPDATE metric_watermarks SET watermark = pg_snapshot_xmin(pg_current_snapshot())"
    )
    return dict(connection.execute("SELECT object, rows_removed FROM purge_history()").fetchall())


def months_that_have_a_partition(connection: Connection, log: str) -> set[str]:
    names = set(partitions(connection, log)) - {f"{log}_default"}
    return {name.removeprefix(f"{log}_p") for name in names}


def backlog(connection: Connection) -> dict[str, float]:
    rows = connection.execute("SELECT task, behind_seconds FROM maintenance_backlog()").fetchall()
    # Two for each log, of which there are these and another, and one for all personal data.
    assert len({row.task for row in rows}) == len(rows) == 2 * (len(LOGS) + 1) + 1
    return {task: seconds for task, seconds in rows if seconds != 0}
