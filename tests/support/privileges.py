"""What each role may do: functions that others may call besides the application, and who may."""

from collections.abc import Sequence
from typing import Any

import psycopg

from tests.support.names import OURS, SCHEMAS
from tests.support.queries import Connection, acting_as, value

# Both the application and the box office may read by these.
READS = {
    "get_seat_map",
    "get_reservation",
    "get_session_reservations",
    "get_order",
    "find_orders",
    "get_tickets",
    "get_refunds",
}
# What the shop calls, and what providers report to it.
APPLICATION = {
    *READS,
    "reserve_seats",
    "reserve_best_seats",
    "add_seats",
    "price_seats",
    "move_reservation",
    "extend_reservation",
    "release_reservation",
    "create_ticket_order",
    "confirm_payment",
    "fail_payment",
    "refund_order",
    "record_refund",
    "record_dispute",
    "get_reservation_statistics",
    "log_api_request",
}
# What the staff calls.
BOX_OFFICE = {
    *READS,
    "get_seat_map_at",
    "block_seats",
    "unblock_seats",
    "issue_tickets",
    "move_tickets",
    "check_in_ticket",
    "cancel_tickets",
    "record_refund",
    "record_dispute",
    "cancel_show",
    "cancel_show_portion",
    "erase_customer",
    "reconcile_payments",
}

# A default and a check of tables call these, as the role that inserts a show.
FOR_ANYBODY = {"uuid_v7", "is_time_zone"}
# Functions of a view run as the role that reads it.
BEHIND_VIEWS = {
    "reservation_cleanup_job_runs",
    "active_reservation_totals",
    "overdue_hold_totals",
    "cleanup_job_state",
    "cleanup_job_problem",
    "cleanup_run_totals",
    "maintenance_backlog",
    "connections_by_state",
    "open_transactions",
    "lock_wait_totals",
    "due_refunds",
    "partial_refunds",
    "endpoint_limit",
    "log_partitions",
    "rollup_state",
    "is_restored_log",
    "duration_bucket_growth",
    "window_start",
    "reservation_metrics",
    "order_metrics",
    "api_durations",
    "api_metrics",
    "error_metrics",
    "extension_metrics",
}


def relations(connection: Connection, kinds: Sequence[str] = ("r", "p", "v")) -> list[str]:
    """Our tables, partitions and views, each with its schema."""
    rows = connection.execute(
        "SELECT format('%%I.%%I', nspname, relname) AS name"
        " FROM pg_class INNER JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE relkind::text = ANY(%s) AND nspname = ANY(%s) ORDER BY 1",
        [list(kinds), list(SCHEMAS)],
    ).fetchall()
    return [row.name for row in rows]


def routines(connection: Connection) -> list[Any]:
    """Our functions and procedures, with a statement that calls each with nothing but NULLs."""
    return connection.execute(
        """
        SELECT
            oid,
            proname AS name,
            -- Not plain NULLs, for which the planner would not even call a strict function.
            format(
                CASE prokind WHEN 'p' THEN 'CALL %%s(%%s)' ELSE 'SELECT %%s(%%s)' END,
                format('%%s.%%I', pronamespace::regnamespace, proname),
                (
                    SELECT string_agg(
                        format(
                            CASE prokind WHEN 'p' THEN 'NULL::%%s' ELSE '(SELECT NULL::%%s)' END,
                            type::regtype
                        ),
                        ', '
                    )
                    FROM unnest(proargtypes) AS types (type)
                )
            ) AS statement
        FROM pg_proc
        WHERE pronamespace = ANY(%s::regnamespace[])
        ORDER BY proname
        """,
        [OURS],
    ).fetchall()


def callable_by(connection: Connection, role: str) -> set[str]:
    """The names of our functions that the role may execute."""
    return {
        routine.name
        for routine in routines(connection)
        if value(
            connection,
            "SELECT has_function_privilege(%s, %s::oid, 'EXECUTE')",
            role,
            routine.oid,
        )
    }


def refuses(connection: Connection, role: str, statement: Any) -> bool:
    """Whether the role is denied this statement. Any other error is an error of the test."""
    try:
        with acting_as(connection, role):
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def select(columns: set[str] | str, table: str) -> str:
    return f"SELECT {columns if isinstance(columns, str) else ', '.join(columns)} FROM {table}"
