"""Eight who write and others who roll up at once, and how views and logs compare meanwhile."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import psycopg

from tests.support.databases import Database
from tests.support.hall import make_hall
from tests.support.logs import RESERVATION_LOG
from tests.support.queries import Connection, enter
from tests.support.rollups import SHOWS
from tests.support.waiting import await_true

WRITERS = 8

# Transactions of one to five lines in each of the logs, some with a savepoint taken back to, some
# that dawdle, one in five rolled back. A writer must see its own lines, once.
WRITE = """
DECLARE
    v_lines integer;
BEGIN
    WHILE NOT EXISTS (SELECT FROM stop) LOOP
        v_lines := 1 + floor(random() * 5);
        FOR n IN 1..v_lines LOOP
            BEGIN
                INSERT INTO seat_reservation_audit_log (event_type, show_id, reservation_id,
                    error_message, created_at)
                SELECT (ARRAY['created', 'created', 'failed', 'extended'])[1 + (n + m) % 4],
                    ({shows}::uuid[])[1 + m % 2], gen_random_uuid(), 'error ' || n,
                    now() - random() * interval '30 minutes'
                FROM generate_series(1, 1 + floor(random() * 4)::integer) AS m;
                INSERT INTO api_request_log (endpoint, method, status_code, duration_ms)
                VALUES ('/seats', 'GET', 200, random() * 100);
                INSERT INTO ticket_order_audit_log (show_id, order_id, new_status, amount_in_cents,
                    currency, seat_count, order_created_at)
                VALUES ({show}, gen_random_uuid(), 'pending', 1000, 'EUR', 1, now());
                IF random() < 0.1 THEN
                    RAISE EXCEPTION 'on second thoughts' USING ERRCODE = 'TK001';
                END IF;
            EXCEPTION WHEN SQLSTATE 'TK001' THEN NULL;
            END;
            PERFORM pg_sleep(CASE WHEN random() < 0.05 THEN 0.3 ELSE 0.08 END * random());
        END LOOP;
        IF {looks} AND (SELECT of_views <> of_logs FROM comparison) THEN
            RAISE EXCEPTION 'a writer does not see its own lines once';
        END IF;
        IF random() < 0.2 THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
    END LOOP;
END
"""

ROLL_UP = """
BEGIN
    WHILE NOT EXISTS (SELECT FROM stop) LOOP
        PERFORM roll_up_metrics({max_events});
        IF random() < 0.1 THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
"""

# One statement is one snapshot. What the views say, and what is in the logs.
COMPARISON = """
    CREATE VIEW comparison AS
    SELECT
        ARRAY[
            (SELECT total_created FROM get_reservation_statistics(NULL, 1)),
            (SELECT sum(total_created)
                FROM unnest({shows}::uuid[]) AS show, get_reservation_statistics(show, 24)),
            (SELECT succeeded FROM reservation_success_rate WHERE time_window = '1h'),
            (SELECT sum(requests) FROM api_endpoint_health),
            (SELECT total_orders FROM payment_failures WHERE time_window = '15m')
        ] AS of_views,
        ARRAY[created, created, created, requests, orders]::numeric[] AS of_logs,
        is_tailed
    FROM
        (
            SELECT count(*) FILTER (WHERE event_type = 'created') AS created,
                bool_or(xact_id >= watermark) AND bool_or(xact_id < watermark) AS is_tailed
            FROM seat_reservation_audit_log, metric_watermarks
            WHERE log = 'seat_reservation_audit_log'
        ) AS holds,
        (SELECT count(*) AS requests FROM api_request_log) AS requests,
        (SELECT count(*) AS orders FROM ticket_order_audit_log) AS orders
"""

# So many comparisons, each of a snapshot of its own. How many of them there were, in how many the
# two sides differed, and in how many both rollups and logs were read.
COMPARE = """
    CREATE FUNCTION compare(p_times integer, OUT comparisons integer, OUT differences integer,
        OUT tailed integer)
    LANGUAGE plpgsql
    AS $$
    DECLARE
        v_both record;
    BEGIN
        comparisons := 0;
        differences := 0;
        tailed := 0;
        FOR n IN 1..p_times LOOP
            SELECT * INTO v_both FROM comparison;
            comparisons := comparisons + 1;
            differences := differences + (v_both.of_views <> v_both.of_logs)::integer;
            tailed := tailed + COALESCE(v_both.is_tailed, false)::integer;
        END LOOP;
    END
    $$
"""


@contextmanager
def storm(
    owner: Connection, database: Database, rollups: Sequence[int], looks: str = "random() < 0.1"
) -> Iterator[None]:
    """Writers at work, and so many rollups, each with its bound, for as long as the block runs.

    A writer compares before it commits, in its own transaction, where it `looks`.
    """
    shows = "ARRAY['{}', '{}']".format(*SHOWS)
    make_hall(owner)  # a currency of which there is always a row
    owner.execute("CREATE TABLE stop ()")
    owner.execute(COMPARISON.format(shows=shows).encode())
    owner.execute(COMPARE.encode())
    loops = [WRITE.format(shows=shows, show=f"'{SHOWS[0]}'", looks=looks)] * WRITERS
    loops += [ROLL_UP.format(max_events=max_events) for max_events in rollups]
    with ExitStack() as stack, ThreadPoolExecutor(len(loops)) as pool:
        sessions = [
            enter(stack.enter_context(psycopg.connect(database.dsn, autocommit=True)))
            for _ in loops
        ]
        running = [
            pool.submit(session.execute, f"DO $${loop}$$".encode())
            for session, loop in zip(sessions, loops, strict=True)
        ]
        try:
            await_true(owner, f"SELECT count(*) > 100 FROM {RESERVATION_LOG}")
            yield
        finally:
            owner.execute("INSERT INTO stop DEFAULT VALUES")
            for loop in running:
                loop.result()  # raises what a writer or a rollup has raised
