"""An overdue hold counts as gone everywhere, although no cleanup has run."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.queries import Row, broken_invariants, enter, value


def test_an_overdue_hold_does_not_block_the_next_buyer(hall: Hall) -> None:
    over = hall.hold(0, 1)
    hall.let_run_out(over)
    hold = hall.hold(1, session="ben")
    assert hall.row("show_seats", hall.seats[1]).reserved_by == hold.reservation_id
    reservation = hall.reservation(over)
    assert reservation.status == "expired"
    now = value(hall.connection, "SELECT clock_timestamp()")
    assert reservation.created_at < reservation.ended_at < now


def test_a_hold_is_over_at_the_very_moment_of_its_end(hall: Hall) -> None:
    hall.hold(0)
    hall.connection.execute("UPDATE seat_reservations SET expires_at = now()")
    assert hall.reserve(0, session="ben").success


def test_a_hold_that_runs_out_in_the_middle_of_a_transaction_is_over(hall: Hall) -> None:
    """now() stands still in a transaction, the end of a hold does not wait for it."""
    hold = hall.hold(0)
    hall.connection.execute("UPDATE seat_reservations SET expires_at = clock_timestamp()")
    assert value(hall.connection, "SELECT now() < expires_at FROM seat_reservations")
    assert hall.extend(hold).error_code == "RESERVATION_EXPIRED"
    assert hall.release(hold).error_code == "RESERVATION_INACTIVE"
    assert hall.reserve(0, session="ben").success


def test_a_hold_is_not_over_before_its_end(hall: Hall) -> None:
    hall.hold(0)
    hall.connection.execute(
        "UPDATE seat_reservations SET expires_at = clock_timestamp() + interval '1 min'"
    )
    assert hall.reserve(0, session="ben").error_code == "SEATS_UNAVAILABLE"


def test_the_other_seats_of_an_overdue_hold_become_free_with_it(hall: Hall) -> None:
    over = hall.hold(0, 1, 2)
    hall.let_run_out(over)
    hall.hold(1, session="ben")
    assert hall.statuses(0, 1, 2) == ["available", "reserved", "available"]


def test_an_overdue_hold_is_audited_as_expired_once(hall: Hall) -> None:
    over = hall.hold(0, 1, p_user_agent="Firefox")
    hall.connection.execute("UPDATE seat_reservations SET created_at = now() - interval '600 s'")
    hall.let_run_out(over)
    hall.hold(1, session="ben")
    hall.hold(0, session="cleo")
    assert hall.clean_up() == (0, 0, [])
    assert hall.events(over) == ["created", "expired"]
    line = hall.log()[1]
    assert (line.session_id, line.user_agent) == ("anna", "Firefox")
    assert (line.seat_count, set(line.seat_ids)) == (2, set(hall.ids(0, 1)))
    # Not by subtraction, which in Python ignores that clocks are changed.
    hold = hall.reservation(over)
    lasted = hold.ended_at.timestamp() - hold.created_at.timestamp()
    assert lasted > 600
    assert line.hold_seconds == pytest.approx(lasted, abs=1e-5)
    assert (line.metadata, line.error_code) == ({}, None)


def test_the_own_session_may_reserve_the_same_seats_again(hall: Hall) -> None:
    over = hall.hold(0, 1)
    hall.let_run_out(over)
    hold = hall.hold(0, 1)
    assert hold.reservation_id != over.reservation_id
    assert hold.reservation_token != over.reservation_token
    assert hall.events(over) == ["created", "expired"]
    assert hall.events(hold) == ["created"]


def test_the_own_session_may_reserve_other_seats_and_its_old_ones_become_free(hall: Hall) -> None:
    over = hall.hold(0, 1)
    hall.let_run_out(over)
    hall.hold(5)
    assert hall.statuses(0, 1, 5) == ["available", "available", "reserved"]
    assert hall.reservation(over).status == "expired"


def test_own_and_foreign_overdue_holds_are_ended_together(hall: Hall) -> None:
    own = hall.hold(0)
    foreign = hall.hold(1, 2, session="ben")
    hall.let_run_out(own, foreign)
    hall.hold(2, 3)
    assert [hall.reservation(hold).status for hold in (own, foreign)] == ["expired"] * 2
    assert hall.statuses(0, 1, 2, 3) == ["available", "available", "reserved", "reserved"]


def test_free_seats_and_seats_of_several_overdue_holds_are_had_in_one_call(
    hall: Hall,
) -> None:
    over = [hall.hold(n, n + 5, session=f"s{n}") for n in range(3)]
    hall.let_run_out(*over)
    hold = hall.hold(0, 1, 2, 3)
    assert hold.seat_count == 4
    assert hall.statuses(5, 6, 7) == ["available"] * 3
    for one in over:
        assert hall.events(one) == ["created", "expired"]


def test_an_overdue_hold_is_left_alone_where_another_seat_is_truly_taken(hall: Hall) -> None:
    over = hall.hold(0, 1)
    hall.let_run_out(over)
    hall.hold(2, session="ben")
    hall.refuse(
        "SEATS_UNAVAILABLE",
        "reserve_seats",
        p_show_id=hall.show_id,
        p_seat_ids=hall.ids(0, 2, 3),
        p_session_id="cleo",
    )
    assert hall.reservation(over).status == "active"


def test_an_overdue_hold_is_left_alone_by_buyers_of_other_seats(hall: Hall) -> None:
    over = hall.hold(0)
    hall.let_run_out(over)
    hall.hold(5, session="ben")
    assert hall.reservation(over).status == "active"


def test_holds_of_other_shows_are_left_alone(hall: Hall) -> None:
    elsewhere = make_hall(hall.connection)
    over = elsewhere.hold(0)
    hall.let_run_out(over)
    hall.hold(0)
    assert hall.reservation(over).status == "active"


def test_an_order_of_an_overdue_hold_does_not_keep_its_seats(hall: Hall) -> None:
    over = hall.hold(0)
    order = hall.order(over)
    hall.let_run_out(over)
    assert hall.hold(0, session="ben").success
    # Its money may still come.
    assert hall.row("ticket_orders", order.order_id).status == "pending"


@pytest.mark.parametrize("cleaned_up", [False, True])
@pytest.mark.parametrize("function", ["extend_reservation", "create_ticket_order"])
def test_an_overdue_hold_can_be_neither_extended_nor_ordered(
    hall: Hall, function: str, cleaned_up: bool
) -> None:
    hold = hall.hold(0)
    hall.let_run_out(hold)
    if cleaned_up:
        hall.clean_up()
    given: dict[str, Any] = {
        "p_reservation_token": hold.reservation_token,
        "p_session_id": "anna",
    }
    refusal = hall.refuse("RESERVATION_EXPIRED", function, **given)
    assert refusal.line.reservation_id == hold.reservation_id


def test_an_overdue_hold_lives_again_when_its_end_is_moved_into_the_future(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.let_run_out(hold)
    hall.connection.execute("UPDATE seat_reservations SET expires_at = now() + interval '1 min'")
    assert hall.reserve(0, session="ben").error_code == "SEATS_UNAVAILABLE"
    assert hall.extend(hold).success


def end_on_the_map(hall: Hall, seat: int) -> Any:
    return hall.row("show_seats", hall.seats[seat]).reserved_until


def test_an_end_that_is_moved_by_hand_is_copied_to_the_seats(hall: Hall) -> None:
    hold: Row = hall.hold(0, 1)
    bystander = hall.hold(5, session="ben")
    hall.connection.execute(
        "UPDATE seat_reservations SET expires_at = expires_at + interval '1 hour' WHERE id = %s",
        [hold.reservation_id],
    )
    moved = hold.expires_at + timedelta(hours=1)
    assert [end_on_the_map(hall, n) for n in (0, 1, 5)] == [moved, moved, bystander.expires_at]


def test_an_end_is_copied_even_where_ordinary_triggers_are_switched_off(hall: Hall) -> None:
    hold = hall.hold(0)
    hall.connection.execute("SET LOCAL session_replication_role = replica")
    hall.let_run_out(hold)
    assert end_on_the_map(hall, 0) == hall.reservation(hold).expires_at


def test_seats_that_were_given_back_are_not_touched_when_the_end_is_moved(hall: Hall) -> None:
    hold = hall.hold(0, 1)
    hall.release(hold, hall.ids(1))
    other = hall.hold(1, session="ben")
    hall.let_run_out(hold)
    assert end_on_the_map(hall, 1) == other.expires_at


def test_moving_the_end_of_a_hold_that_has_ended_changes_no_seat(hall: Hall) -> None:
    ended = hall.hold(0)
    hall.release(ended)
    other = hall.hold(0, session="ben")
    hall.let_run_out(ended)
    assert end_on_the_map(hall, 0) == other.expires_at


def test_cleanup_ends_what_nobody_asked_for(hall: Hall) -> None:
    over = hall.hold(0, 1)
    hall.hold(5, session="ben")
    hall.let_run_out(over)
    assert hall.clean_up() == (1, 2, [over.reservation_id])
    assert hall.statuses(0, 1, 5) == ["available", "available", "reserved"]
    assert hall.events(over) == ["created", "expired"]


def test_an_end_that_is_moved_at_the_last_moment_is_respected(
    database: Database, connect: Connect
) -> None:
    """The buyer has seen that the hold is over; before he can end it, a DBA gives it more time."""
    hall = make_hall(connect())
    hold = hall.hold(0)
    hall.let_run_out(hold)
    buyer = replace(hall, connection=enter(connect()))
    with psycopg.connect(database.dsn) as administrator, ThreadPoolExecutor() as threads:
        enter(administrator).execute(
            "UPDATE seat_reservations SET expires_at = now() + interval '5 minutes'"
        )
        answer = threads.submit(buyer.reserve, 0, session="ben")
        waiting = "SELECT cardinality(pg_blocking_pids(%s))"
        while not value(hall.connection, waiting, buyer.connection.info.backend_pid):
            assert not answer.done()
        administrator.commit()
        assert answer.result(timeout=30).error_code == "SEATS_UNAVAILABLE"
    assert hall.reservation(hold).status == "active"
    assert hall.extend(hold).success
    assert broken_invariants(hall.connection) == []
