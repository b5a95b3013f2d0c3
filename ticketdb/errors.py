"""The errors that ticketdb shows to people.

Each is one line that says what happened, where, and what to do next. The command line prints it as
``error [E_CODE]: message`` on standard error and ends with the error's exit status.
"""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a command's exit status means."""

    OK = 0
    CHECK_FAILED = 1  # a check failed, or something is pending
    USAGE = 2  # wrong arguments or configuration
    UNREACHABLE = 3  # no server, or it does not let us in
    LOCKED = 4  # somebody else holds the migration lock
    ROLLED_BACK = 5  # a migration failed and left nothing behind


class TicketdbError(Exception):
    """Something that the user can act on: never raised for a defect of ticketdb's own."""

    def __init__(self, code: str, exit_status: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.exit_status = ExitStatus(exit_status)
        self.message = message

    def __str__(self) -> str:
        return f"error [{self.code}]: {self.message}"
