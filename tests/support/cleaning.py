"""Cleanups, and holds for them to end."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from tests.support.databases import Connect
from tests.support.hall import Hall
from tests.support.plans import Plan
from tests.support.queries import Connection, Row, enter, token_of
from tests.support.waiting import await_true

SEATED = {"show_seats", "seat_reservations", "reservation_seats"}


def hold_each(hall: Hall, count: int) -> list[Row]:
    """Holds of one seat each that are over, the first the longest."""
    holds = [hall.hold(n, session=f"visitor {n}") for n in range(count)]
    for n, hold in enumerate(holds):
        hall.connection.execute(
            "UPDATE seat_reservations SET expires_at = now() - make_interval(secs => %s)"
            " WHERE id = %s",
            [1000 - n, hold.reservation_id],
        )
    return holds


def make_backlog(
    connection: Connection,
    shows: int,
    holds: int,
    spare: int = 0,
    statistics: str = "up to date",
) -> None:
    """Put shows on sale whose seats, but for `spare` of them, are held in pairs and over.

    In sets, because 20,000 calls would take minutes. One statement, so that the audit trigger sees
    the claims; as a replica, which spares the checks of foreign keys but not that trigger.
    """
    tables = sql.SQL(", ").join(sql.Identifier(name) for name in sorted(SEATED))
    if statistics != "up to date":
        # Or autovacuum would bring some in the middle of the test.
        for name in SEATED:
            connection.execute(
                sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(
                    sql.Identifier(name)
                )
            )
    if statistics == "of the empty tables":
        connection.execute(sql.SQL("ANALYZE {}").format(tables))
    connection.execute("SET session_replication_role = replica")
    connection.execute(
        "INSERT INTO shows (name, starts_at, currency, status)"
        " SELECT 'Show ' || n, now() + interval '1 day', 'EUR', 'on_sale'"
        " FROM generate_series(1, %s) AS n",
        [shows],
    )
    connection.execute(
        "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
        " SELECT id, 'stalls', 'A', n::text, 1000 FROM shows, generate_series(0, %s - 1) AS n"
        " WHERE NOT EXISTS (SELECT FROM show_seats WHERE show_id = shows.id)",
        [2 * holds + spare],
    )
    connection.execute(
        """
        WITH pairs AS MATERIALIZED (
            SELECT show_id, uuid_v7() AS id, array_agg(id) AS seat_ids,
                now() - interval '1 second' - random() * interval '1 hour' AS expires_at
            FROM show_seats
            WHERE seat_number::integer < %s AND status = 'available'
            GROUP BY show_id, seat_number::integer / 2
        ), claimed AS MATERIALIZED (
            SELECT pairs.*, seat.id AS seat_id FROM pairs, unnest(pairs.seat_ids) AS seat (id)
        ), holds AS (
            INSERT INTO seat_reservations
                (id, show_id, reservation_token, session_id, created_at, expires_at)
            SELECT id, show_id, {token}, 'backlog ' || id, expires_at - interval '10 minutes',
                expires_at
            FROM pairs
        ), claims AS (
            INSERT INTO reservation_seats
                (reservation_id, show_seat_id, show_id, price_in_cents, currency)
            SELECT id, seat_id, show_id, 1000, 'EUR' FROM claimed
        )
        UPDATE show_seats
        SET status = 'reserved', reserved_by = claimed.id, reserved_until = claimed.expires_at
        FROM claimed
        WHERE show_seats.id = claimed.seat_id AND show_seats.show_id = claimed.show_id
        """.replace("{token}", token_of("show_id")),
        [2 * holds],
    )
    connection.execute("RESET session_replication_role")
    if statistics == "up to date":
        connection.execute(sql.SQL("ANALYZE {}").format(tables))


def careless_steps(plans: list[Plan]) -> list[str]:
    """Steps whose cost grows with the tables, or with the square of the batch."""
    return [
        f"{node['Node Type']} in {plan.query}"
        for plan in plans
        for node in plan.nodes
        if node["Node Type"] == "Nested Loop"
        or (node["Node Type"] == "Seq Scan" and node["Relation Name"] in SEATED)
    ]


def clean_up(connection: Connection, batch: int | None = None) -> Row:
    statement = "SELECT * FROM cleanup_expired_seat_reservations(%s)"
    if batch is None:
        return connection.execute(statement.replace("%s", "").encode()).fetchone()
    return connection.execute(statement.encode(), [batch]).fetchone()


def runs(connection: Connection) -> list[Row]:
    return connection.execute("SELECT * FROM reservation_cleanup_runs ORDER BY id").fetchall()


def run_cleanup(connection: Connection, *arguments: object) -> Row:
    """What a run returns."""
    placeholders = ", ".join(["%s"] * len(arguments))
    (result,) = connection.execute(
        f"CALL run_reservation_cleanup({placeholders})".encode(), arguments
    ).fetchall()
    return result


def job_health(connection: Connection) -> Row:
    (health,) = connection.execute("SELECT * FROM cleanup_job_health").fetchall()
    return health


def job_status(connection: Connection) -> list[Row]:
    return connection.execute("SELECT * FROM reservation_cleanup_job_status").fetchall()


@dataclass(frozen=True)
class StuckRun:
    """A run that waits in the middle of its first portion."""

    pid: int
    connection: Connection


@contextmanager
def stuck_run(hall: Hall, connect: Connect) -> Iterator[StuckRun]:
    """Start a run, and keep it from going on until the block is left.

    It waits where it writes how far it has come: for holds and seats it would not wait.
    """
    somebody, runner = connect(), enter(connect())
    pid = runner.info.backend_pid
    hall.connection.execute(
        "CREATE FUNCTION wait_for_it() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';"
        "CREATE TRIGGER wait_for_it BEFORE UPDATE ON reservation_cleanup_runs FOR EACH ROW"
        " WHEN (OLD.scheduler = 'stuck' AND NEW.status = 'running')"
        " EXECUTE FUNCTION wait_for_it()"
    )
    with ThreadPoolExecutor() as pool:
        with somebody.transaction():
            somebody.execute("SELECT pg_advisory_xact_lock(1)")
            running = pool.submit(runner.execute, "CALL run_reservation_cleanup('stuck')")
            await_true(
                hall.connection,
                "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s",
                [pid],
            )
            yield StuckRun(pid, runner)
        error = running.exception()
        assert error is None or isinstance(error, psycopg.Error)
