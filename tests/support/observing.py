"""What can be observed of a database, and its comparison with the model.

After every step everything is compared: the answer, column by column; all rows of the tables; the
lines that the step left in the logs, no more and no fewer; the laws of the tables. Each example has
shows of its own in one database, so nothing needs to be emptied.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import psycopg
from hypothesis.stateful import (
    RuleBasedStateMachine,
)
from psycopg import sql
from psycopg.rows import tuple_row

from tests.support.answers import COLUMNS
from tests.support.books import Row, Seat, Settings, Show, Tables
from tests.support.databases import Connect
from tests.support.laws import broken_laws
from tests.support.model import Model
from tests.support.names import NAMES
from tests.support.queries import enter

SEATS = 6  # of each show
# A call reads the clock some time after its transaction began. Policy counts in minutes.
LAG = timedelta(seconds=10)

# Tables: key columns, then those that the model knows. Names of keys are left out of the rows.
TABLES = {
    "shows": (("id",), ("status", "sales_start_at", "sales_end_at")),
    "show_seats": (
        ("id",),
        ("show_id", "status", "reserved_by", "reserved_until", "price_in_cents"),
    ),
    "seat_reservations": (
        ("id",),
        (
            "show_id",
            "reservation_token",
            "session_id",
            "user_id",
            "email",
            "user_agent",
            "ip_address",
            "status",
            "is_active",
            "expires_at",
            "extension_count",
            "created_at",
            "ended_at",
        ),
    ),
    "reservation_seats": (
        ("reservation_id", "show_seat_id"),
        ("show_id", "price_in_cents", "currency", "ticket_type", "released_at"),
    ),
    "ticket_orders": (
        ("id",),
        (
            "show_id",
            "reservation_id",
            "seat_ids",
            "status",
            "total_amount_in_cents",
            "currency",
            "idempotency_key",
            "payment_provider",
            "payment_intent_id",
            "error_message",
            "created_at",
            "paid_at",
            "cancel_reason",
            "refunded_amount_in_cents",
        ),
    ),
    "ticket_order_keys": (("show_id", "idempotency_key"), ("order_id",)),
    "payment_intents": (("payment_provider", "payment_intent_id", "order_id"), ("show_id",)),
    "refunds": (
        ("id",),
        (
            "show_id",
            "order_id",
            "payment_provider",
            "payment_event_id",
            "ticket_ids",
            "amount_in_cents",
            "currency",
            "reason",
            "status",
            "created_at",
            "done_at",
        ),
    ),
    "tickets": (
        ("id",),
        (
            "ticket_code",
            "show_id",
            "order_id",
            "show_seat_id",
            "price_in_cents",
            "currency",
            "ticket_type",
            "status",
            "checked_in_at",
            "check_in_gate",
            "check_in_nonce",
            "created_at",
        ),
    ),
    "payment_events": (
        ("provider", "event_id", "kind", "order_id"),
        (
            "show_id",
            "amount_in_cents",
            "success",
            "order_status",
            "ticket_ids",
            "refund_id",
            "error_code",
            "error_message",
            "created_at",
        ),
    ),
}
LOGS = {
    "seat_reservation_audit_log": (
        "id, event_type, reservation_id, show_id, session_id, seat_count, seat_ids, error_code,"
        " error_message, user_agent, ip_address, metadata, hold_seconds, created_at"
    ),
    "ticket_order_audit_log": (
        "id, order_id, reservation_id, show_id, session_id, old_status, new_status,"
        " amount_in_cents, currency, payment_provider, error_code, error_message, metadata,"
        " created_at"
    ),
    "reservation_cleanup_runs": (
        "id, scheduler, status, reservations_expired, seats_released, orders_cancelled,"
        " error_message,"
        " finished_at BETWEEN started_at AND clock_timestamp() AS is_finished"
    ),
}
TIMES = frozenset(
    {
        "expires_at",
        "reserved_until",
        "created_at",
        "ended_at",
        "released_at",
        "paid_at",
        "done_at",
        "checked_in_at",
        "sales_start_at",
        "sales_end_at",
    }
)
SETS = frozenset({"seat_ids", "ticket_ids", "reservation_ids", "refund_ids", "ticket_codes"})

TYPED = {
    "reserve_seats": ("uuid", "uuid[]", "text", "text", "text", "text", "inet"),
    "extend_reservation": ("text", "text", "timestamptz"),
    "release_reservation": ("text", "text", "uuid[]"),
    "create_ticket_order": ("text", "text", "text", "text", "text"),
    "confirm_payment": ("uuid", "uuid", "text", "text", "bigint"),
    "fail_payment": ("uuid", "uuid", "text", "text", "text"),
    "refund_order": ("uuid", "uuid"),
    "reserve_best_seats": (
        "uuid",
        "integer",
        "text",
        "text",
        "bigint",
        "text",
        "text",
        "text",
        "inet",
    ),
    "add_seats": ("text", "text", "uuid[]"),
    "price_seats": ("text", "text", "uuid[]", "bigint[]", "text[]"),
    "move_reservation": ("text", "text", "text", "text", "text"),
    "block_seats": ("uuid", "uuid[]", "text", "boolean"),
    "unblock_seats": ("uuid", "uuid[]", "text"),
    "issue_tickets": (
        "uuid",
        "uuid[]",
        "text",
        "bigint[]",
        "text[]",
        "text",
        "text",
        "text",
    ),
    "move_tickets": ("uuid", "uuid[]", "uuid[]", "text"),
    "check_in_ticket": ("uuid", "text", "text", "text"),
    "cancel_tickets": ("uuid", "uuid[]", "text"),
    "record_refund": ("uuid", "uuid", "text", "text", "text"),
    "record_dispute": ("uuid", "uuid", "text", "text", "bigint", "text"),
    "cleanup_expired_seat_reservations": ("integer",),
    "get_reservation_statistics": ("uuid",),
}


def _rows(table: str, columns: str, condition: str, order: str = "") -> str:
    return (
        f"'{table}', (SELECT COALESCE(json_agg(r {order}), '[]')"
        f" FROM (SELECT {columns} FROM {table} WHERE {condition}) AS r)"
    )


# All that can be seen of two shows, in one round trip; of the logs whatever is new, anybody's.
OBSERVE = "SELECT now(), json_build_object({})".format(
    ", ".join(
        [
            _rows(
                table,
                ", ".join(dict.fromkeys(keys + columns)),
                f"{'id' if table == 'shows' else 'show_id'} = ANY(%(shows)s)",
            )
            for table, (keys, columns) in TABLES.items()
        ]
        # In the order in which they were written: a new line may stand on an old page.
        + [_rows(log, columns, f"id > %({log})s", "ORDER BY r.id") for log, columns in LOGS.items()]
    )
)

# The second extension of a hold is cut short by the limit, so that both limits on it are met.
POLICY = Settings(max_hold_minutes=18)
SET_POLICY = ", ".join(f"{column} = %({column})s" for column in vars(POLICY))
OPEN_TWO_HALLS = f"""
    WITH reset AS (
        UPDATE ticketing_settings SET {SET_POLICY}
    ),
    opened AS (
        INSERT INTO shows (name, starts_at, currency, status)
        SELECT 'Hamlet', now() + interval '30 days', c, 'on_sale'
        FROM unnest(ARRAY['EUR', 'JPY']) AS c
        RETURNING id, currency
    ),
    furnished AS (
        INSERT INTO show_seats (show_id, section, row_label, seat_number, price_in_cents)
        SELECT o.id, 'stalls', 'A', n::text, 1000 + 100 * n
        FROM opened AS o CROSS JOIN generate_series(1, {SEATS}) AS n
        RETURNING show_id, id, price_in_cents, seat_number
    )
    SELECT o.id::text, o.currency, array_agg(f.id::text ORDER BY f.price_in_cents),
        array_agg(f.price_in_cents ORDER BY f.price_in_cents),
        array_agg(f.seat_number ORDER BY f.price_in_cents)
    FROM opened AS o JOIN furnished AS f ON f.show_id = o.id
    GROUP BY o.id, o.currency ORDER BY o.currency
"""

# The state of a hold after an event of the log that changes it.
STATUS_AFTER = {
    "created": "active",
    "released": "released",
    "expired": "expired",
    "completed": "completed",
    "issued": "completed",
}


class DisagreementError(AssertionError):
    """The database does not do what the model does, or breaks a law."""


parse_time = lru_cache(maxsize=4096)(datetime.fromisoformat)


def parsed(row: Row) -> Row:
    for column, value in row.items():
        if value is not None:
            if column in TIMES:
                row[column] = parse_time(value)
            elif column in SETS:
                row[column] = sorted(map(str, value))
    return row


def as_expected(expected: Any, found: Any, column: str = "") -> Any:
    """What was found, where moments that differ a little count as what was expected."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return {key: as_expected(expected.get(key), its, key) for key, its in found.items()}
    if isinstance(expected, datetime) and isinstance(found, datetime):
        return expected if abs(found - expected) < LAG else found
    if column == "hold_seconds" and isinstance(expected, float) and isinstance(found, float):
        return expected if abs(found - expected) < LAG.total_seconds() else found
    return found


def differences(expected: dict[Any, Any], found: dict[Any, Any], what: str) -> Iterator[str]:
    for key in expected.keys() | found.keys():
        mine, its = expected.get(key), found.get(key)
        if mine != its:
            if isinstance(mine, dict) and isinstance(its, dict):
                yield from differences(mine, its, f"{what}[{key}]")
            else:
                yield f"{what}[{key}]: should be {mine!r}, is {its!r}"


def compare(expected: dict[Any, Any], found: dict[Any, Any], what: str) -> None:
    found = as_expected(expected, found)
    if expected != found:
        raise DisagreementError("\n".join(sorted(differences(expected, found, what))))


def compare_lines(expected: Sequence[Row], found: Sequence[Row], log: str) -> None:
    """Compare lines of a log. Within a step their order is open where no law orders them."""

    def order(line: Row) -> str:
        open_ones = {"error_message", "hold_seconds", "created_at"}
        return str([(k, v) for k, v in sorted(line.items()) if k not in open_ones])

    compare(
        dict(enumerate(sorted(expected, key=order))), dict(enumerate(sorted(found, key=order))), log
    )


@dataclass
class House:
    """A database, entered as the application and as the DBA, and what was seen happening there."""

    app: psycopg.Connection[Any]
    staff: psycopg.Connection[Any]
    dba: psycopg.Connection[Any]
    tally: Counter[str] = field(default_factory=Counter)
    examples: int = 0
    steps: int = 0
    newest: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOGS, 0))

    @classmethod
    def enter(cls, connect: Connect) -> "House":
        house = cls(connect(), connect(), connect())
        for connection in (house.app, house.staff, house.dba):
            enter(connection).row_factory = tuple_row
            # A call that hangs has failed, too: a broken cleanup might never end.
            connection.execute("SET statement_timeout = '60s'")
        for connection, role in (
            (house.app, NAMES.app_role),
            (house.staff, NAMES.box_office_role),
        ):
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        # Observing is planned once, not ten thousand times.
        house.dba.execute("SET plan_cache_mode = 'force_generic_plan'")
        house.dba.prepare_threshold = 0
        return house

    def observe(self, shows: list[str]) -> tuple[datetime, dict[str, list[Row]]]:
        (seen,) = self.dba.execute(OBSERVE, {"shows": shows} | self.newest).fetchall()
        now, found = seen
        for log in LOGS:
            self.newest[log] = max([self.newest[log], *(line.pop("id") for line in found[log])])
        return now, {name: [parsed(row) for row in rows] for name, rows in found.items()}

    def violations(self) -> dict[str, int]:
        return dict(self.dba.execute("SELECT invariant, violations FROM current_violations()"))


def keyed(found: dict[str, list[Row]]) -> Tables:
    tables: Tables = {}
    for table, (keys, columns) in TABLES.items():
        rows = {
            tuple(row[key] for key in keys): {column: row[column] for column in columns}
            for row in found[table]
        }
        if len(rows) != len(found[table]):
            raise DisagreementError(f"two rows of {table} have the same {keys}")
        tables[table] = rows
    return tables


class ComparingMachine(RuleBasedStateMachine):
    """Calls functions of the database, and compares everything with the model after each step."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        opened = house.dba.execute(OPEN_TWO_HALLS, vars(POLICY)).fetchall()
        self.show_ids = [show_id for show_id, *_ in opened]
        self.seat_ids = [seat_ids for _, _, seat_ids, *_ in opened]
        halls = [(Show(show_id, currency), *seats) for show_id, currency, *seats in opened]
        self.model = Model(
            shows={show.id: show for show, *_ in halls},
            seats={
                seat_id: Seat(seat_id, show, price, number=number)
                for show, *seats in halls
                for seat_id, price, number in zip(*seats, strict=True)
            },
            settings=POLICY,
        )
        # According to the logs: the status of each hold and order, and how many lines there were.
        self.logged: dict[str, str] = {}
        self.steps = 0
        self.number_of_events = 0
        self.sound = True
        self.now, _ = house.observe(self.show_ids)
        # None, unless an example before this one has failed.
        self.violations = house.violations()

    @contextmanager
    def step(self, scheduler: str | None = None) -> Iterator[None]:
        """Around whatever changes something: afterwards everything is compared.

        With a scheduler it is the cleanup procedure that runs.
        """
        self.sound = False
        self.model.begin_step()
        yield
        self.look(scheduler)
        self.sound = True
        self.steps += 1

    def call(self, function: str, *arguments: Any, by: str = "app") -> tuple[Row, datetime]:
        """What the function answers, and when its transaction began. `by`: app, staff or dba."""
        connection: psycopg.Connection[Any] = getattr(self.house, by)
        typed = ", ".join(f"%s::{name}" for name in TYPED[function][: len(arguments)])
        (row,) = connection.execute(
            f"SELECT to_json(answer), now() FROM {function}({typed}) AS answer", arguments
        ).fetchall()
        answer, now = row
        if tuple(answer) != COLUMNS[function]:
            raise DisagreementError(f"{function} answers {tuple(answer)}, not {COLUMNS[function]}")
        return parsed(answer), now

    def count(self, what: str, outcome: str) -> None:
        self.house.tally[f"{what}: {outcome}"] += 1

    def agree(self, function: str, answer: Row, expected: Row) -> None:
        outcome = answer.get("error_code") or answer.get("status") or "done"
        self.count(function, outcome)
        compare(expected, answer, function)
        self.model.take_words(answer.get("error_message"))

    def look(self, scheduler: str | None) -> None:
        before = self.now
        self.now, found = self.house.observe(self.show_ids)
        tables = keyed(found)
        if scheduler is not None:
            # It commits as it goes, so only the tables know when it ended what.
            ended = {key[0]: row["ended_at"] for key, row in tables["seat_reservations"].items()}
            cancelled = {
                key[0]
                for key, row in tables["ticket_orders"].items()
                if row["cancel_reason"] == "overdue"
            }
            dead = self.model.run_cleanup(before, self.now, ended, cancelled, scheduler)
            self.count("run_reservation_cleanup", "dead orders" if dead else "no dead order")
        broken = broken_laws(tables)
        if broken:
            raise DisagreementError("\n".join(broken))

        ids: dict[str, list[str]] = {order: [] for (order,) in tables["ticket_orders"]}
        codes = set()
        for (ticket_id,), ticket in tables["tickets"].items():
            ids[ticket["order_id"]].append(ticket_id)
            codes.add(ticket.pop("ticket_code"))
        if len(codes) != len(tables["tickets"]):
            raise DisagreementError("two tickets have the same code")
        compare(self.model.ticket_ids(), {order: sorted(its) for order, its in ids.items()}, "ids")
        self.model.learn_ids(tables)
        compare(self.model.tables(), tables, "tables")
        self.read_logs(found, tables)

    def read_logs(self, found: dict[str, list[Row]], tables: Tables) -> None:
        """Compare the new lines, and replay them: they must lead to what the tables say."""
        holds, orders = found["seat_reservation_audit_log"], found["ticket_order_audit_log"]
        for line in holds:
            if line["event_type"] == "failed":
                line["metadata"] = {"function": line["metadata"]["function"]}
                continue
            for name, value in line["metadata"].items():
                if name.endswith("_seat_ids"):
                    line["metadata"][name] = sorted(value)
            if line["event_type"] != "created":
                line["user_agent"] = line["ip_address"] = None
            self.count("hold", " ".join([line["event_type"], *line["metadata"]]))
            status = STATUS_AFTER.get(line["event_type"])
            if status is not None and not line["metadata"].get("partial"):
                self.logged[line["reservation_id"]] = status
        for line in orders:
            if line["new_status"] is None:
                line["metadata"] = {"function": line["metadata"]["function"]}
                continue
            change = f"{line['old_status']} to {line['new_status']}"
            self.count("order", change)
            if line["old_status"] != self.logged.get(line["order_id"]):
                was = self.logged.get(line["order_id"])
                raise DisagreementError(
                    f"order {line['order_id']} was {was}, and went from {change}"
                )
            self.logged[line["order_id"]] = line["new_status"]
        compare_lines(self.model.hold_log, holds, "seat_reservation_audit_log")
        compare_lines(self.model.order_log, orders, "ticket_order_audit_log")
        compare_lines(
            self.model.runs, found["reservation_cleanup_runs"], "reservation_cleanup_runs"
        )
        rows = tables["seat_reservations"] | tables["ticket_orders"]
        compare({key[0]: row["status"] for key, row in rows.items()}, self.logged, "replayed logs")
