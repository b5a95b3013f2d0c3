"""Those who monitor: every view, nothing personal, and nothing to be changed.

In a database that knows some people, whose traces are unmistakable. What the roles can reach is
read from the catalog, and then reached for: by name, through SELECT *, and through every function.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import namedtuple_row

from tests.support.databases import Database, throw_away_database
from tests.support.hall import make_hall
from tests.support.happenings import CONSTRAINT, Events, Requests, Run, write
from tests.support.names import NAMES, OURS, SCHEMAS
from tests.support.privileges import BEHIND_VIEWS, FOR_ANYBODY
from tests.support.queries import Connection, enter, value, views
from tests.support.rollups import roll_up_all
from ticketdb.private_server import SUPERUSER, Cluster

LOGINS = [NAMES.dashboard_role, NAMES.datadog_role]
GROUP = NAMES.monitor_role

# Columns that say who somebody is, or let their reader act as somebody.
PERSONAL = {
    "email",
    "event_id",
    "idempotency_key",
    "ip_address",
    "metadata",
    "payment_intent_id",
    "reservation_token",
    "session_id",
    "ticket_code",
    "ticket_ids",
    "user_agent",
    "user_id",
}
# Of the one who migrates, not of buyers.
NONE_OF_THEIR_BUSINESS = {"applied_by", "variables"}

# Functions that they may call. They read; none of them changes anything.
READERS = {"get_reservation_statistics"}
# And these by way of a view only: their schema is closed to them.
BEHIND = BEHIND_VIEWS | FOR_ANYBODY
# What a caller might pass who wants to see everything.
ARGUMENTS = {
    "timestamp with time zone": "'-infinity'::timestamptz",
    "integer": "1000",
    "interval": "interval '1000 years'",
    "uuid": "NULL::uuid",
}
WRITES = ["INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]


@dataclass(frozen=True)
class House:
    """A database with people in it, and everything by which they could be identified."""

    database: Database
    traces: dict[str, str]

    @contextmanager
    def session(self, user: str) -> Iterator[Connection]:
        """A login over the socket, as any client has one."""
        dsn = self.database.dsn_as(user)
        with closing(
            psycopg.connect(dsn, autocommit=True, row_factory=namedtuple_row)
        ) as connection:
            yield enter(connection)


def people(connection: Connection) -> dict[str, str]:
    """Let somebody buy, somebody fail and somebody leave. Returns what would give them away."""
    hall = make_hall(connection)
    personal = {
        "p_user_id": "usr_41c0ffee",
        "p_email": "anna.karenina@example.org",
        "p_user_agent": "Samovar/1877 (Petersburg)",
        "p_ip_address": "203.0.113.77",
    }
    keys = {
        "p_idempotency_key": "idem_9d2f",
        "p_payment_provider": "stripe",
        "p_payment_intent_id": "pi_3Nkw",
    }
    hold = hall.hold(0, 1, session="sess_77e1", **personal)
    order = hall.order(hold, "sess_77e1", **keys)
    hall.fail(order, event="evt_first", message="declined for Anna Arkadyevna, card 4242")
    unpaid = hall.order(hall.hold(4, session="sess_77e5", **personal), "sess_77e5")
    hall.fail(unpaid, event="evt_third", message="declined for Anna Arkadyevna, card 4242")
    ticket_id = hall.pay(order, event="evt_second").ticket_ids[0]
    ticket_code = value(connection, "SELECT ticket_code FROM tickets WHERE id = %s", ticket_id)
    assert not hall.reserve(0, session="sess_77e2", **personal).success
    live = hall.hold(2, session="sess_77e3", **personal)
    hall.extend(live, session="sess_77e3")
    hall.release(hall.hold(3, session="sess_77e4", **personal), session="sess_77e4")
    return {
        **personal,
        "p_idempotency_key": keys["p_idempotency_key"],
        "p_payment_intent_id": keys["p_payment_intent_id"],
        "session": "sess_77e",
        "event": "evt_second",
        "words of the provider": "Anna Arkadyevna",
        "token": hold.reservation_token,
        "live token": live.reservation_token,
        "second half of the token": live.reservation_token[32:],
        "ticket code": ticket_code,
    }


@pytest.fixture(scope="module")
def house(cluster: Cluster, template_database: str) -> Iterator[House]:
    with contextmanager(throw_away_database)(cluster, template_database) as database:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            traces = people(enter(connection))
            write(connection, Run(), Requests(), Events("failed", message=CONSTRAINT))
            roll_up_all(connection)
            traces |= people(connection)
            connection.execute("SELECT check_invariants()")
            connection.execute("CALL run_reservation_cleanup()")
            connection.execute("ANALYZE")
        yield House(database, traces)


def columns_of(connection: Connection) -> dict[str, list[str]]:
    """Every table, partition and view of ours, and what its columns are called."""
    rows = connection.execute(
        "SELECT format('%%I.%%I', nspname, relname) AS relation, attname AS column"
        " FROM pg_class INNER JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " INNER JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped"
        " WHERE nspname = ANY(%s) AND relkind IN ('r', 'p', 'v', 'm', 'f')"
        " ORDER BY 1, attnum",
        [list(SCHEMAS)],
    ).fetchall()
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.relation, []).append(row.column)
    return found


def readable(connection: Connection, role: str) -> dict[str, list[str]]:
    """Of those, what a role may read, as the catalog has it."""
    # By oid: who may not use a schema may not ask for what is in it by name.
    rows = connection.execute(
        "SELECT format('%%I.%%I', nspname, relname) AS relation, attname AS column"
        " FROM pg_class INNER JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " INNER JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped"
        " WHERE has_column_privilege(%s, pg_class.oid, attnum, 'SELECT')",
        [role],
    ).fetchall()
    granted = {(row.relation, row.column) for row in rows}
    return {
        relation: [column for column in columns if (relation, column) in granted]
        for relation, columns in columns_of(connection).items()
    }


def is_refused(connection: Connection, statement: str) -> bool:
    """Whether privileges are what is wrong with the statement. Other errors are the test's."""
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return True
    return False


def callable_by(connection: Connection, role: str) -> list[tuple[str, str]]:
    """Name and a call of each routine of ours that the role may execute."""
    rows = connection.execute(
        "SELECT proname AS name, prokind = 'p' AS is_procedure,"
        " format('%%s.%%I', pronamespace::regnamespace, proname) AS path,"
        " prorettype = 'trigger'::regtype AS is_trigger,"
        " ARRAY(SELECT format_type(type, NULL) FROM unnest(proargtypes) AS types (type)) AS types"
        " FROM pg_proc WHERE pronamespace = ANY(%(ours)s::regnamespace[])"
        " AND has_function_privilege(%(role)s, oid, 'EXECUTE')"
        " AND has_schema_privilege(%(role)s, pronamespace, 'USAGE') ORDER BY proname",
        {"ours": OURS, "role": role},
    ).fetchall()
    # Not plain NULLs, for which the planner would not even call a strict function.
    calls = []
    for row in rows:
        how = "CALL" if row.is_procedure else "SELECT" if row.is_trigger else "SELECT * FROM"
        null = "NULL::{}" if row.is_procedure else "(SELECT NULL::{})"
        arguments = [ARGUMENTS.get(name, null.format(name)) for name in row.types]
        calls.append((row.name, f"{how} {row.path}({', '.join(arguments)})"))
    return calls


def everything(connection: Connection, role: str) -> str:
    """All that the session can get to see, as one text. `role`: whose privileges it has."""
    seen = []
    for relation, columns in readable(connection, role).items():
        if columns:
            names = sql.SQL(", ").join(map(sql.Identifier, columns)).as_string(connection)
            seen += connection.execute(f"SELECT {names} FROM {relation}".encode()).fetchall()
    for name, call in callable_by(connection, role):
        if name in READERS:
            seen += connection.execute(call.encode()).fetchall()
    # Statistics keep samples of every column, and activity the text of statements.
    for table in ("pg_stats", "pg_stat_activity"):
        seen += connection.execute(f"SELECT t::text FROM {table} AS t".encode()).fetchall()
    return "\n".join(map(str, seen))


def given_away(house: House, text: str) -> set[str]:
    return {what for what, trace in house.traces.items() if trace in text}


# What they see


@pytest.mark.parametrize("role", LOGINS)
def test_they_log_in_and_read_every_view(house: House, role: str) -> None:
    with house.session(role) as session:
        names = views(session)
        assert len(names) >= 19
        for view in names:
            path = sql.Identifier(NAMES.monitoring_schema, view)
            rows = session.execute(sql.SQL("SELECT * FROM {}").format(path)).fetchall()
            assert rows, view
            for column in rows[0]._fields:
                statement = sql.SQL("SELECT {} FROM {}").format(sql.Identifier(column), path)
                assert len(session.execute(statement).fetchall()) == len(rows)


@pytest.mark.parametrize("role", LOGINS)
def test_they_read_the_view_of_the_guide_and_the_rules(house: House, role: str) -> None:
    with house.session(role) as session:
        for table in ("reservation_cleanup_job_status", "alert_rules"):
            assert session.execute(f"SELECT * FROM {table}".encode()).fetchall()


@pytest.mark.parametrize("role", [*LOGINS, GROUP])
def test_no_personal_column_is_granted(house: House, role: str) -> None:
    with house.session(SUPERUSER) as session:
        everywhere = columns_of(session)
        named = {column for columns in everywhere.values() for column in columns}
        assert named >= PERSONAL | NONE_OF_THEIR_BUSINESS
        for relation, columns in readable(session, role).items():
            assert not set(columns) & (PERSONAL | NONE_OF_THEIR_BUSINESS), relation


@pytest.mark.parametrize("role", LOGINS)
def test_a_column_that_is_not_granted_is_refused_in_whatever_way_it_is_asked_for(
    house: House, role: str
) -> None:
    refused = set()
    with house.session(role) as session:
        granted = readable(session, role)
        for relation, columns in columns_of(session).items():
            for column in columns:
                if column in granted[relation]:
                    assert not is_refused(session, f'SELECT "{column}" FROM {relation} LIMIT 1')
                    continue
                refused.add(column)
                for statement in (
                    f'SELECT "{column}" FROM {relation}',
                    f'SELECT count("{column}") FROM {relation}',
                    f'SELECT (t)."{column}" FROM {relation} AS t',
                    f'SELECT 1 FROM {relation} WHERE "{column}" IS NULL',
                    f'SELECT 1 FROM {relation} ORDER BY "{column}"',
                    f'COPY {relation} ("{column}") TO STDOUT',
                ):
                    assert is_refused(session, statement), statement
            if set(columns) != set(granted[relation]):
                for statement in (
                    f"SELECT * FROM {relation}",
                    f"TABLE {relation}",
                    f"SELECT t FROM {relation} AS t",
                    f"SELECT to_jsonb(t) FROM {relation} AS t",
                    f"COPY {relation} TO STDOUT",
                    f"CREATE TEMP TABLE copied AS SELECT * FROM {relation}",
                ):
                    assert is_refused(session, statement), statement
    assert refused >= PERSONAL


@pytest.mark.parametrize("role", LOGINS)
def test_nothing_that_they_can_read_gives_anybody_away(house: House, role: str) -> None:
    with house.session(role) as session:
        assert given_away(house, everything(session, role)) == set()


def test_the_same_search_finds_everybody_where_it_may_look(house: House) -> None:
    with house.session(SUPERUSER) as session:
        assert given_away(house, everything(session, SUPERUSER)) == set(house.traces)


def test_a_column_that_is_granted_by_accident_is_found(house: House) -> None:
    """The control. The grant is taken back."""
    role = NAMES.dashboard_role
    with house.session(SUPERUSER) as session:
        for table, column, trace in (
            ("seat_reservations", "email", "p_email"),
            ("tickets", "ticket_code", "ticket code"),
        ):
            with session.transaction(force_rollback=True):
                session.execute(
                    sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(
                        sql.Identifier(column), sql.Identifier(table), sql.Identifier(GROUP)
                    )
                )
                session.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
                granted = readable(session, role)
                assert {c for columns in granted.values() for c in columns} & PERSONAL == {column}
                assert trace in given_away(house, everything(session, role))


# What they can do


@pytest.mark.parametrize("role", [*LOGINS, GROUP])
def test_they_may_call_what_reads_and_nothing_else(house: House, role: str) -> None:
    with house.session(SUPERUSER) as session:
        assert {name for name, _ in callable_by(session, role)} == READERS
        assert {name for name, _ in callable_by(session, SUPERUSER)} > READERS | BEHIND
        executable = session.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = ANY(%s::regnamespace[])"
            " AND has_function_privilege(%s, oid, 'EXECUTE')",
            [OURS, role],
        ).fetchall()
        assert {row.proname for row in executable} == READERS | BEHIND
        changing = session.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = ANY(%s::regnamespace[])"
            " AND (provolatile = 'v' OR prokind <> 'f')"
            " AND proname <> 'uuid_v7' AND has_function_privilege(%s, oid, 'EXECUTE')",
            [OURS, role],
        ).fetchall()
        assert changing == []


@pytest.mark.parametrize("role", LOGINS)
def test_what_they_may_call_runs_where_nothing_can_be_written(house: House, role: str) -> None:
    with house.session(role) as session:
        for name, call in callable_by(session, role):
            with session.transaction():
                session.execute("SET TRANSACTION READ ONLY")
                rows = session.execute(call.encode()).fetchall()
                assert not PERSONAL & {field for row in rows for field in row._fields}, name


@pytest.mark.parametrize("role", LOGINS)
def test_what_they_may_not_call_is_refused(house: House, role: str) -> None:
    with house.session(SUPERUSER) as session:
        others = [call for name, call in callable_by(session, SUPERUSER) if name not in READERS]
    assert len(others) > 30
    with house.session(role) as session:
        for call in others:
            assert is_refused(session, call), call


@pytest.mark.parametrize("role", [*LOGINS, GROUP])
def test_they_may_write_nothing_anywhere(house: House, role: str) -> None:
    with house.session(SUPERUSER) as session:
        relations = session.execute(
            "SELECT oid, oid::regclass::text AS name, relkind FROM pg_class"
            " WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_temp'"
            " OR nspname ~ '^pg_toast')"
        ).fetchall()
        assert len(relations) > 200  # those of the system included
        allowed = [
            (row.name, privilege)
            for row in relations
            for privilege in (["USAGE", "UPDATE"] if row.relkind == "S" else WRITES)
            if row.relkind in "rpvmfS"
            and value(
                session,
                f"SELECT has_{'sequence' if row.relkind == 'S' else 'table'}_privilege("
                "%s, %s::oid, %s)",
                role,
                row.oid,
                privilege,
            )
        ]
        # PostgreSQL lets everybody change these, with rules of its own about the effect.
        assert allowed == [("pg_settings", "UPDATE")]
        by_column = session.execute(
            "SELECT attrelid::regclass, attname FROM pg_attribute CROSS JOIN LATERAL"
            " aclexplode(attacl) WHERE privilege_type <> 'SELECT'"
            " AND (grantee = 0 OR pg_has_role(%s, grantee, 'USAGE'))",
            [role],
        ).fetchall()
        assert by_column == []
        schemas = session.execute(
            "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(%s, oid, 'CREATE')", [role]
        ).fetchall()
        assert schemas == []
        database = house.database.name
        assert not value(session, "SELECT has_database_privilege(%s, %s, 'CREATE')", role, database)


@pytest.mark.parametrize("role", LOGINS)
def test_they_are_denied_when_they_try(house: House, role: str) -> None:
    with house.session(role) as session:
        for statement in (
            "UPDATE alert_rules SET enabled = false",
            f"DELETE FROM {OURS[2]}.last_invariant_check",
            "INSERT INTO reservation_cleanup_runs (scheduler) VALUES ('me')",
            "UPDATE ticketing_settings SET business_time_zone = 'UTC'",
            f"TRUNCATE {OURS[2]}.reservation_minutes",
            f"UPDATE {OURS[2]}.metric_watermarks SET watermark = '0'",
            "SELECT * FROM shows FOR UPDATE",
            "LOCK TABLE show_seats IN SHARE MODE",
            "DROP VIEW alerts",
            "CREATE TABLE mine (id integer)",
            "COMMENT ON VIEW alerts IS ''",
        ):
            assert is_refused(session, statement), statement


@pytest.mark.parametrize("role", [*LOGINS, GROUP])
def test_they_are_members_of_nothing_but_their_group(house: House, role: str) -> None:
    with house.session(SUPERUSER) as session:
        memberships = session.execute(
            "SELECT rolname FROM pg_roles WHERE rolname <> %s AND pg_has_role(%s, oid, 'MEMBER')",
            [role, role],
        ).fetchall()
        assert memberships == ([] if role == GROUP else [(GROUP,)])
        attributes = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        found = session.execute(
            f"SELECT {attributes} FROM pg_roles WHERE rolname = %s".encode(), [role]
        ).fetchall()
        assert found == [(False,) * 5]


# How they come in


@pytest.mark.parametrize("role", LOGINS)
def test_a_login_has_a_time_limit_of_its_own(house: House, role: str) -> None:
    with house.session(role) as session:
        limit = session.execute(
            "SELECT setting, unit, source FROM pg_settings WHERE name = 'statement_timeout'"
        ).fetchall()
        assert limit == [("4000", "ms", "user")]


def test_a_statement_that_takes_longer_is_cut_off(house: House) -> None:
    with house.session(NAMES.dashboard_role) as session:
        begin = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            session.execute("SELECT count(*) FROM generate_series(1, 1000000000000)")
        assert 3.9 < time.monotonic() - begin < 30
        assert value(session, "SELECT count(*) > 0 FROM alerts")  # and the session goes on


def test_the_group_cannot_log_in(house: House) -> None:
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(house.database.dsn_as(GROUP))


# Everybody else


@pytest.fixture
def stranger(house: House) -> Iterator[str]:
    """A login that is not of ticketdb, let into the schemas as far as a DBA might."""
    name = f"stranger_{uuid.uuid4().hex}"
    schemas = [sql.Identifier(schema) for schema in SCHEMAS]
    with house.session(SUPERUSER) as session:
        session.execute(f"CREATE ROLE {name} LOGIN")
        for schema in schemas:
            session.execute(
                sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, sql.Identifier(name))
            )
        yield name
        session.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_stranger_reads_no_view_no_table_and_calls_no_function(
    house: House, stranger: str
) -> None:
    with house.session(stranger) as session:
        granted = readable(session, stranger)
        assert len(granted) > 40
        for relation, columns in granted.items():
            assert columns == []
            assert is_refused(session, f"SELECT * FROM {relation}"), relation
            assert is_refused(session, f"SELECT count(*) FROM {relation}"), relation
        assert {name for name, _ in callable_by(session, stranger)} == FOR_ANYBODY
        assert given_away(house, everything(session, stranger)) == set()


def test_who_is_let_into_a_view_gets_no_further_than_its_functions(
    house: House, stranger: str
) -> None:
    """A view alone can be granted by mistake, and then its numbers are still not to be had."""
    with house.session(SUPERUSER) as owner, house.session(stranger) as session:
        owner.execute(f"GRANT SELECT ON alerts TO {stranger}")
        assert is_refused(session, "SELECT * FROM alerts")
