"""Whatever is changed by hand has a line that says who, what, from what and to what.

And what the functions of ticketdb change has none: it is in other logs.
"""

from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.support.databases import Connect
from tests.support.hall import Hall, make_hall
from tests.support.logs import lines
from tests.support.names import NAMES, OURS
from tests.support.queries import Connection, Row, acting_as, call, token_of, value

LOGGED = {
    "shows",
    "show_seats",
    "seat_reservations",
    "reservation_seats",
    "ticket_orders",
    "tickets",
    "payment_events",
    "payment_intents",
    "ticket_order_keys",
    "refunds",
    "currencies",
    "ticketing_settings",
    "alert_rules",
}
NEVER_DELETED = [
    "seat_reservations",
    "reservation_seats",
    "ticket_orders",
    "ticket_order_keys",
    "tickets",
    "payment_events",
    "payment_intents",
    "refunds",
]
# What the functions change, and their own logs record. Every change of another column has a line.
ON_RECORD = {
    "show_seats": {"row_position", "seat_position", "status", "reserved_by", "reserved_until"},
    "seat_reservations": {
        "session_id",
        "user_id",
        "email",
        "user_agent",
        "ip_address",
        "status",
        "is_active",
        "expires_at",
        "extension_count",
        "ended_at",
    },
    "reservation_seats": {"price_in_cents", "ticket_type", "released_at"},
    "ticket_orders": {
        "seat_ids",
        "status",
        "idempotency_key",
        "payment_provider",
        "payment_intent_id",
        "error_message",
        "cancel_reason",
        "refunded_amount_in_cents",
        "paid_at",
    },
    "tickets": {
        "show_seat_id",
        "status",
        "checked_in_at",
        "check_in_gate",
        "check_in_nonce",
    },
    "refunds": {"status", "done_at"},
    "payment_intents": set(),
    "ticket_order_keys": {"idempotency_key"},
}


def changes(connection: Connection) -> list[Row]:
    return lines(connection, "change_log")


@pytest.fixture
def sold(hall: Hall) -> Hall:
    """With a hold, an order that is paid under two keys, and money that came twice for it."""
    hold = hall.hold(0)
    for key, intent in (("k1", "pi_1"), ("k2", "pi_2")):
        order = hall.order(
            hold,
            p_idempotency_key=key,
            p_payment_provider="stripe",
            p_payment_intent_id=intent,
        )
    hall.pay(order)
    hall.pay(order, event="evt_again")
    hall.hold(1, session="ben", p_email="ben@example.org", p_ip_address="192.0.2.7")
    return hall


def last_change(hall: Hall, statement: str) -> Row:
    """Run a statement that changes one row, and insist on one line."""
    before = len(changes(hall.connection))
    hall.connection.execute(statement.encode())
    (line,) = changes(hall.connection)[before:]
    return line


# What our own functions do


def test_everything_that_the_functions_do_leaves_no_line(hall: Hall) -> None:
    before = len(changes(hall.connection))
    hold = hall.hold(0, 1, 2)
    hall.extend(hold)
    hall.release(hold, hall.ids(2))
    order = hall.order(hold)
    hall.fail(order)
    hall.pay(order)
    hall.refund(order)
    hall.release(hall.hold(3, session="ben"), session="ben")
    hall.reserve(0, 0)
    assert len(changes(hall.connection)) == before

    late = hall.order(hall.hold(4, session="cleo"), session="cleo")
    hall.hold(5, session="dan")
    hall.connection.execute("UPDATE seat_reservations SET expires_at = now() WHERE is_active")
    moved = changes(hall.connection)[before:]
    assert {line.table_name for line in moved} == {"seat_reservations"}
    hall.hold(5, session="eve")
    hall.clean_up()
    hall.pay(late)
    assert len(changes(hall.connection)) == before + len(moved)


@pytest.mark.parametrize("procedure", [False, True], ids=["by function", "by the job"])
def test_the_cleanup_leaves_no_line(connect: Connect, procedure: bool) -> None:
    hall = make_hall(connect())
    hall.let_run_out(hall.hold(0), hall.hold(1, session="ben"))
    before = len(changes(hall.connection))
    if procedure:
        hall.connection.execute("CALL run_reservation_cleanup()")
    else:
        hall.clean_up()
    assert hall.statuses(0, 1) == ["available", "available"]
    assert len(changes(hall.connection)) == before


def writers(connection: Connection) -> list[Row]:
    """Functions whose bodies write a table that is logged."""
    return connection.execute(
        "SELECT proname::text AS name, proconfig @> ARRAY['commit_siblings=997'] AS on_record"
        " FROM pg_proc WHERE pronamespace = ANY(%s::regnamespace[])"
        " AND prosrc ~ format('(INSERT INTO|UPDATE|DELETE FROM|MERGE INTO)\\s+[^.;]+\\.(%%s)\\M',"
        " array_to_string(%s::text[], '|')) ORDER BY 1",
        [OURS, list(LOGGED)],
    ).fetchall()


def test_every_function_that_changes_a_business_row_says_that_it_is_on_record(
    connection: Connection,
) -> None:
    found = writers(connection)
    assert {"reserve_seats", "end_reservations", "confirm_payment"} <= {row.name for row in found}
    assert [row.name for row in found if not row.on_record] == []


def test_a_function_that_does_not_say_so_is_found_and_leaves_lines(sold: Hall) -> None:
    connection = sold.connection
    connection.execute(
        sql.SQL(
            "CREATE FUNCTION meddle() RETURNS void LANGUAGE sql AS"
            " $$UPDATE {}.show_seats SET status = 'blocked' WHERE status = 'available'$$"
        ).format(sql.Identifier(NAMES.schema))
    )
    assert [row.name for row in writers(connection) if not row.on_record] == ["meddle"]
    before = len(changes(connection))
    connection.execute("SELECT meddle()")
    assert len(changes(connection)) == before + len(sold.seats) - 2
    connection.execute("ALTER FUNCTION meddle() SET commit_siblings = 997")
    connection.execute("UPDATE show_seats SET status = 'available' WHERE status = 'blocked'")
    before = len(changes(connection))
    connection.execute("SELECT meddle()")
    assert len(changes(connection)) == before


def test_what_functions_do_on_record_does_not_cover_what_comes_after(hall: Hall) -> None:
    """The setting is the function's: it ends with it, and with an error in it."""
    hall.hold(0)
    last_change(hall, "UPDATE seat_reservations SET expires_at = now() + interval '1 hour'")
    with pytest.raises(psycopg.Error), hall.connection.transaction():
        hall.connection.execute("SELECT end_reservations(NULL, NULL, 'x', 1)")
    last_change(hall, "UPDATE seat_reservations SET expires_at = now() + interval '2 hours'")


# What is done by hand


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize(
    ("table", "update", "old", "new"),
    [
        ("shows", "name = 'Lear'", {"name": "Hamlet"}, {"name": "Lear"}),
        ("shows", "status = 'cancelled'", {"status": "on_sale"}, {"status": "cancelled"}),
        (
            "show_seats",
            "price_in_cents = 1",
            {"price_in_cents": 1100},
            {"price_in_cents": 1},
        ),
        (
            "show_seats",
            "status = 'blocked', reserved_by = NULL, reserved_until = NULL",
            {"status": "reserved"},
            {"status": "blocked", "reserved_by": None, "reserved_until": None},
        ),
        ("seat_reservations", "session_id = 'x'", {"session_id": "***"}, {"session_id": "***"}),
        (
            "seat_reservations",
            f"reservation_token = {token_of('show_id')}",
            {"reservation_token": "***"},
            {"reservation_token": "***"},
        ),
        ("seat_reservations", "email = NULL", {"email": "***"}, {"email": None}),
        ("seat_reservations", "user_agent = 'x'", {"user_agent": None}, {"user_agent": "***"}),
        ("seat_reservations", "ip_address = NULL", {"ip_address": "***"}, {"ip_address": None}),
        ("seat_reservations", "expires_at = '2099-12-31 12:00Z'", {}, {"expires_at": "2099-12-31"}),
        (
            "seat_reservations",
            "status = 'released', ended_at = now()",
            {"status": "active", "ended_at": None},
            {"status": "released"},
        ),
        (
            "reservation_seats",
            "released_at = now()",
            {"released_at": None},
            {"released_at": "2"},
        ),
        (
            "ticket_orders",
            "total_amount_in_cents = 1",
            {"total_amount_in_cents": 1000},
            {"total_amount_in_cents": 1},
        ),
        ("ticket_orders", "status = 'refunded'", {"status": "paid"}, {"status": "refunded"}),
        (
            "ticket_orders",
            "error_message = 'card 4242'",
            {"error_message": None},
            {"error_message": "***"},
        ),
        (
            "tickets",
            "ticket_code = 'GUESSED-GUESSED-1'",
            {"ticket_code": "***"},
            {"ticket_code": "***"},
        ),
        ("tickets", "status = 'cancelled'", {"status": "valid"}, {"status": "cancelled"}),
        ("refunds", "status = 'done', done_at = now()", {"status": "due"}, {"status": "done"}),
        ("refunds", "amount_in_cents = 1", {"amount_in_cents": 1000}, {"amount_in_cents": 1}),
        ("currencies", "decimals = 0", {"decimals": 2}, {"decimals": 0}),
        ("ticketing_settings", "hold_minutes = 20", {"hold_minutes": 10}, {"hold_minutes": 20}),
        ("alert_rules", "enabled = false", {"enabled": True}, {"enabled": False}),
    ],
)
def test_a_change_by_hand_has_its_line(
    sold: Hall, table: str, update: str, old: dict[str, Any], new: dict[str, Any], role: str
) -> None:
    column = update.partition(" ")[0]
    only = {
        "show_seats": "reserved_by IS NOT NULL",
        "seat_reservations": "is_active",
        "reservation_seats": "show_seat_id = ANY(SELECT id FROM show_seats WHERE status <> 'sold')",
        "alert_rules": "alert_name = (SELECT min(alert_name) FROM alert_rules)",
        "currencies": "code = 'CHF'",
    }.get(table, "true")
    sold.connection.execute(f"SET LOCAL session_replication_role = {role}")
    line = last_change(sold, f"UPDATE {table} SET {update} WHERE {only}")
    assert (line.table_name, line.operation, line.rows_changed) == (table, "update", 1)
    assert column in line.new_values
    assert old.items() <= line.old_values.items()
    for name, wanted in new.items():
        found = line.new_values[name]
        assert found == wanted or (isinstance(wanted, str) and found.startswith(wanted))
    assert line.session_role == line.acting_role == value(sold.connection, "SELECT session_user")
    assert line.xact_id == value(sold.connection, "SELECT pg_current_xact_id()")


def test_a_line_names_its_row_its_author_and_its_program(sold: Hall) -> None:
    connection = sold.connection
    connection.execute("SET LOCAL application_name = 'psql'")
    connection.execute(
        sql.SQL("GRANT UPDATE (price_in_cents), SELECT ON show_seats TO {}").format(
            sql.Identifier(NAMES.app_role)
        )
    )
    with acting_as(connection, NAMES.app_role):
        connection.execute(
            "UPDATE show_seats SET price_in_cents = 5 WHERE id = %s", [sold.seats[3]]
        )
    line = changes(connection)[-1]
    assert line.row_key == {"id": str(sold.seats[3]), "show_id": str(sold.show_id)}
    assert (line.session_role, line.acting_role) == (
        value(connection, "SELECT session_user"),
        NAMES.app_role,
    )
    assert line.application_name == "psql"
    assert line.created_at == value(connection, "SELECT now()")
    # And he may neither read nor write the log that he cannot avoid.
    for statement in (
        f"SELECT FROM {OURS[2]}.change_log",
        f"INSERT INTO {OURS[2]}.change_log DEFAULT VALUES",
    ):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            acting_as(connection, NAMES.app_role),
        ):
            connection.execute(statement.encode())


def test_a_changed_key_is_logged_as_it_was(hall: Hall) -> None:
    line = last_change(
        hall, f"UPDATE show_seats SET id = gen_random_uuid() WHERE id = '{hall.seats[0]}'"
    )
    assert line.row_key["id"] == line.old_values["id"] == str(hall.seats[0])
    assert line.new_values["id"] not in map(str, hall.seats)


@pytest.mark.breaks_invariants
def test_no_column_but_those_of_the_other_logs_is_changed_in_silence(sold: Hall) -> None:
    """Even by one who says that it is on record. And by hand every change has one line."""
    connection = sold.connection
    columns = connection.execute(
        "SELECT attrelid::regclass::text AS table_name, attname::text AS name,"
        " format_type(atttypid, atttypmod) AS type, attgenerated <> '' AS generated"
        " FROM pg_attribute WHERE attrelid = ANY(%s::regclass[]) AND attnum > 0"
        " AND NOT attisdropped",
        [list(ON_RECORD)],
    ).fetchall()
    assert {(row.table_name, row.name) for row in columns} > {
        (table, name) for table, names in ON_RECORD.items() for name in names
    }
    # Values of any kind: no constraint and no other trigger may refuse them.
    for table in ON_RECORD:
        for trigger in connection.execute(
            "SELECT tgname::text AS name FROM pg_trigger WHERE tgrelid = %s::regclass"
            " AND NOT tgisinternal AND tgfoid <> to_regproc('log_change')",
            [table],
        ).fetchall():
            connection.execute(
                sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(
                    sql.Identifier(table), sql.Identifier(trigger.name)
                )
            )
        for constraint in connection.execute(
            "SELECT conrelid::regclass::text AS table_name, conname::text AS name"
            " FROM pg_constraint WHERE contype IN ('c', 'f')"
            " AND %s::regclass IN (conrelid, confrelid)",
            [table],
        ).fetchall():
            connection.execute(
                sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {} CASCADE").format(
                    sql.Identifier(constraint.table_name), sql.Identifier(constraint.name)
                )
            )
    another = {
        "uuid": "gen_random_uuid()",
        "uuid[]": "ARRAY[gen_random_uuid()]",
        "text": "'ABC'",
        "bigint": "4711",
        "integer": "4711",
        "boolean": "true",
        "timestamp with time zone": "'2001-01-01'",
        "inet": "'192.0.2.99'",
        "reservation_token": token_of("show_id"),
        "reservation_status": "'expired'",
    }
    silent = set()
    for row in columns:
        if row.generated:
            continue
        new = another[row.type.replace("character varying", "text").partition("(")[0]]
        before = len(changes(connection))
        for on_record in (0, 997):
            with connection.transaction(force_rollback=True):
                connection.execute(f"SET LOCAL commit_siblings = {on_record}")
                connection.execute(
                    f"UPDATE {row.table_name} SET {row.name} = {new}"
                    f" WHERE ctid = (SELECT min(ctid) FROM {row.table_name})".encode()
                )
                added = changes(connection)[before:]
                if on_record and not added:
                    silent.add((row.table_name, row.name))
                else:
                    (line,) = added
                    assert row.name in line.new_values
    assert silent == {
        (table, name) for table, names in ON_RECORD.items() for name in names if name != "is_active"
    }


@pytest.mark.parametrize("table", NEVER_DELETED)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_rows_that_stand_for_seats_and_money_are_never_deleted(
    sold: Hall, table: str, role: str
) -> None:
    sold.connection.execute(f"SET LOCAL session_replication_role = {role}")
    for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with (
            pytest.raises(psycopg.errors.RestrictViolation) as caught,
            sold.connection.transaction(),
        ):
            sold.connection.execute(statement.encode())
        assert caught.value.diag.message_hint


@pytest.mark.parametrize("table", ["shows", "show_seats"])
def test_shows_and_seats_cannot_be_truncated(hall: Hall, table: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation), hall.connection.transaction():
        hall.connection.execute(f"TRUNCATE {table} CASCADE".encode())


def test_the_settings_are_kept_in_the_mode_of_replicas_too(connection: Connection) -> None:
    connection.execute("SET LOCAL session_replication_role = replica")
    for statement in ("DELETE FROM ticketing_settings", "TRUNCATE ticketing_settings"):
        with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
            connection.execute(statement.encode())


def test_a_seat_and_a_show_that_nothing_refers_to_are_deleted_with_a_line(hall: Hall) -> None:
    line = last_change(hall, f"DELETE FROM show_seats WHERE id = '{hall.seats[0]}'")
    assert (line.operation, line.old_values["seat_number"], line.new_values) == (
        "delete",
        "0",
        None,
    )
    hall.connection.execute("DELETE FROM show_seats")
    line = last_change(hall, "DELETE FROM shows")
    assert (line.table_name, line.row_key) == ("shows", {"id": str(hall.show_id)})
    make_hall(hall.connection).hold(0)
    with pytest.raises(psycopg.errors.ForeignKeyViolation), hall.connection.transaction():
        hall.connection.execute("DELETE FROM show_seats")


def test_what_is_added_by_hand_has_its_line_and_a_hall_of_seats_has_one(
    connection: Connection,
) -> None:
    hall = make_hall(connection, seats=500)
    show, seats = changes(connection)
    assert (show.table_name, show.operation, show.old_values) == ("shows", "insert", None)
    assert show.new_values["name"] == "Hamlet"
    assert (seats.table_name, seats.rows_changed) == ("show_seats", 500)
    assert seats.row_key == {"show_id": str(hall.show_id)}
    assert seats.new_values == {
        "status": ["available"],
        "lowest_price_in_cents": 1000,
        "highest_price_in_cents": 1000 + 100 * 499,
    }


@pytest.mark.breaks_invariants
def test_a_hold_a_claim_an_order_and_a_ticket_made_by_hand_have_their_lines(sold: Hall) -> None:
    connection = sold.connection
    before = len(changes(connection))
    connection.execute("UPDATE seat_reservations SET status = 'expired', ended_at = now()")
    connection.execute(
        "INSERT INTO seat_reservations (show_id, reservation_token, session_id, email, expires_at)"
        f" SELECT id, {token_of('id')}, 'x', 'x@example.org', now() FROM shows"
    )
    connection.execute(
        "INSERT INTO reservation_seats"
        " (reservation_id, show_seat_id, show_id, price_in_cents, currency)"
        " SELECT id, %s, show_id, 7, 'EUR' FROM seat_reservations WHERE session_id = 'x'",
        [sold.seats[5]],
    )
    connection.execute(
        "INSERT INTO ticket_orders"
        " (show_id, reservation_id, seat_ids, total_amount_in_cents, currency)"
        " SELECT show_id, id, ARRAY[id], 1, 'EUR' FROM seat_reservations WHERE session_id = 'x'"
    )
    connection.execute(
        "INSERT INTO tickets (show_id, order_id, show_seat_id, price_in_cents, currency)"
        " SELECT show_id, id, %s, 1, 'EUR' FROM ticket_orders WHERE total_amount_in_cents = 1",
        [sold.seats[5]],
    )
    made = [line for line in changes(connection)[before:] if line.operation == "insert"]
    # The hold is in the log of holds.
    assert sold.events()[-1] == "created"
    assert [line.table_name for line in made] == ["reservation_seats", "ticket_orders", "tickets"]
    claim, order, ticket = (line.new_values for line in made)
    assert claim["price_in_cents"] == 7
    assert order["total_amount_in_cents"] == 1
    assert ticket["ticket_code"] == "***"


def test_a_change_of_nothing_has_no_line(sold: Hall) -> None:
    before = len(changes(sold.connection))
    for table in sorted(LOGGED):
        if table == "payment_events":
            continue  # which refuses it
        column = {
            "ticketing_settings": "singleton",
            "alert_rules": "unit",
            "currencies": "code",
            "shows": "name",
        }.get(table, "show_id")
        sold.connection.execute(f"UPDATE {table} SET {column} = {column}".encode())
    assert len(changes(sold.connection)) == before


def test_no_session_setting_changes_a_line(hall: Hall) -> None:
    for setting, other in [
        ("timezone", "Asia/Kathmandu"),
        ("datestyle", "German"),
        ("extra_float_digits", "-3"),
    ]:
        hall.connection.execute(f"SET LOCAL {setting} = '{other}'".encode())
    hall.connection.execute("UPDATE shows SET starts_at = '2031-05-01 20:00 Europe/Berlin'")
    hall.connection.execute(
        "UPDATE alert_rules SET threshold = 0.1::float8 + 0.2"
        " WHERE alert_name = (SELECT min(alert_name) FROM alert_rules)"
    )
    hall.connection.execute("SET LOCAL datestyle = 'ISO'")  # for psycopg, not for the log
    show, rule = changes(hall.connection)[-2:]
    assert show.new_values == {"starts_at": "2031-05-01T18:00:00+00:00"}
    assert rule.new_values == {"threshold": 0.30000000000000004}


def test_every_table_with_money_seats_or_policy_is_logged(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT DISTINCT tgrelid::regclass::text AS name, tgenabled::text AS enabled"
        " FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
        " WHERE proname IN ('log_change', 'log_new_seats')"
    ).fetchall()
    assert {row.name for row in rows} >= LOGGED
    assert {row.enabled for row in rows} == {"A"}


def test_masked_are_all_columns_that_dashboards_may_not_read_of_persons(
    connection: Connection,
) -> None:
    """What the triggers mask, read from them, against the columns whose comments say Personal."""
    rows = connection.execute(
        "SELECT c.relname::text AS table_name, a.attname::text AS name,"
        " EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid"
        "   AND a.attname::text = ANY(string_to_array(rtrim(split_part("
        "     encode(t.tgargs, 'escape'), '\\000', 2), '\\000'), ','))) AS is_masked"
        " FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relname = ANY(%s) AND c.relnamespace = ANY(%s::regnamespace[])"
        " AND col_description(c.oid, a.attnum) ~ '(Personal[.]|[Ss]ecret|[Uu]nguessable)'",
        [list(LOGGED), OURS],
    ).fetchall()
    assert len(rows) >= 4
    assert [row for row in rows if not row.is_masked] == []


def test_the_log_is_purged_by_the_month_as_the_others_are(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO change_log (table_name, operation, row_key, created_at)"
        " VALUES ('shows', 'update', '{}', now() - interval '1 year')"
    )
    connection.execute("SELECT maintain_partitions()")
    assert value(connection, "SELECT count(*) FROM change_log") == 1
    connection.execute("SELECT purge_history()")
    assert value(connection, "SELECT count(*) FROM change_log") == 0
    hall = make_hall(connection)
    assert len(changes(connection)) == 2
    assert call(connection, "get_reservation_statistics", p_show_id=hall.show_id)
