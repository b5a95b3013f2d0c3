import pytest
from psycopg import Connection
from shop import RefusedError, buy, hold

from ticketdb.testing import OnSale, make_overdue


def test_a_customer_buys_two_seats(shop: Connection, show: OnSale) -> None:
    token = hold(shop, show.show_id, list(show.seat_ids[:2]), "Alice")
    assert len(buy(shop, show.show_id, token, "Alice")) == 2


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
