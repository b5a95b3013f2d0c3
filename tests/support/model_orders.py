"""The model of orders and payments."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.support.answers import COLUMNS
from tests.support.books import Event, Order, Refund, Row, Ticket, blank, minutes, too_long
from tests.support.model_holds import HoldModel


@dataclass
class OrderModel(HoldModel):
    """Orders, and what payment providers report about them."""

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
                self.refunds.append(Refund(order, key[0], key[1], amount, reason, now))
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
        if not all(self.is_free(now, self.seats[seat]) for seat in order.prices):
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
            self.tickets.append(Ticket(order, seat, price, hold.claims[seat].ticket_type, now))
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
        sold = [ticket for ticket in self.tickets_of(order) if ticket.status == "valid"]
        if order.status == "paid":
            cancelled = order.show.status == "cancelled"
            reason = "show_cancelled" if cancelled else "tickets_cancelled"
            self._take_back(now, order, sold, reason, None, now)
        else:
            for row in self.refunds:
                if row.order is order and row.reason in ("late_payment", "show_cancelled"):
                    row.done_at = now
            order.refunded = order.total
            self._change(now, order, "refunded")
        return self._answer(
            "refund_order", order_id=order.id, status="refunded", seats_released=len(sold)
        )

    def _why_not_event(self, provider: str | None, event_id: str | None) -> str | None:
        bad = blank(provider) or blank(event_id) or too_long(200, provider, event_id)
        return "INVALID_INPUT" if bad else None

    def _take_back(
        self,
        now: datetime,
        order: Order,
        tickets: Sequence[Ticket],
        reason: str,
        staff: str | None,
        done_at: datetime | None = None,
        came_with: tuple[str, str] | None = None,
    ) -> Refund | None:
        """Refund these tickets of an order, free their seats, and write down what is owed."""
        blocked = []
        for ticket in tickets:
            ticket.status = "refunded"
            order.hold.claims[ticket.seat].released_at = now
            if ticket.checked_in_at is not None:
                self.seats[ticket.seat].blocked = True
                blocked.append(ticket.seat)
        metadata: Row = {"staff": staff} if staff is not None else {}
        if blocked:
            metadata["blocked_seat_ids"] = sorted(blocked)
        self._log_hold(
            now,
            order.hold,
            "refunded",
            [ticket.seat for ticket in tickets],
            metadata=metadata,
            by_staff=True,
        )
        amount = sum(ticket.price_in_cents for ticket in tickets)
        refund = None
        if amount > 0:
            by, event_id = came_with or self._paid_by(order)
            refund = Refund(
                order, by, event_id, amount, reason, now, list(tickets), done_at=done_at
            )
            self.refunds.append(refund)
            order.refunded += amount
        if all(ticket.status != "valid" for ticket in self.tickets_of(order)):
            self._change(now, order, "refunded")
        return refund

    def _paid_by(self, order: Order) -> tuple[str, str]:
        """The provider and the event of the payment that bought the tickets."""
        return next(
            (provider, event_id)
            for (provider, event_id, kind, _), event in self.events.items()
            if event.order is order
            and kind == "payment"
            and event.answer["success"]
            and event.answer["status"] == "paid"
        )
