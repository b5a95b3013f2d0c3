"""The model of the box office: what the staff does about money, and about people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.support.books import Event, Order, Refund, Row, Ticket, blank, too_long
from tests.support.model_staff import StaffModel


@dataclass
class MoneyModel(StaffModel):
    """Tickets taken back, refunds and disputes recorded, and shows cancelled."""

    def cancel_tickets(
        self,
        now: datetime,
        show_id: str | None,
        ticket_ids: Sequence[str | None] | None,
        staff: str | None,
    ) -> Row:
        wanted = list(ticket_ids or ())
        tickets = [self._ticket(show_id, ticket_id) for ticket_id in wanted]
        code = None
        if (
            not wanted
            or None in wanted
            or len(set(wanted)) < len(wanted)
            or blank(staff)
            or too_long(200, staff)
        ):
            code = "INVALID_INPUT"
        elif any(ticket is None or ticket.status != "valid" for ticket in tickets):
            before = [
                refund
                for refund in self.refunds
                if {ticket.id for ticket in refund.tickets} & set(wanted)
            ]
            covered = [ticket for refund in before for ticket in refund.tickets]
            known = [ticket for ticket in tickets if ticket is not None]
            free = [ticket for ticket in known if ticket not in covered]
            if (
                len(known) == len(wanted)
                and all(ticket.status == "refunded" for ticket in known)
                and all(ticket in known for ticket in covered)
                and not any(ticket.price_in_cents for ticket in free)
            ):
                return self._cancelled(before, known)
            code = "TICKETS_NOT_FOUND"
        if code is not None:
            return self._refuse_order(now, "cancel_tickets", code, show_id=show_id)
        orders: dict[str, list[Ticket]] = {}
        for ticket in tickets:
            if ticket is not None:
                orders.setdefault(ticket.order.id, []).append(ticket)
        new = [
            refund
            for order_id, its in orders.items()
            if (
                refund := self._take_back(
                    now, self.orders[order_id], its, "tickets_cancelled", staff
                )
            )
        ]
        return self._cancelled(new, [ticket for its in orders.values() for ticket in its])

    def _cancelled(self, refunds: Sequence[Refund], tickets: Sequence[Ticket]) -> Row:
        """The ids of new refunds are not known yet."""
        return self._answer(
            "cancel_tickets",
            tickets_cancelled=len(tickets),
            refund_ids=[refund.id for refund in refunds],
            amount_in_cents=sum(refund.amount_in_cents for refund in refunds),
            currency=tickets[0].order.show.currency,
        )

    def record_refund(
        self,
        now: datetime,
        show_id: str | None,
        refund_id: str | None,
        provider: str | None,
        event_id: str | None,
        staff: str | None = None,
    ) -> Row:
        refund = next(
            (
                row
                for row in self.refunds
                if row.id is not None and row.id == refund_id and row.order.show.id == show_id
            ),
            None,
        )
        code = self._why_not_event(provider, event_id)
        if code is None and staff is not None and (blank(staff) or too_long(200, staff)):
            code = "INVALID_INPUT"
        if code == "INVALID_INPUT":
            refund = None
        order = refund.order if refund else None
        key = (str(provider), str(event_id), "refund", order.id if order else "")
        event = self.events.get(key)
        if event is not None and refund is not None and event.refund is refund:
            return self._recorded(refund) | {"status": event.answer["status"]}
        if code is None and refund is None:
            code = "NOT_FOUND"
        elif event is not None:
            code = "EVENT_MISMATCH"
        elif refund is not None and refund.done_at is not None:
            code = "ALREADY_REFUNDED"
        if code is not None or refund is None or order is None:
            known = (
                {}
                if refund is None
                else {
                    "refund_id": refund.id,
                    "amount_in_cents": refund.amount_in_cents,
                    "currency": refund.order.show.currency,
                }
            )
            return (
                self._refuse_payment(
                    now,
                    "record_refund",
                    str(code),
                    show_id,
                    order.id if order else None,
                    order,
                    provider,
                    refund.amount_in_cents if refund else None,
                )
                | known
            )
        was = order.status
        self._settle(now, refund)
        self._store(now, key, refund.amount_in_cents, order, refund)
        self._log_action(
            now, "record_refund", order, was, refund.amount_in_cents, provider=provider
        )
        return self._recorded(refund)

    def _recorded(self, refund: Refund) -> Row:
        return self._answer(
            "record_refund",
            refund_id=refund.id,
            order_id=refund.order.id,
            status=refund.order.status,
            amount_in_cents=refund.amount_in_cents,
            currency=refund.order.show.currency,
        )

    def _settle(self, now: datetime, refund: Refund) -> None:
        """The money of a refund has gone back."""
        refund.done_at = now
        order = refund.order
        if order.status == "refund_due" and refund.reason in ("late_payment", "show_cancelled"):
            order.refunded = order.total
            self._change(now, order, "refunded")

    def record_dispute(
        self,
        now: datetime,
        show_id: str | None,
        order_id: str | None,
        provider: str | None,
        event_id: str | None,
        amount: int | None,
        staff: str | None = None,
    ) -> Row:
        """The id of a new refund is not known yet."""
        code = self._why_not_event(provider, event_id)
        if amount is None or amount <= 0 or (staff is not None and blank(staff)):
            code = "INVALID_INPUT"
        order = self._by_order_id(show_id, order_id) if code is None else None
        key = (str(provider), str(event_id), "dispute", order.id if order else "")
        event = self.events.get(key)
        if event is not None and event.amount_in_cents == amount:
            return self._disputed(event)
        valid = [
            ticket
            for ticket in (self.tickets_of(order) if order else ())
            if ticket.status == "valid"
        ]
        due = [
            refund
            for refund in self.refunds
            if refund.order is order and refund.done_at is None and refund.amount_in_cents == amount
        ]
        if code is None and order is None:
            code = "NOT_FOUND"
        elif event is not None:
            code = "EVENT_MISMATCH"
        elif code is None and not due and sum(ticket.price_in_cents for ticket in valid) != amount:
            code = "AMOUNT_MISMATCH"
        if code is not None or order is None or amount is None:
            return self._refuse_payment(
                now, "record_dispute", str(code), show_id, order_id, order, provider, amount
            )
        was = order.status
        if due:
            # The oldest: ids are in the order of time.
            refund: Refund | None = min(due, key=lambda refund: str(refund.id))
            self._settle(now, due[0] if refund is None else refund)
            taken: list[Ticket] = []
        else:
            refund = self._take_back(now, order, valid, "dispute", staff, now)
            taken = valid
        self._store(now, key, amount, order, refund, taken)
        self._log_action(now, "record_dispute", order, was, amount, provider=provider)
        return self._disputed(self.events[key])

    def _disputed(self, event: Event) -> Row:
        return self._answer(
            "record_dispute",
            order_id=event.order.id,
            status=event.answer["status"],
            refund_id=event.refund and event.refund.id,
            tickets_cancelled=len(event.taken),
        )

    def cancel_show(self, now: datetime, show_id: str, staff: str) -> Row:
        """To its end: so few reservations are one portion."""
        show = self.shows[show_id]
        if show.status != "cancelled":
            show.status = "cancelled"
            self._log_action(now, "cancel_show_portion", None, None, None, show_id=show_id)
        holds = [hold for hold in self.holds.values() if hold.show is show and hold.held]
        ended = cancelled = refunded = 0
        for order in self.orders.values():
            if order.show is show and order.status in ("pending", "failed"):
                order.cancel_reason = "show_cancelled"
                self._change(now, order, "cancelled")
                cancelled += 1
        for hold in holds:
            if hold.active:
                self._end(now, hold, "expired" if hold.over(now) else "released")
                ended += 1
        for order in self.orders.values():
            if order.show is show and order.status == "paid":
                valid = [ticket for ticket in self.tickets_of(order) if ticket.status == "valid"]
                self._take_back(now, order, valid, "show_cancelled", staff)
                refunded += 1
        if ended + cancelled + refunded:
            self._log_action(now, "cancel_show_portion", None, None, None, show_id=show_id)
        return {
            "holds_ended": ended,
            "orders_cancelled": cancelled,
            "orders_refunded": refunded,
        }

    # --- parts ----------------------------------------------------------------------------------

    def _store(
        self,
        now: datetime,
        key: tuple[str, str, str, str],
        amount: int,
        order: Order,
        refund: Refund | None,
        taken: Sequence[Ticket] = (),
    ) -> None:
        answer: dict[str, Any] = self._answer(
            "confirm_payment", order_id=order.id, status=order.status, ticket_ids=[]
        )
        self.events[key] = Event(order, key[2], amount, now, answer, refund, list(taken))

    def _log_action(
        self,
        now: datetime,
        function: str,
        order: Order | None,
        old_status: str | None,
        amount: int | None,
        *,
        show_id: str | None = None,
        provider: str | None = None,
    ) -> None:
        """A line in the log of orders for a call that may change no status."""
        self.order_log.append(
            {
                "order_id": order and order.id,
                "reservation_id": order and order.hold.id,
                "show_id": order.show.id if order else show_id,
                "session_id": None,
                "old_status": old_status,
                "new_status": None,
                "amount_in_cents": amount,
                "currency": order and order.show.currency,
                "payment_provider": provider,
                "error_code": None,
                "error_message": None,
                "metadata": {"function": function},
                "created_at": now,
            }
        )
