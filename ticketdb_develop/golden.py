"""The golden files: what ``sql/`` and the chain must both come to, on every major version.

``ticketdb/catalog.jsonl`` is the fingerprint that `ticketdb verify` compares with, and
``tests/golden/schema.sql`` the same database as pg_dump tells it, for people to read in a diff.

    python -m ticketdb_develop.golden            writes both
    python -m ticketdb_develop.golden --check    proves the triangle, and writes nothing
"""

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import psycopg

from ticketdb import SUPPORTED_MAJORS
from ticketdb.catalog import (
    PLACEHOLDERS,
    SHIPPED,
    Catalog,
    differences,
    read_catalog,
    shipped_catalog,
)
from ticketdb.cluster import Cluster, find_server_binaries, private_cluster
from ticketdb.config import Variables
from ticketdb.database import connect
from ticketdb.errors import TicketdbError
from ticketdb.migrate import apply
from ticketdb.resources import PACKAGE, shipped_tree
from ticketdb_develop import build_from_sources

ROOT = PACKAGE.parent
SCHEMA = ROOT / "tests" / "golden" / "schema.sql"
DUMPED_BY = SUPPORTED_MAJORS[0]  # later ones can load what it writes
REMEDY = "if sql/ is right, freeze it with `ticketdb revision -m …` and run `make golden`"
# Nothing is called as it is by default, and nothing is a plain word.
OTHER_NAMES = Variables(
    schema="box office",
    monitoring_schema='"gauges"',
    app_role="shop's",
    monitor_role="select",
    dashboard_role="Wall Board",
    datadog_role="hound",
    cleanup_job="it's; a \\ job",
)
# What differs from one run of pg_dump to the next: versions, and a token against injection.
FLEETING = re.compile(r"^(?:-- Dumped .*|\\(?:un)?restrict .*)\n", re.MULTILINE)


def catalog_of(dsn: str, variables: Variables) -> Catalog:
    """The fingerprint of a database."""
    with connect(dsn) as connection:
        connection.execute("SET search_path = pg_catalog, pg_temp")
        return read_catalog(connection, variables)


def database(cluster: Cluster, name: str) -> str:
    cluster.create_database(name)
    return cluster.dsn(name)


def dump(cluster: Cluster, dsn: str) -> str:
    """A database as SQL, without the partitions of months, which come and go."""
    command: list[str | Path] = [cluster.binaries.bindir / "pg_dump", "--schema-only", "--no-owner"]
    command += ["--exclude-table=*_p[0-9][0-9][0-9][0-9]_[0-9][0-9]", f"--dbname={dsn}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return FLEETING.sub("", done.stdout)


def load(cluster: Cluster, dsn: str, file: Path) -> None:
    command: list[str | Path] = [cluster.binaries.bindir / "psql", "-X", "-q", "-d", dsn]
    subprocess.run([*command, "-v", "ON_ERROR_STOP=1", "-f", file], check=True, capture_output=True)
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT public.maintain_partitions()")


def write() -> None:
    """Write both files. Raises E_NO_SERVER where a major version is not there."""
    found: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for major in SUPPORTED_MAJORS:
        with private_cluster(find_server_binaries(major=major)) as cluster:
            dsn = database(cluster, "placeholders")
            apply(dsn, PLACEHOLDERS)
            for (kind, identity), definition in catalog_of(dsn, PLACEHOLDERS).items():
                found[kind, identity, definition].append(major)
            if major == DUMPED_BY:
                plain = database(cluster, "plain")
                apply(plain, Variables())
                SCHEMA.parent.mkdir(exist_ok=True)
                SCHEMA.write_text(dump(cluster, plain), encoding="utf-8")
    lines = (json.dumps([in_, *row], ensure_ascii=False) for row, in_ in sorted(found.items()))
    SHIPPED.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def check(major: int) -> list[str]:
    """What does not agree on this major version, a line each: nothing when the triangle closes."""
    tree, wrong = shipped_tree(), []
    with private_cluster(find_server_binaries(major=major)) as cluster:
        for number, names in enumerate((Variables(), OTHER_NAMES)):
            chain = database(cluster, f"chain_{number}")
            apply(chain, names)
            sources = database(cluster, f"sources_{number}")
            build_from_sources(sources, names, tree)
            with connect(chain, autocommit=True) as connection:
                shipped = shipped_catalog(connection, names, major)
            corners = {
                "sql/": catalog_of(sources, names),
                SHIPPED.name: shipped,
            }
            if names == Variables():
                loaded = database(cluster, "loaded")
                load(cluster, loaded, SCHEMA)
                corners[SCHEMA.name] = catalog_of(loaded, names)
                if major == DUMPED_BY and dump(cluster, chain) != SCHEMA.read_text("utf-8"):
                    wrong.append(f"{SCHEMA.name} is not what pg_dump says of the chain")
            replayed = catalog_of(chain, names)
            for corner, catalog in corners.items():
                wrong += [
                    f"{corner} against the chain, {'other' if number else 'default'} names: {line}"
                    for line in differences(replayed, catalog)
                ]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, prove that they agree")
    parser.add_argument(
        "--majors", nargs="*", type=int, default=SUPPORTED_MAJORS, help="those to prove it on"
    )
    options = parser.parse_args()
    status = 0
    try:
        if not options.check:
            write()
            print(f"wrote {SHIPPED.relative_to(ROOT)} and {SCHEMA.relative_to(ROOT)}")
        for major in options.majors:
            wrong = check(major)
            print(
                "\n".join(wrong)
                or f"PostgreSQL {major}: sql/, the chain and the golden files agree"
            )
            status = 1 if wrong else status
    except TicketdbError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    if status:
        print(f"error [E_GOLDEN]: they do not agree - {REMEDY}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
