"""Where rows and seats come in the order of the hall, filled in from their labels."""

import random
from collections.abc import Sequence
from uuid import UUID

import pytest

from tests.support.databases import Connect
from tests.support.hall import make_hall
from tests.support.plans import explained
from tests.support.queries import Connection, enter, value

Seat = tuple[str, str, str]  # section, row, number
Place = tuple[int | None, int | None]


@pytest.fixture
def show(connection: Connection) -> UUID:
    return make_hall(connection, seats=0).show_id


def insert(
    connection: Connection, show: UUID, seats: Sequence[Seat], places: Sequence[Place] = ()
) -> None:
    """Insert seats in one statement, with the positions that are given for them."""
    given = list(places) or [(None, None)] * len(seats)
    connection.execute(
        "INSERT INTO show_seats (show_id, section, row_label, seat_number, row_position,"
        " seat_position, price_in_cents) SELECT %s, seat.*, 1000 FROM unnest(%s::text[],"
        " %s::text[], %s::text[], %s::integer[], %s::integer[]) AS seat",
        [
            show,
            *[list(column) for column in zip(*seats, strict=True)],
            *[list(column) for column in zip(*given, strict=True)],
        ],
    )


def positions(connection: Connection, show: UUID) -> dict[Seat, Place]:
    rows = connection.execute("SELECT * FROM get_seat_map(%s)", [show]).fetchall()
    return {
        (row.section, row.row_label, row.seat_number): (row.row_position, row.seat_position)
        for row in rows
    }


def in_order(connection: Connection, show: UUID) -> list[Seat]:
    return list(positions(connection, show))


def rows(*labels: str) -> list[Seat]:
    return [("stalls", label, "1") for label in labels]


def seats(*numbers: str, row: str = "A") -> list[Seat]:
    return [("stalls", row, number) for number in numbers]


ORDERS = {
    "numbers": ["1", "2", "9", "10", "11", "100"],
    "letters": ["A", "B", "Y", "Z", "AA", "AB", "ZZ"],
    "small letters": ["a", "b", "z", "aa"],
    "letters before numbers": ["A1", "A2", "A10", "B1", "B2"],
    "numbers before letters": ["1A", "1B", "2A", "10A"],
    "words": ["Box 1", "Box 2", "Box 10", "Lodge 1"],
    "zeroes in front": ["01", "02", "010"],
    "longer than a number of the server": ["9" * 19, "1" + "0" * 19, "9" * 40],
}


@pytest.mark.parametrize("kind", ORDERS)
def test_rows_and_seats_come_in_natural_order(
    connection: Connection, show: UUID, kind: str
) -> None:
    labels = ORDERS[kind]
    mixed = random.Random(kind).sample(labels, len(labels))
    insert(connection, show, rows(*mixed))
    insert(connection, show, [("balcony", "A", number) for number in mixed])
    found = positions(connection, show)
    assert [found["stalls", label, "1"] for label in labels] == [
        (n, 1) for n in range(1, len(labels) + 1)
    ]
    assert [found["balcony", "A", label] for label in labels] == [
        (1, n) for n in range(1, len(labels) + 1)
    ]


def test_the_order_of_the_alphabet_would_be_another() -> None:
    """The control."""
    assert sorted(ORDERS["numbers"]) != ORDERS["numbers"]
    assert sorted(ORDERS["letters"]) != ORDERS["letters"]


def test_labels_that_are_the_same_number_have_an_order(connection: Connection, show: UUID) -> None:
    insert(connection, show, seats("1", "01", "001"))
    assert sorted(positions(connection, show).values()) == [(1, 1), (1, 2), (1, 3)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("portion", [1, 7, 60])
def test_the_order_in_which_seats_are_inserted_does_not_matter(
    connection: Connection, show: UUID, seed: int, portion: int
) -> None:
    hall = [
        (section, row, str(number))
        for section in ("balcony", "stalls")
        for row in ("A", "B", "Z", "AA", "AB")
        for number in range(1, 13)
    ]
    mixed = random.Random(seed).sample(hall, len(hall))
    for first in range(0, len(mixed), portion):
        insert(connection, show, mixed[first : first + portion])
    assert in_order(connection, show) == hall
    assert positions(connection, show)["stalls", "AA", "12"] == (4, 12)


def test_sections_count_their_rows_each_on_their_own(connection: Connection, show: UUID) -> None:
    insert(connection, show, [("left", "C", "5"), ("right", "A", "7"), ("right", "C", "1")])
    assert positions(connection, show) == {
        ("left", "C", "5"): (1, 1),
        ("right", "A", "7"): (1, 1),
        ("right", "C", "1"): (2, 1),
    }


def test_another_show_is_left_alone(connection: Connection, show: UUID) -> None:
    other = make_hall(connection, seats=3)
    before = positions(connection, other.show_id)
    insert(connection, show, seats("1", "2"))
    assert positions(connection, other.show_id) == before


# what the shop gives


def test_positions_that_are_given_stay(connection: Connection, show: UUID) -> None:
    insert(
        connection,
        show,
        seats("1", "2", "3", row="B") + seats("1", "2", row="A"),
        [(1, 9), (1, 8), (1, 2), (5, -1), (5, 0)],
    )
    assert positions(connection, show) == {
        ("stalls", "B", "3"): (1, 2),
        ("stalls", "B", "2"): (1, 8),
        ("stalls", "B", "1"): (1, 9),
        ("stalls", "A", "1"): (5, -1),
        ("stalls", "A", "2"): (5, 0),
    }


def test_a_gap_that_stands_for_an_aisle_stays_and_a_new_seat_comes_last(
    connection: Connection, show: UUID
) -> None:
    insert(connection, show, seats("1", "2", "4"), [(1, 1), (1, 2), (1, 4)])
    insert(connection, show, seats("3"))
    insert(connection, show, seats("6", "5"))
    assert positions(connection, show) == dict(
        zip(
            seats("1", "2", "4", "3", "5", "6"),
            [(1, 1), (1, 2), (1, 4), (1, 5), (1, 6), (1, 7)],
            strict=True,
        )
    )


def test_rows_that_are_given_stay_and_a_new_row_comes_last(
    connection: Connection, show: UUID
) -> None:
    insert(connection, show, rows("C", "A"), [(3, 1), (7, 1)])
    insert(connection, show, rows("B"))
    assert positions(connection, show) == {
        ("stalls", "C", "1"): (3, 1),
        ("stalls", "A", "1"): (7, 1),
        ("stalls", "B", "1"): (8, 1),
    }


def test_a_seat_in_a_row_that_has_a_position_gets_that_position(
    connection: Connection, show: UUID
) -> None:
    insert(connection, show, seats("1", row="Q"), [(40, None)])
    insert(connection, show, seats("2", row="Q"))
    assert positions(connection, show) == {
        ("stalls", "Q", "1"): (40, 1),
        ("stalls", "Q", "2"): (40, 2),
    }


def test_a_row_that_bends_keeps_its_positions(connection: Connection, show: UUID) -> None:
    """Seats of one label in two rows: nothing that the shop gave is counted anew."""
    insert(connection, show, seats("1", "2"), [(1, 1), (2, 2)])
    insert(connection, show, seats("3"))
    assert positions(connection, show) == {
        ("stalls", "A", "1"): (1, 1),
        ("stalls", "A", "3"): (1, 3),
        ("stalls", "A", "2"): (2, 2),
    }


def test_rows_given_and_seats_not(connection: Connection, show: UUID) -> None:
    insert(
        connection,
        show,
        seats("10", "9", row="B") + seats("1", row="A"),
        [(1, None), (1, None), (2, None)],
    )
    assert positions(connection, show) == {
        ("stalls", "B", "9"): (1, 1),
        ("stalls", "B", "10"): (1, 2),
        ("stalls", "A", "1"): (2, 1),
    }


def test_a_statement_that_gives_all_positions_writes_nothing_else(
    connection: Connection, show: UUID
) -> None:
    insert(connection, show, seats("1", "2"), [(1, 2), (1, 1)])
    updated = value(
        connection, "SELECT pg_stat_get_xact_tuples_updated('show_seats'::regclass::oid)"
    )
    assert updated == 0
    insert(connection, show, seats("3"))
    assert updated != value(
        connection, "SELECT pg_stat_get_xact_tuples_updated('show_seats'::regclass::oid)"
    )


def test_positions_that_are_filled_in_are_no_changes_by_hand(
    connection: Connection, show: UUID
) -> None:
    insert(connection, show, seats("1", "2"))
    question = "SELECT count(*) FROM change_log WHERE table_name = 'show_seats'"
    question += " AND operation = 'update'"
    assert value(connection, question) == 0
    connection.execute("UPDATE show_seats SET seat_position = seat_position + 1")
    assert value(connection, question) == 2


# its price


@pytest.mark.parametrize("statistics", ["never analysed", "analysed while empty", "up to date"])
def test_a_stadium_is_filled_in_by_one_statement_whatever_the_statistics(
    connect: Connect, statistics: str
) -> None:
    connection = enter(connect())
    connection.execute("ALTER TABLE show_seats SET (autovacuum_enabled = off)")
    # A plan that compares each seat with each takes minutes.
    connection.execute("SET statement_timeout = '60s'")
    if statistics != "never analysed":
        connection.execute("ANALYZE show_seats")
    for _ in range(2 if statistics == "up to date" else 1):
        show = make_hall(connection, seats=0).show_id
        connection.execute(
            "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
            " SELECT %s, 'section ' || n %% 4, (n / 4 / 100)::text, (n / 4 %% 100)::text, 1000"
            " FROM generate_series(0, 79999) AS n",
            [show],
        )
        connection.execute("ANALYZE show_seats")
    found = positions(connection, show)
    assert len(found) == 80_000
    assert all(
        place == (int(row) + 1, int(number) + 1) for (_, row, number), place in found.items()
    )


def test_one_more_seat_does_not_read_the_seats_of_other_sections_and_shows(
    connect: Connect,
) -> None:
    connection = enter(connect())
    for _ in range(3):
        show = make_hall(connection, seats=1).show_id
        connection.execute(
            "INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)"
            " SELECT %s, 'section ' || n %% 40, (n / 400)::text, n::text, 1000"
            " FROM generate_series(1, 8000) AS n",
            [show],
        )
    insert(connection, show, [("section 7", "3", "x")])  # the first of the session makes plans
    with explained(connection) as plans:
        insert(connection, show, [("section 7", "3", "y")])
        connection.execute("SELECT")
    (plan,) = [plan for plan in plans if plan.query.strip().startswith("WITH seats")]
    scans = [node for node in plan.nodes if node.get("Relation Name") == "show_seats"]
    assert {node["Node Type"] for node in scans} <= {"Index Scan", "ModifyTable"}
    # The 202 of the section, twice.
    assert plan.buffers < 1500
    assert value(connection, "SELECT pg_relation_size('show_seats') / 8192") > 400
