"""The demo: its buyers and the database agree, and when the database lies, it is found out."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from rich.console import Console

from tests.support.databases import Connect, Database
from tests.support.names import BESIDE
from tests.support.processes import is_running
from tests.support.waiting import await_true
from ticketdb.config import Variables
from ticketdb.demo import buyers, run
from ticketdb.demo.buyers import Buyer
from ticketdb.demo.clerks import Clerk
from ticketdb.demo.people import Sale
from ticketdb.demo.run import Reckoning, look
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.paths import shipped_tree

# The demo makes a database of its own, with the names as shipped.
pytestmark = pytest.mark.default_names

PROGRAM = "from ticketdb.demo import run as demo_run; raise SystemExit(demo_run.run({}))"

# What may go wrong in a database, and one number that must be found to differ.
SABOTAGE = {
    "an audit row is lost": (
        """
        CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER lose BEFORE INSERT ON seat_reservation_audit_log FOR EACH ROW
        WHEN (NEW.event_type = 'completed') EXECUTE FUNCTION lose();
        """,
        ("statistics", "all shows: completed"),
    ),
    "an audit row is written twice": (
        """
        CREATE FUNCTION repeat_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO public.seat_reservation_audit_log (event_type, reservation_id, show_id)
            VALUES ('expired', NEW.id, NEW.show_id);
            RETURN NULL;
        END $$;
        CREATE TRIGGER repeat_it AFTER UPDATE ON seat_reservations FOR EACH ROW
        WHEN (NEW.status = 'expired') EXECUTE FUNCTION repeat_it();
        """,
        ("holds and audit log", "expired more than once"),
    ),
    "a ticket vanishes": (
        """
        CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            DELETE FROM public.tickets WHERE id = NEW.id;
            RETURN NULL;
        END $$;
        CREATE TRIGGER vanish AFTER INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION vanish();
        ALTER TABLE tickets DISABLE TRIGGER tickets_keep_rows;
        """,
        ("known to one side only", "tickets, or their order"),
    ),
    "a ticket is for another seat": (
        """
        CREATE FUNCTION misplace() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            SELECT id INTO NEW.show_seat_id FROM public.show_seats AS seat
            WHERE show_id = NEW.show_id AND status = 'available' AND NOT EXISTS (
                SELECT FROM public.tickets AS ticket WHERE ticket.show_seat_id = seat.id
            )
            ORDER BY id DESC LIMIT 1;
            RETURN NEW;
        END $$;
        CREATE TRIGGER misplace BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION misplace();
        """,
        ("known to one side only", "seats sold, or their buyer"),
    ),
    "an amount is changed": (
        """
        CREATE FUNCTION overcharge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.total_amount_in_cents := NEW.total_amount_in_cents + 1;
            RETURN NEW;
        END $$;
        CREATE TRIGGER overcharge BEFORE INSERT ON ticket_orders FOR EACH ROW
        EXECUTE FUNCTION overcharge();
        """,
        ("wrong answers", "create_ticket_order: total"),
    ),
    "a refund is forgotten": (
        """
        CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER forget BEFORE INSERT ON refunds FOR EACH ROW EXECUTE FUNCTION forget();
        """,
        ("known to one side only", "refunds, or their status or amount"),
    ),
    "the seat map stays as it was": (
        """
        ALTER FUNCTION get_seat_map(uuid, bigint) RENAME TO honest_seat_map;
        CREATE FUNCTION get_seat_map(uuid, bigint DEFAULT NULL)
        RETURNS TABLE (seat_id uuid, section text, row_label text, seat_number text,
            row_position integer, seat_position integer, state text, price_in_cents bigint,
            currency text, version bigint)
        LANGUAGE sql SECURITY DEFINER AS $$
            SELECT seat_id, section, row_label, seat_number, row_position, seat_position,
                'available', price_in_cents, currency, version
            FROM honest_seat_map($1, $2)
        $$;
        GRANT EXECUTE ON FUNCTION get_seat_map(uuid, bigint) TO ticketdb_app, ticketdb_box_office;
        """,
        ("seat map", "Symphony: sold"),
    ),
    "the rollup loses an event": (
        """
        CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.created := NEW.created - 1;
            RETURN NEW;
        END $$;
        CREATE TRIGGER lose BEFORE INSERT ON ticketdb.reservation_minutes FOR EACH ROW
        EXECUTE FUNCTION lose();
        """,
        ("realtime_dashboard", "reservations_last_hour"),
    ),
    "the statistics exaggerate": (
        """
        ALTER FUNCTION get_reservation_statistics(uuid, integer) RENAME TO honest_statistics;
        CREATE FUNCTION get_reservation_statistics(uuid DEFAULT NULL, integer DEFAULT 24)
        RETURNS TABLE (total_created bigint, total_completed bigint, total_expired bigint,
            total_released bigint, total_extended bigint, total_failed bigint,
            avg_hold_seconds float8, expiration_rate float8)
        LANGUAGE sql AS $$
            SELECT total_created + 1, total_completed, total_expired, total_released,
                total_extended, total_failed, avg_hold_seconds, expiration_rate
            FROM honest_statistics($1, $2)
        $$;
        """,
        ("statistics", "all shows: created"),
    ),
    "a seat is sold without a ticket": (
        """
        CREATE FUNCTION give_away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.status := 'sold';
            RETURN NEW;
        END $$;
        CREATE TRIGGER give_away BEFORE INSERT ON show_seats FOR EACH ROW
        WHEN ((NEW.section, NEW.row_label, NEW.seat_number) = ('Hall', '01', '01'))
        EXECUTE FUNCTION give_away();
        """,
        ("invariants broken", "sold_seats_have_a_ticket"),
    ),
    "the cleanup fails": (
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE 'the cleanup does not work today';
        END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON seat_reservations FOR EACH ROW
        WHEN (NEW.status = 'expired') EXECUTE FUNCTION refuse();
        """,
        ("must not happen", "failed runs of the cleanup"),
    ),
    "a function raises an exception": (
        """
        CREATE FUNCTION explode() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE serialization_failure USING MESSAGE = 'not to be seen by a buyer';
        END $$;
        CREATE TRIGGER explode BEFORE INSERT ON ticket_orders FOR EACH ROW
        EXECUTE FUNCTION explode();
        """,
        ("wrong answers", "exception SerializationFailure: not to be seen by a buyer"),
    ),
}


def sell(database: Database, seconds: float = 1.5, buyers: int = 12) -> Reckoning:
    """Run the demo's sale in a database at head."""
    return asyncio.run(run.sell(database.dsn, buyers, seconds, 7, Console(quiet=True)))


def test_buyers_and_database_agree_on_every_number(database: Database) -> None:
    reckoning = sell(database)
    assert reckoning.differing == []
    for look_at in (reckoning.first, reckoning.last):
        numbers = {
            (row["metric"], row["of_what"]): row["buyers_count"] for row in look_at.comparison
        }
        assert numbers["reservations", "completed"]
        assert numbers["audit log", "expired"]
        assert numbers["orders", "paid"]
        assert numbers["tickets", "valid"]
        assert numbers["seat map", "Symphony: sold"] == numbers["seats", "Symphony: sold"]
        received = numbers["money in cents", "EUR received"]
        places = ("in valid tickets", "returned", "due")
        assert received == sum(numbers.get(("money in cents", f"EUR {p}"), 0) for p in places)
        assert numbers["quality_dashboard", "holds_ended"]
    # How much had been rolled up at the first look is for the transactions of others on this server
    # to say, which hold it back; at the last look it was everything.
    assert reckoning.rolled_up_before + reckoning.rolled_up_after > 0


def test_buyers_do_not_notice_that_revisions_come_and_go(
    database: Database, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they call stays: up to there, revisions come and go in schemas beside theirs. The box
    office is closed meanwhile: its functions are among those that come and go.
    """

    async def do_nothing(_: Clerk) -> None:
        pass

    monkeypatch.setattr(Clerk, "act", do_nothing)
    monkeypatch.setitem(buyers.PLANS, Buyer.sit_badly, 0)
    for at_the_counter in (Buyer.give_back, Buyer.attend, Buyer.be_forgotten):
        monkeypatch.setitem(buyers.AFTERWARDS, at_the_counter, 0)
    over = threading.Event()
    monkeypatch.setattr(Sale, "seconds_left", property(lambda _: 0.0 if over.is_set() else 60.0))
    beside = replace(BESIDE, manage_roles=False)
    chain = read_chain(shipped_tree())
    needed = max(r.revision for r in chain if "rollup/roll_up_metrics.sql" in r.up)

    def up(variables: Variables) -> list[str]:
        result = apply(database.dsn, variables, lock_timeout=0.2, beside=variables == beside)
        return [step.revision for step in result.applied]

    def down(variables: Variables, to: str) -> list[str]:
        steps = revert(database.dsn, variables, to, allow_data_loss=True, lock_timeout=0.2)
        return [step.revision for step in steps]

    def come_and_go() -> list[list[str]]:
        try:
            await_true(connect(), "SELECT count(*) > 0 FROM public.tickets")
            return [up(beside), down(beside, "base"), down(Variables(), needed), up(Variables())]
        finally:
            over.set()

    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(come_and_go)
        reckoning = sell(database, seconds=1, buyers=60)
    came, went, reverted, applied = changing.result()
    assert came == went[::-1] == [r.revision for r in chain]
    assert applied == reverted[::-1] == [r.revision for r in chain if r.revision > needed]
    assert reckoning.differing == []  # nobody got an answer that was not expected, or none
    ((calls, longest),) = connect().execute(
        "SELECT count(*), max(duration_ms) FROM public.api_request_log"
    )
    print(f"{calls} calls while revisions came and went, the longest took {longest:.0f} ms")


def test_whatever_number_a_view_shows_wrongly_is_found_out(
    database: Database, connect: Connect
) -> None:
    account = sell(database).account
    session = connect()
    views = session.execute(
        """
        SELECT
            relname,
            json_agg(
                json_build_array(
                    attname, atttypid IN ('bigint'::regtype, 'smallint'::regtype, 'float8'::regtype)
                )
                ORDER BY attnum
            )
        FROM pg_class
        INNER JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relkind = 'v' AND relnamespace = 'monitoring'::regnamespace
        GROUP BY relname
        """
    ).fetchall()
    for view, columns in views:
        # What reads the view reads the honest one still: each is one too high, none is two. Where
        # there is no number, there is one.
        names = {"honest": sql.Identifier(f"honest_{view}"), "view": sql.Identifier(view)}
        shown = sql.SQL(", ").join(
            sql.SQL("COALESCE({0} + 1, 1) AS {0}" if is_figure else "{0}").format(
                sql.Identifier(name)
            )
            for name, is_figure in columns
        )
        for statement in (
            "ALTER VIEW monitoring.{view} RENAME TO {honest}",
            "CREATE VIEW monitoring.{view} AS SELECT {shown} FROM monitoring.{honest}",
            "GRANT SELECT ON monitoring.{view} TO dashboard_reader",
        ):
            session.execute(sql.SQL(statement).format(**names, shown=shown))
    rows = look(session, account).comparison
    of_views = {view for view, _ in views} | {"invariants broken"}
    agreeing = {row["metric"] for row in rows if row["agree"]}
    differing = {row["metric"] for row in rows if not row["agree"]}
    assert agreeing & of_views == set()
    assert differing - of_views == set()
    assert {"realtime_dashboard", "top_errors", "alerts", "hourly_metrics"} <= differing


@pytest.mark.parametrize("what", SABOTAGE)
def test_a_database_that_lies_is_found_out(what: str, database: Database, connect: Connect) -> None:
    statements, differing = SABOTAGE[what]
    connect().execute(statements)
    assert differing in {(row["metric"], row["of_what"]) for row in sell(database).differing}


def test_a_deadlock_is_found_out(database: Database, connect: Connect) -> None:
    sessions = connect(), connect()
    lock = "SELECT pg_advisory_xact_lock(%s)"
    for key, session in enumerate(sessions):
        session.execute("BEGIN")
        session.execute(lock, [key])
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(s.execute, lock, [1 - key]) for key, s in enumerate(sessions)]
    assert sorted(future.exception() is None for future in waiting) == [False, True]
    for session in sessions:
        session.close()
    assert "deadlocks" in {row["of_what"] for row in sell(database).differing}


def test_a_whole_demo_prints_dashboards_and_verdict_on_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run.run(buyers=8, seconds=1) == 0
    printed = capsys.readouterr().out
    # At the end, where they are still to be seen.
    parts = ["2,000 seats", "Number by number", "Real-Time Operations", "Quality Metrics"]
    parts += ["System Health", "Alerts", "numbers agree."]
    places = [printed.index(part) for part in parts]
    assert places == sorted(places)
    assert re.search(r"^All \d+ numbers agree\.", printed, re.MULTILINE)
    assert max(map(len, printed.splitlines())) <= 80


def test_a_demo_that_finds_a_difference_exits_with_1_and_names_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    statements, (metric, of_what) = SABOTAGE["the statistics exaggerate"]
    install = run.install

    def install_and_sabotage(dsn: str, console: Console) -> None:
        install(dsn, console)
        with psycopg.connect(dsn) as connection:
            connection.execute(statements)

    monkeypatch.setattr(run, "install", install_and_sabotage)
    assert run.run(buyers=4, seconds=1) == 1
    printed = capsys.readouterr().out
    assert re.search(
        rf"^{metric}, {of_what}: the buyers count \d+, the database reports \d+", printed, re.M
    )
    assert "numbers agree" not in printed


def test_json_goes_to_standard_output_alone(connect: Connect) -> None:
    names = connect().execute("SELECT alert_name FROM monitoring.alert_rules").fetchall()
    rules = sorted(name for (name,) in names)
    program = PROGRAM.format("buyers=4, seconds=1, json=True")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    assert result["agree"] is True
    for comparison in (result["comparison"], result["comparison_after_rollup"]):
        assert all(row["agree"] for row in comparison)
    (row,) = result["dashboards"]["Real-Time Operations"]["realtime_dashboard"]
    assert row["reservations_last_hour"] > 0
    assert sorted(alert["alert_name"] for alert in result["alerts"]) == rules
    assert "4 buyers" in done.stderr


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Whatever fails within the block, nobody waits for a process that does not end."""
    try:
        yield
    finally:
        process.kill()


@pytest.mark.parametrize("stop_with", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(stop_with: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", PROGRAM.format("buyers=30, seconds=10")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, ended(process):
        assert process.stdout is not None
        directory = Path(process.stdout.readline().rpartition(": ")[2].strip())
        assert directory.is_dir()
        server = int((directory / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        # Five lines report the progress: after the first, everybody is in the middle of the sale.
        assert any("holds/s" in line for line in process.stdout)
        process.send_signal(stop_with)
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == (-signal.SIGINT if stop_with == signal.SIGINT else 128 + stop_with)
    assert "exception was never retrieved" not in complaints
    assert not directory.exists()
    assert not is_running(server)
