"""The functions bypassed: whatever SQL is sent, the tables refuse what must not be."""

import psycopg
import pytest

from tests.support.hall import Hall, make_hall
from tests.support.queries import refused_by, token_of, value

CLAIM = (
    "INSERT INTO reservation_seats"
    " (reservation_id, show_seat_id, show_id, price_in_cents, currency)"
    " VALUES (%s, %s, %s, 1000, 'EUR')"
)
TICKET = (
    "INSERT INTO tickets (order_id, show_seat_id, show_id, price_in_cents, currency)"
    " VALUES (%s, %s, %s, 1000, 'EUR')"
)
RESERVATION = (
    "INSERT INTO seat_reservations (show_id, reservation_token, session_id, expires_at)"
    f" SELECT id, {token_of('id')}, session_id, now() + interval '10 minutes'"
    " FROM (VALUES (%s::uuid, %s)) AS wanted (id, session_id) RETURNING id"
)


def test_a_second_live_claim_on_a_held_seat_is_refused(hall: Hall) -> None:
    hall.hold(0)
    other = hall.hold(1, session="ben")
    with refused_by(hall.connection, "reservation_seats_no_double_booking"):
        hall.connection.execute(CLAIM, [other.reservation_id, hall.seats[0], hall.show_id])


def test_a_second_live_claim_on_a_sold_seat_is_refused(hall: Hall) -> None:
    hall.sell(0)
    other = hall.hold(1, session="ben")
    with refused_by(hall.connection, "reservation_seats_no_double_booking"):
        hall.connection.execute(CLAIM, [other.reservation_id, hall.seats[0], hall.show_id])


def test_a_claim_that_has_ended_cannot_be_made_live_beside_another(hall: Hall) -> None:
    first = hall.hold(0)
    hall.release(first)
    hall.hold(0, session="ben")
    with refused_by(hall.connection, "reservation_seats_no_double_booking"):
        hall.connection.execute(
            "UPDATE reservation_seats SET released_at = NULL WHERE reservation_id = %s",
            [first.reservation_id],
        )


def test_a_second_live_claim_is_refused_where_ordinary_triggers_are_switched_off(
    hall: Hall,
) -> None:
    hall.hold(0)
    other = hall.hold(1, session="ben")
    hall.connection.execute("SET LOCAL session_replication_role = replica")
    with refused_by(hall.connection, "reservation_seats_no_double_booking"):
        hall.connection.execute(CLAIM, [other.reservation_id, hall.seats[0], hall.show_id])


@pytest.mark.breaks_invariants
def test_a_claim_on_a_seat_that_was_given_back_is_accepted(hall: Hall) -> None:
    """The constraint refuses what it is for, and not everything."""
    hall.release(hall.hold(0))
    other = hall.hold(1, session="ben")
    hall.connection.execute(CLAIM, [other.reservation_id, hall.seats[0], hall.show_id])


def test_a_reservation_claims_a_seat_once(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.release(hold, hall.ids(0))
    with refused_by(hall.connection, "reservation_seats_pkey"):
        hall.connection.execute(CLAIM, [hold.reservation_id, hall.seats[0], hall.show_id])


def test_a_claim_on_a_seat_of_another_show_is_refused(hall: Hall) -> None:
    hold = hall.hold(0)
    elsewhere = make_hall(hall.connection)
    with refused_by(hall.connection, "reservation_seats_show_seat_id_show_id_fkey"):
        hall.connection.execute(CLAIM, [hold.reservation_id, elsewhere.seats[0], hall.show_id])


def test_a_claim_of_a_reservation_of_another_show_is_refused(hall: Hall) -> None:
    hold = hall.hold(0)
    elsewhere = make_hall(hall.connection)
    with refused_by(hall.connection, "reservation_seats_reservation_id_show_id_fkey"):
        hall.connection.execute(CLAIM, [hold.reservation_id, elsewhere.seats[0], elsewhere.show_id])


def test_a_second_valid_ticket_for_a_seat_is_refused(hall: Hall) -> None:
    order = hall.sell(0)
    with refused_by(hall.connection, "tickets_one_valid_per_seat"):
        hall.connection.execute(TICKET, [order.order_id, hall.seats[0], hall.show_id])


def test_a_second_valid_ticket_by_another_order_is_refused(hall: Hall) -> None:
    hall.sell(0)
    other = hall.sell(1, session="ben")
    with refused_by(hall.connection, "tickets_one_valid_per_seat"):
        hall.connection.execute(TICKET, [other.order_id, hall.seats[0], hall.show_id])


def test_a_refunded_ticket_cannot_be_made_valid_beside_another(hall: Hall) -> None:
    first = hall.sell(0)
    hall.refund(first)
    hall.sell(0, session="ben")
    with refused_by(hall.connection, "tickets_one_valid_per_seat"):
        hall.connection.execute(
            "UPDATE tickets SET status = 'valid' WHERE order_id = %s", [first.order_id]
        )


def test_a_ticket_for_a_seat_of_another_show_is_refused(hall: Hall) -> None:
    order = hall.sell(0)
    elsewhere = make_hall(hall.connection)
    with refused_by(hall.connection, "tickets_show_seat_id_show_id_fkey"):
        hall.connection.execute(TICKET, [order.order_id, elsewhere.seats[0], hall.show_id])


def test_a_ticket_of_an_order_of_another_show_is_refused(hall: Hall) -> None:
    order = hall.sell(0)
    elsewhere = make_hall(hall.connection)
    with refused_by(hall.connection, "tickets_order_id_show_id_fkey"):
        hall.connection.execute(TICKET, [order.order_id, elsewhere.seats[0], elsewhere.show_id])


def test_codes_of_tickets_are_unique(hall: Hall) -> None:
    hall.sell(0, 1)
    with refused_by(hall.connection, "tickets_ticket_code_show_id_key"):
        hall.connection.execute("UPDATE tickets SET ticket_code = 'X123456789ABCDEF'")


def test_a_second_active_reservation_of_a_session_is_refused(hall: Hall) -> None:
    hall.hold(0)
    with refused_by(hall.connection, "seat_reservations_one_active_per_session"):
        hall.connection.execute(RESERVATION, [hall.show_id, "anna"])


def test_a_second_active_reservation_is_refused_even_beside_one_that_is_over(hall: Hall) -> None:
    hall.let_run_out(hall.hold(0))
    with refused_by(hall.connection, "seat_reservations_one_active_per_session"):
        hall.connection.execute(RESERVATION, [hall.show_id, "anna"])


@pytest.mark.breaks_invariants
def test_a_second_reservation_after_the_first_has_ended_is_accepted(hall: Hall) -> None:
    hall.release(hall.hold(0))
    hall.connection.execute(RESERVATION, [hall.show_id, "anna"])


def test_tokens_are_unique(hall: Hall) -> None:
    hall.hold(0)
    hall.hold(1, session="ben")
    with refused_by(hall.connection, "seat_reservations_reservation_token_show_id_key"):
        hall.connection.execute(
            "UPDATE seat_reservations"
            " SET reservation_token = rpad(left(reservation_token, 32), 64, 'a')"
        )


def test_a_reservation_has_one_open_order(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.order(hold)
    with refused_by(hall.connection, "ticket_orders_one_open_per_reservation"):
        hall.connection.execute(
            "INSERT INTO ticket_orders"
            " (show_id, reservation_id, seat_ids, total_amount_in_cents, currency)"
            " SELECT show_id, reservation_id, seat_ids, total_amount_in_cents, currency"
            " FROM ticket_orders"
        )


def test_an_order_of_a_reservation_of_another_show_is_refused(hall: Hall) -> None:
    hall.order(hall.hold(0))
    elsewhere = make_hall(hall.connection)
    with refused_by(hall.connection, "ticket_orders_reservation_id_show_id_fkey"):
        hall.connection.execute(
            "INSERT INTO ticket_orders"
            " (show_id, reservation_id, seat_ids, total_amount_in_cents, currency)"
            " SELECT %s, reservation_id, seat_ids, total_amount_in_cents, currency"
            " FROM ticket_orders",
            [elsewhere.show_id],
        )


def test_a_key_is_used_once_in_a_show(hall: Hall) -> None:
    hall.order(hall.hold(0), p_idempotency_key="k1")
    hall.order(hall.hold(1, session="ben"), session="ben")
    with refused_by(hall.connection, "ticket_orders_idempotency_key_show_id_key"):
        hall.connection.execute("UPDATE ticket_orders SET idempotency_key = 'k1'")


def test_an_event_is_stored_once(hall: Hall) -> None:
    hall.pay(hall.order(hall.hold(0)))
    with refused_by(hall.connection, "payment_events_pkey"):
        hall.connection.execute("INSERT INTO payment_events SELECT * FROM payment_events")


def test_what_has_a_history_cannot_be_deleted(hall: Hall) -> None:
    hall.sell(0)
    for table, constraint in [
        ("shows", "show_seats_show_id_fkey"),
        ("show_seats", "reservation_seats_show_seat_id_show_id_fkey"),
        ("seat_reservations", "reservation_seats_reservation_id_show_id_fkey"),
        ("ticket_orders", "tickets_order_id_show_id_fkey"),
    ]:
        # Were it not for the trigger that refuses each DELETE, constraints would.
        hall.connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_keep_rows")
        with refused_by(hall.connection, constraint):
            hall.connection.execute(f"DELETE FROM {table}")


# Statements on a hall in which seat 0 is held, seat 1 is sold and nothing else has happened.
EVENT = (
    "INSERT INTO payment_events (provider, event_id, kind, error_code, success, order_status,"
    " ticket_ids, show_id, order_id)"
    " SELECT {}, {}, {}, {}, true, status, '{{}}', show_id, id FROM ticket_orders"
)
REFUND = (
    "INSERT INTO refunds (amount_in_cents, currency, reason, status, done_at, show_id, order_id)"
    " SELECT {}, {}, {}, {}, {}, show_id, id FROM ticket_orders"
)
REFUSED = [
    # A reserved seat is reserved by somebody until some time, and no other seat is.
    (
        "UPDATE show_seats SET status = 'reserved' WHERE status = 'available'",
        "show_seats_reserved_by_check",
    ),
    (
        "UPDATE show_seats SET reserved_by = NULL WHERE status = 'reserved'",
        "show_seats_reserved_by_check",
    ),
    (
        "UPDATE show_seats SET reserved_until = NULL WHERE status = 'reserved'",
        "show_seats_reserved_by_check",
    ),
    (
        "UPDATE show_seats SET reserved_by = gen_random_uuid() WHERE status = 'available'",
        "show_seats_reserved_by_check",
    ),
    (
        "UPDATE show_seats SET reserved_until = now() WHERE status = 'sold'",
        "show_seats_reserved_by_check",
    ),
    (
        "UPDATE show_seats SET status = 'available' WHERE status = 'reserved'",
        "show_seats_reserved_by_check",
    ),
    (
        "UPDATE show_seats SET status = 'lost' WHERE status = 'available'",
        "show_seats_status_check",
    ),
    (
        "UPDATE show_seats SET reserved_until = 'infinity' WHERE status = 'reserved'",
        "show_seats_reserved_until_check",
    ),
    ("UPDATE show_seats SET price_in_cents = -1", "show_seats_price_in_cents_check"),
    ("UPDATE show_seats SET price_in_cents = 100000000001", "show_seats_price_in_cents_check"),
    (
        "UPDATE show_seats SET seat_number = '1'",
        "show_seats_show_id_section_row_label_seat_number_key",
    ),
    # A hold for ever would never be cleaned up.
    ("UPDATE seat_reservations SET expires_at = 'infinity'", "seat_reservations_expires_at_check"),
    ("UPDATE seat_reservations SET expires_at = '-infinity'", "seat_reservations_expires_at_check"),
    ("UPDATE seat_reservations SET created_at = 'infinity'", "seat_reservations_created_at_check"),
    (
        "UPDATE seat_reservations SET status = 'lost', ended_at = now()",
        "reservation_status_check",
    ),
    (
        "UPDATE seat_reservations SET status = 'released' WHERE is_active",
        "seat_reservations_ended_at_check",
    ),
    ("UPDATE seat_reservations SET ended_at = NULL", "seat_reservations_ended_at_check"),
    ("UPDATE seat_reservations SET ended_at = 'infinity'", "seat_reservations_ended_at_check"),
    (
        "UPDATE seat_reservations SET extension_count = -1",
        "seat_reservations_extension_count_check",
    ),
    ("UPDATE seat_reservations SET session_id = ' '", "seat_reservations_session_id_check"),
    ("UPDATE seat_reservations SET session_id = E'\\t'", "seat_reservations_session_id_check"),
    # Claims
    (
        "UPDATE reservation_seats SET released_at = 'infinity'",
        "reservation_seats_released_at_check",
    ),
    (
        "UPDATE reservation_seats SET price_in_cents = -1",
        "reservation_seats_price_in_cents_check",
    ),
    ("UPDATE reservation_seats SET currency = 'eur'", "reservation_seats_currency_check"),
    # Orders
    ("UPDATE ticket_orders SET status = 'lost', paid_at = NULL", "ticket_orders_status_check"),
    ("UPDATE ticket_orders SET status = 'pending'", "ticket_orders_paid_at_check"),
    ("UPDATE ticket_orders SET paid_at = NULL", "ticket_orders_paid_at_check"),
    ("UPDATE ticket_orders SET paid_at = 'infinity'", "ticket_orders_paid_at_check"),
    ("UPDATE ticket_orders SET seat_ids = '{}'", "ticket_orders_seat_ids_check"),
    ("UPDATE ticket_orders SET seat_ids = ARRAY[NULL::uuid]", "ticket_orders_seat_ids_check"),
    (
        "UPDATE ticket_orders SET total_amount_in_cents = -1",
        "ticket_orders_total_amount_in_cents_check",
    ),
    ("UPDATE ticket_orders SET currency = 'EURO'", "ticket_orders_currency_check"),
    ("UPDATE ticket_orders SET idempotency_key = ' '", "ticket_orders_idempotency_key_check"),
    # Tickets
    ("UPDATE tickets SET status = 'lost'", "tickets_status_check"),
    ("UPDATE tickets SET price_in_cents = -1", "tickets_price_in_cents_check"),
    ("UPDATE tickets SET ticket_code = '1234'", "tickets_ticket_code_check"),
    ("UPDATE tickets SET currency = ''", "tickets_currency_check"),
    (
        "UPDATE ticket_orders SET refunded_amount_in_cents = -1",
        "ticket_orders_refunded_amount_in_cents_check",
    ),
    (
        "UPDATE ticket_orders SET refunded_amount_in_cents = total_amount_in_cents + 1",
        "ticket_orders_refunded_amount_in_cents_check",
    ),
    ("UPDATE ticket_orders SET cancel_reason = 'bored'", "ticket_orders_cancel_reason_check"),
    # Events: a row that was stored cannot be changed at all
    (EVENT.format("' '", "'1'", "'payment'", "NULL"), "payment_events_provider_check"),
    (
        EVENT.format("'stripe'", "repeat('x', 201)", "'payment'", "NULL"),
        "payment_events_event_id_check",
    ),
    (EVENT.format("'stripe'", "'1'", "'rumour'", "NULL"), "payment_events_kind_check"),
    (
        EVENT.format("'stripe'", "'1'", "'payment'", "'NOT_FOUND'"),
        "payment_events_error_code_check",
    ),
    # Refunds
    (REFUND.format("0", "'EUR'", "'dispute'", "'due'", "NULL"), "refunds_amount_in_cents_check"),
    (REFUND.format("1", "'eur'", "'dispute'", "'due'", "NULL"), "refunds_currency_check"),
    (REFUND.format("1", "'EUR'", "'remorse'", "'due'", "NULL"), "refunds_reason_check"),
    (REFUND.format("1", "'EUR'", "'dispute'", "'lost'", "NULL"), "refunds_status_check"),
    (REFUND.format("1", "'EUR'", "'dispute'", "'due'", "now()"), "refunds_done_at_check"),
    (REFUND.format("1", "'EUR'", "'dispute'", "'done'", "NULL"), "refunds_done_at_check"),
    (REFUND.format("1", "'EUR'", "'dispute'", "'done'", "'infinity'"), "refunds_done_at_check"),
    # Currencies
    ("INSERT INTO currencies VALUES ('eur', 2)", "currencies_code_check"),
    ("INSERT INTO currencies VALUES ('XYZ', 1)", "currencies_decimals_check"),
    ("INSERT INTO currencies VALUES ('EUR', 2)", "currencies_pkey"),
    ("DELETE FROM currencies", "shows_currency_fkey"),
    # Shows
    ("UPDATE shows SET name = ' '", "shows_name_check"),
    ("UPDATE shows SET starts_at = 'infinity'", "shows_starts_at_check"),
    ("UPDATE shows SET time_zone = 'Mars/Olympus'", "shows_time_zone_check"),
    ("UPDATE shows SET time_zone = 'Foo/Bar+3'", "shows_time_zone_check"),
    ("UPDATE shows SET currency = 'eur'", "shows_currency_check"),
    ("UPDATE shows SET currency = 'ZZZ'", "shows_currency_fkey"),
    ("UPDATE shows SET status = 'sold out'", "shows_status_check"),
]


@pytest.mark.parametrize(("statement", "constraint"), REFUSED)
def test_rows_that_make_no_sense_are_refused_by_name(
    hall: Hall, statement: str, constraint: str
) -> None:
    hall.hold(0, session="ben")
    hall.sell(1)
    with refused_by(hall.connection, constraint):
        hall.connection.execute(statement)


@pytest.mark.parametrize(
    ("column", "longest"),
    [("session_id", 200), ("user_id", 200), ("email", 320), ("user_agent", 1000)],
)
def test_what_a_buyer_may_fill_in_is_bounded(hall: Hall, column: str, longest: int) -> None:
    """By the type of the column, since a CHECK costs each reservation time."""
    hall.hold(0)
    longer = f"UPDATE seat_reservations SET {column} = repeat('x', %s)"
    hall.connection.execute(longer, [longest])
    with pytest.raises(psycopg.errors.StringDataRightTruncation), hall.connection.transaction():
        hall.connection.execute(longer, [longest + 1])


def test_whether_a_hold_is_active_is_not_written_but_computed(hall: Hall) -> None:
    hall.hold(0)
    with (
        pytest.raises(psycopg.errors.GeneratedAlways),
        hall.connection.transaction(),
    ):
        hall.connection.execute("UPDATE seat_reservations SET is_active = false")


@pytest.mark.parametrize("zone", ["UTC", "GMT", "Etc/GMT-14", "America/Port-au-Prince"])
def test_zones_of_iana_are_accepted(hall: Hall, zone: str) -> None:
    hall.connection.execute("UPDATE shows SET time_zone = %s", [zone])


def test_every_zone_with_a_place_that_the_server_knows_is_accepted(hall: Hall) -> None:
    refused = hall.connection.execute(
        "SELECT name FROM pg_timezone_names WHERE name ~ '^[A-Z].*/' AND NOT is_time_zone(name)"
    ).fetchall()
    assert refused == []


# For each invariant a way to break it, in the same hall.
DAMAGE = {
    "reserved_seats_have_their_hold": (
        "UPDATE show_seats SET reserved_by = gen_random_uuid() WHERE status = 'reserved'"
    ),
    "holds_have_their_seats": (
        "UPDATE show_seats SET reserved_until = now() WHERE status = 'reserved'"
    ),
    "holds_are_not_empty": (
        "UPDATE reservation_seats SET released_at = now() WHERE reservation_id IN"
        " (SELECT id FROM seat_reservations WHERE is_active)"
    ),
    "ended_holds_claim_nothing": (
        "UPDATE seat_reservations SET status = 'expired', ended_at = now() WHERE is_active"
    ),
    "free_seats_are_not_claimed": (
        "UPDATE show_seats SET status = 'available' WHERE status = 'sold'"
    ),
    "sold_seats_have_a_ticket": (
        "UPDATE show_seats SET status = 'sold' WHERE status = 'available'"
    ),
    "tickets_have_their_seat": ("UPDATE show_seats SET status = 'blocked' WHERE status = 'sold'"),
    "paid_orders_have_their_tickets": (
        "UPDATE ticket_orders SET total_amount_in_cents = 1 WHERE status = 'paid'"
    ),
    "completed_holds_were_paid": (
        "UPDATE ticket_orders SET status = 'failed', paid_at = NULL WHERE status = 'paid'"
    ),
    "seats_claimed_once": (
        "DROP INDEX reservation_seats_no_double_booking;"
        " UPDATE reservation_seats SET show_seat_id = (SELECT show_seat_id FROM tickets)"
    ),
    "payments_bought_or_are_owed": "UPDATE refunds SET payment_event_id = 'x'",
    "refund_due_orders_are_owed": "UPDATE refunds SET status = 'done', done_at = now()",
    "refunds_add_up": (
        "UPDATE ticket_orders SET refunded_amount_in_cents = 1 WHERE status = 'paid'"
    ),
    "money_adds_up": "UPDATE refunds SET amount_in_cents = amount_in_cents - 1",
}


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("invariant", DAMAGE)
def test_what_no_constraint_can_see_is_counted_as_a_broken_invariant(
    hall: Hall, invariant: str
) -> None:
    """The check at the end of every test is worth something: each invariant can be broken."""
    hall.hold(0, session="ben")
    hall.sell(1)
    gone = hall.hold(2, session="cleo")
    late = hall.order(gone, "cleo")
    hall.release(gone, session="cleo")
    hall.pay(late)
    counted = "SELECT violations FROM current_violations() WHERE invariant = %s"
    assert value(hall.connection, counted, invariant) == 0
    hall.connection.execute(DAMAGE[invariant])
    assert value(hall.connection, counted, invariant) > 0


def test_every_invariant_is_known_to_be_breakable(hall: Hall) -> None:
    listed = hall.connection.execute("SELECT invariant FROM current_violations()").fetchall()
    assert sorted(row.invariant for row in listed) == sorted(DAMAGE)
