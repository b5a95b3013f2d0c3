"""Foreign keys: to delete or change a parent row, its children are looked for by an index.

By a full one. A partial index serves the queries that it was made for, and not the check of a
foreign key: with one, deleting 200 seats read the whole table 200 times.
"""

from psycopg import sql

from tests.support.hall import Hall
from tests.support.names import OURS
from tests.support.plans import explained
from tests.support.queries import Connection, Row

# Foreign keys that may do without, and why.
EXEMPT = {
    "seat_reservations_show_id_fkey": (
        "every hold would pay for it; reservations are never deleted, so a show that has any cannot"
        " be, and of one that has none the table is read once"
    ),
}

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
    assert without_index(connection) == set(EXEMPT)


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
