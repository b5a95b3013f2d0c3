"""Dumping a database and restoring it elsewhere, with the programs of PostgreSQL."""

import re
import subprocess
from pathlib import Path

from tests.support.databases import Database
from ticketdb.private_server import Cluster

# A note that 15.20 keeps among a column's options. Its dumps set it, which other versions refuse.
NOTES = re.compile(r"^ALTER [^;]* SET \(pg_attver=\d+\);\n", re.MULTILINE)


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
    """Dump and restore with the programs of the new server, as PostgreSQL's manual advises.

    What another version would refuse in the text is left out there.
    """
    psql = ("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", target.dsn)
    versions = {database.cluster.binaries.version for database in (original, target)}
    if custom:
        file = target.cluster.directory / f"{target.name}.dump"
        run(target.cluster, "pg_dump", "-Fc", *options, f"--file={file}", original.dsn)
        if len(versions) > 1:
            text = run(target.cluster, "pg_restore", "--file=-", file)
            run(target.cluster, *psql, text=NOTES.sub("", text))
        else:
            run(target.cluster, "pg_restore", "--exit-on-error", f"--dbname={target.dsn}", file)
    else:
        dumped = run(target.cluster, "pg_dump", *options, original.dsn)
        run(target.cluster, *psql, text=NOTES.sub("", dumped) if len(versions) > 1 else dumped)
