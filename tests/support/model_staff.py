"""The model of the box office: what the staff does to seats and tickets."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.support.books import (
    Claim,
    Event,
    Hold,
    Order,
    Row,
    Seat,
    Ticket,
    blank,
    too_long,
)
from tests.support.model_shop import HIGHEST_PRICE, ShopModel


@dataclass
class StaffModel(ShopModel):
    """What the staff does to seats and tickets."""

    # --- seats ----------------------------------------------------------------------------------

    def block(
        self,
        now: datetime,
        show_id: str | None,
        seat_ids: Sequence[str | None] | None,
        staff: str | None,
        end_holds: bool = False,
    ) -> Row:
        code, seats = self._why_not_seats(show_id, seat_ids, staff)
        holders = [self._holder(seat) for seat in seats]
        live = [h for h in holders if h is not None and h.active and not h.over(now)]
        if code is None and any(h is not None and not h.active for h in holders):
            code = "SEATS_SOLD"
        if code is None and live and not end_holds:
            code = "SEATS_HELD"
        if code is not None:
            return self._refuse_staff(now, "block_seats", code, show_id, seat_ids)
        for hold in {id(h): h for h in holders if h is not None}.values():
            if hold.over(now):
                self._end(now, hold, "expired")
            else:
                self._cancel_unpaid(now, hold)
                self._end(now, hold, "released")
        changed = [seat for seat in seats if not seat.blocked]
        for seat in changed:
            seat.blocked = True
        if changed:
            self._log_seats(now, "blocked", changed, {"staff": staff})
        return self._answer(
            "block_seats",
            seats_blocked=len(changed),
            holds_ended=len({id(hold) for hold in live}),
        )

    def unblock(
        self,
        now: datetime,
        show_id: str | None,
        seat_ids: Sequence[str | None] | None,
        staff: str | None,
    ) -> Row:
        code, seats = self._why_not_seats(show_id, seat_ids, staff)
        holders = [self._holder(seat) for seat in seats]
        if code is None and any(h is not None and not h.over(now) for h in holders):
            code = "SEATS_NOT_BLOCKED"
        if code is not None:
            return self._refuse_staff(now, "unblock_seats", code, show_id, seat_ids)
        changed = [seat for seat in seats if seat.blocked]
        for seat in changed:
            seat.blocked = False
        if changed:
            self._log_seats(now, "unblocked", changed, {"staff": staff})
        return self._answer("unblock_seats", seats_unblocked=len(changed))

    # --- tickets --------------------------------------------------------------------------------

    def issue(
        self,
        now: datetime,
        given: Row,
        show_id: str | None,
        seat_ids: Sequence[str | None] | None,
        staff: str | None,
        prices: Sequence[int | None] | None = None,
        types: Sequence[str | None] | None = None,
        email: str | None = None,
        provider: str | None = None,
        event_id: str | None = None,
    ) -> Row:
        code, seats = self._why_not_seats(show_id, seat_ids, staff)
        wanted = list(seat_ids or ())
        if code in (None, "SEATS_NOT_FOUND") and (
            (prices is not None and len(prices) != len(wanted))
            or (types is not None and len(types) != len(wanted))
            or any(price is None or not 0 <= price <= HIGHEST_PRICE for price in prices or ())
            or any(kind is not None and (blank(kind) or len(kind) > 200) for kind in types or ())
            or too_long(320, email)
            or too_long(200, provider, event_id)
            or (provider is not None and blank(provider))
            or (event_id is not None and blank(event_id))
        ):
            code = "INVALID_INPUT"
        show = self.shows.get(str(show_id))
        by = provider or "box office"
        if code != "INVALID_INPUT" and event_id is not None:
            for event in self._payments_by(str(show_id), by, event_id):
                sold = event.order
                if (
                    event.answer["success"]
                    and self.seats_of(sold) == sorted(map(str, wanted))
                    and (prices is None or sum(price or 0 for price in prices) == sold.total)
                ):
                    return self._issued(sold, given)
                code = "EVENT_MISMATCH"
        if code in (None, "SEATS_NOT_FOUND"):
            if show is None or show.status == "cancelled":
                code = "SHOW_NOT_ON_SALE"
            elif len(wanted) > self.settings.max_seats_per_staff_order:
                code = "TOO_MANY_TICKETS"
        holders = [self._holder(seat) for seat in seats]
        if code is None and any(h is not None and not h.active for h in holders):
            code = "SEATS_SOLD"
        if code is None and any(h is not None and not h.over(now) for h in holders):
            code = "SEATS_HELD"
        if code is not None or show is None:
            return self._refuse_staff(now, "issue_tickets", str(code), show_id, seat_ids)
        for hold in holders:
            if hold is not None and hold.over(now):
                self._end(now, hold, "expired")
        blocked = sorted(seat.id for seat in seats if seat.blocked)
        new = Hold(
            id=given["reservation_id"],
            token=None,
            show=show,
            session_id="box office",
            user_id=None,
            email=email,
            user_agent=None,
            ip_address=None,
            created_at=now,
            expires_at=now,
            claims={},
            status="completed",
            ended_at=now,
        )
        for n, seat in enumerate(seats):
            seat.blocked = False
            price = seat.price_in_cents if prices is None else prices[n]
            new.claims[seat.id] = Claim(int(price or 0), None if types is None else types[n])
        self.holds[new.id] = new
        order = Order(
            id=given["order_id"],
            hold=new,
            prices={seat: claim.price_in_cents for seat, claim in new.claims.items()},
            idempotency_key=event_id and hashlib.sha256(f"{by}\n{event_id}".encode()).hexdigest(),
            payment_provider=by,
            payment_intent_id=event_id or given["order_id"],
            created_at=now,
            status="paid",
            paid_at=now,
            ticket_ids=tuple(given["ticket_ids"]),
        )
        self.orders[order.id] = order
        for seat_id, claim in new.claims.items():
            self.tickets.append(
                Ticket(order, seat_id, claim.price_in_cents, claim.ticket_type, now)
            )
        key = (by, event_id or order.id, "payment", order.id)
        self.events[key] = Event(
            order,
            "payment",
            order.total,
            now,
            self._answer(
                "confirm_payment",
                order_id=order.id,
                status="paid",
                ticket_ids=sorted(order.ticket_ids),
            ),
        )
        self._log_hold(
            now,
            new,
            "issued",
            new.held,
            metadata={"staff": staff, "blocked_seat_ids": blocked},
            by_staff=True,
        )
        self._log_order(now, order, None)
        return self._issued(order, given)

    def _payments_by(self, show_id: str, provider: str, event_id: str) -> list[Event]:
        return [
            event
            for (by, its, kind, _), event in self.events.items()
            if (by, its, kind) == (provider, event_id, "payment") and event.order.show.id == show_id
        ]

    def _issued(self, order: Order, given: Row) -> Row:
        """The codes are secrets of the database."""
        return self._answer(
            "issue_tickets",
            order_id=order.id,
            reservation_id=order.hold.id,
            ticket_ids=sorted(order.ticket_ids),
            ticket_codes=given["ticket_codes"],
            total_amount_in_cents=order.total,
            currency=order.show.currency,
        )

    def move_tickets(
        self,
        now: datetime,
        show_id: str | None,
        ticket_ids: Sequence[str | None] | None,
        seat_ids: Sequence[str | None] | None,
        staff: str | None,
    ) -> Row:
        code, seats = self._why_not_seats(show_id, seat_ids, staff)
        wanted = list(ticket_ids or ())
        if len(wanted) != len(seat_ids or ()) or None in wanted or len(set(wanted)) < len(wanted):
            code = "INVALID_INPUT"
        tickets = [self._ticket(show_id, ticket_id) for ticket_id in wanted]
        if code in (None, "SEATS_NOT_FOUND") and any(
            ticket is None or ticket.status != "valid" for ticket in tickets
        ):
            code = "TICKETS_NOT_FOUND"
        moves = [
            (ticket, seat)
            for ticket, seat in zip(tickets, seats, strict=False)
            if ticket is not None and ticket.seat != seat.id
        ]
        leaving = {ticket.seat for ticket, _ in moves}
        holders = [
            self._holder(seat) for _, seat in moves if code is None and seat.id not in leaving
        ]
        if code is None and any(h is not None and not h.active for h in holders):
            code = "SEATS_SOLD"
        if code is None and any(h is not None and not h.over(now) for h in holders):
            code = "SEATS_HELD"
        if code is not None:
            return self._refuse_staff(now, "move_tickets", code, show_id, seat_ids)
        for hold in holders:
            if hold is not None and hold.over(now):
                self._end(now, hold, "expired")
        blocked = {seat.id for _, seat in moves if seat.blocked}
        by_hold: dict[str, list[tuple[str, str]]] = {}
        claims = []
        for ticket, seat in moves:
            hold = ticket.order.hold
            old = hold.claims[ticket.seat]
            old.released_at = now
            claims.append((hold, seat.id, Claim(old.price_in_cents, old.ticket_type)))
            by_hold.setdefault(hold.id, []).append((seat.id, ticket.seat))
            ticket.seat = seat.id
            seat.blocked = False
        for hold, seat_id, claim in claims:
            hold.claims[seat_id] = claim
        for hold_id, pairs in by_hold.items():
            self._log_hold(
                now,
                self.holds[hold_id],
                "moved",
                [new for new, _ in pairs],
                metadata={
                    "staff": staff,
                    "from_seat_ids": sorted(old for _, old in pairs),
                    "blocked_seat_ids": sorted(new for new, _ in pairs if new in blocked),
                },
                by_staff=True,
            )
        return self._answer("move_tickets", tickets_moved=len(moves))

    def check_in(
        self,
        now: datetime,
        show_id: str | None,
        ticket_id: str | None,
        gate: str | None,
        nonce: str | None,
    ) -> Row:
        """The model knows no codes: it is asked about the ticket that has the code."""
        ticket = self._ticket(show_id, ticket_id)
        code = None
        if (
            show_id is None
            or blank(gate)
            or (nonce is not None and blank(nonce))
            or too_long(200, gate, nonce)
        ):
            code, ticket = "INVALID_INPUT", None
        elif ticket is None:
            code = "NOT_FOUND"
        elif ticket.status != "valid":
            code = "TICKET_NOT_VALID"
        elif ticket.checked_in_at is not None and (nonce is None or ticket.nonce != nonce):
            code = "ALREADY_USED"
        if code is None and ticket is not None and ticket.checked_in_at is None:
            ticket.checked_in_at, ticket.gate, ticket.nonce = now, gate, nonce
            self._log_hold(
                now,
                ticket.order.hold,
                "checked_in",
                [ticket.seat],
                metadata={"gate": gate},
                by_staff=True,
            )
        values: dict[str, Any] = {}
        if ticket is not None:
            values = {
                "ticket_id": ticket.id,
                "section": "stalls",
                "row_label": "A",
                "seat_number": self.seats[ticket.seat].number,
                "ticket_type": ticket.ticket_type,
                "checked_in_at": ticket.checked_in_at,
                "gate": ticket.gate,
            }
        if code is None:
            return self._answer("check_in_ticket", **values)
        refusal = self._refuse_hold(
            now,
            "check_in_ticket",
            code,
            None,
            hold=ticket.order.hold if ticket else None,
            show_id=show_id,
            seat_ids=[ticket.seat] if ticket else None,
        )
        return refusal | values

    # --- parts ----------------------------------------------------------------------------------

    def _ticket(self, show_id: str | None, ticket_id: str | None) -> Ticket | None:
        return next(
            (
                ticket
                for ticket in self.tickets
                if ticket.id == ticket_id and ticket.order.show.id == show_id
            ),
            None,
        )

    def _why_not_seats(
        self, show_id: str | None, seat_ids: Sequence[str | None] | None, staff: str | None
    ) -> tuple[str | None, list[Seat]]:
        wanted = list(seat_ids or ())
        if (
            show_id is None
            or not wanted
            or None in wanted
            or len(set(wanted)) < len(wanted)
            or blank(staff)
            or too_long(200, staff)
        ):
            return "INVALID_INPUT", []
        seats = [self.seats.get(str(seat)) for seat in wanted]
        if any(seat is None or seat.show.id != show_id for seat in seats):
            return "SEATS_NOT_FOUND", []
        return None, [seat for seat in seats if seat is not None]

    def _log_seats(self, now: datetime, event: str, seats: Sequence[Seat], metadata: Row) -> None:
        """A line about seats and no reservation."""
        self.hold_log.append(
            {
                "event_type": event,
                "reservation_id": None,
                "show_id": seats[0].show.id,
                "session_id": None,
                "seat_count": len(seats),
                "seat_ids": sorted(seat.id for seat in seats),
                "error_code": None,
                "error_message": None,
                "user_agent": None,
                "ip_address": None,
                "metadata": metadata,
                "hold_seconds": None,
                "created_at": now,
            }
        )

    def _refuse_staff(
        self,
        now: datetime,
        function: str,
        code: str,
        show_id: str | None,
        seat_ids: Sequence[str | None] | None,
    ) -> Row:
        return self._refuse_hold(now, function, code, None, show_id=show_id, seat_ids=seat_ids)
