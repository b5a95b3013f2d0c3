"""Foreign keys: to delete or change a parent row, its children are looked for by an index.

By a full one. A partial index serves the queries that it was made for, and not the check of a
foreign key: with one, deleting 200 seats read the whole table 200 times.
"""

import pytest
from psycopg import sql

from tests.support.databases import Connect
from tests.support.hall import Hall
from tests.support.names import OURS
from tests.support.plans import explained
from tests.support.queries import (
    Connection,
    Row,
    broken_invariants,
    enter,
    refused_by,
    token_of,
    value,
)

WITHOUT_INDEX = """
    SELECT con.conname AS name
    FROM pg_constraint AS con
    WHERE con.contype = 'f'
        AND con.connamespace = ANY(%s::regnamespace[])
        AND con.conparentid = 0
        AND NOT EXISTS (
            SELECT FROM pg_index AS index
            WHERE index.indrelid = con.conrelid
                AND index.indpred IS NULL
                AND index.indisvalid
                AND (
                    -- In whatever order: all its columns are asked for at once.
                    (index.indkey::smallint[])[0:cardinality(con.conkey) - 1] @> con.conkey
                    -- Or by what distinguishes one parent from all others.
                    OR EXISTS (
                        SELECT FROM unnest(con.conkey, con.confkey) AS pair (child, parent)
                        INNER JOIN pg_attribute AS attribute
                            ON attribute.attrelid = con.confrelid AND attribute.attnum = pair.parent
                        WHERE attribute.attname = 'id' AND pair.child = index.indkey[0]
                    )
                )
        )
    ORDER BY 1
"""


def without_index(connection: Connection) -> set[str]:
    rows: list[Row] = connection.execute(WITHOUT_INDEX, [OURS]).fetchall()
    return {row.name for row in rows}


def test_every_foreign_key_has_a_full_index(connection: Connection) -> None:
    assert without_index(connection) == set()


def test_a_foreign_key_with_a_partial_index_or_half_of_one_is_found_out(
    connection: Connection,
) -> None:
    connection.execute(
        "CREATE TABLE child (show_seat_id uuid, show_id uuid, CONSTRAINT child_fkey"
        " FOREIGN KEY (show_seat_id, show_id) REFERENCES show_seats (id, show_id))"
    )
    for statement, is_served in (
        ("SELECT", False),
        ("CREATE INDEX partial ON child (show_seat_id, show_id) WHERE show_id IS NOT NULL", False),
        ("CREATE INDEX half ON child (show_id)", False),
        ("CREATE INDEX whole ON child (show_id, show_seat_id)", True),
    ):
        connection.execute(statement.encode())
        assert ("child_fkey" not in without_index(connection)) is is_served, statement


def test_deleting_seats_reads_no_claim_of_others(hall: Hall) -> None:
    """Nor a ticket. Seats that nobody ever held are taken out of a plan now and then."""
    for n in range(4):
        hall.refund(hall.sell(n, session=f"buyer {n}"))
    hall.connection.execute("SET LOCAL enable_seqscan = off")
    with explained(hall.connection) as plans:
        hall.connection.execute(
            sql.SQL("DELETE FROM show_seats WHERE id = {}").format(sql.Literal(hall.seats[9]))
        )
    checked = {
        node["Relation Name"]: node["Node Type"]
        for plan in plans
        for node in plan.nodes
        if node.get("Relation Name") in ("reservation_seats", "tickets")
    }
    assert checked.keys() == {"reservation_seats", "tickets"}
    assert "Seq Scan" not in checked.values()


def test_a_hold_does_not_touch_the_row_of_its_show(house: Hall, connect: Connect) -> None:
    """With a foreign key each hold would lock it, and two at a time would make it a MultiXact."""
    other = Hall(enter(connect()), house.show_id, house.seats)
    before = value(house.connection, "SELECT xmax::text FROM shows")
    with house.connection.transaction(), other.connection.transaction():
        house.hold(0, 1)
        other.hold(2, 3, session="ben")
        assert value(house.connection, "SELECT xmax::text FROM shows") == before


@pytest.mark.breaks_invariants
def test_a_hold_of_no_show_can_hold_no_seat_and_is_found(hall: Hall) -> None:
    """What replaces the foreign key: claims are of seats, and seats are of a show."""
    hold_id = value(
        hall.connection,
        "INSERT INTO seat_reservations (show_id, reservation_token, session_id, expires_at)"
        f" SELECT gen.id, {token_of('gen.id')}, 'x', now() FROM gen_random_uuid() AS gen (id)"
        " RETURNING id",
    )
    with refused_by(hall.connection, "reservation_seats_show_seat_id_show_id_fkey"):
        hall.connection.execute(
            "INSERT INTO reservation_seats"
            " (reservation_id, show_seat_id, show_id, price_in_cents, currency)"
            " SELECT id, %s, show_id, 1, 'EUR' FROM seat_reservations WHERE id = %s",
            [hall.seats[0], hold_id],
        )
    assert [row.invariant for row in broken_invariants(hall.connection)] == ["holds_are_not_empty"]


def test_a_show_that_has_holds_cannot_be_deleted(hall: Hall) -> None:
    hall.hold(0)
    with refused_by(hall.connection, "show_seats_show_id_fkey"):
        hall.connection.execute("DELETE FROM shows")
