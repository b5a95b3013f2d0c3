"""The reference describes every object that a role other than the owner may use, and no other."""

import re

import pytest

from tests.support.databases import Connect, Database
from ticketdb.cli import app
from ticketdb.develop.generate import pages_of

# The database has the names that the reference uses.
pytestmark = pytest.mark.default_names

ROLES = "'ticketdb_app', 'ticketdb_monitor'"
USABLE_RELATIONS = f"""
    SELECT DISTINCT c.relname, a.attname, c.relkind = 'v'
    FROM pg_class AS c
    INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN unnest(ARRAY[{ROLES}]) AS r (role)
    WHERE
        c.relnamespace IN ('public'::regnamespace, 'monitoring'::regnamespace)
        AND c.relkind IN ('r', 'p', 'v')
        AND NOT c.relispartition
        AND has_any_column_privilege(r.role, c.oid, 'SELECT')
"""
USABLE_ROUTINES = f"""
    SELECT DISTINCT p.proname
    FROM pg_proc AS p
    CROSS JOIN unnest(ARRAY[{ROLES}]) AS r (role)
    WHERE
        p.pronamespace IN ('public'::regnamespace, 'monitoring'::regnamespace)
        AND has_function_privilege(r.role, p.oid, 'EXECUTE')
"""
OF_THE_CONTRACT = {
    "cleanup_expired_seat_reservations",
    "run_reservation_cleanup",
    "get_reservation_statistics",
    "log_api_request",
    "roll_up_metrics",
    "maintain_partitions",
    "purge_history",
}


def sections(page: str) -> dict[str, str]:
    """The text below each heading, by the name that stands there, its schema left out."""
    parts = re.split(r"^#{2,3} (?:\w+\.)?(\w+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_table_and_view_that_a_role_may_read_is_described_column_by_column(
    database: Database, connect: Connect
) -> None:
    pages = pages_of(database.dsn, app)
    described = {True: sections(pages["views.md"]), False: sections(pages["tables.md"])}
    rows = connect().execute(USABLE_RELATIONS.encode()).fetchall()
    assert len({name for name, _, _ in rows}) > 30
    missing = [
        f"{name}.{column}"
        for name, column, is_view in rows
        if f"\n| `{column}` |" not in described[is_view].get(name, "")
    ]
    assert missing == []


def test_every_function_that_a_role_may_call_and_every_one_of_the_contract_is_described(
    database: Database, connect: Connect
) -> None:
    described = sections(pages_of(database.dsn, app)["functions.md"])
    usable = {name for (name,) in connect().execute(USABLE_ROUTINES.encode())}
    assert len(usable) > 8
    assert described.keys() >= usable | OF_THE_CONTRACT


def test_what_only_its_owner_uses_is_left_out(database: Database) -> None:
    pages = pages_of(database.dsn, app)
    named = sections(pages["functions.md"]).keys() | sections(pages["tables.md"]).keys()
    assert named.isdisjoint(
        {"metric_watermarks", "ticketdb_migrations", "end_reservations", "log_change"}
    )


def test_a_new_table_enters_the_reference_with_the_first_grant(
    database: Database, connect: Connect
) -> None:
    session = connect()
    session.execute(
        "CREATE TABLE public.plans (id integer, note text);"
        " CREATE FUNCTION public.plan_ahead(p_days integer DEFAULT 7, OUT error_code text)"
        " LANGUAGE plpgsql AS $$ BEGIN error_code := 'BUSY'; END $$;"
        " REVOKE ALL ON FUNCTION public.plan_ahead FROM PUBLIC;"
        " COMMENT ON COLUMN public.plans.note IS 'What is planned.'"
    )
    before = pages_of(database.dsn, app)
    assert "plans" not in sections(before["tables.md"])
    assert "Executable by its owner." in sections(before["functions.md"])["plan_ahead"]
    session.execute(
        "GRANT SELECT (id) ON public.plans TO ticketdb_monitor;"
        " GRANT EXECUTE ON FUNCTION public.plan_ahead TO ticketdb_app"
    )
    after = pages_of(database.dsn, app)
    table = sections(after["tables.md"])["plans"]
    assert "| `id` | `integer`, may be NULL | `ticketdb_monitor` | – |" in table
    assert "| `note` | `text`, may be NULL | – | What is planned. |" in table
    function = sections(after["functions.md"])["plan_ahead"]
    assert "plan_ahead(\n    p_days integer DEFAULT 7\n)" in function
    assert "| `BUSY` | Somebody else is working on it at this moment, try again |" in function
    assert "Executable by `ticketdb_app`." in function


def test_a_foreign_key_is_drawn(database: Database, connect: Connect) -> None:
    def drawn() -> str:
        return (
            pages_of(database.dsn, app)["tables.md"].partition("```mermaid")[2].partition("```")[0]
        )

    assert '    show_seats ||--o{ tickets : "show_seat_id"\n' in drawn()
    connect().execute(
        "ALTER TABLE public.tickets DROP CONSTRAINT tickets_show_seat_id_show_id_fkey"
    )
    assert "show_seats ||--o{ tickets" not in drawn()


def test_codes_of_a_function_are_those_that_its_comment_names(database: Database) -> None:
    """They are read in its body: a code that it only writes into a log is none of them."""
    described = sections(pages_of(database.dsn, app)["functions.md"])
    in_table = {
        name: set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE))
        for name, text in described.items()
    }
    known = set().union(*in_table.values())
    in_comment = {
        name: set(re.findall(r"[A-Z_]{4,}", text.partition("Error codes: ")[2].partition("\n")[0]))
        for name, text in described.items()
    }
    assert in_table == {name: codes & known for name, codes in in_comment.items()}
    assert sum(map(bool, in_table.values())) >= 7
    assert "SEATS_UNAVAILABLE" in known - in_table["confirm_payment"]


def test_what_moves_into_another_schema_leaves_the_reference(
    database: Database, connect: Connect
) -> None:
    """Also the function that knows the messages, without which no code had any."""
    session = connect()
    assert "refund_order" in sections(pages_of(database.dsn, app)["functions.md"])
    (messages,) = session.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE proname = 'error_message'"
    ).fetchall()[0]
    session.execute("CREATE SCHEMA back_room; ALTER FUNCTION refund_order SET SCHEMA back_room")
    session.execute(f"ALTER FUNCTION {messages} SET SCHEMA back_room".encode())
    described = sections(pages_of(database.dsn, app)["functions.md"])
    assert "refund_order" not in described
    assert (
        "| `NOT_FOUND` | There is no such reservation, order, ticket, refund or show |"
        in described["fail_payment"]
    )
