"""verify: each thing that it checks is broken once, and it reports that."""

import json
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.program import Program
from ticketdb.config import Variables
from ticketdb.develop.generate import AWKWARD_NAMES
from ticketdb.migrate.chain import MADE, read_chain, read_sources
from ticketdb.migrate.commands import apply, revert
from ticketdb.paths import shipped_tree
from ticketdb.private_server import Cluster
from ticketdb.templates import render
from ticketdb.verify import DATA_CHECKS, examine, verify

# All that have files of their own.
TABLES = {
    render(made["name"], Variables()).replace('"', "")
    for source in read_sources(shipped_tree())
    if (made := MADE.search(source.text)) and made["kind"] == "TABLE"
} | {"ticketdb.ticketdb_alembic_version"}
CHAIN = read_chain(shipped_tree())


def failures(database: Database) -> dict[str, tuple[str, ...]]:
    return {c.name: c.details for c in verify(database.dsn, Variables()) if not c.ok}


# What was done, the check that reports it, and what it prints: the name, and both values if there
# are two.
TAMPERING = [
    # comments
    ("COMMENT ON TABLE shows IS NULL", "comments", "comment relation public.shows is missing"),
    ("COMMENT ON TABLE shows IS 'x'", "comments", "public.shows: 'x' instead of 'Performances"),
    ("COMMENT ON COLUMN tickets.status IS NULL", "comments", "public.tickets.status is missing"),
    (
        "COMMENT ON CONSTRAINT shows_name_check ON shows IS NULL",
        "comments",
        "shows.shows_name_check is missing",
    ),
    (
        "COMMENT ON INDEX tickets_one_valid_per_seat IS NULL",
        "comments",
        "one_valid_per_seat is mis",
    ),
    ("COMMENT ON FUNCTION uuid_v7() IS NULL", "comments", "routine ticketdb.uuid_v7() is missing"),
    ("COMMENT ON SCHEMA monitoring IS NULL", "comments", "comment schema monitoring is missing"),
    ("COMMENT ON VIEW monitoring.health IS 'x'", "comments", "monitoring.health: 'x' instead of"),
    (
        "COMMENT ON TRIGGER seat_reservations_audit_insert ON seat_reservations IS NULL",
        "comments",
        "seat_reservations_audit_insert is missing",
    ),
    (
        "COMMENT ON FUNCTION refund_order IS 'x'",
        "comments",
        "refund_order(uuid,uuid): 'x' instead of",
    ),
    (
        "COMMENT ON ROLE ticketdb_app IS 'x. Created by ticketdb.'",
        "roles",
        "role ticketdb_app: '",
    ),
    # columns
    ("ALTER TABLE shows ADD COLUMN x text", "columns", "column public.shows.x is not shipped: '"),
    ("ALTER TABLE shows ALTER name DROP NOT NULL", "columns", "instead of '2 text NOT NULL"),
    ("ALTER TABLE shows ALTER venue TYPE varchar(9)", "columns", "character varying(9)"),
    ("ALTER TABLE shows ALTER status SET DEFAULT 'x'", "columns", "'x'::text"),
    ("ALTER TABLE shows ALTER id DROP DEFAULT", "columns", "default ticketdb.uuid_v7()"),
    ("ALTER TABLE shows RENAME name TO title", "columns", "column public.shows.name is missing"),
    ("ALTER TABLE shows ALTER name SET STORAGE external", "columns", "public.shows.name: "),
    (
        (
            "ALTER TABLE payment_events ADD COLUMN x text;"
            " ALTER TABLE payment_events RENAME provider TO y;"
            " ALTER TABLE payment_events RENAME event_id TO provider;"
            " ALTER TABLE payment_events RENAME y TO event_id;"
            " ALTER TABLE payment_events DROP COLUMN x"
        ),
        "columns",
        "column public.payment_events.event_id: '1 text",
    ),
    # tables, sequences, types
    (
        "DROP TABLE payment_events",
        "schemas and tables",
        "relation public.payment_events is missing",
    ),
    (
        "ALTER TABLE reservation_cleanup_runs SET UNLOGGED",
        "schemas and tables",
        "public.reservation_cleanup_runs: 'r u owner",
    ),
    ("ALTER TABLE shows SET (fillfactor = 10)", "schemas and tables", "options {fillfactor=10}"),
    ("ALTER TABLE shows ENABLE ROW LEVEL SECURITY", "schemas and tables", "security t f"),
    (
        "ALTER TABLE tickets REPLICA IDENTITY FULL",
        "schemas and tables",
        "relation public.tickets: ",
    ),
    ("ALTER TABLE shows OWNER TO hound_of_nobody", "schemas and tables", "owner hound_of_nobody"),
    (
        "ALTER SCHEMA monitoring OWNER TO hound_of_nobody",
        "schemas and tables",
        "schema monitoring: ",
    ),
    (
        "ALTER SEQUENCE reservation_cleanup_runs_id_seq INCREMENT 2",
        "schemas and tables",
        "reservation_cleanup_runs_id_seq: ",
    ),
    ("CREATE TABLE monitoring.x (id integer)", "schemas and tables", "monitoring.x is not shipped"),
    ("CREATE TYPE monitoring.x AS ENUM ('a')", "schemas and tables", "type monitoring.x is not"),
    (
        "ALTER TABLE api_request_log DETACH PARTITION api_request_log_default",
        "schemas and tables",
        "relation ticketdb.api_request_log_default: ",
    ),
    # constraints and indexes
    (
        "ALTER TABLE shows ADD CONSTRAINT x CHECK (true)",
        "constraints",
        "public.shows.x is not shipped",
    ),
    ("ALTER TABLE tickets DROP CONSTRAINT tickets_pkey CASCADE", "constraints", "tickets_pkey is"),
    (
        (
            "ALTER TABLE shows DROP CONSTRAINT shows_name_check;"
            " ALTER TABLE shows ADD CONSTRAINT shows_name_check CHECK (name <> '')"
        ),
        "constraints",
        "shows_name_check: ",
    ),
    (
        ("UPDATE pg_constraint SET convalidated = false WHERE conname = 'shows_name_check'"),
        "constraints",
        "(not validated)",
    ),
    (
        "ALTER TABLE reservation_seats ALTER CONSTRAINT {foreign_key} DEFERRABLE",
        "constraints",
        "DEFERRABLE' instead of",
    ),
    ("CREATE INDEX x ON shows (name)", "indexes", "index public.shows.x is not shipped"),
    ("DROP INDEX tickets_one_valid_per_seat", "indexes", "tickets_one_valid_per_seat is missing"),
    (
        (
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'tickets_one_valid_per_seat'::regclass"
        ),
        "indexes",
        "(not valid)",
    ),
    (
        (
            "DROP INDEX reservation_seats_no_double_booking;"
            " CREATE UNIQUE INDEX reservation_seats_no_double_booking"
            " ON reservation_seats (show_id, show_seat_id, reservation_id)"
            " WHERE released_at IS NULL"
        ),
        "indexes",
        "seats_no_double_booking: '…",
    ),
    ("ALTER TABLE shows CLUSTER ON shows_pkey", "indexes", "(clustered)"),
    # functions
    (
        "DROP FUNCTION refund_order",
        "functions",
        "routine public.refund_order(uuid,uuid) is missing",
    ),
    (
        "CREATE FUNCTION refund_order(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "functions",
        "routine public.refund_order(integer) is not shipped",
    ),
    (
        (
            "CREATE OR REPLACE FUNCTION ticketdb.is_time_zone(p_name text) RETURNS boolean"
            " LANGUAGE sql STABLE AS 'SELECT true'"
        ),
        "functions",
        "body ticketdb.is_time_zone(text) differs in line 1: 'SELECT true' instead of",
    ),
    (
        "ALTER FUNCTION refund_order RESET search_path",
        "functions",
        "search_path=pg_catalog, pg_temp",
    ),
    (
        "ALTER FUNCTION refund_order SET search_path = x",
        "functions",
        "search_path=x'",
    ),
    ("ALTER FUNCTION reserve_seats RESET plan_cache_mode", "functions", "force_generic_plan"),
    ("ALTER FUNCTION refund_order SECURITY INVOKER", "functions", "definer f"),
    ("ALTER FUNCTION window_start VOLATILE", "functions", "volatility v"),
    ("ALTER FUNCTION uuid_v7 PARALLEL RESTRICTED", "functions", "routine ticketdb.uuid_v7(): "),
    ("ALTER FUNCTION uuid_v7 COST 10000", "functions", "cost 10000"),
    ("ALTER FUNCTION uuid_v7 OWNER TO hound_of_nobody", "functions", "owner hound_of_nobody"),
    # triggers
    (
        "DROP TRIGGER seat_reservations_audit_insert ON seat_reservations",
        "triggers",
        "seat_reservations_audit_insert is missing",
    ),
    (
        "ALTER TABLE seat_reservations DISABLE TRIGGER seat_reservations_audit_insert",
        "triggers",
        "disabled' instead of '…",
    ),
    (
        "ALTER TABLE seat_reservations ENABLE TRIGGER seat_reservations_audit_insert",
        "triggers",
        "enabled' instead of '…",
    ),
    (
        (
            "CREATE TRIGGER x BEFORE INSERT ON tickets FOR EACH ROW"
            " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        ),
        "triggers",
        "trigger public.tickets.x is not shipped",
    ),
    # views and policies
    (
        "DROP VIEW monitoring.health",
        "views and policies",
        'rule monitoring.health."_RETURN" is mis',
    ),
    (
        (
            "CREATE OR REPLACE VIEW monitoring.double_booking_attempts AS"
            " SELECT '5m'::text AS time_window, 0::bigint AS attempts"
        ),
        "views and policies",
        "double_booking_attempts",
    ),
    (
        "CREATE RULE x AS ON DELETE TO shows DO INSTEAD NOTHING",
        "views and policies",
        "shows.x is not",
    ),
    ("CREATE POLICY x ON shows", "views and policies", "policy public.shows.x is not shipped"),
    (
        "ALTER VIEW monitoring.health SET (security_invoker = true)",
        "schemas and tables",
        "security_invoker=true",
    ),
    # privileges
    (
        "GRANT SELECT ON shows TO PUBLIC",
        "privileges",
        "public.shows to PUBLIC is not shipped: 'SELECT'",
    ),
    ("GRANT SELECT (name) ON shows TO PUBLIC", "privileges", "public.shows.name to PUBLIC is not"),
    ("REVOKE EXECUTE ON FUNCTION uuid_v7() FROM PUBLIC", "privileges", "uuid_v7() to PUBLIC is"),
    ("GRANT USAGE ON SCHEMA monitoring TO PUBLIC", "privileges", "monitoring to PUBLIC"),
    ("GRANT SELECT ON tickets TO ticketdb_monitor", "privileges", "tickets to ticketdb_monitor"),
    (
        "REVOKE SELECT ON monitoring.alerts FROM ticketdb_monitor",
        "privileges",
        "alerts to ticketdb_mo",
    ),
    ("REVOKE EXECUTE ON FUNCTION reserve_seats FROM ticketdb_app", "privileges", "is missing"),
    ("REVOKE INSERT ON tickets FROM CURRENT_USER", "privileges", "public.tickets to <owner>: '"),
    (
        "GRANT EXECUTE ON FUNCTION refund_order TO ticketdb_app WITH GRANT OPTION",
        "privileges",
        "'EXECUTE*' instead of 'EXECUTE'",
    ),
    (
        "GRANT SELECT ON seat_reservation_audit_log_default TO PUBLIC",
        "privileges",
        "log_default to P",
    ),
    (
        "GRANT USAGE ON SEQUENCE reservation_cleanup_runs_id_seq TO PUBLIC",
        "privileges",
        "id_seq to",
    ),
    (
        "GRANT DELETE ON {month} TO ticketdb_app",
        "privileges",
        "_<month> to ticketdb_app is not shipped",
    ),
    # roles
    ("ALTER ROLE ticketdb_app LOGIN", "roles", "role ticketdb_app: 'login t"),
    ("ALTER ROLE datadog BYPASSRLS", "roles", "bypassrls t"),
    ("GRANT ticketdb_app TO datadog", "roles", "datadog in ticketdb_app is not shipped"),
    ("REVOKE ticketdb_monitor FROM datadog", "roles", "datadog in ticketdb_monitor is missing"),
    ("ALTER ROLE dashboard_reader SET statement_timeout = 0", "roles", "statement_timeout=0"),
    (
        "ALTER ROLE datadog IN DATABASE {database} SET statement_timeout = 0",
        "roles",
        "role setting datadog",
    ),
    # partitions of months
    ("ALTER TABLE {month} DISABLE TRIGGER ALL", "triggers", "_<month>."),
    (
        "ALTER TABLE {month} ADD CONSTRAINT x CHECK (true)",
        "constraints",
        "_<month>.x is not shipped",
    ),
    # history and data
    (
        "UPDATE ticketdb_migrations SET rendered_sha256 = repeat('0', 64)",
        "checksums",
        "0002: it now renders",
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
    (
        "DROP FUNCTION current_violations()",
        "invariants",
        "function current_violations is missing",
    ),
]


# A database, a partition of a month, and a foreign key, whatever they are called today.
PLACES = """
    SELECT
        quote_ident(current_database()),
        (SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhrelid::regclass::text
            ~ '^seat_reservation_audit_log_p'),
        (SELECT min(quote_ident(conname)) FROM pg_constraint WHERE contype = 'f'
            AND conrelid = 'reservation_seats'::regclass)
"""


@pytest.fixture(scope="module")
def session(cluster: Cluster, template_database: str) -> Iterator[psycopg.Connection]:
    """A database for all the tampering: each is rolled back after it was looked at."""
    name = f"tampering_{uuid.uuid4().hex}"
    cluster.create_database(name, template_database)
    with psycopg.connect(cluster.dsn(name)) as connection:
        assert examined(connection) == {}
        yield connection
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name}".encode())


def examined(session: psycopg.Connection) -> dict[str, tuple[str, ...]]:
    checks = examine(session, Variables(), shipped_tree())
    return {check.name: check.details for check in checks if not check.ok}


@pytest.mark.parametrize(
    ("tampering", "check", "message"), TAMPERING, ids=[tampering for tampering, _, _ in TAMPERING]
)
def test_tampering_is_found_and_named(
    tampering: str, check: str, message: str, session: psycopg.Connection
) -> None:
    session.rollback()
    session.execute(
        "SET LOCAL search_path = public, ticketdb; SET LOCAL allow_system_table_mods = on"
    )
    session.execute("CREATE ROLE hound_of_nobody; GRANT ALL ON SCHEMA public TO hound_of_nobody")
    found = session.execute(PLACES).fetchone()
    assert found is not None
    places = dict(zip(("database", "month", "foreign_key"), found, strict=True))
    session.execute(re.sub(r"\{(\w+)\}", lambda m: places[m[1]], tampering).encode())
    details = examined(session)
    session.rollback()
    assert any(message in detail for detail in details.get(check, ())), details


@pytest.mark.parametrize("table", sorted(TABLES))
def test_a_missing_table_is_reported_whichever_it_is(
    table: str, session: psycopg.Connection
) -> None:
    """Also one that the checks themselves read: those report it in one line, and others go on."""
    session.rollback()
    session.execute("SET LOCAL client_min_messages = error")
    session.execute(f"DROP TABLE {table} CASCADE".encode())
    if table == "ticketdb.ticketdb_alembic_version":  # then nothing is known about the database
        assert examined(session).keys() == {"revision", "checksums"}
    else:
        message = examined(session)
        assert any(
            detail.startswith(f"relation {table} is missing")
            for detail in message.get("schemas and tables", ())
        ), message
        assert all(len(message.get(check, ())) <= 1 for check in DATA_CHECKS)
    session.rollback()


@pytest.mark.parametrize(
    ("damage", "check", "message"),
    [
        (
            "DROP TABLE public.payment_events CASCADE",
            "invariants",
            'could not be checked: relation "public.payment_events" does not exist',
        ),
        (
            "ALTER TABLE public.tickets RENAME COLUMN status TO x",
            "invariants",
            "could not be checked: column ticket.status does not exist",
        ),
        (
            "DROP ROUTINE ticketdb.system_identifier() CASCADE",
            "rollups",
            "could not be checked: function ticketdb.system_identifier() does not exist",
        ),
        (
            "ALTER TABLE ticketdb.metric_watermarks RENAME COLUMN log TO x",
            "rollups",
            "could not be checked: column m.log does not exist",
        ),
    ],
)
def test_a_check_without_what_it_reads_reports_that_and_others_go_on(
    damage: str, check: str, message: str, session: psycopg.Connection
) -> None:
    session.rollback()
    session.execute("SET LOCAL client_min_messages = error")
    session.execute(damage.encode())
    names = [check.name for check in examine(session, Variables(), shipped_tree())]
    found = examined(session)
    session.rollback()
    assert names[-3:] == DATA_CHECKS
    assert found[check] == (message,)
    assert found.keys() & set(DATA_CHECKS) == {check}
    assert found.keys() - {check}  # what is gone is reported, too


def test_what_the_last_check_of_the_invariants_found_is_not_asked(
    session: psycopg.Connection,
) -> None:
    """They are counted anew: a check is up to ten minutes old."""
    session.rollback()
    session.execute("UPDATE ticketdb.last_invariant_check SET violations = 3")
    assert examined(session) == {}
    session.rollback()


@pytest.mark.parametrize("manage_roles", [True, False])
def test_what_was_built_is_what_is_shipped(own_database: Database, manage_roles: bool) -> None:
    """The negative control of all tampering, with names and quoting that could confuse it."""
    for names in (
        Variables(manage_roles=manage_roles),
        replace(AWKWARD_NAMES, manage_roles=manage_roles),
    ):
        apply(own_database.dsn, names)
        checks = verify(own_database.dsn, names)
        revert(own_database.dsn, names, "base", allow_data_loss=True)
        assert {check.name: check.details for check in checks if not check.ok} == {}
        assert len(checks) == 16


def test_names_that_stand_in_the_bodies_of_functions_do_not_confuse_it(
    own_database: Database,
) -> None:
    """Schemas called like an alias of a query: text alone cannot distinguish them."""
    names = Variables(
        schema="event", monitoring_schema="mark", app_role="user", monitor_role="show"
    )
    apply(own_database.dsn, names)
    checks = verify(own_database.dsn, names)
    revert(own_database.dsn, names, "base", allow_data_loss=True)
    assert {check.name: check.details for check in checks if not check.ok} == {}


def test_a_database_that_lags_behind_is_reported(database: Database) -> None:
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


def test_the_verdict_is_printed_for_people_and_for_programs(
    ticketdb: Program, database: Database, connect: Connect, tmp_path: Path
) -> None:
    good = ticketdb("verify", "--dsn", database.dsn)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "all checks passed")
    connect().execute("GRANT SELECT ON public.shows TO PUBLIC")
    bad = ticketdb("verify", "--dsn", database.dsn)
    assert bad.returncode == 1
    message = "grant public.shows to PUBLIC is not shipped: 'SELECT'"
    assert f"FAILED privileges\n    {message}\n" in bad.stdout
    as_json = ticketdb("verify", "--json", "--dsn", database.dsn)
    assert as_json.returncode == 1
    report = json.loads(as_json.stdout)
    assert report["ok"] is False
    (failed,) = (check for check in report["checks"] if not check["ok"])
    assert (failed["name"], failed["details"]) == ("privileges", [message])
    assert failed["differences"] == [
        {
            "change": "extra",
            "kind": "grant",
            "identity": "public.shows to PUBLIC",
            "wanted": None,
            "found": "SELECT",
        }
    ]
    ticketdb("verify", "--junit", "report.xml", "--dsn", database.dsn)
    suite = ET.parse(tmp_path / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == (str(len(report["checks"])), "1")
    (failure,) = suite.iter("failure")
    assert failure.text == message


def test_a_restored_database_is_reported_until_its_logs_are_rolled_up(
    database: Database, connect: Connect
) -> None:
    connection = connect()
    connection.execute("UPDATE ticketdb.metric_watermarks SET system_identifier = 1")
    message = failures(database)["rollups"]
    assert len(message) == 3
    assert all(
        "was restored from another server: run roll_up_metrics()" in line for line in message
    )
    connection.execute("SELECT public.roll_up_metrics()")
    assert failures(database) == {}


def test_the_jobs_of_pg_cron_are_compared(cron_database: Database) -> None:
    apply(cron_database.dsn, Variables())
    assert failures(cron_database) == {}
    job = "WHERE jobname = 'cleanup-expired-reservations'"
    name, call = "job cleanup-expired-reservations", "CALL public.run_reservation_cleanup"
    with psycopg.connect(cron_database.dsn, autocommit=True) as connection:
        for tampering, message in (
            (f"UPDATE cron.job SET active = false {job}", f"{name} is switched off"),
            (
                f"UPDATE cron.job SET active = true, schedule = '0 4 * * *' {job}",
                f"{name}; schedule '0 4 * * *' instead of '* * * * *'",
            ),
            (
                f"UPDATE cron.job SET schedule = '* * * * *', command = 'SELECT 1' {job}",
                f"{name}; command 'SELECT 1' instead of '{call}(''pg_cron'')'",
            ),
            (f"SELECT cron.unschedule(jobid) FROM cron.job {job}", f"{name} is missing"),
        ):
            connection.execute(tampering.encode())
            assert failures(cron_database) == {"jobs": (message,)}
    # The next apply mends it, though no revision is pending.
    assert [job.action for job in apply(cron_database.dsn, Variables()).jobs] == [
        "scheduled",
        "unchanged",
        "unchanged",
        "unchanged",
        "unchanged",
    ]
    assert failures(cron_database) == {}
