import pytest
from psycopg import Connection
from shop import RefusedError, buy, hold, take_back

from ticketdb.testing import OnSale, make_overdue


def test_a_customer_buys_two_seats_and_gets_two_codes(shop: Connection, show: OnSale) -> None:
    token = hold(shop, show.show_id, list(show.seat_ids[:2]), "Alice")
    bought = buy(shop, show.show_id, token, "Alice")
    assert len({ticket["ticket_code"] for ticket in bought}) == 2


def test_the_second_customer_of_a_held_seat_is_refused(shop: Connection, show: OnSale) -> None:
    hold(shop, show.show_id, [show.seat_ids[0]], "Alice")
    with pytest.raises(RefusedError, match="taken by another customer"):
        hold(shop, show.show_id, [show.seat_ids[0]], "Bob")


def test_an_overdue_seat_is_for_the_next_customer(
    shop: Connection, tickets: Connection, show: OnSale
) -> None:
    alices = hold(shop, show.show_id, [show.seat_ids[0]], "Alice")
    make_overdue(tickets, alices)
    bobs = hold(shop, show.show_id, [show.seat_ids[0]], "Bob")
    with pytest.raises(RefusedError):
        buy(shop, show.show_id, alices, "Alice")
    assert len(buy(shop, show.show_id, bobs, "Bob")) == 1


def test_the_seat_of_a_ticket_that_is_taken_back_is_for_the_next_customer(
    shop: Connection, box_office: Connection, show: OnSale
) -> None:
    token = hold(shop, show.show_id, [show.seat_ids[0]], "Alice")
    (ticket,) = buy(shop, show.show_id, token, "Alice")
    assert take_back(box_office, show.show_id, [ticket["ticket_id"]], "Carol") == 4500
    hold(shop, show.show_id, [show.seat_ids[0]], "Bob")
