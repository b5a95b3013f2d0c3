"""The command line: arguments, options, output and exit statuses. The work is done elsewhere.

A command imports what it needs when it is called: `--help` should not wait for a driver.
"""

import sys
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ticketdb import SUPPORTED, SUPPORTED_MAJORS, __version__
from ticketdb.errors import ExitStatus, TicketdbError, problem

if TYPE_CHECKING:
    from rich.console import Console

    from ticketdb.config import Variables
    from ticketdb.migrate.commands import ApplyResult
    from ticketdb.migrate.plan import Plan
    from ticketdb.migrate.run import Progress, Step

app = typer.Typer(
    help="Installs, checks and runs the database half of a reserved-seat ticketing system.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The panels of `ticketdb --help`. Their order there is the order in which commands are defined.
MIGRATE, OPERATE, WATCH, DEVELOP = "Migrate", "Operate", "Watch", "Develop"


def _seconds(text: str) -> float:
    """Read 60 or 60s."""
    import threading

    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise typer.BadParameter(f"{text!r} is not a number of seconds above 0")
    return seconds


Dsn = Annotated[
    str,
    Option(
        envvar="TICKETDB_DSN",
        show_envvar=False,
        metavar="DSN",
        help="Connection string or URI (default: TICKETDB_DSN, then the PG* variables).",
    ),
]
ConfigFile = Annotated[
    Path | None,
    Option(
        "--config",
        envvar="TICKETDB_CONFIG",
        show_envvar=False,
        metavar="FILE",
        help="Configuration file (default: TICKETDB_CONFIG, then ./ticketdb.toml if it exists).",
    ),
]
Json = Annotated[bool, Option("--json", help="Print JSON instead of text.")]
To = Annotated[str, Option(metavar="REVISION", help="Last revision to apply.")]
Measure = Annotated[
    bool, Option(help="Run the statements on a copy of the schema, on a private server.")
]
From = Annotated[
    str, Option("--from", metavar="REVISION", help="Revision that the database is at.")
]
Role = Annotated[
    str,
    Option(metavar="ROLE", help="Role that will run the script (default: the owner of ticketdb)."),
]
Major = Annotated[
    int | None,
    Option(
        min=SUPPORTED_MAJORS[0],
        max=SUPPORTED_MAJORS[-1],
        metavar="MAJOR",
        help=f"Write it for this major version of PostgreSQL only (default: {SUPPORTED}).",
    ),
]
BackTo = Annotated[
    str, Option(metavar="REVISION", help='Revision to go back to; "base" removes everything.')
]
DryRun = Annotated[
    bool, Option("--dry-run", help="Run everything in one transaction and roll it back.")
]
LossAllowed = Annotated[
    bool, Option("--allow-data-loss", help="Continue although rows will be lost.")
]
Beside = Annotated[
    bool,
    Option("--beside", help="Allow a second installation in a database that already has one."),
]
LockTimeout = Annotated[
    float, Option(min=0.001, metavar="SECONDS", help="How long a statement may wait for a lock.")
]
StatementTimeout = Annotated[
    float, Option(min=0, metavar="SECONDS", help="How long a statement may run; 0: no limit.")
]
Wait = Annotated[
    float, Option(min=0, metavar="SECONDS", help="How long to keep trying to obtain locks.")
]
OutputFile = Annotated[
    typer.FileTextWrite,
    Option(
        "--out",
        default_factory=lambda: "-",
        lazy=False,
        metavar="FILE",
        show_default=False,
        help="File to write (default: standard output).",
    ),
]
Junit = Annotated[
    typer.FileTextWrite | None,
    Option("--junit", lazy=False, metavar="FILE", help="Also write the result as JUnit XML."),
]
Every = Annotated[
    float | None,
    Option(parser=_seconds, metavar="SECONDS", help="Repeat at this interval until Ctrl-C."),
]
Refresh = Annotated[
    float | None,
    Option("--watch", parser=_seconds, metavar="SECONDS", help="Refresh at this interval."),
]
AlertName = Annotated[
    str, Option("--alert", metavar="NAME", help="Check this alert only (default: everything).")
]
Timeout = Annotated[
    float,
    Option(
        "--timeout",
        "-t",
        min=0.001,
        max=3600,
        metavar="SECONDS",
        help="Exit with UNKNOWN after this long without an answer.",
    ),
]
Message = Annotated[
    str, Option("--message", "-m", metavar="TEXT", help="What the revision does, in one line.")
]
Objects = Annotated[
    list[str] | None,
    Argument(metavar="FILE", help="Files in sql/ (default: all that changed)."),
]
Page = Annotated[
    str,
    Argument(
        metavar="PAGE",
        show_default=False,
        help="Its name, or its path as in an alert (default: the list).",
    ),
]
Buyers = Annotated[int, Option(min=1, metavar="NUMBER", help="Concurrent buyers.")]
Seconds = Annotated[float, Option(min=1, metavar="SECONDS", help="How long the sale lasts.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ticketdb {__version__}, for PostgreSQL {SUPPORTED}")
        raise typer.Exit


Version = Annotated[
    bool,
    Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
]


@app.callback()
def options(version: Version = False) -> None:
    pass


def main() -> None:
    """The entry point of the program `ticketdb`."""
    if sys.argv[1:2] == ["check"]:  # Nagios needs its one line for wrong usage, too
        from ticketdb.watch import check

        sys.exit(check.run(lambda: app(standalone_mode=False)))
    try:
        app()
    except TicketdbError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, markup=False)


def _load_variables(path: Path | None) -> "Variables":
    from ticketdb.config import load_variables

    return load_variables(path)


def _print_json(data: object) -> None:
    import json

    print(json.dumps(data, indent=2, default=str, ensure_ascii=False))


@contextmanager
def _progress(*, silent: bool = False) -> Iterator["Progress"]:
    """Print a line for each revision, with a bar below on a terminal. `silent`: print nothing."""
    from rich.progress import Progress as Bar

    out = _console()
    with Bar(console=out, transient=True, disable=silent or not out.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def show(step: "Step") -> None:
            done = step.position - (step.kind != "done")
            bar.update(task, total=step.total, completed=done, description=step.description)
            news = {
                "start": "",
                "wait": step.detail
                + f"; trying again in {step.seconds:.1f} s" * bool(step.seconds),
                "skip": step.detail,
                "done": f"{step.seconds:.2f} s",
            }[step.kind]
            if news and not silent:
                out.print(f"{step.revision} {step.description}: {news}")

        yield show


@app.command("plan", rich_help_panel=MIGRATE)
def plan_command(
    to: To = "head",
    measure: Measure = True,
    as_json: Json = False,
    dsn: Dsn = "",
    config: ConfigFile = None,
) -> None:
    """Show the statements that apply would run, and the locks that each takes.

    Exit status 1 if any statement is pending.

    Example: ticketdb plan --json | jq '.statements[] | select(.locks != [])'
    """
    from rich.console import Console

    from ticketdb.migrate.plan import plan

    with Console(stderr=True).status("measuring on a private server"):
        planned = plan(dsn, _load_variables(config), to, measure)
    if as_json:
        _print_json(asdict(planned))
    else:
        print("\n".join(_planned(planned)))
    if planned.statements:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


def _planned(planned: "Plan") -> Iterator[str]:
    """A plan as lines of text."""
    from itertools import groupby

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
                continue  # no view of users depends on what is replaced
            yield statement.headline if planned.measured_on else statement.text
            yield from (f"    {lock['text']}" for lock in statement.locks)
        yield ""
    yield from (f"warning: {warning}" for warning in planned.warnings)
    yield from (f"not copied: {what}" for what in planned.not_copied)
    measured = planned.measured_on and f"measured on PostgreSQL {planned.measured_on}"
    pending = f"{len(planned.statements)} statements are pending, {measured or 'not measured'}"
    yield pending if planned.statements else "nothing is pending"


@app.command(rich_help_panel=MIGRATE)
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
    """Install or upgrade ticketdb, then schedule its jobs where pg_cron is available.

    Example: ticketdb apply --dsn postgresql://admin@db.example.com/shop
    """
    from ticketdb.migrate import commands

    with _progress(silent=as_json) as progress:
        result = commands.apply(
            dsn,
            _load_variables(config),
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
    what = f"{_revisions(result.applied)} {'run and rolled back' if dry_run else 'applied'}"
    at = result.revision or "base"
    print(f"{what if result.applied else 'nothing to do'}; the database is at {at}")
    for left in result.not_run:
        print(f"not run: {left}")
    _print_jobs(result)
    if result.grants:
        print("-- manage_roles = false: a DBA has to run this, with your own roles")
        print("\n".join(result.grants))
    for warning in result.warnings:
        print(f"warning: {warning}")
    return None


def _revisions(done: Sized) -> str:
    return "1 revision" if len(done) == 1 else f"{len(done)} revisions"


def _print_jobs(result: "ApplyResult") -> None:
    for job in result.jobs:
        print(f"job {job.job_name} ({job.schedule}): {job.action}")


@app.command(rich_help_panel=MIGRATE)
def script(
    file: OutputFile,
    start: From = "base",
    to: To = "head",
    role: Role = "",
    major: Major = None,
    beside: Beside = False,
    config: ConfigFile = None,
) -> None:
    """Write what apply would run as one SQL file, for DBAs who use only psql in production.

    Example: ticketdb script --out install.sql && psql -X -f install.sql shop
    """
    from ticketdb.migrate.script import script as written

    variables = _load_variables(config)
    file.write(written(variables, start=start, to=to, role=role, major=major, beside=beside))


@app.command(rich_help_panel=MIGRATE)
def revert(
    to: BackTo,
    allow_data_loss: LossAllowed = False,
    wait: Wait = 60.0,
    dsn: Dsn = "",
    config: ConfigFile = None,
) -> None:
    """Undo the revisions after the given one.

    Where rows would be lost it lists them and stops, unless --allow-data-loss is given.

    Example: ticketdb revert --to 0007
    """
    from ticketdb.migrate import commands

    variables = _load_variables(config)
    with _progress() as progress:
        done = commands.revert(
            dsn, variables, to, allow_data_loss=allow_data_loss, progress=progress, wait=wait
        )
    print(f"{_revisions(done)} reverted; the database is at {to}" if done else "nothing to do")


@app.command(rich_help_panel=MIGRATE)
def adopt(wait: Wait = 60.0, dsn: Dsn = "", config: ConfigFile = None) -> None:
    """Record an existing, complete schema as ticketdb's, for a dump restored without its history.

    Example: ticketdb adopt --dsn postgresql://admin@db.example.com/restored
    """
    from ticketdb.migrate import commands

    result = commands.adopt(dsn, _load_variables(config), wait=wait)
    print(f"adopted; the database is at {result.revision}")
    _print_jobs(result)


@app.command("verify", rich_help_panel=MIGRATE)
def verify_command(
    as_json: Json = False, junit: Junit = None, dsn: Dsn = "", config: ConfigFile = None
) -> None:
    """Compare a database with what this version of ticketdb ships. Changes nothing.

    Exit status 1 if anything differs.

    Example: ticketdb verify --json
    """
    from textwrap import indent

    from ticketdb import verify

    out = _console()
    checks = verify.verify(dsn, _load_variables(config))
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
                out.print(indent(detail, "    "))
            for warning in check.warnings:
                out.print(f"    warning: {warning}")
        print(f"{len(failed)} of {len(checks)} checks failed" if failed else "all checks passed")
    if failed:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


@app.command(rich_help_panel=OPERATE)
def cleanup(every: Every = None, dsn: Dsn = "", config: ConfigFile = None) -> None:
    """Run the scheduled jobs once, or repeatedly: for servers without pg_cron.

    Ends overdue holds, rolls up the metrics, checks the invariants, creates log partitions and
    deletes history past its retention.

    Example: ticketdb cleanup --every 60
    """
    import signal
    import threading

    variables = _load_variables(config)
    stop = threading.Event()

    def leave(_signal: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # a second signal: do not wait for the run to end
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


def _clean_up(dsn: str, variables: "Variables") -> str:
    """Run the jobs once. Returns a line that reports what the cleanup did."""
    from psycopg.rows import dict_row

    from ticketdb.database import connect, explained, own_sql

    # One by one: the procedure commits, which PostgreSQL refuses in a string of several statements.
    began, cleanup, *others = own_sql("cleanup.sql", variables).split(";")
    with connect(dsn, autocommit=True) as connection, explained("cleanup", "", "E_CLEANUP"):
        cursor = connection.cursor(row_factory=dict_row)
        moment = connection.execute(began.encode()).fetchone()
        run = cursor.execute(cleanup.encode()).fetchone()
        for call in others:
            connection.execute(call.encode())
    if run is None or moment is None:
        raise RuntimeError("the cleanup returned no result")
    if run["status"] == "skipped":
        return "another cleanup is running"
    done = "{reservations_expired} holds expired, {seats_released} seats released"
    return f"{moment[0]}: {done.format(**run)}"


@app.command(rich_help_panel=WATCH)
def status(
    every: Refresh = None, as_json: Json = False, dsn: Dsn = "", config: ConfigFile = None
) -> None:
    """Show the revision, the last cleanup runs, the dashboards, the health checks and the alerts.

    Example: ticketdb status --watch 5
    """
    from rich.console import Console

    from ticketdb.watch.status import read_status, watch

    variables = _load_variables(config)
    if every is not None:
        watch(every, lambda: read_status(dsn, variables), as_json=as_json)
    elif as_json:
        _print_json(read_status(dsn, variables).as_data())
    else:
        Console(highlight=False).print(read_status(dsn, variables).drawn())


@app.command(rich_help_panel=WATCH)
def check(
    alert: AlertName = "", timeout: Timeout = 10.0, dsn: Dsn = "", config: ConfigFile = None
) -> None:
    """Nagios plugin: prints one line with performance data; exit status 0, 1, 2 or 3 (unknown).

    Example: ticketdb check --alert cleanup_job_failed
    """
    from ticketdb.watch.check import check as answer

    raise typer.Exit(answer(dsn, _load_variables(config), alert, timeout))


@app.command(rich_help_panel=WATCH)
def runbook(page: Page = "README") -> None:
    """Print what to do when an alert fires: one page of Markdown, or the list of all.

    Example: ticketdb runbook double-booking
    """
    from pathlib import PurePath

    from ticketdb.paths import runbooks

    pages, name = runbooks(), PurePath(page).stem
    if name not in pages:
        there = ", ".join(sorted(pages.keys() - {"README"}))
        raise problem("E_RUNBOOK", f"there is no runbook {name!r}", f"name one of {there}")
    print(pages[name].read_text(encoding="utf-8"), end="")


@app.command("revision", rich_help_panel=DEVELOP)
def revision_command(message: Message = "", objects: Objects = None) -> None:
    """Write a revision from what changed in sql/, and prove that it works both ways.

    Needs a checkout of the source. The new revision is applied, reverted and applied again on a
    private PostgreSQL, and the result compared with sql/.

    Example: ticketdb revision -m "seat maps"
    """
    from importlib.util import find_spec

    if find_spec("ticketdb.develop") is None:
        raise problem("E_NO_CHECKOUT", "this installation of ticketdb cannot write revisions")
    from ticketdb.develop import revise

    raise typer.Exit(revise.run(message, objects))


@app.command(rich_help_panel=DEVELOP)
def demo(buyers: Buyers = 200, seconds: Seconds = 12.0, as_json: Json = False) -> None:
    """Sell seats to simulated buyers on a private PostgreSQL, and check every number reported.

    Example: ticketdb demo --buyers 300 --seconds 20
    """
    from ticketdb.demo.run import run

    raise typer.Exit(run(buyers=buyers, seconds=seconds, json=as_json))
