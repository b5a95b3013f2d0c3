"""The private PostgreSQL: it serves, and nothing of it stays behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.support.databases import Connect, Database, empty
from tests.support.processes import is_running
from ticketdb import SUPPORTED_MAJORS
from ticketdb.errors import TicketdbError
from ticketdb.private_server import (
    BINDIR_VARIABLE,
    Cluster,
    ServerBinaries,
    find_server_binaries,
    private_cluster,
)

# Runs a cluster in a process of its own, says where it is, and waits to be ended.
# There is nothing of ticketdb in these clusters.
pytestmark = pytest.mark.default_names

CHILD = textwrap.dedent("""
    import sys, time
    from ticketdb.private_server import private_cluster
    with private_cluster() as cluster:
        print(cluster.directory, cluster.pid, flush=True)
        {body}
""")
WAIT = "sys.stdin.read()"
ENSURE_POSTGRES = Path(__file__).parents[2] / "scripts" / "ensure-postgres"


@dataclass(frozen=True)
class Child:
    """A process with a cluster, by way of CHILD."""

    process: subprocess.Popen[str]
    directory: Path
    server_pid: int


@contextmanager
def child(binaries: ServerBinaries, body: str = WAIT) -> Iterator[Child]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(body=body)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, BINDIR_VARIABLE: str(binaries.bindir)},
    )
    with process:
        assert process.stdout is not None
        directory, server_pid = process.stdout.readline().split()
        try:
            yield Child(process, Path(directory), int(server_pid))
        finally:
            process.kill()


def await_true(condition: Callable[[], bool], seconds: float = 15) -> bool:
    """Processes that are not our children send no event when they end: look until they have."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def keeper_of(directory: Path) -> int:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"ticketdb-keeper" in arguments and os.fsencode(directory) in arguments:
            return int(entry.parent.name)
    raise AssertionError(f"no keeper of {directory}")


def fake_server(folder: Path, version: str) -> Path:
    """A folder of programs that claims to be of some version."""
    folder.mkdir(parents=True)
    for program in ("initdb", "pg_ctl", "postgres"):
        (folder / program).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
        (folder / program).chmod(0o755)
    return folder


def test_a_private_cluster_serves_queries_on_a_unix_socket_only(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn()) as connection:
        row = connection.execute(
            "SELECT current_setting('listen_addresses'), inet_server_addr(), 6 * 7"
        ).fetchone()
    assert row == ("", None, 42)


def test_only_the_servers_user_may_look_into_the_folder(cluster: Cluster) -> None:
    assert cluster.directory.stat().st_mode & 0o777 == 0o700
    assert cluster.directory.stat().st_uid == cluster.data_directory.stat().st_uid


def test_the_server_never_runs_as_root(cluster: Cluster) -> None:
    uid = Path(f"/proc/{cluster.pid}").stat().st_uid
    assert uid != 0
    assert os.geteuid() in (0, uid)


def test_a_libpq_variable_of_the_caller_does_not_bend_the_server(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c nonsense=1")
    with private_cluster(cluster.binaries) as other:
        monkeypatch.undo()
        with psycopg.connect(other.dsn()) as connection:
            assert connection.execute("SELECT current_setting('port')").fetchone() == ("5432",)


def test_settings_of_the_caller_win_and_are_quoted(cluster: Cluster) -> None:
    wanted = {"max_connections": "37", "cluster_name": "it's a \\ test"}
    with (
        private_cluster(cluster.binaries, settings=wanted) as other,
        psycopg.connect(other.dsn()) as connection,
    ):
        row = connection.execute(
            "SELECT current_setting('max_connections'), current_setting('cluster_name')"
        ).fetchone()
    assert row == ("37", "it's a \\ test")


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_only_a_durable_cluster_waits_for_the_disk(
    cluster: Cluster, durable: bool, fsync: str
) -> None:
    with (
        private_cluster(cluster.binaries, durable=durable) as other,
        psycopg.connect(other.dsn()) as connection,
    ):
        row = connection.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        ).fetchone()
    assert row == (fsync, fsync)


def test_a_stopped_server_refuses_and_a_restarted_one_has_its_data(cluster: Cluster) -> None:
    with private_cluster(cluster.binaries) as other:
        other.create_database("kept")
        first_pid = other.pid
        other.stop()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(other.dsn())
        other.restart()
        assert other.pid != first_pid
        psycopg.connect(other.dsn("kept")).close()


def test_stopping_a_stopped_server_is_an_error_that_names_the_folder(cluster: Cluster) -> None:
    with private_cluster(cluster.binaries) as other:
        other.stop()
        with pytest.raises(TicketdbError, match=f"{other.directory} failed to stop") as e:
            other.stop()
    assert (e.value.code, e.value.exit_status) == ("E_SERVER_CONTROL", 3)


def test_a_database_is_copied_from_its_template(cluster: Cluster) -> None:
    with private_cluster(cluster.binaries) as other:
        other.create_database("original")
        with psycopg.connect(other.dsn("original")) as connection:
            connection.execute("CREATE TABLE copied ()")
        other.create_database("copy", template="original")
        with psycopg.connect(other.dsn("copy")) as connection:
            assert connection.execute("SELECT count(*) FROM copied").fetchone() == (0,)


def test_nothing_is_left_after_the_block(cluster: Cluster) -> None:
    with private_cluster(cluster.binaries) as other:
        pid, keeper = other.pid, keeper_of(other.directory)
        assert is_running(pid)  # the control: these checks see what is there
        assert other.directory.exists()
    assert not is_running(pid)
    assert not is_running(keeper)
    assert not other.directory.exists()


def test_nothing_is_left_after_an_exception(cluster: Cluster) -> None:
    seen: list[Cluster] = []
    pids: list[int] = []

    def use() -> None:
        with private_cluster(cluster.binaries) as other:
            seen.append(other)
            pids.append(other.pid)
            raise RuntimeError("of the caller")

    with pytest.raises(RuntimeError, match="of the caller"):
        use()
    assert not is_running(pids[0])
    assert not seen[0].directory.exists()


def test_nothing_is_left_when_the_server_was_stopped_by_hand(cluster: Cluster) -> None:
    with private_cluster(cluster.binaries) as other:
        other.stop("immediate")
    assert not other.directory.exists()


def test_nothing_is_left_when_somebody_kills_the_keeper(cluster: Cluster) -> None:
    with private_cluster(cluster.binaries) as other:
        pid = other.pid
        os.kill(keeper_of(other.directory), signal.SIGKILL)
    assert not is_running(pid)
    assert not other.directory.exists()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)]
)
def test_nothing_is_left_when_the_process_is_signalled_to_end(
    cluster: Cluster, number: signal.Signals, status: int
) -> None:
    with child(cluster.binaries) as running:
        assert is_running(running.server_pid)
        running.process.send_signal(number)
        assert running.process.wait(timeout=30) == status
        # At once: the process has waited for its server's end.
        assert not is_running(running.server_pid)
        assert not running.directory.exists()


def test_a_second_ctrl_c_during_the_clean_up_leaves_nothing_either(cluster: Cluster) -> None:
    with child(cluster.binaries) as running:
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGINT)
        running.process.wait(timeout=30)
        assert await_true(lambda: not is_running(running.server_pid))
        assert await_true(lambda: not running.directory.exists())


def test_nothing_is_left_when_the_process_is_killed_outright(cluster: Cluster) -> None:
    with child(cluster.binaries) as running:
        assert is_running(running.server_pid)
        running.process.kill()
        running.process.wait(timeout=30)
        assert await_true(lambda: not is_running(running.server_pid))
        assert await_true(lambda: not running.directory.exists())


def test_a_forked_child_of_the_process_does_not_hold_up_the_end(cluster: Cluster) -> None:
    # The child has inherited the pipe to the keeper, and keeps it open.
    body = (
        "import os; pid = os.fork(); pid or (time.sleep(60), os._exit(0)); print(pid, flush=True)"
    )
    with child(cluster.binaries, body) as running:
        assert running.process.stdout is not None
        forked = int(running.process.stdout.readline())
        try:
            assert running.process.wait(timeout=30) == 0
            assert is_running(forked)
            assert not is_running(running.server_pid)
            assert not running.directory.exists()
        finally:
            os.kill(forked, signal.SIGKILL)


def test_the_callers_sigterm_handler_is_left_alone(cluster: Cluster) -> None:
    def handler(_number: int, _frame: object) -> None: ...

    previous = signal.signal(signal.SIGTERM, handler)
    try:
        with private_cluster(cluster.binaries):
            assert signal.getsignal(signal.SIGTERM) is handler
        assert signal.getsignal(signal.SIGTERM) is handler
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with private_cluster(cluster.binaries):
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_a_server_that_cannot_start_quotes_its_log_and_leaves_nothing(
    cluster: Cluster,
) -> None:
    settings = {"shared_preload_libraries": "no_such_library"}
    message = rf"the private PostgreSQL {cluster.binaries.version} in (\S+) did not start: .*"
    with (
        pytest.raises(TicketdbError, match=message) as caught,
        private_cluster(cluster.binaries, settings=settings),
    ):
        pass
    assert (caught.value.code, caught.value.exit_status) == ("E_SERVER_START", 3)
    assert 'could not access file "no_such_library"' in caught.value.message
    folder = re.search(message, caught.value.message)
    assert folder is not None
    assert not Path(folder[1]).exists()


def test_a_deep_temporary_folder_is_avoided(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with private_cluster(cluster.binaries) as other:
        assert deep not in other.directory.parents
        psycopg.connect(other.dsn()).close()


def test_a_folder_without_a_server_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(TicketdbError) as error:
        find_server_binaries(tmp_path / "missing")
    assert (error.value.code, error.value.exit_status) == ("E_NO_SERVER", 3)
    assert f"{tmp_path}/missing: no initdb there" in str(error.value)
    assert BINDIR_VARIABLE in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("version", ["14.19", "19beta1"])
def test_an_unsupported_major_version_is_refused(tmp_path: Path, version: str) -> None:
    folder = fake_server(tmp_path / "bin", version)
    with pytest.raises(TicketdbError, match=f"{folder}: has {version}"):
        find_server_binaries(folder)


def test_another_major_version_than_the_wanted_one_is_refused(tmp_path: Path) -> None:
    folder = fake_server(tmp_path / "bin", "16.4 (Debian 16.4-1)")
    found = find_server_binaries(folder)
    assert (found.version, found.major) == ("16.4", 16)
    assert find_server_binaries(folder, major=16) == found
    with pytest.raises(TicketdbError, match=r"PostgreSQL 17 found .*has 16\.4"):
        find_server_binaries(folder, major=17)


def test_a_program_that_is_no_postgresql_is_refused(tmp_path: Path) -> None:
    folder = fake_server(tmp_path / "bin", "17.2")
    (folder / "postgres").write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(TicketdbError, match="prints 'hello'"):
        find_server_binaries(folder)


def test_the_variable_names_the_folder_and_the_argument_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_variable = fake_server(tmp_path / "a", "16.1")
    by_argument = fake_server(tmp_path / "b", "17.1")
    monkeypatch.setenv(BINDIR_VARIABLE, str(by_variable))
    assert find_server_binaries().bindir == by_variable
    assert find_server_binaries(by_argument).bindir == by_argument


def test_the_newest_supported_server_of_the_distribution_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("9", "15", "16", "19"):
        fake_server(tmp_path / version / "bin", f"{version}.1")
    monkeypatch.delenv(BINDIR_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(client_only(tmp_path)))
    monkeypatch.setattr("ticketdb.private_server.DISTRIBUTION_BINDIRS", (f"{tmp_path}/*/bin",))
    assert find_server_binaries().version == "16.1"
    assert find_server_binaries(major=15).version == "15.1"


def test_pg_config_on_the_path_comes_before_the_distributions_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_path = fake_server(tmp_path / "own", "15.2")
    fake_server(tmp_path / "17" / "bin", "17.1")
    (by_path / "pg_config").write_text(f"#!/bin/sh\necho {by_path}\n")
    (by_path / "pg_config").chmod(0o755)
    monkeypatch.delenv(BINDIR_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", f"{by_path}:{os.environ['PATH']}")
    monkeypatch.setattr("ticketdb.private_server.DISTRIBUTION_BINDIRS", (f"{tmp_path}/*/bin",))
    assert find_server_binaries().bindir == by_path


def test_what_the_machine_has_comes_before_what_was_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_server(tmp_path / "machine" / "15" / "bin", "15.1")
    for version in ("15", "18"):
        fake_server(tmp_path / "fetched" / version / "bin", f"{version}.9")
    monkeypatch.delenv(BINDIR_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(client_only(tmp_path)))
    places = (f"{tmp_path}/machine/*/bin", f"{tmp_path}/fetched/*/bin")
    monkeypatch.setattr("ticketdb.private_server.DISTRIBUTION_BINDIRS", places)
    assert find_server_binaries().version == "15.1"
    assert find_server_binaries(major=15).version == "15.1"
    assert find_server_binaries(major=18).version == "18.9"


def ensure_postgres(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the script that gets servers, where there is nothing to get."""
    done = subprocess.run(
        [ENSURE_POSTGRES, *arguments, sys.executable],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_nothing_is_said_or_done_where_all_servers_are_there(cluster: Cluster) -> None:
    majors = f"{cluster.binaries.major} {cluster.binaries.major}"
    assert ensure_postgres("--majors", majors) == (0, "", "")


def test_a_folder_of_programs_that_somebody_names_is_not_added_to(cluster: Cluster) -> None:
    here = cluster.binaries
    other = next(major for major in SUPPORTED_MAJORS if major != here.major)
    named = {BINDIR_VARIABLE: str(here.bindir)}
    assert ensure_postgres("--majors", str(here.major), **named) == (0, "", "")
    status, _, printed = ensure_postgres("--majors", f"{here.major} {other}", **named)
    assert status == 3
    assert printed.startswith(
        f"error [E_NO_SERVER]: no server programs of PostgreSQL {other} found"
        f" ({here.bindir}: has {here.version})"
    )


def test_an_option_that_there_is_not_is_refused() -> None:
    assert ensure_postgres("--minors", "3") == (2, "", "ensure-postgres: unknown option --minors\n")


def client_only(tmp_path: Path) -> Path:
    """A folder with a pg_config that fails, as Debian's does without a server's headers."""
    folder = tmp_path / "client"
    folder.mkdir()
    shutil.copy("/bin/false", folder / "pg_config")
    for program in ("sh", "echo"):
        (folder / program).symlink_to(f"/bin/{program}")
    return folder


def test_pg_crons_database_is_emptied_for_the_next_test_and_its_launcher_lives_on(
    cron_database: Database, connect: Connect
) -> None:
    connection = connect(cron_database)
    connection.execute("CREATE EXTENSION pg_cron")
    connection.execute("CREATE SCHEMA somewhere CREATE TABLE runs (at timestamptz)")
    empty(cron_database)

    connection = connect(cron_database)
    schemas = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'"
    ).fetchall()
    assert schemas == [("public",)]
    extensions = connection.execute("SELECT extname FROM pg_extension").fetchall()
    assert extensions == [("plpgsql",)]

    def launcher_lives() -> bool:
        """It starts anew a second after a start without its database, which is not for ever."""
        return (
            connection.execute(
                "SELECT FROM pg_stat_activity WHERE backend_type = 'pg_cron launcher'"
            ).rowcount
            == 1
        )

    assert await_true(launcher_lives)
