"""What every object of the database must be like, read from the catalog and not from the source.

Each law is a question that returns the objects which break it, and is asked twice: about the
database as it is, and about one that something was done to, since a question that finds nothing
might not be looking.
"""

import re
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from tests.support.databases import Database, skip_without
from tests.support.hall import Hall
from tests.support.names import NAMES, OURS, SCHEMAS
from tests.support.privileges import APPLICATION, BEHIND_VIEWS, BOX_OFFICE, FOR_ANYBODY
from tests.support.queries import Connection
from ticketdb.develop.lint import plpgsql_findings
from ticketdb.migrate import commands

# As text that the server reads as a list of names.
ROLES = [
    NAMES.app_role,
    NAMES.box_office_role,
    NAMES.monitor_role,
    NAMES.dashboard_role,
    NAMES.datadog_role,
]

# Constraints and indexes that users meet in messages: their names say what they forbid.
SPEAKING_NAMES = {
    "reservation_seats_no_double_booking",
    "seat_reservations_one_active_per_session",
    "ticket_orders_one_open_per_reservation",
    "tickets_one_valid_per_seat",
}
# alembic would name it so.
ALEMBIC_NAMES = {"ticketdb_alembic_version_pkc"}

# What a provider or a caller said, on record however absurd it is: a bound would lose the event.
# And a sum, to which changes are added with their sign.
UNBOUNDED_MONEY = {
    "payment_events.amount_in_cents",
    "ticket_order_audit_log.amount_in_cents",
    "refunds.amount_in_cents",
    # By the amount of the order, which is.
    "ticket_orders.refunded_amount_in_cents",
    "order_minutes.revenue_in_cents",
}


# Not those of extensions, nor a partition's, which follow from those of its table.
RELATIONS = """
    SELECT c.oid, c.relname::text AS name, c.relkind, c.reloptions, c.relispartition
    FROM pg_class AS c
    WHERE c.relnamespace = ANY(%s::regnamespace[]) AND c.relkind IN ('r', 'p', 'v', 'm')
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
"""
FUNCTIONS = """
    SELECT p.*, p.oid::regprocedure::text AS signature
    FROM pg_proc AS p
    WHERE p.pronamespace = ANY(%s::regnamespace[])
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


def names(connection: Connection, question: str) -> list[str]:
    """Ask about the relations `r` and the functions `p` of our schemas: the first column."""
    statement = f"WITH r AS ({RELATIONS}), p AS ({FUNCTIONS}) {question} ORDER BY 1"
    return [row[0] for row in connection.execute(statement.encode(), [OURS, OURS]).fetchall()]


def misnamed_constraints(connection: Connection) -> list[str]:
    rows = connection.execute(
        """
        SELECT c.relname::text AS table_name, k.conname::text AS name, k.contype,
            ARRAY(
                SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, position)
                JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
                ORDER BY u.position
            ) AS columns
        FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
        WHERE k.connamespace = ANY(%s::regnamespace[]) AND NOT c.relispartition
            AND k.contype IN ('p', 'u', 'f', 'c', 'x')
        ORDER BY 2
        """,
        [OURS],
    ).fetchall()
    assert rows
    broken = []
    for row in rows:
        table, columns = row.table_name, row.columns
        lawful = {
            "p": {f"{table}_pkey"},
            "u": {f"{table}_{'_'.join(columns)}_key"},
            "f": {f"{table}_{'_'.join(columns)}_fkey"},
            "x": {f"{table}_{'_'.join(columns)}_excl"},
            # A check of several columns bears the name of the one that it is about.
            "c": {f"{table}_{column}_check" for column in columns},
        }[row.contype]
        if row.name not in lawful | SPEAKING_NAMES | ALEMBIC_NAMES:
            broken.append(row.name)
    return broken


def misnamed_indexes(connection: Connection) -> list[str]:
    """Constraints have named theirs already."""
    rows = connection.execute(
        """
        SELECT t.relname::text AS table_name, c.relname::text AS name,
            ARRAY(
                SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS u (attnum, position)
                JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = u.attnum
                ORDER BY u.position
            ) AS columns
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
        WHERE c.relnamespace = ANY(%s::regnamespace[]) AND NOT t.relispartition
            AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid)
        ORDER BY 2
        """,
        [OURS],
    ).fetchall()
    assert rows
    return [
        row.name
        for row in rows
        if row.name != f"{row.table_name}_{'_'.join(row.columns)}_idx"
        and row.name not in SPEAKING_NAMES
    ]


def misnamed_triggers(connection: Connection) -> list[str]:
    return names(
        connection,
        "SELECT t.tgname::text FROM pg_trigger AS t JOIN r ON r.oid = t.tgrelid"
        " WHERE NOT t.tgisinternal AND NOT r.relispartition"
        " AND NOT starts_with(t.tgname::text, r.name || '_')",
    )


def misnamed_parameters(connection: Connection) -> list[str]:
    """Columns of the answer are named as columns are, those of a procedure included."""
    return names(
        connection,
        "SELECT p.signature || ' ' || COALESCE(a.name, '?') FROM p, unnest("
        " COALESCE(p.proargnames, array_fill(''::text, ARRAY[p.pronargs])),"
        " COALESCE(p.proargmodes, array_fill('i'::\"char\", ARRAY[p.pronargs]))) AS a (name, mode)"
        " WHERE a.mode IN ('i', 'v') AND a.name NOT LIKE 'p\\_%%'",
    )


def misnamed_variables(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT proname::text, prosrc FROM pg_proc WHERE pronamespace = ANY(%s::regnamespace[])"
        " AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql') ORDER BY 1",
        [OURS],
    ).fetchall()
    broken = []
    for row in rows:
        for declarations in re.findall(r"\bDECLARE\b(.*?)\bBEGIN\b", row.prosrc, re.DOTALL):
            code = re.sub(r"--.*", "", declarations)
            broken += [
                f"{row.proname} {statement.split()[0]}"
                for statement in re.sub(r"'[^']*'", "''", code).split(";")
                if statement.strip() and not statement.strip().startswith("v_")
            ]
    return broken


def objects_without_comment(connection: Connection) -> list[str]:
    """Of partitions only the table needs one; sequences and their like belong to columns.

    Primary keys and checks that a time is finite need none: it could only repeat their names.
    """
    return names(
        connection,
        """
        SELECT o.name FROM (
            SELECT 'schema ' || nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace
            WHERE oid = ANY(%s::regnamespace[])
            UNION ALL
            SELECT 'relation ' || name, obj_description(oid, 'pg_class') FROM r
            UNION ALL
            SELECT 'column ' || r.name || '.' || a.attname, col_description(r.oid, a.attnum)
            FROM r JOIN pg_attribute AS a ON a.attrelid = r.oid
            WHERE a.attnum > 0 AND NOT a.attisdropped AND NOT r.relispartition
            UNION ALL
            SELECT 'constraint ' || k.conname, obj_description(k.oid, 'pg_constraint')
            FROM pg_constraint AS k JOIN r ON r.oid = k.conrelid
            WHERE k.contype NOT IN ('p', 't', 'n') AND NOT r.relispartition
                AND pg_get_constraintdef(k.oid) !~ '^CHECK [(]isfinite[(][a-z_]+[)][)]$'
            UNION ALL
            SELECT 'index ' || i.indexrelid::regclass, obj_description(i.indexrelid, 'pg_class')
            FROM pg_index AS i JOIN r ON r.oid = i.indrelid
            WHERE NOT r.relispartition
                AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
            UNION ALL
            SELECT 'trigger ' || t.tgname, obj_description(t.oid, 'pg_trigger')
            FROM pg_trigger AS t JOIN r ON r.oid = t.tgrelid
            WHERE NOT t.tgisinternal AND NOT r.relispartition
            UNION ALL
            SELECT 'function ' || signature, obj_description(oid, 'pg_proc') FROM p
        ) AS o (name, comment)
        WHERE COALESCE(btrim(o.comment), '') = ''
        """.replace("%s", f"ARRAY['{OURS[0]}', '{OURS[1]}', '{OURS[2]}']"),
    )


def routines_that_look_names_up_elsewhere(connection: Connection) -> list[str]:
    """Of a procedure that commits, which can have no SET clause, test_traps.py tries each name."""
    return names(
        connection,
        "SELECT p.signature FROM p WHERE p.prosqlbody IS NULL"
        " AND NOT COALESCE('search_path=pg_catalog, pg_temp' = ANY(p.proconfig), false)"
        " AND NOT (p.prokind = 'p' AND p.prosrc ~ '\\mCOMMIT;' AND p.prosrc ~"
        " 'BEGIN(\\s|--[^\\n]*|COMMIT;|SET TRANSACTION ISOLATION LEVEL READ COMMITTED;)*"
        "PERFORM pg_catalog[.]set_config[(]''search_path'', ''pg_catalog, pg_temp'', true[)]')",
    )


def what_depends_on_somebody_elses(connection: Connection) -> list[str]:
    """Views, defaults, constraints, indexes, triggers, bodies: on what is neither ours nor
    PostgreSQL's, of which pg_depend says nothing."""
    ours = ", ".join(f"quote_ident('{name}')" for name in SCHEMAS)
    return names(
        connection,
        """
        SELECT DISTINCT
            pg_describe_object(d.classid, d.objid, 0) || ' needs '
            || pg_describe_object(d.refclassid, d.refobjid, 0)
        FROM pg_depend AS d
        CROSS JOIN LATERAL pg_identify_object(d.refclassid, d.refobjid, 0) AS needed
        WHERE d.deptype IN ('n', 'a')
            AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass,
                'pg_class'::regclass, 'pg_opclass'::regclass)
            AND needed.schema IS NOT NULL
            AND needed.schema <> ALL(%s)
            AND (
                d.classid = 'pg_rewrite'::regclass
                AND (SELECT ev_class FROM pg_rewrite WHERE oid = d.objid) IN (SELECT oid FROM r)
                OR d.classid = 'pg_attrdef'::regclass
                AND (SELECT adrelid FROM pg_attrdef WHERE oid = d.objid) IN (SELECT oid FROM r)
                OR d.classid = 'pg_constraint'::regclass
                AND (SELECT conrelid FROM pg_constraint WHERE oid = d.objid) IN (SELECT oid FROM r)
                OR d.classid = 'pg_trigger'::regclass
                AND (SELECT tgrelid FROM pg_trigger WHERE oid = d.objid) IN (SELECT oid FROM r)
                OR d.classid = 'pg_class'::regclass
                AND (
                    d.objid IN (SELECT oid FROM r)
                    OR d.objid IN (
                        SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM r)
                    )
                )
                OR d.classid = 'pg_proc'::regclass AND d.objid IN (SELECT oid FROM p)
            )
        """.replace("%s", f"ARRAY[{ours}, 'pg_catalog', 'pg_toast']"),
    )


def functions_for_everybody(connection: Connection) -> list[str]:
    return names(
        connection,
        "SELECT p.signature FROM p, aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner)))"
        " AS a WHERE a.grantee = 0"
        f" AND p.proname NOT IN ({', '.join(repr(name) for name in sorted(FOR_ANYBODY))})",
    )


def relations_for_everybody(connection: Connection) -> list[str]:
    return names(
        connection,
        "SELECT r.name FROM r JOIN pg_class AS c ON c.oid = r.oid, aclexplode(c.relacl) AS a"
        " WHERE a.grantee = 0"
        " UNION SELECT r.name || '.' || c.attname FROM r JOIN pg_attribute AS c"
        " ON c.attrelid = r.oid, aclexplode(c.attacl) AS a WHERE a.grantee = 0",
    )


def money_that_is_not_bounded_cents(connection: Connection) -> list[str]:
    broken = names(
        connection,
        "SELECT r.name || '.' || a.attname FROM r JOIN pg_attribute AS a ON a.attrelid = r.oid"
        " WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition AND a.attnum > 0"
        " AND (a.attname LIKE '%%\\_in\\_cents'"
        " AND (a.atttypid <> 'bigint'::regtype OR NOT EXISTS ("
        "   SELECT FROM pg_constraint AS k WHERE k.conrelid = a.attrelid AND k.contype = 'c'"
        "   AND pg_get_constraintdef(k.oid) ~"
        "   format('\\m%%s >= 0.*\\m%%s <= ''?\\d+', a.attname, a.attname)))"
        " OR a.attname ~ '(price|amount|revenue)' AND a.attname NOT LIKE '%%\\_in\\_cents'"
        " OR a.atttypid IN ('money'::regtype, 'numeric'::regtype))",
    )
    return sorted(set(broken) - UNBOUNDED_MONEY)


def times_that_are_not_finite_timestamptz(connection: Connection) -> list[str]:
    return names(
        connection,
        "SELECT r.name || '.' || a.attname FROM r JOIN pg_attribute AS a ON a.attrelid = r.oid"
        " WHERE r.relkind IN ('r', 'p') AND NOT r.relispartition AND a.attnum > 0"
        " AND (a.atttypid IN ('timestamp'::regtype, 'date'::regtype, 'time'::regtype,"
        "   'timetz'::regtype, 'interval'::regtype)"
        " OR a.atttypid = 'timestamptz'::regtype AND NOT EXISTS ("
        "   SELECT FROM pg_constraint AS k WHERE k.conrelid = a.attrelid AND k.contype = 'c'"
        "   AND pg_get_constraintdef(k.oid) LIKE '%%isfinite(' || a.attname || ')%%'))",
    )


def indexes_that_forbid_heap_only_updates(connection: Connection) -> list[str]:
    """Of a seat's state: as a key, as a payload, in an expression or in a predicate."""
    rows = connection.execute(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition"
        " FROM pg_index WHERE indrelid = to_regclass(%s) ORDER BY 1",
        [f'"{NAMES.schema}".show_seats'],
    ).fetchall()
    assert rows
    changing = re.compile(r"\b(status|reserved_by|reserved_until)\b")
    return [row.name for row in rows if changing.search(row.definition.partition(" USING ")[2])]


Law = Callable[[Connection], list[str]]

# Each law, and what breaks it: a statement, and what the law then finds.
LAWS: list[tuple[Law, str, list[str]]] = [
    (
        misnamed_constraints,
        (
            "ALTER TABLE shows ADD CONSTRAINT name_is_short CHECK (length(name) < 9);"
            "ALTER TABLE shows ADD CONSTRAINT shows_venue_name_key UNIQUE (name, venue)"
        ),
        ["name_is_short", "shows_venue_name_key"],
    ),
    (misnamed_indexes, "CREATE INDEX shows_by_venue ON shows (venue)", ["shows_by_venue"]),
    (
        misnamed_triggers,
        "CREATE TRIGGER stop BEFORE DELETE ON shows EXECUTE FUNCTION refuse_change()",
        ["stop"],
    ),
    (
        misnamed_parameters,
        "CREATE FUNCTION f(show_id uuid, OUT x int) LANGUAGE sql AS 'SELECT 1'",
        ["f(uuid) show_id"],
    ),
    (
        misnamed_variables,
        (
            "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS"
            " 'DECLARE v_a integer; total integer := 0; BEGIN END'"
        ),
        ["f total"],
    ),
    (
        objects_without_comment,
        (
            "CREATE TABLE t (c integer PRIMARY KEY CONSTRAINT t_c_check CHECK (c > 0),"
            " at timestamptz CHECK (isfinite(at)));"
            "CREATE INDEX t_c_idx ON t (c);"
            "CREATE TRIGGER t_stop BEFORE DELETE ON t EXECUTE FUNCTION refuse_change();"
            f"CREATE VIEW {OURS[1]}.v AS SELECT 1 AS one;"
            "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
            f"COMMENT ON SCHEMA {OURS[1]} IS '';"
            "COMMENT ON TABLE shows IS NULL"
        ),
        [
            "column t.at",
            "column t.c",
            "column v.one",
            "constraint t_c_check",
            "function f()",
            "index t_c_idx",
            "relation shows",
            "relation t",
            "relation v",
            f"schema {NAMES.monitoring_schema}",
            "trigger t_stop",
        ],
    ),
    (
        routines_that_look_names_up_elsewhere,
        (
            "CREATE FUNCTION f() RETURNS integer LANGUAGE sql SECURITY DEFINER"
            " SET search_path = public, pg_temp AS 'SELECT 1';"
            "CREATE FUNCTION g() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
            "CREATE FUNCTION h() RETURNS integer LANGUAGE sql RETURN 1;"
            "CREATE PROCEDURE i() LANGUAGE plpgsql AS $$BEGIN COMMIT; PERFORM 1; END$$;"
            "CREATE PROCEDURE j() LANGUAGE plpgsql AS $$BEGIN"
            " PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);"
            " COMMIT; END$$"
        ),
        ["f()", "g()", "i()"],
    ),
    (
        what_depends_on_somebody_elses,
        (
            "CREATE SCHEMA elsewhere;"
            "CREATE FUNCTION elsewhere.f(text) RETURNS boolean IMMUTABLE LANGUAGE sql"
            " AS 'SELECT true';"
            "CREATE FUNCTION elsewhere.g() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END';"
            "CREATE TABLE elsewhere.t (c integer);"
            "ALTER TABLE shows ADD CONSTRAINT shows_venue_check CHECK (elsewhere.f(venue));"
            "ALTER TABLE shows ADD is_f boolean DEFAULT elsewhere.f('x');"
            "CREATE INDEX shows_f_idx ON shows (elsewhere.f(venue));"
            "CREATE TRIGGER shows_g AFTER DELETE ON shows EXECUTE FUNCTION elsewhere.g();"
            f"CREATE VIEW {OURS[1]}.v AS SELECT c FROM elsewhere.t;"
            "CREATE FUNCTION f() RETURNS boolean LANGUAGE sql RETURN elsewhere.f('x')"
        ),
        [
            "constraint shows_venue_check on table shows needs function elsewhere.f(text)",
            "default value for column is_f of table shows needs function elsewhere.f(text)",
            "function f() needs function elsewhere.f(text)",
            "index shows_f_idx needs function elsewhere.f(text)",
            "rule _RETURN on view v needs table elsewhere.t",
            "trigger shows_g on table shows needs function elsewhere.g()",
        ],
    ),
    (
        functions_for_everybody,
        (
            "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
            "GRANT EXECUTE ON FUNCTION window_start(interval) TO PUBLIC"
        ),
        ["f()", "window_start(interval)"],
    ),
    (
        relations_for_everybody,
        "GRANT SELECT ON shows TO PUBLIC; GRANT SELECT (email) ON seat_reservations TO PUBLIC",
        ["seat_reservations.email", "shows"],
    ),
    (
        money_that_is_not_bounded_cents,
        (
            "ALTER TABLE shows ADD fee_in_cents bigint CHECK (fee_in_cents >= 0),"
            " ADD amount bigint,"
            " ADD tip_in_cents integer CHECK (tip_in_cents BETWEEN 0 AND 9), ADD rate numeric,"
            " ADD good_in_cents bigint CHECK (good_in_cents BETWEEN 0 AND 9)"
        ),
        ["shows.amount", "shows.fee_in_cents", "shows.rate", "shows.tip_in_cents"],
    ),
    (
        times_that_are_not_finite_timestamptz,
        (
            "ALTER TABLE shows ADD ends_at timestamptz, ADD doors_at timestamp CHECK"
            " (isfinite(doors_at)), ADD day date, ADD good timestamptz CHECK (isfinite(good))"
        ),
        ["shows.day", "shows.doors_at", "shows.ends_at"],
    ),
    (
        indexes_that_forbid_heap_only_updates,
        (
            "CREATE INDEX a ON show_seats (show_id) WHERE status = 'available';"
            "CREATE INDEX b ON show_seats (show_id) INCLUDE (reserved_by);"
            "CREATE INDEX c ON show_seats ((reserved_until IS NULL))"
        ),
        ["a", "b", "c"],
    ),
]


@pytest.mark.parametrize("law", [pytest.param(law[0], id=law[0].__name__) for law in LAWS])
def test_there_are_no(connection: Connection, law: Law) -> None:
    assert law(connection) == []


@pytest.mark.parametrize(
    ("law", "statement", "found"), [pytest.param(*law, id=law[0].__name__) for law in LAWS]
)
def test_there_would_be_found(
    connection: Connection, law: Law, statement: str, found: list[str]
) -> None:
    before = set(law(connection))
    connection.execute(statement.encode())
    assert sorted(set(law(connection)) - before) == found


def test_every_role_has_a_comment(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT rolname::text, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles"
        " WHERE rolname = ANY(%s)",
        [ROLES],
    ).fetchall()
    assert len(rows) == len(ROLES)
    assert [row.rolname for row in rows if not row.comment] == []


def test_functions_are_granted_as_the_contract_says_and_to_nobody_else(
    connection: Connection,
) -> None:
    rows = connection.execute(
        "SELECT p.proname::text AS name, a.grantee::regrole::text AS grantee"
        " FROM pg_proc AS p, aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS a"
        " WHERE p.pronamespace = ANY(%s::regnamespace[]) AND a.grantee <> p.proowner",
        [OURS],
    ).fetchall()
    app, monitor = NAMES.app_role, NAMES.monitor_role
    assert {(row.name, row.grantee) for row in rows} == {
        *((name, app) for name in APPLICATION),
        ("get_reservation_statistics", monitor),
        *((name, NAMES.box_office_role) for name in BOX_OFFICE),
        *((name, monitor) for name in BEHIND_VIEWS),
        *((name, "-") for name in FOR_ANYBODY),
    }


def test_what_a_seat_goes_through_are_heap_only_updates(hall: Hall) -> None:
    """So a seat that is held and given back a hundred times does not bloat the table."""
    before = updates(hall.connection)
    for n in range(3):
        hold = hall.hold(0, 1, session=f"visitor {n}")
        hall.release(hold, session=f"visitor {n}")
    hall.sell(0)
    after = updates(hall.connection)
    made, heap_only = (now - then for now, then in zip(after, before, strict=True))
    assert made == 3 * 2 * 2 + 2
    assert heap_only == made


def test_pages_of_seats_have_room_for_them(connection: Connection) -> None:
    (row,) = connection.execute(
        "SELECT reloptions FROM pg_class WHERE oid = to_regclass(%s)",
        [f'"{NAMES.schema}".show_seats'],
    ).fetchall()
    assert row.reloptions == ["fillfactor=70"]


def updates(connection: Connection) -> tuple[int, int]:
    """Of seats, in this transaction: all, and those that touched no index."""
    (row,) = connection.execute(
        "SELECT pg_stat_get_xact_tuples_updated(oid) AS made,"
        " pg_stat_get_xact_tuples_hot_updated(oid) AS heap_only"
        " FROM pg_class WHERE oid = to_regclass(%s)",
        [f'"{NAMES.schema}".show_seats'],
    ).fetchall()
    return row.made, row.heap_only


def test_plpgsql_check_finds_nothing_in_any_function(cron_database: Database) -> None:
    """In the database of pg_cron: some statements are about its tables."""
    skip_without(cron_database.cluster.binaries, "plpgsql_check")
    commands.apply(cron_database.dsn, NAMES)
    with psycopg.connect(cron_database.dsn) as connection:
        connection.execute("CREATE EXTENSION plpgsql_check")
        assert list(plpgsql_findings(connection, OURS)) == []

        # The control: it looks, and at trigger functions with their table too.
        connection.execute(
            sql.SQL(
                "CREATE FUNCTION {0}.f() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN NEW.nothing_of_the_kind := 1; RETURN NEW; END';"
                "CREATE TRIGGER shows_f BEFORE INSERT ON {0}.shows"
                " FOR EACH ROW EXECUTE FUNCTION {0}.f()"
            ).format(sql.Identifier(NAMES.schema))
        )
        (finding,) = plpgsql_findings(connection, OURS)
        assert finding.file == "f"
        assert "nothing_of_the_kind" in finding.message
