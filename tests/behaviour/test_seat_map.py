"""get_seat_map: what is free, and what has changed since the shop asked before."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.databases import Connect, Database, throw_away_database
from tests.support.hall import Hall, make_hall
from tests.support.logs import RESERVATION_LOG
from tests.support.names import NAMES
from tests.support.plans import Plan, explained
from tests.support.polling import Poller, Storm, newest, seat_map, session_in
from tests.support.queries import Connection, acting_as, enter, tables, value
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster, private_cluster

STADIUM = 80_000

# One worker starts the server below, once.
pytestmark = pytest.mark.xdist_group("seat map")


def states(hall: Hall, *numbers: int, since: int | None = None) -> dict[int, str]:
    """State of these seats, or of all that the answer has, by number."""
    numbers_of = {seat: number for number, seat in enumerate(hall.seats)}
    found = {numbers_of[row.seat_id]: row.state for row in seat_map(hall, since)}
    return {number: found[number] for number in numbers} if numbers else found


def version(hall: Hall) -> int:
    (number,) = {row.version for row in seat_map(hall)}
    return int(number)


@pytest.fixture(scope="module")
def quiet(cluster: Cluster) -> Iterator[Cluster]:
    """A server of its own: an open transaction of any database keeps the versions back."""
    with private_cluster(cluster.binaries) as own:
        own.create_database("at_head")
        commands.apply(own.dsn("at_head"), NAMES)
        own.create_database("shared", "at_head")
        yield own


@pytest.fixture(scope="module")
def shared_database(quiet: Cluster) -> Database:
    return Database(quiet, "shared")


@pytest.fixture
def database(quiet: Cluster) -> Iterator[Database]:
    yield from throw_away_database(quiet, "at_head")


@pytest.fixture
def other(house: Hall, connect: Connect) -> Hall:
    """Another session in the house."""
    return replace(house, connection=enter(connect()))


# the whole map


def test_each_seat_has_its_state(hall: Hall) -> None:
    hall.hold(0)
    hall.sell(1, session="ben")
    hall.let_run_out(hall.hold(2, session="cleo"))
    hall.connection.execute(
        "UPDATE show_seats SET status = 'blocked' WHERE id = ANY(%s)", [hall.ids(3)]
    )
    assert states(hall) == {0: "held", 1: "sold", 2: "available", 3: "blocked"} | dict.fromkeys(
        range(4, 10), "available"
    )
    hall.clean_up()
    assert states(hall, 0, 2) == {0: "held", 2: "available"}


def test_a_seat_has_its_place_and_its_price(hall: Hall) -> None:
    row = seat_map(hall)[3]
    assert row._replace(version=None) == (
        hall.seats[3], "stalls", "A", "3", 1, 4, "available", 1300, "EUR", None,
    )  # fmt: skip


def test_seats_come_in_the_order_of_their_places(connection: Connection) -> None:
    show = make_hall(connection, seats=1).show_id
    connection.execute(
        "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
        " SELECT %s, section, row_label, seat_number, 1000"
        " FROM unnest(ARRAY['balcony', 'stalls']) AS section"
        " CROSS JOIN unnest(ARRAY['AA', 'B', 'Z']) AS row_label"
        " CROSS JOIN unnest(ARRAY['10', '9', '1']) AS seat_number",
        [show],
    )
    rows = connection.execute("SELECT * FROM get_seat_map(%s)", [show]).fetchall()
    assert [(row.section, row.row_label, row.seat_number) for row in rows] == [
        ("stalls", "A", "0")
        if (section, label, number) == ("stalls", "A", "0")
        else (section, label, number)
        for section in ("balcony", "stalls")
        for label in (("A",) if section == "stalls" else ()) + ("B", "Z", "AA")
        for number in (("0",) if label == "A" else ("1", "9", "10"))
    ]


def test_a_show_that_does_not_exist_has_no_seats(hall: Hall) -> None:
    assert seat_map(replace(hall, show_id=uuid.uuid4())) == []
    assert hall.connection.execute("SELECT FROM get_seat_map(NULL)").fetchall() == []


def test_the_seats_of_another_show_are_not_among_them(connection: Connection) -> None:
    here, there = make_hall(connection, seats=2), make_hall(connection, seats=3)
    there.hold(0)
    assert states(here) == {0: "available", 1: "available"}


@pytest.mark.parametrize("role", [NAMES.app_role, NAMES.box_office_role])
def test_shop_and_box_office_read_it_in_a_transaction_that_is_read_only(
    hall: Hall, role: str
) -> None:
    before = tables(hall.connection)
    with acting_as(hall.connection, role):
        hall.connection.execute("SET LOCAL transaction_read_only = on")
        assert len(seat_map(hall)) == 10
        assert seat_map(hall, newest(hall.connection)) != []  # of its own open transaction
    assert tables(hall.connection) == before


# what has changed


def test_nothing_has_changed_if_nobody_has_written(house: Hall) -> None:
    assert states(house, since=version(house)) == {}


CHANGES: dict[str, tuple[Callable[[Hall], Any], dict[int, str]]] = {
    "held": (lambda hall: hall.hold(0, 1), {0: "held", 1: "held"}),
    "sold": (lambda hall: hall.sell(2), {2: "sold"}),
    "another price": (
        lambda hall: hall.connection.execute(
            "UPDATE show_seats SET price_in_cents = 1 WHERE id = ANY(%s)", [hall.ids(3)]
        ),
        {3: "available"},
    ),
    "blocked by hand": (
        lambda hall: hall.connection.execute(
            "UPDATE show_seats SET status = 'blocked' WHERE id = ANY(%s)", [hall.ids(4)]
        ),
        {4: "blocked"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_since_a_version_is_in_the_answer(house: Hall, change: str) -> None:
    do, expected = CHANGES[change]
    before = version(house)
    do(house)
    assert states(house, since=before) == expected
    # And no longer for whoever has that answer.
    assert states(house, since=version(house)) == {}


def test_a_hold_that_is_given_back_has_changed(house: Hall) -> None:
    hold = house.hold(0)
    before = version(house)
    house.release(hold)
    assert states(house, since=before) == {0: "available"}


def test_a_hold_that_has_run_out_has_changed_although_nothing_is_written(house: Hall) -> None:
    house.hold(0)
    house.connection.execute(
        "UPDATE seat_reservations SET expires_at = clock_timestamp() + interval '300 ms'"
    )
    before = version(house)
    at_first = states(house, since=before)
    with house.connection.transaction():
        nobody = newest(house.connection)
        # Nobody writes meanwhile.
        while states(house, 0)[0] == "held":
            pass
        assert newest(house.connection) == nobody
        assert states(house, since=before) == {0: "available"}
    assert at_first in ({}, {0: "available"})


def test_an_answer_without_rows_keeps_its_version(house: Hall) -> None:
    before = version(house)
    make_hall(house.connection, seats=1).hold(0)
    assert seat_map(house, before) == []
    house.hold(5)
    assert states(house, since=before) == {5: "held"}


def test_a_change_of_the_show_itself_returns_all_of_it(house: Hall) -> None:
    before = version(house)
    house.connection.execute("UPDATE shows SET currency = 'JPY' WHERE id = %s", [house.show_id])
    rows = seat_map(house, before)
    assert {row.currency for row in rows} == {"JPY"}
    assert len(rows) == 40
    assert seat_map(house, rows[0].version) == []


UNKNOWN: dict[str, Callable[[int], int]] = {
    "negative": lambda _: -1,
    "the least": lambda _: -(2**63),
    "before there were transactions": lambda _: 0,
    "too old to be compared": lambda newest: newest - 2_000_000_000,
    "in the future": lambda newest: newest + 1,
    "the greatest": lambda _: 2**63 - 1,
}


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_a_version_that_is_not_of_this_server_returns_all_of_it(house: Hall, unknown: str) -> None:
    assert len(seat_map(house, UNKNOWN[unknown](newest(house.connection)))) == 40


def test_a_version_of_this_server_does_not(house: Hall) -> None:
    """The control of the above."""
    assert seat_map(house, newest(house.connection)) == []


# exact beside writers


def test_what_is_committed_late_is_in_the_next_answer(house: Hall, other: Hall) -> None:
    with other.connection.transaction():
        other.hold(0)
        before = version(house)
        house.hold(1, session="ben")
        middle = seat_map(house, before)
        assert [row.seat_id for row in middle] == house.ids(1)
    assert states(house, since=before) == {0: "held", 1: "held"}
    assert states(house, since=middle[0].version) == {0: "held", 1: "held"}


def test_a_version_one_too_high_would_miss_it(house: Hall, other: Hall) -> None:
    """The control: the version is exactly the oldest transaction that was open."""
    with other.connection.transaction():
        other.connection.execute(
            "UPDATE show_seats SET price_in_cents = 5 WHERE id = ANY(%s)", [other.ids(0)]
        )
        before = version(house)
        assert before == value(other.connection, "SELECT pg_current_xact_id()::text::bigint")
    assert states(house, since=before) == {0: "available"}
    assert states(house, since=before + 1) == {}


def test_the_time_in_the_log_would_miss_it(house: Hall, other: Hall) -> None:
    """The control: a line has the time at which its transaction began."""
    with other.connection.transaction():
        other.connection.execute("SELECT now()")
        polled_at = value(house.connection, "SELECT clock_timestamp()")
        before = version(house)
        other.hold(0)
    assert states(house, since=before) == {0: "held"}
    assert [line for line in house.log(RESERVATION_LOG) if line.created_at >= polled_at] == []


def test_what_was_rolled_back_has_not_changed(house: Hall, other: Hall) -> None:
    before = version(house)
    with other.connection.transaction(force_rollback=True):
        other.hold(0)
        assert states(house, since=before) == {}
    assert states(house, since=before) == {}


def test_a_savepoint_that_is_kept_counts_and_one_that_is_rolled_back_does_not(
    house: Hall, other: Hall
) -> None:
    with other.connection.transaction():
        with other.connection.transaction():
            other.hold(0)
        before = version(house)
        with other.connection.transaction(force_rollback=True):
            other.hold(1, session="ben")
        with other.connection.transaction():
            other.hold(2, session="cleo")
    assert states(house, since=before) == {0: "held", 2: "held"}


def test_a_transaction_sees_its_own_changes_since_a_version(house: Hall) -> None:
    before = version(house)
    with house.connection.transaction():
        house.hold(0)
        middle = seat_map(house, before)
        assert [row.state for row in middle] == ["held"]
        house.hold(1, session="ben")
        assert states(house, since=middle[0].version) == {0: "held", 1: "held"}


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_is_answered_with_its_own_version(
    house: Hall, other: Hall, level: str
) -> None:
    other.connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    first = version(other)
    house.hold(0)
    seen = states(other, since=first)
    again = version(other)
    other.connection.execute("COMMIT")
    if level == "READ COMMITTED":
        assert seen == {0: "held"}
        assert again > first
    else:
        assert seen == {}
        assert again == first
        assert states(other, since=again) == {0: "held"}


def test_a_copy_that_is_kept_by_changes_is_the_map_at_every_moment(
    house: Hall, database: Database
) -> None:
    with session_in(database) as one_session, session_in(database) as another:
        exact = Poller(replace(house, connection=one_session))
        # As if the version were the next transaction, and not the oldest that is open.
        flawed = Poller(replace(house, connection=another), flaw=20)
        seen, seen_by_flawed = Storm(house, database).run(
            [exact, flawed], writers=5, transactions=60
        )
    assert [differences for differences in seen if differences] == []
    # Controls: much has happened, in small answers, and the comparison notices a flaw.
    assert len(seen) > 30
    assert sum(exact.sizes) > 200
    assert sum(size < 40 for size in exact.sizes) > len(exact.sizes) / 2
    assert any(seen_by_flawed)


@pytest.fixture
def prepares(cluster: Cluster) -> Iterator[Database]:
    """A server whose transactions may be prepared."""
    settings = {"max_prepared_transactions": "2"}
    with private_cluster(cluster.binaries, settings=settings) as own:
        own.create_database("shop")
        database = Database(own, "shop")
        commands.apply(database.dsn, NAMES)
        yield database


def test_a_prepared_transaction_counts_when_it_is_committed(prepares: Database) -> None:
    with session_in(prepares) as session, session_in(prepares) as writer:
        hall = make_hall(session)
        writer.execute("BEGIN")
        replace(hall, connection=writer).hold(0)
        writer.execute("PREPARE TRANSACTION 'forgotten'")
        before = version(hall)
        hall.hold(1, session="ben")
        middle = seat_map(hall, before)
        assert [row.seat_id for row in middle] == hall.ids(1)
        writer.execute("COMMIT PREPARED 'forgotten'")
        assert states(hall, since=middle[0].version) == {0: "held", 1: "held"}


# its price


@pytest.fixture(params=["never analysed", "analysed while empty", "up to date"])
def stadium(request: pytest.FixtureRequest, connect: Connect) -> Hall:
    connection = enter(connect())
    for table in ("show_seats", "shows"):
        connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)".encode())
    if request.param == "analysed while empty":
        connection.execute("ANALYZE show_seats; ANALYZE shows")
    # Others, so that the show is not the table.
    for _ in range(3):
        make_hall(connection, seats=200)
    hall = make_hall(connection, seats=1)
    connection.execute(
        "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
        " SELECT %s, 'section ' || n / 4000, (n / 50)::text, (n %% 50)::text, 1000"
        " FROM generate_series(2, %s) AS n",
        [hall.show_id, STADIUM],
    )
    if request.param == "up to date":
        connection.execute("ANALYZE show_seats; ANALYZE shows")
    return hall


def of_seats(plans: list[Plan]) -> Plan:
    (plan,) = [plan for plan in plans if "show_seats" in plan.relations]
    return plan


def test_a_stadium_is_read_in_one_scan_of_an_index_in_its_order(stadium: Hall) -> None:
    connection = stadium.connection
    before = version(stadium)
    stadium.hold(0)
    for since, rows in ((None, STADIUM), (before, 1)):
        with explained(connection) as plans:
            count = value(
                connection, "SELECT count(*) FROM get_seat_map(%s, %s)", stadium.show_id, since
            )
            connection.execute("SELECT")
        assert count == rows
        plan = of_seats(plans)
        (node,) = plan.nodes
        assert (node["Node Type"], node["Index Name"]) == (
            "Index Scan",
            "show_seats_show_id_section_row_position_seat_position_idx",
        )
        assert "show_id" in node["Index Cond"]
        # A page for a seat at most, and those of the index.
        assert plan.buffers < STADIUM * 1.1
        # What is compiled takes longer to compile than to run.
        assert "JIT" not in plan.root


def test_another_plan_would_be_seen(house: Hall) -> None:
    """The control: the same query without the settings of the function, and another order."""
    connection = house.connection
    with explained(connection) as plans:
        connection.execute(
            "SELECT count(*) FROM (SELECT FROM show_seats WHERE show_id = %s"
            " ORDER BY seat_number OFFSET 0) AS seat",
            [house.show_id],
        )
        connection.execute("SELECT")
    assert "Sort" in {node["Node Type"] for node in of_seats(plans).nodes}
