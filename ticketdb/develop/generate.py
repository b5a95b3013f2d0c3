"""What is generated from a database: the fingerprint that is shipped, and the reference.

``ticketdb/catalog.jsonl`` is what `ticketdb verify` compares with, ``docs/reference/`` what people
read. Both come from what the chain of revisions makes, which must be what ``sql/`` makes.

    scripts/generate            writes both
    scripts/generate --check    proves that all of it agrees, and writes nothing
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import typer

from ticketdb import SUPPORTED_MAJORS
from ticketdb.catalog import (
    PLACEHOLDERS,
    SHIPPED,
    UP_TO_ARGUMENTS,
    Catalog,
    differences,
    read_catalog,
    shipped_catalog,
    source_bodies,
)
from ticketdb.config import Variables
from ticketdb.database import connect
from ticketdb.develop.build import build_from_sources
from ticketdb.develop.reference import FOLDER, read_pages
from ticketdb.errors import TicketdbError
from ticketdb.migrate.commands import apply
from ticketdb.paths import PACKAGE, shipped_tree
from ticketdb.private_server import Cluster, find_server_binaries, private_cluster

ROOT = PACKAGE.parent
REMEDY = "if sql/ is right, freeze it with `ticketdb revision -m …` and run `make generate`"
# No name is the default one, and none is a plain word.
# With what quoting has to get right. Tests of commands use them, too.
AWKWARD_NAMES = Variables(
    schema="""we"ird; 'sch%s :ema\\""",
    monitoring_schema="M O.N-ä",
    internal_schema="in'ner",
    app_role="app's",
    box_office_role="tick'et \\ desk",
    monitor_role='Mon\\"itor',
    dashboard_role="Dash Board",
    datadog_role="data-dog",
    cleanup_job="it's; a \\ job %s",
    cleanup_schedule="*/2 * * * *",
    rollup_schedule="*/2 * * * *",
)


def catalog_of(dsn: str, variables: Variables) -> Catalog:
    """The fingerprint of a database."""
    with connect(dsn) as connection:
        return read_catalog(connection, variables)


def pages_of(dsn: str, app: typer.Typer) -> dict[str, str]:
    """The reference, from a database with the names that ticketdb gives by default."""
    with connect(dsn) as connection:
        return read_pages(connection, Variables(), app)


def database(cluster: Cluster, name: str) -> str:
    cluster.create_database(name)
    return cluster.dsn(name)


def write(app: typer.Typer) -> None:
    """Write all of it. Raises E_NO_SERVER where a major version is not there."""
    found: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for major in SUPPORTED_MAJORS:
        with private_cluster(find_server_binaries(major=major)) as cluster:
            dsn = database(cluster, "placeholders")
            apply(dsn, PLACEHOLDERS)
            with connect(dsn) as connection:
                written = source_bodies(connection, PLACEHOLDERS, shipped_tree())
            for (kind, identity), definition in catalog_of(dsn, PLACEHOLDERS).items():
                # What stands in sql/ need not stand here.
                if kind != "body" or UP_TO_ARGUMENTS.sub(r"\1", identity) not in written:
                    found[kind, identity, definition].append(major)
            if major == SUPPORTED_MAJORS[0]:
                plain = database(cluster, "plain")
                apply(plain, Variables())
                pages = pages_of(plain, app)
    lines = (json.dumps([in_, *row], ensure_ascii=False) for row, in_ in sorted(found.items()))
    SHIPPED.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    write_pages(FOLDER, pages)


def write_pages(folder: Path, pages: dict[str, str]) -> None:
    """The pages, and nothing else in their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in {path.name for path in folder.iterdir()} - pages.keys():
        (folder / file).unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def outdated(folder: Path, pages: dict[str, str]) -> list[str]:
    """What the files of a folder and the pages disagree about, a line each."""
    there = {path.name: path.read_text("utf-8") for path in folder.glob("*")}
    wrong = []
    for name in sorted(there.keys() | pages.keys()):
        if name not in pages:
            wrong.append(f"docs/reference/{name} describes nothing")
        elif name not in there:
            wrong.append(f"docs/reference/{name} is missing")
        elif there[name] != pages[name]:
            old, new = there[name].splitlines(), pages[name].splitlines()
            fresh = next((line for line in new if line not in old), "less than it shows")
            wrong.append(f"docs/reference/{name} is out of date: now there is {fresh}")
    return wrong


def check(major: int, app: typer.Typer) -> list[str]:
    """What does not agree on this major version, a line each: nothing when all of it does."""
    tree, wrong = shipped_tree(), []
    with private_cluster(find_server_binaries(major=major)) as cluster:
        for number, names in enumerate((Variables(), AWKWARD_NAMES)):
            chain = database(cluster, f"chain_{number}")
            apply(chain, names)
            sources = database(cluster, f"sources_{number}")
            build_from_sources(sources, names, tree)
            with connect(chain, autocommit=True) as connection:
                shipped = shipped_catalog(connection, names, major, tree)
            replayed = catalog_of(chain, names)
            for corner, catalog in (("sql/", catalog_of(sources, names)), (SHIPPED.name, shipped)):
                wrong += [
                    f"{corner} against the chain, {'other' if number else 'default'} names: {line}"
                    for line in differences(replayed, catalog)
                ]
            if names == Variables():
                wrong += outdated(FOLDER, pages_of(chain, app))
    return wrong


def main(app: typer.Typer) -> int:
    """What scripts/generate does; `app` is the command line that is described."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, check that they agree")
    parser.add_argument(
        "--majors", nargs="*", type=int, default=SUPPORTED_MAJORS, help="those to check"
    )
    options = parser.parse_args()
    status = 0
    try:
        if not options.check:
            write(app)
            print(f"wrote {SHIPPED.relative_to(ROOT)} and {FOLDER.relative_to(ROOT)}")
        for major in options.majors:
            wrong = check(major, app)
            agreed = f"PostgreSQL {major}: sql/, the chain, the fingerprint and the reference agree"
            print("\n".join(wrong) or agreed)
            status = 1 if wrong else status
    except TicketdbError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    if status:
        print(f"error [E_GENERATED]: they do not agree - {REMEDY}", file=sys.stderr)
    return status
