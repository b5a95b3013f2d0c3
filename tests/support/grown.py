"""A house after a year: past shows, past buyers, logs and runs, and a sale that is on today.

Made once a run, as a template. TICKETDB_GROWN_RESERVATIONS says how many past reservations there
are; everything else grows with them. The history is consistent: no invariant is broken.
"""

import os
from dataclasses import dataclass

import psycopg
from psycopg import sql

from tests.support.queries import enter
from tests.support.rollups import roll_up_all
from ticketdb.private_server import Cluster

GROWN_TEMPLATE = "ticketdb_grown"
GROWN_LOCK = 8_421_008  # an advisory lock: one worker at a time makes it
DEFAULT_RESERVATIONS = 15_000
SEATS_OF_A_SHOW = 100

PREPARE = """
    -- Neither foreign keys nor triggers, since there is much of it.
    SET session_replication_role = replica;

    CREATE TEMP TABLE past_show AS
    SELECT n, uuid_v7() AS id, now() - make_interval(days => 365 - n) AS at,
        (ARRAY['EUR', 'EUR', 'JPY', 'USD'])[1 + n %% 4] AS currency
    FROM generate_series(0, 364) AS n;

    CREATE TEMP TABLE past AS
    SELECT buyer.n, uuid_v7() AS hold_id, uuid_v7() AS order_id, show.id AS show_id, show.currency,
        show.at - interval '10 days' + make_interval(secs => buyer.n %% 800000) AS created_at,
        (ARRAY['completed', 'expired', 'completed', 'released', 'completed'])[1 + buyer.n %% 5]
            AS status
    FROM generate_series(1, %(reservations)s) AS buyer (n)
    INNER JOIN past_show AS show ON show.n = buyer.n %% 365;
    CREATE INDEX ON past (n);
"""
SHOWS = """
    INSERT INTO shows (id, name, starts_at, currency, status, created_at)
    SELECT id, 'Show ' || n, at, currency, 'closed', at - interval '60 days' FROM past_show;

    CREATE TEMP TABLE past_seat AS
    SELECT show.id AS show_id, show.n AS show_n, place, uuid_v7() AS id
    FROM past_show AS show CROSS JOIN generate_series(0, %(seats)s - 1) AS place;
    CREATE UNIQUE INDEX ON past_seat (show_n, place);

    INSERT INTO show_seats
        (id, show_id, section, row_label, seat_number, status, price_in_cents)
    SELECT id, show_id, 'stalls', 'A', place::text, 'available', 1000 FROM past_seat;
"""
RESERVATIONS = """
    INSERT INTO seat_reservations
        (id, show_id, reservation_token, session_id, user_id, email, status, expires_at,
        created_at, ended_at)
    SELECT hold_id, show_id,
        encode(uuid_send(show_id) || uuid_send(gen_random_uuid()), 'hex'),
        'session ' || n, 'user ' || n, n || '@example.org', status,
        created_at + interval '10 minutes', created_at, created_at + interval '8 minutes'
    FROM past;

    INSERT INTO reservation_seats
        (reservation_id, show_seat_id, show_id, price_in_cents, currency, released_at)
    SELECT past.hold_id, seat.id, past.show_id, 1000, past.currency, past.created_at
    FROM past
    CROSS JOIN generate_series(0, 1) AS second
    INNER JOIN past_seat AS seat
        ON seat.show_n = past.n %% 365
        AND seat.place = (2 * (past.n / 365) + second) %% %(seats)s;

    -- What was sold was given back since, so that seats could be sold again and again.
    INSERT INTO ticket_orders (id, show_id, reservation_id, seat_ids, status, total_amount_in_cents,
        refunded_amount_in_cents, currency, payment_provider, payment_intent_id, created_at,
        paid_at)
    SELECT past.order_id, past.show_id, past.hold_id,
        ARRAY(
            SELECT claim.show_seat_id FROM reservation_seats AS claim
            WHERE claim.reservation_id = past.hold_id ORDER BY claim.show_seat_id
        ),
        'refunded', 2000, 2000, past.currency, 'stripe', 'pi_' || past.n, past.created_at,
        past.created_at + interval '5 minutes'
    FROM past WHERE past.status = 'completed';

    INSERT INTO tickets
        (show_id, order_id, show_seat_id, price_in_cents, currency, status, created_at)
    SELECT paid.show_id, paid.id, seat.id, 1000, paid.currency, 'refunded', paid.paid_at
    FROM ticket_orders AS paid CROSS JOIN LATERAL unnest(paid.seat_ids) AS seat (id);

    INSERT INTO payment_events (provider, event_id, show_id, order_id, kind, amount_in_cents,
        success, order_status, ticket_ids, created_at)
    SELECT 'stripe', 'evt_' || past.n, past.show_id, past.order_id, 'payment', 2000, true, 'paid',
        '{}', past.created_at
    FROM past WHERE past.status = 'completed';

    INSERT INTO refunds (show_id, order_id, amount_in_cents, currency, reason, status, created_at,
        done_at)
    SELECT show_id, order_id, 2000, currency, 'tickets_cancelled', 'done', created_at, created_at
    FROM past WHERE past.status = 'completed';
"""
# Three months of the logs, as they are kept, the last day's in the last minutes, too.
LOGS = """
    INSERT INTO seat_reservation_audit_log (event_type, show_id, reservation_id, seat_count,
        hold_seconds, error_code, error_message, created_at)
    SELECT event_type, show_id, hold_id, 2, 480, NULL, NULL, at
    FROM past
    CROSS JOIN LATERAL (VALUES ('created'), (past.status)) AS step (event_type)
    CROSS JOIN LATERAL (
        SELECT now() - make_interval(secs => (past.n * 7919::bigint) %% (80 * 86400)) AS at
    ) AS moment;

    INSERT INTO ticket_order_audit_log (order_id, show_id, old_status, new_status, amount_in_cents,
        currency, seat_count, order_created_at, created_at)
    SELECT order_id, show_id, step.old, step.new, 2000, currency, 2, at, at
    FROM past
    CROSS JOIN (VALUES (NULL, 'pending'), ('pending', 'paid')) AS step (old, new)
    CROSS JOIN LATERAL (
        SELECT now() - make_interval(secs => (past.n * 7919::bigint) %% (80 * 86400)) AS at
    ) AS moment
    WHERE past.status = 'completed';

    INSERT INTO api_request_log (endpoint, method, status_code, duration_ms, created_at)
    SELECT '/endpoint/' || past.n %% 40, 'GET', 200, past.n %% 900,
        now() - make_interval(secs => (past.n * 7919::bigint) %% (80 * 86400))
    FROM past CROSS JOIN generate_series(1, 2);

    INSERT INTO reservation_cleanup_runs (scheduler, started_at, finished_at, status)
    SELECT 'ticketdb', at, at + interval '1 second', 'succeeded'
    FROM generate_series(now() - interval '14 days', now(), interval '1 minute') AS run (at);

    SET session_replication_role = origin;
    SELECT maintain_partitions();
"""


@dataclass(frozen=True)
class Size:
    reservations: int

    @classmethod
    def wanted(cls) -> "Size":
        return cls(int(os.environ.get("TICKETDB_GROWN_RESERVATIONS", DEFAULT_RESERVATIONS)))


def grow(dsn: str, size: Size) -> None:
    """Give the database its history."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        enter(connection)
        parameters = {"reservations": size.reservations, "seats": SEATS_OF_A_SHOW}
        for part in (PREPARE, SHOWS, RESERVATIONS, LOGS):
            for statement in part.split(";")[:-1]:
                connection.execute(statement.encode(), parameters)
        roll_up_all(connection)
        connection.execute("SELECT check_invariants()")
        connection.execute("VACUUM (ANALYZE)")


def make_grown_template(cluster: Cluster, template: str) -> str:
    """The name of the template, which is made where it is missing. Nobody can connect to it."""
    building = f"{GROWN_TEMPLATE}_in_the_making"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [GROWN_LOCK])
        made = connection.execute("SELECT FROM pg_database WHERE datname = %s", [GROWN_TEMPLATE])
        if made.fetchone() is None:
            # Left by a worker whose attempt failed.
            connection.execute(f"DROP DATABASE IF EXISTS {building} WITH (FORCE)".encode())
            cluster.create_database(building, template)
            grow(cluster.dsn(building), Size.wanted())
            for change in ("ALLOW_CONNECTIONS false", f"RENAME TO {GROWN_TEMPLATE}"):
                connection.execute(
                    sql.SQL("ALTER DATABASE {} {}").format(
                        sql.Identifier(building), sql.SQL(change)
                    )
                )
    return GROWN_TEMPLATE
