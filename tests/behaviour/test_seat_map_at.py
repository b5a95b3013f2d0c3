"""get_seat_map_at: which seat was whose at a moment, computed backwards from the logs."""

import random
from dataclasses import replace

import psycopg
import pytest

from tests.support.databases import Connect
from tests.support.hall import Hall, make_hall
from tests.support.logs import RESERVATION_LOG
from tests.support.names import NAMES
from tests.support.plans import explained
from tests.support.queries import Connection, acting_as, enter, tables, value
from tests.support.recording import History, Recording, Staff, owners_at, present, seat_map_at

STEPS = 150


@pytest.fixture
def recording(owner: Connection) -> Recording:
    return Recording(make_hall(owner, seats=24))


@pytest.mark.parametrize("seed", range(3))
def test_every_recorded_moment_is_computed_exactly(recording: Recording, seed: int) -> None:
    History(recording, random.Random(seed)).play(STEPS)
    assert recording.differences() == []
    # The control: much has happened to the seats.
    assert len({frozenset(owners.items()) for _, _, owners in recording.seen}) > STEPS / 5
    states = {state for _, _, owners in recording.seen for state, _, _ in owners.values()}
    assert states == {"available", "held", "sold", "blocked"}


# one rule each


@pytest.fixture
def story(recording: Recording) -> Recording:
    """One of everything that can happen to a seat."""
    hall, staff = recording.hall, Staff(recording.hall)
    note = recording.note
    note("at first")
    hold = hall.hold(0, 1)
    note("held")
    hall.extend(hold)
    note("extended")
    hall.release(hold, hall.ids(0))
    note("released in part")
    order = hall.order(hold)
    hall.pay(order)
    note("paid")
    second = hall.hold(2, session="ben")
    note("held")
    hall.let_run_out(second)
    note("run out by hand")
    hall.clean_up()
    note("cleaned up")
    third = hall.hold(3, session="cleo")
    late = hall.order(third, "cleo")
    # Before its time.
    with hall.connection.transaction():
        staff.set_status(hall.ids(3), "available")
        for change in (
            "UPDATE seat_reservations SET status = 'expired', ended_at = now() WHERE id = %s",
            "UPDATE reservation_seats SET released_at = now() WHERE reservation_id = %s",
        ):
            hall.connection.execute(change, [third.reservation_id])
    note("expired by hand")
    hall.pay(late, event="evt_late")
    note("paid late")
    staff.take_back(late)
    note("refunded")
    staff.set_status(hall.ids(4), "blocked")
    note("blocked by hand")
    staff.set_status(hall.ids(4), "available")
    note("unblocked by hand")
    staff.block(hall.ids(5, 7, 9))
    note("blocked")
    staff.unblock(hall.ids(5))
    note("unblocked")
    staff.issue(hall.ids(6, 7))
    note("issued")
    staff.issue(hall.ids(8))
    note("issued")
    a, b, c, d = hall.ids(6, 8, 7, 9)
    staff.move({a: b, b: a})
    note("swapped")
    staff.move({a: b, b: a}, last_first=True)
    note("swapped back, in another order")
    staff.move({c: d})
    note("moved to a blocked seat")
    staff.move({d: c})
    note("moved back")
    hall.hold(10, session="dora")
    hall.release(hall.hold(11, session="emil"), session="emil")
    note("held again")
    return recording


RULES = {
    "released and expired": ("('released', 'expired') THEN 'reserved'", "('') THEN 'reserved'"),
    "refunded": ("event.event_type = 'refunded'", "false"),
    "left by a move": ("seat.list = 1", "false"),
    "blocked before": ("seat.list = 2", "false"),
    "unblocked": ("event.event_type = 'unblocked'", "false"),
    "completed": ("event.event_type = 'completed'", "false"),
    "completed late": ("NOT event.metadata ? 'late'", "true"),
    "swapped": ("in_order.event_type = 'moved'", "false"),
    "by hand": ("change.table_name = 'show_seats'", "false"),
    "end moved by hand": ("COALESCE(moved_ends.expires_at, held.expires_at)", "held.expires_at"),
    "first event": ("ORDER BY events.id,", "ORDER BY events.id DESC,"),
    "after the moment": ("event.created_at > p_at", "true"),
    "the show's": ("AND claim.released_at IS NULL", ""),
}


def test_a_story_of_everything_is_computed_exactly(story: Recording) -> None:
    assert story.differences() == []


def test_each_rule_is_needed(story: Recording) -> None:
    """The control of the above."""
    connection = story.hall.connection
    definition = value(
        connection, "SELECT pg_get_functiondef('get_seat_map_at(uuid, timestamptz)'::regprocedure)"
    )
    harmless = []
    for rule, (text, instead) in RULES.items():
        assert text in definition, rule
        connection.execute(definition.replace(text, instead).encode())
        if not story.differences():
            harmless.append(rule)
    assert harmless == []


def test_a_hold_that_ran_out_by_itself_is_over_from_its_end_on(recording: Recording) -> None:
    hall = recording.hall
    hold = hall.hold(0, 1)
    end = value(
        hall.connection,
        "UPDATE seat_reservations SET expires_at = clock_timestamp() + interval '1 hour'"
        " RETURNING expires_at",
    )
    for before, expected in (("1 us", "held"), ("0", "available"), ("-1 us", "available")):
        moment = value(hall.connection, "SELECT %s - %s::interval", end, before)
        state, reservation, order = owners_at(hall, moment)[hall.seats[0]]
        assert (state, order) == (expected, None)
        assert reservation == (hold.reservation_id if expected == "held" else None)


def test_a_sale_that_is_undone_by_hand_keeps_its_buyer_in_the_past(recording: Recording) -> None:
    hall = recording.hall
    order = hall.sell(0)
    recording.note("sold")
    with hall.connection.transaction():
        hall.connection.execute("UPDATE tickets SET status = 'cancelled'")
        hall.connection.execute("UPDATE reservation_seats SET released_at = now()")
        hall.connection.execute("UPDATE show_seats SET status = 'available'")
    hall.sell(0, session="ben")
    recording.note("sold to another")
    assert recording.differences() == []
    assert recording.seen[0][2][hall.seats[0]][2] == order.order_id


def test_an_order_that_was_paid_but_bought_nothing_is_not_the_buyer(recording: Recording) -> None:
    """A hold was changed, and both of its orders were paid."""
    hall = recording.hall
    hold = hall.hold(0, 1)
    first = hall.order(hold)
    hall.release(hold, hall.ids(1))
    second = hall.order(hold)
    assert hall.pay(second, event="evt_2").status == "paid"
    assert hall.pay(first, event="evt_1").status == "refund_due"
    hall.refund(first)
    recording.note("paid twice")
    assert recording.differences() == []
    assert recording.seen[0][2][hall.seats[0]][2] == second.order_id


def test_two_moves_in_one_transaction_are_not_taken_for_a_swap(recording: Recording) -> None:
    hall, staff = recording.hall, Staff(recording.hall)
    a, b, c = hall.ids(0, 1, 2)
    staff.issue([a])
    recording.note("issued")
    with hall.connection.transaction():
        staff.move({a: b})
        staff.move({b: c})
    recording.note("moved twice")
    assert recording.differences() == []


def test_what_a_transaction_does_counts_from_its_start(recording: Recording) -> None:
    hall = recording.hall
    with hall.connection.transaction():
        hall.connection.execute("SELECT now()")
        moment, owners = present(hall)
        hold = hall.hold(0)
    assert owners[hall.seats[0]][0] == "available"
    assert owners_at(hall, moment)[hall.seats[0]] == ("held", hold.reservation_id, None)


def test_a_change_by_hand_and_a_call_in_one_transaction_are_undone_together(
    recording: Recording,
) -> None:
    hall = recording.hall
    hold = hall.hold(0)
    recording.note("held")
    with hall.connection.transaction():
        hall.release(hold)
        Staff(hall).set_status(hall.ids(0), "blocked")
    recording.note("blocked")
    assert recording.differences() == []


# what it does not answer


@pytest.mark.this_month
def test_before_the_oldest_partition_of_the_logs_there_are_no_rows(recording: Recording) -> None:
    connection, show = recording.hall.connection, recording.hall
    begin = value(
        connection, "SELECT date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
    )
    assert len(seat_map_at(show, begin)) == 24
    just_before = value(connection, "SELECT %s::timestamptz - interval '1 us'", begin)
    assert seat_map_at(show, just_before) == []
    for log in (RESERVATION_LOG, "change_log"):
        # As if one log had been purged further than the other.
        oldest = value(
            connection,
            "SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = %s::regclass"
            " AND inhrelid::regclass::text NOT LIKE '%%default%%'",
            log,
        )
        with connection.transaction() as purged:
            connection.execute(f"DROP TABLE {oldest}".encode())
            assert seat_map_at(show, begin) == []
            raise psycopg.Rollback(purged)


@pytest.mark.parametrize("moment", [None, "-infinity"])
def test_no_moment_has_no_rows(hall: Hall, moment: str | None) -> None:
    assert seat_map_at(hall, moment) == []


def test_in_the_future_only_holds_that_end_make_a_difference(hall: Hall) -> None:
    hall.hold(0)
    order = hall.sell(1, session="ben")
    owners = owners_at(hall, "infinity")
    assert [owners[seat][0] for seat in hall.ids(0, 1, 2)] == ["available", "sold", "available"]
    assert owners[hall.seats[1]][2] == order.order_id


def test_seats_come_with_their_places_in_order(hall: Hall) -> None:
    rows = seat_map_at(hall, "infinity")
    assert rows[3] == (hall.seats[3], "stalls", "A", "3", 1, 4, "available", None, None)
    assert [row.seat_id for row in rows] == list(hall.seats)


def test_the_seats_and_events_of_another_show_are_not_among_them(recording: Recording) -> None:
    hall = recording.hall
    other = make_hall(hall.connection, seats=2)
    recording.note("nothing")
    other.sell(0, 1)
    assert recording.differences() == []
    assert owners_at(other, recording.seen[0][0]).keys() == set(other.seats)


def test_the_box_office_reads_it_in_a_transaction_that_is_read_only(hall: Hall) -> None:
    before = tables(hall.connection)
    with acting_as(hall.connection, NAMES.box_office_role):
        hall.connection.execute("SET LOCAL transaction_read_only = on")
        assert len(seat_map_at(hall, "now")) == 10
    assert tables(hall.connection) == before


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_the_past_is_the_same_at_every_isolation_level(
    house: Hall, connect: Connect, level: str
) -> None:
    """A snapshot that does not see an event does not see its effect, either."""
    house.hold(0)
    late = replace(house, connection=enter(connect()))
    late.connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    moment, owners = present(late)
    house.sell(1, session="ben")
    assert owners_at(late, moment) == owners
    late.connection.execute("COMMIT")
    assert owners_at(late, moment) == owners


# its price


@pytest.fixture(params=["never analysed", "up to date"])
def busy(request: pytest.FixtureRequest, connect: Connect) -> Hall:
    """A log with much of other shows, of which the last is ours."""
    connection = enter(connect())
    hall = make_hall(connection, seats=200)
    month = value(
        connection,
        "SELECT format('%%s_p%%s', %s::text, to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM'))",
        RESERVATION_LOG,
    )
    connection.execute(f"ALTER TABLE {month} SET (autovacuum_enabled = off)".encode())
    connection.execute(
        "INSERT INTO seat_reservation_audit_log (event_type, show_id, created_at, seat_ids)"
        " SELECT 'created', gen_random_uuid(),"
        " date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
        " + (now() - date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')"
        " * (n / 100000.0), ARRAY[gen_random_uuid()] FROM generate_series(0, 99999) AS n"
    )
    connection.execute(
        "SELECT brin_summarize_new_values(index.oid) FROM pg_class AS index"
        " WHERE index.relkind = 'i' AND index.relname LIKE %s",
        [f"{month}_created_at%"],
    )
    if request.param == "up to date":
        connection.execute("ANALYZE")
    return hall


def test_the_log_is_read_from_the_moment_on_by_its_index_of_time(busy: Hall) -> None:
    connection = busy.connection
    moment, owners = present(busy)
    busy.sell(0, 1)
    with explained(connection) as plans:
        assert owners_at(busy, moment) == owners
        connection.execute("SELECT")
    (plan,) = [plan for plan in plans if "show_seats" in plan.relations]
    assert "Seq Scan" not in {node["Node Type"] for node in plan.nodes}
    of_log = [
        node
        for node in plan.nodes
        if node.get("Index Name", "").startswith(RESERVATION_LOG) and node["Actual Rows"]
    ]
    assert [node["Index Name"].endswith("created_at_idx") for node in of_log] == [True]
    # Two megabytes of the log at most, with 200 seats.
    assert plan.buffers < 1000
    everything = value(connection, "SELECT pg_relation_size(%s) / 8192", log_of_now(connection))
    assert everything > 1500


def log_of_now(connection: Connection) -> str:
    name: str = value(connection, f"SELECT tableoid::regclass::text FROM {RESERVATION_LOG} LIMIT 1")
    return name
