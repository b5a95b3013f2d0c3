"""verify: each thing that it checks is broken once, and it says so."""

import json
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Connect, Database
from tests.migration.conftest import Program
from ticketdb.cluster import Cluster
from ticketdb.config import Variables
from ticketdb.migrate import apply, revert
from ticketdb.resources import Tree, shipped_tree
from ticketdb.revision import read_chain
from ticketdb.verify import examine, verify

CHAIN = read_chain(shipped_tree())


def failures(database: Database) -> dict[str, tuple[str, ...]]:
    return {c.name: c.details for c in verify(database.dsn, Variables()) if not c.ok}


TAMPERING = [
    ("COMMENT ON TABLE shows IS NULL", "comments", 'table "public".shows has no comment'),
    ("COMMENT ON TABLE shows IS 'x'", "comments", "has 'x' instead of"),
    ("COMMENT ON COLUMN tickets.status IS NULL", "comments", "column public.tickets.status has"),
    ("COMMENT ON CONSTRAINT shows_pkey ON shows IS NULL", "comments", "shows_pkey has no"),
    ("COMMENT ON INDEX tickets_one_valid_per_seat IS NULL", "comments", "tickets_one_valid"),
    ("COMMENT ON FUNCTION uuid_v7() IS NULL", "comments", "uuid_v7() has no comment"),
    ("COMMENT ON SCHEMA monitoring IS NULL", "comments", 'schema "monitoring" has no comment'),
    (
        "COMMENT ON VIEW monitoring.invariant_violations IS ''",
        "comments",
        "invariant_violations",
    ),
    (
        "COMMENT ON TRIGGER seat_reservations_audit_insert ON seat_reservations IS NULL",
        "comments",
        "seat_reservations_audit_insert has no comment",
    ),
    ("ALTER TABLE shows ADD COLUMN x text", "comments", "column public.shows.x has no comment"),
    (
        "ALTER TABLE shows ADD CONSTRAINT x CHECK (true)",
        "comments",
        "constraint x on public.shows",
    ),
    ("CREATE INDEX x ON shows (name)", "comments", "index public.x has no comment"),
    (
        "DROP INDEX tickets_one_valid_per_seat",
        "objects",
        "tickets_one_valid_per_seat is missing",
    ),
    (
        "ALTER TABLE tickets DROP COLUMN ticket_code",
        "objects",
        "tickets.ticket_code is missing",
    ),
    ("DROP FUNCTION refund_order", "objects", "refund_order(uuid, uuid) is missing"),
    ("DROP VIEW monitoring.invariant_violations", "objects", "invariant_violations is missing"),
    ("DROP TABLE payment_events", "objects", "payment_events is missing"),
    (
        "DROP TRIGGER seat_reservations_audit_insert ON seat_reservations",
        "objects",
        "seat_reservations_audit_insert is missing",
    ),
    ("GRANT SELECT ON shows TO PUBLIC", "privileges", "PUBLIC has SELECT on public.shows"),
    ("GRANT SELECT (name) ON shows TO PUBLIC", "privileges", "SELECT on public.shows.name"),
    (
        "GRANT EXECUTE ON FUNCTION uuid_v7() TO PUBLIC",
        "privileges",
        "EXECUTE on public.uuid_v7",
    ),
    ("GRANT USAGE ON SCHEMA monitoring TO PUBLIC", "privileges", "USAGE on monitoring"),
    (
        "GRANT SELECT ON seat_reservation_audit_log_default TO PUBLIC",
        "privileges",
        "SELECT on public.seat_reservation_audit_log_default",
    ),
    ("ALTER FUNCTION refund_order RESET search_path", "definer functions", "refund_order"),
    (
        "ALTER FUNCTION refund_order SET search_path = public",
        "definer functions",
        "refund_order",
    ),
    (
        "ALTER TABLE seat_reservations DISABLE TRIGGER seat_reservations_audit_insert",
        "triggers",
        "seat_reservations_audit_insert on public.seat_reservations is disabled",
    ),
    (
        "ALTER TABLE seat_reservations ENABLE TRIGGER seat_reservations_audit_insert",
        "triggers",
        "seat_reservations_audit_insert on public.seat_reservations is not ALWAYS",
    ),
    (
        (
            "ALTER TABLE shows DROP CONSTRAINT shows_name_check;"
            " ALTER TABLE shows ADD CONSTRAINT shows_name_check CHECK (name <> '') NOT VALID;"
            " COMMENT ON CONSTRAINT shows_name_check ON shows IS 'Not blank.'"
        ),
        "constraints and indexes",
        "shows_name_check on public.shows is NOT VALID",
    ),
    (
        (
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'tickets_one_valid_per_seat'::regclass"
        ),
        "constraints and indexes",
        "tickets_one_valid_per_seat is not valid",
    ),
    (
        "UPDATE ticketdb_migrations SET rendered_sha256 = repeat('0', 64)",
        "checksums",
        "0002: it was rendered",
    ),
    (
        (
            "INSERT INTO shows (id, name, starts_at, currency)"
            " VALUES ('00000000-0000-0000-0000-000000000001', 'x', now(), 'EUR');"
            " INSERT INTO show_seats"
            " (show_id, section, row_label, seat_number, price_in_cents, status)"
            " VALUES ('00000000-0000-0000-0000-000000000001', 'a', 'a', '1', 1, 'sold')"
        ),
        "invariants",
        "sold_seats_have_a_ticket: 1",
    ),
]


@pytest.fixture(scope="module")
def session(cluster: Cluster, template_database: str) -> Iterator[psycopg.Connection]:
    """A database for all the tampering: each is rolled back after it was looked at."""
    name = f"tampering_{uuid.uuid4().hex}"
    cluster.create_database(name, template_database)
    with psycopg.connect(cluster.dsn(name)) as connection:
        yield connection
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name}".encode())


def examined(session: psycopg.Connection) -> dict[str, tuple[str, ...]]:
    checks = examine(session, Variables(), shipped_tree())
    return {check.name: check.details for check in checks if not check.ok}


@pytest.mark.parametrize(
    ("tampering", "check", "told"), TAMPERING, ids=[tampering for tampering, _, _ in TAMPERING]
)
def test_tampering_is_found_and_named(
    tampering: str, check: str, told: str, session: psycopg.Connection
) -> None:
    session.rollback()
    assert examined(session) == {}
    session.execute("SET LOCAL search_path = public; SET LOCAL allow_system_table_mods = on")
    session.execute(tampering.encode())
    found = examined(session)
    session.rollback()
    assert check in found
    assert any(told in detail for detail in found[check]), found
    # A missing view can have no violations to show; everything else stays well.
    assert found.keys() <= {check, "invariants"}


def test_a_database_that_lags_behind_is_told(database: Database) -> None:
    revert(database.dsn, Variables(), CHAIN[-2].revision)
    assert failures(database)["revision"] == (
        f"the database is at {CHAIN[-2].revision}, the package at {CHAIN[-1].revision}",
    )


def test_an_empty_database_is_not_verified(empty_database: Database) -> None:
    assert failures(empty_database).keys() == {"revision"}


def test_strangers_in_the_same_schema_are_no_concern(database: Database, connect: Connect) -> None:
    connect().execute(
        "CREATE TABLE public.theirs (id integer PRIMARY KEY);"
        " GRANT ALL ON public.theirs TO PUBLIC;"
        " CREATE FUNCTION public.theirs() RETURNS integer SECURITY DEFINER LANGUAGE sql"
        " AS 'SELECT 1'"
    )
    assert failures(database) == {}


def test_verify_writes_nothing(database: Database, connect: Connect) -> None:
    connect().execute(
        f"ALTER DATABASE {database.name} SET default_transaction_read_only = on".encode()
    )
    assert failures(database) == {}


def test_a_comment_of_the_sources_that_verify_cannot_read_is_told(
    database: Database, tree_copy: Tree
) -> None:
    source = tree_copy.sql / "tables" / "shows.sql"
    source.write_text(source.read_text() + "COMMENT ON TABLE nonsense IS NULL;\n")
    checks = {check.name: check for check in verify(database.dsn, Variables(), tree_copy)}
    assert checks["objects"].details == ("1 comments of sql/ cannot be read",)


def test_the_verdict_is_printed_for_people_and_for_programs(
    ticketdb: Program, database: Database, connect: Connect
) -> None:
    good = ticketdb("verify", "--dsn", database.dsn)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "all checks passed")
    connect().execute("GRANT SELECT ON public.shows TO PUBLIC")
    bad = ticketdb("verify", "--dsn", database.dsn)
    assert bad.returncode == 1
    assert "FAILED privileges\n    PUBLIC has SELECT on public.shows\n" in bad.stdout
    as_json = ticketdb("verify", "--json", "--dsn", database.dsn)
    assert as_json.returncode == 1
    report = json.loads(as_json.stdout)
    assert report["ok"] is False
    assert [check["name"] for check in report["checks"] if not check["ok"]] == ["privileges"]


def test_a_restored_database_is_told_until_its_logs_are_rolled_up(
    database: Database, connect: Connect
) -> None:
    connection = connect()
    connection.execute("UPDATE public.metric_watermarks SET system_identifier = 1")
    told = failures(database)["rollups"]
    assert len(told) == 3
    assert all("was restored from another server: run roll_up_metrics()" in line for line in told)
    connection.execute("SELECT public.roll_up_metrics()")
    assert failures(database) == {}


def test_the_jobs_of_pg_cron_are_compared(cron_database: Database) -> None:
    apply(cron_database.dsn, Variables())
    assert failures(cron_database) == {}
    job = "WHERE jobname = 'cleanup-expired-reservations'"
    told = "cleanup-expired-reservations was changed or switched off"
    with psycopg.connect(cron_database.dsn, autocommit=True) as connection:
        connection.execute(f"UPDATE cron.job SET active = false {job}".encode())
        assert failures(cron_database) == {"jobs": (told,)}
        connection.execute(
            f"UPDATE cron.job SET active = true, schedule = '0 4 * * *' {job}".encode()
        )
        assert failures(cron_database) == {"jobs": (told,)}
        connection.execute(f"SELECT cron.unschedule(jobid) FROM cron.job {job}".encode())
        assert failures(cron_database) == {
            "jobs": ("cleanup-expired-reservations is scheduled 0 times",)
        }
    # The next apply mends it, though no revision is pending.
    assert [job.action for job in apply(cron_database.dsn, Variables()).jobs] == [
        "scheduled",
        "unchanged",
        "unchanged",
        "unchanged",
        "unchanged",
    ]
    assert failures(cron_database) == {}
