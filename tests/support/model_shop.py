"""The model, continued: what else a shop does with a hold than to extend, release and pay it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.support.books import Hold, Row, Seat, blank, too_long
from tests.support.model_orders import OrderModel

HIGHEST_PRICE = 100_000_000_000


@dataclass
class ShopModel(OrderModel):
    """All functions that the application calls."""

    def reserve_best(
        self,
        now: datetime,
        given: Row,
        show_id: str | None,
        quantity: int | None,
        session_id: str | None,
        section: str | None = None,
        max_price: int | None = None,
        user_id: str | None = None,
        email: str | None = None,
        user_agent: str | None = None,
        ip_address: str | None = None,
    ) -> Row:
        """Which seats, the database decides; whether they are good ones is judged here."""
        who = (user_id, email, user_agent, ip_address)
        bad = (
            show_id is None
            or quantity is None
            or quantity < 1
            or blank(session_id)
            or too_long(200, session_id, user_id)
            or too_long(320, email)
            or (section is not None and blank(section))
            or (max_price is not None and max_price < 0)
        )
        own = self._own(now, show_id, session_id)
        fits = [
            seat
            for seat in self.seats.values()
            if seat.show.id == show_id
            and section in (None, "stalls")
            and (max_price is None or seat.price_in_cents <= max_price)
        ]
        show = self.shows.get(str(show_id))
        code = None
        if bad:
            code = "INVALID_INPUT"
        elif (
            own is not None
            and own.show.status != "cancelled"
            and len(own.held) == quantity
            and section in (None, "stalls")
            # At the price of its claim, which price_seats may have changed.
            and (
                max_price is None
                or all(own.claims[seat].price_in_cents <= max_price for seat in own.held)
            )
        ):
            return self._best(own)
        elif show is None or not show.sells(now):
            code = "SHOW_NOT_ON_SALE"
        elif quantity is not None and quantity > self.settings.max_seats_per_reservation:
            code = "TOO_MANY_SEATS"
        elif own is not None:
            code = "DUPLICATE_RESERVATION"
        elif section not in (None, "stalls"):
            code = "SEATS_NOT_FOUND"
        unclaimed = [] if code else self._unclaimed(now, show_id, session_id, fits, quantity)
        if code is None and len(unclaimed) < (quantity or 0):
            code = "SEATS_UNAVAILABLE"
        if code is not None or quantity is None:
            return self._refuse_hold(
                now,
                "reserve_best_seats",
                str(code),
                session_id,
                show_id=show_id,
                user_agent=user_agent,
                ip_address=ip_address,
            )
        chosen = sorted(given["seat_ids"] or [])
        others = [
            seat
            for seat in self.in_row(str(show_id))
            if not seat.blocked and self._holder(seat) is None
        ]
        if not self._good(unclaimed, others, chosen, quantity):
            chosen = [seat.id for seat in unclaimed[:quantity]]
        self._take(now, given, str(show_id), chosen, str(session_id), *who)
        return self._best(self.holds[given["reservation_id"]])

    def _unclaimed(
        self,
        now: datetime,
        show_id: str | None,
        session_id: str | None,
        fits: Sequence[Seat],
        quantity: int | None,
    ) -> list[Seat]:
        """Those of these seats that nobody holds.

        An overdue hold of the session itself is ended; those of others only if there are too few
        seats without them.
        """
        unclaimed: list[Seat] = []
        for own in (True, False):
            for hold in self.holds.values():
                fitting = not hold.held.isdisjoint(seat.id for seat in fits)
                if (
                    hold.show.id == show_id
                    and hold.over(now)
                    and (hold.session_id == session_id if own else fitting)
                ):
                    self._end(now, hold, "expired")
            unclaimed = [s for s in fits if not s.blocked and self._holder(s) is None]
            if len(unclaimed) >= (quantity or 0):
                break
        return unclaimed

    def _good(
        self, free: Sequence[Seat], all_free: Sequence[Seat], chosen: Sequence[str], quantity: int
    ) -> bool:
        """Whether these are so many of the free seats, adjacent if there are any that are.

        `free`: those that fit; others are too expensive, and should not be left alone either.
        """
        places = {seat.id: n for n, seat in enumerate(self.in_row(free[0].show.id))}
        free_places = {places[seat.id] for seat in free}
        blocks = [
            set(range(first, first + quantity))
            for first in range(len(places))
            if free_places.issuperset(range(first, first + quantity))
        ]
        taken = {places[seat] for seat in chosen if seat in places}
        all_places = {places[seat.id] for seat in all_free}
        if len(chosen) != quantity or not free_places >= taken or len(taken) != quantity:
            return False
        if not blocks:
            return True
        fewest = min(orphans(all_places, block) for block in blocks)
        return taken in blocks and orphans(all_places, taken) == fewest

    def in_row(self, show_id: str) -> list[Seat]:
        """The seats of a show, which are one row, from its one end to the other."""
        return [seat for seat in self.seats.values() if seat.show.id == show_id]

    def _best(self, hold: Hold) -> Row:
        held = self._held(hold)
        return self._answer("reserve_best_seats") | held | {"seat_ids": sorted(hold.held)}

    def add(
        self,
        now: datetime,
        token: str | None,
        session_id: str | None,
        seat_ids: Sequence[str | None] | None,
    ) -> Row:
        hold = self._by_token(token)
        wanted = [] if seat_ids is None else list(seat_ids)
        code = self._why_not_own(hold, session_id)
        if code is None and (not wanted or None in wanted or len(set(wanted)) < len(wanted)):
            code = "INVALID_INPUT"
        code = code or self._why_not_use(now, hold, session_id)
        if code is None and hold is not None and hold.show.status == "cancelled":
            code = "SHOW_NOT_ON_SALE"
        if code is None and hold is not None:
            new = [seat for seat in wanted if seat not in hold.held]
            seats = [self.seats.get(str(seat)) for seat in new]
            if not new:
                return self._added(hold)
            if not hold.show.sells(now):
                code = "SHOW_NOT_ON_SALE"
            elif len(hold.held) + len(new) > self.settings.max_seats_per_reservation:
                code = "TOO_MANY_SEATS"
            elif any(seat is None or seat.show is not hold.show for seat in seats):
                code = "SEATS_NOT_FOUND"
            elif not all(seat is not None and self.is_free(now, seat) for seat in seats):
                code = "SEATS_UNAVAILABLE"
            else:
                for other in self.holds.values():
                    if other.over(now) and not other.held.isdisjoint(new):
                        self._end(now, other, "expired")
                self._cancel_unpaid(now, hold, "changed")
                self._claim(hold, [str(seat) for seat in new])
                self._log_hold(now, hold, "added", new)
                return self._added(hold)
        return self._refuse_hold(
            now, "add_seats", str(code), session_id, hold=hold, seat_ids=seat_ids
        )

    def _added(self, hold: Hold) -> Row:
        held = self._held(hold)
        return self._answer("add_seats") | {name: held[name] for name in held}

    def price(
        self,
        now: datetime,
        token: str | None,
        session_id: str | None,
        seat_ids: Sequence[str | None] | None,
        prices: Sequence[int | None] | None,
        types: Sequence[str | None] | None,
    ) -> Row:
        hold = self._by_token(token)
        seats, wanted = list(seat_ids or ()), list(prices or ())
        code = self._why_not_own(hold, session_id)
        if code is None and (
            not seats
            or None in seats
            or len(set(seats)) < len(seats)
            or len(wanted) != len(seats)
            or (types is not None and len(types) != len(seats))
            or any(price is None or not 0 <= price <= HIGHEST_PRICE for price in wanted)
            or any(kind is not None and (blank(kind) or len(kind) > 200) for kind in types or ())
        ):
            code = "INVALID_INPUT"
        code = code or self._why_not_use(now, hold, session_id)
        if code is None and hold is not None:
            if hold.show.status == "cancelled":
                code = "SHOW_NOT_ON_SALE"
            elif not hold.held.issuperset(seats):
                code = "SEATS_NOT_FOUND"
            else:
                claims = [hold.claims[str(seat)] for seat in seats]
                changes = [
                    (claim, int(wanted[n] or 0), claim.ticket_type if types is None else types[n])
                    for n, claim in enumerate(claims)
                ]
                changed = any(
                    (claim.price_in_cents, claim.ticket_type) != (price, kind)
                    for claim, price, kind in changes
                )
                if changed and any(
                    order.hold is hold and order.status in ("pending", "failed", "paid")
                    for order in self.orders.values()
                ):
                    return self._refuse_hold(
                        now, "price_seats", "ORDER_EXISTS", session_id, hold=hold, seat_ids=seat_ids
                    )
                for claim, price, kind in changes:
                    claim.price_in_cents, claim.ticket_type = price, kind
                if changed:
                    self._log_hold(
                        now,
                        hold,
                        "priced",
                        seats,
                        metadata={
                            "prices_in_cents": wanted,
                            "ticket_types": None if types is None else list(types),
                        },
                    )
                return self._answer(
                    "price_seats",
                    reservation_id=hold.id,
                    total_amount_in_cents=sum(
                        hold.claims[seat].price_in_cents for seat in hold.held
                    ),
                    currency=hold.show.currency,
                )
        return self._refuse_hold(
            now, "price_seats", str(code), session_id, hold=hold, seat_ids=seat_ids
        )

    def move(
        self,
        now: datetime,
        token: str | None,
        session_id: str | None,
        new_session_id: str | None,
        user_id: str | None = None,
        email: str | None = None,
    ) -> Row:
        hold = self._by_token(token)
        has_moved = hold is not None and hold.session_id == new_session_id
        owner = hold.session_id if hold is not None and has_moved else session_id
        code = self._why_not_own(hold, owner)
        if code is None and (
            blank(new_session_id) or too_long(200, new_session_id, user_id) or too_long(320, email)
        ):
            code = "INVALID_INPUT"
        code = code or self._why_not_use(now, hold, owner)
        if code is None and hold is not None:
            if hold.show.status == "cancelled":
                code = "SHOW_NOT_ON_SALE"
            elif has_moved and user_id in (None, hold.user_id) and email in (None, hold.email):
                return self._answer("move_reservation", reservation_id=hold.id)
            elif self._own(now, hold.show.id, new_session_id) not in (None, hold):
                code = "DUPLICATE_RESERVATION"
            else:
                for other in self.holds.values():
                    if (
                        other.show is hold.show
                        and other.session_id == new_session_id
                        and other.over(now)
                    ):
                        self._end(now, other, "expired")
                hold.session_id = str(new_session_id)
                hold.user_id, hold.email = user_id or hold.user_id, email or hold.email
                self._log_hold(now, hold, "transferred", hold.held)
                return self._answer("move_reservation", reservation_id=hold.id)
        return self._refuse_hold(now, "move_reservation", str(code), session_id, hold=hold)


def orphans(free: set[int], block: set[int]) -> int:
    """How many places beside a block would be left free without a free neighbour."""
    left, right = min(block) - 1, max(block) + 1
    return (left in free and left - 1 not in free) + (right in free and right + 1 not in free)
