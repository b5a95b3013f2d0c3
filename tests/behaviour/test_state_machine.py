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
from tests.support.machine import TicketMachine
from tests.support.observing import DisagreementError, House
from tests.support.sabotage import Edit

MACHINES = 4
STEPS = 50  # of each example
# After ten examples Hypothesis begins to vary those it has, and most of what follows is nearly the
# same again. Ten at a time are all different, except that it begins with two of the simplest kind:
# hence 60 of a machine where 50 would make the 200 that are wanted.
EXAMPLES = 10
EXAMPLES_OF_A_MACHINE = 60

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
    def machine() -> TicketMachine:
        return TicketMachine(house)

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
    assert house.steps >= 50 * STEPS
    # What is seldom may take longer to be seen.
    while (unseen := OUTCOMES - house.tally.keys()) and house.examples < 500:
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
