"""The model of holds: reserved, extended, released, and cleaned up when they are over."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.support.books import (
    Books,
    Claim,
    Hold,
    Order,
    Row,
    Seat,
    blank,
    minutes,
    too_long,
)


@dataclass
class HoldModel(Books):
    """Holds, and how the clock ends them."""

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
        who = (user_id, email, user_agent, ip_address)
        return self._held(
            self._take(now, given, show_id, list(map(str, seat_ids)), session_id, *who)
        )

    def _take(
        self,
        now: datetime,
        given: Row,
        show_id: str,
        seat_ids: Sequence[str],
        session_id: str,
        user_id: str | None,
        email: str | None,
        user_agent: str | None,
        ip_address: str | None,
    ) -> Hold:
        for hold in self.holds.values():
            conflicts = hold.session_id == session_id or not hold.held.isdisjoint(seat_ids)
            if hold.show.id == show_id and hold.over(now) and conflicts:
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
            claims={},
        )
        self._claim(new, seat_ids)
        self.holds[new.id] = new
        self._log_hold(now, new, "created", new.held)
        return new

    def _claim(self, hold: Hold, seat_ids: Sequence[str]) -> None:
        for seat in seat_ids:
            hold.claims[seat] = Claim(self.seats[seat].price_in_cents)

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
        if show is None or not show.sells(now):
            return "SHOW_NOT_ON_SALE"
        if len(seat_ids) > self.settings.max_seats_per_reservation:
            return "TOO_MANY_SEATS"
        if self._own(now, show_id, session_id) is not None:
            return "DUPLICATE_RESERVATION"
        seats = [self.seats.get(str(seat)) for seat in seat_ids]
        if any(seat is None or seat.show is not show for seat in seats):
            return "SEATS_NOT_FOUND"
        if not all(seat is not None and self.is_free(now, seat) for seat in seats):
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

    def _end(self, now: datetime, hold: Hold, status: str) -> None:
        seats = hold.held
        hold.status = status
        hold.ended_at = now
        for seat in seats:
            hold.claims[seat].released_at = now
        self._log_hold(
            now, hold, status, seats, hold_seconds=(now - hold.created_at).total_seconds()
        )

    def _cancel_unpaid(self, now: datetime, hold: Hold, reason: str = "released") -> None:
        for order in self.orders.values():
            if order.hold is hold and order.status in ("pending", "failed"):
                order.cancel_reason = reason
                self._change(now, order, "cancelled")

    def _change(self, now: datetime, order: Order, status: str) -> None:
        old, order.status = order.status, status
        if old != status:
            self._log_order(now, order, old)
