"""issue_tickets: seats are sold at the counter, in one step."""

import re
import uuid
from typing import Any

import pytest

from tests.support.counter import CLERK, Counter, ids, issue_of, tickets_of
from tests.support.hall import NIL, Hall
from tests.support.logs import ORDER_LOG
from tests.support.orders import MEGABYTE, now, payment_of
from tests.support.queries import tables, value
from tests.support.sabotage import sabotage

# The highest amount that an order may have, and the highest price.
MOST = 100_000_000_000_000
DEAREST = 100_000_000_000


@pytest.fixture
def counter(hall: Hall) -> Counter:
    return Counter(hall)


def test_seats_are_sold_at_their_prices(counter: Counter) -> None:
    answer = counter.issue(2, 0)
    assert answer._fields == (
        "success",
        "order_id",
        "reservation_id",
        "ticket_ids",
        "ticket_codes",
        "total_amount_in_cents",
        "currency",
        "error_code",
        "error_message",
    )
    assert (answer.success, answer.total_amount_in_cents, answer.currency) == (True, 2200, "EUR")
    assert answer[-2:] == (None, None)
    assert counter.hall.statuses(0, 1, 2) == ["sold", "available", "sold"]


def test_ids_and_codes_are_in_the_order_of_the_seats(counter: Counter) -> None:
    answer = counter.sell(5, 0, 9)
    tickets = [counter.hall.row("tickets", ticket) for ticket in answer.ticket_ids]
    assert [ticket.show_seat_id for ticket in tickets] == counter.hall.ids(5, 0, 9)
    assert [ticket.ticket_code for ticket in tickets] == answer.ticket_codes
    assert len(set(answer.ticket_codes)) == 3
    assert all(re.fullmatch(r"[0-9A-F]{32}", code) for code in answer.ticket_codes)


def test_prices_and_types_are_in_the_order_of_the_seats_too(counter: Counter) -> None:
    answer = counter.sell(
        1, 0, 2, p_prices_in_cents=[500, 1000, 0], p_ticket_types=["child", None, "press"]
    )
    assert answer.total_amount_in_cents == 1500
    first, second, third = tickets_of(counter.hall, answer.order_id)
    assert [(t.price_in_cents, t.ticket_type) for t in (first, second, third)] == [
        (1000, None),
        (500, "child"),
        (0, "press"),
    ]
    claims = counter.hall.connection.execute(
        "SELECT price_in_cents, currency, ticket_type, released_at FROM reservation_seats"
        " WHERE reservation_id = %s ORDER BY price_in_cents",
        [answer.reservation_id],
    ).fetchall()
    assert claims == [
        (0, "EUR", "press", None),
        (500, "EUR", "child", None),
        (1000, "EUR", None, None),
    ]


def test_the_reservation_begins_and_ends_with_the_sale(counter: Counter) -> None:
    answer = counter.sell(0, p_email="anna@example.org")
    made = counter.hall.row("seat_reservations", answer.reservation_id)
    assert (made.status, made.session_id, made.email) == (
        "completed",
        "box office",
        "anna@example.org",
    )
    assert made.created_at == made.ended_at == made.expires_at


def test_the_order_is_paid_and_the_money_on_record(counter: Counter) -> None:
    answer = counter.sell(1, 0, p_payment_provider="terminal", p_event_id="slip 7")
    order = counter.hall.row("ticket_orders", answer.order_id)
    assert (order.status, order.paid_at) == ("paid", now(counter.hall))
    assert order.seat_ids == sorted(counter.hall.ids(0, 1))
    assert (order.total_amount_in_cents, order.currency) == (2100, "EUR")
    assert (order.payment_provider, order.payment_intent_id) == ("terminal", "slip 7")
    (event,) = counter.hall.connection.execute("SELECT * FROM payment_events").fetchall()
    assert (event.provider, event.event_id, event.kind) == ("terminal", "slip 7", "payment")
    assert (event.order_id, event.amount_in_cents) == (answer.order_id, 2100)
    assert (event.success, event.order_status) == (True, "paid")
    assert event.ticket_ids == sorted(answer.ticket_ids)


def test_without_a_name_for_the_payment_it_has_that_of_the_order(counter: Counter) -> None:
    answer = counter.sell(0)
    order = counter.hall.row("ticket_orders", answer.order_id)
    assert (order.payment_provider, order.payment_intent_id) == (
        "box office",
        str(answer.order_id),
    )
    (event,) = counter.hall.connection.execute("SELECT * FROM payment_events").fetchall()
    assert (event.provider, event.event_id) == ("box office", str(answer.order_id))


def test_one_line_names_the_seats_and_who_sold_them(counter: Counter) -> None:
    counter.block(3, 1)
    answer = counter.sell(3, 0, 1)
    (line,) = counter.log_of("issued")
    assert (line.reservation_id, line.seat_count) == (answer.reservation_id, 3)
    assert line.seat_ids == counter.hall.ids(3, 0, 1)
    blocked = line.metadata.pop("blocked_seat_ids")
    assert sorted(blocked) == sorted(ids(counter.hall.ids(1, 3)))
    assert line.metadata == {"staff": CLERK}
    assert counter.hall.events() == ["blocked", "issued"]
    (line,) = counter.hall.log(ORDER_LOG)
    assert (line.old_status, line.new_status, line.seat_count) == (None, "paid", 3)


def test_a_reservation_that_is_written_by_hand_is_logged_by_the_trigger(counter: Counter) -> None:
    """The control of the line above: only the function writes its own."""
    answer = counter.sell(0)
    counter.hall.connection.execute(
        "WITH copy AS (INSERT INTO seat_reservations (show_id, reservation_token, session_id,"
        " status, expires_at, ended_at) SELECT show_id,"
        " encode(uuid_send(show_id) || uuid_send(gen_random_uuid()), 'hex'), 'by hand', status,"
        " expires_at, ended_at FROM seat_reservations WHERE id = %s RETURNING id, show_id)"
        " INSERT INTO ticket_orders (show_id, reservation_id, seat_ids, status,"
        " total_amount_in_cents, refunded_amount_in_cents, currency, paid_at)"
        " SELECT show_id, id, ARRAY[id], 'refunded', 0, 0, 'EUR', now() FROM copy",
        [answer.reservation_id],
    )
    assert counter.hall.events() == ["issued", "issued"]
    assert [line.metadata for line in counter.hall.log()][1] == {}


def test_a_sale_at_the_counter_is_no_attempt_to_reserve(counter: Counter) -> None:
    counter.sell(0)
    counter.refuse("SEATS_SOLD", "issue_tickets", **issue_of(counter.hall, 0))
    rate = "SELECT total_attempts FROM reservation_success_rate WHERE time_window = '1h'"
    assert value(counter.hall.connection, rate) == 0
    counter.hall.hold(1)
    assert value(counter.hall.connection, rate) == 1


def test_complimentary_tickets_cost_nothing(counter: Counter) -> None:
    answer = counter.sell(0, 1, p_prices_in_cents=[0, 0])
    assert answer.total_amount_in_cents == 0
    assert [t.price_in_cents for t in tickets_of(counter.hall, answer.order_id)] == [0, 0]


def test_blocked_seats_can_be_sold_at_the_counter_only(counter: Counter) -> None:
    counter.block(0)
    assert counter.hall.reserve(0).error_code == "SEATS_UNAVAILABLE"
    counter.sell(0)
    assert counter.hall.statuses(0) == ["sold"]


def test_an_overdue_hold_is_ended(counter: Counter) -> None:
    hold = counter.hall.hold(0, 1)
    counter.hall.let_run_out(hold)
    counter.sell(0)
    assert counter.hall.reservation(hold).status == "expired"
    assert counter.hall.statuses(0, 1) == ["sold", "available"]


def test_seats_that_buyers_hold_or_have_are_not_sold(counter: Counter) -> None:
    hold = counter.hall.hold(1)
    counter.refuse("SEATS_HELD", "issue_tickets", **issue_of(counter.hall, 0, 1))
    counter.hall.pay(counter.hall.order(hold))
    refusal = counter.refuse("SEATS_SOLD", "issue_tickets", **issue_of(counter.hall, 0, 1))
    assert set(refusal.answer[1:-2]) == {None}
    assert counter.hall.statuses(0) == ["available"]


@pytest.mark.parametrize("status", ["draft", "closed"])
def test_the_counter_sells_before_and_after_the_sale(counter: Counter, status: str) -> None:
    counter.hall.connection.execute(
        "UPDATE shows SET status = %s, sales_end_at = now() - interval '1 day'", [status]
    )
    counter.sell(0)


def test_nothing_is_sold_for_a_cancelled_show_or_for_none(counter: Counter) -> None:
    nowhere = issue_of(counter.hall, 0) | {"p_show_id": NIL}
    counter.refuse("SHOW_NOT_ON_SALE", "issue_tickets", **nowhere)
    counter.hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    counter.refuse("SHOW_NOT_ON_SALE", "issue_tickets", **issue_of(counter.hall, 0))


def test_an_order_of_the_staff_has_at_most_as_many_tickets_as_the_settings_say(
    counter: Counter,
) -> None:
    counter.hall.connection.execute("UPDATE ticketing_settings SET max_seats_per_staff_order = 2")
    counter.refuse("TOO_MANY_TICKETS", "issue_tickets", **issue_of(counter.hall, 0, 1, 2))
    counter.sell(0, 1)


def test_the_limit_of_buyers_does_not_apply(counter: Counter) -> None:
    counter.hall.connection.execute("UPDATE ticketing_settings SET max_seats_per_reservation = 1")
    counter.sell(0, 1)


def test_seats_of_another_show_are_not_found(counter: Counter) -> None:
    wrong = issue_of(counter.hall, 0) | {"p_seat_ids": [*counter.hall.ids(0), uuid.uuid4()]}
    counter.refuse("SEATS_NOT_FOUND", "issue_tickets", **wrong)


INVALID: dict[str, dict[str, Any]] = {
    "no show": {"p_show_id": None},
    "no seats": {"p_seat_ids": None},
    "an empty list": {"p_seat_ids": []},
    "a NULL among the seats": {"p_seat_ids": [None, uuid.uuid4()]},
    "a seat twice": {"p_seat_ids": [NIL, NIL]},
    "no staff": {"p_staff": " "},
    "too few prices": {"p_prices_in_cents": [1]},
    "too many prices": {"p_prices_in_cents": [1, 1, 1]},
    "no prices": {"p_prices_in_cents": []},
    "a NULL among the prices": {"p_prices_in_cents": [1, None]},
    "a negative price": {"p_prices_in_cents": [1, -1]},
    "a price beyond all prices": {"p_prices_in_cents": [1, DEAREST + 1]},
    "prices whose sum overflows": {"p_prices_in_cents": [2**63 - 1, 2**63 - 1]},
    "too few types": {"p_ticket_types": ["child"]},
    "a long type": {"p_ticket_types": ["child", "x" * 201]},
    "a blank type": {"p_ticket_types": [None, " "]},
    "a long address": {"p_email": "x" * 321},
    "a huge address": {"p_email": MEGABYTE},
    "a blank provider": {"p_payment_provider": " "},
    "a long provider": {"p_payment_provider": "x" * 201},
    "a blank event": {"p_event_id": ""},
    "a long event": {"p_event_id": "x" * 201},
    "a huge event": {"p_event_id": MEGABYTE},
}


@pytest.mark.parametrize("wrong", INVALID)
def test_what_makes_no_sense_is_refused(counter: Counter, wrong: str) -> None:
    counter.refuse(
        "INVALID_INPUT", "issue_tickets", **issue_of(counter.hall, 0, 1, **INVALID[wrong])
    )


def test_what_just_fits_is_accepted(counter: Counter) -> None:
    counter.sell(
        0,
        1,
        p_prices_in_cents=[0, DEAREST],
        p_ticket_types=["x" * 200, None],
        p_email="x" * 320,
        p_payment_provider="ä" * 200,
        p_event_id="ö" * 200,
    )


def test_an_order_beyond_all_amounts_is_refused(counter: Counter) -> None:
    """Whether the prices are given or are those of the seats."""
    counter.hall.connection.execute(
        "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
        " SELECT %s, 'balcony', 'A', n::text, %s FROM generate_series(1, 1001) AS n",
        [counter.hall.show_id, DEAREST],
    )
    rows = counter.hall.connection.execute(
        "SELECT id FROM show_seats WHERE section = 'balcony'"
    ).fetchall()
    seats = [row.id for row in rows]
    dear = issue_of(counter.hall) | {"p_seat_ids": seats}
    for prices in (None, [DEAREST] * 1001):
        counter.refuse("INVALID_INPUT", "issue_tickets", **dear | {"p_prices_in_cents": prices})
    answer = counter.call("issue_tickets", **dear | {"p_seat_ids": seats[:1000]})
    assert answer.total_amount_in_cents == MOST


@pytest.mark.parametrize(
    "table", ["seat_reservations", "reservation_seats", "ticket_orders", "tickets"]
)
def test_an_unexpected_error_is_an_answer_and_sells_nothing(counter: Counter, table: str) -> None:
    hold = counter.hall.hold(0)
    counter.hall.let_run_out(hold)
    sabotage(counter.hall.connection, table, "INSERT")
    refusal = counter.refuse("INTERNAL_ERROR", "issue_tickets", **issue_of(counter.hall, 0))
    assert refusal.line.metadata["sqlstate"] == "22012"
    assert counter.hall.reservation(hold).is_active


# The answer is lost


def test_a_call_is_repeated_with_the_same_event(counter: Counter) -> None:
    first = counter.sell(0, 2, p_event_id="slip 7")
    before = tables(counter.hall.connection)
    again = counter.issue(2, 0, p_event_id="slip 7")
    assert tables(counter.hall.connection) == before
    assert again.ticket_ids == first.ticket_ids[::-1]
    assert again.ticket_codes == first.ticket_codes[::-1]
    assert again[:3] + again[5:] == first[:3] + first[5:]


def test_a_repeat_is_answered_whatever_has_happened_since(counter: Counter) -> None:
    first = counter.sell(0, p_event_id="slip 7", p_prices_in_cents=[5])
    counter.hall.connection.execute("UPDATE show_seats SET price_in_cents = 7")
    counter.hall.refund(first)
    counter.hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    assert counter.issue(0, p_event_id="slip 7", p_prices_in_cents=[5]) == first
    # Whoever gives no price does not say that it is another.
    assert counter.issue(0, p_event_id="slip 7") == first


@pytest.mark.parametrize(
    "other",
    [
        {"p_prices_in_cents": [1000, 1001]},
        {"p_seat_ids": [NIL]},
        {"p_seat_ids": [NIL, uuid.uuid4()]},
    ],
    ids=["another amount", "fewer seats", "other seats"],
)
def test_an_event_pays_once(counter: Counter, other: dict[str, Any]) -> None:
    counter.sell(0, 1, p_payment_provider="terminal", p_event_id="slip 7")
    counter.refuse(
        "EVENT_MISMATCH",
        "issue_tickets",
        **issue_of(counter.hall, 0, 1, p_payment_provider="terminal", p_event_id="slip 7") | other,
    )


def test_the_event_of_another_provider_is_another(counter: Counter) -> None:
    counter.sell(0, p_payment_provider="terminal", p_event_id="slip 7")
    counter.sell(1, p_event_id="slip 7")
    counter.sell(2, p_payment_provider="terminal 2", p_event_id="slip 7")


def test_an_event_of_the_shop_does_not_pay_at_the_counter(counter: Counter) -> None:
    counter.hall.pay(counter.hall.order(counter.hall.hold(0)), event="evt_1")
    counter.refuse(
        "EVENT_MISMATCH",
        "issue_tickets",
        **issue_of(counter.hall, 1, p_payment_provider="stripe", p_event_id="evt_1"),
    )


def test_an_event_that_bought_nothing_does_not_pay_either(counter: Counter) -> None:
    """Whatever it was for: its money is owed already."""
    hall = counter.hall
    order = hall.order(hall.hold(0))
    assert hall.pay(order, event="evt_1", amount=5).error_code == "AMOUNT_MISMATCH"
    assert counter.block(0, p_end_holds=True).success
    counter.refuse(
        "EVENT_MISMATCH",
        "issue_tickets",
        **issue_of(hall, 0, p_payment_provider="stripe", p_event_id="evt_1"),
    )


def test_without_an_event_a_second_call_is_a_second_sale(counter: Counter) -> None:
    counter.sell(0)
    counter.refuse("SEATS_SOLD", "issue_tickets", **issue_of(counter.hall, 0))


# What comes later


def test_the_order_can_be_refunded(counter: Counter) -> None:
    counter.block(1)
    sold = counter.sell(0, 1, p_payment_provider="terminal", p_event_id="slip 7")
    answer = counter.hall.refund(sold)
    assert (answer.status, answer.seats_released) == ("refunded", 2)
    assert counter.hall.statuses(0, 1) == ["available", "available"]
    (refund,) = counter.hall.connection.execute("SELECT * FROM refunds").fetchall()
    assert (refund.amount_in_cents, refund.status) == (2100, "done")
    assert (refund.payment_provider, refund.payment_event_id) == ("terminal", "slip 7")
    counter.sell(0)


def test_an_order_for_nothing_can_be_refunded_and_owes_nothing(counter: Counter) -> None:
    assert counter.hall.refund(counter.sell(0, p_prices_in_cents=[0])).status == "refunded"
    assert value(counter.hall.connection, "SELECT count(*) FROM refunds") == 0


def test_a_second_payment_for_the_order_is_owed(counter: Counter) -> None:
    sold = counter.sell(0)
    counter.hall.refuse(
        "ORDER_NOT_PAYABLE",
        "confirm_payment",
        **payment_of(counter.hall, sold),
        stores_event=True,
        stores_refund=True,
    )
