"""The books of the model: what there is, what can be seen of it, and what the logs must say.

Ids are texts, times are aware datetimes, money is in the minor unit of the currency.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.answers import COLUMNS, Words, message

Row = dict[str, Any]
Key = tuple[str, ...]
Tables = dict[str, dict[Key, Row]]

NIL = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Settings:
    hold_minutes: int = 10
    extension_minutes: int = 5
    max_extensions: int = 3
    max_hold_minutes: int = 60
    order_minutes: int = 5
    max_seats_per_reservation: int = 10
    max_seats_per_staff_order: int = 2000
    async_conflict_log: bool = False  # changes nothing that can be seen while the server lives


@dataclass
class Show:
    id: str
    currency: str
    status: str = "on_sale"
    sales_start_at: datetime | None = None
    sales_end_at: datetime | None = None

    def sells(self, now: datetime) -> bool:
        """Whether seats can be held."""
        return (
            self.status == "on_sale"
            and (self.sales_start_at is None or self.sales_start_at <= now)
            and (self.sales_end_at is None or self.sales_end_at > now)
        )


@dataclass
class Seat:
    id: str
    show: Show
    price_in_cents: int
    blocked: bool = False
    number: str = ""


@dataclass
class Claim:
    price_in_cents: int
    ticket_type: str | None = None
    released_at: datetime | None = None

    @property
    def live(self) -> bool:
        return self.released_at is None


@dataclass
class Hold:
    id: str
    token: str | None  # of what was sold at the counter, learned from the database
    show: Show
    session_id: str
    user_id: str | None
    email: str | None
    user_agent: str | None
    ip_address: str | None
    created_at: datetime
    expires_at: datetime
    claims: dict[str, Claim]
    status: str = "active"
    extension_count: int = 0
    ended_at: datetime | None = None

    @property
    def active(self) -> bool:
        return self.status == "active"

    @property
    def held(self) -> set[str]:
        return {seat for seat, claim in self.claims.items() if claim.live}

    def over(self, now: datetime) -> bool:
        """Whether it is active on paper only."""
        return self.active and self.expires_at <= now


@dataclass
class Order:
    id: str
    hold: Hold
    prices: dict[str, int]
    idempotency_key: str | None
    payment_provider: str | None
    payment_intent_id: str | None
    created_at: datetime
    status: str = "pending"
    error_message: str | None = None
    paid_at: datetime | None = None
    cancel_reason: str | None = None
    refunded: int = 0
    # Payments that it named before, oldest first: provider and intent.
    earlier: dict[tuple[str, str], None] = field(default_factory=dict)
    ticket_ids: tuple[str, ...] = ()

    def name_payment(self, provider: str | None, intent: str | None) -> None:
        same = (self.payment_provider or provider, self.payment_intent_id) == (provider, intent)
        if not same and self.payment_intent_id is not None:
            self.earlier.setdefault((self.payment_provider or "", self.payment_intent_id))
        self.payment_provider, self.payment_intent_id = provider, intent

    @property
    def show(self) -> Show:
        return self.hold.show

    @property
    def total(self) -> int:
        return sum(self.prices.values())


@dataclass
class Ticket:
    order: Order
    seat: str
    price_in_cents: int
    ticket_type: str | None
    created_at: datetime
    status: str = "valid"
    checked_in_at: datetime | None = None
    gate: str | None = None
    nonce: str | None = None
    id: str | None = None  # learned from the database


@dataclass
class Event:
    """What a payment provider reported, and the answer."""

    order: Order
    kind: str
    amount_in_cents: int | None
    created_at: datetime
    answer: Row
    # What it settled, of a refund or a dispute; and the tickets that a dispute took back.
    refund: "Refund | None" = None
    taken: list[Ticket] = field(default_factory=list)


@dataclass
class Refund:
    """Money to give back, with the event that it came by."""

    order: Order
    provider: str | None
    event_id: str | None
    amount_in_cents: int
    reason: str
    created_at: datetime
    tickets: list[Ticket] = field(default_factory=list)
    done_at: datetime | None = None
    id: str | None = None  # learned from the database


def too_long(limit: int, *values: str | None) -> bool:
    return any(value is not None and len(value) > limit for value in values)


def blank(value: str | None) -> bool:
    return value is None or not value.strip()


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


@dataclass
class Books:
    """Everything that the model knows of its shows, and the lines that the logs must have."""

    shows: dict[str, Show]
    seats: dict[str, Seat]
    settings: Settings = field(default_factory=Settings)
    holds: dict[str, Hold] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    tickets: list[Ticket] = field(default_factory=list)
    keys: dict[tuple[str, str], Order] = field(default_factory=dict)
    # By provider, event, kind and order.
    events: dict[tuple[str, str, str, str], Event] = field(default_factory=dict)
    refunds: list[Refund] = field(default_factory=list)
    # Lines that the present step must leave in the logs, and all lines about holds so far.
    hold_log: list[Row] = field(default_factory=list)
    order_log: list[Row] = field(default_factory=list)
    runs: list[Row] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)

    # --- what can be seen ---------------------------------------------------------------------

    def tables(self) -> Tables:
        """The rows that the tables must have, by key; columns that are random are left out."""
        return {
            "shows": {
                (show.id,): {
                    "status": show.status,
                    "sales_start_at": show.sales_start_at,
                    "sales_end_at": show.sales_end_at,
                }
                for show in self.shows.values()
            },
            "show_seats": {(seat.id,): self._seat_row(seat) for seat in self.seats.values()},
            "seat_reservations": {
                (hold.id,): {
                    "show_id": hold.show.id,
                    "reservation_token": hold.token,
                    "session_id": hold.session_id,
                    "user_id": hold.user_id,
                    "email": hold.email,
                    "user_agent": hold.user_agent,
                    "ip_address": hold.ip_address,
                    "status": hold.status,
                    "is_active": hold.active,
                    "expires_at": hold.expires_at,
                    "extension_count": hold.extension_count,
                    "created_at": hold.created_at,
                    "ended_at": hold.ended_at,
                }
                for hold in self.holds.values()
            },
            "reservation_seats": {
                (hold.id, seat): {
                    "show_id": hold.show.id,
                    "price_in_cents": claim.price_in_cents,
                    "currency": hold.show.currency,
                    "ticket_type": claim.ticket_type,
                    "released_at": claim.released_at,
                }
                for hold in self.holds.values()
                for seat, claim in hold.claims.items()
            },
            "ticket_orders": {
                (order.id,): {
                    "show_id": order.show.id,
                    "reservation_id": order.hold.id,
                    "seat_ids": self.seats_of(order),
                    "status": order.status,
                    "total_amount_in_cents": order.total,
                    "currency": order.show.currency,
                    "idempotency_key": order.idempotency_key,
                    "payment_provider": order.payment_provider,
                    "payment_intent_id": order.payment_intent_id,
                    "error_message": order.error_message,
                    "created_at": order.created_at,
                    "paid_at": order.paid_at,
                    "cancel_reason": order.cancel_reason,
                    "refunded_amount_in_cents": order.refunded,
                }
                for order in self.orders.values()
            },
            "ticket_order_keys": {
                (show_id, key): {"order_id": order.id}
                for (show_id, key), order in self.keys.items()
            },
            "payment_intents": {
                (provider, intent, order.id): {"show_id": order.show.id}
                for order in self.orders.values()
                for provider, intent in order.earlier
            },
            "refunds": {
                (str(row.id),): {
                    "show_id": row.order.show.id,
                    "order_id": row.order.id,
                    "payment_provider": row.provider,
                    "payment_event_id": row.event_id,
                    "ticket_ids": sorted(str(ticket.id) for ticket in row.tickets),
                    "amount_in_cents": row.amount_in_cents,
                    "currency": row.order.show.currency,
                    "reason": row.reason,
                    "status": "due" if row.done_at is None else "done",
                    "created_at": row.created_at,
                    "done_at": row.done_at,
                }
                for row in self.refunds
            },
            "tickets": {
                (str(ticket.id),): {
                    "show_id": ticket.order.show.id,
                    "order_id": ticket.order.id,
                    "show_seat_id": ticket.seat,
                    "price_in_cents": ticket.price_in_cents,
                    "currency": ticket.order.show.currency,
                    "ticket_type": ticket.ticket_type,
                    "status": ticket.status,
                    "checked_in_at": ticket.checked_in_at,
                    "check_in_gate": ticket.gate,
                    "check_in_nonce": ticket.nonce,
                    "created_at": ticket.created_at,
                }
                for ticket in self.tickets
            },
            "payment_events": {
                key: {
                    "show_id": event.order.show.id,
                    "amount_in_cents": event.amount_in_cents,
                    "success": event.answer["success"],
                    "order_status": event.answer["status"],
                    "ticket_ids": sorted(str(ticket.id) for ticket in event.taken)
                    or event.answer["ticket_ids"],
                    "refund_id": event.refund and event.refund.id,
                    "error_code": event.answer["error_code"],
                    "error_message": event.answer["error_message"],
                    "created_at": event.created_at,
                }
                for key, event in self.events.items()
            },
        }

    def _seat_row(self, seat: Seat) -> Row:
        hold = self._holder(seat)
        if hold is None:
            status = "blocked" if seat.blocked else "available"
        else:
            status = "reserved" if hold.active else "sold"
        reserved = hold if hold is not None and hold.active else None
        return {
            "show_id": seat.show.id,
            "status": status,
            "reserved_by": reserved and reserved.id,
            "reserved_until": reserved and reserved.expires_at,
            "price_in_cents": seat.price_in_cents,
        }

    def ticket_ids(self) -> dict[str, list[str]]:
        return {order.id: sorted(order.ticket_ids) for order in self.orders.values()}

    def seats_of(self, order: Order) -> list[str]:
        """Where its tickets are, refunded ones too; before they are issued, what it is for."""
        return sorted([ticket.seat for ticket in self.tickets_of(order)] or order.prices)

    def tickets_of(self, order: Order) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.order is order]

    def learn_ids(self, tables: Tables) -> None:
        """Take ids of new tickets and refunds, and tokens, from rows that are as they should be."""
        for hold in self.holds.values():
            if hold.token is None and (hold.id,) in tables["seat_reservations"]:
                hold.token = tables["seat_reservations"][hold.id,]["reservation_token"]
        new_tickets = [ticket for ticket in self.tickets if ticket.id is None]
        known = {ticket.id for ticket in self.tickets}
        for (ticket_id,), row in tables["tickets"].items():
            for ticket in new_tickets if ticket_id not in known else ():
                if (ticket.order.id, ticket.seat) == (row["order_id"], row["show_seat_id"]):
                    ticket.id = ticket_id
                    new_tickets.remove(ticket)
                    break
        new_refunds = [refund for refund in self.refunds if refund.id is None]
        known = {refund.id for refund in self.refunds}
        for (refund_id,), row in tables["refunds"].items():
            for refund in new_refunds if refund_id not in known else ():
                if (
                    refund.order.id,
                    refund.reason,
                    refund.amount_in_cents,
                    refund.event_id,
                    sorted(str(ticket.id) for ticket in refund.tickets),
                ) == (
                    row["order_id"],
                    row["reason"],
                    row["amount_in_cents"],
                    row["payment_event_id"],
                    row["ticket_ids"],
                ):
                    refund.id = refund_id
                    new_refunds.remove(refund)
                    break

    def statistics(self, show: Show) -> Row:
        """What get_reservation_statistics must say. A partial release is a release, too."""
        lines = [line for line in self.history if line["show_id"] == show.id]
        count = {
            event: sum(line["event_type"] == event for line in lines)
            for event in ("created", "completed", "expired", "released", "extended", "failed")
        }
        lasted = [line["hold_seconds"] for line in lines if line["hold_seconds"] is not None]
        return {f"total_{event}": number for event, number in count.items()} | {
            "avg_hold_seconds": sum(lasted) / len(lasted) if lasted else None,
            "expiration_rate": count["expired"] / count["created"] if count["created"] else 0,
        }

    def take_words(self, words: str | None) -> None:
        """Where a sentence is open, it is the one that was answered: in the log, and for ever."""
        written = [*self.hold_log, *self.order_log, *(e.answer for e in self.events.values())]
        for row in written:
            if isinstance(row["error_message"], Words):
                row["error_message"] = words

    def begin_step(self) -> None:
        self.history += self.hold_log
        self.hold_log, self.order_log, self.runs = [], [], []

    # --- looking things up ----------------------------------------------------------------------

    def _holder(self, seat: Seat) -> Hold | None:
        return next((hold for hold in self.holds.values() if seat.id in hold.held), None)

    def is_free(self, now: datetime, seat: Seat) -> bool:
        holder = self._holder(seat)
        return not seat.blocked and (holder is None or holder.over(now))

    def _own(self, now: datetime, show_id: str | None, session_id: str | None) -> Hold | None:
        """What this session holds in this show."""
        return next(
            (
                hold
                for hold in self.holds.values()
                if hold.show.id == show_id
                and hold.session_id == session_id
                and hold.active
                and not hold.over(now)
            ),
            None,
        )

    def _by_token(self, token: str | None) -> Hold | None:
        return next((hold for hold in self.holds.values() if token and hold.token == token), None)

    def _by_order_id(self, show_id: str | None, order_id: str | None) -> Order | None:
        order = self.orders.get(str(order_id))
        return order if order is not None and order.show.id == show_id else None

    def _pending(self, hold: Hold) -> Order | None:
        return next(
            (
                order
                for order in self.orders.values()
                if order.hold is hold and order.status == "pending"
            ),
            None,
        )

    # --- answers, and the lines that they leave in the logs --------------------------------------

    def _answer(self, function: str, **values: Any) -> Row:
        answer: Row = dict.fromkeys(COLUMNS[function])
        answer["success"] = "error_code" not in values
        return answer | values

    def _log_hold(
        self,
        now: datetime,
        hold: Hold,
        event_type: str,
        seat_ids: Iterable[str | None],
        *,
        metadata: Row | None = None,
        hold_seconds: float | None = None,
        by_staff: bool = False,
    ) -> None:
        seats = sorted(map(str, seat_ids))
        self.hold_log.append(
            {
                "event_type": event_type,
                "reservation_id": hold.id,
                "show_id": hold.show.id,
                "session_id": None if by_staff else hold.session_id,
                "seat_count": len(seats),
                "seat_ids": seats,
                "error_code": None,
                "error_message": None,
                # The contract promises the caller's address for the calls that pass it.
                "user_agent": hold.user_agent if event_type == "created" else None,
                "ip_address": hold.ip_address if event_type == "created" else None,
                "metadata": metadata or {},
                "hold_seconds": hold_seconds,
                "created_at": now,
            }
        )

    def _refuse_hold(
        self,
        now: datetime,
        function: str,
        code: str,
        session_id: str | None,
        *,
        hold: Hold | None = None,
        show_id: str | None = None,
        seat_ids: Sequence[str | None] | None = None,
        user_agent: str | None = None,
        ip_address: str | None = None,
    ) -> Row:
        asked = seat_ids or ()
        self.hold_log.append(
            {
                "event_type": "failed",
                "reservation_id": hold and hold.id,
                "show_id": hold.show.id if hold else show_id or NIL,
                "session_id": session_id and session_id[:200],
                "seat_count": len(asked),
                "seat_ids": sorted(map(str, asked[:100])),
                "error_code": code,
                "error_message": message(code),
                "user_agent": user_agent,
                "ip_address": ip_address,
                "metadata": {"function": function},
                "hold_seconds": None,
                "created_at": now,
            }
        )
        return self._answer(function, error_code=code, error_message=message(code))

    def _log_order(self, now: datetime, order: Order, old_status: str | None) -> None:
        self.order_log.append(
            {
                "order_id": order.id,
                "reservation_id": order.hold.id,
                "show_id": order.show.id,
                "session_id": None,
                "old_status": old_status,
                "new_status": order.status,
                "amount_in_cents": order.total,
                "currency": order.show.currency,
                "payment_provider": order.payment_provider,
                "error_code": None,
                "error_message": order.error_message if order.status == "failed" else None,
                "metadata": {},
                "created_at": now,
            }
        )

    def _refuse_order(
        self,
        now: datetime,
        function: str,
        code: str,
        *,
        hold: Hold | None = None,
        session_id: str | None = None,
        show_id: str | None = None,
        order_id: str | None = None,
        order: Order | None = None,
        provider: str | None = None,
        amount: int | None = None,
    ) -> Row:
        self.order_log.append(
            {
                "order_id": order_id,
                "reservation_id": hold and hold.id,
                "show_id": hold.show.id if hold else show_id or NIL,
                "session_id": session_id and session_id[:200],
                "old_status": order and order.status,
                "new_status": None,
                "amount_in_cents": amount,
                "currency": None,
                "payment_provider": provider and provider[:200],
                "error_code": code,
                "error_message": message(code),
                "metadata": {"function": function},
                "created_at": now,
            }
        )
        return self._answer(function, error_code=code, error_message=message(code))

    def _refuse_payment(
        self,
        now: datetime,
        function: str,
        code: str,
        show_id: str | None,
        order_id: str | None,
        order: Order | None,
        provider: str | None,
        amount: int | None,
    ) -> Row:
        """A refused call about an order that is there says how the order stands."""
        answer = self._refuse_order(
            now,
            function,
            code,
            hold=order.hold if order else None,
            show_id=show_id,
            order_id=order_id,
            order=order,
            provider=provider,
            amount=amount,
        )
        answer |= {"order_id": order and order.id, "status": order and order.status}
        if "ticket_ids" in answer:
            answer["ticket_ids"] = []
        return answer
