"""ticketdb installs in databases of every encoding, and says what it has no letters for."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.support.by_hand import OF_SHOWS, add_revision
from tests.support.databases import Database
from tests.support.program import run_script
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.script import script
from ticketdb.paths import Tree, shipped_tree
from ticketdb.private_server import Cluster
from ticketdb.verify import verify

pytestmark = pytest.mark.usefixtures("template_database")  # the roles are there

NAMES = Variables()
HEAD = read_chain(shipped_tree())[-1].revision
ENCODINGS = ["LATIN1", "LATIN2", "EUC_JP", "SQL_ASCII", "WIN1251"]


@pytest.fixture
def encoded(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Database]:
    """An empty database of the encoding that the test asks for."""
    name = f"test_{request.param.lower()}_{id(request)}"
    create = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'"
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL(create).format(identifier, sql.Literal(request.param)))
        yield Database(cluster, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def encoding(database: Database) -> str:
    with psycopg.connect(database.dsn) as connection:
        return str(connection.info.parameter_status("server_encoding"))


def comment_of_shows(database: Database) -> str:
    with psycopg.connect(database.dsn, client_encoding="UTF8") as connection:
        (row,) = connection.execute(
            "SELECT obj_description('public.shows'::regclass, 'pg_class')"
        ).fetchall()
        return str(row[0])


def add_comment(tree: Tree, text: str) -> None:
    """A revision written by hand, whose seventh line has this in it."""
    comment = f"COMMENT ON TABLE {{{{ schema }}}}.shows IS\n'{text}';\n"
    add_revision(tree, f"{OF_SHOWS}-- In words.\n\n{comment}", f"{OF_SHOWS}SELECT 1;\n")


@pytest.mark.parametrize("encoded", ENCODINGS, indirect=True)
def test_apply_verify_and_revert_work_in_every_encoding(
    encoded: Database, request: pytest.FixtureRequest
) -> None:
    assert encoding(encoded) == request.node.callspec.params["encoded"]
    assert apply(encoded.dsn, NAMES).revision == HEAD
    assert [check.details for check in verify(encoded.dsn, NAMES) if not check.ok] == []
    revert(encoded.dsn, NAMES, "0002", allow_data_loss=True)


@pytest.mark.parametrize("encoded", ["LATIN2"], indirect=True)
def test_a_script_works_too(encoded: Database) -> None:
    assert run_script(encoded, script(NAMES)) == (0, "")
    assert [check.details for check in verify(encoded.dsn, NAMES) if not check.ok] == []


@pytest.mark.parametrize("encoded", ["LATIN2", "SQL_ASCII"], indirect=True)
def test_what_an_encoding_has_letters_for_is_transcoded(encoded: Database, tree_copy: Tree) -> None:
    add_comment(tree_copy, "Představení")
    apply(encoded.dsn, NAMES, tree=tree_copy)
    assert comment_of_shows(encoded) == "Představení"


@pytest.mark.parametrize("encoded", ["LATIN2", "EUC_JP", "WIN1251"], indirect=True)
def test_what_it_has_no_letters_for_is_reported_with_file_and_line(
    encoded: Database, tree_copy: Tree
) -> None:
    apply(encoded.dsn, NAMES)
    add_comment(tree_copy, "5 \N{GUJARATI RUPEE SIGN}")
    with pytest.raises(TicketdbError) as caught:
        apply(encoded.dsn, NAMES, tree=tree_copy)
    assert (caught.value.code, caught.value.exit_status) == ("E_ENCODING", 5)
    name = f"{int(HEAD) + 1:04d}_by_hand.up.sql"
    assert caught.value.message == (
        f"{name}, line 7: '\N{GUJARATI RUPEE SIGN}' cannot be written in"
        f" {encoding(encoded)}, the encoding of the database"
        " - it was rolled back; write that line in ASCII"
    )
    assert apply(encoded.dsn, NAMES).applied == ()


@pytest.mark.parametrize("encoded", ["LATIN1"], indirect=True)
def test_names_that_the_encoding_has_letters_for_are_names(encoded: Database) -> None:
    names = Variables(schema="Bühne", monitoring_schema="Zähler", manage_roles=False)
    assert apply(encoded.dsn, names).revision == HEAD
    assert [check.details for check in verify(encoded.dsn, names) if not check.ok] == []
