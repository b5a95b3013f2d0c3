"""The errors that ticketdb reports to its users.

Each is one line: what happened, where, and what to do next. The command line prints it as
``error [E_CODE]: message`` on standard error and exits with the error's exit status.
"""

import re
import tomllib
from enum import IntEnum
from pathlib import Path
from typing import Any


class ExitStatus(IntEnum):
    """What a command's exit status means."""

    OK = 0
    CHECK_FAILED = 1  # a check failed, or something is pending
    USAGE = 2  # wrong arguments or configuration
    UNREACHABLE = 3  # no server, or it refuses the connection
    LOCKED = 4  # another session holds a lock that is needed
    ROLLED_BACK = 5  # a migration failed and left nothing behind


CATALOG: dict[str, Any] = tomllib.loads(Path(__file__).with_name("errors.toml").read_text("utf-8"))


class TicketdbError(Exception):
    """An error that the user can act on. Never raised for a defect of ticketdb itself."""

    def __init__(self, code: str, exit_status: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.exit_status = ExitStatus(exit_status)
        self.message = message

    def __str__(self) -> str:
        return f"error [{self.code}]: {self.message}"


def problem(code: str, message: str, remedy: str | None = None, origin: str = "") -> TicketdbError:
    """Make an error of errors.toml, with its exit status and what to do next.

    `origin`: an identifier of where the error was raised. Unlike the message, which may come from a
    server in another language, the patterns of `remedy_where` match it reliably.
    """
    entry = CATALOG[code]
    if remedy is None:
        special = entry.get("remedy_where", {}).items()
        fitting = (text for pattern, text in special if re.search(pattern, f"{message} {origin}"))
        remedy = next(fitting, entry.get("remedy"))
    return TicketdbError(code, entry["exit_status"], f"{message} - {remedy}" if remedy else message)


def code_of(sqlstate: str, otherwise: str) -> str:
    """The error that stands for a SQLSTATE, or `otherwise`."""
    for code, entry in CATALOG.items():
        if re.fullmatch(entry.get("sqlstates", "-"), sqlstate):
            return code
    return otherwise
