"""What an order is called, how long its hold lasts, and when there is none."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.hall import Hall, make_hall
from tests.support.queries import Row, tables, value


def order_of(hold: Row, **changed: Any) -> dict[str, Any]:
    return {"p_reservation_token": hold.reservation_token, "p_session_id": "anna"} | changed


def named(hall: Hall, order: Row) -> tuple[str | None, str | None]:
    row = hall.row("ticket_orders", order.order_id)
    return (row.payment_provider, row.payment_intent_id)


def earlier(hall: Hall, order: Row) -> list[tuple[str, str]]:
    rows = hall.connection.execute(
        "SELECT payment_provider, payment_intent_id FROM payment_intents WHERE order_id = %s"
        " ORDER BY payment_intent_id",
        [order.order_id],
    ).fetchall()
    return [tuple(row) for row in rows]


# keys


def test_a_second_key_names_the_order_for_ever_too(hall: Hall) -> None:
    hold = hall.hold(0)
    first = hall.order(hold, p_idempotency_key="k1")
    assert hall.order(hold, p_idempotency_key="k2") == first
    hall.fail(first)
    again = hall.order(hold, p_idempotency_key="k2")
    assert (again.success, again.order_id, again.status) == (True, first.order_id, "failed")
    # A new attempt has a new key, or none.
    second = hall.order(hold, p_idempotency_key="k3")
    assert second.order_id != first.order_id
    assert hall.order(hold, p_idempotency_key="k1").order_id == first.order_id
    assert hall.order(hold, p_idempotency_key="k2").order_id == first.order_id


def test_a_second_key_cannot_be_used_for_another_reservation(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.order(hold, p_idempotency_key="k1")
    hall.order(hold, p_idempotency_key="k2")
    other = hall.hold(1, session="ben")
    hall.refuse(
        "IDEMPOTENCY_KEY_REUSED",
        "create_ticket_order",
        **order_of(other, p_session_id="ben", p_idempotency_key="k2"),
    )


def test_a_key_whose_order_a_partial_release_has_cancelled_is_not_used_again(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    first = hall.order(hold, p_idempotency_key="k1")
    hall.release(hold, hall.ids(0))
    hall.refuse(
        "IDEMPOTENCY_KEY_REUSED", "create_ticket_order", **order_of(hold, p_idempotency_key="k1")
    )
    second = hall.order(hold, p_idempotency_key="k2")
    assert (second.success, second.total_amount_in_cents) == (True, 1100)
    assert second.order_id != first.order_id


@pytest.mark.parametrize("cleaned_up", [False, True])
def test_a_key_whose_order_was_cancelled_because_the_hold_ran_out_says_so(
    hall: Hall, cleaned_up: bool
) -> None:
    hold = hall.hold(0)
    hall.order(hold, p_idempotency_key="k1")
    hall.let_run_out(hold)
    if cleaned_up:
        hall.clean_up()
    hall.connection.execute(
        "UPDATE ticket_orders SET status = 'cancelled', cancel_reason = 'overdue'"
    )
    hall.refuse(
        "RESERVATION_EXPIRED", "create_ticket_order", **order_of(hold, p_idempotency_key="k1")
    )


def test_a_key_that_was_written_by_hand_is_not_used_again(hall: Hall) -> None:
    other = hall.order(hall.hold(1, session="ben"), session="ben")
    hall.connection.execute(
        "UPDATE ticket_orders SET idempotency_key = 'k1' WHERE id = %s", [other.order_id]
    )
    answer = hall.order(hall.hold(0), p_idempotency_key="k1")
    assert answer.error_code == "IDEMPOTENCY_KEY_REUSED"


# the show


@pytest.mark.parametrize("ordered", [False, True], ids=["not ordered yet", "ordered"])
@pytest.mark.parametrize("key", [None, "k1"])
def test_a_cancelled_show_takes_no_orders(hall: Hall, key: str | None, ordered: bool) -> None:
    hold = hall.hold(0)
    if ordered:
        hall.order(hold, p_idempotency_key="k1")
    hall.connection.execute("UPDATE shows SET status = 'cancelled'")
    refusal = hall.refuse(
        "SHOW_NOT_ON_SALE", "create_ticket_order", **order_of(hold, p_idempotency_key=key)
    )
    assert set(refusal.answer[1:5]) == {None}


def test_what_is_held_when_a_show_is_closed_can_still_be_ordered(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("UPDATE shows SET status = 'closed'")
    assert hall.pay(hall.order(hold)).status == "paid"


# time to pay


def test_a_hold_that_is_ordered_late_lasts_long_enough_to_pay(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.connection.execute(
        "UPDATE seat_reservations SET expires_at = clock_timestamp() + interval '5 s'"
    )
    hall.connection.execute("UPDATE ticketing_settings SET order_minutes = 7")
    before = value(hall.connection, "SELECT clock_timestamp()")
    hall.order(hold)
    after = value(hall.connection, "SELECT clock_timestamp()")
    expires_at = hall.reservation(hold).expires_at
    assert before <= expires_at - timedelta(minutes=7) <= after
    until = hall.connection.execute(
        "SELECT reserved_until FROM show_seats WHERE status = 'reserved'"
    ).fetchall()
    assert until == [(expires_at,)] * 2
    # Nothing was extended at the buyer's request.
    assert hall.reservation(hold).extension_count == 0


def test_the_longest_hold_does_not_cut_the_time_to_pay_short(hall: Hall) -> None:
    hall.connection.execute(
        "UPDATE ticketing_settings SET hold_minutes = 1, max_hold_minutes = 1, order_minutes = 30"
    )
    hold = hall.hold(0)
    hall.order(hold)
    assert hall.reservation(hold).expires_at > hold.expires_at + timedelta(minutes=28)


def test_a_hold_that_lasts_longer_than_paying_takes_stays_as_it_is(hall: Hall) -> None:
    hold = hall.hold(0)
    seats = tables(hall.connection)["show_seats"]
    hall.order(hold)
    assert hall.reservation(hold).expires_at == hold.expires_at
    # Neither are the seats written anew.
    assert tables(hall.connection)["show_seats"] == seats


@pytest.mark.parametrize("key", ["k1", "k2", None])
def test_asking_for_the_order_again_does_not_make_the_hold_longer(
    hall: Hall, key: str | None
) -> None:
    hold = hall.hold(0)
    hall.order(hold, p_idempotency_key="k1")
    hall.connection.execute(
        "UPDATE seat_reservations SET expires_at = clock_timestamp() + interval '5 s'"
    )
    before = hall.reservation(hold).expires_at
    assert hall.order(hold, p_idempotency_key=key).success
    assert hall.reservation(hold).expires_at == before


# the payment


def test_a_second_payment_is_remembered_and_the_first_not_forgotten(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold, p_payment_provider="stripe", p_payment_intent_id="pi_1")
    hall.order(hold, p_payment_provider="adyen", p_payment_intent_id="psp_2")
    hall.order(hold, p_payment_provider="stripe", p_payment_intent_id="pi_3")
    assert named(hall, order) == ("stripe", "pi_3")
    assert earlier(hall, order) == [("stripe", "pi_1"), ("adyen", "psp_2")]


def test_the_same_key_with_another_payment_remembers_it_too(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(
        hold, p_idempotency_key="k1", p_payment_provider="stripe", p_payment_intent_id="pi_1"
    )
    again = hall.order(
        hold, p_idempotency_key="k1", p_payment_provider="stripe", p_payment_intent_id="pi_2"
    )
    assert again == order
    assert (named(hall, order), earlier(hall, order)) == (("stripe", "pi_2"), [("stripe", "pi_1")])


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"p_payment_provider": "stripe"},
        {"p_payment_intent_id": "pi_1"},
        {"p_payment_provider": "stripe", "p_payment_intent_id": "pi_1"},
    ],
    ids=str,
)
def test_asking_again_without_news_changes_nothing(hall: Hall, given: dict[str, Any]) -> None:
    hold = hall.hold(0)
    first = hall.order(hold, p_payment_provider="stripe", p_payment_intent_id="pi_1")
    before = tables(hall.connection)
    assert hall.order(hold, **given) == first
    assert tables(hall.connection) == before


def test_a_payment_without_a_provider_is_kept_when_nothing_new_is_named(hall: Hall) -> None:
    hold = hall.hold(0)
    order = hall.order(hold, p_payment_intent_id="pi_1")
    hall.order(hold)
    assert named(hall, order) == (None, "pi_1")
    hall.order(hold, p_payment_provider="stripe")
    assert named(hall, order) == ("stripe", "pi_1")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param("pi_1", "pi_1", id="an event that is called like the first payment"),
        pytest.param("pi_2", "pi_2", id="an event that is called like the second payment"),
        pytest.param("evt_9", "pi_2", id="an event with a name of its own"),
    ],
)
def test_the_order_names_the_payment_that_really_paid(
    hall: Hall, event: str, expected: str
) -> None:
    hold = hall.hold(0)
    order = hall.order(hold, p_payment_provider="stripe", p_payment_intent_id="pi_1")
    hall.order(hold, p_payment_provider="stripe", p_payment_intent_id="pi_2")
    hall.order(hold, p_payment_provider="adyen", p_payment_intent_id="psp_3")
    hall.pay(order, event=event)
    assert named(hall, order) == ("stripe", expected)
    assert ("adyen", "psp_3") in earlier(hall, order)


def test_a_payment_that_was_never_announced_is_named_by_its_event(hall: Hall) -> None:
    order = hall.order(hall.hold(0), p_payment_provider="adyen", p_payment_intent_id="psp_1")
    hall.pay(order, event="pi_7")
    assert named(hall, order) == ("stripe", "pi_7")
    assert earlier(hall, order) == [("adyen", "psp_1")]


def test_two_shows_may_use_the_same_key(hall: Hall) -> None:
    elsewhere = make_hall(hall.connection)
    hold, other = hall.hold(0), elsewhere.hold(0)
    for key in ("k1", "k2"):
        here = hall.order(hold, p_idempotency_key=key)
        there = elsewhere.order(other, p_idempotency_key=key)
        assert here.success
        assert there.success
        assert here.order_id != there.order_id
