"""The configuration file: the names of schemas, roles and jobs in the database.

The template variables come from the table ``[variables]`` of ``ticketdb.toml``. They are a closed
list: a frozen revision keeps its meaning only if nothing else can get into it.
"""

import difflib
import re
import tomllib
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, ValidationError
from pydantic import model_validator as pydantic_model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass

from ticketdb.errors import problem

DEFAULT_FILE = "ticketdb.toml"
SCHEMAS = ("schema", "monitoring_schema", "internal_schema")
ROLES = ("app_role", "box_office_role", "monitor_role", "dashboard_role", "datadog_role")
JOBS = ("cleanup_job", "rollup_job", "invariants_job", "partition_job", "purge_job")

Rule = tuple[str, str]  # a pattern that must not be found, and the message when it is


def _text(max_bytes: int, *rules: Rule) -> AfterValidator:
    """Accept what can be quoted, stored, and written into the body of a function."""
    empty = (r"\A\Z", "is empty")
    control = (r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "contains a control character")

    def check(value: str) -> str:
        if len(value.encode(errors="surrogatepass")) > max_bytes:
            raise ValueError(f"is longer than {max_bytes} bytes")
        for pattern, complaint in (empty, control, *rules):
            if re.search(pattern, value):
                raise ValueError(complaint)
        return value

    return AfterValidator(check)


IDENTIFIER: tuple[Rule, ...] = (
    (r"\$", "contains '$', which could end a dollar-quoted function body"),
    (r"\Apg_", "begins with 'pg_', which PostgreSQL reserves"),
)
DOLLAR_QUOTE = (r"\$(?:[^\W\d]\w*)?\$", "has a dollar quote, which could end a function body")
FOREIGN_SCHEMA = (r"\A(information_schema|cron)\Z", "is a schema of PostgreSQL or of an extension")
# Even quoted, these two are key words where a role is expected.
KEY_WORD = (r"\A(public|none)\Z", "cannot name a role")
# 63 is NAMEDATALEN - 1: PostgreSQL truncates longer names, with no more than a notice.
Schema = Annotated[str, _text(63, *IDENTIFIER, FOREIGN_SCHEMA)]
Role = Annotated[str, _text(63, *IDENTIFIER, KEY_WORD)]
Job = Annotated[str, _text(63, DOLLAR_QUOTE)]  # pg_cron 1.4 truncates longer ones, too
Text = Annotated[str, _text(255, DOLLAR_QUOTE)]


@pydantic_dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True))
class Variables:
    """The template variables, with their defaults. They are fixed once applied."""

    schema: Schema = "public"
    monitoring_schema: Schema = "monitoring"
    internal_schema: Schema = "ticketdb"
    app_role: Role = "ticketdb_app"
    box_office_role: Role = "ticketdb_box_office"
    monitor_role: Role = "ticketdb_monitor"
    dashboard_role: Role = "dashboard_reader"
    datadog_role: Role = "datadog"
    cleanup_job: Job = "cleanup-expired-reservations"
    cleanup_schedule: Text = "* * * * *"
    rollup_job: Job = "roll-up-ticketing-metrics"
    rollup_schedule: Text = "* * * * *"
    invariants_job: Job = "check-ticketing-invariants"
    invariants_schedule: Text = "*/10 * * * *"
    partition_job: Job = "maintain-ticketing-partitions"
    partition_schedule: Text = "17 * * * *"
    purge_job: Job = "purge-ticketing-history"
    purge_schedule: Text = "47 * * * *"
    manage_roles: bool = True

    @pydantic_model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        for group in (SCHEMAS, ROLES, JOBS):
            for one, other in combinations(group, 2):
                if (value := getattr(self, one)) == getattr(self, other):
                    raise ValueError(f"{one} and {other} are both {value!r}")
        return self


NAMES = tuple(field.name for field in fields(Variables))
# What each is, for people.
MEANINGS = {
    "schema": "Tables and functions that people use.",
    "monitoring_schema": "Views for dashboards and alerts.",
    "internal_schema": "What only ticketdb itself uses: nobody but the owner has USAGE on it.",
    "app_role": "May call the functions that sell.",
    "box_office_role": "The staff: may set up shows and call the functions of the box office.",
    "monitor_role": "May read numbers, not people.",
    "dashboard_role": "A login of dashboards; it has no password until a DBA sets one.",
    "datadog_role": "A login of the Datadog Agent; it has no password until a DBA sets one.",
    "cleanup_job": "The job of pg_cron that ends holds whose time is over.",
    "cleanup_schedule": "When it runs.",
    "rollup_job": "The job that rolls up what the views read.",
    "rollup_schedule": "When it runs.",
    "invariants_job": "The job that checks what must hold whatever happens.",
    "invariants_schedule": "When it runs.",
    "partition_job": "The job that makes partitions for the months to come.",
    "partition_schedule": "When it runs.",
    "purge_job": "The job that purges logs and personal data past their retention.",
    "purge_schedule": "When it runs.",
    "manage_roles": "Whether apply makes the roles and grants; otherwise it prints what to grant.",
}


def parse_variables(data: dict[str, Any], source: str) -> Variables:
    """Check the decoded contents of a configuration file called `source`. Raises E_CONFIG."""
    table = data.get("variables", {})
    if data.keys() - {"variables"} or not isinstance(table, dict):
        raise problem("E_CONFIG", f"{source}: expected one table, [variables], and nothing else")
    try:
        return Variables(**table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(("variables", *map(str, first["loc"])))
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "unexpected_keyword_argument":
            near = difflib.get_close_matches(str(first["loc"][0]), NAMES, n=1, cutoff=0)
            reason = f"no such variable: did you mean {near[0]!r}?"
        raise problem("E_CONFIG", f"{source}: {key}: {reason}") from None


def load_variables(path: Path | None = None) -> Variables:
    """Read `path`, or ./ticketdb.toml where there is one. Raises E_CONFIG."""
    if path is None and not Path(DEFAULT_FILE).is_file():
        return Variables()
    path = path or Path(DEFAULT_FILE)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise problem("E_CONFIG", f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # of the encoding or of the syntax
        raise problem("E_CONFIG", f"{path}: is not TOML: {error}") from None
    return parse_variables(data, str(path))
