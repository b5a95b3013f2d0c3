"""Random calls, in any order, on two small halls; after each, model and database must agree.

To replay a failure, decorate `machine` with the `@reproduce_failure` that it printed. How often
each call had each outcome is counted: a test that has not seen them all fails.

The sabotages at the end break the database on purpose, and the machine must notice each.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from tests.support.databases import Connect
from tests.support.machine_staff import StaffMachine
from tests.support.observing import DisagreementError, House
from tests.support.sabotage import Edit

MACHINES = 4
STEPS = 60  # of each example
# After ten examples Hypothesis begins to vary those it has, and most of what follows is nearly the
# same again. Ten at a time are all different, except that it begins with two of the simplest kind:
# hence 90 of a machine where 75 would make the 300 that are wanted.
EXAMPLES = 10
EXAMPLES_OF_A_MACHINE = 90

SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,  # time belongs to the server
    # Hypothesis draws the same examples each time where CI is set, and rounds would be all alike.
    derandomize=False,
    database=None,  # ids are new in each run, a stored example would mean something else
    print_blob=True,
    report_multiple_bugs=False,  # what follows from the first is not worth its time
    # An example is slow because it talks to a server, not because it is large.
    suppress_health_check=[HealthCheck.too_slow],
)


def run(house: House, how: settings, times: int = 1) -> None:
    def machine() -> StaffMachine:
        return StaffMachine(house)

    for _ in range(times):
        run_state_machine_as_test(machine, settings=how)  # type: ignore[arg-type]


# What a machine must have seen. Outcomes that only a race can have are not among them.
OUTCOMES = {
    "reserve_seats: done",
    "reserve_seats: ended holds that were over",
    "reserve_seats: the same hold again",
    "reserve_seats: INVALID_INPUT",
    "reserve_seats: SHOW_NOT_ON_SALE",
    "reserve_seats: TOO_MANY_SEATS",
    "reserve_seats: DUPLICATE_RESERVATION",
    "reserve_seats: SEATS_NOT_FOUND",
    "reserve_seats: SEATS_UNAVAILABLE",
    "extend_reservation: done",
    "extend_reservation: a repeat burns 0",
    "extend_reservation: SHOW_NOT_ON_SALE",
    "extend_reservation: NOT_FOUND",
    "extend_reservation: PERMISSION_DENIED",
    "extend_reservation: RESERVATION_INACTIVE",
    "extend_reservation: RESERVATION_EXPIRED",
    "extend_reservation: MAX_EXTENSIONS_REACHED",
    "release_reservation: done",
    "release_reservation: NOT_FOUND",
    "release_reservation: PERMISSION_DENIED",
    "release_reservation: RESERVATION_INACTIVE",
    "release_reservation: SEATS_NOT_FOUND",
    "create_ticket_order: pending",
    "create_ticket_order: NOT_FOUND",
    "create_ticket_order: PERMISSION_DENIED",
    "create_ticket_order: INVALID_INPUT",
    "create_ticket_order: RESERVATION_INACTIVE",
    "create_ticket_order: RESERVATION_EXPIRED",
    "create_ticket_order: IDEMPOTENCY_KEY_REUSED",
    "create_ticket_order: SHOW_NOT_ON_SALE",
    "confirm_payment: paid",
    "confirm_payment: refund_due",
    "confirm_payment: NOT_FOUND",
    "confirm_payment: AMOUNT_MISMATCH",
    "confirm_payment: EVENT_MISMATCH",
    "confirm_payment: ORDER_NOT_PAYABLE",
    "confirm_payment: INVALID_INPUT",
    "fail_payment: failed",
    "fail_payment: NOT_FOUND",
    "fail_payment: ORDER_NOT_PAYABLE",
    "fail_payment: INVALID_INPUT",
    "refund_order: refunded",
    "refund_order: NOT_FOUND",
    "refund_order: ORDER_NOT_REFUNDABLE",
    "reserve_best_seats: done",
    "reserve_best_seats: the same hold again",
    "reserve_best_seats: INVALID_INPUT",
    "reserve_best_seats: SHOW_NOT_ON_SALE",
    "reserve_best_seats: TOO_MANY_SEATS",
    "reserve_best_seats: DUPLICATE_RESERVATION",
    "reserve_best_seats: SEATS_NOT_FOUND",
    "reserve_best_seats: SEATS_UNAVAILABLE",
    "add_seats: done",
    "add_seats: INVALID_INPUT",
    "add_seats: PERMISSION_DENIED",
    "add_seats: RESERVATION_INACTIVE",
    "add_seats: RESERVATION_EXPIRED",
    "add_seats: SHOW_NOT_ON_SALE",
    "add_seats: TOO_MANY_SEATS",
    "add_seats: SEATS_NOT_FOUND",
    "add_seats: SEATS_UNAVAILABLE",
    "price_seats: done",
    "price_seats: INVALID_INPUT",
    "price_seats: PERMISSION_DENIED",
    "price_seats: RESERVATION_INACTIVE",
    "price_seats: RESERVATION_EXPIRED",
    "price_seats: SEATS_NOT_FOUND",
    "price_seats: ORDER_EXISTS",
    "move_reservation: done",
    "move_reservation: INVALID_INPUT",
    "move_reservation: PERMISSION_DENIED",
    "move_reservation: RESERVATION_INACTIVE",
    "move_reservation: RESERVATION_EXPIRED",
    "move_reservation: DUPLICATE_RESERVATION",
    "block_seats: done",
    "block_seats: INVALID_INPUT",
    "block_seats: SEATS_NOT_FOUND",
    "block_seats: SEATS_HELD",
    "block_seats: SEATS_SOLD",
    "unblock_seats: done",
    "unblock_seats: INVALID_INPUT",
    "unblock_seats: SEATS_NOT_FOUND",
    "unblock_seats: SEATS_NOT_BLOCKED",
    "issue_tickets: done",
    "issue_tickets: INVALID_INPUT",
    "issue_tickets: EVENT_MISMATCH",
    "issue_tickets: SEATS_NOT_FOUND",
    "issue_tickets: SEATS_HELD",
    "issue_tickets: SEATS_SOLD",
    "move_tickets: done",
    "move_tickets: INVALID_INPUT",
    "move_tickets: TICKETS_NOT_FOUND",
    "move_tickets: SEATS_HELD",
    "move_tickets: SEATS_SOLD",
    "check_in_ticket: done",
    "check_in_ticket: INVALID_INPUT",
    "check_in_ticket: NOT_FOUND",
    "check_in_ticket: ALREADY_USED",
    "check_in_ticket: TICKET_NOT_VALID",
    "cancel_tickets: done",
    "cancel_tickets: INVALID_INPUT",
    "cancel_tickets: TICKETS_NOT_FOUND",
    "record_refund: paid",
    "record_refund: refunded",
    "record_refund: repeated",
    "record_refund: INVALID_INPUT",
    "record_refund: NOT_FOUND",
    "record_refund: ALREADY_REFUNDED",
    "record_refund: EVENT_MISMATCH",
    "record_dispute: refunded",
    "record_dispute: repeated",
    "record_dispute: INVALID_INPUT",
    "record_dispute: NOT_FOUND",
    "record_dispute: AMOUNT_MISMATCH",
    "record_dispute: EVENT_MISMATCH",
    "cancel_show: something",
    "sales window: set",
    "hold: added",
    "hold: priced ticket_types prices_in_cents",
    "hold: transferred",
    "hold: blocked staff",
    "hold: unblocked staff",
    "hold: issued staff blocked_seat_ids",
    "hold: moved staff from_seat_ids blocked_seat_ids",
    "hold: refunded",
    "hold: refunded staff",
    "hold: refunded staff blocked_seat_ids",
    "hold: checked_in gate",
    "event: repeated",
    "hold: created",
    "hold: extended",
    "hold: released",
    "hold: released partial",
    "hold: expired",
    "hold: completed",
    "hold: completed late",
    "order: None to pending",
    "order: pending to paid",
    "order: pending to failed",
    "order: pending to cancelled",
    "order: pending to refund_due",
    "order: failed to paid",
    "order: cancelled to refund_due",
    "order: paid to refunded",
    "order: refund_due to refunded",
    "cleanup: ended 0",
    "cleanup: ended 1",
    "run_reservation_cleanup: one batch",
    "run_reservation_cleanup: several batches",
    "run_reservation_cleanup: dead orders",
    "run_reservation_cleanup: no dead order",
}


@pytest.mark.parametrize("_machine", range(MACHINES))
def test_the_database_does_what_the_model_does(connect: Connect, _machine: int) -> None:
    house = House.enter(connect)
    run(house, SETTINGS, times=EXAMPLES_OF_A_MACHINE // EXAMPLES)
    assert house.steps >= 75 * STEPS
    # What is seldom may take longer to be seen.
    while (unseen := OUTCOMES - house.tally.keys()) and house.examples < 900:
        run(house, SETTINGS)
    assert not unseen


# --- negative controls: sabotaged databases ---------------------------------------------------


@dataclass(frozen=True)
class Trigger:
    """A row that a statement should write is silently left out, or written differently."""

    when: str
    instead: str = "RETURN NULL;"

    def __call__(self, dba: psycopg.Connection[Any]) -> None:
        dba.execute(
            "CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql"
            f" SET search_path FROM CURRENT AS $$BEGIN {self.instead} END$$"
        )
        dba.execute(f"CREATE TRIGGER sabotage {self.when} EXECUTE FUNCTION sabotage()")


@dataclass(frozen=True)
class Run:
    """Plain SQL."""

    statement: str

    def __call__(self, dba: psycopg.Connection[Any]) -> None:
        dba.execute(self.statement)


SABOTAGES: dict[str, tuple[Edit | Trigger | Run, ...]] = {
    "seats of ended holds stay reserved": (
        Trigger(
            "BEFORE UPDATE ON show_seats FOR EACH ROW"
            " WHEN (OLD.status = 'reserved' AND NEW.status = 'available')"
        ),
    ),
    "claims of ended holds stay live": (
        Trigger(
            "BEFORE UPDATE ON reservation_seats FOR EACH ROW"
            " WHEN (OLD.released_at IS NULL AND NEW.released_at IS NOT NULL)"
        ),
    ),
    "how holds end is not logged": (
        Run("DROP TRIGGER seat_reservations_audit_update ON seat_reservations"),
    ),
    "changes of orders are not logged": (
        Run("DROP TRIGGER ticket_orders_audit_update ON ticket_orders"),
    ),
    "a refused call is logged without its seats": (
        Trigger(
            "BEFORE INSERT ON seat_reservation_audit_log FOR EACH ROW"
            " WHEN (NEW.event_type = 'failed')",
            "NEW.seat_ids := '{}'; RETURN NEW;",
        ),
    ),
    "a conflict is logged in other words": (
        Edit("error_message", "One or more seats were taken by another customer", "Sorry"),
    ),
    "seats do not follow a moved expiry": (
        Run("DROP TRIGGER seat_reservations_sync_reserved_until ON seat_reservations"),
    ),
    "a late sale counts its hold time twice": (
        Trigger(
            "BEFORE INSERT ON seat_reservation_audit_log FOR EACH ROW WHEN (NEW.metadata ? 'late')",
            "NEW.hold_seconds := 600; RETURN NEW;",
        ),
    ),
    "holds are extended without limit": (
        Edit(
            "extend_reservation",
            "make_interval(mins => v_settings.max_hold_minutes)",
            "interval '1 year'",
        ),
    ),
    "anybody may release a hold": (
        Edit("release_reservation", "v_hold.session_id IS DISTINCT FROM p_session_id", "false"),
    ),
    "seats are released and stay ordered": (
        Trigger(
            "BEFORE UPDATE ON ticket_orders FOR EACH ROW"
            " WHEN (OLD.status = 'pending' AND NEW.status = 'cancelled')"
        ),
    ),
    "a key may be used for two reservations": (
        Edit("create_ticket_order", "v_order.reservation_id <> v_hold.id", "false"),
    ),
    "a repeated event is a new one": (Trigger("BEFORE INSERT ON payment_events FOR EACH ROW"),),
    "a late payment takes seats that are gone": (
        Run("DROP INDEX reservation_seats_no_double_booking, tickets_one_valid_per_seat"),
        Edit("retake_seats", "v_free < cardinality(p_seat_ids)", "false"),
    ),
    "tickets are sold at the price of the day": (
        Trigger(
            "BEFORE INSERT ON tickets FOR EACH ROW",
            "SELECT seat.price_in_cents INTO NEW.price_in_cents FROM show_seats AS seat"
            " WHERE seat.id = NEW.show_seat_id; RETURN NEW;",
        ),
    ),
    "refunded seats stay sold": (
        Trigger("BEFORE UPDATE ON show_seats FOR EACH ROW WHEN (OLD.status = 'sold')"),
    ),
    "the cleanup ends more than a batch": (
        Edit(
            "cleanup_expired_seat_reservations",
            "p_batch_size - total_reservations_expired, p_batch_size,",
            "100, 100,",
        ),
    ),
    "a run of the cleanup counts one batch only": (
        Trigger(
            "BEFORE UPDATE ON reservation_cleanup_runs FOR EACH ROW",
            "NEW.reservations_expired := LEAST(NEW.reservations_expired, 1); RETURN NEW;",
        ),
    ),
    "orders wait for ever": (
        Edit("cancel_dead_orders", "AND hold.ended_at <= v_dead_before", "AND false"),
    ),
    "orders die with their hold": (
        Edit("cancel_dead_orders", "make_interval(mins => settings.order_minutes)", "interval '0'"),
    ),
    "the best seats are any seats": (
        Edit("best_seats", "groups.gaps,\n            CASE", "CASE"),
        Edit("best_seats", "groups.gaps = 0\n                AND groups.orphans = 0", "true"),
        Edit("best_seats", "groups.orphans,\n            groups.row_position", "-groups.width"),
    ),
    "seats are added and stay ordered": (
        Edit("add_seats", "cancel_reason = 'changed'", "cancel_reason = 'released'"),
    ),
    "children pay the price of the day": (
        Edit("price_seats", "price_in_cents = wanted.price_in_cents", "ticket_type = NULL"),
    ),
    "a guest who logs in keeps the old session": (
        Edit("move_reservation", "session_id = p_new_session_id,", "session_id = p_session_id,"),
    ),
    "the staff takes seats that buyers hold": (
        Edit("take_seats", "AND p_end_holds IS NOT TRUE", "AND false"),
    ),
    "tickets are moved and the order stays": (
        Trigger("BEFORE UPDATE ON ticket_orders FOR EACH ROW WHEN (OLD.seat_ids <> NEW.seat_ids)"),
    ),
    "a ticket lets two people in": (
        Edit(
            "check_in_ticket",
            "WHEN v_ticket.checked_in_at IS NOT NULL THEN 'ALREADY_USED'",
            "WHEN false THEN 'ALREADY_USED'",
        ),
    ),
    "cancelled tickets are not owed": (Trigger("BEFORE INSERT ON refunds FOR EACH ROW"),),
    "money is returned twice": (
        Edit(
            "record_refund",
            "WHEN v_refund.status = 'done' THEN 'ALREADY_REFUNDED'",
            "WHEN false THEN 'ALREADY_REFUNDED'",
        ),
    ),
    "a dispute is paid though it is owed already": (
        Edit("record_dispute", "AND owed.status <> 'done'", "AND false"),
    ),
    "a cancelled show keeps its holds": (
        Edit("cancel_show_portion", "AND hold.ended_at IS NULL", "AND false"),
    ),
    "statistics count what was extended as expired": (
        Edit(
            "get_reservation_statistics",
            "sum(metric.expired)",
            "sum(metric.expired + metric.extended)",
        ),
    ),
}


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_a_sabotaged_database_is_found_out(connect: Connect, sabotage: str) -> None:
    house = House.enter(connect)
    for part in SABOTAGES[sabotage]:
        part(house.dba)
    # Found is enough, the shortest way to it is not wanted.
    quick = settings(SETTINGS, phases=[Phase.generate], print_blob=False)
    with pytest.raises(DisagreementError):
        run(house, quick, times=60)
