"""What can have happened in a house: history that a test writes, for the views of monitoring."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from tests.support.queries import Connection, value

CONFLICT = "One or more seats were taken by another customer"
CONSTRAINT = "Database constraint prevented double-booking: reservation_seats_no_double_booking"
INVALID = "The input is not valid"

# There need be no such show: the logs have no foreign keys.
SHOW = UUID(int=1)


class Happening(Protocol):
    """Something that can be written into a database as having happened."""

    def write(self, connection: Connection, now: datetime) -> None: ...


@dataclass(frozen=True)
class Events:
    """So many lines of one kind in the log of reservations."""

    event_type: str
    count: int = 1
    minutes_ago: float = 3
    message: str | None = None
    hold_seconds: float | None = None
    show_id: UUID = SHOW

    def write(self, connection: Connection, now: datetime) -> None:
        connection.execute(
            "INSERT INTO seat_reservation_audit_log"
            " (event_type, error_message, hold_seconds, show_id, reservation_id, created_at)"
            " SELECT %s, %s, %s, %s, gen_random_uuid(), %s FROM generate_series(1, %s)",
            [
                self.event_type,
                self.message,
                self.hold_seconds,
                self.show_id,
                now - timedelta(minutes=self.minutes_ago),
                self.count,
            ],
        )


@dataclass(frozen=True)
class Orders:
    """So many orders, as the log of orders records them: created, and then in their status."""

    status: str
    count: int = 1
    minutes_ago: float = 3

    def write(self, connection: Connection, now: datetime) -> None:
        connection.execute(
            "INSERT INTO ticket_order_audit_log (order_id, show_id, old_status, new_status,"
            " amount_in_cents, currency, seat_count, order_created_at, created_at)"
            " SELECT md5(n::text)::uuid, %(show_id)s, step.old, step.new, 1000, 'EUR', 2, %(at)s,"
            " %(at)s FROM generate_series(1, %(count)s) AS n"
            " CROSS JOIN (VALUES (NULL, 'pending'), ('pending', %(status)s)) AS step (old, new)"
            " WHERE step.old IS DISTINCT FROM step.new",
            {
                "show_id": SHOW,
                "status": self.status,
                "at": now - timedelta(minutes=self.minutes_ago),
                "count": self.count,
            },
        )


@dataclass(frozen=True)
class Requests:
    """So many requests to an endpoint of the shop."""

    endpoint: str = "/seats"
    count: int = 1
    minutes_ago: float = 3
    status_code: int = 200
    milliseconds: float = 10

    def write(self, connection: Connection, now: datetime) -> None:
        connection.execute(
            "INSERT INTO api_request_log (endpoint, method, status_code, duration_ms, created_at)"
            " SELECT %s, 'GET', %s, %s, %s FROM generate_series(1, %s)",
            [
                self.endpoint,
                self.status_code,
                self.milliseconds,
                now - timedelta(minutes=self.minutes_ago),
                self.count,
            ],
        )


@dataclass(frozen=True)
class Run:
    """A run of the cleanup."""

    seconds_ago: float = 60
    took_seconds: float = 1
    status: str = "succeeded"
    scheduler: str = "external"

    def write(self, connection: Connection, now: datetime) -> None:
        started = now - timedelta(seconds=self.seconds_ago)
        ended = started + timedelta(seconds=self.took_seconds)
        connection.execute(
            "INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)"
            " VALUES (%s, %s, %s, %s)",
            [self.scheduler, started, None if self.status == "running" else ended, self.status],
        )


@dataclass(frozen=True)
class Holds:
    """So many buyers who hold a seat each, in a show of their own."""

    count: int = 1
    minutes_left: float = 8

    def write(self, connection: Connection, now: datetime) -> None:
        # One statement, because a thousand calls take seconds, and the triggers look at claims.
        connection.execute(
            """
            WITH show AS MATERIALIZED (SELECT uuid_v7() AS id),
            opened AS (
                INSERT INTO shows (id, name, starts_at, currency, status)
                SELECT id, 'Faust', now() + interval '30 days', 'EUR', 'on_sale' FROM show
            ),
            pair AS MATERIALIZED (
                SELECT show.id AS show_id, uuid_v7() AS hold_id, uuid_v7() AS seat_id, n
                FROM show, generate_series(1, %(count)s) AS n
            ),
            seats AS (
                INSERT INTO show_seats (id, show_id, section, row_label, seat_number, status,
                    reserved_by, reserved_until, price_in_cents)
                SELECT seat_id, show_id, 'stalls', 'A', n::text, 'reserved', hold_id, %(end)s, 1000
                FROM pair
            ),
            holds AS (
                INSERT INTO seat_reservations
                    (id, show_id, reservation_token, session_id, expires_at)
                SELECT hold_id, show_id,
                    encode(uuid_send(show_id) || uuid_send(gen_random_uuid()), 'hex'),
                    'holder ' || n, %(end)s
                FROM pair
            )
            INSERT INTO reservation_seats
                (reservation_id, show_seat_id, show_id, price_in_cents, currency)
            SELECT hold_id, seat_id, show_id, 1000, 'EUR' FROM pair
            """,
            {"count": self.count, "end": now + timedelta(minutes=self.minutes_left)},
        )


@dataclass(frozen=True)
class Refunds:
    """So many payments that came when the seats were gone, each for a show of its own."""

    count: int = 1
    hours_ago: float = 1
    currency: str = "EUR"
    amount: int = 1000

    def write(self, connection: Connection, now: datetime) -> None:
        for _ in range(self.count):
            connection.execute(
                """
                WITH show AS (
                    INSERT INTO shows (name, starts_at, currency, status)
                    VALUES ('Faust', now() + interval '30 days', %(currency)s, 'on_sale')
                    RETURNING id
                ),
                hold AS (
                    INSERT INTO seat_reservations
                        (show_id, reservation_token, session_id, status, expires_at, ended_at)
                    SELECT id, encode(uuid_send(id) || uuid_send(gen_random_uuid()), 'hex'),
                        'too late', 'expired', %(at)s, %(at)s FROM show
                    RETURNING id, show_id
                ),
                late AS (
                    INSERT INTO ticket_orders (show_id, reservation_id, seat_ids, status,
                        total_amount_in_cents, currency, created_at, paid_at)
                    SELECT show_id, id, ARRAY[gen_random_uuid()], 'refund_due', %(amount)s,
                        %(currency)s, %(at)s, %(at)s
                    FROM hold
                    RETURNING id, show_id
                ),
                payment AS (
                    INSERT INTO payment_events (provider, event_id, show_id, order_id, kind,
                        amount_in_cents, success, order_status, ticket_ids, created_at)
                    SELECT 'stripe', 'evt_' || id, show_id, id, 'payment', %(amount)s, true,
                        'refund_due', '{}', %(at)s
                    FROM late
                    RETURNING provider, event_id, show_id, order_id
                )
                INSERT INTO refunds (show_id, order_id, amount_in_cents, currency, reason,
                    payment_provider, payment_event_id, created_at)
                SELECT show_id, order_id, %(amount)s, %(currency)s, 'late_payment', provider,
                    event_id, %(at)s
                FROM payment
                """,
                {
                    "at": now - timedelta(hours=self.hours_ago),
                    "currency": self.currency,
                    "amount": self.amount,
                },
            )


@dataclass(frozen=True)
class AllIsGivenBack:
    """Every refund that is due is done: with its order, or by hand if the order is not refunded."""

    def write(self, connection: Connection, now: datetime) -> None:
        answers = connection.execute(
            "SELECT answer.* FROM ticket_orders AS late"
            " CROSS JOIN LATERAL refund_order(late.show_id, late.id) AS answer"
            " WHERE late.status = 'refund_due'"
        ).fetchall()
        assert all(answer.success for answer in answers), answers
        connection.execute(
            "UPDATE refunds SET status = 'done', done_at = %s WHERE status = 'due'", [now]
        )


@dataclass(frozen=True)
class AllHoldsEnd:
    """The cleanup ends every hold there is, whenever its time would have been over."""

    def write(self, connection: Connection, now: datetime) -> None:
        connection.execute(
            "UPDATE seat_reservations SET expires_at = %s WHERE is_active",
            [now - timedelta(seconds=1)],
        )
        connection.execute("SELECT cleanup_expired_seat_reservations()")


def write(connection: Connection, *happenings: Happening, now: datetime | None = None) -> None:
    """Make history, as seen from `now`: by default the connection's."""
    # In UTC, since Python ignores in subtractions that clocks are changed twice a year.
    now = (now or value(connection, "SELECT now()")).astimezone(UTC)
    for happening in happenings:
        happening.write(connection, now)
