"""The machine, continued: what else a shop does with a hold."""

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, multiple, rule

from tests.support.machine import (
    ITS_OWN,
    SESSIONS,
    UNKNOWN,
    TicketMachine,
    callers,
    sessions,
    shows,
    some_seats,
)

TYPES = ("child", "adult", "member")
ADD_TWISTS = ("twice", "none", "NULL", "its own", "many")


class ShopMachine(TicketMachine):
    tokens = TicketMachine.tokens
    a_token = TicketMachine.a_token

    def _reserve_best(self, *arguments: Any) -> str | None:
        with self.step():
            answer, now = self.call("reserve_best_seats", *arguments)
            expected = self.model.reserve_best(now, answer, *arguments)
            self.agree("reserve_best_seats", answer, expected)
        token: str | None = answer["reservation_token"]
        return token

    @rule(
        target=tokens,
        show=shows,
        quantity=st.sampled_from((1, 1, 2, 2, 3, 4)),
        session=sessions,
        section=st.sampled_from((None, None, "stalls")),
        max_price=st.sampled_from((None, None, None, 1250, 1450)),
    )
    def reserve_the_best(
        self, show: int, quantity: int, session: str, section: str | None, max_price: int | None
    ) -> str | MultipleResults[str]:
        token = self._reserve_best(self.show_ids[show], quantity, session, section, max_price)
        return multiple() if token is None else token

    @rule(token=a_token)
    def reserve_the_best_again(self, token: str) -> None:
        """The answer was lost."""
        hold = self.hold_of(token)
        again = self._reserve_best(hold.show.id, len(hold.held) or 1, hold.session_id)
        self.count(
            "reserve_best_seats", "the same hold again" if again == hold.token else "another"
        )

    @rule(
        show=st.sampled_from((*(0,) * 6, None, UNKNOWN)),
        quantity=st.sampled_from((*(1,) * 6, 0, None, 500)),
        session=st.sampled_from((*("a visitor",) * 8, " ", "d" * 201)),
        section=st.sampled_from((None, None, " ", "balcony", "balcony")),
        max_price=st.sampled_from((None, None, -1, 0)),
    )
    def reserve_the_best_of_nonsense(
        self,
        show: int | str | None,
        quantity: int | None,
        session: str,
        section: str | None,
        max_price: int | None,
    ) -> None:
        self._reserve_best(
            self.show_ids[show] if isinstance(show, int) else show,
            quantity,
            f"visitor {len(self.model.holds)}" if session == "a visitor" else session,
            section,
            max_price,
        )

    @rule(
        token=a_token,
        caller=callers,
        seats=some_seats,
        twist=st.sampled_from((*("",) * 6, *("of others", "closed", "unknown") * 2, *ADD_TWISTS)),
    )
    def add(self, token: str, caller: str | None, seats: tuple[int, ...], twist: str) -> None:
        token, caller = self.with_a_hold(token, caller, twist)
        hold = self.hold_of(token)
        show = self.show_ids.index(hold.show.id)
        its: list[str | None] = [self.seat_ids[show][seat] for seat in seats]
        twisted: dict[str, list[str | None]] = {
            "twice": its[:1] * 2,
            "none": [],
            "NULL": [*its, None],
            "unknown": [UNKNOWN],
            "its own": list(hold.held),
            "many": [*its, *(str(UUID(int=n)) for n in range(1, 10))],
        }
        wanted = twisted.get(twist, its)
        if twist == "of others":
            self.reserve(show, seats, "a rival")
        who = self.shown(token, caller)
        status = hold.show.status
        if twist == "closed":
            self.set_the_show(show, "closed")
        with self.step():
            answer, now = self.call("add_seats", *who, wanted)
            self.agree("add_seats", answer, self.model.add(now, *who, wanted))
        if twist == "closed":
            self.set_the_show(show, status)

    @rule(
        token=a_token,
        caller=callers,
        prices=st.lists(st.sampled_from((0, 500, 1000)), min_size=4, max_size=4),
        types=st.none() | st.lists(st.sampled_from((None, *TYPES)), min_size=4, max_size=4),
        twist=st.sampled_from((*("",) * 6, "too few", "negative", "blank type", "strange seat")),
    )
    def price(
        self,
        token: str,
        caller: str | None,
        prices: list[int],
        types: list[str | None] | None,
        twist: str,
    ) -> None:
        token, caller = self.with_a_hold(token, caller, twist)
        hold = self.hold_of(token)
        seats = sorted(hold.held)[:4] or [UNKNOWN]
        if twist == "strange seat":
            seats = [*seats[:3], next(seat for seat in self.model.seats if seat not in hold.held)]
        wanted = prices[: len(seats)]
        if twist in ("too few", "negative"):
            wanted = wanted[1:] if twist == "too few" else [-1, *wanted[1:]]
        named = None if types is None else types[: len(seats)]
        if twist == "blank type":
            named = [" "] * len(seats)
        who = self.shown(token, caller)
        with self.step():
            answer, now = self.call("price_seats", *who, seats, wanted, named)
            self.agree("price_seats", answer, self.model.price(now, *who, seats, wanted, named))

    @rule(
        token=a_token,
        caller=callers,
        new=st.sampled_from((*SESSIONS, *SESSIONS, " ", "d" * 201)),
        email=st.sampled_from((None, "ada@example.org")),
    )
    def log_in(self, token: str, caller: str | None, new: str, email: str | None) -> None:
        who = self.shown(token, caller)
        arguments = (*who, new, None if email is None else f"user of {new}"[:200], email)
        with self.step():
            answer, now = self.call("move_reservation", *arguments)
            self.agree("move_reservation", answer, self.model.move(now, *arguments))

    @rule(token=a_token, seats=some_seats, new=sessions)
    def log_in_where_one_has_reserved_already(
        self, token: str, seats: tuple[int, ...], new: str
    ) -> None:
        hold = self.hold_of(token)
        self.reserve(self.show_ids.index(hold.show.id), seats, new)
        if hold.token is not None:
            self.log_in(hold.token, ITS_OWN, new, None)

    @rule(target=TicketMachine.orders, token=a_token)
    def order_at_other_prices(self, token: str) -> str | MultipleResults[str]:
        """A child and a voucher: what follows from the prices is seen at the payment."""
        self.price(token, ITS_OWN, [500, 0, 500, 0], ["child", "member", None, None], "")
        return self.order(token, ITS_OWN)

    @rule(
        show=shows,
        starts=st.sampled_from((None, None, None, -60, 60)),
        ends=st.sampled_from((None, None, None, -30, 3600)),
    )
    def set_the_sales_window(self, show: int, starts: int | None, ends: int | None) -> None:
        if starts is not None and ends is not None and starts >= ends:
            ends = None
        with self.step():
            (row,) = self.house.dba.execute(
                "UPDATE shows SET sales_start_at = now() + make_interval(secs => %s),"
                " sales_end_at = now() + make_interval(secs => %s)"
                " WHERE id = %s RETURNING sales_start_at, sales_end_at",
                [starts, ends, self.show_ids[show]],
            ).fetchall()
            its = self.model.shows[self.show_ids[show]]
            its.sales_start_at, its.sales_end_at = row
            self.count("sales window", "set")
        if starts == 60 or ends == -30:
            # For a short while, or the rest of the example would be refused.
            self.reserve(show, (0,), "ada")
            self.set_the_sales_window(show, None, None)
