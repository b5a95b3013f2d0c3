"""Halls as drawings: a text for each row, the nearest to the stage first.

`.` is a free seat, `x` one that is not for sale, a blank an aisle, a place without a seat.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from tests.support.hall import Hall, make_hall
from tests.support.queries import Connection


def draw_hall(connection: Connection, *rows: str, section: str = "stalls") -> Hall:
    """A new show with these rows on sale, each seat at 1000 cents."""
    hall = make_hall(connection, seats=0)
    return more_rows(hall, rows, section)


def more_rows(hall: Hall, rows: Sequence[str], section: str, price: int = 1000) -> Hall:
    """The hall with another section of rows."""
    seats = list(hall.seats)
    with hall.connection.cursor() as cursor:
        for row, text in enumerate(rows, 1):
            for place, kind in enumerate(text, 1):
                if kind == " ":
                    continue
                cursor.execute(
                    "INSERT INTO show_seats (show_id, section, row_label, seat_number,"
                    " row_position, seat_position, price_in_cents, status)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
                    [
                        hall.show_id,
                        section,
                        str(row),
                        str(place),
                        row,
                        place,
                        price,
                        "available" if kind == "." else "blocked",
                    ],
                )
                (added,) = cursor.fetchall()
                seats.append(added.id)
    return replace(hall, seats=tuple(seats))


def drawing(hall: Hall, chosen: Sequence[UUID], section: str = "stalls") -> list[str]:
    """The rows again, with `A` for the seats that were chosen, and `h` for others that are held."""
    rows = hall.connection.execute(
        "SELECT id, row_position, seat_position, status FROM show_seats"
        " WHERE show_id = %s AND section = %s ORDER BY row_position, seat_position",
        [hall.show_id, section],
    ).fetchall()
    drawn: dict[int, str] = {}
    for seat in rows:
        sign = {"available": ".", "blocked": "x", "reserved": "h", "sold": "s"}[seat.status]
        line = drawn.get(seat.row_position, "").ljust(seat.seat_position - 1)
        drawn[seat.row_position] = line + ("A" if seat.id in chosen else sign)
    return list(drawn.values())
