"""`python -m bench` runs the loads on a private server, and prints one table and a JSON file."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cleanup import cleanup
from bench.dashboards import dashboards
from bench.harness import QUICK, SETTINGS, Options, pgbench_program, running
from bench.holds import hot, peers, spread
from bench.migrations import copies, installs, under_load
from bench.profile import profile
from bench.records import records
from bench.report import Result, print_report, write_json
from bench.rollup import rollup
from ticketdb.errors import TicketdbError
from ticketdb.private_server import find_server_binaries

MEASURES = {
    "P1": spread,
    "P2": hot,
    "P4": cleanup,
    "P5": dashboards,
    "P6": rollup,
    "P7": installs,
    "P8": copies,
    "P9": under_load,
    "peers": peers,
    "records": records,
}
# These take as long as all others together, and have a make target of their own.
MONITORING = ("P5", "P6")
USUAL = ",".join(name for name in MEASURES if name not in MONITORING)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    only: Annotated[str, typer.Option(help=f"Some of {','.join(MEASURES)}.")] = USUAL,
    pairs: Annotated[int | None, typer.Option(min=1, help="Slices of each side.")] = None,
    seconds: Annotated[int | None, typer.Option(min=1, help="Length of a slice.")] = None,
    events: Annotated[
        int | None, typer.Option(min=1000, help="Events of holds in the day that P5 reads.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Small sizes, to test the benchmark itself.")] = False,
    with_profile: Annotated[
        bool, typer.Option("--profile", help="Only profile P1: CPU time by ingredient (Linux).")
    ] = False,
    json: Annotated[Path, typer.Option(help="File for all numbers.")] = Path("bench-results.json"),
) -> None:
    """Measure ticketdb against floors and peers, in turn, on a private durable PostgreSQL."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # do not wrap the table in a file
    options = QUICK if quick else Options()
    options = replace(
        options,
        pairs=pairs or options.pairs,
        seconds=seconds or options.seconds,
        events=events or options.events,
    )
    wanted = [name.strip() for name in only.split(",")]
    if unknown := set(wanted) - set(MEASURES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: choose from {', '.join(MEASURES)}")
    measures = (
        [profile] if with_profile else [MEASURES[name] for name in MEASURES if name in wanted]
    )
    results: list[Result] = []
    try:
        binaries = find_server_binaries()
        pgbench_program(binaries)
        with console.status("Starting a server…") as status, running(binaries, options) as bench:
            for measure in measures:
                status.update(f"Measuring {measure.__name__}…")
                results += measure(bench)
    except TicketdbError as error:
        typer.echo(error, err=True)
        raise typer.Exit(error.exit_status) from None
    print_report(console, results)
    server = {"version": binaries.version, "cores": os.cpu_count(), "settings": SETTINGS}
    write_json(json, results, options, server)
    console.print(f"All numbers: {json}")


if __name__ == "__main__":
    app()
