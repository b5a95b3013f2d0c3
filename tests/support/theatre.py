"""Plays transactions by a schedule, and judges the end: some serial order must explain it.

What may happen to a transaction: it answers, as it would in that serial order; it fails with 40001
above READ COMMITTED, and has done nothing; or it gives up with BUSY or SEATS_UNAVAILABLE, and has
done nothing but leave its line in a log.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.databases import Database
from tests.support.driver import (
    READ_COMMITTED,
    Driver,
    Outcome,
    Schedule,
    driver,
    install_gates,
    sale_tables,
)
from tests.support.queries import Connection
from tests.support.stage import (
    Part,
    Reader,
    Scene,
    Stage,
    State,
    differences,
    gave_up,
    normalised,
    play_serially,
    put_away,
)

LOGS = ("seat_reservation_audit_log", "ticket_order_audit_log")


@dataclass(frozen=True)
class Play:
    """Who plays what, and in which order."""

    scene: Scene
    parts: tuple[Part, ...]
    level: str
    schedule: Schedule
    rest: tuple[int, ...]
    rolled_back: frozenset[int] = frozenset()

    def __str__(self) -> str:
        cast = "\n".join(
            f"  {number} = {part.name}" + (", rolled back" if number in self.rolled_back else "")
            for number, part in enumerate(self.parts)
        )
        then = f"schedule {self.schedule}, the rest in the order {self.rest}"
        return f"{self.scene.name}, {self.level}, {then}:\n{cast}"


@dataclass
class Theatre:
    """A database with gates in it, and what was played there."""

    connection: Connection
    driver: Driver
    reader: Reader
    serial: dict[tuple[str, ...], tuple[tuple[Any, ...], State]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    def play(self, play: Play) -> str | None:
        """Says what is wrong with the end, if anything is."""
        stage = play.scene.make(self.connection)
        calls = [part.make(stage) for part in play.parts]
        steered = self.driver.steer(calls, play.level, play.schedule, play.rest, play.rolled_back)
        functions = [call.function for call in calls]
        parts = [
            part.chosen(stage, outcome)
            for part, outcome in zip(play.parts, steered.outcomes, strict=True)
        ]
        wrong = self._judge(replace(play, parts=tuple(parts)), stage, functions, steered.outcomes)
        put_away(self.connection, stage)
        self.seen["plays"] += 1
        self.seen["waits"] += any("waits" in line for line in steered.trace)
        for outcome in steered.outcomes:
            self.seen[
                outcome.sqlstate or (outcome.answer or {}).get("error_code") or "success"
            ] += 1
        if wrong is None:
            return None
        return "\n".join([str(play), *(f"  {line}" for line in steered.trace), wrong])

    def _judge(
        self, play: Play, stage: Stage, functions: Sequence[str], outcomes: Sequence[Outcome]
    ) -> str | None:
        for part, outcome in zip(play.parts, outcomes, strict=True):
            if outcome.sqlstate == "40001" and play.level != READ_COMMITTED:
                continue
            if outcome.sqlstate is not None:
                return f"{part.name} raised {outcome.sqlstate}"
            if (outcome.answer or {}).get("error_code") == "INTERNAL_ERROR":
                return f"{part.name} answered INTERNAL_ERROR"
        if broken := self.reader.broken():
            return f"invariants are broken: {broken}"

        names = self.reader.names(stage)
        end = self.reader.state(stage, names)
        committed = [number for number, outcome in enumerate(outcomes) if outcome.committed]
        answers = {number: normalised(outcomes[number].answer, names) for number in committed}
        for number, function in enumerate(functions):
            if function == "reserve_best_seats" and answers.get(number, {}).get("success"):
                # Which seats it has chosen: compared by what it has done.
                del answers[number]["seat_ids"]
        may_miss = [n for n in committed if gave_up(play.parts[n], outcomes[n])]
        nearest: list[str] | None = None
        for missing in powerset(may_miss):
            without = without_lines(end, [(functions[n], answers[n]) for n in missing])
            for order in itertools.permutations([n for n in committed if n not in missing]):
                said, serial_end = self._one_after_the_other(
                    play.scene, [play.parts[n] for n in order]
                )
                differ = [
                    f"  {play.parts[n].name} answers {answers[n]}, not {there}"
                    for n, there in zip(order, said, strict=True)
                    if answers[n] != there
                ]
                if not differ and without == serial_end:
                    return None
                differ += differences(serial_end, without)
                if nearest is None or len(differ) < len(nearest):
                    nearest = differ
        return "\n".join(["no serial order ends so; the nearest differs:", *(nearest or [])])

    def _one_after_the_other(
        self, scene: Scene, parts: Sequence[Part]
    ) -> tuple[tuple[Any, ...], State]:
        key = (scene.name, *(part.name for part in parts))
        if key not in self.serial:
            self.serial[key] = play_serially(self.connection, self.reader, scene, parts)
        return self.serial[key]


def powerset(numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All subsets, the empty one first."""
    for size in range(len(numbers) + 1):
        yield from itertools.combinations(numbers, size)


def without_lines(end: State, missing: Sequence[tuple[str, dict[str, Any]]]) -> State:
    """The end without the line that each refused call has left; where it left none, as it is."""
    left = {table: list(rows) for table, rows in end.items()}
    for function, answer in missing:
        for log in LOGS:
            for row in left[log]:
                if (row["error_code"], (row["metadata"] or {}).get("function")) == (
                    answer.get("error_code"),
                    function,
                ):
                    left[log].remove(row)
                    break
    return left


@contextmanager
def open_theatre(database: Database, connection: Connection) -> Iterator[Theatre]:
    """Put gates into the functions of this database, and open the sessions that play."""
    install_gates(connection)
    reader = Reader(connection, (*sale_tables(connection), *LOGS))
    with driver(database) as opened:
        yield Theatre(connection, opened, reader)
