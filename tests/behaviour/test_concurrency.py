"""Many sessions want the same things at the same moment."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.logs import ORDER_LOG
from tests.support.queries import Connection, Row, broken_invariants, enter
from tests.support.racing import AsyncConnection, Call, Racers, deadlocks, racers
from tests.support.waiting import await_true

BUYERS = 64

OpenRacers = Callable[[int], Racers]


@pytest.fixture
def open_racers(database: Database) -> Iterator[OpenRacers]:
    """Opens sessions. After the test: no deadlock, no broken invariant, no unexpected error."""
    pids: set[int] = set()
    with ExitStack() as stack:

        def open_sessions(count: int) -> Racers:
            opened = stack.enter_context(racers(database, count))
            pids.update(opened.pids)
            return opened

        yield open_sessions
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        enter(connection)
        assert broken_invariants(connection) == []
        assert unexpected_errors(connection) == []
    assert deadlocks(database, pids) == (0, 0)


@pytest.fixture
def crowded(connect: Connect) -> Connection:
    """A session that sees the database of the test from outside the race."""
    return enter(connect())


def unexpected_errors(connection: Connection) -> list[Row]:
    """Calls that were refused for a reason that no interleaving may give."""
    return connection.execute(
        "SELECT error_code, metadata FROM seat_reservation_audit_log"
        " WHERE error_code IN ('INTERNAL_ERROR', 'DOUBLE_BOOKING_PREVENTED')"
        " UNION ALL SELECT error_code, metadata FROM ticket_order_audit_log"
        " WHERE error_code = 'INTERNAL_ERROR'"
    ).fetchall()


def reserve(hall: Hall, seats: Sequence[UUID], session: str, delay: float = 0.0) -> Call:
    arguments = {"p_show_id": hall.show_id, "p_seat_ids": list(seats), "p_session_id": session}
    return Call("reserve_seats", arguments, delay)


def with_token(function: str, hold: Row, session: str, delay: float = 0.0, **more: Any) -> Call:
    arguments = {"p_reservation_token": hold.reservation_token, "p_session_id": session, **more}
    return Call(function, arguments, delay)


def pay(hall: Hall, order: Row, event: str, delay: float = 0.0) -> Call:
    arguments = {
        "p_show_id": hall.show_id,
        "p_order_id": order.order_id,
        "p_provider": "stripe",
        "p_event_id": event,
        "p_amount_in_cents": order.total_amount_in_cents,
    }
    return Call("confirm_payment", arguments, delay)


def codes(answers: Sequence[Row]) -> Counter[str | None]:
    return Counter(answer.error_code for answer in answers)


def test_one_of_64_buyers_who_want_the_same_seat_gets_it(
    open_racers: OpenRacers, crowded: Connection
) -> None:
    rounds = 200
    hall = make_hall(crowded, seats=rounds)
    together = open_racers(BUYERS)
    for number in range(rounds):
        answers = together.race(
            [reserve(hall, hall.ids(number), f"buyer {number}/{n}") for n in range(BUYERS)]
        )
        assert codes(answers) == {None: 1, "SEATS_UNAVAILABLE": BUYERS - 1}

    assert hall.statuses() == ["reserved"] * rounds
    assert Counter(hall.events()) == {"created": rounds, "failed": rounds * (BUYERS - 1)}


@pytest.mark.parametrize("over", [False, True], ids=["free seats", "seats of overdue holds"])
def test_of_overlapping_groups_of_seats_those_that_lose_overlap_one_that_wins(
    open_racers: OpenRacers, crowded: Connection, over: bool
) -> None:
    """Neighbours want runs of seats in a ring, half of them naming the seats from the far end."""
    rounds, ring, buyers = 60, 12, 32
    hall = make_hall(crowded, seats=rounds * ring)
    together = open_racers(buyers)
    chance = random.Random(1)
    for number in range(rounds):
        seats = hall.seats[number * ring : (number + 1) * ring]
        if over:
            # Threes, so that many a group lies across two or three of them.
            first = number * ring
            holds = [
                hall.hold(*range(n, n + 3), session=f"before {n}")
                for n in range(first, first + ring, 3)
            ]
            hall.let_run_out(*holds)
        groups = []
        for n in range(buyers):
            start, length = chance.randrange(ring), chance.randint(2, 5)
            group = [seats[(start + step) % ring] for step in range(length)]
            groups.append(group if n % 2 else group[::-1])

        answers = together.race(
            [reserve(hall, group, f"buyer {number}/{n}") for n, group in enumerate(groups)]
        )

        assert set(codes(answers)) <= {None, "SEATS_UNAVAILABLE"}
        won = [group for group, answer in zip(groups, answers, strict=True) if answer.success]
        taken = [seat for group in won for seat in group]
        assert won
        assert len(taken) == len(set(taken))
        for group, answer in zip(groups, answers, strict=True):
            assert answer.success or not set(taken).isdisjoint(group)
        held = crowded.execute(
            "SELECT id FROM show_seats WHERE id = ANY(%s) AND status = 'reserved'"
            " AND reserved_until > now()",
            [list(seats)],
        ).fetchall()
        assert {row.id for row in held} == set(taken)
    # An overdue hold is ended once, however many run into it.
    ended = Counter(line.reservation_id for line in hall.log() if line.event_type == "expired")
    assert set(ended.values()) <= {1}
    assert bool(ended) is over


@pytest.mark.parametrize("other", [(2, 3), (1, 2)], ids=["other seats", "one of them again"])
def test_a_session_that_wants_two_things_at_once_has_one_hold_and_knows_why(
    open_racers: OpenRacers, crowded: Connection, other: tuple[int, int]
) -> None:
    """What it has itself was never "taken by another customer"."""
    rounds = 100
    hall = make_hall(crowded, seats=4 * rounds)
    together = open_racers(2)
    for number in range(rounds):
        session = f"session {number}"
        wanted = [hall.ids(*(4 * number + n for n in seats)) for seats in ((0, 1), other)]
        answers = together.race([reserve(hall, seats, session) for seats in wanted])
        assert codes(answers) == {None: 1, "DUPLICATE_RESERVATION": 1}
    assert hall.statuses().count("reserved") == 2 * rounds


def test_a_double_click_is_one_hold_and_no_conflict(
    open_racers: OpenRacers, crowded: Connection
) -> None:
    rounds, clicks = 60, 4
    hall = make_hall(crowded, seats=2 * rounds)
    together = open_racers(clicks)
    for number in range(rounds):
        seats = hall.ids(2 * number, 2 * number + 1)
        calls = [reserve(hall, seats, f"session {number}")] * clicks
        answers = together.race(calls)
        assert codes(answers) == {None: clicks}
        assert len({repr(answer) for answer in answers}) == 1
    assert hall.events() == ["created"] * rounds


def test_a_double_click_while_the_first_is_not_committed_waits_for_it(
    crowded: Connection, connect: Connect
) -> None:
    hall = make_hall(crowded, seats=2)
    first, second = (replace(hall, connection=enter(connect())) for _ in range(2))
    first.connection.execute("BEGIN")
    hold = first.hold(0, 1)
    with ThreadPoolExecutor() as threads:
        again = threads.submit(second.reserve, 1, 0)
        await_true(
            crowded,
            "SELECT %s = ANY(pg_blocking_pids(%s))",
            [first.connection.info.backend_pid, second.connection.info.backend_pid],
        )
        first.connection.execute("COMMIT")
        assert again.result(timeout=30) == hold
    assert hall.events() == ["created"]


def test_an_overdue_hold_that_many_reach_at_once_ends_once_and_its_seats_go_to_one_buyer(
    open_racers: OpenRacers, crowded: Connection
) -> None:
    rounds = 300
    hall = make_hall(crowded, seats=2 * rounds)
    together = open_racers(7)
    chance = random.Random(2)
    outcomes: Counter[str] = Counter()
    for number in range(rounds):
        anna, bert = f"anna {number}", f"bert {number}"
        hold = hall.hold(2 * number, 2 * number + 1, session=anna)
        order = hall.order(hold, session=anna)
        hall.let_run_out(hold)
        calls = [
            with_token("extend_reservation", hold, anna),
            with_token("release_reservation", hold, anna),
            with_token("create_ticket_order", hold, anna),
            pay(hall, order, f"evt {number}"),
            Call("cleanup_expired_seat_reservations", {}),
            reserve(hall, hall.ids(2 * number), bert),
            # Its own session may reserve again: the seat that the other does not want.
            reserve(hall, hall.ids(2 * number + 1), anna),
        ]
        calls = [Call(c.function, c.arguments, chance.random() * 0.003) for c in calls]
        order_of_arrival = chance.sample(range(len(calls)), len(calls))
        raced = together.race([calls[n] for n in order_of_arrival])
        extended, released, ordered, paid, cleaned, bert_has, anna_has = (
            raced[order_of_arrival.index(n)] for n in range(len(calls))
        )

        assert extended.error_code in {"RESERVATION_EXPIRED", "RESERVATION_INACTIVE"}
        assert released.error_code == "RESERVATION_INACTIVE"
        assert ordered.error_code in {"RESERVATION_EXPIRED", "RESERVATION_INACTIVE"}
        assert cleaned.total_reservations_expired in {0, 1}
        assert {bert_has.error_code, anna_has.error_code} <= {None, "SEATS_UNAVAILABLE"}
        assert paid.success
        # The money buys both seats, unless a buyer had either of them before.
        if paid.status == "paid":
            assert not bert_has.success
            assert not anna_has.success
            assert len(paid.ticket_ids) == 2
        else:
            assert paid.status == "refund_due"
            assert bert_has.success or anna_has.success
        outcomes[paid.status] += 1
        outcomes["ended by cleanup" if cleaned.total_reservations_expired else "by a buyer"] += 1
    ended = Counter(line.reservation_id for line in hall.log() if line.event_type == "expired")
    assert set(ended.values()) == {1}
    assert len(ended) == rounds
    # Otherwise the delays have to be chosen anew: one was always first.
    assert set(outcomes) == {"paid", "refund_due", "ended by cleanup", "by a buyer"}


def test_a_hold_that_is_released_and_paid_at_once_is_sold_or_owes_the_money(
    open_racers: OpenRacers, crowded: Connection
) -> None:
    rounds = 100
    hall = make_hall(crowded, seats=rounds)
    together = open_racers(5)
    chance = random.Random(3)
    outcomes: Counter[str] = Counter()
    for number in range(rounds):
        session = f"anna {number}"
        hold = hall.hold(number, session=session)
        order = hall.order(hold, session=session)
        fail = {
            "p_show_id": hall.show_id,
            "p_order_id": order.order_id,
            "p_provider": "stripe",
            "p_event_id": f"declined {number}",
            "p_error_message": "declined",
        }
        released, paid, failed, extended, ordered = together.race(
            [
                with_token("release_reservation", hold, session, chance.random() * 0.002),
                pay(hall, order, f"evt {number}", chance.random() * 0.002),
                Call("fail_payment", fail, chance.random() * 0.002),
                with_token("extend_reservation", hold, session, chance.random() * 0.002),
                with_token("create_ticket_order", hold, session, chance.random() * 0.002),
            ]
        )
        assert paid.success
        assert paid.status == ("refund_due" if released.success else "paid")
        assert released.error_code in {None, "RESERVATION_INACTIVE"}
        assert failed.error_code in {None, "ORDER_NOT_PAYABLE"}
        assert extended.error_code in {None, "RESERVATION_INACTIVE"}
        assert ordered.error_code in {None, "RESERVATION_INACTIVE"}
        assert hall.statuses(number) == ["available" if released.success else "sold"]
        outcomes[paid.status] += 1
    assert set(outcomes) == {"paid", "refund_due"}


def test_one_payment_event_delivered_16_times_at_once_issues_tickets_once(
    open_racers: OpenRacers, crowded: Connection
) -> None:
    rounds = 25
    hall = make_hall(crowded, seats=2 * rounds)
    together = open_racers(16)
    for number in range(rounds):
        session = f"anna {number}"
        hold = hall.hold(2 * number, 2 * number + 1, session=session)
        order = hall.order(hold, session=session)

        answers = together.race([pay(hall, order, f"evt {number}")] * 16)

        assert {answer.status for answer in answers} == {"paid"}
        assert len({repr(answer) for answer in answers}) == 1
        issued = crowded.execute(
            "SELECT id, show_seat_id FROM tickets WHERE order_id = %s", [order.order_id]
        ).fetchall()
        assert {row.id for row in issued} == set(answers[0].ticket_ids)
        assert sorted(row.show_seat_id for row in issued) == sorted(
            hall.ids(2 * number, 2 * number + 1)
        )
    assert [line.new_status for line in hall.log(ORDER_LOG)].count("paid") == rounds


def test_one_idempotency_key_sent_16_times_at_once_makes_one_order(
    open_racers: OpenRacers, crowded: Connection
) -> None:
    rounds = 25
    hall = make_hall(crowded, seats=rounds)
    together = open_racers(16)
    for number in range(rounds):
        session, key = f"anna {number}", f"key {number}"
        hold = hall.hold(number, session=session)
        call = with_token("create_ticket_order", hold, session, p_idempotency_key=key)
        answers = together.race([call] * 16)
        assert {answer.success for answer in answers} == {True}
        assert len({repr(answer) for answer in answers}) == 1
    assert crowded.execute("SELECT count(*) FROM ticket_orders").fetchall()[0] == (rounds,)


def test_one_idempotency_key_used_for_16_holds_at_once_makes_one_order(
    open_racers: OpenRacers, crowded: Connection
) -> None:
    rounds, holders = 25, 16
    hall = make_hall(crowded, seats=rounds * holders)
    together = open_racers(holders)
    for number in range(rounds):
        calls = []
        for n in range(holders):
            session = f"session {number}/{n}"
            hold = hall.hold(number * holders + n, session=session)
            key = f"key {number}"
            calls.append(with_token("create_ticket_order", hold, session, p_idempotency_key=key))
        assert codes(together.race(calls)) == {None: 1, "IDEMPOTENCY_KEY_REUSED": holders - 1}
    assert crowded.execute("SELECT count(*) FROM ticket_orders").fetchall()[0] == (rounds,)


@dataclass
class Storm:
    """Sessions that do everything at random, and what they were answered."""

    hall: Hall
    holds: list[tuple[Row, str]] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    answers: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    calls: int = 150

    async def work(self, number: int, session: AsyncConnection) -> None:
        chance = random.Random(number)
        for step in range(self.calls):
            call = self.choose(chance, f"{number}.{step}")
            cursor = await session.execute(call.statement())
            (answer,) = await cursor.fetchall()
            self.note(call, answer)

    def choose(self, chance: random.Random, event: str) -> Call:
        what = chance.choices(
            ["reserve", "extend", "release", "give some", "order", "pay", "fail", "refund",
             "clean up", "run out"],
            [30, 5, 6, 4, 20, 16, 5, 4, 4, 6],
        )[0]  # fmt: skip
        if what == "clean up":
            return Call("cleanup_expired_seat_reservations", {"p_batch_size": 3})
        if what in {"pay", "fail", "refund"} and self.orders:
            order = chance.choice(self.orders[-40:])
            # Every third event has been sent before, or will be again.
            event = f"evt {order.order_id}" if chance.random() < 0.3 else f"evt {event}"
            if what == "pay":
                return pay(self.hall, order, event)
            keys: dict[str, Any] = {"p_show_id": self.hall.show_id, "p_order_id": order.order_id}
            if what == "refund":
                return Call("refund_order", keys)
            event_keys = {"p_provider": "stripe", "p_event_id": event, "p_error_message": "no"}
            return Call("fail_payment", keys | event_keys)
        if what == "reserve" or not self.holds:
            seats = chance.sample(self.hall.seats, chance.randint(1, 4))
            return reserve(self.hall, seats, f"session {chance.randrange(24)}")
        hold, session = chance.choice(self.holds[-12:])
        match what:
            case "run out":
                return Call("let_run_out", {"p_id": hold.reservation_id})
            case "extend":
                return with_token("extend_reservation", hold, session)
            case "release":
                return with_token("release_reservation", hold, session)
            case "give some":
                seats = chance.sample(self.hall.seats, 1)
                return with_token("release_reservation", hold, session, p_seat_ids=seats)
            case _:
                return with_token("create_ticket_order", hold, session)

    def note(self, call: Call, answer: Row) -> None:
        if not hasattr(answer, "error_code"):
            return
        self.answers[call.function, answer.error_code] += 1
        if call.function == "reserve_seats" and answer.success:
            self.holds.append((answer, call.arguments["p_session_id"]))
        if call.function == "create_ticket_order" and answer.success:
            self.orders.append(answer)


def test_in_a_storm_of_everything_what_the_callers_were_answered_is_what_is_recorded(
    open_racers: OpenRacers, crowded: Connection
) -> None:
    hall = make_hall(crowded, seats=16)
    # As a DBA might, so that holds run out in the middle of it.
    crowded.execute(
        "CREATE FUNCTION let_run_out(p_id uuid) RETURNS void LANGUAGE sql AS $$"
        " UPDATE seat_reservations SET expires_at = now() - interval '1 ms' WHERE id = p_id $$"
    )
    storm = Storm(hall)
    open_racers(16).storm(storm.work)

    answers, log, orders = storm.answers, hall.log(), hall.log(ORDER_LOG)
    assert sum(answers.values()) > 2000
    events = Counter(line.event_type for line in log)
    # The same seats asked for again are the same hold.
    assert events["created"] == len({hold.reservation_id for hold, _ in storm.holds})
    assert events["extended"] == answers["extend_reservation", None]
    assert events["released"] == answers["release_reservation", None]
    refused = Counter(
        (line.metadata["function"], line.error_code) for line in log + orders if line.error_code
    )
    # A repeated event is answered again, and logged the first time.
    events_of_payments = {"confirm_payment", "fail_payment"}
    assert {key: count for key, count in refused.items() if key[0] not in events_of_payments} == {
        key: count for key, count in answers.items() if key[1] and key[0] not in events_of_payments
    }
    assert Counter(line.new_status for line in orders)["pending"] == len(
        {order.order_id for order in storm.orders}
    )
    for counted in (events, Counter(line.new_status for line in orders)):
        assert min(counted.values()) > 1, counted  # nothing was left out of the storm
    assert {"expired", "completed", "released", "extended"} <= set(events)
    assert {"paid", "failed", "cancelled", "refund_due", "refunded"} <= {
        line.new_status for line in orders
    }
    # Every hold that has ended has ended once, unless a late payment took it up again.
    for reservation, kinds in ends(log).items():
        assert kinds in (["expired"], ["completed"], ["released"], ["expired", "completed"]), (
            reservation
        )


def ends(log: Sequence[Row]) -> dict[UUID, list[str]]:
    """The events that ended each hold, in order."""
    found: dict[UUID, list[str]] = {}
    for line in log:
        if line.event_type in {"expired", "completed", "released"} and "partial" not in (
            line.metadata
        ):
            found.setdefault(line.reservation_id, []).append(line.event_type)
    return found


def test_two_who_look_before_they_leap_are_caught(database: Database, crowded: Connection) -> None:
    """The control: a reservation that is not safe sells seats twice in the very same race."""
    hall = make_hall(crowded, seats=20)
    crowded.execute(
        "DROP INDEX reservation_seats_no_double_booking;"
        "CREATE FUNCTION careless_reserve(p_seat_id uuid, p_session_id text, OUT success boolean)"
        " LANGUAGE plpgsql AS $$ BEGIN"
        " success := EXISTS (SELECT FROM show_seats WHERE id = p_seat_id AND status = 'available');"
        " IF success THEN UPDATE show_seats SET status = 'reserved', reserved_until = now(),"
        " reserved_by = gen_random_uuid() WHERE id = p_seat_id; END IF; END $$"
    )
    winners = []
    with racers(database, BUYERS) as together:
        for seat in hall.seats:
            calls = [
                Call("careless_reserve", {"p_seat_id": seat, "p_session_id": f"buyer {n}"})
                for n in range(BUYERS)
            ]
            winners.append(sum(answer.success for answer in together.race(calls)))
    assert max(winners) > 1


def test_a_deadlock_would_be_seen(database: Database, crowded: Connection) -> None:
    """The control of the check after each test here."""
    hall = make_hall(crowded, seats=2)
    crowded.execute(
        "CREATE FUNCTION lock_both(p_first uuid, p_then uuid) RETURNS boolean LANGUAGE plpgsql"
        " SET deadlock_timeout = '50ms' AS $$ BEGIN"
        " PERFORM FROM show_seats WHERE id = p_first FOR UPDATE;"
        " PERFORM pg_sleep(0.2);"
        " PERFORM FROM show_seats WHERE id = p_then FOR UPDATE;"
        " RETURN true; END $$"
    )
    with racers(database, 2) as together:
        pids = together.pids
        calls = [
            Call("lock_both", {"p_first": first, "p_then": then})
            for first, then in (hall.seats, hall.seats[::-1])
        ]
        with pytest.raises(psycopg.errors.DeadlockDetected):
            together.race(calls)
    assert deadlocks(database, pids) == (1, 1)
