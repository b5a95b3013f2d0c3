"""Dashboards are best asked of a streaming replica: there every view says what the primary says."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from tests.support.databases import Database
from tests.support.hall import make_hall
from tests.support.happenings import CONSTRAINT, Events, Orders, Requests, Run, write
from tests.support.names import NAMES
from tests.support.polling import seat_map
from tests.support.queries import Connection, Row, enter, value, views
from tests.support.rollups import roll_up_all
from tests.support.waiting import await_true
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster, private_cluster

DATABASE = "shop"

# What is about the connections of one server, which the other has not.
OWN = {"connection_pool", "system_health"}


# Columns that have grown by the time that the second server is asked, and alerts whose value has.
AGES = ("age_seconds", "overdue_seconds")
AGEING = {
    "cleanup_job_failed",
    "cleanup_job_silent",
    "maintenance_behind",
    "overdue_holds",
    "refunds_overdue",
    "rollup_late",
}


@dataclass(frozen=True)
class Pair:
    """A primary, and the replica that follows it."""

    primary: Database
    replica: Database

    @contextmanager
    def sessions(self, user: str) -> Iterator[tuple[Connection, Connection]]:
        with ExitStack() as stack:
            opened = [
                stack.enter_context(
                    closing(
                        psycopg.connect(
                            database.dsn_as(user), autocommit=True, row_factory=namedtuple_row
                        )
                    )
                )
                for database in (self.primary, self.replica)
            ]
            yield enter(opened[0]), enter(opened[1])


def run_as_server(primary: Cluster, *command: str | Path) -> None:
    """Run a program of the server as the user that the server runs as: it refuses root."""
    owner = primary.data_directory.stat()
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    # A replica whose programs do not belong to the machine would load the machine's libpq, which
    # may be too old for what its own pg_basebackup has written into the configuration.
    libraries = str(primary.binaries.bindir.parent / "lib")
    # Not into a pipe: the server inherits it and would keep it open.
    with (primary.directory / "replica.log").open("ab") as log:
        subprocess.run(
            [primary.binaries.bindir / command[0], *command[1:]],
            check=True,
            cwd="/",
            env=os.environ | {"LD_LIBRARY_PATH": libraries},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **identity,
        )


@contextmanager
def streaming_replica(primary: Cluster) -> Iterator[Cluster]:
    """Copy a running server and let the copy follow it. Lives within the primary's folder."""
    directory = primary.directory / "replica"
    data = directory / "data"
    directory.mkdir(mode=0o700)
    owner = primary.data_directory.stat()
    os.chown(directory, owner.st_uid, owner.st_gid)
    run_as_server(
        primary,
        "pg_basebackup",
        f"--dbname={primary.dsn()}",
        f"--pgdata={data}",
        "--write-recovery-conf",
        "--wal-method=stream",
        "--checkpoint=fast",
    )
    settings = f"-c unix_socket_directories={directory} -c hot_standby_feedback=on"
    log = f"--log={directory / 'server.log'}"
    run_as_server(
        primary, "pg_ctl", f"--pgdata={data}", "--wait", log, f"--options={settings}", "start"
    )
    try:
        yield replace(primary, directory=directory)
    finally:
        run_as_server(primary, "pg_ctl", f"--pgdata={data}", "--mode=immediate", "stop")


@pytest.fixture(scope="module")
def pair(cluster: Cluster) -> Iterator[Pair]:
    # What is committed is sent at once, and not with the next round of the WAL writer.
    with private_cluster(cluster.binaries, settings={"synchronous_commit": "on"}) as primary:
        primary.create_database(DATABASE)
        database = Database(primary, DATABASE)
        commands.apply(database.dsn, NAMES)
        with streaming_replica(primary) as replica:
            yield Pair(database, Database(replica, DATABASE))


def catch_up(primary: Connection, replica: Connection) -> None:
    """Until the replica has replayed what the primary has committed."""
    await_true(
        replica,
        "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn",
        [value(primary, "SELECT pg_current_wal_flush_lsn()::text")],
    )


def has_grown(view: str, row: Row) -> bool:
    """Whether the value of this row of alerts or health is an age."""
    return row.alert_name in AGEING if view == "alerts" else row.unit == "s"


def comparable_rows(connection: Connection) -> dict[str, list[Row]]:
    """What the views and the statistics say, but for what is another moment later: ages."""
    found = {}
    for view in views(connection):
        path = sql.Identifier(NAMES.monitoring_schema, view)
        rows = connection.execute(sql.SQL("SELECT * FROM {}").format(path)).fetchall()
        assert rows, view
        if view in OWN:
            continue
        found[view] = [
            {
                name: field
                for name, field in row._asdict().items()
                if not name.endswith(AGES) and not (name == "value" and has_grown(view, row))
            }
            for row in rows
            if row[0] != "connections"
        ]
    for hours in (1, 24, 8760):
        found[f"statistics of {hours} h"] = connection.execute(
            "SELECT * FROM get_reservation_statistics(NULL, %s)", [hours]
        ).fetchall()
    return found


def morning(connection: Connection) -> None:
    hall = make_hall(connection)
    hall.sell(0, 1)
    hall.extend(hall.hold(2, session="ben"), session="ben")
    hall.let_run_out(hall.hold(3, session="cleo"))
    write(
        connection,
        Events("created", 5, minutes_ago=90),
        Events("failed", 2, message=CONSTRAINT),
        Orders("failed", 3),
        Requests(count=4),
        Requests("/pay", status_code=500, milliseconds=800),
        Run(seconds_ago=30),
    )
    connection.execute("SELECT check_invariants()")


def test_every_view_says_the_same_at_every_stage_of_the_rollup(pair: Pair) -> None:
    with (
        pair.sessions("postgres") as (owner, _),
        pair.sessions(NAMES.dashboard_role) as (primary, replica),
    ):
        assert value(replica, "SELECT pg_is_in_recovery()")
        stages: list[Callable[[], object]] = [
            lambda: write(owner, Run()),
            lambda: morning(owner),
            lambda: roll_up_all(owner),
            lambda: morning(owner),
            lambda: owner.execute("SELECT cleanup_expired_seat_reservations()"),
            lambda: roll_up_all(owner),
        ]
        seen = []
        for play in stages:
            play()
            catch_up(owner, replica)
            expected = comparable_rows(primary)
            found = comparable_rows(replica)
            assert [what for what in expected if found[what] != expected[what]] == []
            seen.append(value(replica, "SELECT succeeded FROM reservation_success_rate LIMIT 1"))
        assert seen == [0, 3, 3, 6, 6, 6]
        assert value(replica, "SELECT firing FROM alerts WHERE alert_name = 'constraint_violation'")


def test_what_is_being_written_on_the_primary_is_not_seen_before_it_is_committed(
    pair: Pair,
) -> None:
    created = "SELECT succeeded FROM reservation_success_rate WHERE time_window = '1h'"
    with (
        pair.sessions("postgres") as (owner, other),
        pair.sessions(NAMES.datadog_role) as (_, replica),
        closing(psycopg.connect(pair.primary.dsn, row_factory=namedtuple_row)) as late,
    ):
        before = value(replica, created)
        write(enter(late), Events("created", 7))
        write(owner, Events("created", 1))
        # The rollup goes as far as the open transaction lets it.
        owner.execute("SELECT roll_up_metrics()")
        catch_up(owner, other)
        assert value(replica, created) == before + 1
        late.commit()
        catch_up(owner, other)
        assert value(replica, created) == before + 8
        roll_up_all(owner)
        catch_up(owner, other)
        assert value(replica, created) == before + 8


def test_a_shop_reads_on_the_replica_what_it_would_on_the_primary(pair: Pair) -> None:
    with pair.sessions("postgres") as (primary, replica):
        hall = make_hall(primary)
        order = hall.order(hall.hold(0), p_payment_intent_id="pi_replica")
        hall.pay(order)
        hall.pay(order, event="evt_again")
        hold = hall.hold(1, 2)
        hall.let_run_out(hall.hold(3, session="ben"))
        catch_up(primary, replica)
        for question, arguments in (
            ("get_seat_map(%s)", [hall.show_id]),
            ("get_seat_map_at(%s, now() - interval '1 day')", [hall.show_id]),
            ("get_seat_map_at(%s, now())", [hall.show_id]),
            ("get_reservation(%s, 'anna')", [hold.reservation_token]),
            ("get_session_reservations(%s)", ["anna"]),
            ("get_order(%s, %s)", [hall.show_id, order.order_id]),
            ("find_orders(NULL, %s)", ["pi_replica"]),
            ("get_tickets(%s, %s)", [hall.show_id, order.order_id]),
            ("get_refunds(%s)", [hall.show_id]),
        ):
            here, there = (
                session.execute(f"SELECT * FROM {question}".encode(), arguments).fetchall()
                for session in (primary, replica)
            )
            assert here == there, question
            assert here or "1 day" in question


def test_a_shop_may_poll_the_replica_and_the_primary_in_turn(pair: Pair) -> None:
    with (
        pair.sessions("postgres") as (primary, replica),
        closing(psycopg.connect(pair.primary.dsn, row_factory=namedtuple_row)) as late,
    ):
        hall = make_hall(primary, seats=20)
        there = replace(hall, connection=replica)
        writer = replace(hall, connection=enter(late))
        catch_up(primary, replica)
        copy: dict[Any, str] = {}
        version = None
        for number in range(16):
            hall.hold(number, session=f"buyer {number}")
            if number % 5 == 0:
                # Committed two rounds later, when others have held seats.
                writer.hold(19 - number // 5, session=f"late {number}")
            if number % 5 == 2:
                late.commit()
            catch_up(primary, replica)
            for side in (there, hall) if number % 2 else (hall, there):
                rows = seat_map(side, version)
                copy |= {row.seat_id: row.state for row in rows}
                version = rows[0].version if rows else version
                assert copy == {row.seat_id: row.state for row in seat_map(hall)}
        late.rollback()
        assert sorted(copy.values()) == ["available"] + ["held"] * 19


def test_the_views_of_the_server_itself_are_about_the_replica(pair: Pair) -> None:
    with pair.sessions(NAMES.dashboard_role) as (primary, replica):
        for session in (primary, replica):
            rows = session.execute("SELECT * FROM connection_pool").fetchall()
            assert len(rows) == 6
        health = "SELECT * FROM system_health"
        (here,), (there,) = (s.execute(health).fetchall() for s in (primary, replica))
        assert there.max_connections == here.max_connections
        assert there.connections >= 1
        assert (there.requests_last_hour, there.error_rate_pct) == (
            here.requests_last_hour,
            here.error_rate_pct,
        )


def test_a_replica_refuses_to_roll_up(pair: Pair) -> None:
    """The control: it is one, and nothing that the views need is written there."""
    with pair.sessions("postgres") as (_, replica):
        for statement in ("SELECT roll_up_metrics()", "SELECT check_invariants()"):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                replica.execute(statement)
