"""What ticketdb promises, once more in Python, for a hall small enough to think about.

Written from the contract and not from the SQL. It keeps as little as it can: a seat has no status
of its own, whose claim on it is live decides. Every call takes `now`, the start of the database's
transaction, and `given`, the database's answer, from which it takes what nobody else can know: new
ids and secrets, and when exactly a hold began, a little later than its transaction. Whether there
should be any, the model decides for itself.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.support.answers import COLUMNS
from tests.support.books import (
    Books,
    Claim,
    Event,
    Hold,
    Order,
    Refund,
    Row,
    Seat,
    Ticket,
    blank,
    minutes,
    too_long,
)


@dataclass
class Model(Books):
    """The books, and what calls do to them."""

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
        """Ends overdue holds: which of them, when they are more than a batch, is open."""
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

    # --- parts ----------------------------------------------------------------------------------

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
