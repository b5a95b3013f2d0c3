"""What the user decides: which database, and what things are called in it.

The connection comes from ``--dsn``, then ``TICKETDB_DSN``, then libpq's own variables. The template
variables come from the table ``[variables]`` of ``ticketdb.toml`` and are a closed list: a frozen
revision can only mean the same thing for ever if nothing else can get into it.
"""

import difflib
import re
import tomllib
import unicodedata
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Strict, TypeAdapter, ValidationError
from pydantic import model_validator as pydantic_model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketdb.errors import ExitStatus, TicketdbError

DEFAULT_FILE = "ticketdb.toml"
MAX_IDENTIFIER_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL would cut longer names short, silently
MAX_TEXT_CHARACTERS = 255
DOLLAR_QUOTE = re.compile(r"\$(?:[^\W\d]\w*)?\$")


def _refuse_control_characters(value: str) -> None:
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise ValueError(f"contains the control character U+{ord(character):04X}")


def check_identifier(value: str) -> str:
    """Accept a name that survives quoting, storing and standing inside a function body."""
    if not value:
        raise ValueError("is empty")
    _refuse_control_characters(value)
    if len(value.encode()) > MAX_IDENTIFIER_BYTES:
        raise ValueError(f"is longer than {MAX_IDENTIFIER_BYTES} bytes")
    if "$" in value:
        raise ValueError("contains '$', which could end a dollar-quoted function body")
    if value.startswith("pg_"):
        raise ValueError("begins with 'pg_', which PostgreSQL keeps for itself")
    return value


def check_schema(value: str) -> str:
    if value in ("information_schema", "cron"):
        raise ValueError(f"{value!r} belongs to somebody else")
    return check_identifier(value)


def check_role(value: str) -> str:
    # Even quoted, these two are key words where a role is expected.
    if value in ("public", "none"):
        raise ValueError(f"{value!r} cannot name a role in PostgreSQL")
    return check_identifier(value)


def check_text(value: str) -> str:
    """Accept a text that survives quoting and standing inside a function body."""
    if not value:
        raise ValueError("is empty")
    _refuse_control_characters(value)
    if len(value) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"is longer than {MAX_TEXT_CHARACTERS} characters")
    if DOLLAR_QUOTE.search(value):
        raise ValueError("contains a dollar quote, which could end a function body")
    return value


Schema = Annotated[str, Strict(), AfterValidator(check_schema)]
Role = Annotated[str, Strict(), AfterValidator(check_role)]
Text = Annotated[str, Strict(), AfterValidator(check_text)]
Flag = Annotated[bool, Strict()]


@pydantic_dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Variables:
    """The template variables, with their defaults. Names of objects are fixed at apply time."""

    schema: Schema = "public"
    monitoring_schema: Schema = "monitoring"
    app_role: Role = "ticketdb_app"
    monitor_role: Role = "ticketdb_monitor"
    dashboard_role: Role = "dashboard_reader"
    datadog_role: Role = "datadog"
    cleanup_job: Text = "cleanup-expired-reservations"
    cleanup_schedule: Text = "* * * * *"
    partition_job: Text = "maintain-ticketing-partitions"
    partition_schedule: Text = "17 3 * * *"
    purge_job: Text = "purge-ticketing-history"
    purge_schedule: Text = "47 3 * * *"
    manage_roles: Flag = True

    @pydantic_model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        for group in (SCHEMAS, ROLES, JOBS):
            taken: dict[str, str] = {}
            for name in group:
                value = getattr(self, name)
                if value in taken:
                    raise ValueError(f"{taken[value]} and {name} are both {value!r}")
                taken[value] = name
        return self


SCHEMAS = ("schema", "monitoring_schema")
ROLES = ("app_role", "monitor_role", "dashboard_role", "datadog_role")
JOBS = ("cleanup_job", "partition_job", "purge_job")
IDENTIFIERS = SCHEMAS + ROLES
NAMES = tuple(field.name for field in fields(Variables))


class Environment(BaseSettings):
    """What the environment may say; the command line overrides it."""

    model_config = SettingsConfigDict(env_prefix="TICKETDB_", frozen=True)

    dsn: str = ""  # empty: libpq reads PGHOST, PGSERVICE and the like by itself
    config: Path | None = None


def config_error(message: str) -> TicketdbError:
    return TicketdbError("E_CONFIG", ExitStatus.USAGE, message)


def _nearest(key: str, valid: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, valid, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"valid are {', '.join(valid)}"


def parse_variables(data: dict[str, Any], source: str) -> Variables:
    """Check the decoded contents of a configuration file called `source`. Raises E_CONFIG."""
    for key in data:
        if key != "variables":
            known = NAMES if key in NAMES else ("variables",)
            hint = "move it under [variables]" if key in NAMES else _nearest(key, known)
            raise config_error(f"{source}: unknown key {key!r}: {hint}")
    table = data.get("variables", {})
    if not isinstance(table, dict):
        raise config_error(f"{source}: 'variables' must be a table: write [variables]")
    for key in table:
        if key not in NAMES:
            raise config_error(f"{source}: unknown key 'variables.{key}': {_nearest(key, NAMES)}")
    try:
        return TypeAdapter(Variables).validate_python(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(("variables", *map(str, first["loc"])))
        reason = first["msg"].removeprefix("Value error, ")
        raise config_error(f"{source}: {key}: {reason[:1].lower()}{reason[1:]}") from None


def load_variables(path: Path | None = None) -> Variables:
    """Read `path`, or ./ticketdb.toml where there is one. Raises E_CONFIG."""
    if path is None:
        path = Path(DEFAULT_FILE)
        if not path.is_file():
            return Variables()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise config_error(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise config_error(f"{path}: is not UTF-8 at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise config_error(
            f"{path}: is not TOML: {str(error)[:1].lower()}{str(error)[1:]}"
        ) from None
    return parse_variables(data, str(path))
