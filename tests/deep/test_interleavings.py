"""Wherever transactions meet, the end is one that they could have had one after the other.

`make test` plays a sample, always the same; `make test-deep` plays thousands, and other ones with
TICKETDB_TEST_SEED.
"""

import itertools
import os
import random
from collections.abc import Iterator

import pytest

from tests.support.databases import Database
from tests.support.driver import LEVELS, READ_COMMITTED, install_gates, with_gates
from tests.support.logs import LOG_OF
from tests.support.queries import Connection
from tests.support.sabotage import Edit
from tests.support.stage import (
    SCENES,
    Beginning,
    Part,
    Scene,
    cancels,
    held,
    moves,
    ordered,
    orders,
    pays,
    releases,
    reserve,
    sold_and_blocked,
)
from tests.support.theatre import Play, Theatre, open_theatre

DEEP = os.environ.get("TICKETDB_TEST_DEEP") == "1"
SEED = os.environ.get("TICKETDB_TEST_SEED", "1")
PLAYS = 1000 if DEEP else 36  # of each scene, drawn
LONGEST = 8  # stops of a transaction, more or less


@pytest.fixture
def theatre(database: Database, owner: Connection) -> Iterator[Theatre]:
    with open_theatre(database, owner) as opened:
        yield opened


def every_stop(beginning: Beginning, pair: tuple[Part, ...], level: str) -> Iterator[Play]:
    """The plays in which the first is stopped at one of its stops until the other is done."""
    for stop in range(LONGEST + 1):
        yield Play(Scene(beginning, ()), pair, level, ((0, stop),), (1, 0))


def every_pair(scene: Scene) -> Iterator[Play]:
    for pair in itertools.product(scene.parts, repeat=2):
        for level in LEVELS:
            yield from every_stop(scene.make, pair, level)


def sample(scene: Scene, chance: random.Random) -> Iterator[Play]:
    """Two or three transactions, of which one or two are stopped somewhere for the others."""
    for number in range(PLAYS):
        count = 3 if number % 4 == 3 else 2
        parts = tuple(chance.choices(scene.parts, k=count))
        order = chance.sample(range(count), count)
        schedule = tuple((n, chance.randrange(LONGEST)) for n in order[: count - number % 2])
        rest = (*order[len(schedule) :], *order[: len(schedule)])
        rolled_back = frozenset(chance.sample(order, 1) if chance.random() < 0.15 else [])
        yield Play(scene, parts, LEVELS[number % len(LEVELS)], schedule, rest, rolled_back)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_transactions_that_meet_end_as_if_they_had_come_one_after_the_other(
    scene: Scene, theatre: Theatre
) -> None:
    plays = [*sample(scene, random.Random(f"{SEED} {scene.name}"))]
    if DEEP:
        plays += every_pair(scene)
    wrong = [found for play in plays if (found := theatre.play(play)) is not None]
    assert not wrong, (
        f"{len(wrong)} of {len(plays)} plays end wrong, with seed {SEED}:\n"
        + "\n\n".join(wrong[:5])
    )
    # Otherwise nobody has met anybody.
    assert theatre.seen["waits"] > 0, theatre.seen


@pytest.mark.parametrize("level", LEVELS)
def test_a_hold_that_is_ordered_and_given_back_at_once_is_one_or_the_other(
    theatre: Theatre, level: str
) -> None:
    """A session that releases by an old snapshot does not see the order."""
    for back in (releases("anna", 1), releases("anna")):
        for pair in itertools.permutations((orders("anna", "k1"), back)):
            for play in every_stop(held, pair, level):
                assert theatre.play(play) is None
    if level != READ_COMMITTED:
        assert theatre.seen["40001"] > 0, theatre.seen


def test_a_hold_that_is_given_back_does_not_block_the_next(theatre: Theatre) -> None:
    """A session that asks meanwhile waits for it, and then looks again."""
    for again in (reserve("anna", 0, 1), reserve("anna", 2)):
        for play in every_stop(held, (releases("anna"), again), READ_COMMITTED):
            assert theatre.play(play) is None
    assert theatre.seen["waits"] > 0, theatre.seen


SET_EXPIRY = "SET expires_at = v_hold.expires_at\n                WHERE"


@pytest.mark.parametrize(
    ("level", "edit"),
    [
        pytest.param(READ_COMMITTED, Edit("lock_reservation", "FOR UPDATE;", ";"), id="lock"),
        pytest.param(
            "REPEATABLE READ",
            Edit("create_ticket_order", SET_EXPIRY, f"{SET_EXPIRY} false AND"),
            id="change",
        ),
    ],
)
def test_a_hold_that_an_order_does_not_lock_or_does_not_change_is_found_out(
    theatre: Theatre, owner: Connection, level: str, edit: Edit
) -> None:
    """The control: where either is missing, some order of steps shows it."""
    pairs = itertools.permutations((orders("anna", "k1"), releases("anna")))
    plays = [play for pair in pairs for play in every_stop(held, pair, level)]
    assert [theatre.play(play) for play in plays] == [None] * len(plays)
    edit(owner)
    found = [wrong for play in plays if (wrong := theatre.play(play)) is not None]
    assert any("no serial order ends so" in wrong for wrong in found)


def test_tickets_that_are_moved_without_their_locks_are_found_out(
    theatre: Theatre, owner: Connection
) -> None:
    """The control for the box office: whoever takes tickets back decides by what it has locked."""
    pairs = itertools.permutations((cancels("anna", 0), moves("anna", [0], [2])))
    plays = [play for pair in pairs for play in every_stop(sold_and_blocked, pair, READ_COMMITTED)]
    assert [theatre.play(play) for play in plays] == [None] * len(plays)
    Edit("cancel_tickets", "lock_orders(p_show_id, v_order_ids)", "lock_orders(p_show_id, '{}')")(
        owner
    )
    found = [wrong for play in plays if (wrong := theatre.play(play)) is not None]
    assert found


@pytest.mark.parametrize(
    ("edit", "reported"),
    [
        pytest.param(
            Edit("create_ticket_order", "v_hold.id IS NULL THEN 'NOT_FOUND'",
                 "v_hold.id IS NOT NULL THEN 'INTERNAL_ERROR'"),
            "answered INTERNAL_ERROR",
            id="an error of the system",
        ),
        pytest.param(
            Edit("release_reservation", "'released', v_hold.id", "'expired', v_hold.id"),
            None,
            id="wrong alike in any order, which is for others to find",
        ),
    ],
)  # fmt: skip
def test_an_end_that_no_order_explains_is_found_out(
    theatre: Theatre, owner: Connection, edit: Edit, reported: str | None
) -> None:
    edit(owner)
    parts = (orders("anna", "k1"), releases("anna", 0))
    wrong = theatre.play(Play(Scene(held, ()), parts, READ_COMMITTED, ((0, 1),), (1, 0)))
    assert wrong is None if reported is None else reported in (wrong or "")


def test_a_rolled_back_transaction_counts_for_nothing(theatre: Theatre) -> None:
    parts = (pays("anna"), reserve("bert", 2))
    play = Play(Scene(ordered, ()), parts, READ_COMMITTED, ((0, 9),), (1, 0), frozenset({0}))
    assert theatre.play(play) is None
    assert {key[1:] for key in theatre.serial} == {("bert reserves [2]",)}


def test_all_functions_that_sell_have_gates(owner: Connection) -> None:
    have = set(install_gates(owner))
    shared = {"lock_reservation", "lock_order", "end_reservations"}
    assert shared | {"lock_orders", "take_back_tickets"} <= have
    # It locks and writes by the last two.
    assert set(LOG_OF) - {"cancel_tickets"} <= have


def test_a_gate_stands_before_what_locks_or_writes_and_nowhere_else() -> None:
    body = """CREATE FUNCTION s.f()
BEGIN
    SELECT a INTO v FROM s.seats;
    IF v THEN -- as here
        UPDATE s.log SET a = 1;
        WITH x AS (
            SELECT FROM s.seats
            FOR UPDATE
        )
        SELECT 1;
    ELSE
        INSERT INTO s.seats VALUES (1);
    END IF;
END"""
    gated = with_gates(body, "g", ["seats"])
    assert [line.strip() for line in gated.split("\n") if line not in body.split("\n")] == [
        "PERFORM g('f locks seats');",
        "PERFORM g('f writes seats');",
    ]
