"""Holds in transactions whose snapshot is older than what others have done since.

At REPEATABLE READ and above such a call answers what it would answer if it had been first, or fails
with serialization_failure, whereupon the caller tries again. At READ COMMITTED it sees what is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psycopg
import pytest

from tests.support.databases import Connect
from tests.support.hall import Hall, make_hall
from tests.support.queries import Connection, Row, broken_invariants, enter

SNAPSHOT_LEVELS = ["REPEATABLE READ", "SERIALIZABLE"]


@dataclass(frozen=True)
class Scene:
    """Anna's hold of seats 0 and 1, a transaction that has looked, and everybody else."""

    hall: Hall
    hold: Row
    late: Hall

    def begin(self, level: str) -> None:
        """Begin the transaction, and take its snapshot."""
        self.late.connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
        self.late.connection.execute("SELECT FROM shows")


@pytest.fixture
def scene(connect: Connect) -> Iterator[Scene]:
    hall = make_hall(connect())
    late: Connection = enter(connect())
    late.execute("SET statement_timeout = '30s'")
    yield Scene(hall, hall.hold(0, 1), replace(hall, connection=late))
    late.execute("ROLLBACK")
    assert broken_invariants(hall.connection) == []


Act = Callable[[Hall, Row], Row]

# What somebody does first, what the late transaction does then, and what that answers where it can
# see the first: each has decided by the same hold.
CHANGES: dict[str, tuple[Act, Act, str | None]] = {
    "one seat released, then the rest": (
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        lambda hall, hold: hall.release(hold),
        None,
    ),
    "one seat released, then the same": (
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        "SEATS_NOT_FOUND",
    ),
    "one seat released, then extended": (
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        lambda hall, hold: hall.extend(hold),
        None,
    ),
    "one seat released, then ordered": (
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        lambda hall, hold: hall.order(hold),
        None,
    ),
    "one seat released, then all reserved again": (
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        lambda hall, _: hall.reserve(0, 1),
        "DUPLICATE_RESERVATION",
    ),
    "ordered, then one seat released": (
        lambda hall, hold: hall.order(hold),
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        None,
    ),
    "ordered, then released": (
        lambda hall, hold: hall.order(hold),
        lambda hall, hold: hall.release(hold),
        None,
    ),
    "ordered, then extended": (
        lambda hall, hold: hall.order(hold),
        lambda hall, hold: hall.extend(hold),
        None,
    ),
    "paid, then extended": (
        lambda hall, hold: hall.pay(hall.order(hold)),
        lambda hall, hold: hall.extend(hold),
        "RESERVATION_INACTIVE",
    ),
    "paid, then asked for again": (
        lambda hall, hold: hall.pay(hall.order(hold)),
        lambda hall, _: hall.reserve(0, 1),
        "SEATS_UNAVAILABLE",
    ),
    "released, then extended": (
        lambda hall, hold: hall.release(hold),
        lambda hall, hold: hall.extend(hold),
        "RESERVATION_INACTIVE",
    ),
    "released, then asked for again": (
        lambda hall, hold: hall.release(hold),
        lambda hall, _: hall.reserve(0, 1),
        None,
    ),
    "extended, then released": (
        lambda hall, hold: hall.extend(hold),
        lambda hall, hold: hall.release(hold),
        None,
    ),
    "extended, then extended": (
        lambda hall, hold: hall.extend(hold),
        lambda hall, hold: hall.extend(hold),
        None,
    ),
    "extended, then asked for again": (
        lambda hall, hold: hall.extend(hold),
        lambda hall, _: hall.reserve(0, 1),
        None,
    ),
    "another hold of the session, then a third": (
        lambda hall, _: hall.hold(2, session="ben"),
        lambda hall, _: hall.reserve(3, session="ben"),
        "DUPLICATE_RESERVATION",
    ),
    "the same seats for the session, then again": (
        lambda hall, _: hall.hold(2, 3, session="ben"),
        lambda hall, _: hall.reserve(3, 2, session="ben"),
        None,
    ),
    "seats reserved, then for another session": (
        lambda hall, _: hall.hold(2, session="ben"),
        lambda hall, _: hall.reserve(2, session="cleo"),
        "SEATS_UNAVAILABLE",
    ),
    "one seat added, then the same": (
        lambda hall, hold: hall.add(hold, 5),
        lambda hall, hold: hall.add(hold, 5),
        None,
    ),
    "one seat added, then released": (
        lambda hall, hold: hall.add(hold, 5),
        lambda hall, hold: hall.release(hold),
        None,
    ),
    "one seat added, then ordered": (
        lambda hall, hold: hall.add(hold, 5),
        lambda hall, hold: hall.order(hold),
        None,
    ),
    "one seat added, then extended": (
        lambda hall, hold: hall.add(hold, 5),
        lambda hall, hold: hall.extend(hold),
        None,
    ),
    "one seat added, then priced": (
        lambda hall, hold: hall.add(hold, 5),
        lambda hall, hold: hall.price(hold, {5: 1}),
        None,
    ),
    "one seat added, then all reserved again": (
        lambda hall, hold: hall.add(hold, 5),
        lambda hall, _: hall.reserve(0, 1),
        "DUPLICATE_RESERVATION",
    ),
    "one seat released, then another added": (
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        lambda hall, hold: hall.add(hold, 5),
        None,
    ),
    "ordered, then one seat added": (
        lambda hall, hold: hall.order(hold),
        lambda hall, hold: hall.add(hold, 5),
        None,
    ),
    "extended, then one seat added": (
        lambda hall, hold: hall.extend(hold),
        lambda hall, hold: hall.add(hold, 5),
        None,
    ),
    "paid, then one seat added": (
        lambda hall, hold: hall.pay(hall.order(hold)),
        lambda hall, hold: hall.add(hold, 5),
        "RESERVATION_INACTIVE",
    ),
    "a seat reserved, then added": (
        lambda hall, _: hall.hold(2, session="ben"),
        lambda hall, hold: hall.add(hold, 2),
        "SEATS_UNAVAILABLE",
    ),
    "priced, then ordered": (
        lambda hall, hold: hall.price(hold, {0: 1}),
        lambda hall, hold: hall.order(hold),
        None,
    ),
    "priced, then priced": (
        lambda hall, hold: hall.price(hold, {0: 1}),
        lambda hall, hold: hall.price(hold, {0: 2}),
        None,
    ),
    "priced, then asked for again": (
        lambda hall, hold: hall.price(hold, {0: 1}),
        lambda hall, _: hall.reserve(0, 1),
        None,
    ),
    "ordered, then priced": (
        lambda hall, hold: hall.order(hold),
        lambda hall, hold: hall.price(hold, {0: 1}),
        "ORDER_EXISTS",
    ),
    "one seat released, then priced": (
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        lambda hall, hold: hall.price(hold, {0: 1}),
        "SEATS_NOT_FOUND",
    ),
    "moved, then extended": (
        lambda hall, hold: hall.move(hold, "ben"),
        lambda hall, hold: hall.extend(hold),
        "PERMISSION_DENIED",
    ),
    "moved, then moved": (
        lambda hall, hold: hall.move(hold, "ben"),
        lambda hall, hold: hall.move(hold, "ben"),
        None,
    ),
    "moved, then one seat added": (
        lambda hall, hold: hall.move(hold, "ben"),
        lambda hall, hold: hall.add(hold, 5),
        "PERMISSION_DENIED",
    ),
    "ordered, then moved": (
        lambda hall, hold: hall.order(hold),
        lambda hall, hold: hall.move(hold, "ben"),
        None,
    ),
    "released, then moved": (
        lambda hall, hold: hall.release(hold),
        lambda hall, hold: hall.move(hold, "ben"),
        "RESERVATION_INACTIVE",
    ),
    "a hold of the other session, then moved to it": (
        lambda hall, _: hall.hold(2, session="ben"),
        lambda hall, hold: hall.move(hold, "ben"),
        "DUPLICATE_RESERVATION",
    ),
    "the best seats, then the same for the session": (
        lambda hall, _: hall.reserve_best(2, session="ben"),
        lambda hall, _: hall.reserve_best(2, session="ben"),
        None,
    ),
    "the best seats, then for another session": (
        lambda hall, _: hall.reserve_best(2, session="ben"),
        lambda hall, _: hall.reserve_best(2, session="cleo"),
        None,
    ),
    "all the rest, then the best seats": (
        lambda hall, _: hall.hold(*range(2, 10), session="ben"),
        lambda hall, _: hall.reserve_best(1, session="cleo"),
        "SEATS_UNAVAILABLE",
    ),
    "a hold of the session, then the best seats": (
        lambda hall, _: hall.hold(9, session="ben"),
        lambda hall, _: hall.reserve_best(2, session="ben"),
        "DUPLICATE_RESERVATION",
    ),
    "one seat released, then the best as before": (
        lambda hall, hold: hall.release(hold, hall.ids(0)),
        lambda hall, _: hall.reserve_best(2),
        "DUPLICATE_RESERVATION",
    ),
}


@pytest.mark.parametrize("level", SNAPSHOT_LEVELS)
@pytest.mark.parametrize("change", CHANGES)
def test_who_decides_by_a_snapshot_that_is_out_of_date_is_to_try_again(
    scene: Scene, change: str, level: str
) -> None:
    first, then, expected = CHANGES[change]
    scene.begin(level)
    assert first(scene.hall, scene.hold).success
    with pytest.raises(psycopg.errors.SerializationFailure):
        then(scene.late, scene.hold)
    scene.late.connection.execute("ROLLBACK")
    # Which helps.
    scene.begin(level)
    assert then(scene.late, scene.hold).error_code == expected
    scene.late.connection.execute("COMMIT")


@pytest.mark.parametrize("change", CHANGES)
def test_at_read_committed_the_same_calls_answer_at_once(scene: Scene, change: str) -> None:
    """The control: nothing of this is wrong in itself."""
    first, then, expected = CHANGES[change]
    scene.begin("READ COMMITTED")
    assert first(scene.hall, scene.hold).success
    assert then(scene.late, scene.hold).error_code == expected
    scene.late.connection.execute("COMMIT")


@pytest.mark.parametrize("level", SNAPSHOT_LEVELS)
@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda hall, hold: hall.extend(hold), id="extend"),
        pytest.param(lambda hall, hold: hall.release(hold), id="release"),
        pytest.param(lambda hall, _: hall.reserve(0, 1), id="reserve again"),
        pytest.param(lambda hall, _: hall.reserve_best(2), id="reserve the best again"),
        pytest.param(lambda hall, hold: hall.add(hold, 5), id="add"),
        pytest.param(lambda hall, hold: hall.price(hold, {0: 1}), id="price"),
        pytest.param(lambda hall, hold: hall.move(hold, "ben"), id="move"),
    ],
)
def test_a_hold_that_was_found_over_and_taken_since_is_not_used(
    scene: Scene, level: str, use: Act
) -> None:
    scene.begin(level)
    scene.hall.let_run_out(scene.hold)
    scene.hall.hold(0, session="ben")
    with pytest.raises(psycopg.errors.SerializationFailure):
        use(scene.late, scene.hold)


@pytest.mark.parametrize("level", SNAPSHOT_LEVELS)
def test_what_nobody_else_has_touched_is_done(scene: Scene, level: str) -> None:
    """The control: not every call of a late transaction fails."""
    scene.begin(level)
    scene.hall.hold(5, session="ben")
    assert scene.late.extend(scene.hold).success
    assert scene.late.reserve_best(1, session="cleo").success
    assert scene.late.add(scene.hold, 2).success
    assert scene.late.price(scene.hold, {2: 1}).success
    assert scene.late.move(scene.hold, "anna, logged in").success
    assert scene.late.move(scene.hold, "anna", session="anna, logged in").success
    assert scene.late.release(scene.hold, scene.late.ids(2)).success
    assert scene.late.reserve(0, 1).reservation_token == scene.hold.reservation_token
    assert scene.late.release(scene.hold).success
    assert scene.late.reserve(0, 2).success
    scene.late.connection.execute("COMMIT")
