"""ticketing_settings keeps its one row in order; get_reservation_statistics counts."""

import uuid
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.hall import Hall, make_hall
from tests.support.queries import Connection, call, refused_by

DEFAULTS = {
    "hold_minutes": 10,
    "extension_minutes": 5,
    "max_extensions": 3,
    "max_hold_minutes": 60,
    "max_seats_per_reservation": 10,
    "audit_retention_days": 90,
    "business_time_zone": "UTC",
}


def test_the_settings_are_one_row_of_defaults(connection: Connection) -> None:
    (row,) = connection.execute("SELECT * FROM ticketing_settings").fetchall()
    assert DEFAULTS.items() <= row._asdict().items()


@pytest.mark.parametrize(
    "statement", ["DELETE FROM ticketing_settings", "TRUNCATE ticketing_settings"]
)
def test_the_settings_cannot_be_removed(connection: Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
        connection.execute(statement)


def test_a_second_row_of_settings_is_refused(connection: Connection) -> None:
    with refused_by(connection, "ticketing_settings_pkey"):
        connection.execute("INSERT INTO ticketing_settings DEFAULT VALUES")
    with refused_by(connection, "ticketing_settings_singleton_check"):
        connection.execute("INSERT INTO ticketing_settings (singleton) VALUES (false)")


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("hold_minutes", "0"),
        ("extension_minutes", "0"),
        ("extension_minutes", "1441"),
        ("max_extensions", "-1"),
        ("max_extensions", "101"),
        ("max_hold_minutes", "9"),
        ("max_hold_minutes", "10081"),
        ("max_seats_per_reservation", "0"),
        ("max_seats_per_reservation", "1001"),
        ("audit_retention_days", "7"),
        ("audit_retention_days", "36501"),
        ("run_history_days", "1"),
        ("run_history_days", "3651"),
        ("business_time_zone", "'Mars/Olympus'"),
        ("business_time_zone", "''"),
        ("business_time_zone", "'+03'"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(
    connection: Connection, setting: str, wrong: str
) -> None:
    with refused_by(connection, f"ticketing_settings_{setting}_check"):
        connection.execute(f"UPDATE ticketing_settings SET {setting} = {wrong}")


@pytest.mark.parametrize("setting", DEFAULTS)
def test_no_setting_can_be_missing(connection: Connection, setting: str) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation), connection.transaction():
        connection.execute(f"UPDATE ticketing_settings SET {setting} = NULL")


def test_a_changed_setting_is_in_force_from_the_next_call_on(hall: Hall) -> None:
    first = hall.hold(0)
    hall.connection.execute("UPDATE ticketing_settings SET hold_minutes = 20")
    second = hall.hold(1, session="ben")
    assert (second.expires_at - first.expires_at).total_seconds() == pytest.approx(600, abs=30)
    assert hall.reservation(first).expires_at == first.expires_at


# get_reservation_statistics

SHOWS = [UUID(int=1), UUID(int=2)]
BY_HAND = """
SELECT
    (SELECT count(*) FROM log WHERE event_type = 'created') AS total_created,
    (SELECT count(*) FROM log WHERE event_type = 'completed') AS total_completed,
    (SELECT count(*) FROM log WHERE event_type = 'expired') AS total_expired,
    (SELECT count(*) FROM log WHERE event_type = 'released') AS total_released,
    (SELECT count(*) FROM log WHERE event_type = 'extended') AS total_extended,
    (SELECT count(*) FROM log WHERE event_type = 'failed') AS total_failed,
    (SELECT avg(hold_seconds) FROM log) AS avg_hold_seconds
"""


def write_history(connection: Connection) -> None:
    """Uneven numbers of events of every kind for two shows, one every 20 minutes of 3 days.

    None is within a minute of the beginning of a window, which is rounded down to a whole one.
    """
    connection.execute(
        """
        INSERT INTO seat_reservation_audit_log (event_type, show_id, hold_seconds, created_at)
        SELECT
            (ARRAY['created', 'created', 'created', 'completed', 'expired', 'released', 'extended',
                   'failed', 'created', 'expired', 'created'])[1 + n %% 11],
            (%s::uuid[])[1 + (n %% 3) / 2],
            CASE WHEN n %% 11 IN (3, 4, 5, 9) THEN n END,
            now() - n * interval '20 minutes' - interval '10 minutes'
        FROM generate_series(0, 216) AS n
        """,
        [SHOWS],
    )


def test_there_is_one_row_when_nothing_has_happened(connection: Connection) -> None:
    answer = call(connection, "get_reservation_statistics")
    assert answer == (0, 0, 0, 0, 0, 0, None, 0.0)
    assert answer._fields == (
        "total_created",
        "total_completed",
        "total_expired",
        "total_released",
        "total_extended",
        "total_failed",
        "avg_hold_seconds",
        "expiration_rate",
    )
    assert isinstance(answer.expiration_rate, float)


@pytest.mark.parametrize("show", [None, *SHOWS, uuid.uuid4()], ids=["all", "1", "2", "unknown"])
@pytest.mark.parametrize("hours", [1, 2, 24, 48, 8760])
def test_the_counts_are_those_of_the_log(
    connection: Connection, show: UUID | None, hours: int
) -> None:
    write_history(connection)
    connection.execute(
        "CREATE TEMP VIEW log AS SELECT * FROM seat_reservation_audit_log WHERE"
        f" created_at > now() - interval '{hours} hours'"
        + ("" if show is None else f" AND show_id = '{show}'")
    )
    answer = call(connection, "get_reservation_statistics", p_show_id=show, p_hours=hours)
    (expected,) = connection.execute(BY_HAND).fetchall()
    assert answer[:6] == expected[:6]
    assert answer.avg_hold_seconds == pytest.approx(expected[6])
    assert answer.expiration_rate == pytest.approx(
        answer.total_expired / answer.total_created if answer.total_created else 0
    )


def test_without_arguments_the_window_is_a_day_of_all_shows(connection: Connection) -> None:
    write_history(connection)
    assert call(connection, "get_reservation_statistics") == call(
        connection, "get_reservation_statistics", p_show_id=None, p_hours=24
    )


@pytest.mark.parametrize("hours", [0, -1, 8761, 2**31 - 1, -(2**31), None])
def test_a_window_that_makes_no_sense_is_an_error(
    connection: Connection, hours: int | None
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught, connection.transaction():
        call(connection, "get_reservation_statistics", p_show_id=None, p_hours=hours)
    assert caught.value.sqlstate == "22023"
    assert "between 1 and 8760" in str(caught.value)


def test_what_the_buyers_did_is_what_is_counted(hall: Hall) -> None:
    elsewhere = make_hall(hall.connection)
    hall.sell(0)
    hall.release(hall.hold(1, session="ben"), session="ben")
    over = hall.hold(2, session="cleo")
    hall.extend(over, session="cleo")
    hall.let_run_out(over)
    hall.clean_up()
    hall.reserve(0, session="dora")
    elsewhere.hold(0)
    counts: dict[str, Any] = call(
        hall.connection, "get_reservation_statistics", p_show_id=hall.show_id
    )._asdict()
    assert counts == {
        "total_created": 3,
        "total_completed": 1,
        "total_expired": 1,
        "total_released": 1,
        "total_extended": 1,
        "total_failed": 1,
        "avg_hold_seconds": pytest.approx(0, abs=30),
        "expiration_rate": pytest.approx(1 / 3),
    }
    assert call(hall.connection, "get_reservation_statistics").total_created == 4


def test_the_rate_is_nothing_where_holds_ended_and_none_was_created(hall: Hall) -> None:
    hall.hold(0)
    # A hold from before the window, so to speak: only its end is seen.
    other = uuid.uuid4()
    hall.connection.execute(
        "INSERT INTO seat_reservation_audit_log (event_type, show_id, hold_seconds)"
        " VALUES ('expired', %s, 600)",
        [other],
    )
    answer = call(hall.connection, "get_reservation_statistics", p_show_id=other)
    assert (answer.total_expired, answer.expiration_rate, answer.avg_hold_seconds) == (1, 0, 600)
