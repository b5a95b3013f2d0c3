"""What `--help` shows: commands in panels, an example each, and words instead of classes."""

import re
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from ticketdb.cli import app

PANELS = {
    "Migrate": ["plan", "apply", "script", "revert", "adopt", "verify"],
    "Operate": ["cleanup"],
    "Watch": ["status", "check", "runbook"],
    "Develop": ["revision", "demo"],
}
COMMANDS = [command for commands in PANELS.values() for command in commands]
# What typer prints of an option of which it knows nothing better: its class or its default.
# It has no setting for that of an argument, which it prints beside the name.
ARGUMENTS = re.compile(r"╭─ Arguments.*?\n╰─*╯\n", re.DOTALL)
RESIDUE = re.compile(r"<File\w*>|\(dynamic\)|<str>|<float[^>]*>|<int[^>]*>|<path>")


def help_of(program: typer.Typer, *command: str) -> str:
    """The help as it is shown on a wide terminal, without colours."""
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(program, [*command, "--help"])
    assert done.exit_code == 0, done.output
    return done.stdout


def panels_of(shown: str) -> dict[str, list[str]]:
    """The commands of each panel. A panel has its title in its upper edge."""
    panels = re.findall(r"^╭─ (\w+) ─+╮\n(.*?)^╰", shown, re.MULTILINE | re.DOTALL)
    return {title: re.findall(r"^│ (\w+) ", text, re.MULTILINE) for title, text in panels}


def test_the_commands_are_in_panels() -> None:
    shown = panels_of(help_of(app))
    assert list(shown) == ["Options", *PANELS]
    assert {title: shown[title] for title in PANELS} == PANELS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command: str) -> None:
    assert re.search(rf"^ Example: ticketdb {command}\b", help_of(app, command), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_class_of_an_option_is_shown(command: str) -> None:
    shown = re.sub(ARGUMENTS, "", help_of(app, command))
    assert RESIDUE.findall(shown) == []


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {"script", "revision", "demo", "runbook"}))
def test_the_sources_of_the_connection_are_listed(command: str) -> None:
    described = "Connection string or URI (default: TICKETDB_DSN, then the PG* variables)."
    assert described in help_of(app, command)


def test_a_class_of_an_option_would_be_found() -> None:
    program = typer.Typer()

    @program.command()
    def write(
        out: Annotated[typer.FileTextWrite, typer.Option(default_factory=lambda: "-")],
        name: str = "",
    ) -> None:
        """Write."""

    assert RESIDUE.findall(help_of(program)) == ["<FileTextWrite>", "(dynamic)", "<str>"]


def test_a_command_without_a_panel_would_be_found() -> None:
    program = typer.Typer()
    program.command("stray")(lambda: None)
    program.command("plan", rich_help_panel="Migrate")(lambda: None)
    assert panels_of(help_of(program)) == {
        "Options": [],
        "Commands": ["stray"],
        "Migrate": ["plan"],
    }
