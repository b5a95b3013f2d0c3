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
LEFT_OUT = {"xact_id", "reservation_token", "ticket_code", "ticket_codes", "hold_seconds"}
EXPIRIES = {"expires_at", "reserved_until"}

State = dict[str, list[Any]]


@dataclass
class Stage:
    """A show with what has happened in it before the play begins."""

    halls: list[Hall]
    holds: dict[str, Row] = field(default_factory=dict)
    orders: dict[str, Row] = field(default_factory=dict)
    tickets: dict[str, list[Row]] = field(default_factory=dict)  # in the order of their seats
    refunds: list[Row] = field(default_factory=list)

    @property
    def hall(self) -> Hall:
        return self.halls[0]


Beginning = Callable[[Connection], Stage]


@dataclass(frozen=True)
class Part:
    """A transaction to be played: one call."""

    name: str
    make: Callable[[Stage], Call]
    # Where the call chooses by itself, the part that would have chosen so: from seats by number.
    choosing: "Callable[..., Part] | None" = None

    def chosen(self, stage: Stage, outcome: Outcome) -> "Part":
        answer = outcome.answer or {}
        if self.choosing is None or not answer.get("success"):
            return self
        seats = [str(seat) for seat in stage.hall.seats]
        return self.choosing(*sorted(seats.index(seat) for seat in answer["seat_ids"]))


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


def best(session: str, quantity: int) -> Part:
    def make(stage: Stage) -> Call:
        arguments = {"p_show_id": stage.hall.show_id, "p_quantity": quantity}
        return Call("reserve_best_seats", arguments | {"p_session_id": session})

    def choosing(*seats: int) -> Part:
        return reserve(session, *seats)

    return Part(f"{session} reserves the best {quantity}", make, choosing)


def adds(session: str, seat: int) -> Part:
    return of_hold("add_seats", session, f"adds [{seat}]", seat)


def prices(session: str, seat: int, price: int) -> Part:
    more: dict[str, Any] = {"p_prices_in_cents": [price], "p_ticket_types": ["child"]}
    return of_hold("price_seats", session, f"gets [{seat}] for {price}", seat, **more)


def logs_in(session: str, new: str) -> Part:
    return of_hold("move_reservation", session, f"logs in as {new}", p_new_session_id=new)


def by_staff(function: str, verb: str, *seats: int, **more: Any) -> Part:
    def make(stage: Stage) -> Call:
        where = {"p_show_id": stage.hall.show_id, "p_seat_ids": stage.hall.ids(*seats)}
        return Call(function, where | {"p_staff": "clara"} | more)

    return Part(f"clara {verb} {list(seats)}", make)


def blocks(*seats: int, end_holds: bool = False) -> Part:
    verb = "blocks, and ends holds on," if end_holds else "blocks"
    return by_staff("block_seats", verb, *seats, p_end_holds=end_holds)


def unblocks(*seats: int) -> Part:
    return by_staff("unblock_seats", "unblocks", *seats)


def issues(*seats: int, event: str | None = None) -> Part:
    paid = {"p_payment_provider": "bank", "p_event_id": event} if event else {}
    free: dict[str, Any] = dict.fromkeys(("p_prices_in_cents", "p_ticket_types", "p_email"))
    verb = f"issues, by {event}," if event else "issues"
    return by_staff("issue_tickets", verb, *seats, **free, **paid)


def of_tickets(function: str, session: str, verb: str, *numbers: int, **more: Any) -> Part:
    def make(stage: Stage) -> Call:
        ids = [stage.tickets[session][number].id for number in numbers]
        arguments = {"p_show_id": stage.hall.show_id, "p_ticket_ids": ids, "p_staff": "clara"}
        seats = {name: stage.hall.ids(*its) for name, its in more.items()}
        return Call(function, arguments | seats)

    return Part(f"clara {verb} tickets {list(numbers)} of {session}", make)


def cancels(session: str, *numbers: int) -> Part:
    return of_tickets("cancel_tickets", session, "cancels", *numbers)


def moves(session: str, numbers: Sequence[int], seats: Sequence[int]) -> Part:
    verb = f"moves to {list(seats)} the"
    return of_tickets("move_tickets", session, verb, *numbers, p_seat_ids=seats)


def enters(session: str, number: int, nonce: str | None = None) -> Part:
    def make(stage: Stage) -> Call:
        scan = {"p_ticket_code": stage.tickets[session][number].ticket_code}
        where = {"p_show_id": stage.hall.show_id, "p_gate": "north", "p_nonce": nonce}
        return Call("check_in_ticket", scan | where)

    return Part(f"{session} enters with ticket {number}, scan {nonce}", make)


def disputes(session: str, amount: int, event: str = "evt d") -> Part:
    return of_order("record_dispute", session, f"disputes {amount} by {event}", p_provider="stripe",
                    p_event_id=event, p_amount_in_cents=amount)  # fmt: skip


def returns(event: str) -> Part:
    def make(stage: Stage) -> Call:
        refund = {"p_show_id": stage.hall.show_id, "p_refund_id": stage.refunds[0].id}
        return Call("record_refund", refund | {"p_provider": "stripe", "p_event_id": event})

    return Part(f"the money is returned by {event}", make)


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


def sold_and_blocked(connection: Connection) -> Stage:
    """Anna has paid and has her tickets; seat 2 is blocked."""
    stage = sold(connection)
    stage.tickets["anna"] = connection.execute(
        "SELECT id, ticket_code FROM tickets WHERE show_id = %s ORDER BY price_in_cents",
        [stage.hall.show_id],
    ).fetchall()
    staff = {"p_show_id": stage.hall.show_id, "p_staff": "clara"}
    assert stage.hall.call("block_seats", **staff, p_seat_ids=stage.hall.ids(2)).success
    return stage


def owed(connection: Connection) -> Stage:
    """One of anna's tickets was cancelled, and its money is due."""
    stage = sold_and_blocked(connection)
    ids = [stage.tickets["anna"][0].id]
    staff = {"p_show_id": stage.hall.show_id, "p_staff": "clara"}
    assert stage.hall.call("cancel_tickets", **staff, p_ticket_ids=ids).success
    stage.refunds = connection.execute(
        "SELECT id FROM refunds WHERE show_id = %s", [stage.hall.show_id]
    ).fetchall()
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
    title: str | None = None

    @property
    def name(self) -> str:
        return self.title or self.make.__name__.replace("_", " ")


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
    Scene(held, (adds("anna", 2), prices("anna", 0, 500), logs_in("anna", "zoe"), best("bert", 2),
                 best("cleo", 1), blocks(0), blocks(0, 2, end_holds=True), blocks(2, 3), issues(2),
                 issues(2, 3, event="t1"), *OWN[1:], orders("anna", "k2"), reserve("bert", 2),
                 reserve("zoe", 2, 3), CLEANUP), "held, by more functions"),
    Scene(ordered, (adds("anna", 2), prices("anna", 0, 500), logs_in("anna", "zoe"), pays("anna"),
                    blocks(0, end_holds=True), orders("anna", "k2"), orders("anna", "k1"),
                    fails("anna"), releases("anna", 0), best("bert", 1)),
          "ordered, by more functions"),
    Scene(sold_and_blocked, (cancels("anna", 0), cancels("anna", 0, 1), moves("anna", [0], [2]),
                             moves("anna", [0, 1], [1, 3]), enters("anna", 0, "n1"),
                             enters("anna", 0), disputes("anna", 2100), refunds("anna"),
                             unblocks(2), issues(2), issues(2, 3, event="t1"), blocks(2, 3),
                             reserve("bert", 3), best("cleo", 1), pays("anna", "evt 2"))),
    Scene(owed, (returns("evt r"), returns("evt s"), disputes("anna", 1000),
                 disputes("anna", 1100, "evt e"), refunds("anna"), cancels("anna", 1),
                 moves("anna", [1], [0]), enters("anna", 1), reserve("bert", 0), issues(0))),
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
        # Those of the beginning wherever they are now: two of an order may have had the same seat.
        for session, tickets in stage.tickets.items():
            for number, ticket in enumerate(tickets):
                names[str(ticket.id)] = f"ticket {number} of {session}"
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
