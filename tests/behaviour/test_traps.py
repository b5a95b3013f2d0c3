"""Nothing that anybody can create is ever called by ticketdb.

The owner of the database, who owns neither ticketdb nor the server, plants a trap for every name of
PostgreSQL's that our SQL uses: functions and operators, with the argument types of the originals
and with such that would fit better, types, and relations. In every schema that a search path may
name before pg_catalog, and of relations and types also in the temporary schema of the caller. Then
everything is called. A trap counts, beyond the end of its transaction, and raises an error.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from tests.support.databases import Database, throw_away_database
from tests.support.names import NAMES, SCHEMAS
from tests.support.qualified import ask, house, let_run_out, our
from tests.support.queries import Connection
from ticketdb.migrate import commands
from ticketdb.paths import PACKAGE
from ticketdb.private_server import Cluster
from ticketdb.verify import verify

# Its landlord is a role, of the whole server; and the traps are planted once.
pytestmark = pytest.mark.xdist_group("traps")

LANDLORD = "landlord_of_traps"

# What a polymorphic or a text argument is tried as, so that the trap fits better than the original.
ELEMENTS = ("uuid", "text", "int8", "int4", "timestamptz", "jsonb", "bool")
ONE = {"anyelement", "anynonarray", "anycompatible", "anycompatiblenonarray"}
MANY = {"anyarray", "anycompatiblearray"}
# What syntax stands for, and no text shows.
IMPLIED = {"=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*"}

TRAPS = """
CREATE SCHEMA traps;
CREATE SEQUENCE traps.sprung;
CREATE FUNCTION traps.spring(text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ BEGIN
    PERFORM nextval('traps.sprung');
    RAISE WARNING 'sprung: %', $1;
    RETURN true;
END $$;
GRANT USAGE ON SCHEMA traps TO PUBLIC;
"""
# Each in a subtransaction: some cannot be made, such as a view of a column of pseudo-type.
PLANT = """
DO $plant$
DECLARE
    v_statement text;
BEGIN
    FOR v_statement IN SELECT jsonb_array_elements_text({}) LOOP
        BEGIN
            EXECUTE v_statement;
        EXCEPTION
            WHEN OTHERS THEN
                RAISE DEBUG '%: %', v_statement, SQLERRM;
        END;
    END LOOP;
END;
$plant$
"""
BODY = (
    "LANGUAGE plpgsql AS $$ BEGIN PERFORM traps.spring({0});"
    " RAISE EXCEPTION 'sprung: %', {0}; END $$"
)


@dataclass(frozen=True)
class Minefield:
    """A database full of traps, and how many were planted of which kind."""

    database: Database
    planted: dict[str, int]

    def connect(self) -> Connection:
        """A session of the superuser whose search path the owner of the database has chosen."""
        return psycopg.connect(self.database.dsn, autocommit=True, row_factory=namedtuple_row)

    def sprung(self) -> int:
        with self.connect() as connection:
            connection.execute("SET search_path = pg_catalog, pg_temp")
            (row,) = connection.execute(
                "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS times FROM traps.sprung"
            ).fetchall()
        return int(row.times)


def ours(connection: Connection) -> str:
    """All the SQL of ticketdb that a server reads at run time."""
    rows = connection.execute(
        "SELECT concat_ws(' ', prosrc, pg_get_function_sqlbody(oid)) AS text FROM pg_proc"
        " WHERE pronamespace = ANY(%(ours)s::regnamespace[])"
        " UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class"
        " WHERE relkind = 'v' AND relnamespace = ANY(%(ours)s::regnamespace[])",
        {"ours": schemas()},
    ).fetchall()
    files = [file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.sql")]
    return "\n".join([*(row.text for row in rows), *files])


def schemas() -> list[str]:
    return [sql.Identifier(name).as_string() for name in SCHEMAS]


def variants(types: list[str]) -> Iterator[tuple[str, ...]]:
    """Argument types under which a trap is as good as the original, or better."""
    if not any(type_ in ONE | MANY | {"any", "text"} for type_ in types):
        yield tuple(types)
        return
    for element in ELEMENTS if any(t in ONE | MANY | {"any"} for t in types) else ("",):
        choices = [
            (element,)
            if type_ in ONE | {"any"}
            else (f"_{element}",)
            if type_ in MANY
            else ("text", "varchar")
            if type_ == "text"
            else (type_,)
            for type_ in types
        ]
        yield from list(product(*choices))[:16]


def functions(connection: Connection, words: list[str], schema: str) -> Iterator[str]:
    """Traps for functions. An original without pseudo-types is copied, names and defaults too."""
    rows = connection.execute(
        "SELECT p.proname::text AS name, p.prokind::text AS kind, p.provariadic > 0 AS is_variadic,"
        " pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,"
        " ARRAY(SELECT t.typname::text FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, n)"
        "   JOIN pg_type AS t ON t.oid = a.type ORDER BY a.n) AS types"
        " FROM pg_proc AS p WHERE p.pronamespace = 'pg_catalog'::regnamespace"
        " AND p.proname = ANY(%s) AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype)"
        " AND 'internal'::regtype <> ALL(p.proargtypes::oid[])",
        [words],
    ).fetchall()
    for row in rows:
        name = f'{schema}."{row.name}"'
        body = BODY.format(f"'{row.name}'")
        pseudo = any(type_ in ONE | MANY | {"any"} for type_ in row.types)
        if not pseudo and row.kind == "f":
            yield f"CREATE FUNCTION {name}({row.arguments}) RETURNS {row.result} {body}"
        lists = [row.types]
        if row.is_variadic:
            first = row.types[:-1]
            last = row.types[-1].removeprefix("_")
            lists += [first + [last] * times for times in range(6)]
        for types in lists:
            for chosen in variants(types):
                arguments = ", ".join(f'pg_catalog."{type_}"' for type_ in chosen)
                result = row.result
                if any(word in result for word in ("any", "TABLE", "record")):
                    result = "SETOF pg_catalog.text" if "SETOF" in result else "pg_catalog.text"
                yield f"CREATE FUNCTION {name}({arguments}) RETURNS {result} {body}"


def operators(connection: Connection, symbols: list[str], schema: str) -> Iterator[str]:
    rows = connection.execute(
        "SELECT DISTINCT o.oprname::text AS name, l.typname::text AS left_type,"
        " r.typname::text AS right_type, x.typname::text AS result"
        " FROM pg_operator AS o LEFT JOIN pg_type AS l ON l.oid = o.oprleft"
        " JOIN pg_type AS r ON r.oid = o.oprright JOIN pg_type AS x ON x.oid = o.oprresult"
        " WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprname = ANY(%s) ORDER BY 1, 2",
        [symbols],
    ).fetchall()
    for number, row in enumerate(rows):
        for turn, chosen in enumerate(
            variants([row.left_type, row.right_type] if row.left_type else [row.right_type])
        ):
            function = f"{schema}.trap_{number}_{turn}"
            types = [f'pg_catalog."{type_}"' for type_ in chosen]
            result = chosen[0] if row.result in ONE | MANY else row.result
            body = BODY.format(f"'operator {row.name}'")
            yield (
                f"CREATE FUNCTION {function}({', '.join(types)})"
                f' RETURNS pg_catalog."{result}" {body}'
            )
            left = f"LEFTARG = {types[0]}, " if len(types) == 2 else ""
            yield (
                f"CREATE OPERATOR {schema}.{row.name}"
                f" (FUNCTION = {function}, {left}RIGHTARG = {types[-1]})"
            )


def types(connection: Connection, words: list[str], schema: str) -> Iterator[str]:
    rows = connection.execute(
        "SELECT typname::text AS name FROM pg_type WHERE typtype = 'b' AND typelem = 0"
        " AND typnamespace = 'pg_catalog'::regnamespace AND typname = ANY(%s)",
        [words],
    ).fetchall()
    for row in rows:
        yield (
            f'CREATE DOMAIN {schema}."{row.name}" AS pg_catalog."{row.name}"'
            f" CHECK (traps.spring('type {row.name}'))"
        )


def relations(connection: Connection, words: list[str], schema: str) -> Iterator[str]:
    """Catalogs; and in the temporary schema, ours."""
    rows = connection.execute(
        "SELECT relname::text AS name, relnamespace = 'pg_catalog'::regnamespace AS is_catalog"
        " FROM pg_class WHERE relkind IN ('r', 'v', 'p') AND relname = ANY(%s)"
        " AND relnamespace = ANY(%s::regnamespace[])",
        [words, ["pg_catalog", *schemas()]],
    ).fetchall()
    for row in rows:
        spring = f"traps.spring('relation {row.name}')"
        if row.is_catalog:
            yield (
                f'CREATE VIEW {schema}."{row.name}" AS'
                f' SELECT * FROM pg_catalog."{row.name}" WHERE {spring}'
            )
        elif schema == "pg_temp":
            yield f'CREATE VIEW pg_temp."{row.name}" AS SELECT {spring}'


def plant(connection: Connection, statements: list[str]) -> None:
    connection.execute(sql.SQL(PLANT).format(sql.Literal(psycopg.types.json.Jsonb(statements))))


def in_pg_temp(connection: Connection) -> list[str]:
    """Statements that make temporary traps, of types and relations: functions are not found there.

    Asked of a session whose path is pg_catalog.
    """
    words = sorted(set(re.findall(r"\w+", ours(connection))))
    return [*types(connection, words, "pg_temp"), *relations(connection, words, "pg_temp")]


@pytest.fixture(scope="module")
def minefield(cluster: Cluster, template_database: str) -> Iterator[Minefield]:
    for database in throw_away_database(cluster, template_database):
        with psycopg.connect(
            database.dsn, autocommit=True, row_factory=namedtuple_row
        ) as connection:
            connection.execute("SET search_path = pg_catalog, pg_temp")
            connection.execute(f"CREATE ROLE {LANDLORD} LOGIN".encode())
            name = sql.Identifier(database.name)
            connection.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(LANDLORD))
            )
            for schema in schemas():
                connection.execute(f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {LANDLORD}".encode())
            text = ours(connection)
            words = sorted(set(re.findall(r"\w+", text)))
            symbols = sorted({*re.findall(r"[-+*/<>=~!@#%^&|`?]+", text), *IMPLIED})
            connection.execute(f"SET ROLE {LANDLORD}".encode())
            connection.execute(TRAPS)
            for schema in schemas():
                for make, what in [
                    (functions, words),
                    (operators, symbols),
                    (relations, words),
                    (types, words),
                ]:
                    plant(connection, list(make(connection, what, schema)))
            path = sql.SQL("pg_temp, {}, pg_catalog").format(
                sql.SQL(", ").join(map(sql.Identifier, SCHEMAS))
            )
            connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = {}").format(name, path))
            planted: dict[str, int] = dict(
                connection.execute(
                    "SELECT 'functions', count(DISTINCT proname) FROM pg_proc"
                    f" WHERE proowner = '{LANDLORD}'::regrole"
                    " UNION ALL SELECT 'operators', count(DISTINCT oprname) FROM pg_operator"
                    f" WHERE oprowner = '{LANDLORD}'::regrole"
                    " UNION ALL SELECT 'overloads', count(*) FROM pg_proc"
                    f" WHERE proowner = '{LANDLORD}'::regrole"
                    " UNION ALL SELECT 'relations', count(*) FROM pg_class WHERE relkind = 'v'"
                    f" AND relowner = '{LANDLORD}'::regrole"
                    " UNION ALL SELECT 'types', count(*) FROM pg_type WHERE typtype = 'd'"
                    f" AND typowner = '{LANDLORD}'::regrole".encode()
                ).fetchall()
            )
            connection.execute("RESET ROLE")
        yield Minefield(database, planted)
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        connection.execute(f"DROP ROLE {LANDLORD}".encode())


@pytest.fixture
def victim(minefield: Minefield) -> Iterator[Connection]:
    """A session full of traps of its own, too. All that it says must be qualified."""
    with minefield.connect() as connection:
        connection.execute("SET search_path = pg_catalog, pg_temp")
        plant(connection, in_pg_temp(connection))
        connection.execute("RESET search_path")
        yield connection


def warnings_of(connection: Connection) -> list[str]:
    """What traps say from now on."""
    said: list[str] = []

    def listen(notice: psycopg.errors.Diagnostic) -> None:
        if (notice.message_primary or "").startswith("sprung"):
            said.append(notice.message_primary or "")

    connection.add_notice_handler(listen)
    return said


def test_traps_are_planted_for_what_the_bodies_use(minefield: Minefield) -> None:
    planted = minefield.planted
    assert planted["functions"] > 80
    assert planted["operators"] > 15
    assert planted["overloads"] > 1500
    assert planted["relations"] > 10
    assert planted["types"] > 20


@pytest.mark.parametrize("is_application", [True, False], ids=["the application", "the owner"])
def test_selling_springs_no_trap(
    minefield: Minefield, victim: Connection, is_application: bool
) -> None:
    before = minefield.sprung()
    show = house(victim)
    if is_application:
        victim.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(NAMES.app_role)))
    hold = show.hold(0, 1, 2)
    assert show.reserve(0, session="ben").error_code == "SEATS_UNAVAILABLE"
    assert show.reserve(0, 0).error_code == "INVALID_INPUT"
    assert show.of("extend_reservation", hold).success
    assert show.of("release_reservation", hold, p_seat_ids=[show.seats[2]]).success
    order = show.of("create_ticket_order", hold, p_idempotency_key=uuid.uuid4().hex)
    assert order.success, order
    failed = show.paid("fail_payment", order, f"f{order.order_id}", p_error_message="no")
    assert failed.success, failed
    paid = show.paid("confirm_payment", order, f"p{order.order_id}", p_amount_in_cents=200)
    assert paid.status == "paid", paid
    again = show.paid("confirm_payment", order, f"q{order.order_id}", p_amount_in_cents=200)
    assert again.error_code == "ORDER_NOT_PAYABLE"
    of_order = {"p_show_id": show.show_id, "p_order_id": order.order_id}
    assert ask(victim, "get_order", **of_order).status == "paid"
    paid_by = {"p_payment_provider": None, "p_payment_intent_id": f"p{order.order_id}"}
    assert ask(victim, "find_orders", **paid_by).ticket_count == 2
    for reads in ("get_tickets", "get_refunds"):
        assert victim.execute(
            sql.SQL("SELECT FROM {}(%s, %s)").format(our(reads)), list(of_order.values())
        ).fetchall()
    assert ask(victim, "refund_order", **of_order).success
    late = show.of("create_ticket_order", show.hold(3, session="cleo"), session="cleo")
    dans = show.hold(4, session="dan")
    assert ask(victim, "get_session_reservations", p_session_id="dan").status == "active"
    of_dan = {"p_reservation_token": dans.reservation_token, "p_session_id": "dan"}
    assert ask(victim, "get_reservation", **of_dan).status == "active"
    for since in (None, 2**40):
        victim.execute(
            sql.SQL("SELECT FROM {}(%s, %s)").format(our("get_seat_map")), [show.show_id, since]
        )
    victim.execute("RESET ROLE")
    victim.execute(
        sql.SQL("SELECT FROM {}(%s, pg_catalog.now())").format(our("get_seat_map_at")),
        [show.show_id],
    )
    let_run_out(victim)
    if is_application:
        victim.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(NAMES.app_role)))
    show.hold(4, session="eve")
    come = show.paid("confirm_payment", late, f"l{late.order_id}", p_amount_in_cents=100)
    assert come.status == "paid", come
    assert ask(victim, "get_reservation_statistics", p_show_id=show.show_id).total_created == 4
    ask(
        victim,
        "log_api_request",
        p_endpoint="/",
        p_method="GET",
        p_status_code=200,
        p_duration_ms=1.5,
    )
    assert minefield.sprung() == before


def test_operating_it_springs_no_trap(minefield: Minefield, victim: Connection) -> None:
    before = minefield.sprung()
    show = house(victim)
    for number in range(3):
        show.hold(number, session=f"visitor {number}")
    let_run_out(victim)
    assert ask(victim, "cleanup_expired_seat_reservations", p_batch_size=1)
    victim.execute(sql.SQL("CALL {}()").format(our("run_reservation_cleanup")))
    for function in (
        "roll_up_metrics",
        "maintain_partitions",
        "check_invariants",
        "purge_history",
        "schedule_jobs",
    ):
        victim.execute(sql.SQL("SELECT * FROM {}()").format(our(function)))
    for table, column in (("shows", "venue"), ("show_seats", "section")):
        victim.execute(sql.SQL("UPDATE {} SET {} = 'x'").format(our(table), sql.Identifier(column)))
    assert minefield.sprung() == before


def test_calling_each_routine_and_reading_each_view_springs_no_trap(
    minefield: Minefield, victim: Connection
) -> None:
    """With nothing but NULLs, which some refuse, and whatever else they say."""
    before = minefield.sprung()
    said = warnings_of(victim)
    victim.execute("SET search_path = pg_catalog, pg_temp")
    statements = [
        row.statement
        for row in victim.execute(
            "SELECT format(CASE prokind WHEN 'p' THEN 'CALL %%I.%%I(%%s)'"
            " ELSE 'SELECT * FROM %%I.%%I(%%s)' END, nspname, proname, (SELECT string_agg(format("
            "   CASE prokind WHEN 'p' THEN 'NULL::%%1$I.%%2$I'"
            "   ELSE '(SELECT NULL::%%1$I.%%2$I)' END, s.nspname, t.typname), ', ' ORDER BY a.n)"
            "   FROM unnest(proargtypes) WITH ORDINALITY AS a (type, n)"
            "   JOIN pg_type AS t ON t.oid = a.type"
            "   JOIN pg_namespace AS s ON s.oid = t.typnamespace)) AS statement"
            " FROM pg_proc JOIN pg_namespace AS n ON n.oid = pronamespace"
            " WHERE prorettype <> 'trigger'::regtype"
            " AND pronamespace = ANY(%(ours)s::regnamespace[])"
            f" AND proowner <> '{LANDLORD}'::regrole"
            " UNION ALL SELECT format('SELECT * FROM %%I.%%I', nspname, relname)"
            " FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE relkind IN ('r', 'v') AND relnamespace = ANY(%(ours)s::regnamespace[])"
            f" AND relowner <> '{LANDLORD}'::regrole".encode(),
            {"ours": schemas()},
        ).fetchall()
    ]
    assert len(statements) > 100
    victim.execute("RESET search_path")
    for statement in statements:
        with suppress(psycopg.Error):
            victim.execute(statement.encode())
        assert (said, minefield.sprung()) == ([], before), statement


def test_ticketdb_itself_springs_no_trap(minefield: Minefield) -> None:
    before = minefield.sprung()
    verify(minefield.database.dsn, NAMES)
    commands.apply(minefield.database.dsn, NAMES)
    assert minefield.sprung() == before


@pytest.mark.parametrize(
    ("body", "trap"),
    [
        ("RETURN cardinality(p_ids) > 0;", "cardinality"),
        ("RETURN 'x'::varchar(5) = 'x'::text;", "operator ="),
        ("RETURN EXISTS (SELECT FROM pg_class);", "relation pg_class"),
        ("RETURN p_ids[1] IS DISTINCT FROM p_ids[2];", "operator ="),
        ("RETURN 'x'::text IS NULL;", "type text"),
    ],
)
def test_a_function_with_our_schema_on_its_path_springs_them(
    minefield: Minefield, body: str, trap: str
) -> None:
    """The control: as all functions once were, in a schema that a stranger may create in."""
    with minefield.connect() as connection:
        connection.execute("SET search_path = pg_catalog, pg_temp")
        schema = sql.Identifier(NAMES.schema)
        connection.execute(
            sql.SQL(
                "CREATE OR REPLACE FUNCTION {0}.naive(p_ids pg_catalog.uuid[])"
                " RETURNS pg_catalog.bool LANGUAGE plpgsql SECURITY DEFINER"
                " SET search_path = {0}, pg_catalog, pg_temp AS {1}"
            ).format(schema, sql.Literal(f"BEGIN {body} END;"))
        )
        before = minefield.sprung()
        said = warnings_of(connection)
        with suppress(psycopg.errors.RaiseException):
            connection.execute(
                sql.SQL("SELECT {}.naive(%s)").format(schema), [[uuid.uuid4(), uuid.uuid4()]]
            )
        assert f"sprung: {trap}" in said
        assert minefield.sprung() > before
        connection.execute(sql.SQL("DROP FUNCTION {}.naive").format(schema))
