"""The commands that change a database: apply, adopt, revert."""

import json
import re
from dataclasses import dataclass, replace

from ticketdb.catalog import differences, read_catalog, roots, shipped_catalog, strangers
from ticketdb.config import Variables
from ticketdb.database import Connection, State, explained, query
from ticketdb.errors import problem
from ticketdb.migrate.chain import chain_state
from ticketdb.migrate.history import check_room
from ticketdb.migrate.run import NOT_TRIED, Progress, Run, Step
from ticketdb.migrate.statements import (
    revision_parts,
    role_statements,
    run_settings,
    runs_outside,
    split_statements,
)
from ticketdb.paths import Tree, shipped_tree
from ticketdb.templates import render

# Statements that lose no rows when they are undone.
HARMLESS = re.compile(
    r"^COMMENT\b|\bINDEX\s+CONCURRENTLY\b|\.revoke_default_privileges\(\)", re.IGNORECASE
)


@dataclass(frozen=True)
class Job:
    job_name: str
    schedule: str
    command: str
    action: str


@dataclass(frozen=True)
class ApplyResult:
    """The result of `apply` and `adopt`.

    `grants`: statements that a DBA still has to run, if manage_roles = false. `not_run`: what a dry
    run had to leave out, and why. `warnings`: which other roles may create objects in the schemas,
    and objects there that could catch a call.
    """

    revision: str | None
    applied: tuple[Step, ...]
    jobs: tuple[Job, ...]
    grants: tuple[str, ...]
    not_run: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def apply(
    dsn: str,
    variables: Variables,
    *,
    to: str = "head",
    dry_run: bool = False,
    progress: Progress = lambda _: None,
    lock_timeout: float = 2.0,
    statement_timeout: float = 0.0,
    wait: float = 60.0,
    beside: bool = False,
    tree: Tree | None = None,
) -> ApplyResult:
    """Bring a database to revision `to`. Times are in seconds; a statement timeout of 0 is none.

    `wait`: how long to keep trying to obtain the migration lock, and then other locks. `dry_run`:
    run everything in one transaction and roll it back. `beside`: allow another installation in the
    same database. Raises TicketdbError.
    """
    tree = tree or shipped_tree()
    settings = run_settings(lock_timeout, statement_timeout)
    run = Run(dsn, variables, tree, "up", to, settings, progress, wait, beside)
    with run.prepared(dry=dry_run):
        state = run.state()
        check_room(run.control, state, variables, beside=beside)
        had_jobs = state.has_jobs
        if dry_run:
            run.rehearse()
        else:
            with run.reporting_where_it_stopped():
                run.walk()
        state = run.state()
        if run.todo and not dry_run and state.revision != run.todo[-1].revision:
            raise RuntimeError("alembic returned, but has not committed what it ran")
        jobs = () if dry_run else _reconcile_jobs(run.control, variables, state)
        if not had_jobs:
            # The revision that made them has scheduled them, a moment ago.
            jobs = tuple(
                replace(job, action="scheduled") if job.action == "unchanged" else job
                for job in jobs
            )
        there = strangers(run.control, variables)
    left = [
        f"{r.name}, which {NOT_TRIED}" if runs_outside(r.up) else f"{r.name}, which comes after it"
        for r in run.todo[len(run.done) :]
    ]
    grants = [] if variables.manage_roles else role_statements(variables, tree)
    return ApplyResult(
        state.revision,
        tuple(run.done),
        jobs,
        tuple(grants),
        tuple(left),
        there.traps + there.creators,
    )


def _reconcile_jobs(control: Connection, variables: Variables, state: State) -> tuple[Job, ...]:
    """Schedule the jobs anew where pg_cron is available."""
    rows = query(control, "migrate/sql/schedule_jobs.sql", variables) if state.has_jobs else []
    return tuple(Job(*row) for row in rows)


def adopt(dsn: str, variables: Variables, *, wait: float = 60.0) -> ApplyResult:
    """Write the history of a database that has every object of this package, but no history.

    Raises E_ADOPTED if it has one, and E_NOT_OURS if anything differs; then nothing is written.
    """
    settings, tree = run_settings(lock_timeout=2.0), shipped_tree()
    run = Run(dsn, variables, tree, "up", "head", settings, lambda _: None, wait, adopting=True)
    with run.prepared():
        control, head, state = run.control, run.chain[-1].revision, run.state()
        if state.revision:
            raise problem("E_ADOPTED", f"nothing to adopt: the ledger reaches {state.revision}")
        ledger = chain_state(run.chain)["foundation/ticketdb_migrations.sql"]
        text = render("".join(section.text for section in ledger), variables)
        with control.transaction(), explained("adopt"):
            query(control, "migrate/sql/bootstrap.sql", variables, tables="[]", ledger=text)
            wanted = shipped_catalog(control, variables, state.major, tree)
            if odd := differences(wanted, read_catalog(control, variables, roots(wanted))):
                first = "; ".join(str(difference) for difference in odd[:3])
                raise problem("E_NOT_OURS", f"{len(odd)} differences, beginning with: {first}")
            for revision in run.chain:
                control.execute(revision_parts(revision, variables, "up")[-1][1].encode())
            query(control, "migrate/sql/script_stamp.sql", variables, revision=head)
        return ApplyResult(head, (), _reconcile_jobs(control, variables, state), (), ())


def revert(
    dsn: str,
    variables: Variables,
    to: str,
    *,
    allow_data_loss: bool = False,
    progress: Progress = lambda _: None,
    lock_timeout: float = 2.0,
    wait: float = 60.0,
    tree: Tree | None = None,
) -> list[Step]:
    """Undo the revisions after `to`; "base" removes everything.

    A rehearsal, which is rolled back, finds out what would be lost and whether every step works.
    Raises E_DATA_LOSS, with tables and numbers of rows, if any would be lost and `allow_data_loss`
    is not given.
    """
    settings = run_settings(lock_timeout)
    run = Run(dsn, variables, tree or shipped_tree(), "down", to, settings, progress, wait)
    with run.prepared():
        gone = json.dumps(sorted(run.rehearse()))
        if not allow_data_loss:
            lost = query(run.control, "migrate/sql/losses.sql", variables, gone=gone)
            losses = [row.loss for row in lost]
            losses += [
                f"what {r.name} takes away, which {NOT_TRIED}"
                for r in run.todo
                if runs_outside(r.down)
                and not all(HARMLESS.search(each) for each in split_statements(r.down))
            ]
            if losses:
                would_lose = f"reverting to {to} would lose {', '.join(losses)}"
                raise problem("E_DATA_LOSS", f"{would_lose}; nothing was changed")
        run.done.clear()
        with run.reporting_where_it_stopped():
            run.walk()
    return run.done
