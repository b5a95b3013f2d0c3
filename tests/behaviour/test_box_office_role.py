"""The role of the staff: it calls the functions of the box office and sets up shows."""

from typing import Any

import pytest
from psycopg import sql

from tests.support.counter import Counter
from tests.support.hall import Hall, make_hall
from tests.support.names import NAMES, SCHEMAS
from tests.support.privileges import (
    APPLICATION,
    BOX_OFFICE,
    FOR_ANYBODY,
    callable_by,
    refuses,
    relations,
    routines,
)
from tests.support.queries import Connection, acting_as, value

ROLE = NAMES.box_office_role
# What it reads as tables: no person is in them.
READABLE = {"shows", "show_seats", "currencies"}
# What it writes, by column.
SHOW = {"name", "venue", "starts_at", "time_zone", "currency", "status", "sales_start_at"}
PLACE = {"section", "row_label", "seat_number", "row_position", "seat_position", "price_in_cents"}
STATE = {"status", "reserved_by", "reserved_until"}

NEW_SHOW = (
    "INSERT INTO shows (name, starts_at, currency, time_zone, status)"
    " VALUES ('Hamlet', now() + interval '1 day', 'EUR', 'Europe/Berlin', 'draft') RETURNING id"
)
NEW_SEAT = (
    "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
    " VALUES (%s, 'stalls', 'A', %s, 100) RETURNING id"
)

NEW_SOLD_SEAT = (
    "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents, status)"
    " SELECT id, 'stalls', 'Z', '1', 1, 'sold' FROM shows"
)


def test_the_staff_sets_up_a_show_and_works_at_the_counter_and_the_gate(
    connection: Connection,
) -> None:
    with acting_as(connection, ROLE):
        show = value(connection, NEW_SHOW)
        seats = tuple(value(connection, NEW_SEAT, show, str(n)) for n in range(4))
        connection.execute("UPDATE shows SET status = 'on_sale', sales_start_at = now()")
        connection.execute("UPDATE show_seats SET price_in_cents = 700 WHERE seat_number = '3'")
        counter = Counter(Hall(connection, show, seats))
        assert counter.block(0, 1).seats_blocked == 2
        assert counter.unblock(1).seats_unblocked == 1
        sold = counter.sell(0, 3)
        assert sold.total_amount_in_cents == 800
        assert counter.move(sold.ticket_ids[:1], 2).tickets_moved == 1
        assert counter.check_in(sold.ticket_codes[0]).seat_number == "2"
        assert counter.block(3).error_code == "SEATS_SOLD"
        assert counter.hall.statuses() == ["available", "available", "sold", "sold"]


def test_the_staff_may_call_its_functions_and_no_other(connection: Connection) -> None:
    assert callable_by(connection, ROLE) == BOX_OFFICE | FOR_ANYBODY
    others = [routine for routine in routines(connection) if routine.name not in BOX_OFFICE]
    assert {"reserve_seats", "take_seats", "log_staff_action"} <= {r.name for r in others}
    for routine in others:
        assert refuses(connection, ROLE, routine.statement), routine.name


@pytest.mark.parametrize(
    "role", [NAMES.app_role, NAMES.monitor_role, NAMES.dashboard_role, NAMES.datadog_role]
)
def test_nobody_else_may_do_what_the_staff_may(connection: Connection, role: str) -> None:
    shared = APPLICATION if role == NAMES.app_role else set()
    staffs = [r for r in routines(connection) if r.name in BOX_OFFICE - shared]
    assert len(staffs) >= 10
    for routine in staffs:
        assert refuses(connection, role, routine.statement), routine.name


def test_the_staff_reads_shows_seats_and_currencies_and_nothing_else(hall: Hall) -> None:
    hall.sell(0)
    with acting_as(hall.connection, ROLE):
        assert hall.connection.execute("SELECT * FROM shows").fetchall()
        assert hall.connection.execute("SELECT * FROM currencies").fetchall()
    for table in relations(hall.connection):
        if table.rpartition(".")[2] not in READABLE:
            assert refuses(hall.connection, ROLE, f"SELECT count(*) FROM {table}"), table
    # Not by whom a seat is held.
    assert refuses(hall.connection, ROLE, "SELECT reserved_by FROM show_seats")


def writable(connection: Connection, privilege: str) -> dict[str, set[str]]:
    """Columns by table that the role may write."""
    found: dict[str, set[str]] = {}
    rows = connection.execute(
        "SELECT c.relname::text AS name, a.attname::text AS column FROM pg_class AS c"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p', 'v')"
        " AND has_column_privilege(%s, c.oid, a.attnum, %s)",
        [list(SCHEMAS), ROLE, privilege],
    ).fetchall()
    for row in rows:
        found.setdefault(row.name, set()).add(row.column)
    return found


def test_the_staff_writes_shows_and_places_and_never_the_state_of_a_seat(
    connection: Connection,
) -> None:
    inserted, updated = writable(connection, "INSERT"), writable(connection, "UPDATE")
    assert inserted.keys() == updated.keys() == {"shows", "show_seats"}
    assert inserted["shows"] & updated["shows"] >= SHOW
    assert inserted["show_seats"] == PLACE | {"id", "show_id"}
    assert updated["show_seats"] == PLACE
    assert not STATE & (inserted["show_seats"] | updated["show_seats"])
    for table in relations(connection):
        for privilege in ("DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
            assert not value(
                connection, "SELECT has_table_privilege(%s, %s, %s)", ROLE, table, privilege
            ), (table, privilege)
    for schema in SCHEMAS:
        assert not value(connection, "SELECT has_schema_privilege(%s, %s, 'CREATE')", ROLE, schema)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE show_seats SET status = 'blocked'",
        "UPDATE show_seats SET reserved_until = NULL",
        "UPDATE show_seats SET reserved_by = NULL",
        "UPDATE show_seats SET price_in_cents = 1, status = 'available'",
        NEW_SOLD_SEAT,
        "DELETE FROM show_seats",
        "DELETE FROM shows",
        "SELECT FROM seat_reservations",
        "SELECT ticket_code FROM tickets",
        "INSERT INTO currencies VALUES ('XXA', 2)",
        "UPDATE ticketing_settings SET hold_minutes = 1",
    ],
)
def test_the_staff_is_denied(hall: Hall, statement: str) -> None:
    assert refuses(hall.connection, ROLE, statement)


def test_what_the_staff_changes_directly_is_in_the_log_of_changes(connection: Connection) -> None:
    hall = make_hall(connection)
    before: Any = value(connection, "SELECT count(*) FROM change_log")
    with acting_as(connection, ROLE):
        connection.execute("UPDATE shows SET name = 'Macbeth'")
        connection.execute("UPDATE show_seats SET price_in_cents = 1 WHERE id = %s", hall.ids(0))
    assert value(connection, "SELECT count(*) FROM change_log") == before + 2


def test_members_of_the_role_have_its_rights(connection: Connection) -> None:
    """As the login of a counter does; a stranger has none: the control."""
    hall = make_hall(connection)
    connection.execute(
        sql.SQL("CREATE ROLE clerk_of_a_test; GRANT {} TO clerk_of_a_test").format(
            sql.Identifier(ROLE)
        )
    )
    connection.execute("CREATE ROLE stranger_of_a_test")
    with acting_as(connection, "clerk_of_a_test"):
        assert Counter(hall).block(0).success
    (call,) = [r for r in routines(connection) if r.name == "block_seats"]
    assert refuses(connection, "stranger_of_a_test", call.statement)
