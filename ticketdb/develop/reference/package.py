"""Pages about the package: commands, settings, error codes."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import typer

from ticketdb.config import JOBS, MEANINGS, ROLES, SCHEMAS, Variables
from ticketdb.database import Connection
from ticketdb.develop.reference.database import default, read_relations
from ticketdb.develop.reference.markdown import block, code, grid, page, prose, section
from ticketdb.errors import CATALOG, ExitStatus

EXIT_STATUSES = {
    ExitStatus.OK: "all is well",
    ExitStatus.CHECK_FAILED: "a check failed, or something is pending",
    ExitStatus.USAGE: "wrong arguments or configuration",
    ExitStatus.UNREACHABLE: "no server, or it does not let us in",
    ExitStatus.LOCKED: "somebody else holds a lock",
    ExitStatus.ROLLED_BACK: "a migration failed and left nothing behind",
}


def commands(app: typer.Typer) -> str:
    program = typer.main.get_command(app)
    found: dict[str, Any] = program.commands  # type: ignore[attr-defined]
    panels: dict[str, list[str]] = {}
    for name, command in found.items():
        named = getattr(command, "rich_help_panel", None)
        panel = named if isinstance(named, str) else ""
        panels.setdefault(panel, []).append(_command(name, command, 3 if panel else 2))
    chapters = [
        section(panel, *entries) if panel else "\n".join(entries)
        for panel, entries in panels.items()
    ]
    return page(
        "Commands",
        "What `ticketdb COMMAND --help` prints. Exit statuses, and what to do after an error, are "
        "under [Error codes](error-codes.md).",
        *chapters,
    )


def _command(name: str, command: Any, level: int) -> str:
    context = typer.Context(command, info_name=f"ticketdb {name}")
    text, _, example = (command.help or "").partition("\n\nExample: ")
    records = filter(None, (parameter.get_help_record(context) for parameter in command.params))
    usage = " ".join((f"ticketdb {name}", *command.collect_usage_pieces(context)))
    return section(
        name,
        prose(text) + "\n",
        block("console", f"$ {usage}" + (f"\n$ {example}" if example else "")),
        grid(["option", "meaning"], ([code(option), prose(help_)] for option, help_ in records)),
        level=level,
    )


def settings(connection: Connection, variables: Variables) -> str:
    (policy,) = (
        row for row in read_relations(connection, variables) if row.name == "ticketing_settings"
    )

    def checks(column: str) -> Iterable[str]:
        return (
            code(c["definition"].removeprefix("CHECK (").removesuffix(")"))
            for c in policy.constraints
            if c["kind"] == "c" and column in c["columns"]
        )

    kinds = dict.fromkeys(SCHEMAS, "schema") | dict.fromkeys(ROLES, "role")
    kinds |= dict.fromkeys(JOBS, "job")
    return page(
        "Settings",
        "Policy is in a table and changes with UPDATE; names are in a file and are fixed when "
        "ticketdb is applied.",
        section(
            "The table ticketing_settings",
            prose(policy.comment) + "\n",
            block("sql", "UPDATE ticketing_settings SET hold_minutes = 15;"),
            grid(
                ["column", "type", "default", "allowed", "what it is"],
                (
                    [
                        code(column["name"]),
                        code(column["type"]),
                        default(column),
                        ", ".join(checks(column["name"])),
                        prose(column["comment"]),
                    ]
                    for column in policy.columns
                    if column["name"] != "singleton"
                ),
            ),
        ),
        section(
            "The file ticketdb.toml",
            "One table, `[variables]`. What is not in it has its default.\n",
            grid(
                ["variable", "kind", "default", "what it is"],
                (
                    [
                        code(field.name),
                        kinds.get(field.name, ""),
                        code(repr(field.default).replace("'", '"').lower()),
                        prose(MEANINGS[field.name]),
                    ]
                    for field in fields(Variables)
                ),
            ),
        ),
    )


def error_codes() -> str:
    chapters = []
    for status, meaning in EXIT_STATUSES.items():
        rows = [
            [code(name), _remedies(entry)]
            for name, entry in sorted(CATALOG.items())
            if entry["exit_status"] == status
        ]
        if rows:
            title = f"Exit status {status.value}: {meaning}"
            chapters.append(section(title, grid(["code", "what to do next"], rows)))
    return page(
        "Error codes",
        "A command that fails prints one line, `error [CODE]: what happened and where - what to do "
        "next`, and ends with an exit status. `ticketdb check` answers as plugins of Nagios do "
        "instead: 0 OK, 1 warning, 2 critical, 3 unknown. The codes that functions answer with are "
        "under [Functions](functions.md).",
        *chapters,
    )


def _remedies(entry: dict[str, Any]) -> str:
    """What an error advises. Which of several fits depends on its message."""
    special = (
        f"where the message matches {code(pattern)}: {prose(remedy)}"
        for pattern, remedy in entry.get("remedy_where", {}).items()
    )
    advice = [prose(entry.get("remedy")), *special]
    return "<br>".join(filter(None, advice)) or "the message says it"
