"""Who may do what: the application calls functions, monitoring reads numbers, nobody else does."""

import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.names import NAMES, OURS, SCHEMAS
from tests.support.personal import PERSONAL
from tests.support.privileges import (
    APPLICATION,
    BOX_OFFICE,
    FOR_ANYBODY,
    callable_by,
    refuses,
    relations,
    routines,
    select,
)
from tests.support.queries import Connection, acting_as, enter, value
from ticketdb.migrate import commands
from ticketdb.migrate.script import script
from ticketdb.private_server import Cluster

GROUPS = (NAMES.app_role, NAMES.box_office_role, NAMES.monitor_role)
# What the monitoring of the guide, and its contract, select by name.
NUMBERS = {
    "seat_reservations": {"id", "show_id", "status", "is_active", "expires_at", "created_at"},
    "seat_reservation_audit_log": {
        "event_type",
        "reservation_id",
        "show_id",
        "seat_count",
        "error_code",
        "error_message",
        "hold_seconds",
        "created_at",
    },
    "ticket_order_audit_log": {"order_id", "old_status", "new_status", "amount_in_cents"},
    "ticket_orders": {"status", "total_amount_in_cents", "currency", "created_at"},
    "tickets": {"price_in_cents", "status", "created_at"},
    "show_seats": {"status", "reserved_until"},
    "reservation_seats": {"reservation_id", "released_at"},
    "shows": {"name", "status"},
    "reservation_cleanup_runs": {"status", "started_at", "error_message"},
    "reservation_cleanup_job_status": {"status", "start_time", "return_message"},
    "invariant_violations": {"invariant", "violations"},
    "api_request_log": {"endpoint", "status_code", "duration_ms"},
}
SEAT_MAP = {
    "id",
    "show_id",
    "section",
    "row_label",
    "seat_number",
    "status",
    "reserved_until",
    "price_in_cents",
}


@pytest.fixture
def stranger(connection: Connection) -> str:
    """A role that is not of ticketdb. The end of the transaction removes it."""
    name = f"stranger_{uuid.uuid4().hex}"
    connection.execute(f"CREATE ROLE {name}")
    # What a newcomer could not see, he could not be refused: let him in as far as a DBA might.
    for schema in SCHEMAS:
        connection.execute(
            sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(
                sql.Identifier(schema), sql.Identifier(name)
            )
        )
    return name


# the application


def test_the_application_can_sell_a_seat_from_beginning_to_end(connection: Connection) -> None:
    hall = make_hall(connection)
    with acting_as(connection, NAMES.app_role):
        hold = hall.hold(0, 1, 2)
        assert hall.extend(hold).success
        assert hall.release(hold, hall.ids(2)).success
        assert hall.add(hold, 3).success
        assert hall.price(hold, {3: 500}, ["child"]).success
        assert hall.move(hold, "anna's other session").success
        assert hall.move(hold, "anna", session="anna's other session").success
        assert hall.reserve_best(2, session="ben").success
        order = hall.order(hold)
        assert hall.fail(order).success
        assert hall.pay(order).status == "paid"
        assert hall.refund(order).seats_released == 3
        assert hall.reserve(0, 0).error_code == "INVALID_INPUT"
        connection.execute("SELECT log_api_request('/', 'GET', 200, 1)")
        assert hall.call("get_reservation_statistics").total_created == 2


def test_the_application_may_call_its_functions_and_no_other(connection: Connection) -> None:
    assert callable_by(connection, NAMES.app_role) == APPLICATION | FOR_ANYBODY


def test_the_application_is_denied_what_others_operate(connection: Connection) -> None:
    others = [routine for routine in routines(connection) if routine.name not in APPLICATION]
    operated = {"maintain_partitions", "run_reservation_cleanup", "end_reservations"}
    assert operated | BOX_OFFICE - APPLICATION <= {routine.name for routine in others}
    for routine in others:
        assert refuses(connection, NAMES.app_role, routine.statement), routine.name


def test_the_application_reads_seat_map_shows_and_currencies_and_nothing_else(
    hall: Hall,
) -> None:
    role = NAMES.app_role
    with acting_as(hall.connection, role):
        rows = hall.connection.execute(select(SEAT_MAP, "show_seats")).fetchall()
        assert len(rows) == len(hall.seats)
        assert len(hall.connection.execute("SELECT * FROM shows").fetchall()) == 1
        assert len(hall.connection.execute("SELECT * FROM currencies").fetchall()) > 100
    assert refuses(hall.connection, role, "SELECT reserved_by FROM show_seats")
    for table in relations(hall.connection):
        if table.rpartition(".")[2] not in ("shows", "show_seats", "currencies"):
            assert refuses(hall.connection, role, f"SELECT count(*) FROM {table}"), table


WRITES = ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]


@pytest.mark.parametrize(
    "role", [NAMES.app_role, NAMES.monitor_role, NAMES.dashboard_role, NAMES.datadog_role]
)
def test_no_role_of_ours_writes_any_table(connection: Connection, role: str) -> None:
    tables = relations(connection)
    assert len(tables) > 20
    for table in tables:
        for privilege in WRITES:
            assert not value(
                connection, "SELECT has_table_privilege(%s, %s, %s)", role, table, privilege
            ), (table, privilege)
        for privilege in ("INSERT", "UPDATE", "REFERENCES"):
            assert not value(
                connection, "SELECT has_any_column_privilege(%s, %s, %s)", role, table, privilege
            ), (table, privilege)
    for sequence in relations(connection, ["S"]):
        for privilege in ("USAGE", "SELECT", "UPDATE"):
            assert not value(
                connection, "SELECT has_sequence_privilege(%s, %s, %s)", role, sequence, privilege
            )
    for schema in SCHEMAS:
        assert not value(connection, "SELECT has_schema_privilege(%s, %s, 'CREATE')", role, schema)


def test_the_application_is_denied_direct_writes(hall: Hall) -> None:
    hold = hall.hold(0)
    for statement in [
        "UPDATE show_seats SET status = 'sold'",
        "DELETE FROM shows",
        "INSERT INTO shows (name, starts_at, currency) VALUES ('x', now(), 'EUR')",
        "TRUNCATE tickets",
        f"UPDATE seat_reservations SET expires_at = now() WHERE id = '{hold.reservation_id}'",
        "UPDATE ticketing_settings SET hold_minutes = 1000",
        "SELECT * FROM show_seats FOR UPDATE",
    ]:
        assert refuses(hall.connection, NAMES.app_role, statement), statement


# those who monitor


@pytest.mark.parametrize("role", [NAMES.dashboard_role, NAMES.datadog_role])
@pytest.mark.parametrize("table", PERSONAL)
def test_a_dashboard_cannot_read_what_is_personal(
    connection: Connection, table: str, role: str
) -> None:
    for column in PERSONAL[table]:
        assert refuses(connection, role, select({column}, table)), column
        assert refuses(connection, role, f"SELECT 1 FROM {table} WHERE {column} IS NULL"), column
    assert refuses(connection, role, f"SELECT * FROM {table}")
    assert refuses(connection, role, f"SELECT t FROM {table} AS t")
    assert refuses(connection, role, f"COPY {table} TO STDOUT")


@pytest.mark.parametrize("table", NUMBERS)
def test_a_dashboard_reads_the_numbers(connection: Connection, table: str) -> None:
    for role in (NAMES.dashboard_role, NAMES.datadog_role):
        with acting_as(connection, role):
            connection.execute(select(NUMBERS[table], table))


def test_every_column_is_either_personal_or_may_be_read_by_dashboards(
    connection: Connection,
) -> None:
    """A new column must be put on one side: this fails when it is granted by accident."""
    readable = connection.execute(
        "SELECT c.relname AS table, a.attname AS column FROM pg_class AS c"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace = ANY(%s::regnamespace[]) AND c.relkind IN ('r', 'p', 'v')"
        " AND has_column_privilege(%s, c.oid, a.attnum, 'SELECT')",
        [[OURS[0], OURS[2]], NAMES.dashboard_role],
    ).fetchall()
    assert len(readable) > 50
    personal = set().union(*PERSONAL.values()) | {"variables", "applied_by"}
    suspicious = {
        (row.table, row.column)
        for row in readable
        # A name that is personal somewhere is so everywhere, unless it is a number's by contract.
        if row.column in personal - NUMBERS.get(row.table, set())
        or row.table.startswith("ticketdb_")
        or "_p20" in row.table
        or row.table.endswith("_default")
    }
    assert suspicious == set()


def test_a_dashboard_gets_the_statistics_and_is_denied_every_other_function(
    hall: Hall,
) -> None:
    hall.hold(0)
    with acting_as(hall.connection, NAMES.dashboard_role):
        assert hall.call("get_reservation_statistics").total_created == 1
    for routine in routines(hall.connection):
        if routine.name != "get_reservation_statistics":
            assert refuses(hall.connection, NAMES.dashboard_role, routine.statement), routine.name


def test_a_dashboard_logs_in_reads_and_is_cut_off_after_four_seconds(
    shared_database: Database, connect: Connect
) -> None:
    for role in (NAMES.dashboard_role, NAMES.datadog_role):
        session = enter(connect(shared_database, user=role))
        assert value(session, "SELECT current_user::text") == role
        assert value(session, "SELECT current_setting('statement_timeout')") == "4s"
        assert value(session, "SELECT count(*) FROM reservation_cleanup_job_status") == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT email FROM seat_reservations")


def test_groups_cannot_log_in_and_logins_have_no_password(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT rolname, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls"
        " AS powerful, rolpassword IS NULL AS open FROM pg_authid"
        " WHERE rolname = ANY(%s)",
        [[*GROUPS, NAMES.dashboard_role, NAMES.datadog_role]],
    ).fetchall()
    assert {row.rolname: row[1:] for row in rows} == {
        **dict.fromkeys(GROUPS, (False, False, True)),
        NAMES.dashboard_role: (True, False, True),
        NAMES.datadog_role: (True, False, True),
    }


# everybody else


def test_a_stranger_is_denied_every_function(connection: Connection, stranger: str) -> None:
    found = routines(connection)
    assert {routine.name for routine in found} > APPLICATION | BOX_OFFICE
    for routine in found:
        if routine.name in FOR_ANYBODY:
            continue
        assert not value(
            connection,
            "SELECT has_function_privilege(%s, %s::oid, 'EXECUTE')",
            stranger,
            routine.oid,
        ), routine.name
        assert refuses(connection, stranger, routine.statement), routine.name


def test_a_role_that_may_insert_shows_and_seats_can_though_nothing_internal_is_open_to_it(
    connection: Connection,
) -> None:
    clerk = f"clerk_{uuid.uuid4().hex}"
    connection.execute(f"CREATE ROLE {clerk}")
    connection.execute(
        f"GRANT USAGE ON SCHEMA {OURS[0]} TO {clerk};"
        f" GRANT SELECT, INSERT, UPDATE ON shows, show_seats TO {clerk}".encode()
    )
    with acting_as(connection, clerk):
        show = value(
            connection,
            "INSERT INTO shows (name, starts_at, currency, time_zone)"
            " VALUES ('Hamlet', now() + interval '1 day', 'EUR', 'Europe/Berlin') RETURNING id",
        )
        connection.execute(
            "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
            " VALUES (%s, 'stalls', 'A', '1', 100)",
            [show],
        )
        connection.execute("UPDATE shows SET status = 'on_sale' WHERE id = %s", [show])
    for statement in (f"SELECT {OURS[2]}.uuid_v7()", f"SELECT FROM {OURS[2]}.change_log"):
        assert refuses(connection, clerk, statement), statement
    assert value(connection, "SELECT count(*) FROM change_log") == 3


def test_a_stranger_is_denied_every_table_and_view(connection: Connection, stranger: str) -> None:
    for table in relations(connection):
        assert refuses(connection, stranger, f"SELECT count(*) FROM {table}"), table
        assert not value(
            connection, "SELECT has_any_column_privilege(%s, %s, 'SELECT')", stranger, table
        ), table


def test_definer_functions_cannot_be_led_astray_by_a_search_path(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT proname, proconfig FROM pg_proc"
        " WHERE prosecdef AND pronamespace = ANY(%s::regnamespace[])",
        [OURS],
    ).fetchall()
    # A procedure that commits cannot be one: it calls cancel_show_portion(), which is.
    assert {row.proname for row in rows} >= (APPLICATION | BOX_OFFICE) - {"cancel_show"}
    for row in rows:
        (path,) = (entry for entry in row.proconfig if entry.startswith("search_path="))
        assert path.endswith(", pg_temp"), row.proname


def test_a_temporary_table_does_not_take_the_place_of_ours(hall: Hall) -> None:
    connection = hall.connection
    with acting_as(connection, NAMES.app_role):
        for table in ("show_seats", "shows", "seat_reservations", "ticketing_settings"):
            connection.execute(f"CREATE TEMP TABLE {table} (id uuid)")
        hold = hall.hold(0)
    path = sql.Identifier(NAMES.schema, "seat_reservations")
    found = connection.execute(
        sql.SQL("SELECT id FROM {} WHERE id = %s").format(path), [hold.reservation_id]
    ).fetchall()
    assert len(found) == 1
    for table in ("show_seats", "shows", "seat_reservations", "ticketing_settings"):
        connection.execute(f"DROP TABLE pg_temp.{table}")


# default privileges


@pytest.fixture(scope="module")
def anon(cluster: Cluster) -> Iterator[str]:
    """A role like Supabase's: default privileges give it everything. Outlives the databases."""
    name = f"anon_{uuid.uuid4().hex}"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name}")
        yield name
        connection.execute(f"DROP ROLE {name}")


def given_to_strangers(connection: Connection) -> list[Any]:
    """Privileges on anything of ours that its owner and our groups do not have."""
    return connection.execute(
        """
        WITH objects (object, owner, acl) AS (
            SELECT oid::regclass::text, relowner,
                COALESCE(
                    relacl,
                    acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner)
                )
            FROM pg_class
            WHERE relnamespace = ANY(%(ours)s::regnamespace[])
                AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            UNION ALL
            SELECT oid::regprocedure::text, proowner, COALESCE(proacl, acldefault('f', proowner))
            FROM pg_proc
            WHERE pronamespace = ANY(%(ours)s::regnamespace[]) AND proname <> ALL(%(anybody)s)
            UNION ALL
            SELECT attrelid::regclass || '.' || attname, relowner, attacl
            FROM pg_attribute
            INNER JOIN pg_class ON pg_class.oid = attrelid
            WHERE relnamespace = ANY(%(ours)s::regnamespace[]) AND attacl IS NOT NULL
            UNION ALL
            SELECT nspname, nspowner, COALESCE(nspacl, acldefault('n', nspowner))
            FROM pg_namespace
            WHERE nspname = ANY(%(closed)s)
        )
        SELECT object, grantee::regrole::text AS grantee, privilege_type
        FROM objects
        CROSS JOIN LATERAL aclexplode(acl)
        WHERE grantee <> owner
            AND grantee <> ALL(
                SELECT oid FROM pg_roles WHERE rolname = ANY(%(groups)s)
            )
        ORDER BY object, grantee
        """,
        {
            "ours": OURS,
            "anybody": list(FOR_ANYBODY),
            "closed": [NAMES.monitoring_schema, NAMES.internal_schema],
            "groups": list(GROUPS),
        },
    ).fetchall()


def give_everything_by_default(connection: Connection, role: str) -> None:
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS", "SCHEMAS"):
        for grantee in (role, "PUBLIC"):
            connection.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {kind} TO {grantee}")


def test_nothing_is_given_to_strangers(connection: Connection) -> None:
    assert given_to_strangers(connection) == []


def test_a_grant_to_strangers_would_be_seen(connection: Connection, stranger: str) -> None:
    connection.execute(f"REVOKE USAGE ON SCHEMA {OURS[1]}, {OURS[2]} FROM {stranger}".encode())
    connection.execute(f"GRANT SELECT (email) ON seat_reservations TO {stranger}")
    connection.execute("GRANT EXECUTE ON FUNCTION window_start(interval) TO PUBLIC")
    connection.execute("GRANT SELECT ON shows TO PUBLIC")
    assert [(row.object, row.grantee) for row in given_to_strangers(connection)] == [
        ("seat_reservations.email", stranger),
        ("shows", "-"),
        ("window_start(interval)", "-"),
    ]


def test_default_privileges_of_the_server_give_nothing_of_ours_away(
    anon: str, empty_database: Database, connect: Connect
) -> None:
    connection = connect(empty_database)
    give_everything_by_default(connection, anon)
    commands.apply(empty_database.dsn, NAMES)
    enter(connection)
    assert given_to_strangers(connection) == []

    # Partitions that come later are objects too.
    partition = value(
        connection,
        "SELECT max(inhrelid::regclass::text) FROM pg_inherits"
        " WHERE inhparent = 'seat_reservation_audit_log'::regclass",
    )
    connection.execute(f"DROP TABLE {partition}")
    assert value(connection, "SELECT maintain_partitions()") == partition
    assert given_to_strangers(connection) == []

    connection.execute(
        "INSERT INTO seat_reservation_audit_log (event_type, show_id, created_at)"
        " VALUES ('created', gen_random_uuid(), now() - interval '1 year')"
    )
    connection.execute("SELECT maintain_partitions()")
    assert given_to_strangers(connection) == []

    # The negative control: what is not ours is given away.
    connection.execute("CREATE TABLE somebody_elses (id integer)")
    assert {row.grantee for row in given_to_strangers(connection)} == {anon, "-"}


def test_partitions_made_within_a_savepoint_are_not_given_away_either(
    anon: str, database: Database, connect: Connect
) -> None:
    """psql's ON_ERROR_ROLLBACK, and many drivers, put a savepoint before each statement."""
    connection = enter(connect())
    assert connection.info.dbname == database.name
    give_everything_by_default(connection, anon)
    partition = value(
        connection,
        "SELECT max(inhrelid::regclass::text) FROM pg_inherits"
        " WHERE inhparent = 'ticket_order_audit_log'::regclass",
    )
    connection.execute(f"DROP TABLE {partition}")
    with connection.transaction(), connection.transaction():
        assert value(connection, "SELECT maintain_partitions()") == partition
    assert given_to_strangers(connection) == []

    # A default partition that had rows to give away is a new table too.
    connection.execute(
        "INSERT INTO ticket_order_audit_log (new_status, show_id, created_at)"
        " VALUES ('pending', gen_random_uuid(), now() - interval '1 year')"
    )
    with connection.transaction(), connection.transaction():
        connection.execute("SELECT maintain_partitions()")
    assert given_to_strangers(connection) == []


def test_a_script_run_with_a_savepoint_before_each_statement_gives_nothing_away(
    anon: str, empty_database: Database, connect: Connect
) -> None:
    connection = connect(empty_database)
    give_everything_by_default(connection, anon)
    psql = str(empty_database.cluster.binaries.bindir / "psql")
    options = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "ON_ERROR_ROLLBACK=on"]
    subprocess.run(
        [psql, *options, empty_database.dsn],
        input=script(NAMES),
        text=True,
        check=True,
        capture_output=True,
    )
    enter(connection)
    assert value(connection, "SELECT count(*) FROM show_seats") == 0
    assert given_to_strangers(connection) == []
