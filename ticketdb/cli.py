"""The command line. What a command does is elsewhere; here is how it is asked for and told."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from psycopg.rows import dict_row
from rich.console import Console
from rich.progress import Progress as Bar
from typer import Argument, Option

from ticketdb import SUPPORTED, SUPPORTED_MAJORS, __version__, migrate, plan, verify
from ticketdb.config import Variables, load_variables
from ticketdb.database import connect, explained, own_sql
from ticketdb.errors import ExitStatus, TicketdbError, problem
from ticketdb_watch import nagios
from ticketdb_watch.status import read_status, watch

app = typer.Typer(
    help="Installs, checks and runs the database half of a reserved-seat ticketing system.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(highlight=False, soft_wrap=True, markup=False)

Dsn = Annotated[str, Option(envvar="TICKETDB_DSN", help="Or libpq's variables say it.")]
ConfigFile = Annotated[
    Path | None,
    Option("--config", envvar="TICKETDB_CONFIG", help="Otherwise ./ticketdb.toml, if it exists."),
]
Json = Annotated[bool, Option("--json", help="Print JSON instead of text.")]
To = Annotated[str, Option(help="Revision to stop at.")]
Measure = Annotated[bool, Option(help="Run them on a copy of the schema, on a private server.")]
From = Annotated[str, Option("--from", help="Revision that the database is at.")]
Role = Annotated[str, Option(help="Role to run it; otherwise whoever owns what is there.")]
Major = Annotated[
    int | None,
    Option(
        min=SUPPORTED_MAJORS[0], max=SUPPORTED_MAJORS[-1], help="PostgreSQL version; otherwise all."
    ),
]
BackTo = Annotated[str, Option(help='Revision to go back to; "base" removes everything.')]
DryRun = Annotated[bool, Option("--dry-run", help="Run it in one transaction; roll it back.")]
LossAllowed = Annotated[bool, Option("--allow-data-loss", help="Go on although rows will be lost.")]
Beside = Annotated[
    bool, Option("--beside", help="Although another installation is in the database.")
]
LockTimeout = Annotated[float, Option(min=0.001, help="Seconds that a statement waits for a lock.")]
StatementTimeout = Annotated[float, Option(min=0, help="Seconds a statement may run; 0: for ever.")]
Wait = Annotated[float, Option(min=0, help="Seconds to go on trying for locks.")]
OutputFile = Annotated[
    typer.FileTextWrite,
    Option("--out", default_factory=lambda: "-", lazy=False, help="Otherwise standard output."),
]
Junit = Annotated[
    typer.FileTextWrite | None,
    Option("--junit", lazy=False, help="Write JUnit's XML to this file, too."),
]
Message = Annotated[str, Option("--message", "-m", help="What the revision is about.")]
Objects = Annotated[list[str] | None, Argument(help="Files of sql/; otherwise all that changed.")]
Buyers = Annotated[int, Option(min=1, help="Concurrent buyers.")]
Seconds = Annotated[float, Option(min=1, help="How long they buy.")]


def _print_version(asked: bool) -> None:
    if asked:
        print(f"ticketdb {__version__}, for PostgreSQL {SUPPORTED}")
        raise typer.Exit


Version = Annotated[
    bool, Option("--version", callback=_print_version, is_eager=True, help="Print it, and leave.")
]


@app.callback()
def options(version: Version = False) -> None:
    pass


def main() -> None:
    """The entry point of the program `ticketdb`."""
    if sys.argv[1:2] == ["check"]:  # it answers also when it was asked wrongly
        sys.exit(nagios.run(lambda: app(standalone_mode=False)))
    try:
        app()
    except TicketdbError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


def _print_json(data: object) -> None:
    print(json.dumps(data, indent=2, default=str, ensure_ascii=False))


@contextmanager
def _progress(*, silent: bool = False) -> Iterator[migrate.Progress]:
    """A line a revision, below them a bar on a terminal; nothing beside JSON."""
    with Bar(console=out, transient=True, disable=silent or not out.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def show(step: migrate.Step) -> None:
            done = step.position - (step.kind != "done")
            bar.update(task, total=step.total, completed=done, description=step.description)
            told = {
                "start": "",
                "wait": step.detail
                + f"; trying again in {step.seconds:.1f} s" * bool(step.seconds),
                "skip": step.detail,
                "done": f"{step.seconds:.2f} s",
            }[step.kind]
            if told and not silent:
                out.print(f"{step.revision} {step.description}: {told}")

        yield show


@app.command()
def apply(
    to: To = "head",
    dry_run: DryRun = False,
    lock_timeout: LockTimeout = 2.0,
    statement_timeout: StatementTimeout = 0.0,
    wait: Wait = 60.0,
    beside: Beside = False,
    as_json: Json = False,
    dsn: Dsn = "",
    config: ConfigFile = None,
) -> None:
    """Install ticketdb, or bring it up to date; then reconcile its jobs with pg_cron.

    Example: ticketdb apply --dsn postgresql://admin@db.example.com/shop
    """
    with _progress(silent=as_json) as progress:
        result = migrate.apply(
            dsn,
            load_variables(config),
            to=to,
            dry_run=dry_run,
            progress=progress,
            lock_timeout=lock_timeout,
            statement_timeout=statement_timeout,
            wait=wait,
            beside=beside,
        )
    if as_json:
        return _print_json(asdict(result))
    what = f"{len(result.applied)} revisions {'run and rolled back' if dry_run else 'applied'}"
    at = result.revision or "base"
    print(f"{what if result.applied else 'nothing to do'}; the database is at {at}")
    for left in result.not_run:
        print(f"not run: {left}")
    _print_jobs(result)
    if result.grants:
        print("-- manage_roles = false: let a DBA run this, with roles of yours")
        print("\n".join(result.grants))
    for warning in result.warnings:
        print(f"warning: {warning}")
    return None


def _print_jobs(result: migrate.ApplyResult) -> None:
    for job in result.jobs:
        print(f"job {job.job_name} ({job.schedule}): {job.action}")


@app.command()
def adopt(wait: Wait = 60.0, dsn: Dsn = "", config: ConfigFile = None) -> None:
    """Take over a database that has what this package ships, but not the record of it.

    Example: ticketdb adopt --dsn postgresql://admin@db.example.com/restored
    """
    result = migrate.adopt(dsn, load_variables(config), wait=wait)
    print(f"adopted; the database is at {result.revision}")
    _print_jobs(result)


@app.command("plan")
def plan_command(
    to: To = "head",
    measure: Measure = True,
    as_json: Json = False,
    dsn: Dsn = "",
    config: ConfigFile = None,
) -> None:
    """Show what apply would run, and what each statement locks. Exit status 1 if there is any.

    Example: ticketdb plan --json | jq '.statements[] | select(.locks != [])'
    """
    with Console(stderr=True).status("measuring on a private server"):
        planned = plan.plan(dsn, load_variables(config), to, measure)
    if as_json:
        _print_json(asdict(planned))
    else:
        print("\n".join(_planned(planned)))
    if planned.statements:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


def _planned(planned: plan.Plan) -> Iterator[str]:
    """The lines that tell a plan to people."""
    for revision, group in groupby(planned.statements, lambda statement: statement.revision):
        statements = list(group)
        how = "in one transaction" if statements[0].in_transaction else "outside a transaction"
        yield f"-- {revision}: {len(statements)} statements, {how}"
        for statement in statements:
            if (
                planned.measured_on
                and statement.section == "dependents.sql"
                and not statement.locks
            ):
                continue  # there are none
            yield statement.headline if planned.measured_on else statement.text
            yield from (f"    {lock['text']}" for lock in statement.locks)
        yield ""
    yield from (f"warning: {warning}" for warning in planned.warnings)
    yield from (f"not copied: {what}" for what in planned.not_copied)
    measured = planned.measured_on and f"measured on PostgreSQL {planned.measured_on}"
    pending = f"{len(planned.statements)} statements are pending, {measured or 'not measured'}"
    yield pending if planned.statements else "nothing is pending"


@app.command()
def script(
    file: OutputFile,
    start: From = "base",
    to: To = "head",
    role: Role = "",
    major: Major = None,
    beside: Beside = False,
    config: ConfigFile = None,
) -> None:
    """Write what apply does as one file for psql, for a DBA who lets no tool near production.

    Example: ticketdb script --out install.sql && psql -X -f install.sql shop
    """
    variables = load_variables(config)
    file.write(migrate.script(variables, start=start, to=to, role=role, major=major, beside=beside))


@app.command()
def revert(
    to: BackTo,
    allow_data_loss: LossAllowed = False,
    wait: Wait = 60.0,
    dsn: Dsn = "",
    config: ConfigFile = None,
) -> None:
    """Undo the revisions after one. Stops, and lists what would be lost, before it loses data.

    Example: ticketdb revert --to 0007
    """
    variables = load_variables(config)
    with _progress() as progress:
        done = migrate.revert(
            dsn, variables, to, allow_data_loss=allow_data_loss, progress=progress, wait=wait
        )
    print(f"{len(done)} revisions reverted; the database is at {to}" if done else "nothing to do")


@app.command("verify")
def verify_command(
    as_json: Json = False, junit: Junit = None, dsn: Dsn = "", config: ConfigFile = None
) -> None:
    """Prove that the database is what this package ships. Reads only; exit status 1 if it is not.

    Example: ticketdb verify --json
    """
    checks = verify.verify(dsn, load_variables(config))
    failed = [check for check in checks if not check.ok]
    if junit is not None:
        junit.write(verify.junit(checks))
    if as_json:
        _print_json({"ok": not failed, "checks": [check.as_data() for check in checks]})
    else:
        for check in checks:
            out.print("ok" if check.ok else "FAILED", style="green" if check.ok else "red", end=" ")
            out.print(check.name + (f" ({check.note})" if check.note else ""))
            for detail in check.details:
                out.print(f"    {detail}")
            for warning in check.warnings:
                out.print(f"    warning: {warning}")
        print(f"{len(failed)} of {len(checks)} checks failed" if failed else "all checks passed")
    if failed:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


def _seconds(text: str) -> float:
    """Read 60 or 60s."""
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise typer.BadParameter(f"{text!r} is no number of seconds")
    return seconds


Every = Annotated[
    float | None, Option(parser=_seconds, metavar="SECONDS", help="Go on until Ctrl-C, this often.")
]
Watch = Annotated[
    float | None,
    Option("--watch", parser=_seconds, metavar="SECONDS", help="Again and again, like top."),
]
AlertName = Annotated[str, Option("--alert", metavar="NAME", help="Judge this alert alone.")]
Timeout = Annotated[
    float,
    Option("--timeout", "-t", min=0.001, max=3600, help="Seconds to wait for an answer."),
]


@app.command()
def status(
    every: Watch = None, as_json: Json = False, dsn: Dsn = "", config: ConfigFile = None
) -> None:
    """Show the revision, the last runs of the cleanup, the dashboards and the alerts.

    Example: ticketdb status --watch 5
    """
    variables = load_variables(config)
    if every is not None:
        watch(every, lambda: read_status(dsn, variables), as_json=as_json)
    elif as_json:
        _print_json(read_status(dsn, variables).as_data())
    else:
        Console(highlight=False).print(read_status(dsn, variables).drawn())


@app.command()
def check(
    alert: AlertName = "", timeout: Timeout = 10.0, dsn: Dsn = "", config: ConfigFile = None
) -> None:
    """Answer Nagios: one line with performance data, exit status 0, 1, 2, or 3 for unknown.

    Example: ticketdb check --alert cleanup_job_failed
    """
    raise typer.Exit(nagios.check(dsn, load_variables(config), alert, timeout))


@app.command()
def cleanup(every: Every = None, dsn: Dsn = "", config: ConfigFile = None) -> None:
    """End holds that are over, and keep partitions and history in order: what pg_cron would run.

    Example: ticketdb cleanup --every 60
    """
    variables = load_variables(config)
    stop = threading.Event()

    def leave(_signal: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # asked twice: do not wait for the run to end
        stop.set()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, leave)
    while True:
        try:
            print(_clean_up(dsn, variables), flush=True)
        except TicketdbError as error:
            if every is None:
                raise
            print(f"{error}; trying again in {every:g} s", file=sys.stderr, flush=True)
        if every is None or stop.wait(every):
            break
    if every is not None:
        print("stopped")


def _clean_up(dsn: str, variables: Variables) -> str:
    """Run the jobs once. Returns a line that says what the cleanup did."""
    # One by one: the procedure commits, which it cannot do within a string of several statements.
    cleanup, *others, began = own_sql("cleanup.sql", variables).split(";")
    with connect(dsn, autocommit=True) as connection, explained("cleanup", "", "E_CLEANUP"):
        cursor = connection.cursor(row_factory=dict_row)
        run = cursor.execute(cleanup.encode()).fetchone()
        for call in others:
            connection.execute(call.encode())
        moment = connection.execute(began.encode(), run).fetchone()
    if run is None or moment is None:
        raise RuntimeError("the cleanup has left no record of its run")
    if run["status"] == "skipped":
        return "another cleanup is running"
    done = "{reservations_expired} holds expired, {seats_released} seats released"
    return f"{moment[0]}: {done.format(**run)}"


@app.command("revision")
def revision_command(message: Message = "", objects: Objects = None) -> None:
    """Freeze what changed in sql/ into a revision, and prove it. For those who develop ticketdb.

    Example: ticketdb revision -m "seat maps"
    """
    if find_spec("ticketdb_develop") is None:
        raise problem("E_NO_CHECKOUT", "this installation of ticketdb cannot write revisions")
    from ticketdb_develop import revise

    raise typer.Exit(revise.run(message, objects))


@app.command()
def demo(buyers: Buyers = 200, seconds: Seconds = 12.0, as_json: Json = False) -> None:
    """Sell seats to simulated buyers on a private PostgreSQL, and check every number.

    Example: ticketdb demo --buyers 300 --seconds 20
    """
    import ticketdb_demo

    raise typer.Exit(ticketdb_demo.run(buyers=buyers, seconds=seconds, json=as_json))
