"""What users have built on what an upgrade replaces survives it, or stops it."""

import json
import re
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.support.by_hand import OF_SHOWS, add_revision
from tests.support.databases import Connect, Database
from ticketdb.config import Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import chain_state, drop_of, read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.run import Step
from ticketdb.migrate.script import script
from ticketdb.paths import Tree, shipped_tree

NAMES = Variables()
CHAIN = read_chain(shipped_tree())
HEAD = CHAIN[-1].revision
# The second needs the third, and the first needs both.
OURS = ("monitoring/health.sql", "monitoring/alerts.sql", "monitoring/active_reservations.sql")
ERRORS, FUNCTION = "monitoring/top_errors.sql", "foundation/error_message.sql"

# All there is to a view of somebody else's, by its name.
VIEWS = """
    SELECT
        c.oid::regclass::text,
        pg_get_viewdef(c.oid),
        c.relowner::regrole::text,
        c.reloptions,
        obj_description(c.oid, 'pg_class'),
        (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(c.relacl) AS x),
        array_agg(
            ARRAY[
                a.attname,
                col_description(c.oid, a.attnum),
                pg_get_expr(d.adbin, d.adrelid),
                (SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest(a.attacl) AS x)
            ] ORDER BY a.attnum
        )
    FROM pg_class AS c
    INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'reports'::regnamespace AND c.relkind = 'v'
    GROUP BY c.oid
    ORDER BY 1
"""


@pytest.fixture
def session(connect: Connect) -> psycopg.Connection:
    """A session of a DBA in a database with a schema for views of theirs."""
    connection = connect()
    connection.execute("CREATE SCHEMA reports; SET search_path = reports")
    return connection


@pytest.fixture
def roles(database: Database, session: psycopg.Connection) -> Iterator[list[str]]:
    """Three roles of this test: who owns views, who may read them, and who was let in by that."""
    names = [f"{name}_{database.name}" for name in ("owner", "reader", "other")]
    for name in names:
        session.execute(
            f"CREATE ROLE {name}; GRANT USAGE, CREATE ON SCHEMA reports TO {name}".encode()
        )
    yield names
    session.execute(f"RESET ROLE; DROP OWNED BY {', '.join(names)} CASCADE".encode())
    session.execute(f"DROP ROLE {', '.join(names)}".encode())


def replaced(tree: Tree, *paths: str, without: str = "") -> str:
    """A revision that drops some of our objects and makes them again, there and back."""
    paths = paths or OURS
    texts = {path: chain_state(CHAIN)[path][-1].text for path in paths}
    drops = "".join(f"-- drop: {path}\n{drop_of(text)}\n\n" for path, text in texts.items())
    made = [f"-- object: {path} sha256={'0' * 64}\n{texts[path]}" for path in reversed(paths)]
    text = "".join(made)
    assert re.search(without, text)
    return add_revision(tree, drops + re.sub(without, "", text), drops + text)


def views(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    connection.execute("SET search_path = pg_catalog")
    found = connection.execute(VIEWS).fetchall()
    connection.execute("SET search_path = reports")
    return found


def oids(connection: psycopg.Connection) -> dict[str, int]:
    return dict(
        connection.execute(
            "SELECT c.relname, c.oid::bigint FROM pg_class AS c"
            " WHERE c.relnamespace IN ('reports'::regnamespace, 'monitoring'::regnamespace)"
            " ORDER BY c.relname"
        ).fetchall()
    )


def refused(database: Database, tree: Tree) -> list[str]:
    """What apply says that it cannot put back; and nothing has changed."""
    with psycopg.connect(database.dsn) as connection:
        before = oids(connection)
    with pytest.raises(TicketdbError) as caught:
        apply(database.dsn, NAMES, tree=tree)
    assert (caught.value.code, caught.value.exit_status) == ("E_DEPENDENTS", 5)
    with psycopg.connect(database.dsn) as connection:
        assert oids(connection) == before
    listed = re.search(
        r"depend on what this revision replaces: (.*) \(nothing was changed\) - ",
        caught.value.message,
    )
    assert listed, caught.value.message
    return listed[1].split("; ")


def adorn(session: psycopg.Connection, roles: list[str]) -> None:
    """Views with everything that a view can have."""
    owner, reader, other = (sql.Identifier(role) for role in roles)
    statements = """
        ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO PUBLIC;
        ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT DELETE ON TABLES TO PUBLIC;
        CREATE VIEW "the; first" WITH (security_barrier, security_invoker = true) AS
        SELECT active_reservations AS "how many", 'it''s' AS text
        FROM monitoring.active_reservations;
        CREATE VIEW "Second" AS SELECT * FROM "the; first" WHERE "how many" > 0
        WITH CASCADED CHECK OPTION;
        CREATE VIEW third AS SELECT f.text, total_seats_held
        FROM monitoring.active_reservations, "the; first" AS f
        LEFT JOIN "Second" USING ("how many") CROSS JOIN monitoring.alerts;
        CREATE RECURSIVE VIEW fourth (n) AS
        SELECT 1 UNION ALL SELECT n + 1 FROM fourth, third WHERE n < 3;
        CREATE VIEW aside AS SELECT job_name FROM monitoring.cleanup_job_health AS job_name;
        ALTER VIEW third RENAME COLUMN text TO words;
        ALTER VIEW "Second" ALTER COLUMN text SET DEFAULT 'a' || 'b';
        COMMENT ON VIEW "the; first" IS 'It''s the first; $body$';
        COMMENT ON COLUMN "the; first"."how many" IS 'Many.';
        REVOKE ALL ON ALL TABLES IN SCHEMA reports FROM PUBLIC;
        ALTER VIEW "the; first" OWNER TO {owner};
        ALTER VIEW third OWNER TO {owner};
        SET ROLE {owner};
        REVOKE UPDATE ON "the; first" FROM {owner};
        GRANT SELECT ON "the; first" TO {reader} WITH GRANT OPTION;
        GRANT UPDATE (text), INSERT (text, "how many") ON "the; first" TO {other};
        GRANT SELECT (words) ON third TO {reader} WITH GRANT OPTION;
        GRANT SELECT ON third TO PUBLIC;
        SET ROLE {reader};
        GRANT SELECT ON "the; first" TO {other};
        GRANT SELECT (words) ON third TO {other} WITH GRANT OPTION;
        RESET ROLE;
    """
    session.execute(sql.SQL(statements).format(owner=owner, reader=reader, other=other))


def test_views_of_users_come_back_with_all_that_they_have(
    database: Database, session: psycopg.Connection, roles: list[str], tree_copy: Tree
) -> None:
    adorn(session, roles)
    before, old = views(session), oids(session)
    replaced(tree_copy)
    for migrate_it in (
        lambda: apply(database.dsn, NAMES, tree=tree_copy),
        lambda: revert(database.dsn, NAMES, HEAD, tree=tree_copy),
    ):
        migrate_it()
        assert views(session) == before
        now = oids(session)
        changed = {name for name in old if now[name] != old[name]}
        assert changed == {
            *("active_reservations", "alerts", "health"),
            *("the; first", "Second", "third", "fourth"),
        }
        old = now
    assert json.dumps(before).count(roles[2]) > 3  # grants were there to be compared


def test_views_of_users_come_back_in_a_script(
    database: Database,
    session: psycopg.Connection,
    roles: list[str],
    tree_copy: Tree,
) -> None:
    adorn(session, roles)
    before, old = views(session), oids(session)
    replaced(tree_copy)
    psql = database.cluster.binaries.bindir / "psql"
    text = script(NAMES, start=HEAD, tree=tree_copy)
    subprocess.run([psql, "-X", "-q", database.dsn], input=text, text=True, check=True)
    assert views(session) == before
    assert oids(session)["the; first"] != old["the; first"]


def test_a_grant_that_was_lost_would_be_noticed(
    database: Database, session: psycopg.Connection, roles: list[str], tree_copy: Tree
) -> None:
    """Here it cannot be given again: the role that gave it may not enter the schema any more."""
    adorn(session, roles)
    session.execute(f"REVOKE USAGE ON SCHEMA reports FROM {roles[1]}".encode())
    before = views(session)
    replaced(tree_copy)
    with pytest.raises(TicketdbError, match=r'reports\."the; first" cannot be made') as caught:
        apply(database.dsn, NAMES, tree=tree_copy)
    assert caught.value.code == "E_DEPENDENTS"
    assert views(session) == before


IRREPRODUCIBLE = {
    "materialized view": (
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM monitoring.active_reservations",
        ["materialized view reports.m"],
    ),
    "materialized view on a view": (
        (
            "CREATE VIEW v AS SELECT * FROM monitoring.active_reservations;"
            " CREATE MATERIALIZED VIEW m AS SELECT * FROM v"
        ),
        ["materialized view reports.m"],
    ),
    "body of a function": (
        (
            "CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC"
            " SELECT total_seats_held FROM monitoring.active_reservations; END"
        ),
        ["function reports.f()"],
    ),
    "row type": (
        (
            "CREATE VIEW v AS SELECT * FROM monitoring.active_reservations;"
            " CREATE FUNCTION f(v) RETURNS integer LANGUAGE sql AS 'SELECT 1';"
            " CREATE TABLE t (seen monitoring.active_reservations)"
        ),
        ["column seen of table reports.t", "function reports.f(reports.v)"],
    ),
    "rule of a table": (
        (
            "CREATE TABLE t (n bigint); CREATE RULE r AS ON INSERT TO t DO INSTEAD"
            " SELECT * FROM monitoring.active_reservations"
        ),
        ["rule r on table reports.t"],
    ),
    "rule of a view": (
        (
            "CREATE VIEW v AS SELECT * FROM monitoring.active_reservations;"
            " CREATE RULE r AS ON INSERT TO v DO INSTEAD NOTHING"
        ),
        ["rule r on view reports.v"],
    ),
    "trigger of a view": (
        (
            "CREATE VIEW v AS SELECT * FROM monitoring.active_reservations;"
            " CREATE TRIGGER g INSTEAD OF DELETE ON v FOR EACH ROW"
            " EXECUTE FUNCTION ticketdb.refuse_change('x')"
        ),
        ["trigger g on view reports.v"],
    ),
    "trigger of ours": (
        (
            "CREATE TRIGGER g INSTEAD OF DELETE ON monitoring.active_reservations FOR EACH ROW"
            " EXECUTE FUNCTION ticketdb.refuse_change('x')"
        ),
        ["trigger g on view monitoring.active_reservations"],
    ),
    "policy": (
        (
            "CREATE TABLE t (n bigint); CREATE POLICY p ON t USING"
            " (n IN (SELECT total_seats_held FROM monitoring.active_reservations))"
        ),
        ["policy p on table reports.t"],
    ),
    "several": (
        (
            "CREATE VIEW v AS SELECT * FROM monitoring.active_reservations;"
            " CREATE MATERIALIZED VIEW m AS SELECT * FROM v; CREATE VIEW w AS SELECT * FROM v;"
            " CREATE RULE r AS ON INSERT TO w DO INSTEAD NOTHING;"
            " CREATE TRIGGER g INSTEAD OF DELETE ON v FOR EACH ROW"
            " EXECUTE FUNCTION ticketdb.refuse_change('x')"
        ),
        ["materialized view reports.m", "rule r on view reports.w", "trigger g on view reports.v"],
    ),
}


@pytest.mark.parametrize(("made", "listed"), IRREPRODUCIBLE.values(), ids=IRREPRODUCIBLE.keys())
def test_what_cannot_be_put_back_stops_the_upgrade(
    made: str, listed: list[str], database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    session.execute(made.encode())
    replaced(tree_copy)
    assert refused(database, tree_copy) == listed


def test_what_depends_on_a_function_is_saved_or_listed(
    database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    replaced(tree_copy, FUNCTION)
    session.execute(
        "CREATE VIEW v AS SELECT ticketdb.error_message('SEATS_UNAVAILABLE') AS said;"
        "CREATE TABLE t (n text DEFAULT ticketdb.error_message('NOT_FOUND'));"
        "CREATE TABLE u (n text, CHECK (n <> ticketdb.error_message('NOT_FOUND')))"
    )
    assert refused(database, tree_copy) == [
        "constraint u_n_check on table reports.u",
        "default value for column n of table reports.t",
    ]
    session.execute("DROP TABLE t, u")
    before, old = views(session), oids(session)
    apply(database.dsn, NAMES, tree=tree_copy)
    assert views(session) == before
    assert oids(session)["v"] != old["v"]


def test_a_temporary_view_of_another_session_stops_the_upgrade(
    database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    session.execute("CREATE TEMPORARY VIEW v AS SELECT * FROM monitoring.active_reservations")
    replaced(tree_copy)
    (listed,) = refused(database, tree_copy)
    assert re.fullmatch(r"view pg_temp_\d+\.v \(temporary\)", listed)


@pytest.mark.usefixtures("template_database")  # the roles are there
def test_a_view_of_a_role_that_we_are_no_member_of_stops_the_upgrade(
    empty_database: Database, connect: Connect, tree_copy: Tree
) -> None:
    owner, clerk = (f"{name}_{empty_database.name}" for name in ("owner", "clerk"))
    session = connect(empty_database)
    session.execute(
        f"CREATE ROLE {owner}; CREATE ROLE {clerk} LOGIN; CREATE SCHEMA reports;"
        f" GRANT USAGE, CREATE ON SCHEMA reports TO {owner};"
        f" GRANT CREATE ON SCHEMA public TO {clerk};"
        f" GRANT CREATE ON DATABASE {empty_database.name} TO {clerk}".encode()
    )
    as_clerk = empty_database.dsn_as(clerk)
    apply(as_clerk, NAMES)
    session.execute("CREATE VIEW reports.v AS SELECT * FROM monitoring.active_reservations")
    session.execute(f"ALTER VIEW reports.v OWNER TO {owner}".encode())
    replaced(tree_copy)
    with pytest.raises(TicketdbError, match=rf"view reports\.v \(of role {owner}\)"):
        apply(as_clerk, NAMES, tree=tree_copy)
    session.execute(f"GRANT {owner} TO {clerk}; GRANT USAGE ON SCHEMA reports TO {clerk}".encode())
    before = views(session)
    apply(as_clerk, NAMES, tree=tree_copy)
    assert views(session) == before
    session.execute(f"DROP OWNED BY {owner}, {clerk} CASCADE; DROP ROLE {owner}, {clerk}".encode())


def test_a_view_of_an_extension_stops_the_upgrade(
    database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    session.execute("CREATE VIEW v AS SELECT * FROM monitoring.active_reservations")
    session.execute("ALTER EXTENSION plpgsql ADD VIEW v")
    replaced(tree_copy)
    assert refused(database, tree_copy) == ["view reports.v (of an extension)"]


def test_a_column_that_is_gone_stops_the_upgrade_with_the_name_of_the_view(
    database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    session.execute(
        "CREATE VIEW fine AS SELECT error_message FROM monitoring.top_errors;"
        "CREATE VIEW broken AS SELECT occurrences FROM monitoring.top_errors"
    )
    before, old = views(session), oids(session)
    replaced(
        tree_copy,
        ERRORS,
        without=r"COMMENT ON COLUMN [^;]*\.occurrences [^;]*;\n|.* AS occurrences,\n",
    )
    with pytest.raises(TicketdbError) as caught:
        apply(database.dsn, NAMES, tree=tree_copy)
    assert (caught.value.code, caught.value.exit_status) == ("E_DEPENDENTS", 5)
    assert "view reports.broken cannot be made again: column" in caught.value.message
    assert views(session) == before
    assert oids(session) == old

    session.execute("DROP VIEW broken")
    apply(database.dsn, NAMES, tree=tree_copy)
    session.execute("SELECT * FROM fine")
    columns = session.execute("SELECT * FROM monitoring.top_errors").description or ()
    assert "occurrences" not in [column.name for column in columns]


def test_what_is_dropped_for_good_stops_the_upgrade_with_the_list(
    database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    session.execute("CREATE VIEW v AS SELECT * FROM monitoring.top_errors")
    before, old = views(session), oids(session)
    drop = f"-- drop: {ERRORS}\nDROP VIEW {{{{ monitoring_schema }}}}.top_errors;\n"
    add_revision(tree_copy, drop, "-- privileges\n")
    with pytest.raises(TicketdbError, match=r"view reports\.v depends on view") as caught:
        apply(database.dsn, NAMES, tree=tree_copy)
    assert caught.value.code == "E_DEPENDENTS"
    assert (views(session), oids(session)) == (before, old)


@pytest.mark.parametrize("action", ["ALTER COLUMN venue TYPE", "ALTER venue SET DATA TYPE"])
def test_a_column_changes_its_type_under_views_of_users(
    action: str, database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    add_revision(
        tree_copy,
        f"{OF_SHOWS}ALTER TABLE {{{{ schema }}}}.shows\n{action} varchar(400);\n",
        f"{OF_SHOWS}ALTER TABLE {{{{ schema }}}}.shows {action} text;\n",
    )
    session.execute(
        "CREATE VIEW v AS SELECT venue FROM public.shows;"
        "CREATE VIEW w AS SELECT upper(venue) AS big FROM v;"
        "CREATE VIEW aside AS SELECT name FROM public.shows;"
        "CREATE TABLE t (id uuid REFERENCES public.shows)"
    )
    before, old = views(session), oids(session)
    apply(database.dsn, NAMES, tree=tree_copy)
    column = (session.execute("SELECT venue FROM v").description or [])[0]
    assert column.type_code == psycopg.adapters.types["varchar"].oid
    assert [name for name, oid in old.items() if oids(session)[name] != oid] == ["v", "w"]
    revert(database.dsn, NAMES, HEAD, tree=tree_copy)
    assert views(session) == before


def test_what_else_depends_on_a_column_stops_the_upgrade(
    database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    alter = f"{OF_SHOWS}ALTER TABLE {{{{ schema }}}}.shows DROP COLUMN venue;\n"
    add_revision(tree_copy, alter, "-- privileges\n")
    session.execute("CREATE VIEW v AS SELECT name, venue FROM public.shows")
    before = views(session)
    with pytest.raises(TicketdbError, match=r"view reports\.v cannot be made again: column"):
        apply(database.dsn, NAMES, tree=tree_copy)
    assert views(session) == before
    session.execute("CREATE MATERIALIZED VIEW m AS SELECT venue FROM public.shows")
    assert refused(database, tree_copy) == ["materialized view reports.m"]


def test_a_column_of_a_partitioned_table_takes_views_of_its_partitions_along(
    database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    alter = (
        f"-- alter: audit/api_request_log.sql sha256={'0' * 64}\n"
        "ALTER TABLE {{ schema }}.api_request_log ALTER COLUMN method TYPE %s;\n"
    )
    add_revision(tree_copy, alter % "varchar(20)", alter % "text")
    session.execute("CREATE VIEW v AS SELECT method FROM ticketdb.api_request_log_default")
    before, old = views(session), oids(session)
    apply(database.dsn, NAMES, tree=tree_copy)
    assert oids(session)["v"] != old["v"]
    revert(database.dsn, NAMES, HEAD, tree=tree_copy)
    assert views(session) == before


def test_a_foreign_key_to_a_constraint_that_is_replaced_stops_the_upgrade(
    database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    alter = f"{OF_SHOWS}ALTER TABLE {{{{ schema }}}}.shows\n"
    add_revision(
        tree_copy,
        f"{alter}ADD COLUMN number integer CONSTRAINT n UNIQUE;\n",
        f"{alter}DROP CONSTRAINT n;\n",
    )
    apply(database.dsn, NAMES, tree=tree_copy)
    session.execute("CREATE TABLE t (number integer CONSTRAINT k REFERENCES public.shows (number))")
    with pytest.raises(
        TicketdbError, match=r"replaces: constraint k on table reports\.t"
    ) as caught:
        revert(database.dsn, NAMES, HEAD, tree=tree_copy)
    assert caught.value.code == "E_DEPENDENTS"

    # The type of what it refers to may change.
    add_revision(
        tree_copy,
        f"{alter}ALTER COLUMN number TYPE bigint;\n",
        f"{alter}ALTER COLUMN number TYPE integer;\n",
    )
    session.execute("CREATE VIEW v AS SELECT number FROM public.shows")
    before = views(session)
    assert len(apply(database.dsn, NAMES, tree=tree_copy).applied) == 1
    assert views(session) == before


def test_a_reader_of_a_view_is_waited_for(
    database: Database, session: psycopg.Connection, tree_copy: Tree
) -> None:
    replaced(tree_copy)
    session.execute("CREATE VIEW v AS SELECT * FROM monitoring.active_reservations")
    before = views(session)
    session.autocommit = False
    session.execute("SELECT * FROM reports.v")
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if step.kind == "wait":
            session.rollback()

    apply(database.dsn, NAMES, tree=tree_copy, lock_timeout=1.0, progress=on_step)
    assert [f"pid {session.info.backend_pid}," in s.detail for s in steps if s.kind == "wait"] == [
        True
    ]
    session.autocommit = True
    assert views(session) == before
