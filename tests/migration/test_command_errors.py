"""When a command cannot do its work: one line that says what, where and what next."""

import os
import re
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.program import Program
from ticketdb.config import Variables
from ticketdb.database import State, connect
from ticketdb.errors import TicketdbError
from ticketdb.migrate.history import check_server

CONNECTING = ["apply", "plan", "verify", "status", "cleanup"]


def test_a_missing_server_is_reported_with_the_place_that_was_tried(
    ticketdb: Program, tmp_path: Path
) -> None:
    for command in CONNECTING:
        done = ticketdb(command, "--dsn", f"host={tmp_path} dbname=shop")
        assert done.returncode == 3, command
        assert re.fullmatch(
            rf"error \[E_CONNECT\]: cannot connect: .*{tmp_path}.* - check --dsn.*\n", done.stderr
        )


def test_libpq_variables_and_ticketdb_dsn_are_read_in_this_order(
    ticketdb: Program, database: Database
) -> None:
    directory = str(database.cluster.directory)
    libpq = {"PGHOST": directory, "PGPORT": str(database.cluster.port), "PGUSER": "postgres"}
    by_libpq = ticketdb("status", "--json", PGDATABASE=database.name, **libpq)
    assert f'"database": "{database.name}"' in by_libpq.stdout
    by_dsn = ticketdb("status", PGDATABASE="absent", TICKETDB_DSN=database.dsn, **libpq)
    assert by_dsn.returncode == 0
    by_option = ticketdb("status", "--dsn", database.dsn, TICKETDB_DSN="dbname=absent", **libpq)
    assert by_option.returncode == 0
    assert ticketdb("status", TICKETDB_DSN="dbname=absent", **libpq).returncode == 3


@pytest.mark.xdist_group("own_cluster")
def test_a_wrong_password_is_reported_as_such_and_not_shown(
    ticketdb: Program, own_database: Database
) -> None:
    rules = own_database.cluster.data_directory / "pg_hba.conf"
    with psycopg.connect(own_database.dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE clerk LOGIN PASSWORD 'right'")
        rules.write_text("local all clerk scram-sha-256\n" + rules.read_text())
        connection.execute("SELECT pg_reload_conf()")
    dsn = own_database.dsn_as("clerk")
    wrong = ticketdb("apply", "--dsn", dsn, PGPASSWORD="wrong-4711")
    assert wrong.returncode == 3
    assert re.fullmatch(
        r"error \[E_CONNECT\]: .*password authentication failed.*PGPASSWORD.*\n", wrong.stderr
    )
    assert "wrong-4711" not in wrong.stderr
    missing = ticketdb("apply", "--dsn", dsn, HOME=os.devnull)
    assert missing.returncode == 3
    assert re.fullmatch(r"error \[E_CONNECT\]: .*no password.*PGPASSWORD.*\n", missing.stderr)


def test_an_absent_database_is_reported(ticketdb: Program, empty_database: Database) -> None:
    done = ticketdb("apply", "--dsn", empty_database.cluster.dsn("absent"))
    assert done.returncode == 3
    assert re.fullmatch(r'error \[E_CONNECT\]: .*"absent" does not exist.*CREATE.*\n', done.stderr)


def test_something_that_is_no_dsn_is_refused_without_repeating_it(ticketdb: Program) -> None:
    done = ticketdb("apply", "--dsn", "user=x password secret-4711")
    assert done.returncode == 2
    assert re.fullmatch(r"error \[E_CONFIG\]: the DSN is not a .*\n", done.stderr)
    assert "4711" not in done.stderr


def test_the_grants_that_a_role_needs_are_named_where_it_may_not_create(
    ticketdb: Program, empty_database: Database, connect: Connect
) -> None:
    role = f"clerk_{empty_database.name}"
    connect(empty_database).execute(f"CREATE ROLE {role} LOGIN".encode())
    try:
        done = ticketdb("apply", "--dsn", empty_database.dsn_as(role))
        assert done.returncode == 5
        grant = f"GRANT CREATE ON DATABASE {empty_database.name} TO {role};"
        grant += f" GRANT CREATE ON SCHEMA public TO {role}"
        assert re.fullmatch(rf"error \[E_PRIVILEGE\]: .*{re.escape(grant)}\n", done.stderr)
        # What it says is what helps: with that, the next obstacle is another one.
        connect(empty_database).execute(grant.encode())
        done = ticketdb("apply", "--dsn", empty_database.dsn_as(role))
        assert "may not create" not in done.stderr
    finally:
        connect(empty_database).execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


@pytest.mark.usefixtures("template_database")
def test_somebody_elses_table_is_left_alone_and_another_schema_helps(
    ticketdb: Program, empty_database: Database, connect: Connect, tmp_path: Path
) -> None:
    session = connect(empty_database)
    session.execute("CREATE TABLE tickets (number integer); INSERT INTO tickets VALUES (42)")
    done = ticketdb("apply", "--dsn", empty_database.dsn)
    assert done.returncode == 5
    assert re.fullmatch(
        r"error \[E_OBJECT_EXISTS\]: .*public\.tickets.*nothing was changed.*schema.*\n",
        done.stderr,
    )
    assert session.execute("SELECT count(*) FROM pg_class WHERE oid >= 16384").fetchone() == (1,)

    (tmp_path / "ticketdb.toml").write_text('[variables]\nschema = "ticketing"\n')
    done = ticketdb("apply", "--dsn", empty_database.dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert ticketdb("verify", "--dsn", empty_database.dsn).returncode == 0
    assert session.execute("SELECT number FROM tickets").fetchone() == (42,)


@pytest.mark.usefixtures("template_database")
def test_somebody_elses_function_is_found_by_the_revision_that_meets_it(
    ticketdb: Program, empty_database: Database, connect: Connect
) -> None:
    connect(empty_database).execute("CREATE SCHEMA monitoring")
    done = ticketdb("apply", "--dsn", empty_database.dsn)
    assert done.returncode == 5
    assert re.fullmatch(
        r"error \[E_OBJECT_EXISTS\]: 0001_.*foundation/monitoring\.sql.*already exists.*toml\n",
        done.stderr,
    )


def test_a_half_typed_configuration_is_reported_with_file_and_key(
    ticketdb: Program, tmp_path: Path
) -> None:
    (tmp_path / "ticketdb.toml").write_text('[variables]\nclean_up_job = "x"\n')
    done = ticketdb("apply")
    assert done.returncode == 2
    assert re.fullmatch(
        r"error \[E_CONFIG\]: ticketdb\.toml: variables\.clean_up_job: no such variable:"
        r" did you mean 'cleanup_job'\?\n",
        done.stderr,
    )
    (tmp_path / "other.toml").write_text('[variables]\nschema = "sho')
    for done in (
        ticketdb("verify", "--config", "other.toml"),
        ticketdb("verify", TICKETDB_CONFIG="other.toml"),
    ):
        assert done.returncode == 2
        assert re.fullmatch(r"error \[E_CONFIG\]: other\.toml: is not TOML: .*\n", done.stderr)


def test_an_unknown_revision_is_answered_with_those_there_are(
    ticketdb: Program, database: Database
) -> None:
    done = ticketdb("apply", "--to", "4711", "--dsn", database.dsn)
    assert done.returncode == 2
    assert re.fullmatch(r"error \[E_UNKNOWN_REVISION\]: .*'4711'.*base, 0001, .*\n", done.stderr)


def test_an_unknown_runbook_is_answered_with_those_there_are(ticketdb: Program) -> None:
    done = ticketdb("runbook", "docs/runbooks/x.md")
    assert done.returncode == 2
    assert re.fullmatch(r"error \[E_RUNBOOK\]: .*'x' - .*, double-booking, .*\n", done.stderr)
    listed = ticketdb("runbook")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "(double-booking.md)" in listed.stdout


def test_a_file_that_cannot_be_written_is_reported(ticketdb: Program) -> None:
    done = ticketdb("script", "--out", "absent/install.sql")
    assert done.returncode == 2
    assert "'absent/install.sql': No such file or directory" in done.stderr


@pytest.mark.parametrize("option", [["--wait", "-1"], ["--lock-timeout", "soon"], ["--nonsense"]])
def test_wrong_usage_is_exit_status_2(ticketdb: Program, option: list[str]) -> None:
    assert ticketdb("apply", *option).returncode == 2


@pytest.mark.parametrize(
    ("change", "code", "exit_status"),
    [
        ({"major": 14}, "E_SERVER_VERSION", 2),
        ({"major": 19}, "E_SERVER_VERSION", 2),
        ({"in_recovery": True}, "E_STANDBY", 3),
    ],
)
def test_a_server_that_cannot_serve_is_refused(
    database: Database, change: dict[str, Any], code: str, exit_status: int
) -> None:
    with connect(database.dsn) as connection:
        state = State.read(connection, Variables())
    check_server(state, writing=True)
    state = replace(state, **change)
    with pytest.raises(TicketdbError) as caught:
        check_server(state, writing=True)
    assert (caught.value.code, caught.value.exit_status) == (code, exit_status)


def test_the_version_is_that_of_the_package(ticketdb: Program) -> None:
    done = ticketdb("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"ticketdb {version('ticketdb')}, for PostgreSQL 15 to 18\n"


def test_every_command_has_help_with_an_example(ticketdb: Program) -> None:
    overview = ticketdb("--help").stdout
    commands = re.findall(
        r"^\W (apply|adopt|plan|script|revert|verify|status|check|cleanup|revision|demo) ",
        overview,
        re.MULTILINE,
    )
    assert len(commands) == 11
    for command in commands:
        shown = ticketdb(command, "--help", COLUMNS="200")
        assert shown.returncode == 0
        assert f"Example: ticketdb {command}" in shown.stdout
