"""Names from hell: refused in one line, or names like any other.

Each of a thousand and more names is tried as a schema, as a role and as a text. What the
configuration lets through is installed: by templates that use every form of quoting that sql/ uses,
in a transaction that is rolled back; and the worst of it all the way, with pg_cron.
"""

import itertools
import re
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pglast.parser import parse_sql
from psycopg import sql

from ticketdb.config import JOBS, ROLES, SCHEMAS, Variables, parse_variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate import commands
from ticketdb.migrate.script import script
from ticketdb.paths import shipped_tree
from ticketdb.private_server import Cluster, private_cluster
from ticketdb.templates import render
from ticketdb.verify import verify

# They choose names of their own, which must not be the roles of another test.
pytestmark = [pytest.mark.default_names, pytest.mark.xdist_group("hostile names")]

FRAGMENTS = [
    *("'", "''", '"', '""', "`", "´", "\\", "\\\\", "\\'", '\\"', "E'", "U&'", 'U&"\\0061"', "B'1"),
    *("$", "$$", "$body$", "$x$", "$1", "$$;$$", "$ö$"),
    *(";", ";;", "; DROP SCHEMA public CASCADE; --", "'; DROP ROLE postgres; --", '"; COMMIT; --'),
    *("--", "-- \n", "/*", "*/", "/* */", "*/ DROP TABLE x; /*", "#", "\\gset", "\\!", "\\."),
    *("{{", "}}", "{{ schema }}", "{% raw %}", "{%", "%}", "{#", "#}", "{{ ''.__class__ }}"),
    *("%", "%%", "%s", "%I", "%L", "%1$s", "%(x)s", "{}", "{0}", "${x}", ":x", ":'x'", "::text"),
    *("?", "@", "@@", " ", "  ", "\t", "\n", "\r", "\x00", "\x01", "\x1b[31m", "\x7f", "\x85"),
    *("\ud800", "\udfff", "\ufffd", "\uffff", "\u00a0", "\u200b", "\u2028", "\ufeff"),
    *("\u200f", "\u202e", "\u2066", "\u202eabc\u202c", "\u2066abc\u2069"),
    *("ß", "ﬀ", "İ", "ı", "é", "e\u0301", "Ω", "\U0001f3ab", "\U0010ffff", "ʼ", "＇", "＂", "；"),
    *("x" * 61, "x" * 62, "x" * 63, "x" * 64, "ä" * 31, "ä" * 32, "\U0001f3ab" * 15, "x" * 256),
    *("pg_", "pg_catalog", "PG_", "information_schema", "cron", "public", "PUBLIC", "none", "None"),
    *("select", "user", "current_user", "session_user", "all", "table", "null", "default", "grant"),
    *("postgres", "true", "0", "1e5", "-1", "a.b", "a,b", "(a)", "[1]", "a=b", "a b", ".", "/"),
]
SURROUNDINGS = ["{}", "a{}", "{}z", "a{}z", '"{}"', "'{}'", "A {0} {0}", "{0}{0}"]
NAMES_FROM_HELL = list(
    dict.fromkeys(
        around.replace("{0}", "{}").replace("{}", fragment)
        for fragment, around in itertools.product(FRAGMENTS, SURROUNDINGS)
    )
)

SCHEDULES = tuple(job.replace("_job", "_schedule") for job in JOBS)

# Files of sql/, and what they lack of the forms that others use.
FILES = [
    "foundation/monitoring.sql",
    "foundation/roles.sql",
    "foundation/is_own_work.sql",
    "foundation/revoke_default_privileges.sql",
    "jobs/scheduled_jobs.sql",
]
BEFORE = "CREATE SCHEMA {{ schema }};\nCREATE SCHEMA {{ internal_schema }};\n"
AFTER = """
CREATE TABLE {{ schema }}.things (id integer);
INSERT INTO {{ schema }}.things DEFAULT VALUES;
COMMENT ON TABLE {{ schema }}.things IS {{ schema | literal }};
COMMENT ON SCHEMA {{ schema }} IS {{ purge_schedule }};
CREATE VIEW {{ monitoring_schema }}.seen AS SELECT * FROM {{ schema }}.things;
GRANT SELECT ON TABLE {{ monitoring_schema }}.seen TO {{ monitor_role }};
CREATE FUNCTION {{ schema }}.say()
RETURNS TABLE (name text, value text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_found bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %I.seen', {{ monitoring_schema | literal }}) INTO v_found;
    ASSERT v_found = (SELECT count(*) FROM {{ monitoring_schema }}.seen);
    RETURN QUERY VALUES
    SAID;
END;
$body$;
REVOKE ALL ON FUNCTION {{ schema }}.say() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {{ schema }}.say() TO {{ app_role }};
SELECT {{ internal_schema }}.revoke_default_privileges();
"""
SAID = ",\n".join(
    f"('{f.name}', {{{{ {f.name}{' | literal' if f.name in SCHEMAS + ROLES else ''} }}}})"
    for f in fields(Variables)
    if f.name != "manage_roles"
)

LIMITS = ("statement_timeout=4s", "idle_in_transaction_session_timeout=10s")

# What the database and the server have beyond what PostgreSQL came with: kind, name, particulars.
EVERYTHING = """
    SELECT 'schema', nspname::text, obj_description(oid, 'pg_namespace')
    FROM pg_namespace WHERE oid >= 16384
    UNION ALL
    SELECT 'relation', c.relname, n.nspname || ': ' || obj_description(c.oid, 'pg_class')
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid >= 16384
    UNION ALL
    SELECT 'routine', p.proname, n.nspname
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE p.oid >= 16384
    UNION ALL
    SELECT 'role', rolname, concat_ws(' ', array_to_string(rolconfig, ' '), rolcanlogin, rolsuper)
    FROM pg_roles WHERE oid >= 16384
    UNION ALL
    SELECT 'member', m.rolname, g.rolname
    FROM pg_auth_members AS a
    JOIN pg_roles AS m ON m.oid = a.member JOIN pg_roles AS g ON g.oid = a.roleid
    WHERE m.oid >= 16384
    UNION ALL
    SELECT 'grant', COALESCE(r.rolname, 'PUBLIC'), concat_ws(' ', acl.privilege_type, on_what)
    FROM (
        SELECT 'schema ' || nspname AS on_what, nspacl AS acls, nspowner AS owner
        FROM pg_namespace WHERE oid >= 16384
        UNION ALL
        SELECT 'table ' || relname, relacl, relowner FROM pg_class WHERE oid >= 16384
        UNION ALL
        SELECT 'routine ' || proname, COALESCE(proacl, acldefault('f', proowner)), proowner
        FROM pg_proc WHERE oid >= 16384
    ) AS granted
    CROSS JOIN LATERAL aclexplode(acls) AS acl
    LEFT JOIN pg_roles AS r ON r.oid = acl.grantee
    WHERE acl.grantee <> owner
    UNION ALL
    SELECT 'setting', COALESCE(d.datname, 'any'), s.setconfig::text
    FROM pg_db_role_setting AS s LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
    UNION ALL SELECT 'database', datname, datacl::text FROM pg_database
    UNION ALL SELECT 'extension', extname, extversion FROM pg_extension
"""

Row = tuple[str, str, str | None]


def accepted(key: str, name: str) -> bool:
    """Whether the configuration lets this name through; if not, it must say why in one line."""
    try:
        variables = parse_variables({"variables": {key: name}}, "here")
    except TicketdbError as refusal:
        error = refusal
    else:
        return bool(getattr(variables, key) == name)
    assert (error.code, error.exit_status) == ("E_CONFIG", 2)
    assert str(error).startswith(f"error [E_CONFIG]: here: variables.{key}: ")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", str(error))
    return False


def is_to_be_refused(key: str, name: str) -> bool:
    """What PostgreSQL, a function body between dollar quotes, or a line of a script cannot hold."""
    is_identifier = key in SCHEMAS + ROLES
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return True
    if len(name.encode()) > (63 if is_identifier or key in JOBS else 255):
        return True
    if not is_identifier:
        return bool(re.search(r"\$([^\W\d]\w*)?\$", name))
    reserved = ("information_schema", "cron") if key in SCHEMAS else ("public", "none")
    return "$" in name or name.startswith("pg_") or name in reserved


@pytest.mark.parametrize("key", ["schema", "app_role", "purge_job", "purge_schedule"])
def test_what_cannot_be_a_name_is_refused_in_one_line_and_nothing_else_is(key: str) -> None:
    assert len(NAMES_FROM_HELL) > 1000
    verdicts = Counter(accepted(key, name) for name in NAMES_FROM_HELL)
    assert min(verdicts.values()) > 100
    wrong = [n for n in NAMES_FROM_HELL if accepted(key, n) == is_to_be_refused(key, n)]
    assert wrong == []


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Cluster]:
    """A server whose roles are this module's own, with pg_cron in its database `hell`."""
    with private_cluster(cluster.binaries, cron_database="hell") as own:
        own.create_database("hell")
        yield own


def forms(template: str) -> set[tuple[str, bool, bool]]:
    """How a template uses variables: of which kind, as a literal, within a body."""
    found = set()
    for match in re.finditer(r"{{ (\w+)( \| literal)? }}", template):
        kind = next((k[0] for k in (SCHEMAS, ROLES) if match[1] in k), "text")
        is_in_body = template.count("$body$", 0, match.start()) % 2 == 1
        found.add((kind, match[2] is not None, is_in_body))
    return found


def representative() -> str:
    folder = shipped_tree().sql
    files = "".join((folder / file).read_text(encoding="utf-8") for file in FILES)
    return BEFORE + files + AFTER.replace("SAID", SAID)


def test_what_is_installed_here_uses_every_form_that_sql_uses() -> None:
    shipped = [file.read_text(encoding="utf-8") for file in shipped_tree().sql.rglob("*.sql")]
    used = set().union(*map(forms, shipped))
    assert len(used) >= 6
    assert used <= forms(representative())


def expected(names: Variables) -> Counter[Row]:
    """What the representative template makes."""
    app, staff, monitor = names.app_role, names.box_office_role, names.monitor_role
    logins = (names.dashboard_role, names.datadog_role)
    comment = (
        "ticketdb: views for dashboards and alerts. Read-only, aggregated, free of personal data."
    )
    internal = ("is_own_work", "revoke_default_privileges", "scheduled_jobs")
    rows: list[Row] = [
        ("schema", names.schema, names.purge_schedule),
        ("schema", names.monitoring_schema, comment),
        ("schema", names.internal_schema, None),
        ("relation", "things", f"{names.schema}: {names.schema}"),
        ("relation", "seen", None),
        *(("routine", routine, names.internal_schema) for routine in internal),
        ("routine", "say", names.schema),
        *(("role", login, f"{' '.join(LIMITS)} t f") for login in logins),
        ("role", monitor, "f f"),
        ("role", app, "f f"),
        ("role", staff, "f f"),
        *(("member", login, monitor) for login in logins),
        ("grant", app, f"USAGE schema {names.schema}"),
        ("grant", staff, f"USAGE schema {names.schema}"),
        ("grant", monitor, f"USAGE schema {names.schema}"),
        ("grant", monitor, f"USAGE schema {names.monitoring_schema}"),
        ("grant", monitor, "SELECT table seen"),
        ("grant", app, "EXECUTE routine say"),
        *[("setting", "any", f"{{{','.join(LIMITS)}}}")] * 2,
    ]
    return Counter(rows)


def everything(connection: psycopg.Connection) -> Counter[Row]:
    return Counter(connection.execute(EVERYTHING.encode()).fetchall())


def called_by(command: str) -> list[str]:
    """Schema and name of the routine that one statement, CALL f() or SELECT f(), calls."""
    (parsed,) = parse_sql(command)
    statement: Any = parsed.stmt
    call = statement.funccall if hasattr(statement, "funccall") else statement.targetList[0].val
    return [part.sval for part in call.funcname]


def install(connection: psycopg.Connection, names: Variables, before: Counter[Row]) -> None:
    """In the transaction of this connection, and see that it made what it should and no more."""
    connection.execute(render(representative(), names).encode())
    after = everything(connection)
    assert after - before == expected(names), names
    assert before - after == Counter(), names
    schema = sql.Identifier(names.schema)
    said = connection.execute(sql.SQL("SELECT * FROM {}.say()").format(schema)).fetchall()
    assert dict(said) | {"manage_roles": True} == asdict(names)
    internal = sql.Identifier(names.internal_schema)
    jobs = connection.execute(sql.SQL("SELECT * FROM {}.scheduled_jobs()").format(internal))
    for job, (job_name, schedule, command, *routine) in zip(JOBS, jobs.fetchall(), strict=True):
        assert job_name == getattr(names, job)
        assert schedule == getattr(names, SCHEDULES[JOBS.index(job)])
        assert called_by(command) == routine


def test_what_is_let_through_makes_exactly_the_objects_of_exactly_these_names(
    server: Cluster,
) -> None:
    """Each name is one of the schemas, one of the roles, the name of a job, and a schedule."""
    server.create_database("purgatory")
    with closing(psycopg.connect(server.dsn("purgatory"))) as connection:
        there = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        connection.execute("DROP SCHEMA public")
        connection.commit()
        before = everything(connection)
        pools = {
            keys: [n for n in NAMES_FROM_HELL if accepted(keys[0], n) and n not in there]
            for keys in (SCHEMAS, ROLES, JOBS, SCHEDULES)
        }
        assert min(map(len, pools.values())) > 700
        for turn in range(max(-(-len(pool) // len(keys)) for keys, pool in pools.items())):
            chosen: dict[str, Any] = {
                key: pool[(turn * len(keys) + place) % len(pool)]
                for keys, pool in pools.items()
                for place, key in enumerate(keys)
            }
            install(connection, Variables(**chosen), before)
            connection.rollback()


def test_the_look_at_the_catalog_finds_what_a_careless_template_does(server: Cluster) -> None:
    """The control: a template that puts quotes around what has its own."""
    names = Variables(schema="'; DROP ROLE victim; --")
    with closing(psycopg.connect(server.dsn("hell"))) as connection:
        connection.execute("CREATE ROLE victim")
        before = everything(connection)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(names.schema)))
        careless = render("COMMENT ON SCHEMA {{ schema }} IS '{{ schema }}';", names)
        connection.execute(careless.encode())
        assert before - everything(connection) == Counter([("role", "victim", "f f")])


@pytest.mark.parametrize("template", ["{{ 'x' }}", "{{ schema.name }}", "{{ schema ~ '' }}"])
def test_what_a_template_writes_without_quoting_is_refused(template: str) -> None:
    with pytest.raises(TicketdbError, match="may not be written into SQL") as caught:
        render(template, Variables(schema='"; DROP SCHEMA public; --'))
    assert caught.value.code == "E_TEMPLATE"


# The worst of it, for whole installations: each becomes all names at once.
WORST = [
    '"; DROP SCHEMA public CASCADE; --',
    "'; DROP ROLE postgres; --",
    "\\'; COMMIT; SELECT 1 / 0; --",
    "*/ ; /* $5",
    "{{ schema }}{% raw %}{#",
    "%s %I %L %% {0}",
    ":x :'x' :\"x\" \\gset \\! \\",
    "\u202eabc\u202c \u2066\u200b",
    "\U0001f3ab ß é e\u0301 İ",
    " leading, trailing. and = 'between' ",
    "E'\\\\' U&\"\\0061\"",
    "select",
    "f(x) (",
]


def all_of(worst: str) -> Variables:
    """Every name made of this one, as long as may be; schedules remain what pg_cron can read."""
    defaults = asdict(Variables())
    keys = [*SCHEMAS, *ROLES, *JOBS]
    identifier = worst.replace("$", "")
    chosen = {}
    for number, key in enumerate(keys):
        name = worst if key in JOBS else identifier
        filled = (name * 63).encode()[:62].decode(errors="ignore")
        chosen[key] = name if number == 0 else f"{filled}{number:x}"
    return Variables(**(defaults | chosen))


@pytest.mark.parametrize("worst", WORST)
def test_the_worst_of_it_is_installed_verified_and_taken_away(worst: str, server: Cluster) -> None:
    names, dsn = all_of(worst), server.dsn("hell")
    with psycopg.connect(dsn, autocommit=True) as connection:
        if server.binaries.has_pg_cron:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_cron")
        before = everything(connection)
        result = commands.apply(dsn, names)
        try:
            assert {job.job_name for job in result.jobs} == {getattr(names, job) for job in JOBS}
            assert {name for kind, name, _ in everything(connection) if kind == "role"} == {
                getattr(names, role) for role in ROLES
            }
            failed = [detail for check in verify(dsn, names) for detail in check.details]
            assert failed[:1] == []
        finally:
            commands.revert(dsn, names, "base", allow_data_loss=True)
        assert everything(connection) == before


@pytest.mark.parametrize("worst", [worst for worst in WORST if "\\" in str(worst)])
def test_psql_makes_the_same_of_it(worst: str, server: Cluster, tmp_path: Path) -> None:
    """psql has variables, and commands that begin with a backslash, of its own."""
    names, dsn = all_of(worst), server.dsn("hell")
    file = tmp_path / "script.sql"
    file.write_text(script(names), encoding="utf-8")
    psql = (server.binaries.bindir / "psql", "-X", "-q", "-v", "x=DROP", "-f", file, "-d", dsn)
    try:
        subprocess.run(psql, check=True, capture_output=True)
        failed = [detail for check in verify(dsn, names) for detail in check.details]
        assert failed[:1] == []
    finally:
        commands.revert(dsn, names, "base", allow_data_loss=True)
