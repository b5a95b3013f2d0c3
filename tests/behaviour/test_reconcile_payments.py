"""reconcile_payments: what a provider has moved against what is on record here."""

from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.hall import Hall, make_hall
from tests.support.money import cancel, dispute, return_money, ticket_ids
from tests.support.names import NAMES
from tests.support.plans import explained
from tests.support.queries import Row, acting_as, enter, tables, value


def reconcile(hall: Hall, there: dict[str, int] | list[tuple[str, int]], **more: Any) -> list[Row]:
    listed = list(there.items()) if isinstance(there, dict) else there
    arguments: dict[str, Any] = {
        "provider": "stripe",
        "ids": [event for event, _ in listed],
        "amounts": [amount for _, amount in listed],
        "from": "-infinity",
        "until": "infinity",
    } | more
    return hall.connection.execute(
        "SELECT * FROM reconcile_payments(%(provider)s, %(ids)s::text[], %(amounts)s::bigint[],"
        " %(from)s, %(until)s)",
        arguments,
    ).fetchall()


@pytest.fixture
def paid(hall: Hall) -> tuple[Row, Row]:
    """An order paid by evt_1, and another by evt_2, which was paid again by evt_3."""
    one, two = hall.order(hall.hold(0)), hall.order(hall.hold(1, session="ben"), "ben")
    assert hall.pay(one, "evt_1").success
    assert hall.pay(two, "evt_2").success
    assert not hall.pay(two, "evt_3").success
    return one, two


@pytest.mark.usefixtures("paid")
def test_lists_that_agree_have_no_difference(hall: Hall) -> None:
    assert reconcile(hall, {"evt_1": 1000, "evt_2": 1100, "evt_3": 1100}) == []


def test_each_difference_has_its_kind(hall: Hall, paid: tuple[Row, Row]) -> None:
    one, two = paid
    found = reconcile(hall, {"evt_1": 999, "evt_2": 1100, "evt_9": 5})
    assert found == [
        ("evt_1", "amount differs", 1000, 999, [one.order_id]),
        ("evt_3", "unknown there", 1100, None, [two.order_id]),
        ("evt_9", "unknown here", None, 5, []),
    ]
    assert found[0]._fields == (
        "event_id",
        "difference",
        "amount_here_in_cents",
        "amount_there_in_cents",
        "order_ids",
    )


def test_one_transfer_may_pay_two_orders(hall: Hall) -> None:
    one, two = hall.order(hall.hold(0)), hall.order(hall.hold(1, session="ben"), "ben")
    for order in (one, two):
        hall.pay(order, "transfer")
    assert reconcile(hall, {"transfer": 2100}) == []
    (row,) = reconcile(hall, {"transfer": 1000})
    assert (row.amount_here_in_cents, row.order_ids) == (
        2100,
        sorted([one.order_id, two.order_id]),
    )


def test_money_that_went_back_counts_less(hall: Hall, paid: tuple[Row, Row]) -> None:
    one, two = paid
    (refund_id,) = cancel(hall, ticket_ids(hall, one)).refund_ids
    return_money(hall, refund_id, "re_1")
    dispute(hall, two, 1100, "dp_1")
    known = {"evt_1": 1000, "evt_2": 1100, "evt_3": 1100}
    assert reconcile(hall, known | {"re_1": -1000, "dp_1": -1100}) == []
    assert [row.event_id for row in reconcile(hall, known)] == ["dp_1", "re_1"]


def test_of_an_event_that_came_and_went_the_difference_counts(hall: Hall) -> None:
    """A provider may name a refund as the payment that it returns."""
    order = hall.sell(0, 1)
    event = f"evt_{order.order_id}"
    (refund_id,) = cancel(hall, ticket_ids(hall, order)[:1]).refund_ids
    return_money(hall, refund_id, event)
    assert reconcile(hall, {event: 1100}) == []
    # The provider may also list both movements.
    assert reconcile(hall, [(event, 2100), (event, -1000)]) == []


def test_failures_and_events_about_no_money_are_not_missed(hall: Hall) -> None:
    order = hall.order(hall.hold(0))
    hall.fail(order, "evt_failed")
    hall.pay(order, "evt_nothing", amount=0)
    hall.pay(order, "evt_negative", amount=-5)
    assert reconcile(hall, {}) == []
    assert [row.difference for row in reconcile(hall, {"evt_failed": 0})] == ["unknown here"]


@pytest.mark.usefixtures("paid")
def test_other_providers_have_lists_of_their_own(hall: Hall) -> None:
    assert reconcile(hall, {}, provider="paypal") == []
    assert [row.difference for row in reconcile(hall, {"evt_1": 1000}, provider="paypal")] == [
        "unknown here"
    ]


@pytest.mark.usefixtures("paid")
@pytest.mark.parametrize(
    ("window", "missed"),
    [
        (("now() - interval '1 s'", "now() + interval '1 s'"), True),
        (("now()", "now() + interval '1 us'"), True),
        (("now() - interval '1 s'", "now()"), False),
        (("now() + interval '1 us'", "'infinity'"), False),
        (("NULL", "NULL"), False),
    ],
)
def test_what_is_missed_there_is_of_the_window_only(
    hall: Hall, window: tuple[str, str], missed: bool
) -> None:
    begin, end = (
        value(hall.connection, f"SELECT ({bound})::timestamptz::text") for bound in window
    )
    found = reconcile(hall, {}, **{"from": begin, "until": end})
    assert bool(found) == missed
    # What is in the list is compared whenever it came.
    differs = reconcile(hall, {"evt_1": 1}, **{"from": begin, "until": end})
    assert ("evt_1", "amount differs") in [row[:2] for row in differs]


@pytest.mark.parametrize(
    ("ids", "amounts"),
    [(["a"], [1, 2]), (["a", None], [1, 2]), (["a"], [None]), (None, [1]), (["a"], None)],
)
def test_lists_that_do_not_fit_each_other_are_an_error(hall: Hall, ids: Any, amounts: Any) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue), hall.connection.transaction():
        reconcile(hall, {}, ids=ids, amounts=amounts)


@pytest.mark.usefixtures("paid")
def test_the_staff_reads_it_and_it_writes_nothing(hall: Hall) -> None:
    before = tables(hall.connection)
    with acting_as(hall.connection, NAMES.box_office_role):
        assert len(reconcile(hall, {"evt_9": 1})) == 4
    assert tables(hall.connection) == before
    for role in (NAMES.app_role, NAMES.monitor_role):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            acting_as(hall.connection, role),
        ):
            reconcile(hall, {})


def test_a_day_is_reconciled_without_reading_the_other_years(
    database: Database, connect: Connect
) -> None:
    connection = enter(connect(database))
    hall = make_hall(connection)
    order = hall.sell(0)
    connection.execute("SET session_replication_role = replica")
    connection.execute(
        "INSERT INTO payment_events (provider, event_id, show_id, order_id, kind,"
        " amount_in_cents, success, order_status, ticket_ids, created_at)"
        " SELECT 'stripe', 'evt ' || n, %s, %s, 'payment', 1, true, 'paid', '{}',"
        "  now() - make_interval(hours => 200000 - n)"
        " FROM generate_series(1, 200000) AS n",
        [hall.show_id, order.order_id],
    )
    connection.execute("VACUUM (ANALYZE) payment_events")
    day = {"from": value(connection, "SELECT now() - interval '1 day'"), "until": "infinity"}
    reconcile(hall, {}, **day)
    with explained(connection) as plans:
        found = reconcile(hall, {"evt 199990": 1, "evt 7": 1}, **day)
    assert len(found) == 24
    query = next(plan for plan in plans if plan.query.startswith("WITH theirs"))
    assert not any(node["Node Type"] == "Seq Scan" for node in query.nodes)
    assert query.buffers < 1000
