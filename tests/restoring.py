"""Dumping a database and restoring it elsewhere, with the programs of PostgreSQL."""

import subprocess
from pathlib import Path

from tests.conftest import Database
from ticketdb.cluster import Cluster


def run(cluster: Cluster, program: str, *arguments: str | Path, text: str = "") -> str:
    """Run a client of this server's and return what it printed."""
    done = subprocess.run(
        [cluster.binaries.bindir / program, *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def copy_roles(original: Cluster, target: Cluster) -> None:
    """They belong to the server and are not in the dump of a database."""
    roles = run(target, "pg_dumpall", "--roles-only", f"--dbname={original.dsn()}")
    run(target, "psql", "-X", "-q", target.dsn(), text=roles)  # `postgres` is there already


def copy(original: Database, target: Database, custom: bool = True, *options: str) -> None:
    """Dump and restore with the programs of the new server, as PostgreSQL's manual advises."""
    if custom:
        file = target.cluster.directory / f"{target.name}.dump"
        run(target.cluster, "pg_dump", "-Fc", *options, f"--file={file}", original.dsn)
        run(target.cluster, "pg_restore", "--exit-on-error", f"--dbname={target.dsn}", file)
    else:
        dumped = run(target.cluster, "pg_dump", *options, original.dsn)
        run(target.cluster, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", target.dsn, text=dumped)
