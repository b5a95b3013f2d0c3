"""What ticketdb promises, once more in Python, for a hall small enough to think about.

Written from the contract and not from the SQL. It keeps as little as it can: a seat has no status
of its own, whose claim on it is live decides. Every call takes `now`, the start of the database's
transaction, and `given`, the database's answer, from which it takes what nobody else can know: new
ids and secrets, and when exactly a hold began, a little later than its transaction. Whether there
should be any, the model decides for itself.

Ids are texts, times are aware datetimes, money is in the minor unit of the currency.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.behaviour.answers import COLUMNS, Words, message

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
    async_conflict_log: bool = False  # changes nothing that can be seen while the server lives


@dataclass
class Show:
    id: str
    currency: str
    status: str = "on_sale"


@dataclass
class Seat:
    id: str
    show: Show
    price_in_cents: int
    blocked: bool = False


@dataclass
class Claim:
    price_in_cents: int
    released_at: datetime | None = None

    @property
    def live(self) -> bool:
        return self.released_at is None


@dataclass
class Hold:
    id: str
    token: str
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
    price_in_cents: int
    created_at: datetime
    status: str = "valid"


@dataclass
class Event:
    """What a payment provider told, and what it was answered."""

    order: Order
    kind: str
    amount_in_cents: int | None
    created_at: datetime
    answer: Row


@dataclass
class Refund:
    """Money to give back, by the event that it came with."""

    order: Order
    amount_in_cents: int
    reason: str
    created_at: datetime
    ticket_ids: list[str] = field(default_factory=list)
    done_at: datetime | None = None


def too_long(limit: int, *values: str | None) -> bool:
    return any(value is not None and len(value) > limit for value in values)


def blank(value: str | None) -> bool:
    return value is None or not value.strip()


def minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


@dataclass
class Model:
    shows: dict[str, Show]
    seats: dict[str, Seat]
    settings: Settings = field(default_factory=Settings)
    holds: dict[str, Hold] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    tickets: dict[tuple[str, str], Ticket] = field(default_factory=dict)
    keys: dict[tuple[str, str], Order] = field(default_factory=dict)
    # By provider, event, kind and order; by provider, event and order.
    events: dict[tuple[str, str, str, str], Event] = field(default_factory=dict)
    refunds: dict[tuple[str, str, str], Refund] = field(default_factory=dict)
    # Lines that the present step must leave in the logs, and all lines about holds so far.
    hold_log: list[Row] = field(default_factory=list)
    order_log: list[Row] = field(default_factory=list)
    runs: list[Row] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)

    # --- holds ------------------------------------------------------------------------------

    def reserve(
        self,
        now: datetime,
        given: Row,
        show_id: str | None,
        seat_ids: Sequence[str | None] | None,
        session_id: str | None,
        user_id: str | None = None,
        email: str | None = None,
        user_agent: str | None = None,
        ip_address: str | None = None,
    ) -> Row:
        code = self._why_not_reserve(now, show_id, seat_ids, session_id, user_id, email)
        own = self._own(now, show_id, session_id)
        if (
            code != "INVALID_INPUT"
            and own is not None
            and own.held == set(seat_ids or ())
            and own.show.status != "cancelled"
        ):
            # Asked for again: the hold there is.
            return self._held(own)
        if code is not None or show_id is None or seat_ids is None or session_id is None:
            return self._refuse_hold(
                now,
                "reserve_seats",
                str(code),
                session_id,
                show_id=show_id,
                seat_ids=seat_ids,
                user_agent=user_agent,
                ip_address=ip_address,
            )
        wanted = [self.seats[str(seat)] for seat in seat_ids]
        for hold in self.holds.values():
            in_the_way = hold.session_id == session_id or not hold.held.isdisjoint(seat_ids)
            if hold.show.id == show_id and hold.over(now) and in_the_way:
                self._end(now, hold, "expired")
        began = (given["expires_at"] or now) - minutes(self.settings.hold_minutes)
        if not now <= began < now + timedelta(seconds=30):
            began = now
        new = Hold(
            id=given["reservation_id"],
            token=given["reservation_token"],
            show=self.shows[show_id],
            session_id=session_id,
            user_id=user_id,
            email=email,
            user_agent=user_agent,
            ip_address=ip_address,
            created_at=began,
            expires_at=began + minutes(self.settings.hold_minutes),
            claims={seat.id: Claim(seat.price_in_cents) for seat in wanted},
        )
        self.holds[new.id] = new
        self._log_hold(now, new, "created", new.held)
        return self._held(new)

    def _held(self, hold: Hold) -> Row:
        return self._answer(
            "reserve_seats",
            reservation_id=hold.id,
            reservation_token=hold.token,
            expires_at=hold.expires_at,
            seat_count=len(hold.held),
            total_amount_in_cents=sum(hold.claims[seat].price_in_cents for seat in hold.held),
            currency=hold.show.currency,
        )

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

    def _why_not_reserve(
        self,
        now: datetime,
        show_id: str | None,
        seat_ids: Sequence[str | None] | None,
        session_id: str | None,
        user_id: str | None,
        email: str | None,
    ) -> str | None:
        if (
            show_id is None
            or not seat_ids
            or None in seat_ids
            or len(set(seat_ids)) < len(seat_ids)
            or blank(session_id)
            or too_long(200, session_id, user_id)
            or too_long(320, email)
        ):
            return "INVALID_INPUT"
        show = self.shows.get(show_id)
        if show is None or show.status != "on_sale":
            return "SHOW_NOT_ON_SALE"
        if len(seat_ids) > self.settings.max_seats_per_reservation:
            return "TOO_MANY_SEATS"
        if self._own(now, show_id, session_id) is not None:
            return "DUPLICATE_RESERVATION"
        seats = [self.seats.get(str(seat)) for seat in seat_ids]
        if any(seat is None or seat.show is not show for seat in seats):
            return "SEATS_NOT_FOUND"
        if not all(seat is not None and self._free(now, seat) for seat in seats):
            return "SEATS_UNAVAILABLE"
        return None

    def extend(
        self,
        now: datetime,
        token: str | None,
        session_id: str | None,
        known: datetime | None = None,
    ) -> Row:
        """`known` is the end of the hold that the caller wants to be extended."""
        hold = self._by_token(token)
        code = self._why_not_use(now, hold, session_id)
        if code is None and hold is not None and hold.show.status == "cancelled":
            code = "SHOW_NOT_ON_SALE"
        if code is None and hold is not None:
            if known is not None and hold.expires_at >= known + timedelta(seconds=1):
                return self._answer(
                    "extend_reservation",
                    reservation_id=hold.id,
                    expires_at=hold.expires_at,
                    extensions_remaining=max(
                        0, self.settings.max_extensions - hold.extension_count
                    ),
                )
            until = min(
                hold.expires_at + minutes(self.settings.extension_minutes),
                hold.created_at + minutes(self.settings.max_hold_minutes),
            )
            remaining = self.settings.max_extensions - hold.extension_count - 1
            if remaining >= 0 and until > hold.expires_at:
                hold.expires_at = until
                hold.extension_count += 1
                self._log_hold(now, hold, "extended", hold.held)
                return self._answer(
                    "extend_reservation",
                    reservation_id=hold.id,
                    expires_at=until,
                    extensions_remaining=remaining,
                )
            code = "MAX_EXTENSIONS_REACHED"
        return self._refuse_hold(now, "extend_reservation", str(code), session_id, hold=hold)

    def release(
        self,
        now: datetime,
        token: str | None,
        session_id: str | None,
        seat_ids: Sequence[str | None] | None = None,
    ) -> Row:
        hold = self._by_token(token)
        code = self._why_not_use(now, hold, session_id)
        if code == "RESERVATION_EXPIRED":
            code = "RESERVATION_INACTIVE"
        if code is None and hold is not None:
            wanted = hold.held if seat_ids is None else set(seat_ids)
            if wanted and wanted <= hold.held:
                self._cancel_unpaid(now, hold)
                if wanted == hold.held:
                    self._end(now, hold, "released")
                else:
                    for seat in wanted:
                        hold.claims[str(seat)].released_at = now
                    self._log_hold(now, hold, "released", wanted, metadata={"partial": True})
                return self._answer(
                    "release_reservation", reservation_id=hold.id, seats_released=len(wanted)
                )
            code = "SEATS_NOT_FOUND"
        return self._refuse_hold(
            now, "release_reservation", str(code), session_id, hold=hold, seat_ids=seat_ids
        )

    def cleanup(self, now: datetime, given: Row, batch_size: int) -> Row:
        """Ends holds that are over: which of them, when they are more than a batch, is open."""
        over = {hold.id for hold in self.holds.values() if hold.over(now)}
        chosen = list(given["reservation_ids"])
        number = min(batch_size, len(over))
        if len(chosen) != number or len(set(chosen)) != number or not over.issuperset(chosen):
            chosen = sorted(over)[:number]
        released = 0
        for hold_id in chosen:
            released += len(self.holds[hold_id].held)
            self._end(now, self.holds[hold_id], "expired")
        return {
            "total_reservations_expired": number,
            "total_seats_released": released,
            "reservation_ids": chosen,
        }

    def run_cleanup(
        self,
        before: datetime,
        after: datetime,
        ended: Mapping[str, datetime | None],
        cancelled: Container[str],
        scheduler: str,
    ) -> int:
        """Ends all that is over, and returns how many orders died with it.

        It commits as it goes: `ended` says when it ended which hold, `cancelled` which orders are.
        """
        released = expired = 0
        for hold in self.holds.values():
            at = ended.get(hold.id)
            # What ran out while it was at work, it may have ended or not.
            if hold.over(before) or (hold.over(after) and at is not None):
                timely = at is not None and before <= at <= after
                expired += 1
                released += len(hold.held)
                self._end(at if at is not None and timely else before, hold, "expired")
        dead = [
            order
            for order in self.orders.values()
            if self._dead(order, before) or (self._dead(order, after) and order.id in cancelled)
        ]
        for order in dead:
            order.cancel_reason = "overdue"
            self._change(before, order, "cancelled")
        self.runs.append(
            {
                "scheduler": scheduler,
                "status": "succeeded",
                "reservations_expired": expired,
                "seats_released": released,
                "orders_cancelled": len(dead),
                "error_message": None,
                "is_finished": True,
            }
        )
        return len(dead)

    def _dead(self, order: Order, now: datetime) -> bool:
        """Whether its payment has had its time since the hold expired."""
        over = now - minutes(self.settings.order_minutes)
        ended_at = order.hold.ended_at
        return (
            order.status == "pending"
            and order.hold.status == "expired"
            and ended_at is not None
            and ended_at <= over
            and order.created_at <= over
        )

    # --- orders -----------------------------------------------------------------------------

    def create_order(
        self,
        now: datetime,
        given: Row,
        token: str | None,
        session_id: str | None,
        key: str | None = None,
        provider: str | None = None,
        intent: str | None = None,
    ) -> Row:
        hold = self._by_token(token)
        code = self._why_not_own(hold, session_id)
        order: Order | None = None
        if code is None and hold is not None:
            if (key is not None and blank(key)) or too_long(200, key, provider, intent):
                code = "INVALID_INPUT"
            else:
                order = self.keys.get((hold.show.id, str(key)))
                if order is not None and order.hold is not hold:
                    code = "IDEMPOTENCY_KEY_REUSED"
                elif hold.show.status == "cancelled":
                    code = "SHOW_NOT_ON_SALE"
                elif order is None or order.status not in ("pending", "failed", "paid"):
                    code = self._why_not_use(now, hold, session_id)
                    if code is None and order is not None:
                        code = "IDEMPOTENCY_KEY_REUSED"
        if code is not None or hold is None:
            return self._refuse_order(
                now, "create_ticket_order", str(code), hold=hold, session_id=session_id
            )
        order = order or self._pending(hold)
        if order is None:
            hold.expires_at = max(hold.expires_at, now + minutes(self.settings.order_minutes))
            order = Order(
                id=given["order_id"],
                hold=hold,
                prices={
                    seat: claim.price_in_cents for seat, claim in hold.claims.items() if claim.live
                },
                idempotency_key=key,
                payment_provider=provider,
                payment_intent_id=intent,
                created_at=now,
            )
            self.orders[order.id] = order
            self._log_order(now, order, None)
        elif order.status in ("pending", "failed"):
            # The last word counts, and what was named before is remembered.
            order.idempotency_key = order.idempotency_key or key
            known = order.payment_provider
            goes_on = provider is None or known in (None, provider)
            order.name_payment(
                provider or known, intent or (order.payment_intent_id if goes_on else None)
            )
        if key is not None:
            self.keys[hold.show.id, key] = order
        return self._answer(
            "create_ticket_order",
            order_id=order.id,
            status=order.status,
            total_amount_in_cents=order.total,
            currency=order.show.currency,
        )

    def confirm(
        self,
        now: datetime,
        given: Row,
        show_id: str | None,
        order_id: str | None,
        provider: str | None,
        event_id: str | None,
        amount: int | None,
    ) -> Row:
        order = self._by_order_id(show_id, order_id)
        code = self._why_not_event(provider, event_id)
        if code is not None:
            return self._refuse_payment(
                now, "confirm_payment", code, show_id, order_id, None, provider, amount
            )
        key = (str(provider), str(event_id), "payment", str(order_id))
        known = self.events.get(key) if order is not None else None
        if known is not None and known.amount_in_cents == amount:
            return dict(known.answer)
        if known is not None:
            return self._refuse_payment(
                now, "confirm_payment", "EVENT_MISMATCH", show_id, order_id, order, provider, amount
            )
        reason = None
        if order is None:
            code = "NOT_FOUND"
        elif amount != order.total:
            code = "AMOUNT_MISMATCH"
        elif order.status not in ("pending", "failed", "cancelled"):
            code = "ORDER_NOT_PAYABLE"
        if code is not None or order is None:
            answer = self._refuse_payment(
                now, "confirm_payment", str(code), show_id, order_id, order, provider, amount
            )
        else:
            if self._take_seats(now, order):
                self._sell(now, order, given)
                status = "paid"
            else:
                status = "refund_due"
                cancelled = order.show.status == "cancelled"
                reason = "show_cancelled" if cancelled else "late_payment"
            named = [*order.earlier, (order.payment_provider, order.payment_intent_id)]
            its = [intent for by, intent in named if intent and (by or provider) == provider]
            order.name_payment(provider, event_id if event_id in its or not its else its[-1])
            order.paid_at = now
            self._change(now, order, status)
            answer = self._answer(
                "confirm_payment",
                order_id=order.id,
                status=status,
                ticket_ids=sorted(order.ticket_ids),
            )
        if code == "AMOUNT_MISMATCH":
            reason = "amount_mismatch"
        elif code == "ORDER_NOT_PAYABLE":
            reason = "double_payment"
        if order is not None:
            self.events[key] = Event(order, "payment", amount, now, answer)
            if reason is not None and amount is not None and amount > 0:
                self.refunds[key[0], key[1], order.id] = Refund(order, amount, reason, now)
        return dict(answer)

    def _take_seats(self, now: datetime, order: Order) -> bool:
        """Whether the order's seats are its reservation's, taken again if the hold was over."""
        hold = order.hold
        given_up = order.status == "cancelled" and order.cancel_reason != "overdue"
        if given_up or order.show.status == "cancelled":
            return False
        if hold.active and not hold.over(now):
            return True
        if not (hold.over(now) or hold.status == "expired"):
            return False
        for other in self.holds.values():
            if other.over(now) and not other.held.isdisjoint(order.prices):
                self._end(now, other, "expired")
        if not all(self._free(now, self.seats[seat]) for seat in order.prices):
            return False
        for seat in order.prices:
            hold.claims[seat].released_at = None
        return True

    def _sell(self, now: datetime, order: Order, given: Row) -> None:
        hold = order.hold
        late = hold.status == "expired"
        hold.status = "completed"
        hold.ended_at = now
        self._log_hold(
            now,
            hold,
            "completed",
            hold.held,
            metadata={"late": True} if late else {},
            hold_seconds=None if late else (now - hold.created_at).total_seconds(),
        )
        for seat, price in order.prices.items():
            self.tickets[order.id, seat] = Ticket(order, price, now)
        order.ticket_ids = tuple(given["ticket_ids"] or ())
        for other in self.orders.values():
            if other.hold is hold and other is not order and other.status in ("pending", "failed"):
                other.cancel_reason = "superseded"
                self._change(now, other, "cancelled")

    def fail(
        self,
        now: datetime,
        show_id: str | None,
        order_id: str | None,
        provider: str | None,
        event_id: str | None,
        error_message: str | None,
    ) -> Row:
        order = self._by_order_id(show_id, order_id)
        code = self._why_not_event(provider, event_id)
        if code is not None:
            return self._refuse_payment(
                now, "fail_payment", code, show_id, order_id, None, provider, None
            )
        key = (str(provider), str(event_id), "failure", str(order_id))
        if order is not None and key in self.events:
            first = self.events[key].answer
            return {column: first[column] for column in COLUMNS["fail_payment"]}
        if order is None:
            code = "NOT_FOUND"
        elif order.status not in ("pending", "failed"):
            code = "ORDER_NOT_PAYABLE"
        if code is not None or order is None:
            answer = self._refuse_payment(
                now, "fail_payment", str(code), show_id, order_id, order, provider, None
            )
        else:
            order.error_message = error_message
            order.payment_provider = order.payment_provider or provider
            self._change(now, order, "failed")
            answer = self._answer("fail_payment", order_id=order.id, status="failed")
        if order is not None:
            self.events[key] = Event(order, "failure", None, now, answer | {"ticket_ids": []})
        return answer

    def refund(self, now: datetime, show_id: str | None, order_id: str | None) -> Row:
        order = self._by_order_id(show_id, order_id)
        if order is None or order.status not in ("paid", "refund_due"):
            return self._refuse_payment(
                now,
                "refund_order",
                "NOT_FOUND" if order is None else "ORDER_NOT_REFUNDABLE",
                show_id,
                order_id,
                order,
                None,
                None,
            )
        sold = [key for key in self.tickets if key[0] == order.id]
        for key in sold:
            self.tickets[key].status = "refunded"
            order.hold.claims[key[1]].released_at = now
        if order.status == "paid":
            came_with = next(
                key
                for key, event in self.events.items()
                if event.order is order
                and event.answer["status"] == "paid"
                and key[2] == "payment"
                and event.answer["success"]
            )
            cancelled = order.show.status == "cancelled"
            self.refunds[came_with[0], came_with[1], order.id] = Refund(
                order,
                order.total,
                "show_cancelled" if cancelled else "tickets_cancelled",
                now,
                sorted(order.ticket_ids),
                now,
            )
        else:
            for row in self.refunds.values():
                if row.order is order and row.reason in ("late_payment", "show_cancelled"):
                    row.done_at = now
        order.refunded = order.total
        self._change(now, order, "refunded")
        return self._answer(
            "refund_order", order_id=order.id, status="refunded", seats_released=len(sold)
        )

    # --- what the house and the clock do ------------------------------------------------------

    def move_expiry(self, hold: Hold, expires_at: datetime) -> None:
        hold.expires_at = expires_at

    def let_time_pass(self, number_of_minutes: int) -> None:
        passed = minutes(number_of_minutes)
        for hold in self.holds.values():
            if hold.active or hold.status == "expired":
                hold.created_at -= passed
                hold.expires_at -= passed
                if hold.ended_at is not None:
                    hold.ended_at -= passed
        for order in self.orders.values():
            if order.status == "pending":
                order.created_at -= passed

    def toggle_block(self, seat: Seat) -> None:
        """The house blocks what is free, and frees what it has blocked; nothing else."""
        if seat.blocked or self._holder(seat) is None:
            seat.blocked = not seat.blocked

    # --- what can be seen ---------------------------------------------------------------------

    def tables(self) -> Tables:
        """The rows that the tables must have, by key; columns that are random are left out."""
        return {
            "shows": {(show.id,): {"status": show.status} for show in self.shows.values()},
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
                    "released_at": claim.released_at,
                }
                for hold in self.holds.values()
                for seat, claim in hold.claims.items()
            },
            "ticket_orders": {
                (order.id,): {
                    "show_id": order.show.id,
                    "reservation_id": order.hold.id,
                    "seat_ids": sorted(order.prices),
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
                key: {
                    "show_id": row.order.show.id,
                    "ticket_ids": row.ticket_ids,
                    "amount_in_cents": row.amount_in_cents,
                    "currency": row.order.show.currency,
                    "reason": row.reason,
                    "status": "due" if row.done_at is None else "done",
                    "created_at": row.created_at,
                    "done_at": row.done_at,
                }
                for key, row in self.refunds.items()
            },
            "tickets": {
                key: {
                    "show_id": ticket.order.show.id,
                    "price_in_cents": ticket.price_in_cents,
                    "currency": ticket.order.show.currency,
                    "status": ticket.status,
                    "created_at": ticket.created_at,
                }
                for key, ticket in self.tickets.items()
            },
            "payment_events": {
                key: {
                    "show_id": event.order.show.id,
                    "amount_in_cents": event.amount_in_cents,
                    "success": event.answer["success"],
                    "order_status": event.answer["status"],
                    "ticket_ids": event.answer["ticket_ids"],
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

    # --- parts ----------------------------------------------------------------------------------

    def _holder(self, seat: Seat) -> Hold | None:
        return next((hold for hold in self.holds.values() if seat.id in hold.held), None)

    def _free(self, now: datetime, seat: Seat) -> bool:
        holder = self._holder(seat)
        return not seat.blocked and (holder is None or holder.over(now))

    def _by_token(self, token: str | None) -> Hold | None:
        return next((hold for hold in self.holds.values() if hold.token == token), None)

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

    def _why_not_own(self, hold: Hold | None, session_id: str | None) -> str | None:
        if hold is None:
            return "NOT_FOUND"
        return None if hold.session_id == session_id else "PERMISSION_DENIED"

    def _why_not_use(self, now: datetime, hold: Hold | None, session_id: str | None) -> str | None:
        code = self._why_not_own(hold, session_id)
        if code is None and hold is not None:
            if hold.status in ("released", "completed"):
                code = "RESERVATION_INACTIVE"
            elif hold.status == "expired" or hold.over(now):
                code = "RESERVATION_EXPIRED"
        return code

    def _why_not_event(self, provider: str | None, event_id: str | None) -> str | None:
        bad = blank(provider) or blank(event_id) or too_long(200, provider, event_id)
        return "INVALID_INPUT" if bad else None

    def _end(self, now: datetime, hold: Hold, status: str) -> None:
        seats = hold.held
        hold.status = status
        hold.ended_at = now
        for seat in seats:
            hold.claims[seat].released_at = now
        self._log_hold(
            now, hold, status, seats, hold_seconds=(now - hold.created_at).total_seconds()
        )

    def _cancel_unpaid(self, now: datetime, hold: Hold) -> None:
        for order in self.orders.values():
            if order.hold is hold and order.status in ("pending", "failed"):
                order.cancel_reason = "released"
                self._change(now, order, "cancelled")

    def _change(self, now: datetime, order: Order, status: str) -> None:
        old, order.status = order.status, status
        if old != status:
            self._log_order(now, order, old)

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
    ) -> None:
        seats = sorted(map(str, seat_ids))
        self.hold_log.append(
            {
                "event_type": event_type,
                "reservation_id": hold.id,
                "show_id": hold.show.id,
                "session_id": hold.session_id,
                "seat_count": len(seats),
                "seat_ids": seats,
                "error_code": None,
                "error_message": None,
                # The contract promises the caller's address for the calls that tell it.
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
