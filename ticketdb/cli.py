"""The command line. What a command does is elsewhere; here is how it is asked for and told."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from psycopg import sql
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from ticketdb import __version__, migrate, revision, verify
from ticketdb.config import Environment, Variables, load_variables
from ticketdb.database import Connection, connect, explain, explained, one_line, read_state
from ticketdb.errors import ExitStatus, TicketdbError
from ticketdb.resources import shipped_tree

app = typer.Typer(
    help="Installs, checks and runs the database half of a reserved-seat ticketing system.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(highlight=False, soft_wrap=True)

Dsn = Annotated[
    str | None,
    typer.Option(help="Connection string; otherwise TICKETDB_DSN, otherwise libpq's variables."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Template variables; otherwise TICKETDB_CONFIG, otherwise ./ticketdb.toml."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
LockTimeout = Annotated[
    float, typer.Option(min=0.001, help="Seconds that a statement may wait for a lock.")
]
Wait = Annotated[
    float, typer.Option(min=0, help="Seconds to go on trying for locks before giving up.")
]


def main() -> None:
    """The entry point of the program `ticketdb`."""
    try:
        app()
    except TicketdbError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)


def _settings(dsn: str | None, config: Path | None) -> tuple[str, Variables]:
    environment = Environment()
    return (
        environment.dsn if dsn is None else dsn,
        load_variables(config or environment.config),
    )


def _print_json(data: object) -> None:
    print(json.dumps(data, indent=2, default=str, ensure_ascii=False))


@contextmanager
def _progress(*, silent: bool) -> Iterator[migrate.Progress]:
    """A bar on a terminal, a line a revision elsewhere, nothing beside JSON."""

    def line(step: migrate.Step) -> str:
        what = f"{step.revision} {step.description}"
        if step.kind == "wait":
            return f"{what}: {step.detail}; trying again in {step.seconds:.1f} s"
        return f"{what}: {step.seconds:.2f} s"

    if silent:
        yield lambda _: None
        return
    if not out.is_terminal:
        yield lambda step: None if step.kind == "start" else print(line(step), flush=True)
        return
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=out, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(step: migrate.Step) -> None:
            done = step.position - (step.kind != "done")
            bar.update(task, total=step.total, completed=done, description=step.description)
            if step.kind != "start":
                bar.console.print(line(step), markup=False)

        yield show


@app.command()
def apply(
    to: Annotated[str, typer.Option(help="Revision to stop at.")] = "head",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run everything in one transaction, and roll it back.")
    ] = False,
    lock_timeout: LockTimeout = 2.0,
    statement_timeout: Annotated[
        float, typer.Option(min=0, help="Seconds that a statement may run; 0: any time.")
    ] = 0.0,
    wait: Wait = 60.0,
    as_json: Json = False,
    dsn: Dsn = None,
    config: ConfigFile = None,
) -> None:
    """Install ticketdb, or bring it up to date; then reconcile its jobs with pg_cron.

    Example: ticketdb apply --dsn postgresql://admin@db.example.com/shop
    """
    database, variables = _settings(dsn, config)
    with _progress(silent=as_json) as progress:
        result = migrate.apply(
            database,
            variables,
            to=to,
            dry_run=dry_run,
            progress=progress,
            lock_timeout=lock_timeout,
            statement_timeout=statement_timeout,
            wait=wait,
        )
    if as_json:
        return _print_json(asdict(result))
    count = len(result.applied)
    if dry_run:
        print(
            f"{count} revisions run and rolled back; the database is at {result.revision or 'base'}"
        )
    elif count:
        print(f"{count} revisions applied; the database is at {result.revision}")
    else:
        print(f"nothing to do; the database is at {result.revision or 'base'}")
    for job in result.jobs:
        print(f"job {job.job_name} ({job.schedule}): {job.action}")
    if result.grants:
        print("-- manage_roles = false: let a DBA run this, with roles of yours")
        print("\n".join(result.grants))
    return None


@app.command()
def plan(
    to: Annotated[str, typer.Option(help="Revision to stop at.")] = "head",
    as_json: Json = False,
    dsn: Dsn = None,
    config: ConfigFile = None,
) -> None:
    """Show what apply would run, statement by statement. Exit status 1 when something is pending.

    Example: ticketdb plan --json | jq '.[].statements | length'
    """
    planned = migrate.plan(*_settings(dsn, config), to=to)
    if as_json:
        _print_json([asdict(step) for step in planned])
    elif not planned:
        print("nothing is pending")
    for step in [] if as_json else planned:
        print(f"-- {step.revision} {step.description}: {len(step.statements)} statements")
        print("\n".join(step.statements), end="\n\n")
    if planned:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


@app.command()
def script(
    start: Annotated[str, typer.Option("--from", help="Revision the database is at.")] = "base",
    to: Annotated[str, typer.Option(help="Revision to stop at.")] = "head",
    file: Annotated[
        Path | None, typer.Option("--out", help="File to write; otherwise standard output.")
    ] = None,
    lock_timeout: LockTimeout = 2.0,
    config: ConfigFile = None,
) -> None:
    """Write what apply does as one file for psql, for a DBA who lets no tool near production.

    Example: ticketdb script --out install.sql && psql -X -f install.sql shop
    """
    _, variables = _settings(None, config)
    text = migrate.script(variables, start=start, to=to, lock_timeout=lock_timeout)
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TicketdbError(
            "E_OUTPUT", ExitStatus.USAGE, f"{file} cannot be written: {error.strerror}"
        ) from None
    print(f"wrote {file}")


@app.command()
def revert(
    to: Annotated[str, typer.Option(help='Revision to go back to; "base" removes everything.')],
    allow_data_loss: Annotated[
        bool, typer.Option("--allow-data-loss", help="Go on although rows will be lost.")
    ] = False,
    lock_timeout: LockTimeout = 2.0,
    wait: Wait = 60.0,
    dsn: Dsn = None,
    config: ConfigFile = None,
) -> None:
    """Undo the revisions after one. Stops, and lists what would be lost, before it loses data.

    Example: ticketdb revert --to 0007
    """
    database, variables = _settings(dsn, config)
    with _progress(silent=False) as progress:
        done = migrate.revert(
            database,
            variables,
            to,
            allow_data_loss=allow_data_loss,
            progress=progress,
            lock_timeout=lock_timeout,
            wait=wait,
        )
    print(f"{len(done)} revisions reverted; the database is at {to}" if done else "nothing to do")


@app.command("verify")
def verify_command(as_json: Json = False, dsn: Dsn = None, config: ConfigFile = None) -> None:
    """Prove that the database is what this package ships. Reads only; exit status 1 if it is not.

    Example: ticketdb verify --json
    """
    checks = verify.verify(*_settings(dsn, config))
    failed = [check for check in checks if not check.ok]
    if as_json:
        _print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            mark = "[green]ok[/]" if check.ok else "[red]FAILED[/]"
            out.print(f"{mark} {check.name}" + (f" ({check.note})" if check.note else ""))
            for detail in check.details:
                out.print(f"    {detail}", markup=False)
        print(f"{len(failed)} of {len(checks)} checks failed" if failed else "all checks passed")
    if failed:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


@app.command()
def status(as_json: Json = False, dsn: Dsn = None, config: ConfigFile = None) -> None:
    """Show the revision, who schedules the cleanup, and its last runs.

    Example: ticketdb status
    """
    database, variables = _settings(dsn, config)
    head = [r.revision for r in revision.read_chain(shipped_tree())][-1:]
    with connect(database, autocommit=True) as connection, explained("status"):
        state = read_state(connection, variables)
        runs, columns = [], []
        if state.has_jobs:
            cursor = connection.execute(
                sql.SQL("SELECT * FROM {}").format(
                    sql.Identifier(variables.schema, "reservation_cleanup_job_status")
                )
            )
            columns = [column.name for column in cursor.description or ()]
            runs = cursor.fetchall()
    report: dict[str, Any] = {
        "database": state.database,
        "postgresql": state.major,
        "package": __version__,
        "revision": state.revision or "base",
        "head": head[0] if head else "base",
        "scheduler": runs[0][columns.index("scheduler")] if runs else "none has run yet",
        "last_runs": [dict(zip(columns, run, strict=True)) for run in runs],
    }
    if as_json:
        return _print_json(report)
    for key, value in report.items():
        if key != "last_runs":
            print(f"{key:<10} {value}")
    table = Table("start_time", "status", "duration_seconds", "scheduler", "return_message")
    for run in report["last_runs"]:
        table.add_row(*(str(run[str(column.header)]) for column in table.columns))
    if runs:
        out.print(table)
    return None


def _seconds(text: str) -> float:
    """Read 60 or 60s."""
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise typer.BadParameter(f"{text!r} is no number of seconds")
    return seconds


@app.command()
def cleanup(
    every: Annotated[
        float | None,
        typer.Option(parser=_seconds, metavar="SECONDS", help="Go on until Ctrl-C, this often."),
    ] = None,
    dsn: Dsn = None,
    config: ConfigFile = None,
) -> None:
    """End holds that are over, and keep partitions and history in order: what pg_cron would run.

    Example: ticketdb cleanup --every 60
    """
    database, variables = _settings(dsn, config)
    stop = threading.Event()

    def leave(_signal: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # asked twice: do not wait for the run to end
        stop.set()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, leave)
    with ExitStack() as open_connections:
        connection: Connection | None = None
        while True:
            try:
                if connection is None or connection.closed:
                    connection = connect(database, autocommit=True)
                    open_connections.enter_context(closing(connection))
                print(_clean_up(connection, variables), flush=True)
            except TicketdbError as error:
                if every is None:
                    raise
                print(f"{error}; trying again in {every:g} s", file=sys.stderr, flush=True)
            if every is None or stop.wait(every):
                break
    if every is not None:
        print("stopped")


def _clean_up(connection: Connection, variables: Variables) -> str:
    """Run the jobs once. Returns a line that says what the cleanup did."""
    schema = sql.Identifier(variables.schema)
    try:
        connection.execute(sql.SQL("CALL {}.run_reservation_cleanup('ticketdb')").format(schema))
        connection.execute(sql.SQL("SELECT {}.maintain_partitions()").format(schema))
        connection.execute(sql.SQL("SELECT {}.purge_history()").format(schema))
        row = connection.execute(
            sql.SQL(
                "SELECT r.started_at::timestamptz(0), r.reservations_expired, r.seats_released"
                " FROM {}.reservation_cleanup_runs AS r"
                " WHERE r.scheduler = 'ticketdb' ORDER BY r.id DESC LIMIT 1"
            ).format(schema)
        ).fetchone()
    except psycopg.Error as error:
        if connection.closed:
            raise explain(error, "cleanup") from error
        hint = "see reservation_cleanup_job_status; has `ticketdb apply` been run?"
        raise TicketdbError(
            "E_CLEANUP",
            ExitStatus.CHECK_FAILED,
            f"{one_line(error.diag.message_primary or str(error))} - {hint}",
        ) from error
    if row is None:
        return "another cleanup is running"
    return "{}: {} holds expired, {} seats released".format(*row)


@app.command("revision")
def revision_command(
    message: Annotated[str, typer.Option("--message", "-m", help="What the revision is about.")],
    objects: Annotated[
        list[str] | None,
        typer.Argument(help="Files of sql/ to freeze; otherwise all changed ones."),
    ] = None,
) -> None:
    """Freeze what changed in sql/ into a new revision. For those who develop ticketdb.

    Example: ticketdb revision -m "seat maps" tables/shows.sql
    """
    frozen = revision.freeze(message, objects or None)
    if frozen is None:
        print("nothing has changed since the last revision")
        return
    print(f"wrote {frozen.revision.python_file.with_suffix('')}.{{py,up.sql,down.sql}}")
    for change in frozen.changes:
        print(f"  {change}")
    for file in frozen.to_fill_in:
        print(f"write the ALTERs by hand in {file}")
    if frozen.to_fill_in:
        raise typer.Exit(ExitStatus.CHECK_FAILED)


@app.command()
def demo(
    buyers: Annotated[int, typer.Option(min=1, help="Concurrent buyers.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, help="How long they buy.")] = 12.0,
    as_json: Json = False,
) -> None:
    """Sell seats to simulated buyers on a private PostgreSQL, and check every number.

    Example: ticketdb demo --buyers 300 --seconds 20
    """
    from ticketdb import demo as demonstration

    raise typer.Exit(demonstration.run(buyers=buyers, seconds=seconds, json=as_json))
