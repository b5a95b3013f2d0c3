"""pgbouncer in front of the server: applications come through it, migrations do not.

In transaction mode each transaction of a client gets whichever server process is free.
"""

import os
import random
import shutil
import subprocess
import uuid
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import Event
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import namedtuple_row

from tests.support.databases import Database
from tests.support.hall import make_hall
from tests.support.program import Program
from tests.support.queries import Connection, Row, broken_invariants, call
from ticketdb.config import Variables
from ticketdb.database import connect, refuse_pooler
from ticketdb.errors import TicketdbError
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster

pytestmark = pytest.mark.xdist_group("pgbouncer")

REQUIRE_PGBOUNCER = "TICKETDB_REQUIRE_PGBOUNCER"
PORT = 6432  # of its socket, beside the server's own
BUYER = "pooled_buyer"
CLIENTS, CALLS, SEATS, PROCESSES = 6, 200, 150, 3

Step = tuple[str, dict[str, Any]]  # a function and its arguments


@dataclass(frozen=True)
class Pooler:
    """The way to a server through pgbouncer."""

    cluster: Cluster

    def dsn(self, database: Database, user: str = "postgres") -> str:
        return make_conninfo(self.cluster.dsn(database.name, user), port=PORT)


@contextmanager
def pgbouncer(cluster: Cluster, mode: str, processes: int) -> Iterator[Pooler]:
    """Run it in the folder of a server, as the user of that server: it refuses root, too."""
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        reason = "there is no pgbouncer, neither on the path nor in /usr/sbin"
        if os.environ.get(REQUIRE_PGBOUNCER) == "1":
            pytest.fail(f"{reason}, and {REQUIRE_PGBOUNCER} is 1", pytrace=False)
        pytest.skip(reason)
    log, users, settings = (cluster.directory / f"pgbouncer.{end}" for end in ("log", "txt", "ini"))
    users.write_text(f'"postgres" ""\n"{BUYER}" ""\n')
    settings.write_text(
        f"[databases]\n* = host={cluster.directory} port={cluster.port}\n[pgbouncer]\n"
        f"unix_socket_dir = {cluster.directory}\nlisten_port = {PORT}\n"
        f"auth_type = trust\nauth_file = {users}\n"
        f"pool_mode = {mode}\ndefault_pool_size = {processes}\n"
    )
    owner = cluster.data_directory.stat()
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    with (
        log.open("w") as written,
        subprocess.Popen([program, settings], cwd="/", stderr=written, **identity) as process,
    ):
        try:
            while "process up" not in log.read_text():
                assert process.poll() is None, log.read_text()
            yield Pooler(cluster)
        finally:
            process.kill()


@pytest.fixture
def shop(own_database: Database) -> Iterator[Database]:
    """A database at head, and a role that may sell in it."""
    commands.apply(own_database.dsn, Variables())
    with psycopg.connect(own_database.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(
                sql.Identifier(BUYER), sql.Identifier(Variables().app_role)
            )
        )
        yield own_database
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(BUYER)))


def open_session(dsn: str, **more: Any) -> Connection:
    """As an application has to: a prepared statement would stay behind in one of the processes."""
    return psycopg.connect(
        dsn, autocommit=True, prepare_threshold=None, row_factory=namedtuple_row, **more
    )


def buyer(show_id: UUID, seats: list[UUID], session: str) -> Generator[Step, Row, None]:
    """Goes from seat to seat, again and again, and at first changes its mind about every third."""
    me = {"p_session_id": session}
    changes_mind = True
    while True:
        for number, seat in enumerate(seats):
            wanted = {"p_show_id": show_id, "p_seat_ids": [seat]}
            hold = yield "reserve_seats", wanted | me
            if not hold.success:
                continue
            mine = {"p_reservation_token": hold.reservation_token, **me}
            yield "extend_reservation", mine
            if changes_mind and number % 3 == 0:
                yield "release_reservation", mine
                continue
            order = yield "create_ticket_order", mine
            payment = {"p_provider": "stripe", "p_event_id": str(uuid.uuid4())}
            payment["p_amount_in_cents"] = order.total_amount_in_cents
            yield "confirm_payment", {"p_show_id": show_id, "p_order_id": order.order_id, **payment}
        changes_mind = False


def buy(dsn: str, steps: Generator[Step, Row, None]) -> list[tuple[str, Row]]:
    """Make so many calls, and those that bring the last purchase to its end."""
    answers: list[tuple[str, Row]] = []
    with open_session(dsn) as connection:
        function, arguments = next(steps)
        while len(answers) < CALLS or function != "reserve_seats":
            answer = call(connection, function, **arguments)
            answers.append((function, answer))
            function, arguments = steps.send(answer)
    return answers


def test_six_clients_share_three_processes_and_sell_every_seat_once(
    own_cluster: Cluster, shop: Database
) -> None:
    with (
        pgbouncer(own_cluster, "transaction", PROCESSES) as pooler,
        open_session(shop.dsn) as direct,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        hall = make_hall(direct, seats=SEATS)
        dsn = pooler.dsn(shop, BUYER)
        buyers = [
            buyer(hall.show_id, random.Random(n).sample(hall.seats, SEATS), f"client {n}")
            for n in range(CLIENTS)
        ]
        answers = [answer for done in pool.map(lambda b: buy(dsn, b), buyers) for answer in done]
        processes = direct.execute(
            "SELECT FROM pg_stat_activity WHERE usename = %s", [BUYER]
        ).rowcount
        # What somebody has let go, and nobody came by for.
        with open_session(dsn) as late:
            for number in range(SEATS):
                if hall.statuses(number) == ["available"]:
                    replace(hall, connection=late).sell(number, session="late")
        sold = direct.execute(
            "SELECT count(*) AS tickets, count(DISTINCT show_seat_id) AS seats FROM tickets"
            " WHERE status = 'valid'"
        ).fetchall()
        assert broken_invariants(direct) == []
        assert hall.statuses() == ["sold"] * SEATS

    assert len(answers) >= CLIENTS * CALLS
    assert processes == PROCESSES
    assert {function for function, _ in answers} == {
        "reserve_seats",
        "extend_reservation",
        "release_reservation",
        "create_ticket_order",
        "confirm_payment",
    }
    refused = [(function, answer.error_code) for function, answer in answers if not answer.success]
    assert set(refused) == {("reserve_seats", "SEATS_UNAVAILABLE")}
    assert sold == [(SEATS, SEATS)]


@pytest.mark.parametrize(
    "command",
    [
        ["apply"],
        ["apply", "--dry-run"],
        ["revert", "--to", "base", "--allow-data-loss"],
        ["plan"],
    ],
    ids=" ".join,
)
def test_a_migration_is_refused_before_it_has_done_anything(
    own_cluster: Cluster, own_database: Database, ticketdb: Program, command: list[str]
) -> None:
    with pgbouncer(own_cluster, "transaction", PROCESSES) as pooler:
        refused = ticketdb(*command, "--dsn", pooler.dsn(own_database))
    assert refused.returncode == 3
    assert refused.stderr == (
        f"error [E_POOLER]: {own_database.name!r} is behind a pooler that changes the session's"
        " server process - connect to the server itself, or to the pooler in session mode\n"
    )
    with psycopg.connect(own_database.dsn) as connection:
        made = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        )
        assert made.fetchall() == []


@pytest.mark.parametrize(
    ("processes", "others"),
    [(1, 0), (1, 3), (2, 0), (2, 6), (5, 0), (5, 6), (20, 6)],
)
def test_the_pooler_is_noticed_whichever_process_it_gives_us(
    own_cluster: Cluster, own_database: Database, processes: int, others: int
) -> None:
    """A quiet pool gives the same one again and again, a busy one any."""
    over = Event()

    def keep_busy(dsn: str) -> None:
        with open_session(dsn) as connection:
            while not over.is_set():
                connection.execute("SELECT pg_sleep(random() * 0.002)")

    with (
        pgbouncer(own_cluster, "transaction", processes) as pooler,
        ThreadPoolExecutor(others + 1) as pool,
        ExitStack() as stack,
    ):
        stack.callback(over.set)
        dsn = pooler.dsn(own_database)
        for _ in range(others):
            pool.submit(keep_busy, dsn)
        for _ in range(25):
            with connect(dsn, autocommit=True) as control:
                with pytest.raises(TicketdbError) as caught:
                    refuse_pooler(control, dsn)
                assert caught.value.code == "E_POOLER"


def test_a_migration_works_through_a_pooler_that_leaves_a_session_its_process(
    own_cluster: Cluster, own_database: Database, ticketdb: Program
) -> None:
    with pgbouncer(own_cluster, "session", 10) as pooler:
        dsn = pooler.dsn(own_database)
        with psycopg.connect(dsn) as connection:  # the control: it is one
            (row,) = connection.execute("SELECT pg_backend_pid()").fetchall()
            assert connection.info.backend_pid != row[0]
        applied = ticketdb("apply", "--dsn", dsn)
        assert (applied.returncode, applied.stderr) == (0, "")
        assert ticketdb("verify", "--dsn", dsn).returncode == 0


@pytest.mark.parametrize("command", ["plan --no-measure", "status", "verify", "check", "cleanup"])
def test_every_other_command_works_and_leaves_nothing_to_the_next_client(
    own_cluster: Cluster, shop: Database, ticketdb: Program, command: str
) -> None:
    assert ticketdb("cleanup", "--dsn", shop.dsn).returncode == 0  # or `check` would miss it
    with pgbouncer(own_cluster, "transaction", 1) as pooler:
        dsn = pooler.dsn(shop)
        done = ticketdb(*command.split(), "--dsn", dsn)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        with open_session(dsn) as next_client:
            left = next_client.execute(
                "SELECT name, setting FROM pg_settings"
                " WHERE source = 'session' AND name !~ '^(application_name$|transaction_)'"
                " UNION ALL SELECT 'lock', mode FROM pg_locks"
                " WHERE pid = pg_backend_pid() AND locktype = 'advisory'"
                " UNION ALL SELECT 'prepared', name FROM pg_prepared_statements"
            ).fetchall()
            assert left == []
            # The control: what a client sets is left to the next one.
            next_client.execute("SET statement_timeout = 1234567")
        with open_session(dsn) as another:
            assert another.execute("SHOW statement_timeout").fetchall() == [("1234567ms",)]
