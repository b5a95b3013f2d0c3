"""The chain as one file for psql, for DBAs who use only psql in production."""

import json
from dataclasses import asdict

from ticketdb import SUPPORTED_MAJORS, __version__
from ticketdb.config import Variables
from ticketdb.database import own_sql, settings_sql
from ticketdb.errors import problem
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.history import position_of
from ticketdb.migrate.statements import (
    bootstrap,
    outside_queries,
    revision_parts,
    run_settings,
    runs_outside,
)
from ticketdb.paths import Tree, shipped_tree


def script(
    variables: Variables,
    *,
    start: str = "base",
    to: str = "head",
    role: str = "",
    major: int | None = None,
    beside: bool = False,
    tree: Tree | None = None,
) -> str:
    """One file for psql that does what `apply` does between two revisions, ledger included.

    `role`: who will run it; by default the owner of ticketdb's objects. `major`: the only version
    of PostgreSQL that it is for; by default all that are supported. `beside`: the database may have
    another installation. Raises E_BEYOND where `to` comes before `start`.
    """
    chain = read_chain(tree or shipped_tree())
    first, last = position_of(chain, start), position_of(chain, to)
    names = ["base", *(r.revision for r in chain)]
    if last < first:
        raise problem(
            "E_BEYOND",
            f"a script only applies revisions, and {names[last]} comes before {names[first]}",
            f"to go back: `ticketdb revert --to {names[last]}`",
        )
    settings, lock = run_settings(2.0), own_sql("migrate/sql/lock.sql", variables)
    made_for: dict[str, str | bool] = {
        "package_version": __version__,
        "start": names[first],
        "target": names[last],
        "role": role or False,
        "majors": json.dumps([major] if major else [*SUPPORTED_MAJORS]),
        "history": json.dumps({r.revision: r.source_sha256 for r in chain[:first]}),
        "variables_json": json.dumps(asdict(variables), ensure_ascii=False),
        "beside": beside,
    }
    parts = [own_sql("migrate/sql/script_start.sql", variables, **made_for), settings]
    parts.append(own_sql("migrate/sql/script_guard.sql", variables, **made_for))
    for position, revision in enumerate(chain[first:last], first):
        parts.append(f"\n\\echo {revision.revision}: {revision.description}\n{settings}")
        steps = [text for _, text in revision_parts(revision, variables, "up", chain)]
        if runs_outside(revision.up):
            parts += [
                f"{question}\\gexec\n" for _, question in outside_queries(revision, variables, "up")
            ]
            steps = [dict(revision_parts(revision, variables, "up"))["ledger"]]
        opening = [bootstrap(chain[:last], variables)] if revision is chain[0] else []
        begin: dict[str, str | bool] = {"lock": lock, "before": names[position]}
        opening.append(own_sql("migrate/sql/script_begin.sql", variables, **begin))
        stamp = own_sql("migrate/sql/script_stamp.sql", variables, revision=revision.revision)
        parts += ["BEGIN;\n", *opening, *steps, stamp, "COMMIT;\n"]
    ending = settings_sql(patient=True, resetting=True)
    return "".join([*parts, own_sql("migrate/sql/script_end.sql", variables), ending, "\\o\n"])
