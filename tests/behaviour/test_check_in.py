"""check_in_ticket: who shows a ticket is let in, once."""

import uuid
from typing import Any

import pytest

from tests.support.counter import Counter, scan_of
from tests.support.hall import Hall, make_hall
from tests.support.orders import MEGABYTE
from tests.support.queries import tables
from tests.support.sabotage import sabotage


@pytest.fixture
def counter(hall: Hall) -> Counter:
    return Counter(hall)


@pytest.fixture
def code(counter: Counter) -> str:
    """The code of a child's ticket for seat 3."""
    answer = counter.sell(3, p_ticket_types=["child"])
    found: str = answer.ticket_codes[0]
    return found


def test_the_holder_of_a_ticket_is_let_in(counter: Counter, code: str) -> None:
    answer = counter.check_in(code, p_nonce="scan 1")
    assert answer._fields == (
        "success",
        "ticket_id",
        "section",
        "row_label",
        "seat_number",
        "ticket_type",
        "checked_in_at",
        "gate",
        "error_code",
        "error_message",
    )
    ticket = counter.hall.row("tickets", answer.ticket_id)
    assert ticket.ticket_code == code
    assert answer[2:6] == ("stalls", "A", "3", "child")
    assert (answer.success, answer.gate, *answer[-2:]) == (True, "north", None, None)
    assert answer.checked_in_at == ticket.checked_in_at
    assert (ticket.status, ticket.check_in_gate, ticket.check_in_nonce) == (
        "valid",
        "north",
        "scan 1",
    )


def test_letters_of_any_case_are_accepted(counter: Counter, code: str) -> None:
    assert counter.check_in(code.lower()).success


def test_the_log_says_where_and_not_which_code(counter: Counter, code: str) -> None:
    answer = counter.check_in(code)
    (line,) = counter.log_of("checked_in")
    order = counter.hall.row("tickets", answer.ticket_id).order_id
    assert line.reservation_id == counter.hall.row("ticket_orders", order).reservation_id
    assert (line.seat_ids, line.seat_count) == (counter.hall.ids(3), 1)
    assert line.metadata == {"gate": "north"}
    assert line.session_id is None


@pytest.mark.parametrize("nonces", [(None, None), ("scan 1", None), (None, "scan 1"), ("1", "2")])
def test_nobody_is_let_in_twice(
    counter: Counter, code: str, nonces: tuple[str | None, str | None]
) -> None:
    first = counter.check_in(code, p_nonce=nonces[0])
    refusal = counter.hall.refuse(
        "ALREADY_USED",
        "check_in_ticket",
        **scan_of(counter.hall, code, p_gate="south", p_nonce=nonces[1]),
    )
    # When and where, and whose seat it is.
    assert refusal.answer[1:-2] == first[1:-2]
    assert refusal.line.metadata == {"function": "check_in_ticket", "gate": "south"}
    assert refusal.line.seat_ids == counter.hall.ids(3)
    assert refusal.line.reservation_id is not None


def test_a_scan_whose_answer_was_lost_is_repeated(counter: Counter, code: str) -> None:
    first = counter.check_in(code, p_nonce="scan 1")
    before = tables(counter.hall.connection)
    assert counter.check_in(code, p_nonce="scan 1", p_gate="south") == first
    assert tables(counter.hall.connection) == before


def test_an_unknown_code_is_not_found(counter: Counter, code: str) -> None:
    for wrong in ("X" * 32, code[:-1], code + " ", "", None, MEGABYTE, code.replace(code[0], "%")):
        refusal = counter.hall.refuse(
            "NOT_FOUND", "check_in_ticket", **scan_of(counter.hall, wrong)
        )
        assert set(refusal.answer[1:-2]) == {None}
        assert (refusal.line.seat_ids, refusal.line.reservation_id) == ([], None)


def test_a_ticket_of_another_show_is_not_found(counter: Counter, code: str) -> None:
    other = make_hall(counter.hall.connection)
    other.refuse("NOT_FOUND", "check_in_ticket", **scan_of(other, code))
    other.refuse(
        "NOT_FOUND", "check_in_ticket", **scan_of(other, code) | {"p_show_id": uuid.uuid4()}
    )
    assert counter.check_in(code).success


def test_a_code_that_was_written_by_hand_is_found_as_it_is(counter: Counter) -> None:
    sold = counter.sell(3)
    counter.hall.connection.execute("UPDATE tickets SET ticket_code = 'a code from elsewhere'")
    assert counter.check_in("a code from elsewhere").ticket_id == sold.ticket_ids[0]


@pytest.mark.breaks_invariants
@pytest.mark.parametrize("status", ["refunded", "cancelled"])
@pytest.mark.parametrize("was_used", [False, True])
def test_a_ticket_that_was_taken_back_is_not_valid(
    counter: Counter, status: str, was_used: bool
) -> None:
    sold = counter.sell(3)
    (code,) = sold.ticket_codes
    if was_used:
        counter.check_in(code, p_nonce="scan 1")
    counter.hall.refund(sold)
    counter.hall.connection.execute("UPDATE tickets SET status = %s", [status])
    refusal = counter.hall.refuse(
        "TICKET_NOT_VALID", "check_in_ticket", **scan_of(counter.hall, code, p_nonce="scan 1")
    )
    assert refusal.answer[1:5] == (sold.ticket_ids[0], "stalls", "A", "3")
    assert (refusal.answer.checked_in_at is not None) is was_used


@pytest.mark.parametrize("status", ["draft", "closed", "cancelled"])
def test_the_status_of_the_show_does_not_matter(counter: Counter, code: str, status: str) -> None:
    counter.hall.connection.execute("UPDATE shows SET status = %s", [status])
    assert counter.check_in(code).success


def test_a_ticket_that_was_used_can_be_refunded(counter: Counter) -> None:
    sold = counter.sell(3)
    counter.check_in(sold.ticket_codes[0])
    assert counter.hall.refund(sold).status == "refunded"


@pytest.mark.parametrize(
    "wrong",
    [
        {"p_show_id": None},
        {"p_gate": None},
        {"p_gate": ""},
        {"p_gate": "x" * 201},
        {"p_gate": MEGABYTE},
        {"p_nonce": " "},
        {"p_nonce": "x" * 201},
        {"p_nonce": MEGABYTE},
    ],
    ids=lambda wrong: " ".join(f"{name} {str(given)[:9]}" for name, given in wrong.items()),
)
def test_what_makes_no_sense_is_refused(counter: Counter, code: str, wrong: dict[str, Any]) -> None:
    counter.hall.refuse("INVALID_INPUT", "check_in_ticket", **scan_of(counter.hall, code) | wrong)


def test_what_just_fits_is_accepted(counter: Counter, code: str) -> None:
    assert counter.check_in(code, p_gate="ä" * 200, p_nonce="ö" * 200).success


def test_an_unexpected_error_is_an_answer_and_lets_nobody_in(counter: Counter, code: str) -> None:
    sabotage(counter.hall.connection, "tickets", "UPDATE")
    refusal = counter.hall.refuse(
        "INTERNAL_ERROR", "check_in_ticket", **scan_of(counter.hall, code)
    )
    assert refusal.line.metadata["sqlstate"] == "22012"
    assert set(refusal.answer[1:-2]) == {None}
