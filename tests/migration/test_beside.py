"""One installation a database, unless two are wanted; and one that is there is never overlooked."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import psycopg
import pytest

from tests.support.databases import Connect, Database
from tests.support.names import BESIDE, SECOND
from tests.support.program import Program, run_script
from ticketdb.config import SCHEMAS, Variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.commands import apply, revert
from ticketdb.migrate.script import script
from ticketdb.paths import shipped_tree

CHAIN = read_chain(shipped_tree())
HEAD, MIDDLE = CHAIN[-1].revision, CHAIN[2].revision

FIRST = Variables()  # what is in `database`


def write_configuration(folder: Path, variables: Variables) -> None:
    lines = (f"{k} = {json.dumps(v)}\n" for k, v in asdict(variables).items())
    (folder / "ticketdb.toml").write_text("[variables]\n" + "".join(lines))


def schemas(database: Database) -> set[str]:
    with psycopg.connect(database.dsn) as connection:
        found = connection.execute("SELECT nspname FROM pg_namespace WHERE oid >= 16384")
        return {name for (name,) in found}


@pytest.fixture
def elsewhere(database: Database, tmp_path: Path) -> Database:
    """A database with an installation that is not the one of the configuration."""
    write_configuration(tmp_path, SECOND)
    return database


@pytest.mark.parametrize("option", [[], ["--dry-run"]], ids=["apply", "dry run"])
def test_a_second_installation_by_mistake_is_refused_and_the_first_one_named(
    option: list[str], elsewhere: Database, ticketdb: Program
) -> None:
    before = schemas(elsewhere)
    done = ticketdb("apply", *option, "--dsn", elsewhere.dsn)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error [E_BESIDE]: database {elsewhere.name!r} has ticketdb, with internal_schema ="
        " 'ticketdb', and not 'shop_b_inner' - set its schemas in ticketdb.toml; or, to install a"
        " second one on purpose, add --beside and give its jobs other names\n"
    )
    assert schemas(elsewhere) == before


def test_a_second_one_on_purpose_has_to_have_jobs_of_its_own(
    elsewhere: Database, ticketdb: Program, tmp_path: Path
) -> None:
    before = schemas(elsewhere)
    same = ticketdb("apply", "--beside", "--dsn", elsewhere.dsn)
    assert same.returncode == 2
    assert "with the same cleanup_job, rollup_job, invariants_job, partition_job" in same.stderr
    assert "set other names for them under [variables] in ticketdb.toml" in same.stderr
    assert schemas(elsewhere) == before
    write_configuration(tmp_path, replace(BESIDE, purge_job=FIRST.purge_job))
    one = ticketdb("apply", "--beside", "--dsn", elsewhere.dsn)
    assert "with the same purge_job - set" in one.stderr


def test_two_on_purpose_live_side_by_side(
    elsewhere: Database, ticketdb: Program, tmp_path: Path
) -> None:
    write_configuration(tmp_path, BESIDE)
    assert ticketdb("apply", "--beside", "--dsn", elsewhere.dsn).returncode == 0
    # Once it is there, it is one that is there.
    again = ticketdb("apply", "--dsn", elsewhere.dsn)
    assert (again.returncode, again.stdout.splitlines()[0]) == (
        0,
        f"nothing to do; the database is at {HEAD}",
    )
    for command in ("verify", "status", "plan"):
        assert ticketdb(command, "--dsn", elsewhere.dsn).returncode == 0, command
    revert(elsewhere.dsn, BESIDE, MIDDLE, allow_data_loss=True)
    assert apply(elsewhere.dsn, FIRST).applied == ()


def test_a_script_is_refused_too_where_another_installation_is(database: Database) -> None:
    status, printed = run_script(database, script(SECOND))
    assert (status, "this database has ticketdb, with internal_schema = 'ticketdb'" in printed) == (
        3,
        True,
    )
    assert "HINT:  name its schemas in ticketdb.toml; or make a script with --beside" in printed
    assert schemas(database) == {"monitoring", "ticketdb"}
    assert run_script(database, script(BESIDE, beside=True)) == (0, "")
    assert schemas(database) == {
        "monitoring",
        "ticketdb",
        *(getattr(SECOND, name) for name in SCHEMAS),
    }


@pytest.mark.usefixtures("template_database")
def test_what_a_stranger_calls_alike_is_no_installation(
    empty_database: Database, connect: Connect
) -> None:
    session = connect(empty_database)
    session.execute("CREATE SCHEMA zoo; CREATE TABLE zoo.ticketdb_migrations (animal text)")
    session.execute("CREATE TABLE zoo.shows (source_sha256 text)")
    assert apply(empty_database.dsn, FIRST).revision == HEAD


# What is not in the schema of the configuration is not "at base".


def test_status_verify_and_plan_say_where_it_is(elsewhere: Database, ticketdb: Program) -> None:
    where = (
        "ticketdb has nothing in schema 'shop_b_inner'; its internal_schema is 'ticketdb', to be"
    )
    status = ticketdb("status", "--dsn", elsewhere.dsn)
    assert f"revision {where} set in ticketdb.toml" in " ".join(status.stdout.split())
    verified = ticketdb("verify", "--json", "--dsn", elsewhere.dsn)
    assert verified.returncode == 1
    checks = {check["name"]: check for check in json.loads(verified.stdout)["checks"]}
    assert checks["revision"]["details"] == [f"{where} set in ticketdb.toml"]
    planned = json.loads(ticketdb("plan", "--no-measure", "--json", "--dsn", elsewhere.dsn).stdout)
    assert planned["warnings"] == [f"{where} set in ticketdb.toml: apply needs --beside"]


def test_where_there_is_none_at_all_the_schema_that_is_missing_is_named(
    empty_database: Database, ticketdb: Program, tmp_path: Path
) -> None:
    write_configuration(tmp_path, SECOND)
    verified = ticketdb("verify", "--dsn", empty_database.dsn)
    assert "ticketdb is not here: there is no schema 'shop_b'\n" in verified.stdout
    # The control: where the schema is there, and nothing in it, base is base.
    (tmp_path / "ticketdb.toml").unlink()
    verified = ticketdb("verify", "--dsn", empty_database.dsn)
    assert f"the database is at base, the package at {HEAD}\n" in verified.stdout


# Up is up, and down is down.


@pytest.mark.parametrize("command", [["apply"], ["apply", "--dry-run"], ["plan", "--no-measure"]])
def test_what_lies_behind_is_not_nothing_to_do(
    command: list[str], database: Database, ticketdb: Program
) -> None:
    done = ticketdb(*command, "--to", MIDDLE, "--dsn", database.dsn)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error [E_BEYOND]: the database is at {HEAD}, beyond {MIDDLE}"
        f" - to go back: `ticketdb revert --to {MIDDLE}`\n"
    )


def test_a_revert_to_what_lies_ahead_is_not_nothing_to_do(
    database: Database, ticketdb: Program
) -> None:
    revert(database.dsn, FIRST, MIDDLE, allow_data_loss=True)
    done = ticketdb("revert", "--to", HEAD, "--dsn", database.dsn)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error [E_BEYOND]: the database is at {MIDDLE}, which comes before {HEAD}"
        f" - to go on: `ticketdb apply --to {HEAD}`\n"
    )
    assert revert(database.dsn, FIRST, MIDDLE) == []


# pg_cron's jobs.


def job_commands(connection: psycopg.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT jobname, command FROM cron.job").fetchall())


@pytest.mark.usefixtures("template_database")
def test_a_job_of_another_installation_is_never_taken(
    cron_database: Database, connect: Connect
) -> None:
    """Not even by one that got its names past the first question."""
    session = connect(cron_database)
    apply(cron_database.dsn, FIRST)
    jobs = job_commands(session)
    assert FIRST.cleanup_job in jobs
    session.execute("ALTER TABLE ticketdb.ticketdb_migrations RENAME TO somewhere_else")
    with pytest.raises(TicketdbError) as caught:
        apply(cron_database.dsn, SECOND)
    assert caught.value.code == "E_OBJECT_EXISTS"
    assert f'job "{FIRST.cleanup_job}" is already used for: CALL public.' in caught.value.message
    assert "Choose another job name in ticketdb.toml." in caught.value.message
    assert job_commands(session) == jobs
    session.execute("DROP SCHEMA shop_b, shop_b_monitoring, shop_b_inner CASCADE")
    session.execute("ALTER TABLE ticketdb.somewhere_else RENAME TO ticketdb_migrations")
    apply(cron_database.dsn, BESIDE, beside=True)
    both = job_commands(session)
    assert both.items() >= jobs.items()
    assert len(both) == 2 * len(jobs)


@pytest.mark.usefixtures("template_database")
def test_a_job_of_ours_with_other_arguments_is_ours(
    cron_database: Database, connect: Connect
) -> None:
    """The control: what an older release has scheduled is brought up to date."""
    apply(cron_database.dsn, FIRST)
    session = connect(cron_database)
    jobs = job_commands(session)
    session.execute(
        "UPDATE cron.job SET command = 'CALL public.run_reservation_cleanup()' WHERE jobname = %s",
        [FIRST.cleanup_job],
    )
    apply(cron_database.dsn, FIRST)
    assert job_commands(session) == jobs
