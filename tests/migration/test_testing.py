"""What ticketdb.testing gives to the test suites of shops."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pytest_postgresql import factories

from tests.support.databases import Connect, Database
from tests.support.names import OTHER_NAMES
from tests.support.program import clean_environment
from ticketdb import testing
from ticketdb.config import Variables
from ticketdb.testing import make_overdue, put_on_sale

RESERVE = "SELECT success, reservation_token FROM reserve_seats(%s, %s, %s)"


def sell_lear(*, host: str, port: int, user: str, dbname: str, **_: object) -> None:
    with psycopg.connect(host=host, port=port, user=user, dbname=dbname) as session:
        put_on_sale(session, name="Lear")


lears_server = testing.server(load=[testing.load, sell_lear], settings={"work_mem": "7MB"})
lears_session = factories.postgresql("lears_server")


@pytest.mark.xdist_group("lear")  # one worker runs the server
@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_finds_what_was_loaded_on_a_server_as_it_was_set(
    attempt: int, lears_session: psycopg.Connection
) -> None:
    put_on_sale(lears_session, name=f"Macbeth {attempt}")
    shows = lears_session.execute("SELECT name FROM shows").fetchall()
    assert sorted(shows) == [("Lear",), (f"Macbeth {attempt}",)]
    assert lears_session.execute("SHOW work_mem").fetchone() == ("7MB",)


CONFTEST = """
from pytest_postgresql import factories
from ticketdb import testing
ticket_server = testing.server(load=[])
tickets = factories.postgresql("ticket_server")
"""
ENDING = """
import os, pathlib, signal
def test_that_somebody_ends(tickets):
    pathlib.Path("folder").write_text(tickets.info.host)
    os.kill(os.getpid(), signal.SIGTERM)
def test_that_comes_after_it():
    pass
"""


def test_sigterm_ends_the_run_and_the_server(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_ending.py").write_text(ENDING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout
    assert "no tests ran" in done.stdout
    folder = Path((tmp_path / "folder").read_text())
    assert folder.name.startswith("ticketdb-")
    assert not folder.exists()


def load(database: Database) -> None:
    """As pytest-postgresql calls it."""
    testing.load(
        host=str(database.cluster.directory),
        port=database.cluster.port,
        user=database.cluster.superuser,
        dbname=database.name,
        password=None,
        autocommit=False,
    )


@pytest.mark.usefixtures("template_database")
@pytest.mark.parametrize("file", ["ticketdb.toml", "elsewhere.toml"])
def test_names_are_those_of_the_configuration_file(
    file: str,
    empty_database: Database,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / file).write_text(f'[variables]\nschema = "{OTHER_NAMES.schema}"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(testing.CONFIG_VARIABLE, raising=False)
    if file != "ticketdb.toml":
        monkeypatch.setenv(testing.CONFIG_VARIABLE, file)
    load(empty_database)
    session = connect(empty_database)
    show = put_on_sale(session, seats=3)
    seats = sql.Identifier(OTHER_NAMES.schema, "show_seats")
    found = session.execute(sql.SQL("SELECT show_id FROM {}").format(seats)).fetchall()
    assert found == [(show.show_id,)] * 3


def test_a_database_that_is_not_what_is_shipped_is_refused(
    database: Database, connect: Connect
) -> None:
    load(database)  # nothing to do
    connect().execute("DROP INDEX shows_currency_idx")
    with pytest.raises(
        AssertionError, match=r"is not what ticketdb ships: indexes: .*currency_idx"
    ):
        load(database)


def test_seats_are_on_sale_as_asked_for_and_at_once(connect: Connect) -> None:
    show = put_on_sale(connect(), seats=12, price_in_cents=990, currency="JPY", name="Lear")
    other = connect()
    seats = other.execute("SELECT id, seat_number, price_in_cents FROM show_seats").fetchall()
    assert sorted(seats) == sorted(
        (seat_id, str(number), 990) for number, seat_id in enumerate(show.seat_ids, start=1)
    )
    shows = other.execute("SELECT id, name, currency, status FROM shows").fetchall()
    assert shows == [(show.show_id, "Lear", "JPY", "on_sale")]
    reserved = other.execute(RESERVE, [show.show_id, list(show.seat_ids[:2]), "anna"]).fetchone()
    assert reserved is not None
    assert reserved[0]


def test_a_show_put_on_sale_in_a_transaction_is_the_callers_to_commit(connect: Connect) -> None:
    session = connect()
    with session.transaction(force_rollback=True):
        put_on_sale(session)
    assert session.execute("SELECT FROM shows").rowcount == 0


def test_a_currency_that_is_unknown_is_refused_and_leaves_nothing(connect: Connect) -> None:
    session = connect()
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        put_on_sale(session, currency="XXQ")
    assert session.execute("SELECT FROM shows").rowcount == 0


def test_the_seats_of_an_overdue_reservation_are_for_others(connect: Connect) -> None:
    session = connect()
    show = put_on_sale(session, seats=1)

    def reserve(customer: str) -> tuple[bool, str]:
        arguments = [show.show_id, list(show.seat_ids), customer]
        answer = session.execute(RESERVE, arguments).fetchone()
        assert answer is not None
        return answer

    is_held, token = reserve("anna")
    assert is_held
    assert not reserve("bert")[0]
    make_overdue(session, token)
    assert reserve("bert")[0]
    with pytest.raises(LookupError, match="no active reservation has the token"):
        make_overdue(session, token)


def test_names_may_be_given(connect: Connect) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable, match=r'"nowhere\.shows"'):
        put_on_sale(connect(), variables=Variables(schema="nowhere"))
