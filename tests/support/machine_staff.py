"""The machine, continued: what the staff does at the counter, at the gates and with the money."""

from typing import Any

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.support.books import Refund, Ticket
from tests.support.machine import UNKNOWN, TicketMachine, places, shows, some_seats
from tests.support.machine_shop import TYPES, ShopMachine
from tests.support.observing import DisagreementError, compare

clerks = st.sampled_from((*("clara",) * 20, None, " ", "c" * 201))
which = st.integers(0, 50)
SEAT_TWISTS = (*("",) * 10, "twice", "none", "unknown")


class StaffMachine(ShopMachine):
    an_order = TicketMachine.an_order

    def _staff(self, function: str, method: str, *arguments: Any, given: bool = False) -> Any:
        with self.step():
            answer, now = self.call(function, *arguments, by="staff")
            does = getattr(self.model, method)
            expected = does(now, answer, *arguments) if given else does(now, *arguments)
            if function in ("cancel_tickets", "record_dispute"):
                self._name_new_refunds(answer, expected)
            self.agree(function, answer, expected)
        return answer

    def _name_new_refunds(self, answer: dict[str, Any], expected: dict[str, Any]) -> None:
        """Refunds that a call has made have the ids that it has answered."""
        for column in ("refund_ids", "refund_id"):
            if column in expected and answer[column] and expected["error_code"] is None:
                known = {refund.id for refund in self.model.refunds}
                answered = answer[column] if column == "refund_ids" else [answer[column]]
                if all(its not in known for its in answered):
                    expected[column] = answer[column]

    def seats(self, show: int, seats: tuple[int, ...], twist: str = "") -> list[str | None]:
        its: list[str | None] = [self.seat_ids[show][seat] for seat in seats]
        return {
            "": its,
            "twice": its[:1] * 2,
            "none": [],
            "unknown": [*its, UNKNOWN],
        }[twist]

    def tickets(self, show: int, status: str | None = "valid") -> list[Ticket]:
        return [
            ticket
            for ticket in self.model.tickets
            if ticket.order.show.id == self.show_ids[show] and status in (None, ticket.status)
        ]

    # --- seats ----------------------------------------------------------------------------------

    @rule(
        show=shows,
        seats=some_seats,
        staff=clerks,
        end_holds=st.booleans(),
        twist=st.sampled_from(SEAT_TWISTS),
    )
    def block(
        self, show: int, seats: tuple[int, ...], staff: str | None, end_holds: bool, twist: str
    ) -> None:
        wanted = self.seats(show, seats, twist)
        self._staff("block_seats", "block", self.show_ids[show], wanted, staff, end_holds)

    @rule(show=shows, seats=some_seats, staff=clerks, twist=st.sampled_from(SEAT_TWISTS))
    def unblock(self, show: int, seats: tuple[int, ...], staff: str | None, twist: str) -> None:
        wanted = self.seats(show, seats, twist)
        self._staff("unblock_seats", "unblock", self.show_ids[show], wanted, staff)

    @rule(show=shows)
    def unblock_all(self, show: int) -> None:
        blocked = [
            seat.id
            for seat in self.model.seats.values()
            if seat.blocked and seat.show.id == self.show_ids[show]
        ]
        if blocked:
            self._staff("unblock_seats", "unblock", self.show_ids[show], blocked, "clara")

    # --- tickets --------------------------------------------------------------------------------

    @rule(
        show=shows,
        seats=some_seats,
        staff=clerks,
        price=st.sampled_from((*(None,) * 6, 0, 700, 700, -1)),
        event=st.sampled_from((*(None,) * 4, *("transfer 1",) * 4, " ")),
        twist=st.sampled_from(SEAT_TWISTS),
    )
    def issue(
        self,
        show: int,
        seats: tuple[int, ...],
        staff: str | None,
        price: int | None,
        event: str | None,
        twist: str,
    ) -> None:
        wanted = self.seats(show, seats, twist)
        prices = None if price is None else [price] * len(wanted)
        types = None if price is None else [TYPES[0]] * len(wanted)
        self._staff(
            "issue_tickets",
            "issue",
            self.show_ids[show],
            wanted,
            staff,
            prices,
            types,
            "cash@example.org",
            None if event is None else "bank",
            event,
            given=True,
        )

    @rule(show=shows, first=which, count=st.sampled_from((1, 1, 2, 3)), staff=clerks,
          twist=st.sampled_from(
              (*("a new seat",) * 6, *("rotate", "wanted") * 2, "the same", "unknown", "twice")),
          seats=some_seats)  # fmt: skip
    def move_some_tickets(
        self, show: int, first: int, count: int, staff: str | None, twist: str,
        seats: tuple[int, ...],
    ) -> None:  # fmt: skip
        if not self.tickets(show):
            self.issue(show, seats, "clara", None, None, "")
        valid = self.tickets(show)
        chosen = valid[first % len(valid) :][:count] if valid else []
        ids: list[str | None] = [ticket.id for ticket in chosen]
        old = [ticket.seat for ticket in chosen]
        free = [seat for seat in self.seat_ids[show] if seat not in old]
        match twist:
            case "rotate":
                new: list[str | None] = [*old[1:], *old[:1]]
            case "the same":
                new = list(old)
            case "unknown":
                ids, new = [*ids, UNKNOWN], [*old, free[0]]
            case "twice":
                new = [*old[:1]] * len(ids)
            case "wanted":  # by a buyer, unless somebody has it already
                taken = seats[: len(ids)]
                ids = ids[: len(taken)]
                self.reserve(show, taken, "a rival")
                new = self.seats(show, taken)
            case _:
                new = [free[(seats[0] + n) % len(free)] for n in range(len(ids))]
        self._staff("move_tickets", "move_tickets", self.show_ids[show], ids, new, staff)

    @rule(
        show=shows,
        number=which,
        gate=st.sampled_from((*("north",) * 6, None)),
        nonces=st.tuples(*[st.sampled_from((None, "n1", "n1", "n2", "n2"))] * 2),
        twist=st.sampled_from((*("",) * 9, "blank nonce", "of the other show", "unknown")),
    )
    def check_in(
        self,
        show: int,
        number: int,
        gate: str | None,
        nonces: tuple[str | None, ...],
        twist: str,
    ) -> None:
        """Twice: at another gate, or because the answer was lost."""
        tickets = self.tickets(show) or self.tickets(show, None)
        ticket = tickets[number % len(tickets)] if tickets else None
        asked = self.show_ids[1 - show if twist == "of the other show" else show]
        code = "0" * 32
        if ticket is not None and twist != "unknown":
            ((code,),) = self.house.dba.execute(
                "SELECT ticket_code FROM tickets WHERE id = %s", [ticket.id]
            ).fetchall()
        known = ticket.id if ticket is not None and twist != "unknown" else None
        for scan, nonce in enumerate(nonces):
            where = gate if scan == 0 or gate is None else "south"
            named = " " if twist == "blank nonce" else nonce
            with self.step():
                answer, now = self.call(
                    "check_in_ticket", asked, code.lower(), where, named, by="staff"
                )
                expected = self.model.check_in(now, asked, known, where, named)
                self.agree("check_in_ticket", answer, expected)

    # --- money ----------------------------------------------------------------------------------

    @rule(show=shows, first=which, count=st.sampled_from((1, 1, 1, 2, 5)), staff=clerks,
          status=st.sampled_from((*("valid",) * 3, None, "refunded")))  # fmt: skip
    def cancel_some_tickets(
        self, show: int, first: int, count: int, staff: str | None, status: str | None
    ) -> None:
        found = self.tickets(show, status)
        ids = [ticket.id for ticket in found[first % len(found) :][:count]] if found else [UNKNOWN]
        self._staff("cancel_tickets", "cancel_tickets", self.show_ids[show], ids, staff)

    @rule(order=an_order)
    def cancel_a_ticket_of_an_order_and_repeat(self, order: str) -> None:
        about = self.order_called(order)
        valid = [t.id for t in self.model.tickets_of(about) if t.status == "valid"][:1]
        for _ in range(2 if valid else 0):
            self._staff("cancel_tickets", "cancel_tickets", about.show.id, valid, "clara")

    def _some_refund(self, number: int, is_due: bool) -> Refund | None:
        refunds = [
            refund for refund in self.model.refunds if (refund.done_at is None) or not is_due
        ]
        return refunds[number % len(refunds)] if refunds else None

    @rule(number=which, is_due=st.sampled_from((True, True, False)), place=places,
          event=st.sampled_from((*("a new one",) * 9, "r1", "r1", None)),
          staff=st.sampled_from((*(None, "clara") * 5, " ")),
          times=st.sampled_from((1, 2)))  # fmt: skip
    def return_money(
        self, number: int, is_due: bool, place: str, event: str | None, staff: str | None,
        times: int,
    ) -> None:  # fmt: skip
        refund = self._some_refund(number, is_due)
        named = self.new_event() if event == "a new one" else event
        show = self.show_of(refund.order, place) if refund else self.show_ids[0]
        for _ in range(times):
            answer = self._staff(
                "record_refund",
                "record_refund",
                show,
                refund.id if refund else UNKNOWN,
                "stripe",
                named,
                staff,
            )
        if times == 2 and answer["success"]:
            self.count("record_refund", "repeated")
            for other in self.model.refunds:
                if refund is not None and other.order is refund.order and other is not refund:
                    arguments = (show, other.id, "stripe", named)
                    self._staff("record_refund", "record_refund", *arguments)
                    break

    @rule(order=an_order, place=places, wrong=st.sampled_from((*("",) * 7, "too much", "zero")),
          about=st.sampled_from(("tickets", "tickets", "a refund", "the total")),
          event=st.sampled_from((*("a new one",) * 9, "d1", "d1", None)),
          times=st.sampled_from((1, 2)))  # fmt: skip
    def dispute(
        self, order: str, place: str, wrong: str, about: str, event: str | None, times: int
    ) -> None:
        its = self.order_called(order)
        due = [r.amount_in_cents for r in self.model.refunds if r.order is its and not r.done_at]
        amount = {
            "tickets": sum(
                t.price_in_cents for t in self.model.tickets_of(its) if t.status == "valid"
            ),
            "a refund": due[0] if due else its.total,
            "the total": its.total,
        }[about]
        amount = {"": amount, "too much": amount + 1, "zero": 0}[wrong]
        named = self.new_event() if event == "a new one" else event
        for _ in range(times):
            answer = self._staff(
                "record_dispute",
                "record_dispute",
                self.show_of(its, place),
                its.id,
                "stripe",
                named,
                amount,
            )
        if times == 2 and answer["success"]:
            self.count("record_dispute", "repeated")
            arguments = (its.show.id, its.id, "stripe", named, amount + 1)
            self._staff("record_dispute", "record_dispute", *arguments)

    @rule(show=shows, number=which)
    def cancel_a_ticket_after_check_in(self, show: int, number: int) -> None:
        tickets = self.tickets(show)
        if tickets:
            ticket = tickets[number % len(tickets)]
            self.check_in(show, number, "north", ("n1", None), "")
            self._staff(
                "cancel_tickets", "cancel_tickets", self.show_ids[show], [ticket.id], "clara"
            )

    @rule(show=shows, chance=st.sampled_from((False, False, True)))
    def cancel_the_show(self, show: int, chance: bool) -> None:
        """Seldom, and afterwards it is on sale again."""
        if not chance:
            return
        show_id = self.show_ids[show]
        with self.step():
            ((now,),) = self.house.staff.execute("SELECT now()").fetchall()
            try:
                (did,) = self.house.staff.execute(
                    "CALL cancel_show(%s, 'clara')", [show_id]
                ).fetchall()
            except psycopg.Error as error:
                raise DisagreementError(f"cancel_show: {error}") from error
            expected = self.model.cancel_show(now, show_id, "clara")
            self.count("cancel_show", "something" if any(did) else "nothing")
            compare(expected, dict(zip(expected, did, strict=True)), "cancel_show")
        self.set_the_show(show, "on_sale")
