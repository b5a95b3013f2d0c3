"""Where a play of transactions begins, what may be played there, and how two ends compare.

Every play has a show of its own, so that thousands fit into one database. Ids, secrets and times
differ from play to play: in what is compared, an id is what it stands for ("seat 1", "hold of
anna"), a time is whether there is one, and an end of a hold is so many minutes from now.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from tests.support.driver import Outcome
from tests.support.hall import Hall, make_hall
from tests.support.queries import Connection, Row, broken_invariants
from tests.support.racing import Call

SEATS = 4
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
# Numbers of their own, secrets, how long something took, and the words of an error that has a code.
LEFT_OUT = {"xact_id", "reservation_token", "ticket_code", "hold_seconds"}
EXPIRIES = {"expires_at", "reserved_until"}

State = dict[str, list[Any]]


@dataclass
class Stage:
    """A show with what has happened in it before the play begins."""

    halls: list[Hall]
    holds: dict[str, Row] = field(default_factory=dict)
    orders: dict[str, Row] = field(default_factory=dict)

    @property
    def hall(self) -> Hall:
        return self.halls[0]


Beginning = Callable[[Connection], Stage]


@dataclass(frozen=True)
class Part:
    """A transaction to be played: one call."""

    name: str
    make: Callable[[Stage], Call]


def reserve(session: str, *seats: int, show: int = 0) -> Part:
    def make(stage: Stage) -> Call:
        hall = stage.halls[show]
        arguments = {"p_show_id": hall.show_id, "p_seat_ids": hall.ids(*seats)}
        return Call("reserve_seats", arguments | {"p_session_id": session})

    where = " in the other show" if show else ""
    return Part(f"{session} reserves {list(seats)}{where}", make)


def of_hold(function: str, session: str, verb: str, seat: int | None = None, **more: Any) -> Part:
    def make(stage: Stage) -> Call:
        token = {"p_reservation_token": stage.holds[session].reservation_token}
        seats = {} if seat is None else {"p_seat_ids": stage.hall.ids(seat)}
        return Call(function, token | {"p_session_id": session} | seats | more)

    return Part(f"{session} {verb}", make)


def of_order(function: str, session: str, verb: str, amount: int = 0, **more: Any) -> Part:
    def make(stage: Stage) -> Call:
        order = stage.orders[session]
        keys = {"p_show_id": stage.hall.show_id, "p_order_id": order.order_id}
        if function == "confirm_payment":
            keys["p_amount_in_cents"] = order.total_amount_in_cents + amount
        return Call(function, keys | more)

    return Part(f"{session} {verb}", make)


def pays(session: str, event: str = "evt 1", amount: int = 0) -> Part:
    verb = f"pays by {event}" + (f" {amount} too much" if amount else "")
    return of_order("confirm_payment", session, verb, amount, p_provider="stripe", p_event_id=event)


def fails(session: str, event: str = "evt f") -> Part:
    more: dict[str, Any] = {
        "p_provider": "stripe",
        "p_event_id": event,
        "p_error_message": "declined",
    }
    return of_order("fail_payment", session, f"fails by {event}", **more)


def refunds(session: str) -> Part:
    return of_order("refund_order", session, "is refunded")


def extends(session: str) -> Part:
    return of_hold("extend_reservation", session, "extends")


def releases(session: str, seat: int | None = None) -> Part:
    what = "releases all" if seat is None else f"releases [{seat}]"
    return of_hold("release_reservation", session, what, seat)


def orders(session: str, key: str | None = None) -> Part:
    return of_hold("create_ticket_order", session, f"orders by {key}", p_idempotency_key=key)


CLEANUP = Part("cleanup", lambda _: Call("cleanup_expired_seat_reservations", {}))


def held(connection: Connection) -> Stage:
    """Anna holds seats 0 and 1."""
    stage = Stage([make_hall(connection, SEATS)])
    stage.holds["anna"] = stage.hall.hold(0, 1, session="anna")
    return stage


def ordered(connection: Connection) -> Stage:
    """Anna has ordered what she holds."""
    stage = held(connection)
    stage.orders["anna"] = stage.hall.order(stage.holds["anna"], p_idempotency_key="k1")
    return stage


def closing(connection: Connection) -> Stage:
    """Anna has ordered, and her hold ends in less than a minute."""
    stage = ordered(connection)
    connection.execute(
        "UPDATE seat_reservations SET expires_at = now() + interval '40 seconds' WHERE id = %s",
        [stage.holds["anna"].reservation_id],
    )
    return stage


def failed(connection: Connection) -> Stage:
    """Anna's payment has failed, and she still holds the seats."""
    stage = ordered(connection)
    stage.hall.fail(stage.orders["anna"], event="evt 0")
    return stage


def overdue(connection: Connection) -> Stage:
    """Anna has ordered, and her hold has run out since, though nobody has ended it."""
    stage = ordered(connection)
    stage.hall.let_run_out(stage.holds["anna"])
    return stage


def released(connection: Connection) -> Stage:
    """Anna has ordered and given her seats back, whatever her bank does."""
    stage = ordered(connection)
    assert stage.hall.release(stage.holds["anna"]).success
    return stage


def sold(connection: Connection) -> Stage:
    """Anna has paid."""
    stage = ordered(connection)
    assert stage.hall.pay(stage.orders["anna"], event="evt 0").status == "paid"
    return stage


def two_holds(connection: Connection) -> Stage:
    """Anna holds seats 0 and 1, bert 2 and 3; hers has run out, his is ordered."""
    stage = held(connection)
    stage.holds["bert"] = stage.hall.hold(2, 3, session="bert")
    stage.orders["bert"] = stage.hall.order(stage.holds["bert"], session="bert")
    stage.hall.let_run_out(stage.holds["anna"])
    return stage


def two_shows(connection: Connection) -> Stage:
    """Anna has ordered in one show, and there is another."""
    stage = ordered(connection)
    stage.halls.append(make_hall(connection, SEATS))
    return stage


@dataclass(frozen=True)
class Scene:
    """A beginning, and the transactions that may be played from there."""

    make: Beginning
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        return self.make.__name__.replace("_", " ")


OTHERS = (reserve("bert", 0), reserve("cleo", 1, 2))
OWN = (extends("anna"), releases("anna"), releases("anna", 0), orders("anna", "k1"))
SCENES = (
    Scene(held, (*OWN, orders("anna", "k2"), reserve("anna", 2), reserve("anna", 0, 1), *OTHERS,
                 CLEANUP)),
    Scene(ordered, (*OWN, orders("anna", "k2"), pays("anna"), pays("anna", "evt 2"), fails("anna"),
                    fails("anna", "evt 1"), refunds("anna"), pays("anna", "evt 3", 50), *OTHERS)),
    Scene(closing, (*OWN, pays("anna"), fails("anna"), CLEANUP, reserve("bert", 0))),
    Scene(failed, (*OWN, orders("anna", "k2"), pays("anna"), pays("anna", "evt 2"), fails("anna"),
                   reserve("bert", 0))),
    Scene(overdue, (*OWN, pays("anna"), pays("anna", "evt 2"), fails("anna"), CLEANUP,
                    reserve("anna", 2), reserve("anna", 0, 1), *OTHERS, refunds("anna"))),
    Scene(released, (orders("anna", "k1"), pays("anna"), pays("anna", "evt 2"), fails("anna"),
                     refunds("anna"), reserve("anna", 0), *OTHERS)),
    Scene(sold, (*OWN, pays("anna", "evt 0"), pays("anna", "evt 2"), fails("anna"),
                 refunds("anna"), reserve("anna", 0), *OTHERS)),
    Scene(two_holds, (extends("anna"), reserve("bert", 0), reserve("cleo", 1, 2),
                      reserve("dora", 0, 1), releases("bert"), releases("bert", 2),
                      pays("bert"), fails("bert"), orders("anna", "k1"), orders("bert", "k1"),
                      CLEANUP)),
    Scene(two_shows, (*OWN, pays("anna"), reserve("anna", 0, show=1), reserve("anna", 0, 1, show=1),
                      reserve("bert", 0, show=1), reserve("bert", 0))),
)  # fmt: skip


def normalised(
    value: Any, names: dict[str, str], key: str = "", now: datetime | None = None
) -> Any:
    """Without what differs from play to play. See the head of this module."""
    match value:
        case dict():
            return {
                inner: normalised(part, names, inner, now)
                for inner, part in sorted(value.items())
                if inner not in LEFT_OUT and not (inner == "id" and isinstance(part, int))
            }
        case list():
            return sorted((normalised(part, names, key, now) for part in value), key=repr)
        case str() if UUID.fullmatch(value):
            return names.get(value, "an id")
        case str() if key in EXPIRIES and TIME.match(value):
            ends = datetime.fromisoformat(value)
            return f"in {round((ends - (now or datetime.now(UTC))).total_seconds() / 60)} min"
        case str() if TIME.match(value):
            return "a time"
    return value


@dataclass(frozen=True)
class Reader:
    """Reads what there is about shows, for comparing."""

    connection: Connection
    tables: tuple[str, ...]

    def names(self, stage: Stage) -> dict[str, str]:
        """What each id of this stage stands for."""
        shows = [hall.show_id for hall in stage.halls]
        names = {}
        for show, hall in enumerate(stage.halls):
            names[str(hall.show_id)] = f"show {show}"
            names |= {
                str(seat): f"seat {number} of show {show}" for number, seat in enumerate(hall.seats)
            }
        seen: Counter[str] = Counter()

        def name(key: Any, text: str) -> None:
            seen[text] += 1
            names[str(key)] = text if seen[text] == 1 else f"{text}, number {seen[text]}"

        for row in self.connection.execute(
            "SELECT hold.id, hold.session_id, array_agg(claim.show_seat_id) AS seats"
            " FROM seat_reservations AS hold INNER JOIN reservation_seats AS claim"
            " ON claim.reservation_id = hold.id WHERE hold.show_id = ANY(%s)"
            " GROUP BY hold.id, hold.show_id, hold.session_id, hold.created_at"
            " ORDER BY hold.created_at, hold.id",
            [shows],
        ):
            seats = sorted(names[str(seat)] for seat in row.seats)
            name(row.id, f"hold of {row.session_id} on {', '.join(seats)}")
        for row in self.connection.execute(
            "SELECT id, reservation_id, seat_ids FROM ticket_orders WHERE show_id = ANY(%s)"
            " ORDER BY created_at, id",
            [shows],
        ):
            seats = sorted(names[str(seat)] for seat in row.seat_ids)
            name(row.id, f"order of {', '.join(seats)} in {names[str(row.reservation_id)]}")
        for row in self.connection.execute(
            "SELECT id, order_id, show_seat_id FROM tickets WHERE show_id = ANY(%s)"
            " ORDER BY created_at, id",
            [shows],
        ):
            name(row.id, f"ticket for {names[str(row.show_seat_id)]} in {names[str(row.order_id)]}")
        return names

    def state(self, stage: Stage, names: dict[str, str]) -> State:
        """All rows of all tables about this stage."""
        shows = [hall.show_id for hall in stage.halls]
        query = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, to_jsonb(t) FROM {} AS t WHERE show_id = ANY(%(shows)s)").format(
                sql.Literal(table), sql.Identifier(table)
            )
            for table in self.tables
        )
        found: State = {table: [] for table in self.tables}
        now = datetime.now(UTC)
        for table, row in self.connection.execute(query, {"shows": shows}).fetchall():
            found[table].append(normalised(row, names, now=now))
        return {table: sorted(rows, key=repr) for table, rows in found.items()}

    def broken(self) -> list[Row]:
        return broken_invariants(self.connection)


def put_away(connection: Connection, stage: Stage) -> None:
    """End the holds of a play, so that the cleanup of the next finds only what is its own."""
    stage.hall.let_run_out(
        *connection.execute(
            "SELECT id AS reservation_id FROM seat_reservations"
            " WHERE show_id = ANY(%s) AND status = 'active'",
            [[hall.show_id for hall in stage.halls]],
        )
    )
    connection.execute("SELECT cleanup_expired_seat_reservations()")


def play_serially(
    connection: Connection, reader: Reader, scene: Scene, parts: Sequence[Part]
) -> tuple[tuple[Any, ...], State]:
    """The answers and the end when one transaction after another is played from a new beginning."""
    stage = scene.make(connection)
    answers = [
        connection.execute(
            sql.SQL("SELECT to_jsonb(answer) FROM ({}) AS answer").format(
                part.make(stage).statement()
            )
        ).fetchall()[0][0]
        for part in parts
    ]
    names = reader.names(stage)
    result = tuple(normalised(answer, names) for answer in answers), reader.state(stage, names)
    put_away(connection, stage)
    return result


def differences(one: State, other: State) -> Iterator[str]:
    """Lines that say in what two ends differ."""
    for table in one:
        for sign, rows, others in (
            ("-", one[table], other[table]),
            ("+", other[table], one[table]),
        ):
            yield from (f"  {sign} {table}: {row}" for row in rows if row not in others)


def gave_up(part: Part, outcome: Outcome) -> bool:
    """Whether a transaction did nothing because of another: it may, at any place in the order."""
    answer = outcome.answer or {}
    if part is CLEANUP:  # skips what others have locked
        return bool(answer["total_reservations_expired"] == 0)
    return answer["error_code"] in {"BUSY", "SEATS_UNAVAILABLE"}
