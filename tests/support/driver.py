"""Two or three transactions, led step by step through every place at which they could meet.

A race finds what happens to happen. Here the schedule decides. Every function that writes is made
anew with a gate before each of its statements that locks or writes: a session that comes to a gate
waits, for an advisory lock that the driver holds, until the schedule lets it go on. Whether a call
waits at a gate, waits for another transaction or has answered is read from the server's table of
locks; nothing depends on how fast anything is.

A schedule is a list of segments, (session, stops): this session goes on until it has stopped so
many times. Then the sessions run to their ends in the order given. A session that has to wait for
another is left waiting, and the others go on; so is one that comes to the same gate again, for it
has found something locked and tries again.
"""

import json
import re
import select
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import DiagnosticField, ExecStatus

from tests.support.databases import Database
from tests.support.names import NAMES, OURS
from tests.support.queries import Connection, enter
from tests.support.racing import Call

SESSIONS = 3
GATES = 8_421_100  # with a session's number added, the first key of its advisory locks
PATIENCE_SECONDS = 30.0

READ_COMMITTED = "READ COMMITTED"
LEVELS = (READ_COMMITTED, "REPEATABLE READ", "SERIALIZABLE")

Schedule = tuple[tuple[int, int], ...]

# A gate is no lock that anybody gives up waiting for. Sequences are not rolled back: a session that
# has failed somewhere still counts its gates. Two keys in turn: the driver lets a session through
# one gate and shut the next.
GATE = """
CREATE FUNCTION {schema}.driver_gate(p_where text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = 0
AS $$
DECLARE
    v_session text := NULLIF(current_setting('driver.session', true), '');
    v_turn integer;
BEGIN
    IF v_session IS NOT NULL THEN
        v_turn := nextval(format('%I.driver_gates_%s', {name}, v_session)::regclass) % 2;
        PERFORM set_config('application_name', p_where, false);
        PERFORM pg_advisory_lock_shared({gates} + v_session::integer, v_turn);
        PERFORM pg_advisory_unlock_shared({gates} + v_session::integer, v_turn);
    END IF;
END
$$
"""

STATEMENT = re.compile(r"\s*(PERFORM|SELECT|UPDATE|INSERT|DELETE|WITH|FOR|v_\w+ :=)\b")
BEFORE_A_STATEMENT = re.compile(r"(;|\b(BEGIN|THEN|ELSE|LOOP))$")
LOCKS = re.compile(r"\bFOR (NO KEY )?UPDATE\b")

WAITING = """
    SELECT
        activity.pid,
        activity.application_name,
        waiting.classid::bigint >= {gates} AND waiting.locktype = 'advisory',
        waiting.objid::integer
    FROM pg_stat_activity AS activity
    LEFT JOIN pg_locks AS waiting ON waiting.pid = activity.pid AND NOT waiting.granted
    WHERE activity.pid = ANY(%s) AND (waiting.pid IS NOT NULL OR activity.wait_event = 'PgSleep')
""".replace("{gates}", str(GATES))


class StuckError(AssertionError):
    """Somebody neither answers nor waits for anybody."""


def with_gates(definition: str, gate: str, tables: Sequence[str]) -> str:
    """The definition of a function with a gate before each statement that is a lock point.

    `gate` is the quoted name of the function to call. Lock points are statements that lock or write
    rows of these tables. The definition must be laid out as sqlfluff lays it out.
    """
    lines = definition.split("\n")
    name = re.search(r"FUNCTION .+?\.(\w+)\(", definition)
    some = rf"\b({'|'.join(tables)})\b"
    writes = re.compile(rf"\b(?:UPDATE|INSERT INTO|DELETE FROM) (?:\w+|\"[^\"]+\")\.{some}")
    reads = re.compile(some)
    gated: list[str] = []
    before = ""
    for number, line in enumerate(lines):
        code = line.split("--")[0].rstrip()
        if STATEMENT.match(code) and BEFORE_A_STATEMENT.search(before):
            end = "LOOP" if code.lstrip().startswith("FOR ") else ";"
            statement = []
            for following in lines[number:]:
                statement.append(following.split("--")[0].rstrip())
                if statement[-1].endswith(end):
                    break
            text = " ".join(" ".join(statement).split())
            locked = reads.search(text) if LOCKS.search(text) else None
            if point := writes.search(text) or locked:
                where = f"{name[1] if name else '?'} {'locks' if locked else 'writes'} {point[1]}"
                gated.append(f"PERFORM {gate}('{where}');")
        gated.append(line)
        if code:
            before = code
    return "\n".join(gated)


def sale_tables(connection: Connection) -> list[str]:
    """The tables that say who has what: those that have a show, but for logs and rollups."""
    return [
        row.relname
        for row in connection.execute(
            "SELECT relname FROM pg_class INNER JOIN pg_attribute ON attrelid = pg_class.oid"
            " WHERE relnamespace = ANY(%s::regnamespace[]) AND relkind IN ('r', 'p')"
            " AND NOT relispartition AND attname = 'show_id' AND NOT attisdropped"
            " AND relname !~ '(_log|_minutes)$' ORDER BY relname",
            [OURS],
        )
    ]


def install_gates(connection: Connection) -> list[str]:
    """Put gates into all functions and triggers that write, and name those that have got any."""
    schema = sql.Identifier(NAMES.schema).as_string()
    for number in range(SESSIONS):
        connection.execute(f"CREATE SEQUENCE {schema}.driver_gates_{number}".encode())
    name = sql.Literal(NAMES.schema).as_string()
    connection.execute(GATE.format(schema=schema, name=name, gates=GATES).encode())
    functions = connection.execute(
        "SELECT proname, pg_get_functiondef(pg_proc.oid) AS definition FROM pg_proc"
        " INNER JOIN pg_language ON pg_language.oid = prolang"
        " WHERE pronamespace = ANY(%s::regnamespace[]) AND lanname = 'plpgsql' AND prokind = 'f'"
        " AND proname <> 'driver_gate' ORDER BY proname",
        [OURS],
    ).fetchall()
    have = []
    tables = sale_tables(connection)
    for function in functions:
        gated = with_gates(function.definition, f"{schema}.driver_gate", tables)
        if gated != function.definition:
            connection.execute(gated.encode())
            have.append(function.proname)
    return have


@dataclass
class Outcome:
    """How one transaction ended."""

    answer: dict[str, Any] | None = None
    sqlstate: str | None = None
    committed: bool = False


@dataclass
class Session:
    """A session and the steps that are left of its transaction."""

    number: int
    connection: psycopg.Connection[Any]
    steps: list[tuple[str, str]] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    running: str | None = None
    gate: int | None = None  # the key at which it waits
    waits: bool = False
    passed: set[str] = field(default_factory=set)  # gates, since anybody else went on
    tries_again: bool = False

    @property
    def pid(self) -> int:
        return self.connection.info.backend_pid

    @property
    def is_done(self) -> bool:
        return self.running is None and not self.steps

    @property
    def is_free(self) -> bool:
        """Whether it can go on when it may."""
        return self.gate is not None or (self.running is None and bool(self.steps))


@dataclass(frozen=True)
class Steered:
    """The result of a schedule: outcomes in the order of the calls, and what happened, as lines."""

    outcomes: tuple[Outcome, ...]
    trace: tuple[str, ...]


@dataclass(frozen=True)
class Driver:
    """Open sessions, and the one that keeps their gates."""

    keeper: psycopg.Connection[Any]
    sessions: tuple[Session, ...]

    def steer(
        self,
        calls: Sequence[Call],
        level: str,
        schedule: Schedule,
        rest: Sequence[int],
        rolled_back: frozenset[int] = frozenset(),
    ) -> Steered:
        """Run each call in a transaction of this level, in the order that the schedule says."""
        taking_part = self.sessions[: len(calls)]
        for session, call in zip(taking_part, calls, strict=True):
            statement = call.statement().as_string(session.connection)
            begin = f"BEGIN ISOLATION LEVEL {level}"
            end = "ROLLBACK" if session.number in rolled_back else "COMMIT"
            ask = f"SELECT to_jsonb(answer) FROM ({statement}) AS answer"
            if level == READ_COMMITTED:
                session.steps = [("asks", f"{begin};{ask}")]
            else:
                schema = sql.Identifier(NAMES.schema).as_string()
                look = f"{begin};SELECT count(*) FROM {schema}.ticketing_settings"
                session.steps = [("looks", look), ("asks", ask)]
            session.steps.append((end, end))
            session.outcome = Outcome()
            session.passed.clear()
            session.tries_again = False
        trace: list[str] = []

        def go(number: int, even_in_vain: bool = False) -> bool:
            session = taking_part[number]
            if not session.is_free or (session.tries_again and not even_in_vain):
                return False
            for other in taking_part:
                if other is not session:
                    other.passed.clear()
                    other.tries_again = False
            self._advance(session)
            self._settle(taking_part, trace)
            return True

        for number, count in schedule:
            for _ in range(count):
                if not go(number):
                    break
        while not all(session.is_done for session in taking_part):
            if not any(go(number) for number in rest) and not any(
                go(number, even_in_vain=True) for number in rest
            ):
                self._settle(taking_part, trace, until_somebody_is_free=True)
        return Steered(tuple(session.outcome for session in taking_part), tuple(trace))

    def _advance(self, session: Session) -> None:
        if session.gate is not None:
            key, session.gate = session.gate, None
            first = GATES + session.number
            self.keeper.execute("SELECT pg_advisory_unlock(%s, %s)", [first, key])
            # Taken again at once: the session has the lock already, or has had it, and this waits
            # until it has given it back, which is before it does anything else.
            self.keeper.execute("SELECT pg_advisory_lock(%s, %s)", [first, key])
        else:
            session.running, statement = session.steps.pop(0)
            session.connection.pgconn.send_query(statement.encode())

    def _settle(
        self, sessions: Sequence[Session], trace: list[str], until_somebody_is_free: bool = False
    ) -> None:
        """Wait until each session has done its step, stands at a gate, or waits for another."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            for session in sessions:
                if session.running is not None:
                    self._receive(session, trace)
            active = {session.pid: session for session in sessions if session.running is not None}
            waiting = {}
            if active:
                rows = self.keeper.execute(WAITING.encode(), [list(active)]).fetchall()
                waiting = {
                    pid: (where, key if at_gate else None) for pid, where, at_gate, key in rows
                }
            for pid, session in active.items():
                where, key = waiting.get(pid, ("", None))
                if key is not None and session.gate is None:
                    trace.append(f"{session.number} stops before {where}")
                    session.tries_again = where in session.passed
                    session.passed.add(where)
                if pid in waiting and key is None and not session.waits:
                    trace.append(f"{session.number} waits for another (last gate: {where})")
                session.gate = key
                session.waits = pid in waiting and key is None
            settled = len(waiting) == len(active)
            if settled and not (
                until_somebody_is_free
                and active
                and not any(session.is_free for session in sessions)
            ):
                return
            select.select([session.connection for session in active.values()], [], [], 0.001)
            if time.monotonic() > deadline:
                raise StuckError("\n".join([*trace, f"waiting: {waiting}"]))

    def _receive(self, session: Session, trace: list[str]) -> None:
        connection = session.connection.pgconn
        connection.consume_input()
        if connection.is_busy():
            return
        outcome, step = session.outcome, session.running
        session.running, session.gate, session.waits = None, None, False
        session.tries_again = False
        failed: str | None = None
        while result := connection.get_result():
            if result.status == ExecStatus.FATAL_ERROR:
                failed = (result.error_field(DiagnosticField.SQLSTATE) or b"?").decode()
                words = result.error_message.decode().strip()
                trace.append(f"{session.number} {step}: fails with {failed} {words}")
            elif result.status == ExecStatus.TUPLES_OK and step == "asks":
                outcome.answer = json.loads(result.get_value(0, 0) or b"null")
                trace.append(f"{session.number} {step}: {outcome.answer}")
        if failed is not None:
            outcome.sqlstate = failed
            session.steps.clear()
            session.connection.pgconn.exec_(b"ROLLBACK")
        elif step != "asks":
            trace.append(f"{session.number} {step}")
            outcome.committed = step == "COMMIT"


@contextmanager
def driver(database: Database) -> Iterator[Driver]:
    """Open the sessions, and shut their gates."""
    with ExitStack() as stack:
        keeper, *others = (
            enter(stack.enter_context(psycopg.connect(database.dsn, autocommit=True)))
            for _ in range(SESSIONS + 1)
        )
        keeper.row_factory = psycopg.rows.tuple_row
        for number, connection in enumerate(others):
            connection.execute("SELECT set_config('driver.session', %s, false)", [str(number)])
            # A deadlock is an answer like any other, and should come soon.
            connection.execute("SET deadlock_timeout = '20ms'")
            for key in (0, 1):
                keeper.execute("SELECT pg_advisory_lock(%s, %s)", [GATES + number, key])
        yield Driver(keeper, tuple(Session(n, other) for n, other in enumerate(others)))
