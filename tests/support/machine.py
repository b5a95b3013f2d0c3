"""A machine that calls the functions at random and expects what the model does.

It calls them as the application's role, moves clocks, and changes shows, seats and settings as a
DBA.
"""

from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    initialize,
    multiple,
    rule,
)

from tests.support.books import NIL, Hold, Order, Settings
from tests.support.observing import (
    LAG,
    SEATS,
    SET_POLICY,
    ComparingMachine,
    DisagreementError,
    compare,
)

SESSIONS = ("ada", "bob", "cleo", "dan")
UNKNOWN = "01890000-0000-7000-8000-000000000000"

# --- strategies -----------------------------------------------------------------------------

# One draw each, with the usual case made usual: what is drawn costs more than what is called.
shows = st.sampled_from((0, 0, 1))
some_seats = st.sampled_from(
    [seats for size in (1, 1, 2, 2, 3, 4) for seats in combinations(range(SEATS), size)]
)
sessions = st.sampled_from(SESSIONS)
ITS_OWN = "its own"
callers = st.sampled_from((*(ITS_OWN,) * 15, *SESSIONS, None))
keys = st.sampled_from((*("key-1",) * 7, "key-2", " \t", "k" * 201))
providers = st.sampled_from(("stripe", "adyen"))
places = st.sampled_from((*("its own show",) * 5, "the other show"))
# People mostly go on with what they have just got.
NEWEST = "the newest"
newest = st.just(NEWEST)
garbage_tokens = st.sampled_from((None, "", "garbage", "0" * 64, "ß" * 10_000))
garbage_orders = st.sampled_from((None, NIL, UNKNOWN))
garbage_shows = st.sampled_from((*(0,) * 6, None, UNKNOWN))
garbage_events = st.sampled_from(
    (("stripe", ""), ("stripe", None), ("stripe", "e" * 201), (" \t", "evt"), (None, "evt"))
)


class TicketMachine(ComparingMachine):
    # The two are never empty: each machine begins with a hold and an order.
    tokens: Bundle[str] = Bundle("tokens")
    orders: Bundle[str] = Bundle("orders")
    a_token = newest | tokens
    an_order = newest | orders
    # provider, event, show, order: what a webhook says about itself
    events: Bundle[tuple[str, str, str, str]] = Bundle("events")

    # --- what buyers do -----------------------------------------------------------------------

    def hold_of(self, token: str) -> Hold:
        holds = list(self.model.holds.values())
        if token == NEWEST:
            return next((hold for hold in reversed(holds) if hold.active), holds[-1])
        return next(hold for hold in holds if hold.token == token)

    def with_a_hold(self, token: str, caller: str | None, twist: str) -> tuple[str, str | None]:
        """What is wrong with a call is seldom reached where its hold is over or somebody else's."""
        return (NEWEST, ITS_OWN) if twist else (token, caller)

    def shown(self, token: str, caller: str | None) -> tuple[str | None, str | None]:
        """The token and the session that are shown to the database."""
        hold = self.hold_of(token)
        return hold.token, hold.session_id if caller == ITS_OWN else caller

    def _reserve(self, *arguments: Any) -> str | None:
        with self.step():
            answer, now = self.call("reserve_seats", *arguments)
            expected = self.model.reserve(now, answer, *arguments)
            self.agree("reserve_seats", answer, expected)
            if len(self.model.hold_log) > 1:
                self.count("reserve_seats", "ended holds that were over")
        token: str | None = answer["reservation_token"]
        return token

    @initialize(target=tokens, seats=some_seats)
    def reserve_first(self, seats: tuple[int, ...]) -> str | MultipleResults[str]:
        return self.reserve(0, seats, "ada")

    @rule(target=tokens, show=shows, seats=some_seats, session=sessions)
    def reserve(
        self, show: int, seats: tuple[int, ...], session: str, *who: str
    ) -> str | MultipleResults[str]:
        token = self._reserve(
            self.show_ids[show], [self.seat_ids[show][seat] for seat in seats], session, *who
        )
        return multiple() if token is None else token

    @rule(target=tokens, show=shows, seats=some_seats, session=sessions)
    def reserve_with_a_name(
        self, show: int, seats: tuple[int, ...], session: str
    ) -> str | MultipleResults[str]:
        who = (f"user of {session}", f"{session}@example.org", "browser", "203.0.113.7")
        return self.reserve(show, seats, session, *who)

    @initialize(target=orders, seats=some_seats, session=sessions)
    def order_first(self, seats: tuple[int, ...], session: str) -> str | MultipleResults[str]:
        return self.reserve_and_order(1, seats, session, None)

    @rule(
        target=orders,
        show=shows,
        seats=some_seats,
        session=sessions,
        key=st.sampled_from((None, "key-1")),
    )
    def reserve_and_order(
        self, show: int, seats: tuple[int, ...], session: str, key: str | None
    ) -> str | MultipleResults[str]:
        token = self.reserve(show, seats, session)
        return self.order(token, ITS_OWN, key) if isinstance(token, str) else multiple()

    @rule(
        show=garbage_shows,
        seats=st.sampled_from(
            (
                *([0, "another show's"], [UNKNOWN]) * 2,  # refused only where all the rest is right
                *(None, [], [0, 1], [0, 0], [0, None], [0] * 500),
            )
        ),
        session=st.sampled_from((*("a visitor",) * 8, None, "", " \t\n", "d" * 201)),
        email=st.sampled_from((*(None,) * 7, "e" * 321)),
    )
    def reserve_nonsense(
        self,
        show: int | str | None,
        seats: list[int | str | None] | None,
        session: str | None,
        email: str | None,
    ) -> None:
        """Mostly refused. Where it is not, a visitor has a hold whose token is lost."""

        def seat_id(seat: int | str | None) -> str | None:
            if isinstance(seat, int):
                return str(self.seat_ids[0][seat])
            return str(self.seat_ids[1][0]) if seat == "another show's" else seat

        self._reserve(
            self.show_ids[show] if isinstance(show, int) else show,
            None if seats is None else [seat_id(seat) for seat in seats],
            # Somebody new, who cannot be refused for what others hold.
            f"visitor {len(self.model.holds)}" if session == "a visitor" else session,
            "user",
            email,
        )

    def _extend(
        self, token: str | None, session: str | None, known: datetime | None = None
    ) -> None:
        with self.step():
            answer, now = self.call("extend_reservation", token, session, known)
            expected = self.model.extend(now, token, session, known)
            self.agree("extend_reservation", answer, expected)

    def _release(
        self, token: str | None, session: str | None, seats: list[str | None] | None
    ) -> None:
        with self.step():
            answer, now = self.call("release_reservation", token, session, seats)
            expected = self.model.release(now, token, session, seats)
            self.agree("release_reservation", answer, expected)

    def _order(self, token: str | None, *arguments: Any) -> str | None:
        with self.step():
            answer, now = self.call("create_ticket_order", token, *arguments)
            expected = self.model.create_order(now, answer, token, *arguments)
            self.agree("create_ticket_order", answer, expected)
        order: str | None = answer["order_id"]
        return order

    @rule(token=a_token, caller=callers, times=st.sampled_from((1, 4)))
    def extend(self, token: str, caller: str | None, times: int) -> None:
        for _ in range(times):
            self._extend(*self.shown(token, caller))

    @rule(token=a_token, seconds=st.sampled_from((-2, 0, 2)))
    def extend_and_repeat(self, token: str, seconds: int) -> None:
        """The answer was lost; what the caller knows of the end may be a little out."""
        hold = self.hold_of(token)
        known = hold.expires_at + timedelta(seconds=seconds)
        for _ in range(2):
            before = hold.extension_count
            self._extend(hold.token, hold.session_id, known)
        self.count("extend_reservation", f"a repeat burns {hold.extension_count - before}")

    @rule(token=a_token)
    def reserve_the_same_again(self, token: str) -> None:
        hold = self.hold_of(token)
        again = self._reserve(hold.show.id, sorted(hold.held), hold.session_id)
        self.count("reserve_seats", "the same hold again" if again == hold.token else "another")

    @rule(token=a_token, caller=callers)
    def release_all(self, token: str, caller: str | None) -> None:
        self._release(*self.shown(token, caller), None)

    @rule(
        token=a_token,
        caller=callers,
        which=st.sampled_from(
            ("first", "first", "first", "last", "all", "first twice", "none", "NULL", "not its own")
        ),
    )
    def release_some(self, token: str, caller: str | None, which: str) -> None:
        hold = self.hold_of(token)
        held: list[str | None] = [seat for seat in self.model.seats if seat in hold.held]
        strange = [seat for seat in self.model.seats if seat not in hold.held]
        seats = {
            "first": held[:1],
            "last": held[-1:],
            "all": held,
            "first twice": held[:1] * 2,
            "none": [],
            "NULL": [*held, None],
            "not its own": [*held, strange[-1]],
        }[which]
        self._release(*self.shown(token, caller), seats)

    @rule(target=orders, token=a_token, caller=callers)
    def order(
        self, token: str, caller: str | None, *arguments: str | None
    ) -> str | MultipleResults[str]:
        order = self._order(*self.shown(token, caller), *arguments)
        return multiple() if order is None else order

    @rule(target=orders, token=a_token, caller=callers, key=keys, provider=providers)
    def order_with_a_key(
        self, token: str, caller: str | None, key: str | None, provider: str
    ) -> str | MultipleResults[str]:
        return self.order(token, caller, key, provider, f"intent of {key}"[:100])

    @rule(token=a_token, key=keys)
    def go_on_though_the_show_is_cancelled(self, token: str, key: str) -> None:
        hold = self.hold_of(token)
        number, status = self.show_ids.index(hold.show.id), hold.show.status
        self.set_the_show(number, "cancelled")
        self._extend(hold.token, hold.session_id)
        self._order(hold.token, hold.session_id, key)
        self.set_the_show(number, status)

    # --- what payment providers do --------------------------------------------------------------

    def _confirm(self, *arguments: Any) -> None:
        with self.step():
            answer, now = self.call("confirm_payment", *arguments)
            # NULL and empty both say that there are no tickets.
            answer["ticket_ids"] = answer["ticket_ids"] or []
            expected = self.model.confirm(now, answer, *arguments)
            self.agree("confirm_payment", answer, expected)

    def _fail(self, *arguments: Any) -> None:
        with self.step():
            answer, now = self.call("fail_payment", *arguments)
            self.agree("fail_payment", answer, self.model.fail(now, *arguments))

    def _refund(self, show: str | None, order: str | None) -> None:
        with self.step():
            answer, now = self.call("refund_order", show, order)
            self.agree("refund_order", answer, self.model.refund(now, show, order))

    def order_called(self, order: str) -> Order:
        return list(self.model.orders.values())[-1] if order == NEWEST else self.model.orders[order]

    def show_of(self, order: Order, place: str = "its own show") -> str:
        (other,) = (show_id for show_id in self.show_ids if show_id != order.show.id)
        return order.show.id if place == "its own show" else other

    def new_event(self) -> str:
        self.number_of_events += 1
        return f"evt_{self.number_of_events}"

    def _pay(
        self, about: Order, provider: str, place: str = "its own show", wrong: str = ""
    ) -> tuple[str, str, str, str]:
        event, show, total = self.new_event(), self.show_of(about, place), about.total
        amount = {"": total, "too much": total + 1, "too little": -total - 1, "NULL": None}[wrong]
        self._confirm(show, about.id, provider, event, amount)
        return provider, event, show, about.id

    @rule(target=events, order=an_order, provider=providers)
    def pay(self, order: str, provider: str) -> tuple[str, str, str, str]:
        return self._pay(self.order_called(order), provider)

    @rule(
        target=events,
        order=an_order,
        provider=providers,
        place=places,
        wrong=st.sampled_from(("", "too much", "too little", "NULL")),
    )
    def pay_wrongly(
        self, order: str, provider: str, place: str, wrong: str
    ) -> tuple[str, str, str, str]:
        return self._pay(self.order_called(order), provider, place, wrong)

    @rule(target=events, order=an_order, rival=st.sampled_from((None, *SESSIONS)))
    def pay_late(self, order: str, rival: str | None) -> tuple[str, str, str, str]:
        """What seldom happens by chance: the hold runs out, somebody else may come, money comes."""
        about = self.order_called(order)
        self.move_an_expiry(about.hold.token, -1)
        if rival is not None:
            self._reserve(about.show.id, list(about.prices)[:1], rival)
        return self._pay(about, "stripe")

    @rule(target=events, order=an_order, provider=providers, place=places)
    def decline(self, order: str, provider: str, place: str) -> tuple[str, str, str, str]:
        about = self.order_called(order)
        event, show = self.new_event(), self.show_of(about, place)
        self._fail(show, about.id, provider, event, f"{provider} declined {event}")
        return provider, event, show, about.id

    @rule(
        event=events,
        function=st.sampled_from(("confirm", "confirm", "fail")),
        twist=st.sampled_from(("", "", "other amount", "other order", "other provider")),
        order=an_order,
    )
    def repeat_an_event(
        self, event: tuple[str, str, str, str], function: str, twist: str, order: str
    ) -> None:
        provider, event_id, show, order_id = event
        about = self.model.orders[order_id]
        if twist == "other order":
            about = self.order_called(order)
            show = self.show_of(about)
        elif twist == "other provider":
            provider = "adyen" if provider == "stripe" else "stripe"
        kind = "failure" if function == "fail" else "payment"
        if (provider, event_id, kind, about.id) in self.model.events:
            self.count("event", "repeated")
        if function == "fail":
            self._fail(show, about.id, provider, event_id, "declined again")
        else:
            amount = about.total + (twist == "other amount")
            self._confirm(show, about.id, provider, event_id, amount)

    @rule(order=an_order, place=places)
    def refund(self, order: str, place: str) -> None:
        about = self.order_called(order)
        self._refund(self.show_of(about, place), about.id)

    # --- what nobody should do ------------------------------------------------------------------

    @rule(
        function=st.sampled_from(("extend", "release", "order", "confirm", "fail", "refund")),
        token=garbage_tokens,
        show=garbage_shows,
        order=garbage_orders,
    )
    def talk_about_nothing(
        self, function: str, token: str | None, show: int | str | None, order: str | None
    ) -> None:
        show_id = self.show_ids[show] if isinstance(show, int) else show
        match function:
            case "extend":
                self._extend(token, "ada")
            case "release":
                self._release(token, "ada", None)
            case "order":
                self._order(token, "ada", "key-1")
            case "confirm":
                self._confirm(show_id, order, "stripe", self.new_event(), 1000)
            case "fail":
                self._fail(show_id, order, "stripe", self.new_event(), "declined")
            case "refund":
                self._refund(show_id, order)

    @rule(order=an_order, event=garbage_events, confirms=st.booleans())
    def send_a_nameless_event(
        self, order: str, event: tuple[str | None, str | None], confirms: bool
    ) -> None:
        about = self.order_called(order)
        if confirms:
            self._confirm(about.show.id, about.id, *event, about.total)
        else:
            self._fail(about.show.id, about.id, *event, "declined")

    # --- cleanup and clock ----------------------------------------------------------------------

    @rule(batch_size=st.sampled_from((1, 1, 2, 100)), minutes=st.sampled_from((0, 11, 61)))
    def clean_up_a_batch(self, batch_size: int, minutes: int) -> None:
        if minutes:
            self.let_time_pass(minutes)
        with self.step():
            answer, now = self.call("cleanup_expired_seat_reservations", batch_size, by="dba")
            expected = self.model.cleanup(now, answer, batch_size)
            self.agree("cleanup_expired_seat_reservations", answer, expected)
            self.count("cleanup", f"ended {expected['total_reservations_expired']}")

    @rule(
        scheduler=st.sampled_from(("external", "ticketdb")),
        batch_size=st.sampled_from((1, 1, 2)),
        minutes=st.sampled_from((0, 11, 61)),
    )
    def run_the_cleanup(self, scheduler: str, batch_size: int, minutes: int) -> None:
        if minutes:
            self.let_time_pass(minutes)
        with self.step(scheduler):
            self.house.dba.execute("CALL run_reservation_cleanup(%s, %s)", [scheduler, batch_size])
        batches = self.model.runs[0]["reservations_expired"] / batch_size
        self.count("run_reservation_cleanup", "several batches" if batches > 1 else "one batch")

    @rule(token=a_token)
    def let_it_run_out(self, token: str) -> None:
        self.move_an_expiry(token, -1)

    @rule(token=a_token, seconds=st.sampled_from((-3600, -60, 0, 0, 60, 600, 7200)))
    def move_an_expiry(self, token: str, seconds: int) -> None:
        """As a DBA may, also of what has ended long since."""
        hold = self.hold_of(token)
        with self.step():
            (moved,) = self.house.dba.execute(
                "UPDATE seat_reservations SET expires_at = now() + make_interval(secs => %s)"
                " WHERE id = %s RETURNING expires_at",
                [seconds, hold.id],
            ).fetchall()
            hold.expires_at = moved[0]

    @rule(minutes=st.sampled_from((1, 3, 5, 11)))
    def let_time_pass(self, minutes: int) -> None:
        with self.step():
            passed = {"time": timedelta(minutes=minutes), "shows": self.show_ids}
            self.house.dba.execute(
                "UPDATE seat_reservations SET created_at = created_at - %(time)s,"
                " expires_at = expires_at - %(time)s, ended_at = ended_at - %(time)s"
                " WHERE show_id = ANY(%(shows)s) AND status IN ('active', 'expired')",
                passed,
            )
            self.house.dba.execute(
                "UPDATE ticket_orders SET created_at = created_at - %(time)s"
                " WHERE show_id = ANY(%(shows)s) AND status = 'pending'",
                passed,
            )
            self.model.let_time_pass(minutes)

    # --- what the house does --------------------------------------------------------------------

    @rule(
        show=shows,
        status=st.sampled_from((*("on_sale",) * 5, "draft", "closed", "cancelled")),
    )
    def set_the_show(self, show: int, status: str) -> None:
        with self.step():
            self.house.dba.execute(
                "UPDATE shows SET status = %s WHERE id = %s", [status, self.show_ids[show]]
            )
            self.model.shows[self.show_ids[show]].status = status

    @rule(
        settings=st.builds(
            Settings,
            hold_minutes=st.sampled_from((1, 10, 10)),
            extension_minutes=st.sampled_from((1, 5)),
            max_extensions=st.sampled_from((0, 1, 3)),
            max_hold_minutes=st.sampled_from((12, 18, 60)),
            order_minutes=st.sampled_from((1, 5, 30)),
            max_seats_per_reservation=st.sampled_from((1, 3, 10)),
            async_conflict_log=st.booleans(),
        )
    )
    def set_the_policy(self, settings: Settings) -> None:
        with self.step():
            self.house.dba.execute(
                f"UPDATE ticketing_settings SET {SET_POLICY}",
                vars(settings),
            )
            self.model.settings = settings

    @rule(show=shows, seat=st.integers(0, SEATS - 1))
    def block_a_seat(self, show: int, seat: int) -> None:
        """Or unblock it. Those that are held or sold stay as they are."""
        changed = self.model.seats[self.seat_ids[show][seat]]
        with self.step():
            self.house.dba.execute(
                "UPDATE show_seats"
                " SET status = CASE status WHEN 'blocked' THEN 'available' ELSE 'blocked' END"
                " WHERE id = %s AND status IN ('available', 'blocked')",
                [changed.id],
            )
            self.model.toggle_block(changed)

    @rule(show=shows, factor=st.sampled_from((0, 1, 2)))
    def set_the_prices(self, show: int, factor: int) -> None:
        """Of holds from now on: who has one pays what it said."""
        with self.step():
            self.house.dba.execute(
                "UPDATE show_seats SET price_in_cents = price_in_cents * %s + 1 WHERE show_id = %s",
                [factor, self.show_ids[show]],
            )
            for seat in self.seat_ids[show]:
                changed = self.model.seats[seat]
                changed.price_in_cents = changed.price_in_cents * factor + 1

    # --- the end --------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            # After a step that failed nothing can be expected, and its error is the one to report.
            if self.sound:
                self.close()
        finally:
            # Cleanups of other examples must not find holds of this one, nor orders.
            self.house.dba.execute(
                "UPDATE seat_reservations SET expires_at = now() + interval '1 year'"
                " WHERE show_id = ANY(%s) AND is_active",
                [self.show_ids],
            )
            self.house.dba.execute(
                "UPDATE ticket_orders SET created_at = now() + interval '1 year'"
                " WHERE show_id = ANY(%s) AND status = 'pending'",
                [self.show_ids],
            )

    def close(self) -> None:
        """A week later all holds are over: seats are free, blocked or sold, and all adds up."""
        self.house.examples += 1
        self.house.steps += self.steps
        self.let_time_pass(7 * 24 * 60)
        self.run_the_cleanup("external", 2, 0)
        self.model.begin_step()
        if any(hold.active for hold in self.model.holds.values()):
            raise DisagreementError("a hold outlives a week")
        for show in self.model.shows.values():
            statistics, _ = self.call("get_reservation_statistics", show.id)
            expected = self.model.statistics(show)
            if expected["avg_hold_seconds"] is not None:
                expected["avg_hold_seconds"] = pytest.approx(
                    expected["avg_hold_seconds"], abs=LAG.total_seconds()
                )
            compare(expected, statistics, f"get_reservation_statistics of {show.id}")
        compare(self.violations, self.house.violations(), "current_violations")
